//! A descriptor that is readable while something waits: what a host puts into its epoll, poll or select.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// An eventfd: close-on-exec, non-blocking, never one of the standard descriptors.
pub(crate) struct WakeFd(OwnedFd);

impl WakeFd {
    pub(crate) fn new() -> io::Result<WakeFd> {
        // SAFETY: plain system call without pointers.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `fd` was just opened and belongs to nobody else.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        if fd.as_raw_fd() > 2 {
            return Ok(WakeFd(fd));
        }
        // The host has closed a standard descriptor: leave its number free for the host.
        // SAFETY: duplicates a descriptor that we own; `fd` is closed when dropped.
        let moved = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, 3) };
        if moved < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: as above.
        Ok(WakeFd(unsafe { OwnedFd::from_raw_fd(moved) }))
    }

    pub(crate) fn raw(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    /// Makes the descriptor readable.
    pub(crate) fn raise(&self) {
        let one = 1u64.to_ne_bytes();
        // SAFETY: writes eight bytes from a live array. It can only fail when the counter is full: readable already.
        unsafe { libc::write(self.raw(), one.as_ptr().cast(), one.len()) };
    }

    /// Makes the descriptor unreadable.
    pub(crate) fn lower(&self) {
        let mut count = [0u8; 8];
        // SAFETY: reads at most eight bytes into a live array. It can only fail when there is nothing to read.
        unsafe { libc::read(self.raw(), count.as_mut_ptr().cast(), count.len()) };
    }
}
