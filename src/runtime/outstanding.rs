//! Counts what must be over before something else can end.

use std::sync::Arc;
use std::time::Instant;

use super::sync::{AtomicUsize, Condvar, Mutex, Ordering};
use super::{lock, wait};

/// Somebody waits for zero. The other bits count.
const WAITED_FOR: usize = 1;
const ONE: usize = 2;

pub(crate) struct Outstanding {
    /// One word, so that the last to leave and the first to wait cannot miss each other.
    count: AtomicUsize,
    lock: Mutex<()>,
    zero: Condvar,
}

/// One of those who are counted, until dropped.
pub(crate) struct Stay(Arc<Outstanding>);

impl Outstanding {
    pub(crate) fn new() -> Arc<Outstanding> {
        Arc::new(Outstanding { count: AtomicUsize::new(0), lock: Mutex::new(()), zero: Condvar::new() })
    }

    pub(crate) fn enter(self: &Arc<Self>) -> Stay {
        self.count.fetch_add(ONE, Ordering::AcqRel);
        Stay(self.clone())
    }

    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed) / ONE
    }

    /// Waits for zero; false if that is not reached by `deadline`.
    pub(crate) fn wait(&self, deadline: Instant) -> bool {
        let mut guard = lock(&self.lock);
        self.count.fetch_or(WAITED_FOR, Ordering::AcqRel);
        while self.count.load(Ordering::Acquire) / ONE > 0 {
            guard = match wait(&self.zero, guard, Some(deadline)) {
                Ok(guard) => guard,
                Err(_late) => return false,
            };
        }
        true
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        if self.0.count.fetch_sub(ONE, Ordering::AcqRel) == ONE | WAITED_FOR {
            drop(lock(&self.0.lock)); // whoever has just seen a count above zero waits by now
            self.0.zero.notify_all();
        }
    }
}
