//! Fork epochs. A child process must not touch what it inherited: locks may be held by threads that do not exist there.
//!
//! Everything mutable therefore hangs on a [`PerProcess`], which gives the child a new value and leaks the parent's. The
//! child handler of `pthread_atfork` touches atomics only.

use std::cell::Cell;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

use super::per_process::Epochs;
use super::{exit, load};

/// How many forks lie between this process and the one that loaded the library.
static EPOCH: AtomicU32 = AtomicU32::new(0);

/// What else has to be done around a fork.
static AROUND: AtomicPtr<Around> = AtomicPtr::new(std::ptr::null_mut());

/// Three functions for each fork of this process.
pub(crate) struct Around {
    /// Before, on the thread that forks.
    pub(crate) before: fn(),
    /// After, on that thread.
    pub(crate) in_parent: fn(),
    /// The same in the child. May only touch atomics.
    pub(crate) in_child: fn(),
}

/// Sets what else has to be done around a fork.
pub(crate) fn around(around: &'static Around) {
    AROUND.store(std::ptr::from_ref(around).cast_mut(), Ordering::Release);
}

fn other_work() -> Option<&'static Around> {
    // SAFETY: null, or a reference to a static.
    unsafe { AROUND.load(Ordering::Acquire).as_ref() }
}

thread_local! {
    /// Whether `before` has run for the fork that this thread is at: another thread may set `AROUND` in the meantime.
    static HAS_BEGUN: Cell<bool> = const { Cell::new(false) };
}

extern "C" fn before() {
    if let Some(around) = other_work()
        && HAS_BEGUN.try_with(|begun| begun.set(true)).is_ok()
    {
        (around.before)();
    }
    exit::before_fork();
}

extern "C" fn in_parent() {
    exit::after_fork();
    if let Some(around) = other_work()
        && HAS_BEGUN.try_with(|begun| begun.replace(false)).unwrap_or(false)
    {
        (around.in_parent)();
    }
}

extern "C" fn in_child() {
    EPOCH.fetch_add(1, Ordering::SeqCst);
    exit::in_child();
    let _ = HAS_BEGUN.try_with(|begun| begun.set(false));
    if let Some(around) = other_work() {
        (around.in_child)();
    }
}

/// The epoch of this process.
pub(crate) fn epoch() -> u32 {
    EPOCH.load(Ordering::Acquire)
}

/// Has forks counted from now on.
pub(super) fn watch() {
    // SAFETY: functions of this library, which stays mapped (`-z nodelete`); the one for the child only touches atomics.
    unsafe { libc::pthread_atfork(Some(before), Some(in_parent), Some(in_child)) };
}

/// A lazily made value that a forked child does not share with its parent. Meant for statics.
pub(crate) struct PerProcess<T>(Epochs<T>);

impl<T: Sync + Send> PerProcess<T> {
    pub(crate) const fn new() -> PerProcess<T> {
        PerProcess(Epochs { current: AtomicPtr::new(std::ptr::null_mut()) })
    }

    /// The value of this process, if it has been made.
    pub(crate) fn peek(&self) -> Option<&T> {
        self.0.peek(epoch())
    }

    /// The value of this process, made by `make` if need be.
    pub(crate) fn get(&self, make: impl FnOnce(u32) -> T) -> &T {
        if let Some(value) = self.peek() {
            return value;
        }
        load::required();
        let epoch = epoch();
        self.0.get(epoch, || make(epoch))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn racing_threads_get_one_value() {
        static VALUE: PerProcess<std::thread::ThreadId> = PerProcess::new();
        assert!(VALUE.peek().is_none());
        let seen: std::collections::HashSet<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| *VALUE.get(|_| std::thread::current().id()))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(seen.len(), 1);
    }
}
