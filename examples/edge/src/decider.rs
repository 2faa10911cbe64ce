//! Who decides which offers a visitor gets. The edge validates, identifies and answers; a [`Decider`] only chooses.
//!
//! Built in are the rules of the artifact and, for what these do not know, the offers file. Another one is given to
//! [`Edge::start_with`](crate::Edge::start_with).

use serde_json::Value;

/// What has to be decided.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The delivery request: valid, `requestId` filled in, and `id.tntId` unless there is a `thirdPartyId`.
    pub request: &'a Value,
    /// The client code.
    pub client: &'a str,
    /// The session of the query.
    pub session_id: &'a str,
}

/// The `execute` and `prefetch` members of the response, as the Delivery API describes them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Decision {
    /// Present if the request has an `execute`.
    pub execute: Option<Value>,
    /// Present if the request has a `prefetch`.
    pub prefetch: Option<Value>,
}

/// Chooses offers.
pub trait Decider: Send + Sync {
    /// Decides one request; an error is answered with 500 and its text.
    fn decide(&self, question: &Question<'_>) -> Result<Decision, String>;
}
