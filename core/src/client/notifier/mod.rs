//! Notifications of on-device decisions, sent in the background: gathered, bounded, tried again, accounted for.
//!
//! The guarantee: while the process lives and the client is open, each accepted notification is sent until the server
//! acknowledges it, refuses it for good, or it is too old; every attempt carries the same ids. Each one given up is
//! counted, and told by the event `sendNotificationError`, whose `notification` member can be given back to
//! `sendNotifications`.

mod queue;
mod sender;
#[cfg(test)]
mod tests;

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use self::queue::{Dropped, Queue};
use super::FlushReport;
use super::events::{EventWriter, Events};
use crate::env::{Environment, Random};
use crate::error::{Error, Result};
use crate::json::write_str;

/// What notifications of one decision share. Those of equal origin may travel in one request.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Origin {
    /// Session of the visitor.
    pub(crate) session_id: String,
    /// Edge cluster of the visitor, if known.
    pub(crate) location_hint: Option<String>,
    /// Further members of the request, as JSON texts: `id`, `property`, `context`, `environmentId`, ...
    pub(crate) members: Vec<(&'static str, String)>,
}

impl Origin {
    fn bytes(&self) -> usize {
        let members: usize = self.members.iter().map(|(key, json)| key.len() + json.len()).sum();
        self.session_id.len() + self.location_hint.as_deref().map_or(0, str::len) + members
    }

    /// A request of this origin, as options of `sendNotifications`.
    pub(crate) fn options_json(&self, request_id: &str, notifications: &[String]) -> String {
        let mut out = String::from("{\"sessionId\":");
        write_str(&mut out, &self.session_id);
        if let Some(hint) = &self.location_hint {
            out.push_str(",\"targetLocationHint\":");
            write_str(&mut out, hint);
        }
        out.push_str(",\"request\":{\"requestId\":");
        write_str(&mut out, request_id);
        for (key, json) in &self.members {
            out.push(',');
            write_str(&mut out, key);
            out.push(':');
            out.push_str(json);
        }
        if !notifications.is_empty() {
            out.push_str(",\"notifications\":[");
            out.push_str(&notifications.join(","));
            out.push(']');
        }
        out.push_str("}}");
        out
    }
}

/// One request to be sent. All attempts send the same.
pub(crate) struct Letter {
    /// `requestId` of the request.
    pub(crate) request_id: String,
    /// `None`: nothing but the waiting measurements is to be sent.
    pub(crate) origin: Option<Arc<Origin>>,
    /// Notifications as JSON texts, in the order they were accepted.
    pub(crate) notifications: Vec<String>,
}

impl Letter {
    /// The letter as options of `sendNotifications`.
    pub(crate) fn options_json(&self) -> String {
        match &self.origin {
            Some(origin) => origin.options_json(&self.request_id, &self.notifications),
            None => {
                let mut out = String::from("{\"request\":{\"requestId\":");
                write_str(&mut out, &self.request_id);
                out.push_str(",\"context\":{\"channel\":\"web\"}}}");
                out
            }
        }
    }
}

/// An attempt to send a letter.
#[derive(Clone)]
pub(crate) struct Outgoing {
    pub(crate) letter: Arc<Letter>,
    /// 1 for the first one.
    pub(crate) attempt: u32,
}

/// Sends a letter. Waiting measurements travel with it: the sender of the request takes them, and keeps them if it fails.
/// Has its own deadline; when dropped, it ends the I/O.
pub(crate) type SendLetter = Arc<dyn Fn(Outgoing) -> Sending + Send + Sync>;
/// A letter on its way.
pub(crate) type Sending = Pin<Box<dyn Future<Output = Result<()>> + Send>>;
/// How many measurements wait to be sent. Called under the notifier's lock: must not call the notifier.
pub(crate) type PendingTelemetry = Arc<dyn Fn() -> usize + Send + Sync>;

/// Sizes and times of the queue.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// How long a batch waits for more of its origin.
    pub(crate) linger: Duration,
    /// Notifications of one request.
    pub(crate) max_batch: usize,
    /// Notifications without an outcome.
    pub(crate) max_notifications: usize,
    /// Bytes of these, and of what they share.
    pub(crate) max_bytes: usize,
    /// Requests under way at once: this queue's own lane, which leaves the connections to the calls of the host.
    pub(crate) lanes: usize,
    /// Attempts to send one batch.
    pub(crate) max_attempts: u32,
    /// A batch older than this is not tried again.
    pub(crate) max_age: Duration,
    /// Longest wait before the second attempt; doubled for each further one.
    pub(crate) backoff_first: Duration,
    /// Longest wait between two attempts.
    pub(crate) backoff_most: Duration,
    /// The same while the client is closing.
    pub(crate) backoff_draining: Duration,
    /// So many measurements are sent at once.
    pub(crate) telemetry_threshold: usize,
    /// Fewer are sent after this time.
    pub(crate) telemetry_interval: Duration,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            linger: Duration::from_millis(50),
            max_batch: 50,
            max_notifications: 10_000,
            max_bytes: 8 << 20,
            lanes: 4,
            max_attempts: 40,
            max_age: Duration::from_secs(600),
            backoff_first: Duration::from_millis(500),
            backoff_most: Duration::from_secs(30),
            backoff_draining: Duration::from_secs(1),
            telemetry_threshold: 100,
            telemetry_interval: Duration::from_secs(60),
        }
    }
}

/// The background queue of one client. When dropped, it gives up what it has.
pub(crate) struct Notifier {
    inner: Arc<Inner>,
    runtime: tokio::runtime::Handle,
    started: AtomicBool,
}

struct Inner {
    lanes: usize,
    telemetry_threshold: usize,
    queue: Mutex<Queue>,
    /// Rung when there is something for the sender to do.
    wake: Notify,
    /// Whether a few more measurements change nothing.
    expects_telemetry: AtomicBool,
    send: SendLetter,
    pending_telemetry: PendingTelemetry,
    random: Arc<dyn Random>,
    events: Events,
}

impl Notifier {
    /// A queue that takes notifications and sends none until [`Notifier::start`].
    pub(crate) fn new(
        settings: Settings,
        environment: &Environment,
        events: Events,
        send: SendLetter,
        pending_telemetry: PendingTelemetry,
    ) -> Notifier {
        let inner = Arc::new(Inner {
            lanes: settings.lanes.max(1),
            telemetry_threshold: settings.telemetry_threshold,
            queue: Mutex::new(Queue::new(settings)),
            wake: Notify::new(),
            expects_telemetry: AtomicBool::new(false),
            send,
            pending_telemetry,
            random: environment.random.clone(),
            events,
        });
        Notifier { inner, runtime: environment.runtime.clone(), started: AtomicBool::new(false) }
    }

    /// Starts the one task that sends. It sleeps without a timer while there is nothing to send.
    pub(crate) fn start(&self) {
        if !self.started.swap(true, SeqCst) {
            self.runtime.spawn(sender::run(self.inner.clone()));
        }
    }

    /// Accepts notifications (JSON texts) of one decision, all or none. When there is no room they are dropped: counted,
    /// and told by an event.
    pub(crate) fn push(&self, origin: Origin, mut notifications: Vec<String>) {
        if notifications.is_empty() {
            return;
        }
        let origin = Arc::new(origin);
        let taken = self.inner.lock().push(&origin, &mut notifications, Instant::now());
        match taken {
            Ok(true) => self.inner.wake.notify_one(),
            Ok(false) => {}
            Err(error) => {
                let letter = Letter { request_id: self.inner.random.id(), origin: Some(origin), notifications };
                self.inner.tell(&Dropped { letter: Arc::new(letter), error });
            }
        }
    }

    /// To be called when a measurement was stored: sees to it that it is sent some day, also without notifications.
    pub(crate) fn note_telemetry(&self) {
        let pending = (self.inner.pending_telemetry)();
        if pending < self.inner.telemetry_threshold && self.inner.expects_telemetry.load(SeqCst) {
            return;
        }
        let wake = self.inner.with_telemetry(|queue| queue.note_telemetry(pending, Instant::now()));
        if wake {
            self.inner.wake.notify_one();
        }
    }

    /// Sends what is queued without lingering; returns when everything accepted before has an outcome, or `timeout` passed.
    /// What is pending then stays queued.
    pub(crate) async fn flush(&self, timeout: Duration) -> FlushReport {
        let pending = (self.inner.pending_telemetry)();
        let (id, done) = self.inner.with_telemetry(|queue| queue.begin_flush(pending, Instant::now()));
        let flush = Flush { inner: &self.inner, id };
        self.inner.wake.notify_one();
        // Either way the report says how far it went.
        let _ = tokio::time::timeout(timeout, done).await;
        flush.end()
    }

    /// The client is closing: from now on nothing lingers and failed batches are tried again soon.
    pub(crate) fn begin_drain(&self) {
        self.inner.lock().begin_drain(Instant::now());
        self.inner.wake.notify_one();
    }

    /// Stops sending, ends requests under way, gives up what is left: counted, and told by events. Idempotent.
    pub(crate) fn shut(&self) {
        let dropped = self.inner.lock().shut(&*self.inner.random);
        self.inner.wake.notify_one();
        for dropped in &dropped {
            self.inner.tell(dropped);
        }
    }

    /// Notifications acknowledged, and given up.
    pub(crate) fn outcomes(&self) -> (u64, u64) {
        let counters = self.inner.lock().counters;
        (counters.delivered, counters.dropped)
    }

    /// `{"queued":…,"queuedBytes":…,"accepted":…,"delivered":…,"dropped":…,"refused":…,"requests":…,"retries":…}`, where
    /// accepted = delivered + dropped + queued.
    pub(crate) fn json(&self) -> String {
        let queue = self.inner.lock();
        let ((queued, bytes), counters) = (queue.load(), queue.counters);
        drop(queue);
        format!(
            r#"{{"queued":{queued},"queuedBytes":{bytes},"accepted":{},"delivered":{},"dropped":{},"refused":{},"requests":{},"retries":{}}}"#,
            counters.accepted,
            counters.delivered,
            counters.dropped,
            counters.refused,
            counters.requests,
            counters.retries
        )
    }
}

impl Drop for Notifier {
    fn drop(&mut self) {
        self.shut();
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something that may change whether measurements are expected.
    fn with_telemetry<T>(&self, action: impl FnOnce(&mut Queue) -> T) -> T {
        let mut queue = self.lock();
        let result = action(&mut queue);
        self.expects_telemetry.store(queue.expects_telemetry(), SeqCst);
        result
    }

    fn tell(&self, dropped: &Dropped) {
        let Dropped { letter, error } = dropped;
        let count = letter.notifications.len();
        // The message of an error never holds ids; the notifications themselves are for the host only.
        log::warn!(target: "target_sdk::notifier", "{count} notifications were given up: {}", error.message());
        let event = EventWriter::new("sendNotificationError").json("notification", &letter.options_json()).error(error);
        self.events.emit(event.finish());
    }

    fn settle(&self, id: u64, outcome: Result<(), Error>) {
        let dropped = self.with_telemetry(|queue| queue.settle(id, outcome, Instant::now()));
        if let Some(dropped) = dropped {
            self.tell(&dropped);
        }
    }
}

/// A flush under way. When dropped before its end, nothing of it stays behind.
struct Flush<'n> {
    inner: &'n Inner,
    id: u64,
}

impl Flush<'_> {
    fn end(self) -> FlushReport {
        self.inner.lock().end_flush(self.id)
    }
}

impl Drop for Flush<'_> {
    fn drop(&mut self) {
        // After `end` there is nothing of this id.
        self.inner.lock().end_flush(self.id);
    }
}

crate::opaque::opaque_debug! { Origin {} Letter {} Outgoing { attempt } }
