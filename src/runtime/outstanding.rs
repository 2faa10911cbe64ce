//! Counts what must be over before something else can end.

use std::sync::Arc;
use std::time::Instant;

use super::sync::{AtomicBool, AtomicUsize, Condvar, Mutex, Ordering};
use super::{lock, wait};

pub(crate) struct Outstanding {
    count: AtomicUsize,
    /// Whether somebody waits for zero.
    waited_for: AtomicBool,
    lock: Mutex<()>,
    zero: Condvar,
}

/// One of those who are counted, until dropped.
pub(crate) struct Stay(Arc<Outstanding>);

impl Outstanding {
    pub(crate) fn new() -> Arc<Outstanding> {
        Arc::new(Outstanding {
            count: AtomicUsize::new(0),
            waited_for: AtomicBool::new(false),
            lock: Mutex::new(()),
            zero: Condvar::new(),
        })
    }

    pub(crate) fn enter(self: &Arc<Self>) -> Stay {
        self.count.fetch_add(1, Ordering::AcqRel);
        Stay(self.clone())
    }

    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Waits for zero; false if that is not reached by `deadline`.
    pub(crate) fn wait(&self, deadline: Instant) -> bool {
        let mut guard = lock(&self.lock);
        self.waited_for.store(true, Ordering::SeqCst);
        while self.count.load(Ordering::SeqCst) > 0 {
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
        // Sequentially consistent, like `wait`: either this sees the flag or the waiter sees zero.
        if self.0.count.fetch_sub(1, Ordering::SeqCst) == 1 && self.0.waited_for.load(Ordering::SeqCst) {
            drop(lock(&self.0.lock)); // whoever has just seen a count above zero waits by now
            self.0.zero.notify_all();
        }
    }
}
