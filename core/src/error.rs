//! The one error type of the crate: a kind for programs, a message for people, and what is known about the failed call.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use crate::json;

/// What went wrong, for programs. The C layer gives each kind its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// Not JSON, too deep or too large.
    InvalidJson,
    /// JSON of the wrong shape, or a value that fails validation; [`Error::path`] names it.
    InvalidOptions,
    /// On-device decisioning asked for and no artifact yet.
    NotReady,
    /// The deadline of the call passed.
    Timeout,
    /// Cancelled by the host.
    Cancelled,
    /// Limits on calls in flight and waiting reached.
    QueueFull,
    /// The client is closing or closed.
    Closed,
    /// DNS, connect, reset, proxy.
    Network,
    /// TLS handshake or certificate.
    Tls,
    /// Target answered with a non-2xx status.
    Http,
    /// The answer is not what the Delivery API promises.
    Decode,
    /// Artifact unavailable, of an unsupported version, or invalid.
    Artifact,
    /// No such mbox or attribute.
    NoAttribute,
    /// The server is known to be down: failed without asking it.
    CircuitOpen,
    /// A bug in this library.
    Internal,
}

/// Where a network call was when it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Waiting for a free place among the calls in flight.
    Queue,
    /// Name look-up.
    Dns,
    /// TCP connect, or the proxy's CONNECT.
    Connect,
    /// TLS handshake.
    Tls,
    /// Sending the request.
    Send,
    /// Waiting for, or reading, the response head.
    Wait,
    /// Reading the response body.
    Read,
    /// Decoding the response.
    Decode,
}

impl Phase {
    /// The name used in error documents.
    pub fn name(self) -> &'static str {
        match self {
            Phase::Queue => "queue",
            Phase::Dns => "dns",
            Phase::Connect => "connect",
            Phase::Tls => "tls",
            Phase::Send => "send",
            Phase::Wait => "wait",
            Phase::Read => "read",
            Phase::Decode => "decode",
        }
    }
}

/// An error with everything known about it. Cheap to move, never carries cookies, tokens or visitor ids.
#[derive(Clone, Debug)]
pub struct Error(Box<Detail>);

#[derive(Clone, Debug)]
struct Detail {
    kind: ErrorKind,
    message: Cow<'static, str>,
    path: Option<String>,
    phase: Option<Phase>,
    retryable: bool,
    http_status: Option<u16>,
    attempts: Option<u32>,
    elapsed: Option<Duration>,
    request_id: Option<String>,
    body: Option<String>,
}

/// `Result` with this crate's error.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of `kind` with a message that says what happened and, where it helps, what to do.
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Error {
        Error(Box::new(Detail {
            kind,
            message: message.into(),
            path: None,
            phase: None,
            retryable: matches!(
                kind,
                ErrorKind::Timeout
                    | ErrorKind::Network
                    | ErrorKind::CircuitOpen
                    | ErrorKind::QueueFull
                    | ErrorKind::NotReady
            ),
            http_status: None,
            attempts: None,
            elapsed: None,
            request_id: None,
            body: None,
        }))
    }

    /// A wrong value in configuration or options: `path` is a JSON pointer such as `/request/execute`.
    pub fn invalid(path: impl Into<String>, message: impl Into<Cow<'static, str>>) -> Error {
        Error::new(ErrorKind::InvalidOptions, message).with_path(path)
    }

    /// The same, with the path at the front of the message.
    pub(crate) fn at(path: impl Into<String>, what: &str) -> Error {
        let path = path.into();
        let message = if path.is_empty() { what.to_owned() } else { format!("{path}: {what}") };
        Error::invalid(path, message)
    }

    /// A value of the wrong type; types by their JSON names.
    pub(crate) fn wrong_type(path: impl Into<String>, expected: &str, found: &str) -> Error {
        Error::at(path, &format!("expected {expected}, found {found}"))
    }

    /// A broken promise inside this library.
    pub fn internal(message: impl Into<Cow<'static, str>>) -> Error {
        Error::new(ErrorKind::Internal, message)
    }

    /// Adds the JSON pointer of the value at fault.
    pub fn with_path(mut self, path: impl Into<String>) -> Error {
        self.0.path = Some(path.into());
        self
    }

    /// Adds the phase of the network call.
    pub fn with_phase(mut self, phase: Phase) -> Error {
        self.0.phase = Some(phase);
        self
    }

    /// Says whether asking again may help.
    pub fn with_retryable(mut self, retryable: bool) -> Error {
        self.0.retryable = retryable;
        self
    }

    /// Adds the HTTP status of the answer.
    pub fn with_http_status(mut self, status: u16) -> Error {
        self.0.http_status = Some(status);
        self
    }

    /// Adds how many requests were sent.
    pub fn with_attempts(mut self, attempts: u32) -> Error {
        self.0.attempts = Some(attempts);
        self
    }

    /// Adds how long the call took.
    pub fn with_elapsed(mut self, elapsed: Duration) -> Error {
        self.0.elapsed = Some(elapsed);
        self
    }

    /// Adds the request id that the call was sent with.
    pub fn with_request_id(mut self, id: impl Into<String>) -> Error {
        self.0.request_id = Some(id.into());
        self
    }

    /// Adds an excerpt of the answer's body; the caller has cut it to 256 bytes and removed identifiers.
    pub fn with_body(mut self, excerpt: impl Into<String>) -> Error {
        self.0.body = Some(excerpt.into());
        self
    }

    /// The kind.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The message.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// JSON pointer of the value at fault, if one is.
    pub fn path(&self) -> Option<&str> {
        self.0.path.as_deref()
    }

    /// Phase of the network call.
    pub fn phase(&self) -> Option<Phase> {
        self.0.phase
    }

    /// Whether asking again may help.
    pub fn retryable(&self) -> bool {
        self.0.retryable
    }

    /// HTTP status of the answer, if there was one.
    pub fn http_status(&self) -> Option<u16> {
        self.0.http_status
    }

    /// How many requests were sent.
    pub fn attempts(&self) -> Option<u32> {
        self.0.attempts
    }

    /// The request id that the call was sent with.
    pub fn request_id(&self) -> Option<&str> {
        self.0.request_id.as_deref()
    }

    /// The error document of the C API. `code` and `name` are the C layer's.
    pub fn to_json(&self, code: i32, name: &str) -> String {
        let detail = &*self.0;
        let mut out = String::with_capacity(160);
        out.push_str("{\"code\":");
        out.push_str(&code.to_string());
        let mut text = |key: &str, value: &str| {
            out.push_str(",\"");
            out.push_str(key);
            out.push_str("\":");
            json::write_str(&mut out, value);
        };
        text("name", name);
        text("message", &detail.message);
        for (key, value) in [
            ("path", detail.path.as_deref()),
            ("phase", detail.phase.map(Phase::name)),
            ("requestId", detail.request_id.as_deref()),
            ("body", detail.body.as_deref()),
        ] {
            if let Some(value) = value {
                text(key, value);
            }
        }
        out.push_str(",\"retryable\":");
        out.push_str(if detail.retryable { "true" } else { "false" });
        for (key, value) in [
            ("httpStatus", detail.http_status.map(u128::from)),
            ("attempts", detail.attempts.map(u128::from)),
            ("elapsedMs", detail.elapsed.map(|elapsed| elapsed.as_millis())),
        ] {
            if let Some(value) = value {
                out.push_str(",\"");
                out.push_str(key);
                out.push_str("\":");
                out.push_str(&value.to_string());
            }
        }
        out.push('}');
        out
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        if let Some(path) = &self.0.path {
            write!(f, " (at {})", if path.is_empty() { "the document" } else { path })?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn document_has_only_what_is_known() {
        let plain = Error::new(ErrorKind::Closed, "the \"client\" is closed").to_json(-9, "TARGET_E_CLOSED");
        assert_eq!(
            plain,
            r#"{"code":-9,"name":"TARGET_E_CLOSED","message":"the \"client\" is closed","retryable":false}"#
        );
        let full = Error::new(ErrorKind::Timeout, "too late")
            .with_phase(Phase::Connect)
            .with_attempts(2)
            .with_elapsed(Duration::from_millis(3000))
            .with_request_id("r1")
            .to_json(-6, "TARGET_E_TIMEOUT");
        assert_eq!(
            full,
            r#"{"code":-6,"name":"TARGET_E_TIMEOUT","message":"too late","phase":"connect","requestId":"r1","retryable":true,"attempts":2,"elapsedMs":3000}"#
        );
    }
}
