//! What is asked and answered, with secrets in all the places where there are some.

use serde_json::{Value, json};

/// No error, log record or event may contain it.
pub const CANARY: &str = "canary";
/// Looks like an id of the server's: blanked in excerpts of bodies.
pub const SERVER_ID: &str = "ca9a51e5ca9a51e5ca9a51e5ca9a51e5";

/// What is exercised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    Delivery,
    Notifications,
    Artifact,
}

impl Subject {
    pub const ALL: [Subject; 3] = [Subject::Delivery, Subject::Notifications, Subject::Artifact];

    pub fn name(self) -> &'static str {
        match self {
            Subject::Delivery => "delivery",
            Subject::Notifications => "notifications",
            Subject::Artifact => "artifact",
        }
    }

    /// A correct answer; `word` can be found in it.
    pub fn body(self, word: &str) -> Vec<u8> {
        let document = match self {
            Subject::Artifact => json!({
                "version": "1.0.0", "globalMbox": "target-global-mbox", "responseTokens": [], "remoteMboxes": [],
                "localMboxes": ["m"], "meta": {"clientCode": "demo"}, "rules": {"views": {}, "mboxes": {"m": [{
                    "ruleKey": "0", "activityId": 1, "meta": {"activity.id": 1}, "condition": true, "consequence": {
                        "name": "m", "metrics": [],
                        "options": [{"type": "html", "content": word, "eventToken": "token"}]}}]}}
            }),
            _ => json!({
                "status": 200, "id": {"tntId": format!("{SERVER_ID}.28_0")}, "client": "demo",
                "edgeHost": "mboxedge28.tt.omtrdc.net",
                "execute": {"mboxes": [{"index": 0, "name": "m", "options": [{"type": "html", "content": word}]}]},
                "notifications": [{"id": "n", "result": word}]
            }),
        };
        document.to_string().into_bytes()
    }

    pub fn what(self) -> &'static str {
        match self {
            Subject::Notifications => "notifications",
            _ => "offers",
        }
    }

    /// Options of a call.
    pub fn options(self) -> Value {
        let mut options = json!({
            "sessionId": "canary-session",
            "targetCookie": "session#canary-cookie-session#9999999999|PC#canarytnt.28_0#9999999999",
            "visitorCookie": "canary-visitor%7CMCMID%7C07327024324407615852294135870030620007",
            "customerIds": {"crm": {"id": "canary-customer", "authState": 1}},
            "request": {
                "id": {"tntId": "canarytnt.28_0", "thirdPartyId": "canary-third-party"},
                "property": {"token": "canary-property"},
                "context": {"channel": "web", "address": {"url": "http://shop.example/?q=canary-query"}}
            }
        });
        match self {
            Subject::Notifications => {
                options["request"]["notifications"] = json!([{"id": "n", "type": "display", "timestamp": 1_700_000_000_000_u64,
                    "tokens": ["canary-token"], "mbox": {"name": "m"}}]);
            }
            _ => options["request"]["execute"] = json!({"mboxes": [{"index": 0, "name": "m"}]}),
        }
        options
    }
}
