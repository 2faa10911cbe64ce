//! What the requests share.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use crate::artifact::Artifact;
use crate::decider::Decider;
use crate::engine::ByRules;
use crate::fault::FaultPlan;
use crate::offers::Offers;
use crate::options::Options;
use crate::record::Record;
use crate::watched::Watched;

pub(crate) struct State {
    pub(crate) options: Options,
    pub(crate) artifact: Option<Watched<Artifact>>,
    offers: Option<Watched<Offers>>,
    decider: Option<Arc<dyn Decider>>,
    faults: Mutex<FaultPlan>,
    record: Mutex<Record>,
    pub(crate) stats: Stats,
}

impl State {
    pub(crate) fn new(options: Options, decider: Option<Arc<dyn Decider>>) -> Result<State, String> {
        let artifact = options.artifact.clone().map(|path| Watched::open(path, Artifact::parse)).transpose()?;
        let offers = options.offers.clone().map(|path| Watched::open(path, Offers::parse)).transpose()?;
        let faults = Mutex::new(FaultPlan::new(options.faults.clone()));
        Ok(State { options, artifact, offers, decider, faults, record: Mutex::default(), stats: Stats::default() })
    }

    pub(crate) fn faults(&self) -> MutexGuard<'_, FaultPlan> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn artifact(&self) -> Option<Arc<Artifact>> {
        self.artifact.as_ref().map(current)
    }

    pub(crate) fn offers(&self) -> Arc<Offers> {
        self.offers.as_ref().map(current).unwrap_or_default()
    }

    /// The decider given at start, or else the artifact, with the offers for what it does not know.
    pub(crate) fn decider(&self) -> Arc<dyn Decider> {
        match (&self.decider, self.artifact()) {
            (Some(decider), _) => Arc::clone(decider),
            (None, Some(artifact)) => Arc::new(ByRules { artifact, offers: self.offers() }),
            (None, None) => self.offers(),
        }
    }
}

fn current<T>(file: &Watched<T>) -> Arc<T> {
    let (value, complaint) = file.get();
    if let Some(complaint) = complaint {
        crate::server::complain(&complaint);
    }
    value
}

/// Counters since the start.
#[derive(Default)]
pub(crate) struct Stats {
    pub(crate) connections: AtomicU64,
    pub(crate) open: Arc<AtomicU64>,
    pub(crate) tls_failures: AtomicU64,
    pub(crate) requests: AtomicU64,
    pub(crate) http2: AtomicU64,
    pub(crate) delivery: AtomicU64,
    pub(crate) artifact: AtomicU64,
    pub(crate) geo: AtomicU64,
    pub(crate) faults: AtomicU64,
}

/// One more.
pub(crate) fn count(counter: &AtomicU64) -> u64 {
    counter.fetch_add(1, Ordering::Relaxed) + 1
}

impl Stats {
    pub(crate) fn to_json(&self) -> Value {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        json!({
            "requests": read(&self.requests),
            "http2Requests": read(&self.http2),
            "delivery": read(&self.delivery),
            "artifact": read(&self.artifact),
            "geo": read(&self.geo),
            "faults": read(&self.faults),
            "connections": read(&self.connections),
            "openConnections": read(&self.open),
            "tlsFailures": read(&self.tls_failures),
        })
    }
}
