//! A value that a forked child does not share with its parent.

use super::sync::{AtomicPtr, Ordering};

/// One value for each fork epoch, made when first needed. The child's does not replace the parent's: it leaks it, because
/// locks in it may be held by threads that do not exist in the child.
pub(crate) struct Epochs<T> {
    pub(super) current: AtomicPtr<Owned<T>>,
}

pub(super) struct Owned<T> {
    epoch: u32,
    value: T,
}

impl<T: Sync + Send> Epochs<T> {
    /// The value of `epoch`, if it has been made.
    pub(crate) fn peek(&self, epoch: u32) -> Option<&T> {
        let pointer = self.current.load(Ordering::Acquire);
        // SAFETY: the pointer is null or came from `Box::into_raw` in `get`, and a published value is never freed.
        let owned = unsafe { pointer.as_ref() }?;
        (owned.epoch == epoch).then_some(&owned.value)
    }

    /// The value of `epoch`, made by `make` if need be.
    #[allow(clippy::disallowed_methods)] // Box::from_raw: takes back what was never published
    pub(crate) fn get(&self, epoch: u32, make: impl FnOnce() -> T) -> &T {
        let seen = self.current.load(Ordering::Acquire);
        // SAFETY: as in `peek`.
        if let Some(owned) = unsafe { seen.as_ref() }
            && owned.epoch == epoch
        {
            return &owned.value;
        }
        let made = Box::into_raw(Box::new(Owned { epoch, value: make() }));
        // Another thread may have been first; its value is then as good as ours.
        let winner = match self.current.compare_exchange(seen, made, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => made,
            Err(other) => {
                // SAFETY: `made` came from `Box::into_raw` above and nobody else has seen it.
                drop(unsafe { Box::from_raw(made) });
                other
            }
        };
        // SAFETY: `winner` was published by this or another thread and is never freed.
        unsafe { &(*winner).value }
    }
}
