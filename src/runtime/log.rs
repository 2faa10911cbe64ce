//! Log records on their way to the host: filtered by level, bounded, delivered by the dispatcher or a queue.
//!
//! The `log` facade of the shared library is its own copy, private to it: installing a logger touches nobody else.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::{Duration, Instant};

use log::{Level, LevelFilter, Metadata, Record};

use super::fork::PerProcess;
use super::{lock, read, write};

/// One log record.
pub(crate) struct Line {
    pub(crate) level: Level,
    pub(crate) target: String,
    pub(crate) message: String,
    /// Records lost since the one before because too many were waiting.
    pub(crate) dropped: usize,
}

/// Takes records; must not block. Returns false when it has no room.
pub(crate) trait Sink: Send + Sync {
    fn take(&self, line: Line) -> bool;
}

/// Records that may wait for the host.
pub(crate) const MAX_WAITING: usize = 1024;

/// Only this library's own records pass: what dependencies log may hold headers, and so cookies and tokens.
const OWN: &str = "target_sdk";

/// Records that one place in the code makes in a second: what goes wrong with every call of a busy host shall not fill its
/// disk. Who asks for debug or trace records gets all.
const PER_SECOND: u32 = 10;

#[derive(Default)]
struct Logger {
    sink: RwLock<Option<Arc<dyn Sink>>>,
    dropped: AtomicUsize,
    /// Each place by file and line; kept until the process ends. Not a hash table: that is pointed to in its middle, which tools
    /// that look for lost memory take for a leak.
    places: Mutex<BTreeMap<(&'static str, u32), Place>>,
}

/// What a place in the code has said lately.
struct Place {
    since: Instant,
    made: u32,
    left_out: u64,
}

impl Place {
    /// Whether it may say something, and how often it was not allowed to before.
    fn admit(&mut self, now: Instant) -> Option<u64> {
        if now.saturating_duration_since(self.since) >= Duration::from_secs(1) {
            (self.since, self.made) = (now, 0);
        }
        if self.made >= PER_SECOND {
            self.left_out += 1;
            return None;
        }
        self.made += 1;
        Some(std::mem::take(&mut self.left_out))
    }
}

impl Logger {
    fn admit(&self, record: &Record<'_>) -> Option<u64> {
        let (Some(file), Some(line)) = (record.file_static(), record.line()) else { return Some(0) };
        if log::max_level() > LevelFilter::Info {
            return Some(0);
        }
        let now = Instant::now();
        let mut places = lock(&self.places);
        places.entry((file, line)).or_insert(Place { since: now, made: 0, left_out: 0 }).admit(now)
    }
}

static CURRENT: PerProcess<Logger> = PerProcess::new();
static FACADE: Facade = Facade;

struct Facade;

thread_local! {
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// Has the records of the `log` macros come here. Until there is a sink none is made.
pub(super) fn install_facade() {
    let _ = log::set_logger(&FACADE);
}

/// Replaces the sink; returns the one before. Level 0 is off, 5 is trace.
pub(crate) fn install(sink: Option<Arc<dyn Sink>>, level: i32) -> Option<Arc<dyn Sink>> {
    let level = match level {
        ..=0 => LevelFilter::Off,
        1 => LevelFilter::Error,
        2 => LevelFilter::Warn,
        3 => LevelFilter::Info,
        4 => LevelFilter::Debug,
        5.. => LevelFilter::Trace,
    };
    log::set_max_level(if sink.is_some() { level } else { LevelFilter::Off });
    let logger = CURRENT.get(|_| Logger::default());
    std::mem::replace(&mut *write(&logger.sink), sink)
}

/// Runs host code that receives a record; records made meanwhile on this thread are dropped, or they would never end.
pub(crate) fn delivering(deliver: impl FnOnce()) {
    let before = INSIDE.try_with(|inside| inside.replace(true)).unwrap_or(true);
    deliver();
    let _ = INSIDE.try_with(|inside| inside.set(before));
}

impl log::Log for Facade {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with(OWN) && !INSIDE.try_with(Cell::get).unwrap_or(true)
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let Some(logger) = CURRENT.peek() else { return };
        let Some(sink) = read(&logger.sink).clone() else { return };
        let Some(left_out) = logger.admit(record) else { return };
        let mut message = record.args().to_string();
        if left_out > 0 {
            message.push_str(&format!(" ({left_out} more from the same place were left out)"));
        }
        let dropped = logger.dropped.swap(0, Ordering::Relaxed);
        let line = Line { level: record.level(), target: record.target().to_owned(), message, dropped };
        if !sink.take(line) {
            logger.dropped.fetch_add(dropped + 1, Ordering::Relaxed);
        }
    }

    fn flush(&self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_says_ten_things_a_second_and_how_many_more_there_were() {
        let began = Instant::now();
        let at = |ms| began + Duration::from_millis(ms);
        let mut place = Place { since: began, made: 0, left_out: 0 };
        for n in 0..1000 {
            assert_eq!(place.admit(at(n)), (n < 10).then_some(0), "{n}");
        }
        assert_eq!(place.admit(at(1000)), Some(990));
        assert_eq!(place.admit(at(1001)), Some(0));
        assert_eq!(place.admit(at(500_000)), Some(0));
    }
}
