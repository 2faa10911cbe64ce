//! `target_queue_*`: completions for hosts with their own event loop, and for bindings.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::runtime::queue::Queue;

use super::guard;
use super::handle::{self, library, target_queue, target_request, target_result};
use super::hooks::Waiting;
use super::request::RequestEntry;
use super::result::ResultEntry;
use super::status::{TARGET_E_BAD_HANDLE, TARGET_E_INTERNAL, TARGET_E_INVALID_ARG, TARGET_OK, target_status};
use super::text;

/// The answer of a call; `tag` is the one of its `target_call`.
pub const TARGET_KIND_CALL: i32 = 0;
/// An event of a client, with `"dropped":n` when n events before it were lost; `tag` is the one of its
/// `target_client_hooks`, `request` is 0.
pub const TARGET_KIND_EVENT: i32 = 1;
/// A log record, `{"ts":1700000000000,"level":2,"target":"…","message":"…"}`, with `"dropped":n` when n records before it were
/// lost; `tag` and `request` are 0.
pub const TARGET_KIND_LOG: i32 = 2;

/// Something that a queue hands out.
#[allow(non_camel_case_types)]
#[repr(C)]
#[derive(Clone, Copy)]
pub struct target_completion {
    /// The host's tag.
    pub tag: u64,
    /// The call that this answers; its handle has ended.
    pub request: target_request,
    /// The document. Owned by the poller: `target_result_free`.
    pub result: target_result,
    /// Status of the document.
    pub status: target_status,
    /// TARGET_KIND_*
    pub kind: i32,
}

/// A queue of the host's.
pub(crate) struct QueueEntry {
    pub(crate) items: Queue<Item>,
}

/// What waits in a queue.
pub(crate) enum Item {
    Call {
        request: Arc<RequestEntry>,
        tag: u64,
        result: Arc<ResultEntry>,
    },
    /// `waiting` counts the events of one client that are in the queue.
    Event {
        tag: u64,
        result: Arc<ResultEntry>,
        waiting: Arc<Waiting>,
    },
    /// `waiting` counts the records of one log that are in the queue.
    Log {
        result: Arc<ResultEntry>,
        waiting: Arc<AtomicUsize>,
    },
}

impl Item {
    /// Hands the item out; `None` if nobody wants it any more.
    fn complete(self) -> Option<target_completion> {
        let (tag, request, result, kind) = match self {
            Item::Call { request, tag, result } => {
                let handle = request.handle();
                if !request.collect() {
                    return None;
                }
                (tag, handle, result, TARGET_KIND_CALL)
            }
            Item::Event { tag, result, waiting } => {
                waiting.leave();
                (tag, 0, result, TARGET_KIND_EVENT)
            }
            Item::Log { result, waiting } => {
                waiting.fetch_sub(1, Ordering::Relaxed);
                (0, 0, result, TARGET_KIND_LOG)
            }
        };
        let status = result.status();
        Some(match result.publish() {
            Ok(result) => target_completion { tag, request, result, status, kind },
            Err(status) => target_completion { tag, request, result: 0, status, kind },
        })
    }
}

/// Makes a completion queue.
///
/// @param out  Receives the handle; end it with `target_queue_destroy`.
/// @return TARGET_OK, TARGET_E_INVALID_ARG, TARGET_E_INTERNAL.
///
/// Thread-safe. Does not block.
///
/// # Safety
/// `out` must be valid for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn target_queue_create(out: *mut target_queue) -> target_status {
    guard::status(|| {
        // SAFETY: contract of this function.
        let out = unsafe { text::out(out, 0) }?;
        let (handle, _) =
            library().queues.insert(|_| Arc::new(QueueEntry { items: Queue::new() })).ok_or(TARGET_E_INTERNAL)?;
        out.set(handle);
        Ok(())
    })
}

/// A descriptor of the operating system: `intptr_t`, which has room for every kind there is.
pub type Descriptor = isize;

/// A descriptor for epoll, poll or select: readable (level-triggered) while the queue has something to poll.
///
/// @param queue  A queue handle.
/// @param fd     Receives the descriptor. It is close-on-exec and belongs to the library: only watch it, and stop watching
///               before `target_queue_destroy`.
/// @return TARGET_OK, TARGET_E_INVALID_ARG, TARGET_E_BAD_HANDLE, TARGET_E_INTERNAL (no descriptor to be had),
///         TARGET_E_FORKED.
///
/// Thread-safe. Does not block.
///
/// # Safety
/// `fd` must be valid for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn target_queue_fd(queue: target_queue, fd: *mut Descriptor) -> target_status {
    guard::status(|| {
        // SAFETY: contract of this function.
        let out = unsafe { text::out(fd, -1) };
        let entry = handle::queue(queue)?;
        let fd = entry.items.fd().map_err(|error| {
            log::error!(target: "target_sdk::ffi", "cannot make a descriptor for a queue: {error}");
            TARGET_E_INTERNAL
        })?;
        out?.set(fd as Descriptor);
        Ok(())
    })
}

/// Takes completions, in the order they came.
///
/// @param queue       A queue handle.
/// @param out         Room for `max` completions. Each `result` is owned by the caller.
/// @param max         At least 1.
/// @param timeout_ms  How long to wait for the first one; 0 does not wait, a negative number waits without limit.
/// @return How many were taken; 0 when the time passed or `target_queue_wake` was called; or TARGET_E_INVALID_ARG,
///         TARGET_E_BAD_HANDLE, TARGET_E_FORKED, TARGET_E_INTERNAL.
///
/// Thread-safe; several threads may poll one queue. Blocks for at most `timeout_ms`.
///
/// # Safety
/// `out` must be valid for writing `max` completions.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn target_queue_poll(
    queue: target_queue,
    out: *mut target_completion,
    max: u32,
    timeout_ms: i32,
) -> i32 {
    guard::value(TARGET_E_INTERNAL, || {
        if out.is_null() || max == 0 {
            return TARGET_E_INVALID_ARG;
        }
        let entry = match handle::queue(queue) {
            Ok(entry) => entry,
            Err(status) => return status,
        };
        let max = max.min(i32::MAX as u32) as usize;
        let until = u64::try_from(timeout_ms).ok().map(|ms| Instant::now() + Duration::from_millis(ms));
        let mut items = Vec::new();
        let mut count = 0;
        loop {
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            let Some(woken) = entry.items.take(&mut items, max, left) else {
                return TARGET_E_BAD_HANDLE; // destroyed meanwhile
            };
            let only_unwanted = !items.is_empty();
            for completion in items.drain(..).filter_map(Item::complete) {
                // SAFETY: fewer than `max` have been written, and the host vouched for that many.
                unsafe { out.add(count).write(completion) };
                count += 1;
            }
            if count > 0 || !only_unwanted || woken {
                return count as i32;
            }
        }
    })
}

/// Makes one `target_queue_poll` on this queue, running or the next, return at once.
///
/// @param queue  A queue handle.
/// @return TARGET_OK, TARGET_E_BAD_HANDLE, TARGET_E_FORKED.
///
/// Thread-safe. Does not block. Not for signal handlers.
#[unsafe(no_mangle)]
pub extern "C" fn target_queue_wake(queue: target_queue) -> target_status {
    guard::status(|| {
        handle::queue(queue)?.items.wake();
        Ok(())
    })
}

/// Ends a queue. What was not polled is thrown away; calls that would have arrived here run on, unheard.
///
/// @param queue  A queue handle; 0 is ignored.
/// @return TARGET_OK, TARGET_E_BAD_HANDLE, TARGET_E_FORKED.
///
/// Thread-safe. Does not block; polls on it return TARGET_E_BAD_HANDLE.
#[unsafe(no_mangle)]
pub extern "C" fn target_queue_destroy(queue: target_queue) -> target_status {
    guard::status(|| {
        if queue == 0 {
            return Ok(());
        }
        for item in handle::take_queue(queue)?.items.close() {
            match item {
                Item::Call { request, .. } => drop(request.collect()),
                Item::Event { waiting, .. } => waiting.leave(),
                Item::Log { waiting, .. } => drop(waiting.fetch_sub(1, Ordering::Relaxed)),
            }
        }
        Ok(())
    })
}

/// Appends a document that no call asked for.
pub(crate) fn push(queue: &QueueEntry, item: Item) {
    debug_assert!(!matches!(item, Item::Call { .. }));
    let _ = queue.items.push(item); // a destroyed queue has no reader
}

const _: () = assert!(TARGET_OK == 0, "a count of completions and TARGET_OK share their zero");
