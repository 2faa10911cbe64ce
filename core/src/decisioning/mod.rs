//! On-device decisioning: a compiled artifact, a request, the time and randomness in, a decision out.
//!
//! Nothing here does I/O, reads a clock or keeps state between decisions. An artifact is compiled once into a
//! [`Ruleset`]; [`decide`] then costs what the rules of the requested locations cost, whatever else the artifact holds.

mod allocation;
mod artifact;
mod coerce;
mod context;
#[cfg(any(fuzzing, test))]
pub mod fuzzing;
mod geo;
mod identity;
mod logic;
mod macros;
mod notifications;
mod page_url;
mod parameters;
mod remote;
mod respond;
mod rule;
mod trace;
mod user_agent;
mod value;

pub use artifact::Ruleset;
pub use geo::{IpToLookUp, merge_geo, needs_geo_lookup, valid_geo};
pub use remote::RemoteDependency;
pub use respond::decide;
pub use trace::TraceSource;

use crate::env::Random;
use crate::json::Object;

/// What a decision depends on besides the rules.
#[derive(Clone, Copy)]
pub struct Input<'a> {
    /// The client code.
    pub client: &'a str,
    /// The final delivery request. `context.geo` has been completed by the caller.
    pub request: &'a Object<'a>,
    /// The session, for traces.
    pub session_id: &'a str,
    /// Where the visitor's profile lies; becomes part of a generated tntId.
    pub location_hint: Option<&'a str>,
    /// The time, in milliseconds since the epoch.
    pub now_ms: i64,
    /// Randomness for ids.
    pub random: &'a dyn Random,
    /// Mboxes that return the content of all matching rules, as the global mbox always does.
    pub all_matching_rules_mboxes: &'a [String],
    /// Where the artifact came from; read only when the request asks for a trace.
    pub trace: TraceSource<'a>,
}

/// A decision.
#[derive(Clone)]
pub struct Decision {
    /// 200, or 206 when part of the request needs the edge.
    pub status: u16,
    /// The Delivery API response as JSON: `status`, `requestId`, `id`, `client`, `execute`, `prefetch`.
    pub response: String,
    /// What needs the edge.
    pub remote: RemoteDependency,
    /// The visitor's ids as JSON, with a generated tntId if there was no id to decide by.
    pub id: String,
    /// `id.tntId`.
    pub tnt_id: Option<String>,
    /// Display notifications to be sent for what was executed, each a JSON object.
    pub notifications: Vec<String>,
    /// The response tokens of all options, each a JSON object.
    pub response_tokens: Vec<String>,
    /// The traces of all items, each a JSON object.
    pub traces: Vec<String>,
}

crate::opaque::opaque_debug! { Decision { status } }
