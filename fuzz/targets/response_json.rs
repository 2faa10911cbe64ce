//! The answer of the Delivery API, up to the envelope and its attributes.

use target_sdk_core::attributes::Attributes;
use target_sdk_core::config::DecisioningMethod;
use target_sdk_core::delivery::response;
use target_sdk_core::envelope::{self, RawList};
use target_sdk_core::error::ErrorKind;
use target_sdk_core::json::raw_pointer;

use super::support::{NOW_MS, check_error, json};

pub(crate) fn run(data: &[u8]) {
    let Some((first, body)) = data.split_first() else { return };
    let status = [200, 206, 204, 299][usize::from(first.wrapping_sub(b'0') % 4)];
    let delivered = match response::read(status, body.to_vec()) {
        Ok(delivered) => delivered,
        Err(error) => {
            assert_eq!((error.kind(), error.http_status()), (ErrorKind::Decode, Some(status)));
            return check_error(&error);
        }
    };
    if status == 204 {
        assert_eq!(delivered.response, "{}");
    } else {
        let text = std::str::from_utf8(body).expect("only text is accepted");
        assert_eq!(delivered.response, text.strip_prefix('\u{feff}').unwrap_or(text));
    }

    // What serde_json makes of the whole document, this crate found while reading it once.
    let read = serde_json::from_str::<serde::de::IgnoredAny>(&delivered.response);
    assert!(read.is_ok(), "{read:?}: {}", delivered.response);
    // It refuses numbers beyond a double and halves of surrogate pairs, which are JSON and passed on.
    let Ok(answer) = serde_json::from_str::<serde_json::Value>(&delivered.response) else { return };
    let found = |value: &serde_json::Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    assert_eq!(delivered.edge_host, found(&answer["edgeHost"]));
    assert_eq!(delivered.tnt_id, found(&answer["id"]["tntId"]));

    let none = RawList::new();
    let mut envelope = envelope::write(&envelope::Parts {
        status,
        request: r#"{"requestId":"r"}"#,
        response: &delivered.response,
        session_id: "session",
        tnt_id: delivered.tnt_id.as_deref(),
        cluster: Some("28"),
        now_ms: NOW_MS,
        visitor_state: "{}",
        analytics_details: &delivered.analytics,
        response_tokens: &delivered.response_tokens,
        trace: &delivered.traces,
        decisioning_method: DecisioningMethod::ServerSide,
        requested_decisioning_method: DecisioningMethod::Hybrid,
        remote_mboxes: &none,
        remote_views: &none,
    })
    .expect("memory");
    let whole = json(&envelope);
    assert_eq!(whole["response"], answer);
    for key in ["status", "targetCookie", "targetLocationHintCookie", "visitorState", "meta"] {
        assert!(!whole[key].is_null(), "{key} is missing: {envelope}");
    }
    for (list, section) in [
        (&delivered.analytics, "analyticsDetails"),
        (&delivered.traces, "trace"),
        (&delivered.response_tokens, "responseTokens"),
    ] {
        assert_eq!(whole[section].is_array(), !list.is_empty(), "{section}");
    }
    if let Some(raw) = raw_pointer(&envelope, "/response") {
        assert_eq!(json(raw), answer);
    }

    let Ok(attributes) = Attributes::from_envelope(&envelope, Some("global")) else { return };
    attributes.append_to(&mut envelope).expect("an envelope takes attributes");
    let whole = json(&envelope);
    for mbox in attributes.mboxes() {
        let object = json(&attributes.as_object(mbox).expect("a known mbox"));
        assert_eq!(whole["attributes"][mbox], object);
        for (key, value) in object.as_object().expect("an object") {
            assert_eq!(&json(attributes.get(mbox, key).expect("a known attribute")), value);
        }
    }
}
