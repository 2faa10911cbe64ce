//! The gate between the library and code of the host: counts who is inside, and closes for ever.

use super::sync::{AtomicUsize, Ordering};

/// Closed. The other bits count who is inside.
const CLOSED: usize = 1;
const ONE: usize = 2;

/// Host code runs only between [`Gate::enter`] and the end of the pass.
pub(crate) struct Gate(pub(super) AtomicUsize);

/// Permission to run host code, until dropped.
pub(crate) struct Pass<'g>(&'g Gate);

impl Gate {
    /// Asks to run host code; `None` for ever once the gate is closed.
    pub(crate) fn enter(&self) -> Option<Pass<'_>> {
        let pass = Pass(self);
        (self.0.fetch_add(ONE, Ordering::SeqCst) & CLOSED == 0).then_some(pass)
    }

    /// Lets nobody in any more. Whether it was open.
    pub(crate) fn close(&self) -> bool {
        self.0.fetch_or(CLOSED, Ordering::SeqCst) & CLOSED == 0
    }

    /// How many are inside.
    pub(crate) fn inside(&self) -> usize {
        self.0.load(Ordering::SeqCst) / ONE
    }

    /// Open and empty, for a forked child: those who were inside do not exist there.
    pub(super) fn reopen(&self) {
        self.0.store(0, Ordering::SeqCst);
    }
}

impl Pass<'_> {
    /// For a child forked inside: there the gate has never counted this one.
    pub(crate) fn forget(self) {
        std::mem::forget(self);
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_sub(ONE, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_everybody_inside() {
        let gate = Gate(AtomicUsize::new(0));
        let stuck = gate.enter().unwrap();
        // Another dispatcher, after a shutdown gave up on the first one's callback.
        let second = gate.enter().unwrap();
        drop(second);
        assert_eq!(gate.inside(), 1, "the first is still inside");
        assert!(gate.close() && !gate.close());
        assert!(gate.enter().is_none());
        assert_eq!(gate.inside(), 1);
        drop(stuck);
        assert_eq!(gate.inside(), 0);
        assert!(gate.enter().is_none());
        gate.reopen();
        assert!(gate.enter().is_some());
    }
}
