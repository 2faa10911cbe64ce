//! What a client is handed from outside: the runtime it runs on, the clock, randomness, and where its events go.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Wall clock. Used for rules, cookies and timestamps; waits use monotonic time.
pub trait Clock: Send + Sync {
    /// Milliseconds since the Unix epoch; negative before it.
    fn now_ms(&self) -> i64;
}

/// Source of unpredictable bytes for ids.
pub trait Random: Send + Sync {
    /// Fills `bytes`.
    fn fill(&self, bytes: &mut [u8]);

    /// A version 4 UUID as Target's SDKs write request and session ids: 32 hexadecimal digits, no dashes.
    fn id(&self) -> String {
        let mut bytes = [0; 16];
        self.fill(&mut bytes);
        uuid::Builder::from_random_bytes(bytes).into_uuid().simple().to_string()
    }
}

/// The system's clock.
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_ms(&self) -> i64 {
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |ms| -ms),
        }
    }
}

/// A clock kept within what timestamps of the Delivery API can say: from 1970 to the last moment of JavaScript's dates.
///
/// A machine that has lost its time would otherwise have measurements and notifications refused for it.
pub(crate) struct Bounded(pub(crate) Arc<dyn Clock>);

impl Clock for Bounded {
    fn now_ms(&self) -> i64 {
        self.0.now_ms().clamp(0, 8_640_000_000_000_000)
    }
}

/// The operating system's random source.
pub struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, bytes: &mut [u8]) {
        if getrandom::fill(bytes).is_err() {
            // Only on kernels without a random device: unique ids still matter more than unpredictable ones.
            fastrand::fill(bytes);
        }
    }
}

/// Something that happened to a client: `clientReady`, `artifactDownloadFailed`, ...
#[derive(Clone)]
pub struct Event {
    /// The event's name, as in the Node SDK.
    pub name: &'static str,
    /// The whole event as a JSON object; its `type` member is `name`.
    pub json: String,
}

/// Receives the events of one client, in order. Called on the client's tasks: must not block.
pub type EventSink = Arc<dyn Fn(Event) + Send + Sync>;

/// Everything a client is handed from outside.
#[derive(Clone)]
pub struct Environment {
    /// The runtime that runs the client's tasks. The client never creates or looks for one.
    pub runtime: tokio::runtime::Handle,
    /// Wall clock.
    pub clock: Arc<dyn Clock>,
    /// Randomness for ids.
    pub random: Arc<dyn Random>,
    /// Where events go.
    pub events: EventSink,
}

impl Environment {
    /// The system's clock and random source, and events that go nowhere.
    pub fn system(runtime: tokio::runtime::Handle) -> Environment {
        Environment { runtime, clock: Arc::new(SystemClock), random: Arc::new(SystemRandom), events: Arc::new(|_| {}) }
    }
}

crate::opaque::opaque_debug! { Event { name } }
