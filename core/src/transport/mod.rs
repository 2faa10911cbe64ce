//! The only user of reqwest: pool, TLS, proxy, deadline, retries, budget, breaker, body caps.

mod address;
mod attempt;
mod body;
mod dns;
mod failure;
#[cfg(any(fuzzing, test))]
pub mod fuzzing;
mod health;
pub mod look_up_threads;
pub mod look_ups;
mod pool;
mod probe;
mod redirect;
mod retry;
mod route;
mod send;
crate::opaque::opaque_debug! { Request<'r> { purpose, method, deadline, max_retries } Response { status, attempts, timing, version } }

#[cfg(test)]
mod tests;
mod tls;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{ACCEPT_ENCODING, HeaderMap, HeaderName, HeaderValue};

use crate::config::TransportConfig;
use crate::error::Result;

/// Connections of one client. Cheap to clone.
#[derive(Clone)]
pub struct Transport(Arc<send::Inner>);

/// What a request is for. Each purpose has its own lane, so that none starves another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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

/// Headers that requests have in common: put together once instead of for each.
#[derive(Debug)]
pub struct CommonHeaders(HeaderMap);

impl CommonHeaders {
    /// Headers with these (lower-case) names and values. A name that each request gives a value of its own should be
    /// here, too, with any value: then there is room for it.
    pub fn new(headers: &[(&'static str, &'static str)]) -> CommonHeaders {
        // With room for two more: reqwest looks for one that it adds, hyper adds one.
        let mut map = HeaderMap::with_capacity(headers.len() + 3);
        map.insert(ACCEPT_ENCODING, ENCODINGS);
        for (name, value) in headers {
            map.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        CommonHeaders(map)
    }
}

/// The encodings that answers may have.
const ENCODINGS: HeaderValue = HeaderValue::from_static("gzip");

/// One request. All attempts carry the same body and headers.
pub struct Request<'r> {
    /// What it is for. Artifact requests follow up to three redirects within their host, never from https to http.
    pub purpose: Purpose,
    /// Method. A GET is repeated after any failure of the network, a POST only when it cannot have been processed.
    pub method: Method,
    /// Complete URL.
    pub url: Cow<'r, str>,
    /// Headers that it has in common with others.
    pub common: Option<&'r CommonHeaders>,
    /// Names (lower-case) and values of its own headers.
    pub headers: Vec<(&'static str, Cow<'r, str>)>,
    /// Body of a POST.
    pub body: Option<Bytes>,
    /// Nothing runs past this: queueing, look-up, connect, TLS, all attempts, body.
    pub deadline: tokio::time::Instant,
    /// Retries allowed beyond the first attempt.
    pub max_retries: u32,
    /// Cap on the decoded body.
    pub max_body_bytes: usize,
    /// Whether the host may have a loopback, link-local or private address. If not, the address that is connected to
    /// is the one that was checked. What a proxy connects to cannot be checked.
    pub private_addresses_allowed: bool,
}

/// An answer with a 2xx status, or to a GET 304.
pub struct Response {
    /// HTTP status.
    pub status: u16,
    pub(crate) headers: HeaderMap,
    /// Decoded body.
    pub body: Vec<u8>,
    /// Requests sent.
    pub attempts: u32,
    /// How long things took.
    pub timing: Timing,
    /// `HTTP/1.1` or `HTTP/2`.
    pub version: &'static str,
}

impl Response {
    /// The first header of that (lower-case) name, if its value is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
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
    /// Body size on the wire, in bytes.
    pub response_size: usize,
}

/// What a transport has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TransportStats {
    /// Calls of [`Transport::send`].
    pub requests: u64,
    /// Requests put on the wire, retries and redirects included.
    pub attempts: u64,
    /// Attempts that repeated a failed one.
    pub retries: u64,
    /// Retries not made because the budget was spent.
    pub budget_exhausted: u64,
    /// Times a host was given up for a while.
    pub breaker_opens: u64,
    /// Requests refused because their host was given up.
    pub breaker_refusals: u64,
    /// Hosts that are given up now.
    pub open_breakers: u64,
    /// Requests refused because their host wants to be left alone (`Retry-After`).
    pub rest_refusals: u64,
    /// Hosts that want to be left alone now.
    pub resting_hosts: u64,
    /// Request body bytes sent.
    pub bytes_out: u64,
    /// Response body bytes received, as they came.
    pub bytes_in: u64,
}

impl TransportStats {
    /// As a JSON object, for statistics.
    pub fn json(&self) -> String {
        format!(
            r#"{{"requests":{},"attempts":{},"retries":{},"retryBudgetExhausted":{},"breakerOpens":{},"breakerRefusals":{},"openBreakers":{},"retryAfterRefusals":{},"restingHosts":{},"bytesOut":{},"bytesIn":{}}}"#,
            self.requests,
            self.attempts,
            self.retries,
            self.budget_exhausted,
            self.breaker_opens,
            self.breaker_refusals,
            self.open_breakers,
            self.rest_refusals,
            self.resting_hosts,
            self.bytes_out,
            self.bytes_in
        )
    }
}

impl Transport {
    /// Prepares connections; opens none, and reads no trust store before TLS is used.
    pub fn new(config: &TransportConfig) -> Result<Transport> {
        Ok(Transport(Arc::new(send::Inner::new(config)?)))
    }

    /// Sends a request: retries what is safe to retry, inside the deadline. Dropping the future ends the I/O.
    ///
    /// Any status but 2xx, and 304 to a GET, is an error of kind `Http` that carries the status and a body excerpt.
    pub fn send<'r>(&'r self, request: Request<'r>) -> impl Future<Output = Result<Response>> + 'r {
        self.0.send(request)
    }

    /// Closes connections that nothing uses; those in use close when their request ends. A later request opens a new one.
    pub fn close_idle(&self) {
        self.0.close_idle();
    }

    /// Counters since the beginning.
    pub fn stats(&self) -> TransportStats {
        self.0.stats()
    }
}
