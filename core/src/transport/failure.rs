//! From what reqwest says to an error that a person understands and a program can act on.

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use super::dns::{LookUpFailed, PrivateAddress};
use super::probe::Progress;
use super::retry::Retry;
use crate::error::{Error, ErrorKind, Phase};

/// One attempt that did not succeed.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) kind: ErrorKind,
    pub(super) message: String,
    pub(super) phase: Phase,
    pub(super) retry: Retry,
    /// Whether asking again later may help.
    pub(super) retryable: bool,
    /// Whether it says that the host is in trouble.
    pub(super) host_down: bool,
    pub(super) http_status: Option<u16>,
    pub(super) body: Option<String>,
}

impl Failure {
    /// A failure that no retry cures and that is not the host's.
    pub(super) fn new(kind: ErrorKind, phase: Phase, message: impl Into<String>) -> Failure {
        Failure {
            kind,
            message: message.into(),
            phase,
            retry: Retry::No,
            retryable: false,
            host_down: false,
            http_status: None,
            body: None,
        }
    }

    /// A failure of the network: the host is in trouble.
    fn network(kind: ErrorKind, phase: Phase, message: String, retry: Retry) -> Failure {
        Failure { retry, retryable: true, host_down: true, ..Failure::new(kind, phase, message) }
    }

    /// The error for the caller.
    pub(super) fn into_error(self, attempts: u32, elapsed: Duration) -> Error {
        let mut error = Error::new(self.kind, self.message)
            .with_phase(self.phase)
            .with_retryable(self.retryable)
            .with_attempts(attempts)
            .with_elapsed(elapsed);
        if let Some(status) = self.http_status {
            error = error.with_http_status(status);
        }
        if let Some(body) = self.body {
            error = error.with_body(body);
        }
        error
    }
}

/// What an attempt was, for judging how it failed.
#[derive(Clone, Copy)]
pub(super) struct Facts<'a> {
    /// `host:port`
    pub(super) host: &'a str,
    pub(super) proxy: Option<&'a str>,
    pub(super) progress: Progress,
    /// Repeating it changes nothing at the server.
    pub(super) idempotent: bool,
}

/// What the chain of causes says.
#[derive(Default)]
struct Causes<'a> {
    io: Option<io::ErrorKind>,
    tls: Option<&'a rustls::Error>,
    look_up: Option<&'a LookUpFailed>,
    private: bool,
    closed: bool,
    parse: bool,
    canceled: bool,
    /// The server said that it has not processed the request: a refused stream, or a GOAWAY that leaves it out.
    unprocessed: bool,
    tunnel: Option<String>,
    deepest: String,
}

fn causes<'a>(error: &'a (dyn StdError + 'static)) -> Causes<'a> {
    let mut causes = Causes::default();
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(hyper) = error.downcast_ref::<hyper::Error>() {
            causes.closed |= hyper.is_incomplete_message() || hyper.is_closed() || hyper.is_body_write_aborted();
            causes.parse |= hyper.is_parse();
            causes.canceled |= hyper.is_canceled();
        }
        if let Some(h2) = error.downcast_ref::<h2::Error>() {
            let refused = h2.is_reset() && h2.reason() == Some(h2::Reason::REFUSED_STREAM);
            let leaves = h2.is_go_away() && h2.reason() == Some(h2::Reason::NO_ERROR);
            causes.unprocessed |= h2.is_remote() && (refused || leaves);
        }
        causes.tls = causes.tls.or_else(|| error.downcast_ref());
        causes.look_up = causes.look_up.or_else(|| error.downcast_ref());
        causes.private |= error.is::<PrivateAddress>();
        causes.deepest = error.to_string();
        if let Some(what) = causes.deepest.strip_prefix("tunnel error: ") {
            causes.tunnel = Some(what.to_owned());
        }
        // `source` of an I/O error skips the error inside it.
        next = match error.downcast_ref::<io::Error>() {
            Some(io) => {
                causes.io = Some(io.kind());
                io.get_ref().map(|inner| inner as &(dyn StdError + 'static))
            }
            None => error.source(),
        };
    }
    causes
}

/// Judges an error from sending or from waiting for the response head.
pub(super) fn sending(error: &reqwest::Error, facts: Facts<'_>) -> Failure {
    let causes = causes(error);
    let Facts { host, progress, .. } = facts;
    let via = facts.proxy.map(|proxy| format!(" (proxy {proxy} configured)")).unwrap_or_default();
    let phase = progress.phase;
    if causes.private {
        let message = format!("{host} has a loopback, link-local or private address, which is refused here");
        return Failure::new(ErrorKind::Network, Phase::Dns, message);
    }
    if error.is_builder() {
        return Failure::new(ErrorKind::InvalidOptions, Phase::Send, format!("the request to {host} cannot be built"));
    }
    if let Some(failed) = causes.look_up {
        let message = format!("the name of {host} could not be looked up: {}{via}", failed.reason);
        return Failure::network(ErrorKind::Network, Phase::Dns, message, Retry::Safe);
    }
    if let Some(tls) = causes.tls {
        return handshake(tls, host);
    }
    if let Some(what) = causes.tunnel {
        let denied = what == "proxy authorization required";
        let message = match denied {
            true => format!("the proxy asks for authentication (407) to reach {host}{via}"),
            false => format!("the proxy made no tunnel to {host}: {what}{via}"),
        };
        let retry = if denied { Retry::No } else { Retry::Safe };
        let failure = Failure::network(ErrorKind::Network, Phase::Connect, message, retry);
        return match denied {
            true => Failure { retryable: false, http_status: Some(407), ..failure },
            false => failure,
        };
    }
    if error.is_connect() {
        return connecting(error, &causes, facts, &via);
    }
    if causes.parse {
        let message = format!("{host} answered something that is not HTTP: {}", causes.deepest);
        let failure = Failure::network(ErrorKind::Decode, Phase::Wait, message, Retry::No);
        return Failure { retryable: false, ..failure };
    }
    let broken = causes.closed || causes.canceled || causes.io.is_some_and(is_broken_connection);
    let message = match causes.io {
        Some(io::ErrorKind::ConnectionReset) => format!("{host} reset the connection before answering{via}"),
        _ if broken => format!("{host} closed the connection before answering{via}"),
        _ if causes.unprocessed => format!("{host} takes no more requests on this connection{via}"),
        _ => format!("the request to {host} failed: {}{via}", causes.deepest),
    };
    // `canceled`: hyper found the connection closed before it sent anything.
    let retry = match (broken, progress.connected) {
        (_, false) if causes.canceled => Retry::Unsent,
        _ if causes.canceled || causes.unprocessed => Retry::Safe,
        (true, false) => Retry::Stale,
        _ if facts.idempotent => Retry::Safe,
        _ => Retry::No,
    };
    Failure::network(ErrorKind::Network, phase, message, retry)
}

fn connecting(error: &reqwest::Error, causes: &Causes<'_>, facts: Facts<'_>, via: &str) -> Failure {
    let Facts { host, progress, .. } = facts;
    if progress.phase == Phase::Tls {
        let message = match causes.io {
            _ if error.is_timeout() => format!("the TLS handshake with {host} took too long{via}"),
            Some(kind) if is_broken_connection(kind) => {
                format!("{host} closed the connection during the TLS handshake{via}")
            }
            _ => format!("the TLS handshake with {host} failed: {}{via}", causes.deepest),
        };
        return Failure::network(ErrorKind::Tls, Phase::Tls, message, Retry::Safe);
    }
    let message = match causes.io {
        _ if error.is_timeout() && progress.phase == Phase::Dns => {
            format!("the name of {host} was not looked up within the connect timeout{via}")
        }
        _ if error.is_timeout() => format!("no connection to {host} within the connect timeout{via}"),
        Some(io::ErrorKind::ConnectionRefused) => match facts.proxy {
            Some(proxy) => format!("connection to {host} refused by the proxy {proxy}"),
            None => format!("connection refused by {host}"),
        },
        Some(io::ErrorKind::TimedOut) => format!("no connection to {host}: timed out{via}"),
        Some(kind) if is_broken_connection(kind) => format!("{host} closed the connection while connecting{via}"),
        _ => format!("could not connect to {host}: {}{via}", causes.deepest),
    };
    Failure::network(ErrorKind::Network, progress.phase, message, Retry::Safe)
}

/// Certificates do not get better by asking again; a handshake that broke down may.
fn handshake(error: &rustls::Error, host: &str) -> Failure {
    let permanent = matches!(
        error,
        rustls::Error::InvalidCertificate(_)
            | rustls::Error::NoCertificatesPresented
            | rustls::Error::UnsupportedNameType
            | rustls::Error::PeerIncompatible(_)
            | rustls::Error::AlertReceived(_)
    );
    let message = format!("no trusted TLS connection to {host}: {error}");
    let retry = if permanent { Retry::No } else { Retry::Safe };
    let failure = Failure::network(ErrorKind::Tls, Phase::Tls, message, retry);
    Failure { retryable: !permanent, ..failure }
}

/// Judges an error from reading the body.
pub(super) fn reading(error: &reqwest::Error, facts: Facts<'_>, read: usize) -> Failure {
    let causes = causes(error);
    let host = facts.host;
    if causes.tls.is_none() && causes.io.is_some_and(is_malformed) {
        let message = format!("the answer of {host} is not HTTP beyond {read} bytes: {}", causes.deepest);
        let failure = Failure::network(ErrorKind::Decode, Phase::Read, message, Retry::No);
        return Failure { retryable: false, ..failure };
    }
    let message = match causes.io {
        _ if causes.closed => format!("{host} closed the connection in the middle of its answer, after {read} bytes"),
        Some(kind) if is_broken_connection(kind) => {
            format!("the connection to {host} broke in the middle of its answer, after {read} bytes")
        }
        _ => format!("the answer of {host} could not be read beyond {read} bytes: {}", causes.deepest),
    };
    let retry = if facts.idempotent { Retry::Safe } else { Retry::No };
    Failure::network(ErrorKind::Network, Phase::Read, message, retry)
}

/// What hyper says of chunks and trailers that break the rules.
fn is_malformed(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput)
}

fn is_broken_connection(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, UnexpectedEof};
    matches!(kind, BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected | UnexpectedEof)
}

/// The deadline passed.
pub(super) fn too_late(host: &str, progress: Progress, elapsed: Duration) -> Error {
    let doing = match progress.phase {
        Phase::Queue => "waiting for its turn",
        Phase::Dns => "looking up the name",
        Phase::Connect => "connecting",
        Phase::Tls => "in the TLS handshake",
        Phase::Send | Phase::Wait => "waiting for the answer",
        Phase::Read | Phase::Decode => "reading the answer",
    };
    let message = format!("the request to {host} ran out of time after {} ms, {doing}", elapsed.as_millis());
    Error::new(ErrorKind::Timeout, message)
        .with_phase(progress.phase)
        .with_attempts(progress.attempts)
        .with_elapsed(elapsed)
}
