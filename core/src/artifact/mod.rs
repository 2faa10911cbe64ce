//! The rules artifact: download, validation, last known good, polling, the copy on disk.
//!
//! Generic over what the artifact is compiled to: this module knows where artifacts come from, not what is in them.

mod binary;
mod file;
#[cfg(any(fuzzing, test))]
pub mod fuzzing;
mod geo;
mod load;
mod location;
mod poll;

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use arc_swap::{ArcSwapOption, Guard};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::Instant;

pub use geo::{Geo, GeoAnswer};

use crate::config::Config;
use crate::env::{Environment, Event};
use crate::error::{Error, ErrorKind, Result};
use crate::transport::{Timing, Transport};
use location::Location;

/// Shortest interval between downloads unless `allowFastPolling` is set: Adobe's CDN caches that long.
const MIN_INTERVAL: Duration = Duration::from_secs(300);

/// One artifact, compiled, with where it came from.
pub struct Snapshot<T> {
    /// The compiled artifact.
    pub rules: T,
    /// Its JSON.
    pub text: Arc<str>,
    /// Its URL; `Not Applicable` if it was part of the configuration.
    pub location: String,
    /// Entity tag of the download.
    pub etag: Option<String>,
    /// When it was downloaded or read, in milliseconds since the epoch.
    pub retrieved_ms: i64,
    /// How many artifacts have been put to use so far, this one included.
    pub retrieval_count: u64,
}

/// Whether there are rules to decide with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The first load is under way.
    Waiting,
    /// There is an artifact. It stays, whatever happens to later downloads.
    Ready,
    /// The first load failed, and nothing was found since.
    Failed,
}

/// How the provider is doing.
#[derive(Clone, Debug)]
pub struct Status {
    /// Whether there are rules.
    pub state: State,
    /// Why the last load failed; `None` if it did not.
    pub error: Option<Error>,
    /// Time since the artifact was last known to be current (200 or 304).
    pub age: Option<Duration>,
    /// Time since a load was last begun.
    pub last_poll_age: Option<Duration>,
    /// Loads begun.
    pub polls: u64,
    /// Loads that failed.
    pub failures: u64,
    /// Loads that brought an artifact.
    pub downloads: u64,
    /// Loads that were answered "not modified".
    pub not_modified: u64,
    /// Times polling had died, or had been stuck for three intervals, and was begun anew.
    pub restarts: u64,
}

impl Status {
    /// As a JSON object, for statistics. `current`: version and size in bytes of the artifact in use.
    pub fn json(&self, current: Option<(&str, usize)>) -> String {
        let state = match self.state {
            State::Waiting => "waiting",
            State::Ready => "ready",
            State::Failed => "failed",
        };
        let mut out = format!(
            r#"{{"state":"{state}","polls":{},"failures":{},"downloads":{},"notModified":{},"restarts":{}"#,
            self.polls, self.failures, self.downloads, self.not_modified, self.restarts
        );
        if let Some((version, bytes)) = current {
            out.push_str(",\"version\":");
            crate::json::write_str(&mut out, version);
            out.push_str(&format!(",\"bytes\":{bytes}"));
        }
        for (key, age) in [("ageMs", self.age), ("lastPollAgeMs", self.last_poll_age)] {
            if let Some(age) = age {
                out.push_str(&format!(r#","{key}":{}"#, age.as_millis()));
            }
        }
        if let Some(error) = &self.error {
            out.push_str(",\"lastError\":");
            crate::json::write_str(&mut out, error.message());
        }
        out.push('}');
        out
    }
}

/// A download as telemetry wants it.
#[derive(Clone, Copy, Debug)]
pub struct Download {
    /// From the beginning to the rules being in use.
    pub execution: Duration,
    /// Compiling the rules; `None` after a 304.
    pub parsing: Option<Duration>,
    /// The request.
    pub timing: Timing,
}

/// Is told of each answered download, 304 included.
pub type DownloadHook = Arc<dyn Fn(&Download) + Send + Sync>;

/// Keeps an artifact up to date. Clones are the same provider.
pub struct Provider<T>(Arc<Inner<T>>);

impl<T> Clone for Provider<T> {
    fn clone(&self) -> Provider<T> {
        Provider(Arc::clone(&self.0))
    }
}

struct Inner<T> {
    settings: Settings,
    env: Environment,
    transport: Option<Transport>,
    compile: fn(&str) -> Result<T>,
    hook: OnceLock<DownloadHook>,
    current: ArcSwapOption<Snapshot<T>>,
    progress: watch::Sender<Progress>,
    work: Mutex<Work>,
}

struct Settings {
    location: Location,
    organization_id: String,
    interval: Option<Duration>,
    file: Option<std::path::PathBuf>,
    has_payload: bool,
    max_bytes: usize,
    private_addresses_allowed: bool,
}

/// What those who wait for an artifact look at.
#[derive(Clone, Debug)]
enum Progress {
    Waiting,
    Ready,
    Failed(Error),
    Stopped,
}

/// Outcome of a load, `None` while it runs.
type Outcome = watch::Receiver<Option<Result<()>>>;

struct Load {
    outcome: Outcome,
    task: AbortHandle,
}

#[derive(Default)]
struct Work {
    started: bool,
    stopped: bool,
    supervisor: Option<AbortHandle>,
    poller: Option<AbortHandle>,
    /// The load under way: everyone who wants one waits for it.
    load: Option<Load>,
    error: Option<Error>,
    current_at: Option<Instant>,
    polled_at: Option<Instant>,
    polls: u64,
    failures: u64,
    downloads: u64,
    not_modified: u64,
    restarts: u64,
}

impl<T: Send + Sync + 'static> Provider<T> {
    /// A provider for what `config` names; without a transport it never opens a socket. Compiles the configured
    /// artifact, if there is one: a bad one is an error at `/artifactPayload`.
    pub fn new(
        config: &Config,
        transport: Option<Transport>,
        env: &Environment,
        compile: fn(&str) -> Result<T>,
    ) -> Result<Provider<T>> {
        let shortest = if config.allow_fast_polling { Duration::from_millis(1) } else { MIN_INTERVAL };
        let inner = Inner {
            settings: Settings {
                location: location::location(config)?,
                organization_id: config.organization_id.clone(),
                interval: config.polling_interval.filter(|wait| !wait.is_zero()).map(|wait| wait.max(shortest)),
                file: config.artifact_file.clone(),
                has_payload: config.artifact_payload.is_some(),
                max_bytes: config.max_artifact_bytes,
                private_addresses_allowed: !config.secure,
            },
            env: env.clone(),
            transport,
            compile,
            hook: OnceLock::new(),
            current: ArcSwapOption::empty(),
            progress: watch::Sender::new(Progress::Waiting),
            work: Mutex::default(),
        };
        if let Some(text) = &config.artifact_payload {
            let rules = inner.compiled(text).map_err(|error| {
                let place = format!("/artifactPayload{}", error.path().unwrap_or(""));
                Error::invalid(place, error.message().to_owned())
            })?;
            let _ = inner.publish(rules, Arc::clone(text), "Not Applicable".to_owned(), None);
        }
        Ok(Provider(Arc::new(inner)))
    }

    /// Sets who is told of downloads. Before [`Provider::start`]; the first call counts.
    pub fn on_download(&self, hook: DownloadHook) {
        if self.0.hook.set(hook).is_err() {
            log::warn!(target: "target_sdk::artifact", "a second download hook is ignored");
        }
    }

    /// Begins to load and poll, on the environment's runtime. Until [`Provider::stop`]: dropping the provider is not
    /// enough.
    pub fn start(&self) {
        poll::start(&self.0);
    }

    /// The artifact in use.
    pub fn current(&self) -> Option<Arc<Snapshot<T>>> {
        self.0.current.load_full()
    }

    /// The artifact in use, without counting a reference. Not to be kept.
    pub fn current_guard(&self) -> Guard<Option<Arc<Snapshot<T>>>> {
        self.0.current.load()
    }

    /// How things are.
    pub fn status(&self) -> Status {
        let state = match &*self.0.progress.borrow() {
            _ if self.0.current.load().is_some() => State::Ready,
            Progress::Failed(_) => State::Failed,
            _ => State::Waiting,
        };
        let work = self.0.work();
        Status {
            state,
            error: work.error.clone(),
            age: work.current_at.map(|at| at.elapsed()),
            last_poll_age: work.polled_at.map(|at| at.elapsed()),
            polls: work.polls,
            failures: work.failures,
            downloads: work.downloads,
            not_modified: work.not_modified,
            restarts: work.restarts,
        }
    }

    /// Waits for the first artifact, or for the first load to have failed for good.
    pub async fn first_outcome(&self) -> Result<()> {
        match self.0.wait(|progress| !matches!(progress, Progress::Waiting)).await {
            Progress::Failed(error) => Err(error),
            Progress::Stopped => Err(stopped()),
            Progress::Waiting | Progress::Ready => Ok(()),
        }
    }

    /// Waits until there is an artifact, however long that takes; also returns when the provider is stopped.
    pub async fn usable(&self) {
        self.0.wait(|progress| matches!(progress, Progress::Ready | Progress::Stopped)).await;
    }

    /// Loads the artifact now, or waits for the load that is under way. An artifact that has not changed is a success.
    pub async fn refresh(&self) -> Result<()> {
        load::shared(&self.0).await
    }

    /// The URL that artifacts come from.
    pub fn location(&self) -> &str {
        &self.0.settings.location.url
    }

    /// Ends loading and polling. The artifact in use stays usable.
    pub fn stop(&self) {
        let tasks = {
            let mut work = self.0.work();
            if std::mem::replace(&mut work.stopped, true) {
                return;
            }
            let load = work.load.take().map(|load| load.task);
            [work.supervisor.take(), work.poller.take(), load]
        };
        let polls = self.0.settings.interval.is_some() && self.0.transport.is_some();
        let was_polling = polls && tasks.iter().any(Option::is_some);
        for task in tasks.into_iter().flatten() {
            task.abort();
        }
        self.0.progress.send_replace(Progress::Stopped);
        if was_polling {
            self.0.emit_polling_stopped("the client was closed");
        }
    }
}

fn stopped() -> Error {
    Error::new(ErrorKind::Closed, "the client is closed; its artifact is not loaded any more")
}

impl<T> Inner<T> {
    fn work(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn wait(&self, enough: impl FnMut(&Progress) -> bool) -> Progress {
        let mut progress = self.progress.subscribe();
        // The sender lives in `self`.
        progress.wait_for(enough).await.map_or(Progress::Stopped, |progress| progress.clone())
    }

    /// Compiles; a panic of the compiler is an error like any other.
    fn compiled(&self, text: &str) -> Result<T> {
        let compile = self.compile;
        std::panic::catch_unwind(|| compile(text))
            .unwrap_or_else(|_| Err(Error::new(ErrorKind::Artifact, "the artifact made the rule compiler panic")))
    }

    /// Puts rules to use. Gives back those that were in use.
    fn publish(&self, rules: T, text: Arc<str>, location: String, etag: Option<String>) -> Option<Arc<Snapshot<T>>> {
        let retrieval_count = self.current.load().as_ref().map_or(0, |snapshot| snapshot.retrieval_count) + 1;
        let retrieved_ms = self.env.clock.now_ms();
        let snapshot = Snapshot { rules, text, location, etag, retrieved_ms, retrieval_count };
        let old = self.current.swap(Some(Arc::new(snapshot)));
        self.progress.send_if_modified(|progress| {
            let news = matches!(progress, Progress::Waiting | Progress::Failed(_));
            if news {
                *progress = Progress::Ready;
            }
            news
        });
        old
    }

    /// Sends an event; `members` is the JSON of its members but `type`, each begun by a comma.
    fn emit(&self, name: &'static str, members: &str) {
        let event = Event { name, json: format!("{{\"type\":\"{name}\"{members}}}") };
        let sink = &self.env.events;
        if std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| sink(event))).is_err() {
            log::error!(target: "target_sdk::artifact", "the event handler panicked on {name}");
        }
    }

    fn emit_polling_stopped(&self, reason: &str) {
        let mut members = String::from(",\"reason\":");
        crate::json::write_str(&mut members, reason);
        self.emit("pollingStopped", &members);
    }
}

impl<T> std::fmt::Debug for Snapshot<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The location may have a token in its query.
        f.debug_struct("Snapshot").field("retrieval_count", &self.retrieval_count).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{DecisioningMethod, TlsRoots, TransportConfig};

    /// The configuration that the tests of this module change.
    pub(super) fn config() -> Config {
        Config {
            client: "acme".to_owned(),
            organization_id: "ORG@AdobeOrg".to_owned(),
            decisioning_method: DecisioningMethod::OnDevice,
            timeout: Duration::from_secs(3),
            server_domain: None,
            pin_server_domain: false,
            target_location_hint: None,
            secure: true,
            environment_id: None,
            environment: "production".to_owned(),
            cdn_base: "assets.adobetarget.com".to_owned(),
            property_token: None,
            version: None,
            telemetry_enabled: true,
            polling_interval: Some(MIN_INTERVAL),
            allow_fast_polling: false,
            maximum_wait_ready: None,
            artifact_location: None,
            artifact_payload: None,
            artifact_format: None,
            artifact_file: None,
            all_matching_rules_mboxes: Vec::new(),
            include_page_load: false,
            max_in_flight: 256,
            max_queued: 1024,
            max_retries: 1,
            offline: false,
            strict: false,
            max_response_bytes: 8 << 20,
            max_artifact_bytes: 64 << 20,
            transport: TransportConfig {
                connect_timeout: Duration::from_secs(1),
                pool_idle_timeout: Duration::from_secs(20),
                max_idle_per_host: 32,
                proxy: None,
                tls_roots: TlsRoots::Bundled,
                tls_identity: None,
            },
        }
    }

    #[test]
    fn intervals_have_a_minimum_unless_it_is_waived() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let env = Environment::system(runtime.handle().clone());
        let interval = |fast, ms| {
            let polling_interval = Some(Duration::from_millis(ms));
            let config = Config { allow_fast_polling: fast, polling_interval, ..config() };
            let provider = Provider::new(&config, None, &env, |_| Ok(())).unwrap();
            provider.0.settings.interval.map(|interval| interval.as_millis())
        };
        assert_eq!(interval(false, 1000), Some(300_000));
        assert_eq!(interval(false, 900_000), Some(900_000));
        assert_eq!(interval(true, 1000), Some(1000));
        assert_eq!(interval(false, 0), None);
    }
}
