//! What a client does without being asked: readiness, the start-up ping, sending notifications.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::call::{Remote, Telemetry};
use super::notifier::{Notifier, Outgoing, PendingTelemetry, SendLetter, Settings};
use super::{Inner, Provider, State};
use crate::delivery::options::Purpose;
use crate::delivery::{parse_options, prepare};
use crate::error::{Error, ErrorKind, Result};
use crate::telemetry::artifact_entry;

/// Attempts to learn the edge cluster.
const PINGS: u32 = 4;

/// Starts what the configuration asks for.
pub(super) fn start(inner: &Arc<Inner>) {
    let Some(artifact) = &inner.artifact else {
        if inner.config.offline {
            inner.life.go_offline(None);
        } else {
            inner.life.become_ready();
        }
        return;
    };
    if inner.transport.is_some() {
        start_notifier(inner);
    }
    measure_downloads(inner, artifact);
    artifact.start();
    inner.environment.runtime.spawn(become_ready(Arc::downgrade(inner), artifact.clone()));
    // Calls stay on the configured server when it is pinned: there is no cluster to be learnt then.
    let cluster_matters = inner.config.target_location_hint.is_none() && !inner.config.pin_server_domain;
    if inner.transport.is_some() && cluster_matters {
        inner.environment.runtime.spawn(learn_cluster(Arc::downgrade(inner)));
    }
}

async fn become_ready(client: Weak<Inner>, artifact: Provider) {
    let first = artifact.first_outcome().await;
    let Some(inner) = client.upgrade() else { return };
    match first {
        Ok(()) if inner.config.offline => inner.life.go_offline(None),
        Ok(()) => inner.life.become_ready(),
        // Without the network there is nothing to wait for.
        Err(error) if inner.config.offline => inner.life.go_offline(Some(error)),
        Err(error) => {
            inner.life.degrade(error);
            drop(inner);
            artifact.usable().await;
            if let Some(inner) = client.upgrade()
                && artifact.current().is_some()
            {
                inner.life.become_ready();
            }
        }
    }
}

fn measure_downloads(inner: &Arc<Inner>, artifact: &Provider) {
    if !inner.telemetry.is_enabled() {
        return;
    }
    let (telemetry, clock) = (inner.telemetry.clone(), inner.environment.clock.clone());
    artifact.on_download(Arc::new(move |download| {
        let now_ms = clock.now_ms();
        telemetry.push(artifact_entry(now_ms, download.execution, download.parsing, Some(&download.timing)));
    }));
}

/// Asks the server for nothing, to learn which edge cluster answers: later notifications and new visitors belong there.
async fn learn_cluster(client: Weak<Inner>) {
    let mut pause = Duration::from_secs(1);
    for _ in 0..PINGS {
        let Some(inner) = client.upgrade() else { return };
        let ping = tokio::select! {
            biased;
            () = inner.life.closed() => return,
            outcome = send(&inner, r#"{"request":{"context":{"channel":"web"}}}"#, Telemetry::None) => outcome,
        };
        match ping {
            Ok(()) => return,
            Err(error) => {
                log::debug!(target: "target_sdk::client", "the edge cluster is not known yet: {}", error.message())
            }
        }
        drop(inner);
        tokio::time::sleep(pause.mul_f64(0.5 + fastrand::f64())).await;
        pause *= 4;
    }
}

fn start_notifier(inner: &Arc<Inner>) {
    let client = Arc::downgrade(inner);
    let send_letter: SendLetter = Arc::new(move |outgoing: Outgoing| {
        let client = client.clone();
        Box::pin(async move {
            let Some(inner) = client.upgrade() else {
                return Err(Error::new(ErrorKind::Closed, "the client is closed"));
            };
            log::debug!(
                target: "target_sdk::client",
                "attempt {} to send {} notifications", outgoing.attempt, outgoing.letter.notifications.len()
            );
            if outgoing.letter.origin.is_some() {
                // What is sent while the client closes is the last: its own measurement would have nobody to take it along.
                let telemetry = if inner.life.state() == State::Draining { Telemetry::Carry } else { Telemetry::Full };
                return send(&inner, &outgoing.letter.options_json(), telemetry).await;
            }
            // Nothing but measurements: in the name of the call that was the first of them.
            let measured = inner.measured.swap(None);
            let options = measured.as_deref().cloned().unwrap_or_else(|| outgoing.letter.options_json());
            let sent = send(&inner, &options, Telemetry::Carry).await;
            if sent.is_err() && inner.measured.load().is_none() {
                inner.measured.store(measured);
            }
            sent
        })
    });
    // Not the client: its last owner would end the notifier here, under the notifier's own lock.
    let telemetry = inner.telemetry.clone();
    let pending: PendingTelemetry = Arc::new(move || telemetry.len());
    let notifier = Notifier::new(Settings::default(), &inner.environment, inner.events.clone(), send_letter, pending);
    notifier.start();
    if inner.notifier.set(notifier).is_err() {
        log::warn!(target: "target_sdk::client", "the client was started twice");
    }
}

/// Sends a request of the client's own, within the client's timeout.
async fn send(inner: &Arc<Inner>, options: &str, telemetry: Telemetry) -> Result<()> {
    let hint = inner.sticky_hint.load_full();
    let prepared = prepare(
        parse_options(options, Purpose::Offers, false)?,
        &inner.config,
        hint.as_deref().map(String::as_str),
        inner.environment.clock.now_ms(),
        &*inner.environment.random,
    )?;
    let remote = Remote::own(inner, prepared, telemetry);
    let deadline = tokio::time::Instant::from(Instant::now() + inner.config.timeout);
    remote.run(inner, deadline).await.map(drop)
}
