//! The one place that calls into C, and the types of what it calls.

use std::ffi::{c_char, c_void};

use crate::runtime::panics::{self, Where};

use super::handle::{target_client, target_request, target_result};

/// Receives the answer of a call. `result` is borrowed until this returns: `target_result_retain` keeps it, and without that
/// `target_result_free` refuses it.
#[allow(non_camel_case_types)]
pub type target_done_fn =
    Option<unsafe extern "C-unwind" fn(request: target_request, result: target_result, user_data: *mut c_void)>;

/// Receives an event of a client as JSON, borrowed until this returns; with `"dropped":n` when n events before it were lost.
#[allow(non_camel_case_types)]
pub type target_event_fn = Option<
    unsafe extern "C-unwind" fn(client: target_client, event_json: *const c_char, len: usize, user_data: *mut c_void),
>;

/// Receives a log record, borrowed until this returns. `level`: 1 error, 2 warning, 3 information, 4 debug, 5 trace.
#[allow(non_camel_case_types)]
pub type target_log_fn = Option<
    unsafe extern "C-unwind" fn(
        level: i32,
        target: *const c_char,
        message: *const c_char,
        len: usize,
        user_data: *mut c_void,
    ),
>;

/// Runs once, when `user_data` will not be used again.
#[allow(non_camel_case_types)]
pub type target_free_fn = Option<unsafe extern "C-unwind" fn(user_data: *mut c_void)>;

/// Calls into the host. Functions that it gives us must return: `C-unwind` and this make one that does not, because of an
/// exception, `pthread_exit` or a cancellation, the end of the process with a message, where it would be undefined.
fn hosted(name: &'static str, call: impl FnOnce()) {
    let must_return = MustReturn(name);
    let _host = panics::enter(Where::Host);
    call();
    std::mem::forget(must_return);
}

struct MustReturn(&'static str);

impl Drop for MustReturn {
    fn drop(&mut self) {
        let message = format!(
            "target-sdk: a callback of the host ({}) was left by an exception or by the end of its thread; it must return\n",
            self.0
        );
        // SAFETY: writes a live text to standard error: there is nobody left who could be told otherwise.
        unsafe { libc::write(2, message.as_ptr().cast(), message.len()) };
        std::process::abort();
    }
}

/// The host's pointer together with the duty to release it once. Dropping pays the duty.
pub(crate) struct UserData {
    pointer: *mut c_void,
    release: target_free_fn,
}

// SAFETY: the contract of every function that takes a `user_data` says that it is used from another thread.
unsafe impl Send for UserData {}
// SAFETY: shared references only copy the pointer.
unsafe impl Sync for UserData {}

impl UserData {
    pub(crate) fn new(pointer: *mut c_void, release: target_free_fn) -> UserData {
        UserData { pointer, release }
    }

    /// Whether the host wants to hear of the end.
    pub(crate) fn has_release(&self) -> bool {
        self.release.is_some()
    }
}

impl Drop for UserData {
    fn drop(&mut self) {
        if let Some(release) = self.release.take() {
            // SAFETY: the host gave both together for this; taken out, so it runs once.
            hosted("release", || unsafe { release(self.pointer) });
        }
    }
}

/// A callback for the answer of one call.
pub(crate) struct Done {
    call: unsafe extern "C-unwind" fn(target_request, target_result, *mut c_void),
    user: UserData,
}

impl Done {
    pub(crate) fn new(
        call: unsafe extern "C-unwind" fn(target_request, target_result, *mut c_void),
        user: UserData,
    ) -> Done {
        Done { call, user }
    }

    pub(crate) fn call(&self, request: target_request, result: target_result) {
        // SAFETY: the host gave function and pointer together, to be called once from a thread of this library.
        hosted("target_done_fn", || unsafe { (self.call)(request, result, self.user.pointer) });
    }

    /// Whether there is a release to run in the host's own time.
    pub(crate) fn has_release(&self) -> bool {
        self.user.has_release()
    }
}

/// A callback for the events of one client.
pub(crate) struct OnEvent {
    call: unsafe extern "C-unwind" fn(target_client, *const c_char, usize, *mut c_void),
    user: UserData,
}

impl OnEvent {
    pub(crate) fn new(
        call: unsafe extern "C-unwind" fn(target_client, *const c_char, usize, *mut c_void),
        user: UserData,
    ) -> OnEvent {
        OnEvent { call, user }
    }

    pub(crate) fn call(&self, client: target_client, event: &super::text::Text) {
        // SAFETY: as for `Done`; the text lives until the call returns.
        hosted("target_event_fn", || unsafe { (self.call)(client, event.as_ptr(), event.len(), self.user.pointer) });
    }
}

/// A callback for log records.
pub(crate) struct OnLog {
    call: unsafe extern "C-unwind" fn(i32, *const c_char, *const c_char, usize, *mut c_void),
    user: UserData,
}

impl OnLog {
    pub(crate) fn new(
        call: unsafe extern "C-unwind" fn(i32, *const c_char, *const c_char, usize, *mut c_void),
        user: UserData,
    ) -> OnLog {
        OnLog { call, user }
    }

    pub(crate) fn call(&self, level: i32, target: &super::text::Text, message: &super::text::Text) {
        // SAFETY: as for `Done`; both texts live until the call returns.
        hosted("target_log_fn", || unsafe {
            (self.call)(level, target.as_ptr(), message.as_ptr(), message.len(), self.user.pointer)
        });
    }
}
