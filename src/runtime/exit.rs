//! The end of the process: once the host's `exit()` has begun, none of its code is called any more.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::gate::Gate;
use super::sync::AtomicUsize;
use super::undivided::Undivided;
use super::{dispatcher, fork};

/// The gate of this process.
pub(crate) static GATE: Gate = Gate(AtomicUsize::new(0));

/// How long `exit()` waits for callbacks that are running.
const PATIENCE: Duration = Duration::from_millis(100);

/// glibc leaves the lock of `atexit` locked in a child that was forked meanwhile.
static REGISTERING: Undivided = Undivided(AtomicUsize::new(0));

/// How long a fork and a registration wait for each other; a registration takes microseconds.
const LONGEST_WAIT: Duration = Duration::from_millis(50);

/// Waits a moment; says whether to go on, which is until `LONGEST_WAIT` after the first time.
fn patience() -> impl FnMut() -> bool {
    let mut until = None;
    move || {
        std::thread::sleep(Duration::from_micros(50));
        let now = Instant::now();
        now < *until.get_or_insert(now + LONGEST_WAIT)
    }
}

/// Before a fork, in the thread that forks.
pub(super) fn before_fork() {
    REGISTERING.before_fork(patience());
}

/// After a fork, in the parent.
pub(super) fn after_fork() {
    REGISTERING.after_fork();
}

/// After a fork, in the child: touches atomics only.
pub(super) fn in_child() {
    REGISTERING.in_child();
    GATE.reopen();
}

/// Epoch of the process that has registered [`at_exit`], and one.
static REGISTERED: AtomicU32 = AtomicU32::new(0);

extern "C" fn at_exit() {
    // The host may have called exit() in a callback.
    close(&GATE, usize::from(dispatcher::is_current()));
}

/// Closes the gate, and waits for those inside, but for the caller's `own`.
fn close(gate: &Gate, own: usize) {
    if !gate.close() {
        return; // a child has its own handler and its parent's
    }
    let until = Instant::now() + PATIENCE;
    while gate.inside() > own && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Has `exit()` close the gate. Called when the first dispatcher starts, so that whatever the host constructed before
/// that is destroyed after the gate has closed. A child registers anew: its parent may have been about to.
pub(crate) fn watch() {
    let mark = fork::epoch().wrapping_add(1);
    if REGISTERED.swap(mark, Ordering::SeqCst) != mark {
        REGISTERING.step(patience(), || {
            // SAFETY: `at_exit` is a function of this library, which stays mapped (`-z nodelete`).
            unsafe { libc::atexit(at_exit) };
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_waits_for_all_who_are_inside() {
        let gate = Gate(AtomicUsize::new(0));
        let (stuck, own) = (gate.enter(), gate.enter());
        assert!(stuck.is_some() && own.is_some());
        let started = Instant::now();
        std::thread::scope(|scope| {
            let closing = scope.spawn(|| close(&gate, 1));
            std::thread::sleep(Duration::from_millis(20));
            assert!(!closing.is_finished() || started.elapsed() >= PATIENCE);
            drop(stuck);
            closing.join().unwrap();
        });
        assert!(started.elapsed() >= Duration::from_millis(20));
        assert!(gate.enter().is_none());
        assert_eq!(gate.inside(), 1);
    }
}
