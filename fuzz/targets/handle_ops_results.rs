//! Steps that look at results, and count references to them.

use std::ffi::CString;
use std::ptr::null;

use target_sdk::ffi::attributes::*;
use target_sdk::ffi::result::*;
use target_sdk::ffi::status::*;

use super::super::support::Bytes;
use super::Model;

const NAMES: [&str; 4] = ["hero", "json", "nope", ""];
const KEYS: [&str; 6] = ["on", "n", "x", "s", "nope", ""];
const POINTERS: [&str; 7] =
    ["", "/response", "/response/execute/mboxes/0/options/0/content", "/meta", "x", "/~2", "/nope"];

impl Model {
    pub(super) fn expected(&self, result: u64) -> target_status {
        if self.results.contains_key(&result) { TARGET_OK } else { TARGET_E_BAD_HANDLE }
    }

    pub(super) fn look_at_result(&mut self, bytes: &mut Bytes<'_>) {
        let result = self.handle(bytes);
        let expected = self.expected(result);
        assert_eq!(target_result_status(result) == TARGET_E_BAD_HANDLE, expected == TARGET_E_BAD_HANDLE);
        let (mut json, mut len) = (null(), 0);
        // SAFETY: valid for writing; the text has `len` bytes and a NUL.
        unsafe {
            assert_eq!(target_result_json(result, &raw mut json, &raw mut len), expected);
            if expected == TARGET_OK {
                let text = std::slice::from_raw_parts(json.cast::<u8>(), len + 1);
                assert_eq!(text.last(), Some(&0));
                let text = std::str::from_utf8(&text[..len]).expect("UTF-8");
                serde_json::from_str::<serde_json::Value>(text).expect("JSON");
            } else {
                assert!(json.is_null() && len == 0);
            }
        }
        let pointer = CString::new(POINTERS[bytes.below(POINTERS.len())]).expect("no NUL");
        // SAFETY: a C string, places to write to.
        let status = unsafe { target_result_get(result, pointer.as_ptr(), &raw mut json, &raw mut len) };
        if expected == TARGET_OK {
            assert!(matches!(status, TARGET_OK | TARGET_E_NO_ATTRIBUTE | TARGET_E_INVALID_ARG), "{status}");
        } else {
            assert_eq!(status, expected);
        }
        assert_eq!(status == TARGET_OK, !json.is_null());
    }

    pub(super) fn attributes(&mut self, bytes: &mut Bytes<'_>) {
        let result = self.handle(bytes);
        let mbox = CString::new(NAMES[bytes.below(NAMES.len())]).expect("no NUL");
        let key = CString::new(KEYS[bytes.below(KEYS.len())]).expect("no NUL");
        let (mbox, key) = (mbox.as_ptr(), key.as_ptr());
        let (mut text, mut len, mut truth, mut integer, mut double) = (null(), 0, false, 0, 0.0);
        // SAFETY: C strings, places to write to.
        let status = unsafe {
            match bytes.below(6) {
                0 => target_attributes_get_value(result, mbox, key, &raw mut text, &raw mut len),
                1 => target_attributes_get_string(result, mbox, key, &raw mut text, &raw mut len),
                2 => target_attributes_get_bool(result, mbox, key, &raw mut truth),
                3 => target_attributes_get_int64(result, mbox, key, &raw mut integer),
                4 => target_attributes_get_double(result, mbox, key, &raw mut double),
                _ => target_attributes_as_object(result, mbox, &raw mut text, &raw mut len),
            }
        };
        assert_eq!(status == TARGET_E_BAD_HANDLE, self.expected(result) == TARGET_E_BAD_HANDLE, "{status}");
        assert_ne!(status, TARGET_E_INTERNAL);
        assert!(status == TARGET_OK || (text.is_null() && len == 0));
    }

    pub(super) fn retain(&mut self, bytes: &mut Bytes<'_>) {
        let result = self.handle(bytes);
        let status = target_result_retain(result);
        assert_eq!(status, self.expected(result));
        if let Some(references) = self.results.get_mut(&result) {
            *references += 1;
        }
    }

    pub(super) fn free(&mut self, bytes: &mut Bytes<'_>) {
        let result = self.handle(bytes);
        let status = target_result_free(result);
        if result == 0 {
            return assert_eq!(status, TARGET_OK);
        }
        assert_eq!(status, self.expected(result));
        if let Some(references) = self.results.get_mut(&result) {
            *references -= 1;
            if *references == 0 {
                self.results.remove(&result);
            }
        }
    }
}
