//! One Target client: its life cycle, limits, ready state and events; chooses between delivery and decisioning.

// The client that joins these comes with the parts that they serve.
#[allow(dead_code)]
mod events;
#[allow(dead_code)]
mod life;
#[allow(dead_code)]
mod limits;
#[allow(dead_code)]
mod notifier;
#[allow(dead_code)]
mod stats;

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

pub use self::limits::Admission;
use self::limits::Limits;
use crate::config::Config;
use crate::env::Environment;
use crate::error::{Error, Result};

/// A client of Adobe Target. Cheap to clone; all clones are the same client.
#[derive(Clone)]
pub struct Client {
    environment: Environment,
    limits: Limits,
}

/// Life cycle of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Waiting for the first artifact.
    Starting,
    /// Able to decide as configured.
    Ready,
    /// On-device decisioning configured and no usable artifact; it goes on trying.
    Degraded,
    /// Configured never to open a socket.
    Offline,
    /// Closing: no new calls, those in flight finish.
    Draining,
    /// Closed.
    Closed,
}

/// What a call asks for. The texts are JSON, unchecked.
#[derive(Debug)]
pub enum Operation {
    /// Offers.
    GetOffers {
        /// `{"request": …, "sessionId": …}`
        options: String,
    },
    /// Notifications.
    SendNotifications {
        /// `{"request": {"notifications": […]}}`
        options: String,
    },
    /// Attributes of mboxes.
    GetAttributes {
        /// `["mbox", …]`
        mbox_names: String,
        /// As for offers; empty or `null`: none.
        options: String,
    },
}

/// The answer to a call.
#[derive(Debug)]
pub struct Answer {
    /// The envelope as JSON.
    pub json: String,
}

/// A call on its way.
pub enum Call {
    /// Answered without I/O.
    Ready(Result<Answer>),
    /// Needs the network. Dropping the future cancels the call.
    Pending(Pin<Box<dyn Future<Output = Result<Answer>> + Send>>),
}

/// Outcome of a flush or close, of everything accepted before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlushReport {
    /// Notifications the server acknowledged.
    pub delivered: u64,
    /// Notifications given up, with the reason in the log and in an event.
    pub dropped: u64,
    /// Notifications still queued when the time was over.
    pub pending: u64,
}

impl Client {
    /// Validates `config_json` and prepares a client. Nothing runs until [`Client::start`].
    pub fn new(config_json: &str, environment: Environment) -> Result<Client> {
        let config = Config::parse(config_json)?;
        let limits = Limits::new(config.max_in_flight, config.max_queued);
        Ok(Client { environment, limits })
    }

    /// Starts background work: artifact, polling, readiness, notifications. Events may come from now on.
    pub fn start(&self) {
        let _ = &self.environment;
    }

    /// Takes a place for one call: `QueueFull` or `Closed` when there is none.
    pub fn admit(&self) -> Result<Admission> {
        self.limits.admit()
    }

    /// Begins a call. `timeout` (default: the configured one) counts from `accepted`, when the host made the call.
    ///
    /// A call that can be decided in this process comes back [`Call::Ready`], whatever thread this runs on.
    pub fn call(&self, operation: Operation, accepted: std::time::Instant, timeout: Option<Duration>) -> Call {
        let _ = (operation, accepted, timeout);
        Call::Ready(Err(Error::internal("not built yet")))
    }

    /// Where the client is in its life.
    pub fn state(&self) -> State {
        State::Ready
    }

    /// Waits until the client is ready (`Ok`), known not to be (`NotReady`), or closed.
    pub async fn ready(&self) -> Result<()> {
        Ok(())
    }

    /// Statistics as JSON.
    pub fn stats(&self) -> String {
        "{}".to_owned()
    }

    /// The artifact in use as JSON text, for bootstrapping another process.
    pub fn artifact(&self) -> Result<String> {
        Err(Error::new(crate::error::ErrorKind::NotReady, "there is no artifact"))
    }

    /// Sends what is queued in the background; returns when all of it has an outcome or `timeout` passed.
    pub async fn flush(&self, timeout: Duration) -> FlushReport {
        let _ = timeout;
        FlushReport::default()
    }

    /// Refuses new calls from now on.
    pub fn begin_close(&self) {
        self.limits.begin_close();
    }

    /// Stops all background work at once; state becomes `Closed`. Idempotent.
    pub fn shut(&self) {}
}
