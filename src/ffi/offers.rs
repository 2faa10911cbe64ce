//! `target_get_offers*`, `target_send_notifications*`, `target_get_attributes*` and `target_request_*`.

use std::ffi::{c_char, c_void};
use std::sync::Arc;
use std::time::{Duration, Instant};

use target_sdk_core::client::{Call, Operation};
use target_sdk_core::error::{Error, ErrorKind};

use crate::runtime::panics;

use super::callback::{Done, UserData, target_done_fn, target_free_fn};
use super::client::ClientEntry;
use super::guard;
use super::handle::{self, target_client, target_queue, target_request, target_result};
use super::request::{Delivery, RequestEntry, Waiter};
use super::result::{ResultEntry, plain_error};
use super::sized::{self, Sized};
use super::status::{self, TARGET_E_CLOSED, TARGET_E_INVALID_ARG, TARGET_E_TIMEOUT, TARGET_OK, target_status};
use super::text::{self, Out, TARGET_NUL};

/// No flags. Others may come; a library that does not know one refuses it.
pub const TARGET_CALL_DEFAULT: u32 = 0;

/// How a call is answered. Zero-initialise, set `size`; then exactly one of `on_done` and `queue`.
#[allow(non_camel_case_types)]
#[repr(C)]
#[derive(Clone, Copy)]
pub struct target_call {
    /// `sizeof(target_call)`
    pub size: u32,
    /// Deadline in milliseconds; 0: the client's `timeout`.
    pub deadline_ms: u32,
    /// TARGET_CALL_*
    pub flags: u32,
    /// Callback style: receives the answer.
    pub on_done: target_done_fn,
    /// Handed to `on_done` untouched.
    pub user_data: *mut c_void,
    /// Runs once, after the last use of `user_data`. May be NULL.
    pub release: target_free_fn,
    /// Queue style: the answer arrives here as a completion of kind TARGET_KIND_CALL.
    pub queue: target_queue,
    /// Tag of that completion.
    pub tag: u64,
}

// SAFETY: plain C struct whose first member is `size`; all-zero is a valid value.
unsafe impl Sized for target_call {}

/// How long after its deadline a synchronous call waits for the I/O threads to say so.
const GRACE: Duration = Duration::from_millis(250);

fn timeout(ms: u32) -> Option<Duration> {
    (ms > 0).then(|| Duration::from_millis(u64::from(ms)))
}

/// The simple form: NUL-terminated options, a callback.
fn simple(
    client: target_client,
    callback: target_done_fn,
    user_data: *mut c_void,
    operation: impl FnOnce() -> Result<Operation, target_status>,
) -> target_status {
    guard::status(|| {
        let client = handle::client(client)?;
        let callback = callback.ok_or(TARGET_E_INVALID_ARG)?;
        let operation = operation()?;
        submit(&client, operation, None, &Out::none(), || {
            Delivery::Callback(Done::new(callback, UserData::new(user_data, None)))
        })
    })
}

/// The full form: a `target_call`, a request handle.
///
/// # Safety
/// `call` is NULL or points to a struct of its `size`; `out` is NULL or valid for writing.
unsafe fn full(
    client: target_client,
    call: *const target_call,
    out: *mut target_request,
    operation: impl FnOnce() -> Result<Operation, target_status>,
) -> target_status {
    guard::status(|| {
        // SAFETY: contract of this function.
        let out = unsafe { text::optional_out(out, 0) };
        let client = handle::client(client)?;
        // SAFETY: contract of this function.
        let call = unsafe { sized::required(call) }?;
        if call.flags != TARGET_CALL_DEFAULT {
            return Err(TARGET_E_INVALID_ARG);
        }
        let deadline = timeout(call.deadline_ms);
        match (call.on_done, call.queue) {
            (Some(on_done), 0) => {
                let operation = operation()?;
                submit(&client, operation, deadline, &out, || {
                    Delivery::Callback(Done::new(on_done, UserData::new(call.user_data, call.release)))
                })
            }
            // A release is a callback, and a host of queues has none.
            (None, queue) if queue != 0 && call.release.is_none() => {
                let queue = handle::queue(queue)?;
                let operation = operation()?;
                submit(&client, operation, deadline, &out, || Delivery::Queue(queue, call.tag))
            }
            _ => Err(TARGET_E_INVALID_ARG),
        }
    })
}

/// Takes a call: after the admission nothing can fail but the table of handles, and only then is `delivery` made, so that
/// a refused call never releases anything.
fn submit(
    client: &Arc<ClientEntry>,
    operation: Operation,
    deadline: Option<Duration>,
    out: &Out<target_request>,
    delivery: impl FnOnce() -> Delivery,
) -> Result<(), target_status> {
    let _registering = client.threads.register().ok_or(TARGET_E_CLOSED)?;
    let admission = client.core.admit().map_err(|error| status::of(error.kind()))?;
    let request = RequestEntry::begin(client, admission, delivery, |request| out.set(request))?;
    // From here on the answer is owed, and pays itself: a panic must not make this a call that was refused.
    if let Err(panic) = panics::contain(|| request.run(operation, deadline)) {
        log::error!(target: "target_sdk::ffi", "a bug in target-sdk: a call panicked: {panic}");
    }
    Ok(())
}

/// The synchronous form: decided right here if no I/O is needed, else on the library's threads.
///
/// # Safety
/// `out` is NULL or valid for writing.
unsafe fn sync(
    client: target_client,
    timeout_ms: u32,
    out: *mut target_result,
    operation: impl FnOnce() -> Result<Operation, target_status>,
) -> target_status {
    guard::status(|| {
        // SAFETY: contract of this function.
        let out = unsafe { text::out(out, 0) };
        let client = handle::client(client)?;
        let out = out?;
        let operation = operation()?;
        let admission = client.core.admit().map_err(|error| status::of(error.kind()))?;
        let timeout = timeout(timeout_ms);
        let accepted = Instant::now();
        let call = panics::contain(|| client.core.call(operation, accepted, timeout)).unwrap_or_else(|panic| {
            log::error!(target: "target_sdk::ffi", "a bug in target-sdk: a call panicked: {panic}");
            Call::Ready(Err(Error::internal("a bug in target-sdk: the call panicked")))
        });
        let result = match call {
            Call::Ready(answer) => {
                drop(admission);
                ResultEntry::answer(answer)
            }
            Call::Pending(pending) => {
                let waiter = Arc::new(Waiter::default());
                let request = {
                    // As for `submit`: a shutdown finds the call, or the call finds the shutdown.
                    let _registering = client.threads.register().ok_or(TARGET_E_CLOSED)?;
                    let request = RequestEntry::begin(&client, admission, || Delivery::Waiter(waiter.clone()), |_| {})?;
                    request.run_pending(pending);
                    request
                };
                let limit = timeout.unwrap_or_else(|| client.core.timeout()).saturating_add(GRACE);
                match waiter.wait(accepted.checked_add(limit)) {
                    Some(result) => result,
                    None => {
                        request.answer(plain_error(ErrorKind::Timeout, "the deadline of the call passed"));
                        // Answered now, by this thread or by the one that was a moment faster.
                        waiter.wait(None).ok_or(TARGET_E_TIMEOUT)?
                    }
                }
            }
        };
        let status = result.status();
        out.set(result.publish()?);
        if status == TARGET_OK { Ok(()) } else { Err(status) }
    })
}

/// Asks Target for offers.
///
/// If this returns TARGET_OK, `callback` runs exactly once, on a thread of this library, never inside this call. If it
/// returns anything else, `callback` never runs and `user_data` stays yours. What is wrong with the content of the JSON
/// arrives in the callback.
///
/// @param client        A client handle.
/// @param options_json  NUL-terminated UTF-8 JSON, `{"request": …, "sessionId": …}`; copied before this returns.
/// @param callback      Receives the answer. Must not be NULL.
/// @param user_data     Handed to `callback` untouched. May be NULL.
/// @return TARGET_OK, TARGET_E_BAD_HANDLE, TARGET_E_INVALID_ARG, TARGET_E_QUEUE_FULL, TARGET_E_CLOSED, TARGET_E_FORKED.
///
/// Thread-safe. Does not block.
///
/// # Safety
/// `options_json` must be a NUL-terminated string; `user_data` must be usable from another thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn target_get_offers(
    client: target_client,
    options_json: *const c_char,
    callback: target_done_fn,
    user_data: *mut c_void,
) -> target_status {
    simple(client, callback, user_data, || {
        // SAFETY: contract of this function.
        Ok(Operation::GetOffers { options: unsafe { text::copy(options_json, TARGET_NUL) }? })
    })
}

/// Asks Target for offers: the full form, with a deadline, a request handle, a release or a queue.
///
/// @param client        A client handle.
/// @param options_json  UTF-8 JSON as for `target_get_offers`; copied before this returns.
/// @param len           Its length in bytes, or TARGET_NUL.
/// @param call          How to answer; copied.
/// @param out           Receives the request handle, before anyone else can see it. May be NULL.
/// @return TARGET_OK, TARGET_E_BAD_HANDLE, TARGET_E_INVALID_ARG, TARGET_E_QUEUE_FULL, TARGET_E_CLOSED, TARGET_E_FORKED.
///
/// Thread-safe. Does not block.
///
/// # Safety
/// `options_json` must point to `len` bytes or a NUL-terminated string; `call` to a struct of `size` bytes; `out` be NULL or
/// valid for writing; `call->user_data` usable from another thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn target_get_offers_ex(
    client: target_client,
    options_json: *const c_char,
    len: usize,
    call: *const target_call,
    out: *mut target_request,
) -> target_status {
    // SAFETY: contract of this function.
    unsafe { full(client, call, out, || Ok(Operation::GetOffers { options: text::copy(options_json, len)? })) }
}

/// Asks Target for offers and waits for the answer.
///
/// @param client        A client handle.
/// @param options_json  UTF-8 JSON as for `target_get_offers`.
/// @param len           Its length in bytes, or TARGET_NUL.
/// @param timeout_ms    Deadline; 0: the client's `timeout`.
/// @param out           Receives the answer or an error document, whenever the call was taken; owned by the caller.
/// @return The status of the result; or, with `*out` 0, TARGET_E_BAD_HANDLE, TARGET_E_INVALID_ARG, TARGET_E_QUEUE_FULL,
///         TARGET_E_CLOSED, TARGET_E_FORKED.
///
/// Thread-safe. Blocks until the answer or the deadline. No I/O happens on the calling thread.
///
/// # Safety
/// `options_json` must point to `len` bytes or a NUL-terminated string; `out` be valid for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn target_get_offers_sync(
    client: target_client,
    options_json: *const c_char,
    len: usize,
    timeout_ms: u32,
    out: *mut target_result,
) -> target_status {
    // SAFETY: contract of this function.
    unsafe { sync(client, timeout_ms, out, || Ok(Operation::GetOffers { options: text::copy(options_json, len)? })) }
}

/// Tells Target what was shown or clicked. As `target_get_offers`; `request.notifications` is required.
///
/// @param client        A client handle.
/// @param options_json  NUL-terminated UTF-8 JSON, `{"request": {"notifications": […]}}`; copied before this returns.
/// @param callback      Receives the answer. Must not be NULL.
/// @param user_data     Handed to `callback` untouched. May be NULL.
/// @return TARGET_OK, TARGET_E_BAD_HANDLE, TARGET_E_INVALID_ARG, TARGET_E_QUEUE_FULL, TARGET_E_CLOSED, TARGET_E_FORKED.
///
/// Thread-safe. Does not block.
///
/// # Safety
/// As for `target_get_offers`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn target_send_notifications(
    client: target_client,
    options_json: *const c_char,
    callback: target_done_fn,
    user_data: *mut c_void,
) -> target_status {
    simple(client, callback, user_data, || {
        // SAFETY: contract of this function.
        Ok(Operation::SendNotifications { options: unsafe { text::copy(options_json, TARGET_NUL) }? })
    })
}

/// Tells Target what was shown or clicked: the full form.
///
/// @param client        A client handle.
/// @param options_json  UTF-8 JSON as for `target_send_notifications`; copied before this returns.
/// @param len           Its length in bytes, or TARGET_NUL.
/// @param call          How to answer; copied.
/// @param out           Receives the request handle, before anyone else can see it. May be NULL.
/// @return TARGET_OK, TARGET_E_BAD_HANDLE, TARGET_E_INVALID_ARG, TARGET_E_QUEUE_FULL, TARGET_E_CLOSED, TARGET_E_FORKED.
///
/// Thread-safe. Does not block.
///
/// # Safety
/// As for `target_get_offers_ex`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn target_send_notifications_ex(
    client: target_client,
    options_json: *const c_char,
    len: usize,
    call: *const target_call,
    out: *mut target_request,
) -> target_status {
    // SAFETY: contract of this function.
    unsafe { full(client, call, out, || Ok(Operation::SendNotifications { options: text::copy(options_json, len)? })) }
}

/// Tells Target what was shown or clicked and waits for the answer.
///
/// @param client        A client handle.
/// @param options_json  UTF-8 JSON as for `target_send_notifications`.
/// @param len           Its length in bytes, or TARGET_NUL.
/// @param timeout_ms    Deadline; 0: the client's `timeout`.
/// @param out           Receives the answer or an error document, whenever the call was taken; owned by the caller.
/// @return As `target_get_offers_sync`.
///
/// Thread-safe. Blocks until the answer or the deadline.
///
/// # Safety
/// As for `target_get_offers_sync`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn target_send_notifications_sync(
    client: target_client,
    options_json: *const c_char,
    len: usize,
    timeout_ms: u32,
    out: *mut target_result,
) -> target_status {
    // SAFETY: contract of this function.
    unsafe {
        sync(client, timeout_ms, out, || Ok(Operation::SendNotifications { options: text::copy(options_json, len)? }))
    }
}

/// Options of `target_get_attributes*`, which may be NULL.
///
/// # Safety
/// As for `text::copy`.
unsafe fn attributes(
    mbox_names_json: *const c_char,
    mbox_names_len: usize,
    options_json: *const c_char,
    len: usize,
) -> Result<Operation, target_status> {
    // SAFETY: contract of this function.
    let mbox_names = unsafe { text::copy(mbox_names_json, mbox_names_len) }?;
    let options = if options_json.is_null() {
        String::new()
    } else {
        // SAFETY: contract of this function.
        unsafe { text::copy(options_json, len) }?
    };
    Ok(Operation::GetAttributes { mbox_names, options })
}

/// Asks Target for the JSON offers of some mboxes, to be read with `target_attributes_*`.
///
/// @param client           A client handle.
/// @param mbox_names_json  NUL-terminated JSON array of mbox names, `["a", "b"]`; copied before this returns.
/// @param options_json     NUL-terminated options as for `target_get_offers`, or NULL for none.
/// @param callback         Receives the answer. Must not be NULL.
/// @param user_data        Handed to `callback` untouched. May be NULL.
/// @return TARGET_OK, TARGET_E_BAD_HANDLE, TARGET_E_INVALID_ARG, TARGET_E_QUEUE_FULL, TARGET_E_CLOSED, TARGET_E_FORKED.
///
/// Thread-safe. Does not block.
///
/// # Safety
/// As for `target_get_offers`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn target_get_attributes(
    client: target_client,
    mbox_names_json: *const c_char,
    options_json: *const c_char,
    callback: target_done_fn,
    user_data: *mut c_void,
) -> target_status {
    // SAFETY: contract of this function.
    simple(client, callback, user_data, || unsafe { attributes(mbox_names_json, TARGET_NUL, options_json, TARGET_NUL) })
}

/// Asks Target for the JSON offers of some mboxes: the full form.
///
/// @param client           A client handle.
/// @param mbox_names_json  JSON array of mbox names; copied before this returns.
/// @param mbox_names_len   Its length in bytes, or TARGET_NUL.
/// @param options_json     Options as for `target_get_offers`, or NULL for none.
/// @param len              Their length in bytes, or TARGET_NUL.
/// @param call             How to answer; copied.
/// @param out              Receives the request handle, before anyone else can see it. May be NULL.
/// @return TARGET_OK, TARGET_E_BAD_HANDLE, TARGET_E_INVALID_ARG, TARGET_E_QUEUE_FULL, TARGET_E_CLOSED, TARGET_E_FORKED.
///
/// Thread-safe. Does not block.
///
/// # Safety
/// As for `target_get_offers_ex`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn target_get_attributes_ex(
    client: target_client,
    mbox_names_json: *const c_char,
    mbox_names_len: usize,
    options_json: *const c_char,
    len: usize,
    call: *const target_call,
    out: *mut target_request,
) -> target_status {
    // SAFETY: contract of this function.
    unsafe { full(client, call, out, || attributes(mbox_names_json, mbox_names_len, options_json, len)) }
}

/// Asks Target for the JSON offers of some mboxes and waits for the answer.
///
/// @param client           A client handle.
/// @param mbox_names_json  JSON array of mbox names.
/// @param mbox_names_len   Its length in bytes, or TARGET_NUL.
/// @param options_json     Options as for `target_get_offers`, or NULL for none.
/// @param len              Their length in bytes, or TARGET_NUL.
/// @param timeout_ms       Deadline; 0: the client's `timeout`.
/// @param out              Receives the answer or an error document, whenever the call was taken; owned by the caller.
/// @return As `target_get_offers_sync`.
///
/// Thread-safe. Blocks until the answer or the deadline.
///
/// # Safety
/// As for `target_get_offers_sync`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn target_get_attributes_sync(
    client: target_client,
    mbox_names_json: *const c_char,
    mbox_names_len: usize,
    options_json: *const c_char,
    len: usize,
    timeout_ms: u32,
    out: *mut target_result,
) -> target_status {
    // SAFETY: contract of this function.
    unsafe { sync(client, timeout_ms, out, || attributes(mbox_names_json, mbox_names_len, options_json, len)) }
}

/// "Stop, and tell me": ends a call. It completes with TARGET_E_CANCELLED, or with the answer that was a moment faster.
///
/// @param request  A request handle.
/// @return TARGET_OK, TARGET_E_BAD_HANDLE (completed and released already), TARGET_E_FORKED.
///
/// Thread-safe. Does not block.
#[unsafe(no_mangle)]
pub extern "C" fn target_request_cancel(request: target_request) -> target_status {
    guard::status(|| {
        handle::request(request)?.cancel();
        Ok(())
    })
}

/// "Forget me": ends a call without a completion. After this returned, its callback is not running and will not run, and
/// what the callback uses may go away; from inside that callback it returns at once. The release still runs, once.
///
/// @param request  A request handle.
/// @return TARGET_OK, TARGET_E_BAD_HANDLE (completed and released already), TARGET_E_FORKED.
///
/// Thread-safe. Waits for the callback of this call if it is running on another thread.
#[unsafe(no_mangle)]
pub extern "C" fn target_request_abandon(request: target_request) -> target_status {
    guard::status(|| {
        handle::request(request)?.abandon();
        Ok(())
    })
}
