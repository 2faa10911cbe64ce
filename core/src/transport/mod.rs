//! The only user of reqwest: pool, TLS, proxy, deadline, retries, budget, breaker, body caps.

use std::sync::Arc;
use std::time::Duration;

use crate::config::TransportConfig;
use crate::error::{Error, Result};

/// Connections of one client. Cheap to clone.
#[derive(Clone)]
pub struct Transport(Arc<Inner>);

struct Inner {
    config: TransportConfig,
}

/// What a request is for. Each purpose has its own lane, so that none starves another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Delivery API: offers, notifications, pings.
    Delivery,
    /// Rules artifact.
    Artifact,
    /// Geo look-up.
    Geo,
}

/// Request method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// GET
    Get,
    /// POST with a JSON body
    Post,
}

/// One request. All attempts carry the same body and headers.
#[derive(Debug)]
pub struct Request {
    /// What it is for.
    pub purpose: Purpose,
    /// Method.
    pub method: Method,
    /// Complete URL.
    pub url: String,
    /// Header names (lower-case) and values.
    pub headers: Vec<(&'static str, String)>,
    /// Body of a POST.
    pub body: Option<String>,
    /// Nothing runs past this: queueing, look-up, connect, TLS, all attempts, body.
    pub deadline: tokio::time::Instant,
    /// Retries allowed beyond the first attempt.
    pub max_retries: u32,
    /// Cap on the decoded body.
    pub max_body_bytes: usize,
}

/// An answer with a 2xx status, or 304.
#[derive(Debug)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// Header names (lower-case) and values; values that are not text are left out.
    pub headers: Vec<(String, String)>,
    /// Decoded body.
    pub body: Vec<u8>,
    /// Requests sent.
    pub attempts: u32,
    /// How long things took.
    pub timing: Timing,
}

/// Durations of the successful attempt. `None`: not measured, or did not happen.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timing {
    /// Name look-up.
    pub dns: Option<Duration>,
    /// TLS handshake.
    pub tls: Option<Duration>,
    /// From sending to the response head.
    pub time_to_first_byte: Option<Duration>,
    /// Body.
    pub download: Option<Duration>,
    /// Body size on the wire if known, else decoded, in bytes.
    pub response_size: usize,
}

impl Transport {
    /// Prepares connections; opens none.
    pub fn new(config: &TransportConfig) -> Result<Transport> {
        Ok(Transport(Arc::new(Inner { config: config.clone() })))
    }

    /// Sends a request: retries what is safe to retry, inside the deadline. Dropping the future ends the I/O.
    ///
    /// Any status but 2xx and 304 is an error of kind `Http` that carries the status and a body excerpt.
    pub async fn send(&self, request: Request) -> Result<Response> {
        let _ = (&self.0.config, request);
        Err(Error::internal("not built yet"))
    }
}
