//! Text across the boundary: C strings in, NUL-terminated text out, out-parameters.

use std::ffi::{CStr, c_char};

use super::status::{TARGET_E_INVALID_ARG, target_status};

/// As a length: the string ends at its NUL. Defined by hand in the header, where cbindgen cannot evaluate it.
pub(crate) const TARGET_NUL: usize = usize::MAX;

/// Copies a string of the host. `len` is in bytes, or `TARGET_NUL`.
///
/// # Safety
/// `text` is NULL, or points to `len` readable bytes, or to a NUL-terminated string when `len` is `TARGET_NUL`.
pub(crate) unsafe fn copy(text: *const c_char, len: usize) -> Result<String, target_status> {
    if text.is_null() {
        return Err(TARGET_E_INVALID_ARG);
    }
    let bytes = if len == TARGET_NUL {
        // SAFETY: not NULL, and NUL-terminated by contract.
        unsafe { CStr::from_ptr(text) }.to_bytes()
    } else if isize::try_from(len).is_ok() {
        // SAFETY: not NULL, readable for `len` bytes by contract, and no object is larger than `isize::MAX`.
        unsafe { std::slice::from_raw_parts(text.cast::<u8>(), len) }
    } else {
        return Err(TARGET_E_INVALID_ARG);
    };
    if bytes.contains(&0) {
        return Err(TARGET_E_INVALID_ARG);
    }
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| TARGET_E_INVALID_ARG)
}

/// An out-parameter that must not be NULL: cleared to `zero` at once.
///
/// # Safety
/// `out` is NULL or valid for writing.
pub(crate) unsafe fn out<T>(out: *mut T, zero: T) -> Result<Out<T>, target_status> {
    // SAFETY: passed on.
    match unsafe { optional_out(out, zero) } {
        Out(None) => Err(TARGET_E_INVALID_ARG),
        some => Ok(some),
    }
}

/// An out-parameter that may be NULL: cleared to `zero` at once.
///
/// # Safety
/// `out` is NULL or valid for writing.
pub(crate) unsafe fn optional_out<T>(out: *mut T, zero: T) -> Out<T> {
    if out.is_null() {
        return Out(None);
    }
    // SAFETY: not NULL, valid for writing by contract; what was there is not read or dropped.
    unsafe { out.write(zero) };
    Out(Some(out))
}

/// Where an export leaves a value.
pub(crate) struct Out<T>(Option<*mut T>);

impl<T> Out<T> {
    /// Nowhere.
    pub(crate) fn none() -> Out<T> {
        Out(None)
    }

    /// Whether the host wants the value.
    pub(crate) fn is_wanted(&self) -> bool {
        self.0.is_some()
    }

    pub(crate) fn set(&self, value: T) {
        if let Some(out) = self.0 {
            // SAFETY: made by `optional_out` from a pointer that its caller vouched for, during the same export.
            unsafe { out.write(value) };
        }
    }
}

/// Text that C can read: NUL-terminated, at an address that does not change.
pub(crate) struct Text(Vec<u8>);

impl Text {
    /// Room that is not worth a copy to give back.
    const SPARE: usize = 1024;

    pub(crate) fn new(text: String) -> Text {
        let mut bytes = text.into_bytes();
        bytes.reserve_exact(1);
        bytes.push(0);
        if bytes.capacity() - bytes.len() > Text::SPARE.max(bytes.len() / 4) {
            bytes.shrink_to_fit();
        }
        Text(bytes)
    }

    /// Without the NUL.
    pub(crate) fn as_str(&self) -> &str {
        let bytes = self.0.split_last().map_or(&[][..], |(_, text)| text);
        std::str::from_utf8(bytes).unwrap_or_default()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len() - 1
    }

    pub(crate) fn as_ptr(&self) -> *const c_char {
        self.0.as_ptr().cast()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_what_is_text_and_refuses_the_rest() {
        let copy = |bytes: &[u8], len| {
            // SAFETY: the slice is live and `len` is within it.
            unsafe { copy(bytes.as_ptr().cast(), len) }
        };
        assert_eq!(copy(b"{}\0", TARGET_NUL), Ok("{}".to_owned()));
        assert_eq!(copy(b"{}x", 2), Ok("{}".to_owned()));
        assert_eq!(copy(b"", 0), Ok(String::new()));
        for (bytes, len) in [(&b"a\0b"[..], 3), (b"\xff\0", TARGET_NUL), (b"\xed\xa0\x80", 3), (b"x", usize::MAX - 1)] {
            assert_eq!(copy(bytes, len), Err(TARGET_E_INVALID_ARG), "{bytes:?}");
        }
        // SAFETY: NULL is allowed.
        assert_eq!(unsafe { super::copy(std::ptr::null(), 0) }, Err(TARGET_E_INVALID_ARG));
    }

    #[test]
    fn text_is_terminated() {
        let text = Text::new("é".to_owned());
        assert_eq!((text.as_str(), text.len()), ("é", 2));
        // SAFETY: `Text` is NUL-terminated.
        assert_eq!(unsafe { CStr::from_ptr(text.as_ptr()) }.to_bytes(), "é".as_bytes());
    }
}
