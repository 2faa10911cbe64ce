//! The library as a whole: versions, statuses, start and stop, logs, cookie names.

use std::ffi::{c_char, c_void};
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use target_sdk_core::error::{Error, ErrorKind, Result};
use target_sdk_core::json::{self, Json, Limits};

use crate::runtime::fork::PerProcess;
use crate::runtime::log::Sink;
use crate::runtime::threads::Threads;
use crate::runtime::{dispatcher, lock, log as records};

use super::callback::{OnLog, UserData, target_free_fn, target_log_fn};
use super::guard;
use super::handle::{self, library, target_queue, target_result};
use super::log::{CallbackLog, CallbackSink, QueueSink};
use super::result::{ResultEntry, plain_error};
use super::status::{
    self, TARGET_E_ALREADY_INIT, TARGET_E_CALLBACK_STUCK, TARGET_E_INVALID_ARG, TARGET_E_WOULD_DEADLOCK, target_status,
};
use super::text::{self, TARGET_NUL};

/// Version of this interface. Grows when functions, statuses or members are added; nothing is ever taken away.
pub const TARGET_ABI_VERSION: u32 = 1;

/// Log nothing.
pub const TARGET_LOG_OFF: i32 = 0;
/// Something failed and the host will notice.
pub const TARGET_LOG_ERROR: i32 = 1;
/// Something is wrong and was worked around.
pub const TARGET_LOG_WARN: i32 = 2;
/// Rare and worth knowing.
pub const TARGET_LOG_INFO: i32 = 3;
/// Each call.
pub const TARGET_LOG_DEBUG: i32 = 4;
/// Everything.
pub const TARGET_LOG_TRACE: i32 = 5;

/// What `target_init` was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InitOptions {
    pub(crate) workers: usize,
}

impl InitOptions {
    pub(crate) const DEFAULT_WORKERS: usize = 2;

    fn parse(text: &str) -> Result<InitOptions> {
        let document = json::parse(text, &Limits::CONFIG)?;
        let Json::Object(options) = &document else {
            return Err(Error::invalid("", format!("expected an object, got {}", document.type_name())));
        };
        let mut parsed = InitOptions { workers: InitOptions::DEFAULT_WORKERS };
        for (key, value) in options.iter() {
            match (key, value) {
                ("workerThreads", Json::Null) => {}
                ("workerThreads", value) => {
                    parsed.workers = value
                        .as_i64()
                        .filter(|count| (1..=64).contains(count))
                        .and_then(|count| usize::try_from(count).ok())
                        .ok_or_else(|| Error::invalid("/workerThreads", "expected an integer from 1 to 64"))?;
                }
                _ => {
                    return Err(Error::invalid(
                        format!("/{}", key.replace('~', "~0").replace('/', "~1")),
                        "unknown option; the only one is workerThreads",
                    ));
                }
            }
        }
        Ok(parsed)
    }
}

/// Version of the interface that this library has; compare with TARGET_ABI_VERSION of the header.
///
/// Thread-safe. Does not block.
#[unsafe(no_mangle)]
pub extern "C" fn target_abi_version() -> u32 {
    guard::value(0, || TARGET_ABI_VERSION)
}

/// Version of the library, for example "0.1.0". Lives for ever.
///
/// Thread-safe. Does not block.
#[unsafe(no_mangle)]
pub extern "C" fn target_version() -> *const c_char {
    guard::value(std::ptr::null(), || concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast())
}

/// Name of a status, for example "TARGET_E_TIMEOUT"; "unknown status" for a number that is none. Lives for ever.
///
/// @param status  Any number.
///
/// Thread-safe. Does not block.
#[unsafe(no_mangle)]
pub extern "C" fn target_status_name(status: target_status) -> *const c_char {
    guard::value(std::ptr::null(), || status::name(status).as_ptr())
}

/// Enumerates the statuses that this library knows, for bindings.
///
/// @param index  From 0.
/// @param out    Receives the status.
/// @return TARGET_OK, TARGET_E_INVALID_ARG (NULL, or `index` is past the end).
///
/// Thread-safe. Does not block.
///
/// # Safety
/// `out` must be valid for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn target_status_at(index: usize, out: *mut target_status) -> target_status {
    guard::status(|| {
        // SAFETY: contract of this function.
        let out = unsafe { text::out(out, 0) }?;
        out.set(status::ALL.get(index).ok_or(TARGET_E_INVALID_ARG)?.0);
        Ok(())
    })
}

/// Sets options of the library. Optional: without it, the first client starts the library with its defaults.
///
/// The first call decides. The same options again are fine, others are refused until `target_shutdown`.
///
/// @param options_json  NUL-terminated UTF-8 JSON: `{"workerThreads": 2}` (1 to 64). NULL: the defaults.
/// @param error         Receives an error document when the options are wrong, else 0; owned by the caller. May be NULL.
/// @return TARGET_OK, TARGET_E_ALREADY_INIT, TARGET_E_INVALID_ARG, TARGET_E_INVALID_JSON, TARGET_E_INVALID_OPTIONS.
///
/// Thread-safe. Does not block; starts nothing.
///
/// # Safety
/// `options_json` must be NULL or a NUL-terminated string; `error` NULL or valid for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn target_init(options_json: *const c_char, error: *mut target_result) -> target_status {
    guard::status(|| {
        // SAFETY: contract of this function.
        let error = unsafe { text::optional_out(error, 0) };
        let options = if options_json.is_null() {
            "{}".to_owned()
        } else {
            // SAFETY: contract of this function.
            unsafe { text::copy(options_json, TARGET_NUL) }?
        };
        let options = InitOptions::parse(&options).map_err(|failure| {
            if error.is_wanted() {
                error.set(ResultEntry::error(&failure).publish().unwrap_or(0));
            }
            status::of(failure.kind())
        })?;
        let library = library();
        let mut init = lock(&library.init);
        let current = match &*init {
            Some(current) => current.clone(),
            // Started without options: that was a choice, too.
            None if library.running().is_some() => InitOptions { workers: InitOptions::DEFAULT_WORKERS },
            None => {
                *init = Some(options);
                return Ok(());
            }
        };
        if current == options { Ok(()) } else { Err(TARGET_E_ALREADY_INIT) }
    })
}

/// Stops the library: closes all clients (calls in flight complete with TARGET_E_CLOSED), runs the callbacks that are due,
/// ends all threads and waits for them, except for a name look-up that the system has not finished. Handles stay valid for
/// destroying; results keep living. A new client starts the library again.
///
/// @param timeout_ms  How long to wait for callbacks and threads.
/// @return TARGET_OK, TARGET_E_CALLBACK_STUCK (a callback does not return; its thread is left behind),
///         TARGET_E_WOULD_DEADLOCK (called from a callback).
///
/// Thread-safe. Blocks for at most about `timeout_ms`.
#[unsafe(no_mangle)]
pub extern "C" fn target_shutdown(timeout_ms: u32) -> target_status {
    guard::status(|| {
        if dispatcher::is_current() {
            return Err(TARGET_E_WOULD_DEADLOCK);
        }
        let library = library();
        let deadline = Instant::now() + Duration::from_millis(u64::from(timeout_ms));
        let threads = library.take_threads();
        *lock(&library.init) = None;
        let ending = match threads {
            Some(threads) => {
                lock(&library.ending).push(threads.clone());
                vec![threads]
            }
            // Another shutdown may still be at it, or have given up on a callback.
            None => lock(&library.ending).clone(),
        };
        let mut all_over = true;
        for threads in ending {
            if end(&threads, deadline) {
                lock(&library.ending).retain(|other| !Arc::ptr_eq(other, &threads));
            } else {
                all_over = false;
            }
        }
        if all_over { Ok(()) } else { Err(TARGET_E_CALLBACK_STUCK) }
    })
}

/// Ends everything that uses `threads`, then them. Several shutdowns may be at it: none stops the threads before all calls are
/// answered. False if a callback has not returned by `deadline`.
fn end(threads: &Arc<Threads>, deadline: Instant) -> bool {
    let library = library();
    threads.begin_end();
    for client in library.clients.all() {
        if Arc::ptr_eq(&client.threads, threads) {
            client.end(ErrorKind::Closed, "the library was shut down");
        }
    }
    // Calls of clients that another thread is destroying right now; and calls that another thread has just answered,
    // cancelled or abandoned, and is about to hand to the dispatcher, which therefore must not end yet.
    let mut left = library.requests.all();
    left.retain(|request| Arc::ptr_eq(&request.client().threads, threads));
    for request in &left {
        request.cut_off(plain_error(ErrorKind::Closed, "the library was shut down"));
    }
    for request in left {
        request.settle(deadline);
    }
    threads.stop(deadline)
}

/// The log that the host installed, to be taken back.
static CALLBACK_LOG: PerProcess<Mutex<Option<Arc<CallbackLog>>>> = PerProcess::new();

fn install(sink: Option<Arc<dyn Sink>>, level: i32, log: Option<Arc<CallbackLog>>) {
    let before = {
        let mut current = lock(CALLBACK_LOG.get(|_| Mutex::new(None)));
        records::install(sink, level);
        std::mem::replace(&mut *current, log)
    };
    if let Some(before) = before {
        before.retire();
    }
}

/// Has log records handed to a function. Replaces what was set before, queue or function.
///
/// Records never hold cookies, tokens, visitor ids or passwords. Up to 1,024 wait for the function; what comes beyond that
/// is dropped and counted. Records that the function causes itself are dropped. Up to level `TARGET_LOG_INFO`, one place in the
/// library makes ten records a second at most, and the next one says how many were left out.
///
/// @param fn         The function; NULL ends logging. After a return from that, the function before is not running and
///                   will not run (unless this was called from inside it); records that still waited for it are dropped.
/// @param user_data  Handed to `fn` untouched.
/// @param release    Runs once, after the last use of `user_data`. May be NULL; must be if `fn` is.
/// @param max_level  TARGET_LOG_*
/// @return TARGET_OK, TARGET_E_INVALID_ARG (`max_level` is out of range, or `release` comes without `fn`: then `user_data`
///         stays yours).
///
/// Thread-safe. Waits for the function before, if it is running. Its release runs on the library's thread for callbacks; but
/// when there are no threads (no client was made, or `target_shutdown` has ended them), it runs on the calling thread before
/// this returns: hold no lock here that the release takes.
///
/// # Safety
/// `user_data` must be usable from another thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn target_set_log(
    r#fn: target_log_fn,
    user_data: *mut c_void,
    release: target_free_fn,
    max_level: i32,
) -> target_status {
    guard::status(|| {
        if !(TARGET_LOG_OFF..=TARGET_LOG_TRACE).contains(&max_level) {
            return Err(TARGET_E_INVALID_ARG);
        }
        match r#fn {
            // Nothing would ever use the user_data, and so nothing release it.
            None if release.is_some() => return Err(TARGET_E_INVALID_ARG),
            None => install(None, TARGET_LOG_OFF, None),
            Some(call) => {
                let log = CallbackLog::new(OnLog::new(call, UserData::new(user_data, release)));
                install(Some(Arc::new(CallbackSink(log.clone()))), max_level, Some(log));
            }
        }
        Ok(())
    })
}

/// Has log records arrive in a queue, as completions of kind TARGET_KIND_LOG. Replaces what was set before.
///
/// @param queue      A queue handle; 0 ends logging.
/// @param max_level  TARGET_LOG_*
/// @return TARGET_OK, TARGET_E_INVALID_ARG, TARGET_E_BAD_HANDLE, TARGET_E_FORKED.
///
/// Thread-safe. Waits for a log function set before, if it is running, and releases it as `target_set_log` does.
#[unsafe(no_mangle)]
pub extern "C" fn target_set_log_queue(queue: target_queue, max_level: i32) -> target_status {
    guard::status(|| {
        if !(TARGET_LOG_OFF..=TARGET_LOG_TRACE).contains(&max_level) {
            return Err(TARGET_E_INVALID_ARG);
        }
        if queue == 0 {
            install(None, TARGET_LOG_OFF, None);
            return Ok(());
        }
        let queue = handle::queue(queue)?;
        install(Some(Arc::new(QueueSink { queue, waiting: Arc::new(AtomicUsize::new(0)) })), max_level, None);
        Ok(())
    })
}

/// Name of the cookie that holds session and device id: "mbox". Lives for ever.
///
/// Thread-safe. Does not block.
#[unsafe(no_mangle)]
pub extern "C" fn target_cookie_name() -> *const c_char {
    guard::value(std::ptr::null(), || c"mbox".as_ptr())
}

/// Name of the cookie that holds the edge cluster: "mboxEdgeCluster". Lives for ever.
///
/// Thread-safe. Does not block.
#[unsafe(no_mangle)]
pub extern "C" fn target_location_hint_cookie_name() -> *const c_char {
    guard::value(std::ptr::null(), || c"mboxEdgeCluster".as_ptr())
}

/// Name of the visitor cookie of an organization: "AMCV_" and the id, unencoded. Browsers may send it percent-encoded.
///
/// @param organization_id  NUL-terminated, for example "1234@AdobeOrg".
/// @param buf              Receives the NUL-terminated name. May be NULL when `cap` is 0.
/// @param cap              Size of `buf` in bytes.
/// @param needed           Receives the size that the name needs, NUL included. May be NULL.
/// @return TARGET_OK, TARGET_E_INVALID_ARG (a bad id, or `cap` is smaller than needed).
///
/// Thread-safe. Does not block.
///
/// # Safety
/// `organization_id` must be a NUL-terminated string, `buf` valid for writing `cap` bytes, `needed` NULL or valid for
/// writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn target_visitor_cookie_name(
    organization_id: *const c_char,
    buf: *mut c_char,
    cap: usize,
    needed: *mut usize,
) -> target_status {
    guard::status(|| {
        // SAFETY: contract of this function.
        let needed = unsafe { text::optional_out(needed, 0) };
        if !buf.is_null() && cap > 0 {
            // SAFETY: room for at least one byte.
            unsafe { buf.write(0) };
        }
        // SAFETY: contract of this function.
        let organization_id = unsafe { text::copy(organization_id, TARGET_NUL) }?;
        if organization_id.is_empty() {
            return Err(TARGET_E_INVALID_ARG);
        }
        let name = text::Text::new(format!("AMCV_{organization_id}"));
        let size = name.len() + 1;
        needed.set(size);
        if buf.is_null() || cap < size {
            return Err(TARGET_E_INVALID_ARG);
        }
        // SAFETY: `buf` has room for `cap` bytes, which are enough; `name` holds `size` bytes with its NUL.
        unsafe { std::ptr::copy_nonoverlapping(name.as_ptr(), buf, size) };
        Ok(())
    })
}
