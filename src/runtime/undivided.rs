//! Steps that a fork must not divide: what they lock, locked by a thread that is not there, would stay so in the child.

use super::sync::{AtomicUsize, Ordering};

/// Forks and such steps take turns, as long as each has the patience to wait for the other. Counts the steps in its lower
/// half, the forks in its upper one.
pub(crate) struct Undivided(pub(super) AtomicUsize);

const STEP: usize = 1;
const FORK: usize = 1 << (usize::BITS / 2);

impl Undivided {
    /// Does `step` when nobody forks. `wait` is called as long as somebody does; it says whether to go on waiting.
    pub(crate) fn step(&self, mut wait: impl FnMut() -> bool, step: impl FnOnce()) {
        while self.0.fetch_add(STEP, Ordering::SeqCst) >= FORK {
            // The fork waits for this, too.
            self.0.fetch_sub(STEP, Ordering::SeqCst);
            if !wait() {
                self.0.fetch_add(STEP, Ordering::SeqCst);
                break;
            }
        }
        step();
        self.0.fetch_sub(STEP, Ordering::SeqCst);
    }

    /// Before a fork: no step begins any more, and those under way end.
    pub(crate) fn before_fork(&self, mut wait: impl FnMut() -> bool) {
        self.0.fetch_add(FORK, Ordering::SeqCst);
        while !self.0.load(Ordering::SeqCst).is_multiple_of(FORK) && wait() {}
    }

    /// After a fork, in the parent.
    pub(crate) fn after_fork(&self) {
        self.0.fetch_sub(FORK, Ordering::SeqCst);
    }

    /// After a fork, in the child, where nobody else is.
    pub(crate) fn in_child(&self) {
        self.0.store(0, Ordering::SeqCst);
    }
}
