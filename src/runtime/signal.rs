//! Signals belong to the host: our threads block all of them.

use std::mem::MaybeUninit;

/// Faults that a thread raises itself; blocking them would turn the host's crash handler into silence.
const FAULTS: [libc::c_int; 5] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGTRAP];

/// Runs `start` with all signals blocked, so that the threads it creates never receive one; then restores the mask.
pub(crate) fn blocked<T>(start: impl FnOnce() -> T) -> T {
    let _restore = Restore(block_all());
    start()
}

/// Blocks all signals in this thread; returns the mask it had.
pub(crate) fn block_all() -> libc::sigset_t {
    let mut all = MaybeUninit::uninit();
    let mut before = MaybeUninit::uninit();
    // SAFETY: `sigfillset` initialises the set it is given, `sigdelset` and `pthread_sigmask` get that set, and
    // `pthread_sigmask` initialises `before`; it fails only for an unknown first argument.
    unsafe {
        libc::sigfillset(all.as_mut_ptr());
        for fault in FAULTS {
            libc::sigdelset(all.as_mut_ptr(), fault);
        }
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr());
        before.assume_init()
    }
}

struct Restore(libc::sigset_t);

impl Drop for Restore {
    fn drop(&mut self) {
        // SAFETY: the set was filled in by `pthread_sigmask`; a NULL third argument asks for nothing back.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &self.0, std::ptr::null_mut()) };
    }
}
