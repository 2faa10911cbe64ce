//! The answer envelope: what the host gets for a call, written once, around texts that are passed on unchanged.

use crate::config::DecisioningMethod;
use crate::cookies;
use crate::error::{Error, ErrorKind, Phase, Result};
use crate::json;

/// The elements of a JSON array, as JSON text.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct RawList(String);

impl RawList {
    /// An empty list.
    pub fn new() -> RawList {
        RawList::default()
    }

    /// A list of strings.
    pub fn of_texts(texts: &[String]) -> RawList {
        let mut list = RawList::new();
        texts.iter().for_each(|text| list.push_text(text));
        list
    }

    /// Appends an element that is JSON text already.
    pub fn push(&mut self, element: &str) {
        self.separate();
        self.0.push_str(element);
    }

    /// Appends a string.
    pub fn push_text(&mut self, text: &str) {
        self.separate();
        json::write_str(&mut self.0, text);
    }

    /// Appends all elements of `other`.
    pub fn append(&mut self, other: &RawList) {
        if !other.is_empty() {
            self.push(&other.0);
        }
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Appends the array to `out`.
    pub fn write(&self, out: &mut String) {
        out.push('[');
        out.push_str(&self.0);
        out.push(']');
    }

    fn separate(&mut self) {
        if !self.0.is_empty() {
            self.0.push(',');
        }
    }
}

/// What an envelope is made of. Server and on-device decisions both come as this.
#[derive(Clone, Copy)]
pub struct Parts<'e> {
    /// HTTP status, or the on-device engine's 200 or 206.
    pub status: u16,
    /// The request as sent or decided, JSON text.
    pub request: &'e str,
    /// The response, JSON text.
    pub response: &'e str,
    /// Session id of the call.
    pub session_id: &'e str,
    /// The response's `id.tntId`.
    pub tnt_id: Option<&'e str>,
    /// The cluster of the request, else of the answer's edge host.
    pub cluster: Option<&'e str>,
    /// Now, for the expiry of cookies.
    pub now_ms: i64,
    /// State of the visitor, JSON text.
    pub visitor_state: &'e str,
    /// `analytics` of the response's items.
    pub analytics_details: &'e RawList,
    /// `responseTokens` of the response's options.
    pub response_tokens: &'e RawList,
    /// `trace` of the response's items.
    pub trace: &'e RawList,
    /// How it was decided.
    pub decisioning_method: DecisioningMethod,
    /// How the caller wanted it decided.
    pub requested_decisioning_method: DecisioningMethod,
    /// Names of requested mboxes that only the server can decide.
    pub remote_mboxes: &'e RawList,
    /// Names of requested views that only the server can decide.
    pub remote_views: &'e RawList,
}

/// Writes the envelope. An answer may be so large that there is no memory for it.
pub fn write(parts: &Parts<'_>) -> Result<String> {
    let lists = [parts.analytics_details, parts.response_tokens, parts.trace, parts.remote_mboxes, parts.remote_views];
    let lists: usize = lists.iter().map(|list| list.0.len()).sum();
    let texts = parts.request.len() + parts.response.len() + parts.visitor_state.len();
    let ids = parts.session_id.len() + parts.tnt_id.map_or(0, str::len);
    // What is the same in all of them, and a zero byte for C, are less than 512.
    let length = 512 + texts + ids + lists;
    let mut out = String::new();
    out.try_reserve_exact(length).map_err(|_| {
        Error::new(ErrorKind::Decode, format!("there is no memory for an answer of {length} bytes"))
            .with_phase(Phase::Decode)
            .with_http_status(parts.status)
    })?;
    out.push_str("{\"status\":");
    json::write_int(&mut out, i64::from(parts.status));
    out.push_str(",\"request\":");
    out.push_str(parts.request);
    out.push_str(",\"response\":");
    out.push_str(parts.response);
    out.push_str(",\"targetCookie\":");
    cookies::write_target_cookie(&mut out, parts.session_id, parts.tnt_id, parts.now_ms);
    if let Some(cluster) = parts.cluster {
        out.push_str(",\"targetLocationHintCookie\":");
        cookies::write_location_hint_cookie(&mut out, cluster);
    }
    out.push_str(",\"visitorState\":");
    out.push_str(parts.visitor_state);
    for (key, list) in [
        (",\"analyticsDetails\":", parts.analytics_details),
        (",\"responseTokens\":", parts.response_tokens),
        (",\"trace\":", parts.trace),
    ] {
        if !list.is_empty() {
            out.push_str(key);
            list.write(&mut out);
        }
    }
    out.push_str(",\"meta\":{\"decisioningMethod\":\"");
    out.push_str(parts.decisioning_method.name());
    out.push_str("\",\"requestedDecisioningMethod\":\"");
    out.push_str(parts.requested_decisioning_method.name());
    out.push_str("\",\"remoteMboxes\":");
    parts.remote_mboxes.write(&mut out);
    out.push_str(",\"remoteViews\":");
    parts.remote_views.write(&mut out);
    out.push_str("}}");
    Ok(out)
}

crate::opaque::opaque_debug! { RawList {} Parts<'e> { status } }

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_text() {
        let none = RawList::new();
        let mut parts = Parts {
            status: 200,
            request: r#"{"requestId":"r"}"#,
            response: "{ \"big\": 123456789012345678901234567890, \"exp\": 1e2 }",
            session_id: "S",
            tnt_id: None,
            cluster: None,
            now_ms: 1_700_000_000_000,
            visitor_state: r#"{"ORG@AdobeOrg":{}}"#,
            analytics_details: &none,
            response_tokens: &none,
            trace: &none,
            decisioning_method: DecisioningMethod::ServerSide,
            requested_decisioning_method: DecisioningMethod::Hybrid,
            remote_mboxes: &none,
            remote_views: &none,
        };
        assert_eq!(
            write(&parts).unwrap(),
            concat!(
                r#"{"status":200,"request":{"requestId":"r"},"#,
                r#""response":{ "big": 123456789012345678901234567890, "exp": 1e2 },"#,
                r#""targetCookie":{"name":"mbox","value":"session#S#1700001860","maxAge":1860},"#,
                r#""visitorState":{"ORG@AdobeOrg":{}},"#,
                r#""meta":{"decisioningMethod":"server-side","requestedDecisioningMethod":"hybrid","remoteMboxes":[],"remoteViews":[]}}"#
            )
        );
        let (mut analytics, mut tokens, mut trace, mut mboxes) =
            (RawList::new(), RawList::new(), RawList::new(), RawList::new());
        analytics.push(r#"{"payload":{"pe":"tnt"}}"#);
        tokens.push("{\"a\":1}");
        tokens.push("{\"a\":2}");
        trace.push("{}");
        mboxes.push_text("a\"b");
        mboxes.push_text("c");
        parts = Parts {
            tnt_id: Some("T.28_0"),
            cluster: Some("28"),
            analytics_details: &analytics,
            response_tokens: &tokens,
            trace: &trace,
            remote_mboxes: &mboxes,
            ..parts
        };
        assert_eq!(
            write(&parts).unwrap(),
            concat!(
                r#"{"status":200,"request":{"requestId":"r"},"#,
                r#""response":{ "big": 123456789012345678901234567890, "exp": 1e2 },"#,
                r#""targetCookie":{"name":"mbox","value":"session#S#1700001860|PC#T.28_0#1763244800","maxAge":63244800},"#,
                r#""targetLocationHintCookie":{"name":"mboxEdgeCluster","value":"28","maxAge":1860},"#,
                r#""visitorState":{"ORG@AdobeOrg":{}},"#,
                r#""analyticsDetails":[{"payload":{"pe":"tnt"}}],"responseTokens":[{"a":1},{"a":2}],"trace":[{}],"#,
                r#""meta":{"decisioningMethod":"server-side","requestedDecisioningMethod":"hybrid","remoteMboxes":["a\"b","c"],"remoteViews":[]}}"#
            )
        );
    }

    #[test]
    fn lists_join() {
        let (mut a, mut b) = (RawList::new(), RawList::new());
        a.append(&b);
        assert!(a.is_empty());
        b.push("1");
        b.push("2");
        a.append(&b);
        a.append(&b);
        let mut out = String::new();
        a.write(&mut out);
        assert_eq!(out, "[1,2,1,2]");
    }
}
