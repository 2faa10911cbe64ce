//! The remote path: options to request, request to host, answer to what the envelope needs.

use std::time::{Duration, Instant};

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

mod excerpt;
mod schema;

pub use options::{CallOptions, parse_options};
pub use request::{Prepared, prepare};
pub use response::Delivered;

/// What came of sending a request.
#[derive(Debug)]
pub struct Sent {
    /// The answer.
    pub delivered: Delivered,
    /// The request as it was sent, telemetry included.
    pub request: String,
    /// Requests sent.
    pub attempts: u32,
    /// From before sending to the answer read.
    pub execution: Duration,
    /// Reading the answer.
    pub parsing: Duration,
    /// Times of the network call.
    pub timing: Timing,
}

impl Sent {
    /// The cluster for the location hint cookie and for the client's next calls: the request's, else the answer's.
    pub fn cluster<'s>(&'s self, prepared: &'s Prepared<'_>) -> Option<&'s str> {
        let answered = || self.delivered.edge_host.as_deref().and_then(cookies::cluster_from_host);
        prepared.cluster.as_deref().or_else(answered)
    }

    /// The envelope of a call that the server decided. The lists are names that only the server can decide, if known.
    pub fn envelope(
        &self,
        prepared: &Prepared<'_>,
        config: &Config,
        now_ms: i64,
        remote_mboxes: &RawList,
        remote_views: &RawList,
    ) -> String {
        envelope::write(&envelope::Parts {
            status: self.delivered.status,
            request: &self.request,
            response: &self.delivered.response,
            session_id: &prepared.session_id,
            tnt_id: self.delivered.tnt_id.as_deref(),
            cluster: self.cluster(prepared),
            now_ms,
            visitor: &prepared.visitor,
            organization_id: &config.organization_id,
            analytics_details: &self.delivered.analytics,
            response_tokens: &self.delivered.response_tokens,
            trace: &self.delivered.traces,
            decisioning_method: DecisioningMethod::ServerSide,
            requested_decisioning_method: prepared.decisioning_method,
            remote_mboxes,
            remote_views,
        })
    }

    /// The telemetry entry of the call.
    pub fn telemetry_entry(&self, prepared: &Prepared<'_>, now_ms: i64) -> String {
        telemetry::delivery_entry(&telemetry::Measured {
            request_id: &prepared.request_id,
            timestamp_ms: now_ms,
            execution: self.execution,
            parsing: Some(self.parsing),
            edge: self.delivered.edge_host.is_some(),
            decisioning_method: DecisioningMethod::ServerSide,
            features: telemetry::Features::of(&prepared.request),
            timing: Some(&self.timing),
            telemetry_server_token: self.delivered.telemetry_server_token.as_deref(),
        })
    }
}

/// Sends a prepared request, with telemetry `entries`, and reads the answer. Dropping the future ends the I/O.
///
/// On failure the entries are the caller's to put back.
pub async fn send(
    transport: &Transport,
    config: &Config,
    prepared: &Prepared<'_>,
    entries: &[String],
    deadline: tokio::time::Instant,
) -> Result<Sent> {
    let started = Instant::now();
    let body = prepared.body(entries);
    log::debug!(
        target: "target_sdk::delivery",
        "request {}: {} bytes to cluster {}",
        prepared.request_id, body.len(), prepared.cluster.as_deref().unwrap_or("(none)")
    );
    let answer = transport
        .send(Request {
            purpose: Purpose::Delivery,
            method: Method::Post,
            url: endpoint::url(config, prepared.cluster.as_deref(), &prepared.session_id),
            headers: endpoint::headers(&prepared.request_id),
            body: Some(body.clone()),
            deadline,
            max_retries: config.max_retries,
            max_body_bytes: config.max_response_bytes,
            // The host chose this server; only what names a host by itself is restricted.
            private_addresses_allowed: true,
        })
        .await
        .map_err(|error| error.with_request_id(prepared.request_id.as_str()))?;
    let received = Instant::now();
    let delivered = response::read(answer.status, answer.body)
        .map_err(|error| error.with_request_id(prepared.request_id.as_str()).with_attempts(answer.attempts))?;
    log::debug!(
        target: "target_sdk::delivery",
        "request {}: status {}, {} bytes", prepared.request_id, delivered.status, delivered.response.len()
    );
    Ok(Sent {
        delivered,
        request: body,
        attempts: answer.attempts,
        execution: started.elapsed(),
        parsing: received.elapsed(),
        timing: answer.timing,
    })
}
