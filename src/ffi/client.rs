//! `target_client_*`: life of a client.

use std::ffi::{c_char, c_void};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use target_sdk_core::client::{Client, FlushReport, State};
use target_sdk_core::env::{Environment, SystemClock};
use target_sdk_core::error::ErrorKind;

use crate::runtime::dispatcher;
use crate::runtime::outstanding::Outstanding;
use crate::runtime::threads::Threads;

use super::callback::{OnEvent, UserData, target_event_fn, target_free_fn};
use super::drain::Drains;
use super::guard;
use super::handle::{self, library, target_client, target_queue, target_result};
use super::hooks::{Hooks, Style};
use super::random::IoRandom;
use super::request::RequestEntry;
use super::result::{ResultEntry, plain_error};
use super::sized::{self, Sized};
use super::status::{
    self, TARGET_E_CALLBACK_STUCK, TARGET_E_CLOSED, TARGET_E_INTERNAL, TARGET_E_INVALID_ARG, TARGET_E_TIMEOUT,
    TARGET_E_WOULD_DEADLOCK, target_status,
};
use super::text;
use super::wait::wait_for;

/// Waiting for the first artifact.
pub const TARGET_STATE_STARTING: i32 = 0;
/// Able to decide as configured.
pub const TARGET_STATE_READY: i32 = 1;
/// On-device decisioning configured and no usable artifact; it goes on trying.
pub const TARGET_STATE_DEGRADED: i32 = 2;
/// Configured never to open a socket.
pub const TARGET_STATE_OFFLINE: i32 = 3;
/// Closing: no new calls, those in flight finish.
pub const TARGET_STATE_DRAINING: i32 = 4;
/// Closed.
pub const TARGET_STATE_CLOSED: i32 = 5;

/// Where the events of a client go. Zero-initialise, set `size`; then either the callback style or the queue style.
#[allow(non_camel_case_types)]
#[repr(C)]
#[derive(Clone, Copy)]
pub struct target_client_hooks {
    /// `sizeof(target_client_hooks)`
    pub size: u32,
    /// Callback style: receives each event.
    pub on_event: target_event_fn,
    /// Handed to `on_event` untouched.
    pub user_data: *mut c_void,
    /// Runs once, after the last event callback. May be NULL.
    pub release: target_free_fn,
    /// Queue style: events arrive here as completions of kind TARGET_KIND_EVENT.
    pub queue: target_queue,
    /// Tag of those completions.
    pub tag: u64,
}

// SAFETY: plain C struct whose first member is `size`; all-zero is a valid value.
unsafe impl Sized for target_client_hooks {}

/// How long `target_client_close` waits for callbacks beyond its drain time.
const CLOSE_GRACE: Duration = Duration::from_millis(200);

/// Calls in flight from which on answers share wake-ups, and are made beside each other.
const BUSY: usize = 8;

/// A client of the host's.
pub(crate) struct ClientEntry {
    handle: target_client,
    pub(crate) core: Client,
    pub(crate) threads: Arc<Threads>,
    /// Calls without an answer, and callbacks that have not returned.
    pub(crate) outstanding: Arc<Outstanding>,
    hooks: Option<Arc<Hooks>>,
    /// Set when `close` gave up waiting: nothing of this client calls back any more.
    silenced: Arc<AtomicBool>,
    drains: Drains,
}

impl ClientEntry {
    /// Whether answers come so often that one wake-up for several of them is better than one for each. With fewer, the host
    /// waits for each one.
    pub(crate) fn is_busy(&self) -> bool {
        self.outstanding.count() > BUSY
    }

    pub(crate) fn may_call_back(&self) -> bool {
        !self.silenced.load(Ordering::Acquire)
    }

    /// Refuses new calls, answers the pending ones with `kind`, stops background work, releases the hooks. Never blocks.
    pub(crate) fn end(self: &Arc<Self>, kind: ErrorKind, message: &'static str) {
        self.core.begin_close();
        self.threads.settle(); // calls that were admitted just before are in the table now
        for request in self.requests() {
            request.cut_off(plain_error(kind, message));
        }
        if let Some(hooks) = &self.hooks {
            hooks.expect_last();
        }
        self.core.shut(); // tells the last event, which ends the hooks
    }

    /// The calls that have not ended.
    fn requests(self: &Arc<Self>) -> Vec<Arc<RequestEntry>> {
        let mut requests = library().requests.all();
        requests.retain(|request| Arc::ptr_eq(request.client(), self));
        requests
    }

    /// Lets calls and notifications finish until `until`, ends what is left, and waits for callbacks.
    fn drain(self: &Arc<Self>, until: Instant) -> Result<(), target_status> {
        self.outstanding.wait(until);
        let left = until.saturating_duration_since(Instant::now());
        let _ = flush(self, left); // what it did is in the counts of the client
        self.end(ErrorKind::Cancelled, "the client was closed before the call was answered");
        if self.outstanding.wait(until + CLOSE_GRACE) {
            return Ok(());
        }
        self.silenced.store(true, Ordering::Release);
        Err(TARGET_E_CALLBACK_STUCK)
    }
}

fn millis(ms: u32) -> Duration {
    Duration::from_millis(u64::from(ms))
}

/// Makes a client.
///
/// The client can be used at once. Events may come from the moment `*out` is written.
///
/// @param config_json  UTF-8 JSON; copied before this returns. See docs/configuration.md.
/// @param len          Its length in bytes, or TARGET_NUL.
/// @param hooks        Where events go; copied. May be NULL. `queue` together with `on_event` or `release`, or a `release`
///                     without `on_event`, is TARGET_E_INVALID_ARG.
/// @param out          Receives the handle; end it with `target_client_destroy`.
/// @param error        Receives an error document when this fails because of the configuration, else 0; owned by the
///                     caller. May be NULL.
/// @return TARGET_OK, TARGET_E_INVALID_ARG, TARGET_E_INVALID_JSON, TARGET_E_INVALID_OPTIONS (an `artifactPayload`,
///         `tlsRoots` or `tlsIdentity` that cannot be used, too), TARGET_E_BAD_HANDLE and TARGET_E_FORKED (`hooks->queue`),
///         TARGET_E_CLOSED (`target_shutdown` on another thread), TARGET_E_INTERNAL (no threads).
///         If it is not TARGET_OK, `user_data` stays yours.
///
/// Thread-safe. Does not block: artifacts are fetched in the background.
///
/// # Safety
/// `config_json` must point to `len` bytes or a NUL-terminated string; `hooks` be NULL or a struct of `size` bytes whose
/// `user_data` may be used from another thread; `out` valid for writing, `error` NULL or valid for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn target_client_create(
    config_json: *const c_char,
    len: usize,
    hooks: *const target_client_hooks,
    out: *mut target_client,
    error: *mut target_result,
) -> target_status {
    guard::status(|| {
        // SAFETY: contract of this function.
        let (out, error) = unsafe { (text::out(out, 0), text::optional_out(error, 0)) };
        let out = out?;
        // SAFETY: contract of this function.
        let config = unsafe { text::copy(config_json, len) }?;
        // SAFETY: contract of this function.
        let wanted = unsafe { sized::optional(hooks) }?;
        let queue = match &wanted {
            Some(hooks) if hooks.queue != 0 => {
                if hooks.on_event.is_some() || hooks.release.is_some() {
                    return Err(TARGET_E_INVALID_ARG);
                }
                Some(handle::queue(hooks.queue)?)
            }
            // Nothing would ever use the user_data, and so nothing release it.
            Some(hooks) if hooks.on_event.is_none() && hooks.release.is_some() => return Err(TARGET_E_INVALID_ARG),
            _ => None,
        };
        let threads = library().threads()?;
        let outstanding = Outstanding::new();
        let silenced = Arc::new(AtomicBool::new(false));
        let hooks = wanted.as_ref().map(|_| Hooks::new(&threads, &outstanding, &silenced));
        let sink = hooks.clone();
        let environment = Environment {
            runtime: threads.handle().clone(),
            clock: Arc::new(SystemClock),
            random: Arc::new(IoRandom),
            events: Arc::new(move |event| {
                if let Some(hooks) = &sink {
                    hooks.emit(event);
                }
            }),
        };
        let core = Client::new(&config, environment).map_err(|failure| {
            let document = ResultEntry::error(&failure);
            if error.is_wanted() {
                error.set(document.publish().unwrap_or(0));
            }
            status::of(failure.kind())
        })?;
        let registering = threads.clone();
        let registering = registering.register().ok_or(TARGET_E_CLOSED)?;
        let (handle, entry) = library()
            .clients
            .insert(|handle| {
                let (hooks, drains) = (hooks.clone(), Drains::default());
                Arc::new(ClientEntry { handle, core, threads, outstanding, hooks, silenced, drains })
            })
            .ok_or(TARGET_E_INTERNAL)?;
        if let (Some(hooks), Some(wanted)) = (hooks, wanted) {
            hooks.begin(
                handle,
                match (queue, wanted.on_event) {
                    (Some(queue), _) => Style::Queue(queue, wanted.tag),
                    (None, Some(call)) => {
                        Style::Callback(Arc::new(OnEvent::new(call, UserData::new(wanted.user_data, wanted.release))))
                    }
                    (None, None) => Style::Off,
                },
            );
        }
        out.set(handle);
        drop(registering);
        entry.core.start();
        Ok(())
    })
}

/// Where a client is in its life.
///
/// @param client  A client handle.
/// @param state   Receives TARGET_STATE_*.
/// @return TARGET_OK, TARGET_E_INVALID_ARG, TARGET_E_BAD_HANDLE, TARGET_E_FORKED.
///
/// Thread-safe. Does not block.
///
/// # Safety
/// `state` must be valid for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn target_client_state(client: target_client, state: *mut i32) -> target_status {
    guard::status(|| {
        // SAFETY: contract of this function.
        let out = unsafe { text::out(state, TARGET_STATE_CLOSED) };
        let entry = handle::client(client)?;
        out?.set(match entry.core.state() {
            State::Starting => TARGET_STATE_STARTING,
            State::Ready => TARGET_STATE_READY,
            State::Degraded => TARGET_STATE_DEGRADED,
            State::Offline => TARGET_STATE_OFFLINE,
            State::Draining => TARGET_STATE_DRAINING,
            State::Closed => TARGET_STATE_CLOSED,
        });
        Ok(())
    })
}

/// Waits until a client is able to decide as configured. A server-side client always is.
///
/// @param client      A client handle.
/// @param timeout_ms  0 does not wait.
/// @return TARGET_OK, TARGET_E_TIMEOUT (still starting), TARGET_E_NOT_READY (the first artifact could not be had; the client
///         goes on trying), TARGET_E_CLOSED, TARGET_E_BAD_HANDLE, TARGET_E_FORKED.
///
/// Thread-safe. Blocks for at most `timeout_ms`.
#[unsafe(no_mangle)]
pub extern "C" fn target_client_wait_ready(client: target_client, timeout_ms: u32) -> target_status {
    guard::status(|| {
        let entry = handle::client(client)?;
        if let Some(known) = entry.core.readiness() {
            return known.map_err(|error| status::of(error.kind()));
        }
        if timeout_ms == 0 {
            return Err(TARGET_E_TIMEOUT);
        }
        let core = entry.core.clone();
        wait_for(&entry.threads, millis(timeout_ms), async move { core.ready().await })
            .or_else(|| entry.core.readiness())
            .ok_or(TARGET_E_TIMEOUT)?
            .map_err(|error| status::of(error.kind()))
    })
}

/// Sends what is queued in the background (notifications, telemetry) and waits for the outcome.
///
/// @param client      A client handle.
/// @param timeout_ms  How long to wait; with 0 what is queued is sent without this waiting for it, and the report says what is
///                    pending.
/// @param report      Receives `{"delivered":n,"dropped":n,"pending":n}`, counting notifications accepted before this call;
///                    owned by the caller. May be NULL.
/// @return TARGET_OK (nothing is pending), TARGET_E_TIMEOUT (something is, and stays queued), TARGET_E_BAD_HANDLE,
///         TARGET_E_CLOSED, TARGET_E_FORKED.
///
/// Thread-safe. Blocks for at most `timeout_ms` + 100 ms, which are for the way to the library's threads and back.
///
/// # Safety
/// `report` must be NULL or valid for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn target_client_flush(
    client: target_client,
    timeout_ms: u32,
    report: *mut target_result,
) -> target_status {
    guard::status(|| {
        // SAFETY: contract of this function.
        let report = unsafe { text::optional_out(report, 0) };
        let entry = handle::client(client)?;
        if matches!(entry.core.state(), State::Closed) {
            return Err(TARGET_E_CLOSED);
        }
        let outcome = flush(&entry, millis(timeout_ms)).ok_or(TARGET_E_TIMEOUT)?;
        if report.is_wanted() {
            let FlushReport { delivered, dropped, pending } = outcome;
            let json = format!(r#"{{"delivered":{delivered},"dropped":{dropped},"pending":{pending}}}"#);
            report.set(ResultEntry::document(json).publish()?);
        }
        if outcome.pending > 0 { Err(TARGET_E_TIMEOUT) } else { Ok(()) }
    })
}

fn flush(entry: &Arc<ClientEntry>, timeout: Duration) -> Option<FlushReport> {
    let core = entry.core.clone();
    // The client keeps the time; the extra is for the hand-over between threads.
    wait_for(
        &entry.threads,
        timeout.saturating_add(Duration::from_millis(100)),
        async move { core.flush(timeout).await },
    )
}

/// Statistics of a client.
///
/// @param client  A client handle.
/// @param out     Receives a JSON document, described in docs/statistics.md; owned by the caller.
/// @return TARGET_OK, TARGET_E_INVALID_ARG, TARGET_E_BAD_HANDLE, TARGET_E_FORKED.
///
/// Thread-safe. Does not block.
///
/// # Safety
/// `out` must be valid for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn target_client_stats(client: target_client, out: *mut target_result) -> target_status {
    guard::status(|| {
        // SAFETY: contract of this function.
        let out = unsafe { text::out(out, 0) };
        let entry = handle::client(client)?;
        let out = out?;
        out.set(ResultEntry::document(entry.core.stats()).publish()?);
        Ok(())
    })
}

/// The rules artifact in use, for starting another process without a download (`artifactPayload`, `artifactFile`).
///
/// @param client  A client handle.
/// @param out     Receives the artifact as JSON; owned by the caller.
/// @return TARGET_OK, TARGET_E_NOT_READY (there is none), TARGET_E_INVALID_ARG, TARGET_E_BAD_HANDLE, TARGET_E_FORKED.
///
/// Thread-safe. Does not block.
///
/// # Safety
/// `out` must be valid for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn target_client_artifact(client: target_client, out: *mut target_result) -> target_status {
    guard::status(|| {
        // SAFETY: contract of this function.
        let out = unsafe { text::out(out, 0) };
        let entry = handle::client(client)?;
        let out = out?;
        let artifact = entry.core.artifact().map_err(|error| status::of(error.kind()))?;
        out.set(ResultEntry::document(artifact).publish()?);
        Ok(())
    })
}

/// Closes a client: refuses new calls, lets those in flight finish, sends what is queued, cancels what is left when
/// `drain_ms` have passed, and waits for callbacks. Returns within `drain_ms` + 200 ms whatever happens.
///
/// After it returned, no callback of this client is running or will run. The handle stays valid for
/// `target_client_state` and `target_client_destroy`.
///
/// A close during another one waits for that one's end, which it neither hastens nor puts off; after its own `drain_ms` +
/// 200 ms it gives up: TARGET_E_TIMEOUT, and callbacks may still run. `target_client_destroy` and `target_shutdown` on
/// another thread end the drain at once.
///
/// @param client    A client handle.
/// @param drain_ms  Time for calls and queued notifications to finish; 0 cancels them at once.
/// @param report    Receives `{"completed":n,"cancelled":n,"delivered":n,"dropped":n}`: what became of the calls in flight
///                  when this was called (cancelled: cut off by the end of the client, whoever ended it), and of
///                  notifications since; owned by the caller. May be NULL.
/// @return TARGET_OK, TARGET_E_CALLBACK_STUCK (a callback does not return; nothing else of this client will be called back),
///         TARGET_E_TIMEOUT (another close is not over yet), TARGET_E_WOULD_DEADLOCK (called from a callback),
///         TARGET_E_BAD_HANDLE, TARGET_E_FORKED.
///
/// Thread-safe. Blocks for at most `drain_ms` + 200 ms.
///
/// # Safety
/// `report` must be NULL or valid for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn target_client_close(
    client: target_client,
    drain_ms: u32,
    report: *mut target_result,
) -> target_status {
    guard::status(|| {
        // SAFETY: contract of this function.
        let report = unsafe { text::optional_out(report, 0) };
        let entry = handle::client(client)?;
        if dispatcher::is_current() {
            return Err(TARGET_E_WOULD_DEADLOCK);
        }
        let drain_until = Instant::now().checked_add(millis(drain_ms)).unwrap_or_else(Instant::now);
        let (delivered, dropped) = entry.core.notified();
        entry.core.begin_close();
        entry.threads.settle(); // calls that were admitted just before are counted now
        let mut in_flight = entry.requests();
        in_flight.retain(|request| request.is_in_flight());
        let outcome = entry.drains.run_or_join(drain_until + CLOSE_GRACE, || entry.drain(drain_until));
        if report.is_wanted() {
            // All notifications have an outcome now, unless this has only waited for another close, and not long enough.
            let (delivered_by_now, dropped_by_now) = entry.core.notified();
            // By this close, another one, `destroy` or `shutdown`.
            let cancelled = in_flight.iter().filter(|request| request.was_cut_off()).count();
            let completed = in_flight.iter().filter(|request| !request.was_cut_off() && !request.is_running()).count();
            let json = format!(
                r#"{{"completed":{completed},"cancelled":{cancelled},"delivered":{},"dropped":{}}}"#,
                delivered_by_now - delivered,
                dropped_by_now - dropped
            );
            report.set(ResultEntry::document(json).publish()?);
        }
        outcome
    })
}

/// Ends a client at once: its handle is gone, calls in flight complete with TARGET_E_CLOSED. Queued notifications are lost;
/// call `target_client_close` first to send them. A close that another thread is waiting in ends at once.
///
/// @param client  A client handle; 0 is ignored.
/// @return TARGET_OK, TARGET_E_BAD_HANDLE, TARGET_E_FORKED.
///
/// Thread-safe. Never blocks.
#[unsafe(no_mangle)]
pub extern "C" fn target_client_destroy(client: target_client) -> target_status {
    guard::status(|| {
        if client == 0 {
            return Ok(());
        }
        let entry = handle::take_client(client)?;
        debug_assert_eq!(entry.handle, client);
        entry.end(ErrorKind::Closed, "the client was destroyed");
        Ok(())
    })
}
