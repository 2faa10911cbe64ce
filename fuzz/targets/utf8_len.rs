//! Strings across the boundary: every pair of text and length, at the very end of readable memory. The library may read what
//! it was given and not a byte more.

use std::ffi::c_char;
use std::ptr::{null, null_mut};

use target_sdk::ffi::client::*;
use target_sdk::ffi::library::*;
use target_sdk::ffi::offers::*;
use target_sdk::ffi::result::*;
use target_sdk::ffi::status::*;

use super::support::Bytes;

const TARGET_NUL: usize = usize::MAX;
const PAGE: usize = 4096;
const ROOM: usize = 16 * PAGE;

/// Memory whose end is the end of what may be read.
struct Edge(*mut u8);

// SAFETY: only used under a lock.
unsafe impl Send for Edge {}

impl Edge {
    fn new() -> Edge {
        // SAFETY: a new mapping of our own, of which the last page is taken away again.
        unsafe {
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            let start = libc::mmap(null_mut(), ROOM + PAGE, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0);
            assert_ne!(start, libc::MAP_FAILED);
            assert_eq!(libc::mprotect(start.byte_add(ROOM), PAGE, libc::PROT_NONE), 0);
            Edge(start.cast())
        }
    }

    /// The bytes, directly before the edge.
    fn place(&self, bytes: &[u8]) -> *const c_char {
        assert!(bytes.len() <= ROOM);
        // SAFETY: there is room for them before the edge.
        unsafe {
            let place = self.0.add(ROOM - bytes.len());
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), place, bytes.len());
            place.cast()
        }
    }
}

static EDGE: std::sync::Mutex<Option<Edge>> = std::sync::Mutex::new(None);

pub(crate) fn run(data: &[u8]) {
    let mut guard = EDGE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let edge = guard.get_or_insert_with(Edge::new);
    let mut bytes = Bytes(data);
    let choice = bytes.byte();
    let text = bytes.take(ROOM - 1);
    let is_text = !text.contains(&0) && std::str::from_utf8(text).is_ok();
    let refused = |status: target_status| status == TARGET_E_INVALID_ARG;

    let client = client();
    // With a length: nothing behind the text is readable.
    let at = edge.place(text);
    assert!(!refused(offers(client, at, text.len())) || !is_text);
    assert!(refused(offers(client, at, text.len())) || is_text);
    if let Some(shorter) = text.len().checked_sub(usize::from(choice)) {
        let is_text = !text[..shorter].contains(&0) && std::str::from_utf8(&text[..shorter]).is_ok();
        assert_eq!(refused(offers(client, at, shorter)), !is_text);
    }
    // Lengths that no object has.
    for len in [usize::MAX - 1, isize::MAX as usize + 1] {
        assert!(refused(offers(client, at, len)));
    }
    assert!(refused(offers(client, null(), text.len())) && refused(offers(client, null(), TARGET_NUL)));

    // With a NUL: nothing behind that is readable.
    let terminated = [text, &[0]].concat();
    let at = edge.place(&terminated);
    let until_nul = text.split(|byte| *byte == 0).next().unwrap_or_default();
    let is_text = std::str::from_utf8(until_nul).is_ok();
    assert_eq!(refused(offers(client, at, TARGET_NUL)), !is_text);
    named(at, until_nul, is_text);
    pointer(at, is_text);
    config(at, text.len(), choice);
    assert_eq!(target_client_destroy(client), TARGET_OK);
}

/// A client that asks nobody.
fn client() -> u64 {
    let config = br#"{"client":"acme","organizationId":"O@AdobeOrg","offline":true}"#;
    let mut client = 0;
    // SAFETY: text of that length, a place to write to.
    let status =
        unsafe { target_client_create(config.as_ptr().cast(), config.len(), null(), &raw mut client, null_mut()) };
    assert_eq!(status, TARGET_OK);
    client
}

/// What a call with this text as its options returns.
fn offers(client: u64, text: *const c_char, len: usize) -> target_status {
    let mut result = 0;
    // SAFETY: what is wrong with text and length must be found out without reading there.
    let status = unsafe { target_get_offers_sync(client, text, len, 1, &raw mut result) };
    assert!(status != TARGET_E_INTERNAL && status != TARGET_E_BAD_HANDLE, "{status}");
    assert_eq!(target_result_free(result), TARGET_OK);
    status
}

fn named(text: *const c_char, expected: &[u8], is_text: bool) {
    let mut name = vec![7_u8; expected.len() + 6];
    let mut needed = 0;
    // SAFETY: a C string, room for that many bytes, a place to write to.
    let status = unsafe { target_visitor_cookie_name(text, name.as_mut_ptr().cast(), name.len(), &raw mut needed) };
    if is_text && !expected.is_empty() {
        assert_eq!((status, needed), (TARGET_OK, name.len()));
        assert_eq!(name, [b"AMCV_", expected, b"\0"].concat());
    } else {
        assert_eq!((status, needed), (TARGET_E_INVALID_ARG, 0));
    }
}

fn pointer(text: *const c_char, is_text: bool) {
    let (mut error, mut json, mut len) = (0, null(), 0);
    // SAFETY: C strings, places to write to.
    unsafe {
        assert_eq!(target_init(c"[]".as_ptr(), &raw mut error), TARGET_E_INVALID_OPTIONS);
        let status = target_result_get(error, text, &raw mut json, &raw mut len);
        let known = matches!(status, TARGET_OK | TARGET_E_NO_ATTRIBUTE);
        assert!(status == TARGET_E_INVALID_ARG || (known && is_text), "{status}");
        if status == TARGET_OK {
            let found = std::slice::from_raw_parts(json.cast::<u8>(), len);
            serde_json::from_slice::<serde_json::Value>(found).expect("JSON");
        }
    }
    assert_eq!(target_result_free(error), TARGET_OK);
}

/// The text as configuration, and as options of the library.
fn config(text: *const c_char, len: usize, choice: u8) {
    // SAFETY: a C string that has `len` bytes before its NUL or more; places to write to.
    unsafe {
        // A client of any configuration could open sockets and files: only what cannot be one.
        let bytes = std::slice::from_raw_parts(text.cast::<u8>(), len);
        if !bytes.contains(&b'{') {
            let (mut client, mut error) = (7, 7);
            let len = if choice.is_multiple_of(2) { len } else { TARGET_NUL };
            let status = target_client_create(text, len, null(), &raw mut client, &raw mut error);
            assert!(client == 0 && status != TARGET_OK && status != TARGET_E_INTERNAL, "{status}");
            assert_eq!(target_result_free(error), TARGET_OK);
        }
        let mut error = 7;
        let status = target_init(text, &raw mut error);
        assert_ne!(status, TARGET_E_INTERNAL);
        assert_eq!(target_result_free(error), TARGET_OK);
    }
}
