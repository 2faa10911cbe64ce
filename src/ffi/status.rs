//! Status numbers and names: the only place that knows them.

use target_sdk_core::error::ErrorKind;

/// Outcome of a call: `TARGET_OK` or one of the negative `TARGET_E_*`.
#[allow(non_camel_case_types)]
pub type target_status = i32;

/// Success.
pub const TARGET_OK: target_status = 0;
// -1 and -2 are never used: hosts and bindings keep them for their own ends.
/// NULL where a value is required, invalid UTF-8, an embedded NUL, a bad length.
pub const TARGET_E_INVALID_ARG: target_status = -3;
/// The handle never existed, was destroyed, or is of another type.
pub const TARGET_E_BAD_HANDLE: target_status = -4;
/// Not JSON, too deep or too large.
pub const TARGET_E_INVALID_JSON: target_status = -5;
/// JSON of the wrong shape or failing validation; the message names the JSON pointer.
pub const TARGET_E_INVALID_OPTIONS: target_status = -6;
/// On-device decisioning asked for and no artifact yet.
pub const TARGET_E_NOT_READY: target_status = -7;
/// The deadline of the call passed.
pub const TARGET_E_TIMEOUT: target_status = -8;
/// Cancelled by the host.
pub const TARGET_E_CANCELLED: target_status = -9;
/// The limits on calls in flight and waiting are reached.
pub const TARGET_E_QUEUE_FULL: target_status = -10;
/// The client is closing or closed, or the library is shutting down.
pub const TARGET_E_CLOSED: target_status = -11;
/// A waiting call made from a callback that it would wait for.
pub const TARGET_E_WOULD_DEADLOCK: target_status = -12;
/// DNS, connect, reset, proxy.
pub const TARGET_E_NETWORK: target_status = -13;
/// TLS handshake or certificate.
pub const TARGET_E_TLS: target_status = -14;
/// Target answered with a non-2xx status.
pub const TARGET_E_HTTP: target_status = -15;
/// The answer is not what the Delivery API promises.
pub const TARGET_E_DECODE: target_status = -16;
/// The artifact is unavailable, of an unsupported version, or invalid.
pub const TARGET_E_ARTIFACT: target_status = -17;
/// No such mbox or attribute, or nothing at that JSON pointer.
pub const TARGET_E_NO_ATTRIBUTE: target_status = -18;
/// The server is known to be down: failed at once.
pub const TARGET_E_CIRCUIT_OPEN: target_status = -19;
/// The handle belongs to the parent process.
pub const TARGET_E_FORKED: target_status = -20;
/// `target_init` with other options than before.
pub const TARGET_E_ALREADY_INIT: target_status = -21;
/// Gave up waiting for a callback that does not return.
pub const TARGET_E_CALLBACK_STUCK: target_status = -22;
/// A bug in this library (a panic was caught).
pub const TARGET_E_INTERNAL: target_status = -23;

/// Every status, in the order of [`target_status_at`](super::library::target_status_at). Only ever appended to.
pub(crate) const ALL: [(target_status, &std::ffi::CStr); 22] = [
    (TARGET_OK, c"TARGET_OK"),
    (TARGET_E_INVALID_ARG, c"TARGET_E_INVALID_ARG"),
    (TARGET_E_BAD_HANDLE, c"TARGET_E_BAD_HANDLE"),
    (TARGET_E_INVALID_JSON, c"TARGET_E_INVALID_JSON"),
    (TARGET_E_INVALID_OPTIONS, c"TARGET_E_INVALID_OPTIONS"),
    (TARGET_E_NOT_READY, c"TARGET_E_NOT_READY"),
    (TARGET_E_TIMEOUT, c"TARGET_E_TIMEOUT"),
    (TARGET_E_CANCELLED, c"TARGET_E_CANCELLED"),
    (TARGET_E_QUEUE_FULL, c"TARGET_E_QUEUE_FULL"),
    (TARGET_E_CLOSED, c"TARGET_E_CLOSED"),
    (TARGET_E_WOULD_DEADLOCK, c"TARGET_E_WOULD_DEADLOCK"),
    (TARGET_E_NETWORK, c"TARGET_E_NETWORK"),
    (TARGET_E_TLS, c"TARGET_E_TLS"),
    (TARGET_E_HTTP, c"TARGET_E_HTTP"),
    (TARGET_E_DECODE, c"TARGET_E_DECODE"),
    (TARGET_E_ARTIFACT, c"TARGET_E_ARTIFACT"),
    (TARGET_E_NO_ATTRIBUTE, c"TARGET_E_NO_ATTRIBUTE"),
    (TARGET_E_CIRCUIT_OPEN, c"TARGET_E_CIRCUIT_OPEN"),
    (TARGET_E_FORKED, c"TARGET_E_FORKED"),
    (TARGET_E_ALREADY_INIT, c"TARGET_E_ALREADY_INIT"),
    (TARGET_E_CALLBACK_STUCK, c"TARGET_E_CALLBACK_STUCK"),
    (TARGET_E_INTERNAL, c"TARGET_E_INTERNAL"),
];

/// The name of a status; "unknown status" for a number that is none.
pub(crate) fn name(status: target_status) -> &'static std::ffi::CStr {
    ALL.iter().find(|(number, _)| *number == status).map_or(c"unknown status", |(_, name)| name)
}

/// The number of an error kind.
pub(crate) fn of(kind: ErrorKind) -> target_status {
    match kind {
        ErrorKind::InvalidJson => TARGET_E_INVALID_JSON,
        ErrorKind::InvalidOptions => TARGET_E_INVALID_OPTIONS,
        ErrorKind::NotReady => TARGET_E_NOT_READY,
        ErrorKind::Timeout => TARGET_E_TIMEOUT,
        ErrorKind::Cancelled => TARGET_E_CANCELLED,
        ErrorKind::QueueFull => TARGET_E_QUEUE_FULL,
        ErrorKind::Closed => TARGET_E_CLOSED,
        ErrorKind::Network => TARGET_E_NETWORK,
        ErrorKind::Tls => TARGET_E_TLS,
        ErrorKind::Http => TARGET_E_HTTP,
        ErrorKind::Decode => TARGET_E_DECODE,
        ErrorKind::Artifact => TARGET_E_ARTIFACT,
        ErrorKind::NoAttribute => TARGET_E_NO_ATTRIBUTE,
        ErrorKind::CircuitOpen => TARGET_E_CIRCUIT_OPEN,
        ErrorKind::Internal => TARGET_E_INTERNAL,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_are_unique() {
        let numbers: std::collections::HashSet<_> = ALL.iter().map(|(number, _)| number).collect();
        let names: std::collections::HashSet<_> = ALL.iter().map(|(_, name)| name).collect();
        assert_eq!((numbers.len(), names.len()), (ALL.len(), ALL.len()));
        assert!(!numbers.contains(&-1) && !numbers.contains(&-2));
        assert_eq!(name(TARGET_E_TIMEOUT), c"TARGET_E_TIMEOUT");
        assert_eq!(name(77), c"unknown status");
    }
}
