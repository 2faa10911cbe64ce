//! Where the current request is, told by the layers below reqwest: resolver, connector and TLS.
//!
//! reqwest says neither whether a connection was reused nor what it was doing when time ran out. The request's task
//! carries a [`Probe`]; the resolver, a layer around the connector and the TLS session store write into it. A connection
//! that hyper finishes in the background, for a request that found another one, has no probe and writes nowhere.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::NamedGroup;
use rustls::client::{ClientSessionMemoryCache, ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue};
use rustls::pki_types::ServerName;
use tokio::time::Instant;

use crate::error::Phase;

tokio::task_local! {
    static PROBE: Arc<Probe>;
}

/// What is known about a request under way.
#[derive(Debug)]
pub(super) struct Probe(Mutex<Progress>);

/// A copy of what a [`Probe`] knows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Progress {
    pub(super) phase: Phase,
    pub(super) attempts: u32,
    /// This attempt opened its connection itself.
    pub(super) connected: bool,
    pub(super) dns: Option<Duration>,
    pub(super) tls: Option<Duration>,
    tls_began: Option<Instant>,
}

impl Probe {
    /// A request that waits for its turn.
    pub(super) fn new() -> Arc<Probe> {
        let progress =
            Progress { phase: Phase::Queue, attempts: 0, connected: false, dns: None, tls: None, tls_began: None };
        Arc::new(Probe(Mutex::new(progress)))
    }

    /// Runs `future` as the request that this probe watches.
    pub(super) fn watch<F: Future>(self: Arc<Probe>, future: F) -> impl Future<Output = F::Output> {
        PROBE.scope(self, future)
    }

    /// What is known now.
    pub(super) fn progress(&self) -> Progress {
        *self.lock()
    }

    /// Notes where the request is. Returns what is known then.
    pub(super) fn enter(&self, phase: Phase) -> Progress {
        let mut progress = self.lock();
        progress.phase = phase;
        *progress
    }

    /// A new attempt: on a pooled connection until a layer below says otherwise.
    pub(super) fn begin_attempt(&self) {
        let mut progress = self.lock();
        let attempts = progress.attempts + 1;
        *progress = Progress { phase: Phase::Wait, attempts, connected: false, dns: None, tls: None, tls_began: None };
    }

    fn lock(&self) -> MutexGuard<'_, Progress> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Changes the probe of the current task, if it has one.
fn note(change: impl FnOnce(&mut Progress)) {
    // `Err`: no request of ours runs on this task.
    let _ = PROBE.try_with(|probe| change(&mut probe.lock()));
}

/// A name look-up begins.
pub(super) fn look_up_began() {
    note(|progress| progress.phase = Phase::Dns);
}

/// A name look-up ended after `took`.
pub(super) fn look_up_ended(took: Duration) {
    note(|progress| {
        progress.phase = Phase::Connect;
        progress.dns = Some(progress.dns.unwrap_or_default() + took);
    });
}

/// Tells the probe when a connection is begun and when it is there.
#[derive(Clone, Debug)]
pub(super) struct Connecting;

impl<S> tower_layer::Layer<S> for Connecting {
    type Service = Watched<S>;

    fn layer(&self, inner: S) -> Watched<S> {
        Watched(Arc::new(inner))
    }
}

/// A connector that tells the probe. reqwest clones its connectors several times for each request, and this one allocates
/// when it is cloned: that is left to those requests that do open a connection.
#[derive(Debug)]
pub(super) struct Watched<S>(Arc<S>);

impl<S> Clone for Watched<S> {
    fn clone(&self) -> Watched<S> {
        Watched(Arc::clone(&self.0))
    }
}

impl<S, R> tower_service::Service<R> for Watched<S>
where
    S: tower_service::Service<R> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    R: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(())) // the clone below is asked
    }

    fn call(&mut self, request: R) -> Self::Future {
        note(|progress| progress.phase = Phase::Connect);
        let mut connector = S::clone(&self.0);
        Box::pin(async move {
            std::future::poll_fn(|context| connector.poll_ready(context)).await?;
            let connection = connector.call(request).await?;
            note(|progress| {
                progress.phase = Phase::Wait;
                progress.connected = true;
                progress.tls = progress.tls_began.map(|began| began.elapsed());
            });
            Ok(connection)
        })
    }
}

/// rustls asks the session store first thing in a handshake: that is how its beginning is known.
#[derive(Debug)]
pub(super) struct Sessions(ClientSessionMemoryCache);

impl Sessions {
    /// A store for resuming sessions with a few hundred servers.
    pub(super) fn new() -> Sessions {
        Sessions(ClientSessionMemoryCache::new(256))
    }
}

impl ClientSessionStore for Sessions {
    fn kx_hint(&self, server: &ServerName<'_>) -> Option<NamedGroup> {
        self.0.kx_hint(server)
    }

    fn set_kx_hint(&self, server: ServerName<'static>, group: NamedGroup) {
        self.0.set_kx_hint(server, group);
    }

    fn tls12_session(&self, server: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.0.tls12_session(server)
    }

    fn set_tls12_session(&self, server: ServerName<'static>, value: Tls12ClientSessionValue) {
        self.0.set_tls12_session(server, value);
    }

    fn remove_tls12_session(&self, server: &ServerName<'static>) {
        self.0.remove_tls12_session(server);
    }

    fn insert_tls13_ticket(&self, server: ServerName<'static>, value: Tls13ClientSessionValue) {
        self.0.insert_tls13_ticket(server, value);
    }

    fn take_tls13_ticket(&self, server: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        note(|progress| {
            progress.phase = Phase::Tls;
            progress.tls_began = Some(Instant::now());
        });
        self.0.take_tls13_ticket(server)
    }
}
