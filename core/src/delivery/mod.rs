//! The remote path: options to request, request to host, answer to what the envelope needs.

use std::time::{Duration, Instant};

use crate::config::Config;
use crate::error::Result;
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
