//! A caller's thread waits for what the library's threads do.

use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use crate::runtime::threads::Threads;
use crate::runtime::{lock, wait};

/// Runs `future` on the library's threads and waits for it here; `None` if it takes longer than `timeout`.
pub(crate) fn wait_for<T: Send + 'static>(
    threads: &Threads,
    timeout: Duration,
    future: impl Future<Output = T> + Send + 'static,
) -> Option<T> {
    let slot = Arc::new(Slot { outcome: Mutex::new(Progress::Running), over: Condvar::new() });
    let owed = OwedOutcome(slot.clone());
    let task = threads.handle().spawn(async move { owed.set(Progress::Done(future.await)) });
    let deadline = Instant::now().checked_add(timeout); // none, if the clock cannot express it
    let mut outcome = lock(&slot.outcome);
    while matches!(*outcome, Progress::Running) {
        match wait(&slot.over, outcome, deadline) {
            Ok(woken) => outcome = woken,
            Err(late) => {
                outcome = late;
                break;
            }
        }
    }
    task.abort();
    match std::mem::replace(&mut *outcome, Progress::Dropped) {
        Progress::Done(outcome) => Some(outcome),
        Progress::Running | Progress::Dropped => None,
    }
}

enum Progress<T> {
    Running,
    Done(T),
    /// The runtime ended.
    Dropped,
}

struct Slot<T> {
    outcome: Mutex<Progress<T>>,
    over: Condvar,
}

/// Tells whoever waits, also when the task is dropped.
struct OwedOutcome<T>(Arc<Slot<T>>);

impl<T> OwedOutcome<T> {
    fn set(&self, progress: Progress<T>) {
        let mut outcome = lock(&self.0.outcome);
        if matches!(*outcome, Progress::Running) {
            *outcome = progress;
        }
        self.0.over.notify_one();
    }
}

impl<T> Drop for OwedOutcome<T> {
    fn drop(&mut self) {
        self.set(Progress::Dropped);
    }
}
