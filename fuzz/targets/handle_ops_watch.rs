//! What the library calls, and what each call must find.

use std::ffi::{c_char, c_void};
use std::ptr::null_mut;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use target_sdk::ffi::client::target_client_close;
use target_sdk::ffi::library::target_shutdown;
use target_sdk::ffi::offers::*;
use target_sdk::ffi::result::*;
use target_sdk::ffi::status::*;

/// One thing that was handed to the library together with a callback or a tag.
pub(super) struct Watch {
    pub(super) done: AtomicU32,
    pub(super) released: AtomicU32,
    /// What the callback does.
    pub(super) action: u8,
    pub(super) client: u64,
}

/// References to results that callbacks took.
pub(super) static RETAINED: Mutex<Vec<u64>> = Mutex::new(Vec::new());

pub(super) unsafe extern "C-unwind" fn on_done(request: u64, result: u64, user_data: *mut c_void) {
    // SAFETY: the run keeps its watches until the library has stopped.
    let watch = unsafe { &*user_data.cast::<Watch>() };
    assert_eq!(watch.released.load(Ordering::Acquire), 0, "a callback after the release");
    assert_eq!(watch.done.fetch_add(1, Ordering::AcqRel), 0, "a second callback");
    assert_ne!(target_result_status(result), TARGET_E_BAD_HANDLE);
    match watch.action % 8 {
        0 => {
            assert_eq!(target_result_retain(result), TARGET_OK);
            RETAINED.lock().expect("lock").push(result);
        }
        1 => assert!(matches!(target_request_abandon(request), TARGET_OK | TARGET_E_BAD_HANDLE)),
        2 => assert!(matches!(target_request_cancel(request), TARGET_OK | TARGET_E_BAD_HANDLE)),
        3 => {
            // SAFETY: NULL is allowed.
            let status = unsafe { target_client_close(watch.client, 0, null_mut()) };
            assert!(matches!(status, TARGET_E_WOULD_DEADLOCK | TARGET_E_BAD_HANDLE), "{status}");
        }
        4 => assert_eq!(target_shutdown(0), TARGET_E_WOULD_DEADLOCK),
        _ => {}
    }
}

pub(super) unsafe extern "C-unwind" fn on_event(_: u64, json: *const c_char, len: usize, user_data: *mut c_void) {
    // SAFETY: as above; the text has `len` bytes.
    let (watch, text) = unsafe { (&*user_data.cast::<Watch>(), std::slice::from_raw_parts(json.cast::<u8>(), len)) };
    assert_eq!(watch.released.load(Ordering::Acquire), 0, "an event after the release");
    assert!(serde_json::from_slice::<serde_json::Value>(text).is_ok());
}

pub(super) unsafe extern "C-unwind" fn on_log(
    level: i32,
    _: *const c_char,
    message: *const c_char,
    len: usize,
    user_data: *mut c_void,
) {
    // SAFETY: as above.
    let (watch, text) = unsafe { (&*user_data.cast::<Watch>(), std::slice::from_raw_parts(message.cast::<u8>(), len)) };
    assert_eq!(watch.released.load(Ordering::Acquire), 0, "a log record after the release");
    assert!((1..=5).contains(&level) && std::str::from_utf8(text).is_ok());
}

pub(super) unsafe extern "C-unwind" fn release(user_data: *mut c_void) {
    // SAFETY: as above.
    let watch = unsafe { &*user_data.cast::<Watch>() };
    assert_eq!(watch.released.fetch_add(1, Ordering::AcqRel), 0, "a second release");
}
