//! Deciding in this process: the artifact, the visitor's place, and what follows from a decision.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::events::EventWriter;
use super::notifier::Origin;
use super::{Inner, State};
use crate::artifact::GeoAnswer;
use crate::config::DecisioningMethod;
use crate::decisioning::{Decision, Input, IpToLookUp, TraceSource, decide, merge_geo, needs_geo_lookup};
use crate::delivery::Prepared;
use crate::envelope::{self, RawList};
use crate::error::{Error, ErrorKind, Result};
use crate::json::{self, Json, Limits, Object};
use crate::telemetry::{Features, Measured, delivery_entry};

/// How far a call gets in this process.
#[allow(clippy::large_enum_variant)] // made and taken apart at once: a box would cost more than the move
pub(super) enum Local<'a> {
    /// The envelope.
    Decided(String),
    /// On-device only, and that cannot be.
    Impossible(Error),
    /// The first artifact may come within this time.
    WaitForArtifact(Duration),
    /// The artifact targets places, and the visitor's is to be looked up by this address (`None`: this host's own).
    LookUp(Option<String>),
    /// A call for the server.
    NotHere(Prepared<'a>),
}

/// Decides the call if its method allows that. `geo` is the outcome of a look-up, `None` before it.
pub(super) fn attempt<'a>(
    inner: &Arc<Inner>,
    mut prepared: Prepared<'a>,
    method: DecisioningMethod,
    accepted: Instant,
    geo: Option<&Option<GeoAnswer>>,
    waited: bool,
) -> Local<'a> {
    if method == DecisioningMethod::ServerSide {
        return Local::NotHere(prepared);
    }
    let snapshot = inner.artifact.as_ref().map(|artifact| artifact.current_guard());
    let Some(snapshot) = snapshot.as_ref().and_then(|guard| guard.as_ref()) else {
        return match (method, inner.config.maximum_wait_ready) {
            (DecisioningMethod::Hybrid, _) => Local::NotHere(prepared),
            // Once the first load has failed there is nothing to wait for: polling may bring an artifact in minutes.
            (_, Some(longest)) if inner.life.state() == State::Starting && !waited => Local::WaitForArtifact(longest),
            _ => Local::Impossible(not_ready(inner)),
        };
    };
    let rules = &snapshot.rules;
    if method == DecisioningMethod::Hybrid && !rules.remote_dependency(&prepared.request).is_empty() {
        return Local::NotHere(prepared);
    }
    let looked_up = match geo {
        None => {
            let asked = prepared.request.get("context").and_then(|context| context.get("geo"));
            match needs_geo_lookup(rules, asked) {
                Some(IpToLookUp::Address(address)) => return Local::LookUp(Some(address.to_owned())),
                Some(IpToLookUp::Unknown) => return Local::LookUp(None),
                None => {}
            }
            None
        }
        Some(answer) => answer.as_ref(),
    };
    // The envelope has the request as it would have been sent: without what was found out for the decision.
    let request = prepared.body(&[]);
    place(&mut prepared.request, looked_up);
    let trace = TraceSource {
        artifact_location: &snapshot.location,
        polling_interval: inner.config.polling_interval.map_or(0, |interval| interval.as_millis() as u64),
        polling_halted: false, // what halts it is the end of the client
        retrieval_count: snapshot.retrieval_count,
        last_retrieved_ms: Some(snapshot.retrieved_ms),
    };
    let decision = decide(
        rules,
        &Input {
            client: &inner.config.client,
            request: &prepared.request,
            session_id: &prepared.session_id,
            location_hint: prepared.cluster.as_deref(),
            now_ms: prepared.now_ms,
            random: &*inner.environment.random,
            all_matching_rules_mboxes: &inner.config.all_matching_rules_mboxes,
            trace,
        },
    );
    let envelope = match envelope(inner, &prepared, &request, &decision) {
        Ok(envelope) => envelope,
        Err(error) => return Local::Impossible(error),
    };
    if let Some(cluster) = &prepared.cluster {
        inner.stick_to(cluster);
    }
    follow_up(inner, prepared, decision, accepted);
    Local::Decided(envelope)
}

/// Why there are no rules to decide with.
fn not_ready(inner: &Inner) -> Error {
    const MESSAGE: &str = "Unable to fulfill request; decisioning engine not ready.";
    match inner.artifact.as_ref().and_then(|artifact| artifact.status().error) {
        Some(error) if inner.config.offline => {
            Error::new(ErrorKind::NotReady, format!("{MESSAGE} {}", error.message())).with_retryable(false)
        }
        // The server has none for this client, or one that cannot be used: that is not a matter of time.
        Some(error) if !error.retryable() => error,
        Some(error) => Error::new(ErrorKind::NotReady, format!("{MESSAGE} {}", error.message())),
        // A server-side client never loads one.
        None if inner.artifact.is_none() => Error::new(ErrorKind::NotReady, MESSAGE).with_retryable(false),
        None => Error::new(ErrorKind::NotReady, MESSAGE),
    }
}

/// Puts the visitor's place into the request: what the request says, checked, and over it what was looked up.
fn place(request: &mut Object<'_>, answer: Option<&GeoAnswer>) {
    let Some(Json::Object(context)) = request.get_mut("context") else { return };
    let Some(asked) = context.get("geo") else { return };
    let found = answer.and_then(|answer| json::parse(&answer.json, &Limits::REMOTE).ok());
    let geo = merge_geo(Some(asked), found.as_ref());
    if geo.is_empty() {
        context.remove("geo");
    } else {
        context.set("geo", geo);
    }
}

/// Looks the visitor's place up; without an answer the decision is made without.
pub(super) async fn look_up(inner: &Inner, ip: Option<&str>, deadline: tokio::time::Instant) -> Option<GeoAnswer> {
    let geo = inner.geo.as_ref()?;
    // A decision without the place is better than none: half of what is left of the call's time must do.
    let now = tokio::time::Instant::now();
    let until = now + deadline.saturating_duration_since(now) / 2;
    match geo.look_up(ip, until).await {
        Ok(answer) => {
            inner.events.emit(EventWriter::new("geoLocationUpdated").json("geoContext", &answer.json).finish());
            Some(answer)
        }
        Err(error) => {
            log::warn!(target: "target_sdk::client", "deciding without the visitor's place: {}", error.message());
            None
        }
    }
}

fn envelope(inner: &Inner, prepared: &Prepared<'_>, request: &str, decision: &Decision) -> Result<String> {
    let joined = |texts: &[String]| {
        let mut list = RawList::new();
        texts.iter().for_each(|text| list.push(text));
        list
    };
    let mut visitor_state = String::with_capacity(256);
    prepared.visitor.write_state(&mut visitor_state, &inner.config.organization_id);
    envelope::write(&envelope::Parts {
        status: decision.status,
        request,
        response: &decision.response,
        session_id: &prepared.session_id,
        tnt_id: decision.tnt_id.as_deref(),
        cluster: prepared.cluster.as_deref(),
        now_ms: prepared.now_ms,
        visitor_state: &visitor_state,
        analytics_details: &RawList::new(),
        response_tokens: &joined(&decision.response_tokens),
        trace: &joined(&decision.traces),
        decisioning_method: DecisioningMethod::OnDevice,
        requested_decisioning_method: prepared.decisioning_method,
        remote_mboxes: &RawList::of_texts(&decision.remote.mboxes),
        remote_views: &RawList::of_texts(&decision.remote.views),
    })
}

/// Members of a request that its notifications share.
const SHARED: [&str; 5] = ["environmentId", "property", "context", "experienceCloud", "qaMode"];

/// What a decision causes in the background: display notifications, and a measurement.
fn follow_up(inner: &Inner, prepared: Prepared<'_>, decision: Decision, accepted: Instant) {
    if inner.telemetry.is_enabled() {
        let execution = accepted.elapsed();
        inner.telemetry.push(delivery_entry(&Measured {
            request_id: &prepared.request_id,
            timestamp_ms: prepared.now_ms,
            execution,
            parsing: Some(Duration::ZERO), // there is no answer to be read
            edge: false,
            decisioning_method: DecisioningMethod::OnDevice,
            features: Features::of(&prepared.request),
            timing: None,
            telemetry_server_token: None,
        }));
    }
    let Some(notifier) = inner.notifier.get() else { return };
    if inner.telemetry.is_enabled() && inner.measured.load().is_none() {
        let origin = origin(&prepared, decision.id.clone());
        inner.measured.store(Some(Arc::new(origin.options_json(&inner.environment.random.id(), &[]))));
    }
    if inner.telemetry.is_enabled() {
        notifier.note_telemetry();
    }
    if !decision.notifications.is_empty() {
        notifier.push(origin(&prepared, decision.id), decision.notifications);
    }
}

fn origin(prepared: &Prepared<'_>, id: String) -> Origin {
    let mut members = Vec::with_capacity(1 + SHARED.len());
    members.push(("id", id));
    members.extend(SHARED.iter().filter_map(|key| Some((*key, prepared.request.get(key)?.to_string()))));
    Origin { session_id: prepared.session_id.clone().into_owned(), location_hint: prepared.cluster.clone(), members }
}
