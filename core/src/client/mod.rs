//! One Target client: its life cycle, limits, ready state and events; chooses between delivery and decisioning.

mod background;
mod call;
mod events;
mod life;
mod limits;
mod local;
mod notifier;
mod stats;

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;

use self::events::{EventWriter, Events};
use self::life::Life;
pub use self::limits::Admission;
use self::limits::Limits;
use self::notifier::Notifier;
pub use self::stats::Running;
use self::stats::Stats;
use crate::artifact::{self, Geo};
use crate::config::{Config, DecisioningMethod};
use crate::decisioning::Ruleset;
use crate::env::{self, Environment};
use crate::error::{Error, ErrorKind, Result};
use crate::telemetry::Telemetry;
use crate::transport::Transport;

/// A client of Adobe Target. Cheap to clone; all clones are the same client.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    config: Config,
    environment: Environment,
    life: Life,
    limits: Limits,
    stats: Stats,
    telemetry: Arc<Telemetry>,
    events: Events,
    /// `None`: offline.
    transport: Option<Transport>,
    /// `None`: every call is for the server.
    artifact: Option<Provider>,
    geo: Option<Geo>,
    /// Call that the waiting measurements began with, as options: they are sent in its name.
    measured: ArcSwapOption<String>,
    /// Set by [`Client::start`] when decisions may cause notifications.
    notifier: OnceLock<Notifier>,
    /// Edge cluster of the last answer: where the next call goes, whoever the visitor is.
    sticky_hint: ArcSwapOption<String>,
}

/// Where the rules come from.
type Provider = artifact::Provider<Ruleset>;

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
pub struct Answer {
    /// The envelope as JSON; an answer to [`Operation::GetAttributes`] has the member `attributes` besides.
    pub json: String,
    /// Name under which the offers of the page load count as attributes, if the client is configured so.
    pub page_load_mbox: Option<Arc<str>>,
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
        let events = Events::new(environment.events.clone());
        // What parts of the client tell goes through its own queue, so that events come in order and numbered.
        let clock = Arc::new(env::Bounded(environment.clock));
        let environment = Environment { events: events.sink(), clock, ..environment };
        let transport = if config.offline { None } else { Some(Transport::new(&config.transport)?) };
        let (artifact, geo) = match config.decisioning_method {
            DecisioningMethod::ServerSide => (None, None),
            DecisioningMethod::OnDevice | DecisioningMethod::Hybrid => {
                let geo = transport.clone().map(|transport| Geo::new(&config, transport)).transpose()?;
                (Some(Provider::new(&config, transport.clone(), &environment, Ruleset::compile)?), geo)
            }
        };
        Ok(Client(Arc::new(Inner {
            life: Life::new(events.clone()),
            limits: Limits::new(config.max_in_flight, config.max_queued),
            stats: Stats::new(),
            telemetry: Arc::new(Telemetry::new(config.telemetry_enabled && !config.offline)),
            sticky_hint: ArcSwapOption::empty(),
            measured: ArcSwapOption::empty(),
            notifier: OnceLock::new(),
            events,
            transport,
            artifact,
            geo,
            config,
            environment,
        })))
    }

    /// Starts background work: artifact, polling, readiness, notifications. Events may come from now on.
    pub fn start(&self) {
        background::start(&self.0);
    }

    /// Takes a place for one call: `QueueFull` or `Closed` when there is none.
    pub fn admit(&self) -> Result<Admission> {
        self.0.limits.admit()
    }

    /// Begins a call. `timeout` (default: the configured one) counts from `accepted`, when the host made the call.
    ///
    /// A call that can be decided in this process comes back [`Call::Ready`], whatever thread this runs on.
    pub fn call(&self, operation: Operation, accepted: Instant, timeout: Option<Duration>) -> Call {
        self.call_accepted(self.accept(accepted), operation, timeout)
    }

    /// Counts a call that the host made at `accepted`. Dropped, it counts as cancelled.
    pub fn accept(&self, accepted: Instant) -> Running {
        self.0.stats.begin(accepted)
    }

    /// Begins a call that is counted already; as [`Client::call`].
    pub fn call_accepted(&self, running: Running, operation: Operation, timeout: Option<Duration>) -> Call {
        call::begin(&self.0, operation, running, timeout)
    }

    /// Whether calls may be decided in this process, so that [`Client::call`] may come back [`Call::Ready`].
    pub fn decides_here(&self) -> bool {
        self.0.artifact.is_some()
    }

    /// The configured timeout of a call.
    pub fn timeout(&self) -> Duration {
        self.0.config.timeout
    }

    /// Where the client is in its life.
    pub fn state(&self) -> State {
        self.0.life.state()
    }

    /// Waits until the client is ready (`Ok`), known not to be (`NotReady`), or closed.
    pub async fn ready(&self) -> Result<()> {
        self.0.life.ready().await
    }

    /// The outcome that [`Client::ready`] would have, if it is known already.
    pub fn readiness(&self) -> Option<Result<()>> {
        self.0.life.readiness()
    }

    /// Statistics as JSON.
    pub fn stats(&self) -> String {
        let inner = &self.0;
        let limits = inner.limits.json();
        let telemetry = format!(r#"{{"waiting":{},"dropped":{}}}"#, inner.telemetry.len(), inner.telemetry.dropped());
        let transport = inner.transport.as_ref().map(|transport| transport.stats().json());
        let artifact = inner.artifact.as_ref().map(|artifact| {
            let rules = artifact.current();
            artifact.status().json(rules.as_ref().map(|rules| (rules.rules.version.as_str(), rules.text.len())))
        });
        let notifications = inner.notifier.get().map(Notifier::json);
        let sections = [
            ("limits", Some(limits)),
            ("telemetry", Some(telemetry)),
            ("transport", transport),
            ("artifact", artifact),
            ("notifications", notifications),
        ];
        let known: Vec<(&str, &str)> =
            sections.iter().filter_map(|(name, json)| Some((*name, json.as_deref()?))).collect();
        inner.stats.json(&known)
    }

    /// The artifact in use as JSON text, for bootstrapping another process.
    pub fn artifact(&self) -> Result<String> {
        let current = self.0.artifact.as_ref().and_then(Provider::current);
        current
            .map(|snapshot| snapshot.text.to_string())
            .ok_or_else(|| Error::new(ErrorKind::NotReady, "there is no artifact"))
    }

    /// Downloads the artifact now instead of at the next poll.
    pub async fn refresh_artifact(&self) -> Result<()> {
        match &self.0.artifact {
            Some(artifact) => artifact.refresh().await,
            None => Err(Error::new(ErrorKind::NotReady, "a server-side client has no artifact")),
        }
    }

    /// Sends what is queued in the background; returns when all of it has an outcome or `timeout` passed.
    pub async fn flush(&self, timeout: Duration) -> FlushReport {
        match self.0.notifier.get() {
            Some(notifier) => notifier.flush(timeout).await,
            None => FlushReport::default(),
        }
    }

    /// Notifications of decisions that the server acknowledged, and that were given up, since the start.
    pub fn notified(&self) -> (u64, u64) {
        self.0.notifier.get().map_or((0, 0), Notifier::outcomes)
    }

    /// Refuses new calls from now on. Those in flight go on; what is queued is sent without delay.
    pub fn begin_close(&self) {
        let inner = &self.0;
        inner.limits.begin_close();
        inner.life.begin_close();
        if let Some(notifier) = inner.notifier.get() {
            notifier.begin_drain();
        }
    }

    /// Resolves when no call is in flight or waiting; after [`Client::begin_close`] it stays that way.
    pub async fn idle(&self) {
        self.0.limits.idle().await;
    }

    /// Stops all background work at once and closes connections; state becomes `Closed`. Calls in flight end with `Closed`.
    /// Idempotent. Dropping the last clone does the same.
    pub fn shut(&self) {
        self.begin_close();
        self.0.shut();
    }
}

impl Inner {
    fn shut(&self) {
        if let Some(notifier) = self.notifier.get() {
            notifier.shut();
        }
        let measurements = self.telemetry.give_up();
        if measurements > 0 {
            let count = i64::try_from(measurements).unwrap_or(i64::MAX);
            self.events.emit(EventWriter::new("telemetryDropped").integer("count", count).finish());
        }
        if let Some(artifact) = &self.artifact {
            artifact.stop();
        }
        if let Some(transport) = &self.transport {
            transport.close_idle();
        }
        self.life.close();
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shut();
    }
}

crate::opaque::opaque_debug! { Answer {} }

impl std::fmt::Debug for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The texts hold visitors' ids.
        f.write_str(match self {
            Operation::GetOffers { .. } => "GetOffers",
            Operation::SendNotifications { .. } => "SendNotifications",
            Operation::GetAttributes { .. } => "GetAttributes",
        })
    }
}
