//! A client drains once at a time: whoever closes it meanwhile waits for the same end.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;

use crate::runtime::{lock, wait};

use super::status::{TARGET_E_INTERNAL, TARGET_E_TIMEOUT, target_status};

type Outcome = Result<(), target_status>;

/// The drains of one client.
#[derive(Default)]
pub(crate) struct Drains {
    running: Mutex<Option<Arc<Drain>>>,
}

#[derive(Default)]
struct Drain {
    outcome: Mutex<Option<Outcome>>,
    over: Condvar,
}

impl Drains {
    /// Runs `drain`, or waits for the one that runs already, until `until` at most. Gives its outcome.
    pub(crate) fn run_or_join(&self, until: Instant, drain: impl FnOnce() -> Outcome) -> Outcome {
        let mut running = lock(&self.running);
        if let Some(other) = running.clone() {
            drop(running);
            return other.join(until);
        }
        let own = running.insert(Arc::default()).clone();
        drop(running);
        // Also when it panics: nobody shall wait for ever.
        let mut end = End { drains: self, drain: &own, outcome: Err(TARGET_E_INTERNAL) };
        end.outcome = drain();
        end.outcome
    }
}

impl Drain {
    fn join(&self, until: Instant) -> Outcome {
        let mut outcome = lock(&self.outcome);
        loop {
            if let Some(outcome) = *outcome {
                return outcome;
            }
            outcome = wait(&self.over, outcome, Some(until)).map_err(|_| TARGET_E_TIMEOUT)?;
        }
    }
}

struct End<'d> {
    drains: &'d Drains,
    drain: &'d Drain,
    outcome: Outcome,
}

impl Drop for End<'_> {
    fn drop(&mut self) {
        *lock(&self.drains.running) = None;
        *lock(&self.drain.outcome) = Some(self.outcome);
        self.drain.over.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::super::status::TARGET_E_CALLBACK_STUCK;
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn those_who_come_meanwhile_have_the_same_end_and_those_who_come_later_their_own() {
        let never = Instant::now() + std::time::Duration::from_secs(3600);
        let drains = Drains::default();
        let runs = AtomicUsize::new(0);
        let (begun, is_begun) = std::sync::mpsc::channel();
        let (end, may_end) = std::sync::mpsc::channel::<()>();
        std::thread::scope(|scope| {
            let (drains, runs) = (&drains, &runs);
            let first = scope.spawn(move || {
                drains.run_or_join(never, || {
                    begun.send(()).unwrap();
                    let _ = may_end.recv();
                    runs.fetch_add(1, Ordering::SeqCst);
                    Err(TARGET_E_CALLBACK_STUCK)
                })
            });
            is_begun.recv().unwrap();
            let second = scope.spawn(|| drains.run_or_join(never, || unreachable!("one is running")));
            // The second one has the drain in its hands when there are three: the list's, the first one's, its own.
            while Arc::strong_count(lock(&drains.running).as_ref().unwrap()) < 3 {
                std::thread::yield_now();
            }
            let impatient = drains.run_or_join(Instant::now(), || unreachable!("one is running"));
            assert_eq!(impatient, Err(TARGET_E_TIMEOUT));
            drop(end);
            assert_eq!(first.join().unwrap(), Err(TARGET_E_CALLBACK_STUCK));
            assert_eq!(second.join().unwrap(), Err(TARGET_E_CALLBACK_STUCK));
        });
        assert_eq!(runs.load(Ordering::SeqCst), 1);
        assert_eq!(drains.run_or_join(never, || Ok(())), Ok(()));
    }

    #[test]
    fn a_drain_that_panics_is_over() {
        let drains = Drains::default();
        let panics = std::panic::AssertUnwindSafe(|| drains.run_or_join(Instant::now(), || panic!("in a test")));
        assert!(std::panic::catch_unwind(panics).is_err());
        assert_eq!(drains.run_or_join(Instant::now(), || Ok(())), Ok(()));
    }
}
