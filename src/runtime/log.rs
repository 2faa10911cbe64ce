//! Log records on their way to the host: filtered by level, bounded, delivered by the dispatcher or a queue.
//!
//! The `log` facade of the shared library is its own copy, private to it: installing a logger touches nobody else.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, RwLock};

use log::{Level, LevelFilter, Metadata, Record};

use super::fork::PerProcess;
use super::{read, write};

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

struct Logger {
    sink: RwLock<Option<Arc<dyn Sink>>>,
    dropped: AtomicUsize,
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
    let logger = CURRENT.get(|_| Logger { sink: RwLock::new(None), dropped: AtomicUsize::new(0) });
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
        let dropped = logger.dropped.swap(0, Ordering::Relaxed);
        let line = Line {
            level: record.level(),
            target: record.target().to_owned(),
            message: record.args().to_string(),
            dropped,
        };
        if !sink.take(line) {
            logger.dropped.fetch_add(dropped + 1, Ordering::Relaxed);
        }
    }

    fn flush(&self) {}
}
