//! The panic boundary: every export runs inside one of these, and leaves the caller's `errno` as it was.

use crate::runtime::panics;

use super::status::{TARGET_E_INTERNAL, TARGET_OK, target_status};

/// For exports that return a status.
pub(crate) fn status(body: impl FnOnce() -> Result<(), target_status>) -> target_status {
    value(TARGET_E_INTERNAL, || match body() {
        Ok(()) => TARGET_OK,
        Err(status) => status,
    })
}

/// For exports that return something else: `otherwise` if `body` panics.
pub(crate) fn value<T>(otherwise: T, body: impl FnOnce() -> T) -> T {
    let _errno = KeepErrno::new();
    panics::contain(body).unwrap_or_else(|panic| {
        log::error!(target: "target_sdk::ffi", "a bug in target-sdk: caught a panic: {panic}");
        otherwise
    })
}

struct KeepErrno(libc::c_int);

impl KeepErrno {
    fn new() -> KeepErrno {
        // SAFETY: `__errno_location` returns this thread's live errno.
        KeepErrno(unsafe { *libc::__errno_location() })
    }
}

impl Drop for KeepErrno {
    fn drop(&mut self) {
        // SAFETY: as above.
        unsafe { *libc::__errno_location() = self.0 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panics_stop_here_and_errno_survives() {
        // SAFETY: this thread's errno.
        unsafe { *libc::__errno_location() = 42 };
        assert_eq!(status(|| panic!("contained")), TARGET_E_INTERNAL);
        assert_eq!(
            status(|| {
                let _ = std::fs::metadata("/nowhere");
                Err(-7)
            }),
            -7
        );
        // SAFETY: as above.
        assert_eq!(unsafe { *libc::__errno_location() }, 42);
        assert_eq!(value(std::ptr::null::<u8>(), || panic!("contained")), std::ptr::null());
    }
}
