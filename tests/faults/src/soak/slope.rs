//! Whether something grows: a straight line through samples, and how sure it is.

/// Bytes after so many operations.
pub struct Samples(Vec<(f64, f64)>);

impl Default for Samples {
    /// With room for more than there will be, and its pages in memory: samples must not measure themselves.
    fn default() -> Samples {
        let mut room = vec![(f64::NAN, f64::NAN); 1 << 14];
        room.clear();
        Samples(room)
    }
}

/// Growth in bytes for 10,000 operations.
pub struct Slope {
    pub bytes: f64,
    /// Standard error.
    pub error: f64,
}

impl Samples {
    pub fn add(&mut self, operations: u64, bytes: u64) {
        self.0.push((operations as f64, bytes as f64));
    }

    /// From the first sample to the last.
    fn growth(&self) -> u64 {
        let ends = self.0.first().zip(self.0.last());
        ends.map_or(0, |(first, last)| (last.1 - first.1).max(0.0) as u64)
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// `None`: too few samples for a statement.
    pub fn slope(&self) -> Option<Slope> {
        let n = self.0.len() as f64;
        if self.0.len() < 5 {
            return None;
        }
        let mean = |pick: fn(&(f64, f64)) -> f64| self.0.iter().map(pick).sum::<f64>() / n;
        let (mx, my) = (mean(|s| s.0), mean(|s| s.1));
        let sxx: f64 = self.0.iter().map(|(x, _)| (x - mx).powi(2)).sum();
        let sxy: f64 = self.0.iter().map(|(x, y)| (x - mx) * (y - my)).sum();
        if sxx == 0.0 {
            return None;
        }
        let slope = sxy / sxx;
        let residual: f64 = self.0.iter().map(|(x, y)| (y - my - slope * (x - mx)).powi(2)).sum();
        let error = (residual / (n - 2.0) / sxx).sqrt();
        Some(Slope { bytes: slope * 10_000.0, error: error * 10_000.0 })
    }
}

impl Samples {
    /// Whether they grow by more than so many bytes for 10,000 operations, and by more than `few` in all: so much is not
    /// distinguished from none.
    pub fn grow_by(&self, bytes: f64, few: u64) -> bool {
        self.growth() > few && self.slope().is_some_and(|slope| slope.is_more_than(bytes))
    }
}

impl Slope {
    /// More than that, and not by chance.
    fn is_more_than(&self, bytes: f64) -> bool {
        self.bytes - 3.0 * self.error > bytes
    }
}
