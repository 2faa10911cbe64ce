//! Structs of the host that carry their size, so that they can grow.

use std::mem::MaybeUninit;

use super::status::{TARGET_E_INVALID_ARG, target_status};

/// A C struct that starts with `uint32_t size`.
///
/// # Safety
/// `repr(C)`, first member `size: u32`, and all-zero bytes are a valid value.
pub(crate) unsafe trait Sized: Copy {}

/// Reads a struct that may be NULL. One from a newer header is cut to what this version knows; one that is smaller than
/// version 1 of the header, or whose size was not set, is refused.
///
/// # Safety
/// `host` is NULL, or points to `size` readable bytes.
pub(crate) unsafe fn optional<T: Sized>(host: *const T) -> Result<Option<T>, target_status> {
    if host.is_null() {
        return Ok(None);
    }
    // SAFETY: not NULL, and the struct starts with its size by the contract of `Sized`.
    let size = unsafe { host.cast::<u32>().read_unaligned() } as usize;
    if size < size_of::<T>() {
        return Err(TARGET_E_INVALID_ARG);
    }
    let mut ours = MaybeUninit::<T>::zeroed();
    // SAFETY: the host's struct has at least as many bytes as ours; they cannot overlap.
    unsafe { std::ptr::copy_nonoverlapping(host.cast::<u8>(), ours.as_mut_ptr().cast::<u8>(), size_of::<T>()) };
    // SAFETY: every byte was copied from a struct of the same layout.
    Ok(Some(unsafe { ours.assume_init() }))
}

/// [`optional`] for a struct that must be there.
///
/// # Safety
/// As for [`optional`].
pub(crate) unsafe fn required<T: Sized>(host: *const T) -> Result<T, target_status> {
    // SAFETY: passed on.
    unsafe { optional(host) }?.ok_or(TARGET_E_INVALID_ARG)
}
