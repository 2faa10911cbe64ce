//! Which part of a split a visitor falls into: MurmurHash3 over UTF-16 units, as every SDK and the edge compute it.

/// The place of a visitor in an activity, 0.00 to 99.99.
pub(crate) fn allocation(client: &str, activity: &str, visitor: &str) -> f64 {
    f64::from(bucket(hash(&[client, ".", activity, ".", visitor, ".0"]))) / 100.0
}

fn bucket(hash: i32) -> u32 {
    hash.unsigned_abs() % 10_000 // |i32::MIN| is 2147483648, as in JavaScript
}

/// The part of a tntId that stays the same: without the profile location.
pub(crate) fn visitor_of_tnt_id(tnt_id: &str) -> &str {
    tnt_id.split_once('.').map_or(tnt_id, |(visitor, _)| visitor)
}

/// MurmurHash3 x86 32 bit with seed 0 over the UTF-16 units of the concatenated `parts`.
fn hash(parts: &[&str]) -> i32 {
    let mut state = Murmur::default();
    for part in parts {
        if part.is_ascii() {
            part.bytes().for_each(|byte| state.unit(u32::from(byte)));
        } else {
            part.encode_utf16().for_each(|unit| state.unit(u32::from(unit)));
        }
    }
    state.finish()
}

#[derive(Default)]
struct Murmur {
    hash: u32,
    /// The first unit of a block, until the second arrives.
    low: Option<u32>,
    units: u32,
}

impl Murmur {
    #[inline]
    fn unit(&mut self, unit: u32) {
        self.units = self.units.wrapping_add(1);
        match self.low.take() {
            None => self.low = Some(unit),
            Some(low) => {
                self.hash ^= scramble(low | (unit << 16));
                self.hash = self.hash.rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64);
            }
        }
    }

    fn finish(mut self) -> i32 {
        if let Some(low) = self.low {
            self.hash ^= scramble(low);
        }
        let mut hash = self.hash ^ self.units.wrapping_mul(2);
        hash = (hash ^ (hash >> 16)).wrapping_mul(0x85eb_ca6b);
        hash = (hash ^ (hash >> 13)).wrapping_mul(0xc2b2_ae35);
        (hash ^ (hash >> 16)) as i32
    }
}

fn scramble(block: u32) -> u32 {
    block.wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_vectors() {
        for (client, activity, visitor, hashed, allocated) in [
            ("targettesting", "125873", "07327024324407615852294135870030620007", 103_172_881, 28.81),
            ("someClientId", "125873", "338e3c1e51f7416a8e1ccba4f81acea0.28_0", 1_237_814_844, 48.44),
            ("someClientId", "125873", "338e3c1e51f7416a8e1ccba4f81acea0", -796_002_549, 25.49),
            ("clientId", "111", "mcid", -2_117_569_527, 95.27),
            ("clientId", "111", "tntid-string", 1_543_120_472, 4.72),
            ("acme", "1", "a", 1_232_918_589, 85.89),
            ("acme", "1", "ab", 285_606_771, 67.71),
            ("acme", "1", "é", -1_388_110_784, 7.84),
            ("acme", "1", "日本語", -1_237_952_622, 26.22),
            ("acme", "1", "😀", 1_021_275_587, 55.87),
            ("acme", "1", "ünïcödé-user-42", 280_946_338, 63.38),
            ("", "0", "z", -927_827_239, 72.39),
            ("c", "1", "2957", -1_818_900_000, 0.0),
        ] {
            assert_eq!(hash(&[client, ".", activity, ".", visitor, ".0"]), hashed, "{client} {activity} {visitor}");
            assert_eq!(allocation(client, activity, visitor), allocated, "{client} {activity} {visitor}");
        }
        for (text, hashed) in [
            ("", 0),
            ("a", 1_867_108_634),
            ("ab", 374_890_698),
            ("abc", 1_118_836_419),
            ("abcd", 1_157_274_932),
            ("é", 1_105_794_559),
            ("😀", 1_443_257_913),
        ] {
            assert_eq!(hash(&[text]), hashed, "{text:?}");
        }
    }

    #[test]
    fn parts_are_one_text() {
        let whole = "someClientId.125873.ünï😀code.0";
        for at in (0..=whole.len()).filter(|at| whole.is_char_boundary(*at)) {
            let (a, b) = whole.split_at(at);
            assert_eq!(hash(&[a, b]), hash(&[whole]), "split at {at}");
        }
    }

    #[test]
    fn smallest_hash_does_not_overflow() {
        assert_eq!(bucket(i32::MIN), 3648);
        assert_eq!(bucket(i32::MAX), 3647);
        assert_eq!(bucket(-1), 1);
    }

    #[test]
    fn spreads_evenly_and_stays() {
        // 100,000 visitors over 20 ranges: 5,000 each with a standard deviation of 69.
        let mut counts = [0_i32; 20];
        for visitor in 0..100_000 {
            let place = allocation("acme", "4711", &format!("visitor-{visitor}"));
            assert!((0.0..100.0).contains(&place));
            counts[(place / 5.0) as usize] += 1;
        }
        for count in counts {
            assert!((count - 5_000).abs() < 350, "{counts:?}");
        }
        assert_eq!(allocation("acme", "4711", "visitor-1"), allocation("acme", "4711", "visitor-1"));
    }

    #[test]
    fn tnt_id_without_location() {
        assert_eq!(visitor_of_tnt_id("abc.28_0"), "abc");
        assert_eq!(visitor_of_tnt_id("abc"), "abc");
        assert_eq!(visitor_of_tnt_id(".28_0"), "");
    }
}
