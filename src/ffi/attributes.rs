//! `target_attributes_*`: the attributes provider of Target's other SDKs.

use std::ffi::c_char;
use std::sync::Arc;

use target_sdk_core::json::{self, Json, Limits};

use super::guard;
use super::handle::{self, target_result};
use super::result::ResultEntry;
use super::status::{TARGET_E_DECODE, TARGET_E_NO_ATTRIBUTE, target_status};
use super::text::{self, TARGET_NUL};

/// Looks an attribute up; returns its JSON and a name for it among the texts of its result.
///
/// # Safety
/// `mbox` and `key` are NULL or NUL-terminated strings.
unsafe fn find(
    result: &Arc<ResultEntry>,
    mbox: *const c_char,
    key: *const c_char,
) -> Result<(String, String), target_status> {
    // SAFETY: contract of this function.
    let (mbox, key) = unsafe { (text::copy(mbox, TARGET_NUL)?, text::copy(key, TARGET_NUL)?) };
    let json = result.attributes()?.get(&mbox, &key).ok_or(TARGET_E_NO_ATTRIBUTE)?.to_owned();
    // No NUL can be in either part.
    Ok((json, format!("{mbox}\0{key}")))
}

fn typed<T>(json: &str, convert: impl FnOnce(&Json<'_>) -> Option<T>) -> Result<T, target_status> {
    let value = json::parse(json, &Limits::REMOTE).map_err(|_| TARGET_E_DECODE)?;
    convert(&value).ok_or(TARGET_E_DECODE)
}

/// A whole number, however it is written, that fits.
fn integer(value: &Json<'_>) -> Option<i64> {
    value.as_i64().or_else(|| {
        let number = value.as_f64()?;
        let whole = number as i64;
        // Doubles of 2^63 and above saturate in the conversion above.
        (whole as f64 == number && number.abs() < 9_223_372_036_854_775_808.0).then_some(whole)
    })
}

/// An attribute as JSON: the member `key` of the JSON offers of `mbox`.
///
/// @param result  A result of `target_get_attributes*` or `target_get_offers*`.
/// @param mbox    Name of the mbox, NUL-terminated.
/// @param key     Name of the attribute, NUL-terminated.
/// @param json    Receives JSON text, NUL-terminated, that lives as long as the result.
/// @param len     Receives its length in bytes without the NUL. May be NULL.
/// @return TARGET_OK, TARGET_E_NO_ATTRIBUTE, TARGET_E_INVALID_ARG, TARGET_E_BAD_HANDLE, TARGET_E_FORKED, TARGET_E_DECODE; for
///         a result that is an error, its status.
///
/// Thread-safe. Does not block.
///
/// # Safety
/// `mbox` and `key` must be NUL-terminated strings, `json` valid for writing, `len` NULL or valid for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn target_attributes_get_value(
    result: target_result,
    mbox: *const c_char,
    key: *const c_char,
    json: *mut *const c_char,
    len: *mut usize,
) -> target_status {
    guard::status(|| {
        // SAFETY: contract of this function.
        let (out, len) = unsafe { (text::out(json, std::ptr::null()), text::optional_out(len, 0)) };
        let result = handle::result(result)?;
        let out = out?;
        // SAFETY: contract of this function.
        let (json, name) = unsafe { find(&result, mbox, key) }?;
        result.give(format!("value {name}"), &out, &len, || Ok(json))
    })
}

/// An attribute that is a string.
///
/// @param result  A result of `target_get_attributes*` or `target_get_offers*`.
/// @param mbox    Name of the mbox, NUL-terminated.
/// @param key     Name of the attribute, NUL-terminated.
/// @param utf8    Receives the text without quotes or escapes, NUL-terminated, that lives as long as the result.
/// @param len     Receives its length in bytes without the NUL (the text may hold NULs of its own). May be NULL.
/// @return As `target_attributes_get_value`; TARGET_E_DECODE when the attribute is not a string.
///
/// Thread-safe. Does not block.
///
/// # Safety
/// `mbox` and `key` must be NUL-terminated strings, `utf8` valid for writing, `len` NULL or valid for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn target_attributes_get_string(
    result: target_result,
    mbox: *const c_char,
    key: *const c_char,
    utf8: *mut *const c_char,
    len: *mut usize,
) -> target_status {
    guard::status(|| {
        // SAFETY: contract of this function.
        let (out, len) = unsafe { (text::out(utf8, std::ptr::null()), text::optional_out(len, 0)) };
        let result = handle::result(result)?;
        let out = out?;
        // SAFETY: contract of this function.
        let (json, name) = unsafe { find(&result, mbox, key) }?;
        let text = typed(&json, |value| value.as_str().map(str::to_owned))?;
        result.give(format!("string {name}"), &out, &len, || Ok(text))
    })
}

/// An attribute that is true or false.
///
/// @param result  A result of `target_get_attributes*` or `target_get_offers*`.
/// @param mbox    Name of the mbox, NUL-terminated.
/// @param key     Name of the attribute, NUL-terminated.
/// @param out     Receives the value; false on error.
/// @return As `target_attributes_get_value`; TARGET_E_DECODE when the attribute is not a boolean.
///
/// Thread-safe. Does not block.
///
/// # Safety
/// `mbox` and `key` must be NUL-terminated strings, `out` valid for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn target_attributes_get_bool(
    result: target_result,
    mbox: *const c_char,
    key: *const c_char,
    out: *mut bool,
) -> target_status {
    guard::status(|| {
        // SAFETY: contract of this function.
        let out = unsafe { text::out(out, false) };
        let result = handle::result(result)?;
        let out = out?;
        // SAFETY: contract of this function.
        let (json, _) = unsafe { find(&result, mbox, key) }?;
        out.set(typed(&json, |value| value.as_bool())?);
        Ok(())
    })
}

/// An attribute that is a whole number.
///
/// @param result  A result of `target_get_attributes*` or `target_get_offers*`.
/// @param mbox    Name of the mbox, NUL-terminated.
/// @param key     Name of the attribute, NUL-terminated.
/// @param out     Receives the value; 0 on error.
/// @return As `target_attributes_get_value`; TARGET_E_DECODE when the attribute is not a number, has a fraction, or does not
///         fit.
///
/// Thread-safe. Does not block.
///
/// # Safety
/// `mbox` and `key` must be NUL-terminated strings, `out` valid for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn target_attributes_get_int64(
    result: target_result,
    mbox: *const c_char,
    key: *const c_char,
    out: *mut i64,
) -> target_status {
    guard::status(|| {
        // SAFETY: contract of this function.
        let out = unsafe { text::out(out, 0) };
        let result = handle::result(result)?;
        let out = out?;
        // SAFETY: contract of this function.
        let (json, _) = unsafe { find(&result, mbox, key) }?;
        out.set(typed(&json, integer)?);
        Ok(())
    })
}

/// An attribute that is a number.
///
/// @param result  A result of `target_get_attributes*` or `target_get_offers*`.
/// @param mbox    Name of the mbox, NUL-terminated.
/// @param key     Name of the attribute, NUL-terminated.
/// @param out     Receives the value; 0 on error.
/// @return As `target_attributes_get_value`; TARGET_E_DECODE when the attribute is not a number.
///
/// Thread-safe. Does not block.
///
/// # Safety
/// `mbox` and `key` must be NUL-terminated strings, `out` valid for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn target_attributes_get_double(
    result: target_result,
    mbox: *const c_char,
    key: *const c_char,
    out: *mut f64,
) -> target_status {
    guard::status(|| {
        // SAFETY: contract of this function.
        let out = unsafe { text::out(out, 0.0) };
        let result = handle::result(result)?;
        let out = out?;
        // SAFETY: contract of this function.
        let (json, _) = unsafe { find(&result, mbox, key) }?;
        out.set(typed(&json, |value| value.as_f64())?);
        Ok(())
    })
}

/// All attributes of one mbox, or of all: `{"key": value}` or `{"mbox": {"key": value}}`.
///
/// @param result  A result of `target_get_attributes*` or `target_get_offers*`.
/// @param mbox    Name of the mbox, NUL-terminated; NULL for all.
/// @param json    Receives a JSON object, NUL-terminated, that lives as long as the result.
/// @param len     Receives its length in bytes without the NUL. May be NULL.
/// @return TARGET_OK, TARGET_E_NO_ATTRIBUTE (the mbox has none), TARGET_E_INVALID_ARG, TARGET_E_BAD_HANDLE, TARGET_E_FORKED,
///         TARGET_E_DECODE; for a result that is an error, its status.
///
/// Thread-safe. Does not block.
///
/// # Safety
/// `mbox` must be NULL or a NUL-terminated string, `json` valid for writing, `len` NULL or valid for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn target_attributes_as_object(
    result: target_result,
    mbox: *const c_char,
    json: *mut *const c_char,
    len: *mut usize,
) -> target_status {
    guard::status(|| {
        // SAFETY: contract of this function.
        let (out, len) = unsafe { (text::out(json, std::ptr::null()), text::optional_out(len, 0)) };
        let result = handle::result(result)?;
        let out = out?;
        if mbox.is_null() {
            return result.give("all".to_owned(), &out, &len, || {
                let mut all = String::new();
                result.attributes()?.write(&mut all);
                Ok(all)
            });
        }
        // SAFETY: contract of this function.
        let mbox = unsafe { text::copy(mbox, TARGET_NUL) }?;
        result.give(format!("mbox {mbox}"), &out, &len, || {
            result.attributes()?.as_object(&mbox).ok_or(TARGET_E_NO_ATTRIBUTE)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_whole_and_fit() {
        for (json, expected) in [
            ("7", Ok(7)),
            ("7.0", Ok(7)),
            ("1e3", Ok(1000)),
            ("-9223372036854775808", Ok(i64::MIN)),
            ("9223372036854775807", Ok(i64::MAX)),
            ("9223372036854775808", Err(TARGET_E_DECODE)),
            ("1e300", Err(TARGET_E_DECODE)),
            ("7.5", Err(TARGET_E_DECODE)),
            ("\"7\"", Err(TARGET_E_DECODE)),
        ] {
            assert_eq!(typed(json, integer), expected, "{json}");
        }
    }
}
