//! Name look-ups and `fork`.
//!
//! The system's resolver holds locks while it works. A child that is forked in that moment inherits them locked, by threads
//! that it does not have, and hangs in its own first look-up. Whoever forks can therefore hold back look-ups until the fork
//! is over, and wait for those under way.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

/// One who holds back look-ups. The bits below count look-ups under way.
const PAUSE: usize = 1 << 16;

/// How often those who wait look again. Forks are rare and short.
const LOOK_AGAIN: Duration = Duration::from_micros(200);

/// The look-ups of this process.
pub(super) static LOOK_UPS: LookUps = LookUps(AtomicUsize::new(0));

pub(super) struct LookUps(AtomicUsize);

/// A look-up under way, until dropped.
pub(super) struct UnderWay<'l>(&'l LookUps);

/// Before a fork: lets no look-up begin until [`resume`], and waits for those under way, for `longest`. False if some have
/// not ended then: the system is slow, and the child must not look up names.
///
/// Only atomics are touched, here and below, so that a child may call [`forget`].
pub fn pause(longest: Duration) -> bool {
    LOOK_UPS.pause(longest)
}

/// In the parent, after the fork.
pub fn resume() {
    LOOK_UPS.0.fetch_sub(PAUSE, SeqCst);
}

/// In the child, after the fork: the parent's look-ups do not exist there.
pub fn forget() {
    LOOK_UPS.0.store(0, SeqCst);
}

impl LookUps {
    /// Begins a look-up, as soon as nobody holds it back. May sleep.
    pub(super) fn begin(&self) -> UnderWay<'_> {
        loop {
            if self.0.fetch_add(1, SeqCst) < PAUSE {
                return UnderWay(self);
            }
            self.0.fetch_sub(1, SeqCst);
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    fn pause(&self, longest: Duration) -> bool {
        self.0.fetch_add(PAUSE, SeqCst);
        let began = Instant::now();
        while !self.0.load(SeqCst).is_multiple_of(PAUSE) {
            if began.elapsed() >= longest {
                return false;
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        true
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_begins_while_held_back_and_a_pause_waits_for_what_is_under_way() {
        let look_ups = LookUps(AtomicUsize::new(0));
        let first = look_ups.begin();
        assert!(!look_ups.pause(Duration::from_millis(5)), "one is under way");
        std::thread::scope(|scope| {
            let second = scope.spawn(|| drop(look_ups.begin()));
            std::thread::sleep(Duration::from_millis(10));
            assert!(!second.is_finished());
            let ends = scope.spawn(|| drop(first));
            assert!(look_ups.pause(Duration::from_secs(10)), "another fork at the same time");
            ends.join().unwrap();
            look_ups.0.fetch_sub(PAUSE, SeqCst);
            assert!(!second.is_finished());
            look_ups.0.fetch_sub(PAUSE, SeqCst);
            second.join().unwrap();
        });
        assert_eq!(look_ups.0.load(SeqCst), 0);
    }
}
