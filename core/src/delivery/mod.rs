//! The remote path: options to request, request to host, answer to what the envelope needs.

use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::config::{Config, DecisioningMethod};
use crate::cookies;
use crate::envelope::{self, RawList};
use crate::error::Result;
use crate::telemetry;
use crate::transport::{Method, Purpose, Request, Timing, Transport};

pub mod endpoint;
pub mod options;
pub mod request;
pub mod response;

mod schema;

pub use options::{CallOptions, parse_options};
pub use request::{Prepared, prepare};
pub use response::Delivered;

/// A request ready to be sent, as text: owns everything, so that it can wait and travel between threads.
#[derive(Clone)]
pub struct Sealed {
    /// The body, telemetry included.
    pub body: String,
    /// Where it goes.
    pub url: String,
    /// The request's `requestId`.
    pub request_id: String,
    /// Session id of the call.
    pub session_id: String,
    /// The edge cluster that the visitor or the client belongs to.
    pub cluster: Option<String>,
    /// `visitorState` of the envelope, JSON text.
    pub visitor_state: String,
    /// How the caller wanted it decided.
    pub decisioning_method: DecisioningMethod,
    features: telemetry::Features,
}

/// Turns a prepared request into text, with telemetry `entries`.
pub fn seal(prepared: Prepared<'_>, config: &Config, entries: &[String]) -> Sealed {
    let mut visitor_state = String::with_capacity(256);
    prepared.visitor.write_state(&mut visitor_state, &config.organization_id);
    Sealed {
        body: prepared.body(entries),
        url: endpoint::url(config, prepared.cluster.as_deref(), &prepared.session_id),
        features: telemetry::Features::of(&prepared.request),
        request_id: prepared.request_id,
        session_id: prepared.session_id.into_owned(),
        cluster: prepared.cluster,
        visitor_state,
        decisioning_method: prepared.decisioning_method,
    }
}

/// What came of sending a request.
pub struct Sent<'s> {
    /// The request.
    pub sealed: &'s Sealed,
    /// The answer.
    pub delivered: Delivered,
    /// Requests sent.
    pub attempts: u32,
    /// From before sending to the answer read.
    pub execution: Duration,
    /// Reading the answer.
    pub parsing: Duration,
    /// Times of the network call.
    pub timing: Timing,
}

impl Sent<'_> {
    /// The cluster for the location hint cookie and for the client's next calls: the request's, else the answer's.
    pub fn cluster(&self) -> Option<&str> {
        let answered = || self.delivered.edge_host.as_deref().and_then(cookies::cluster_from_host);
        self.sealed.cluster.as_deref().or_else(answered)
    }

    /// The envelope of a call that the server decided. The lists are names that only the server can decide, if known.
    pub fn envelope(&self, now_ms: i64, remote_mboxes: &RawList, remote_views: &RawList) -> Result<String> {
        envelope::write(&envelope::Parts {
            status: self.delivered.status,
            request: &self.sealed.body,
            response: &self.delivered.response,
            session_id: &self.sealed.session_id,
            tnt_id: self.delivered.tnt_id.as_deref(),
            cluster: self.cluster(),
            now_ms,
            visitor_state: &self.sealed.visitor_state,
            analytics_details: &self.delivered.analytics,
            response_tokens: &self.delivered.response_tokens,
            trace: &self.delivered.traces,
            decisioning_method: DecisioningMethod::ServerSide,
            requested_decisioning_method: self.sealed.decisioning_method,
            remote_mboxes,
            remote_views,
        })
    }

    /// The telemetry entry of the call.
    pub fn telemetry_entry(&self, now_ms: i64) -> String {
        telemetry::delivery_entry(&telemetry::Measured {
            request_id: &self.sealed.request_id,
            timestamp_ms: now_ms,
            execution: self.execution,
            parsing: Some(self.parsing),
            edge: self.delivered.edge_host.is_some(),
            decisioning_method: DecisioningMethod::ServerSide,
            features: self.sealed.features,
            timing: Some(&self.timing),
            telemetry_server_token: self.delivered.telemetry_server_token.as_deref(),
        })
    }
}

/// Sends a request and reads the answer. Dropping the future ends the I/O.
pub async fn send<'s>(
    transport: &Transport,
    config: &Config,
    sealed: &'s Sealed,
    deadline: tokio::time::Instant,
) -> Result<Sent<'s>> {
    let started = Instant::now();
    log::debug!(
        target: "target_sdk::delivery",
        "request {}: {} bytes to cluster {}",
        sealed.request_id, sealed.body.len(), sealed.cluster.as_deref().unwrap_or("(none)")
    );
    let answer = transport
        .send(Request {
            purpose: Purpose::Delivery,
            method: Method::Post,
            url: sealed.url.as_str().into(),
            common: Some(endpoint::common_headers()),
            headers: vec![endpoint::own_header(&sealed.request_id)],
            body: Some(Bytes::copy_from_slice(sealed.body.as_bytes())),
            deadline,
            max_retries: config.max_retries,
            max_body_bytes: config.max_response_bytes,
            // The host chose this server; only what names a host by itself is restricted.
            private_addresses_allowed: true,
        })
        .await
        .map_err(|error| error.with_request_id(sealed.request_id.as_str()))?;
    let received = Instant::now();
    let delivered = response::read(answer.status, answer.body)
        .map_err(|error| error.with_request_id(sealed.request_id.as_str()).with_attempts(answer.attempts))?;
    log::debug!(
        target: "target_sdk::delivery",
        "request {}: status {}, {} bytes", sealed.request_id, delivered.status, delivered.response.len()
    );
    let read = Instant::now();
    Ok(Sent {
        sealed,
        delivered,
        attempts: answer.attempts,
        execution: read - started,
        parsing: read - received,
        timing: answer.timing,
    })
}

crate::opaque::opaque_debug! { Sealed { request_id } Sent<'s> { attempts, timing } }
