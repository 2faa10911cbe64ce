//! The exit gate: once the host's `exit()` has begun, none of its code is called any more.

use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::{dispatcher, fork};

const RUNNING: u8 = 1;
const CLOSED: u8 = 2;

/// The gate of this process. Host code runs only between [`Gate::enter`] and the end of the pass.
pub(crate) static GATE: Gate = Gate(AtomicU8::new(0));

/// How long `exit()` waits for a callback that is running.
const PATIENCE: Duration = Duration::from_millis(100);

pub(crate) struct Gate(AtomicU8);

/// Permission to run host code, until dropped.
pub(crate) struct Pass<'g>(&'g Gate);

impl Gate {
    /// Asks to run host code; `None` for ever once the process is exiting. One dispatcher at a time asks.
    pub(crate) fn enter(&self) -> Option<Pass<'_>> {
        if self.0.fetch_or(RUNNING, Ordering::SeqCst) & CLOSED == 0 {
            return Some(Pass(self));
        }
        self.0.fetch_and(!RUNNING, Ordering::SeqCst);
        None
    }

    fn close(&self) {
        if self.0.fetch_or(CLOSED, Ordering::SeqCst) & CLOSED != 0 {
            return; // a child has its own handler and its parent's
        }
        if dispatcher::is_current() {
            return; // the host called exit() in a callback
        }
        let until = Instant::now() + PATIENCE;
        while self.0.load(Ordering::SeqCst) & RUNNING != 0 && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// For a forked child, in which no callback runs.
    pub(super) fn reopen(&self) {
        self.0.store(0, Ordering::SeqCst);
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_and(!RUNNING, Ordering::SeqCst);
    }
}

/// Epoch of the process that has registered [`at_exit`], and one.
static REGISTERED: AtomicU32 = AtomicU32::new(0);

extern "C" fn at_exit() {
    GATE.close();
}

/// Has `exit()` close the gate. Called when the first dispatcher starts, so that whatever the host constructed before
/// that is destroyed after the gate has closed. A child registers anew: its parent may have been about to.
pub(crate) fn watch() {
    let mark = fork::epoch().wrapping_add(1);
    if REGISTERED.swap(mark, Ordering::SeqCst) != mark {
        // SAFETY: `at_exit` is a function of this library, which stays mapped (`-z nodelete`).
        unsafe { libc::atexit(at_exit) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closed_gate_lets_nobody_in_and_waits_for_the_one_inside() {
        static GATE: Gate = Gate(AtomicU8::new(0));
        let pass = GATE.enter().unwrap();
        let started = Instant::now();
        std::thread::scope(|scope| {
            let closing = scope.spawn(|| GATE.close());
            std::thread::sleep(Duration::from_millis(20));
            drop(pass);
            closing.join().unwrap();
        });
        assert!(started.elapsed() >= Duration::from_millis(20) && started.elapsed() < PATIENCE);
        assert!(GATE.enter().is_none());
        assert_eq!(GATE.0.load(Ordering::SeqCst), CLOSED);
        GATE.reopen();
        assert!(GATE.enter().is_some());
    }
}
