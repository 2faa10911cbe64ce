//! The end of the process: once the host's `exit()` has begun, none of its code is called any more.

use std::sync::Once;
use std::time::{Duration, Instant};

use super::dispatcher;
use super::gate::Gate;
use super::sync::AtomicUsize;

/// The gate of this process.
pub(crate) static GATE: Gate = Gate(AtomicUsize::new(0));

/// How long `exit()` waits for callbacks that are running.
const PATIENCE: Duration = Duration::from_millis(100);

static REGISTER: Once = Once::new();

extern "C" fn at_exit() {
    // The host may have called exit() in a callback.
    close(&GATE, usize::from(dispatcher::is_current()));
}

/// Closes the gate, and waits for those inside, but for the caller's `own`.
fn close(gate: &Gate, own: usize) {
    gate.close();
    let until = Instant::now() + PATIENCE;
    while gate.inside() > own && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Has `exit()` close the gate. Called when the first dispatcher starts, so that whatever the host constructed before
/// that is destroyed after the gate has closed.
pub(crate) fn watch() {
    REGISTER.call_once(|| {
        // SAFETY: `at_exit` is a function of this library, which stays mapped (`-z nodelete`).
        unsafe { libc::atexit(at_exit) };
    });
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
