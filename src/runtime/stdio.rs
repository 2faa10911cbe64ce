//! A host may have closed its standard streams. A socket that got the number of one would be what the host's next message is
//! written to, and what a daemon's `dup2` closes.

/// Puts `/dev/null` in the place of standard streams that are closed, so that no descriptor of the library gets their numbers.
/// Programs that the host starts find them closed, as they were; they are never closed again, because by then the host may
/// have put something of its own there.
pub(super) fn keep_numbers() {
    for stream in 0..=2 {
        // SAFETY: asks for the flags of a descriptor, which need not be open.
        if unsafe { libc::fcntl(stream, libc::F_GETFD) } >= 0 {
            continue;
        }
        // The lowest number that is free: this one, unless the host opens something at the same moment.
        // SAFETY: a NUL-terminated path.
        let opened = unsafe { libc::open(c"/dev/null".as_ptr(), libc::O_RDWR | libc::O_CLOEXEC) };
        if opened > 2 {
            // SAFETY: closes what was just opened.
            unsafe { libc::close(opened) };
        }
    }
}
