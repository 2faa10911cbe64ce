//! A rules artifact: compiled, and asked for decisions about what it has rules for.

use serde_json::Value;
use target_sdk_core::decisioning::{Input, Ruleset, TraceSource, decide, merge_geo, needs_geo_lookup, valid_geo};
use target_sdk_core::error::ErrorKind;
use target_sdk_core::fuzzing::artifact;
use target_sdk_core::json::{self, Limits};

use super::support::{NOW_MS, Repeatable, check_error, json};

pub(crate) fn run(data: &[u8]) {
    let decoded;
    let text = if data.starts_with(b"ATOD") {
        decoded = match artifact::decode(data, "ORG@AdobeOrg") {
            Ok(text) => text,
            Err(error) => return check_error(&error),
        };
        &decoded
    } else {
        let Ok(text) = std::str::from_utf8(data) else { return };
        text
    };
    let rules = match Ruleset::compile(text) {
        Ok(rules) => rules,
        Err(error) => {
            assert!(matches!(error.kind(), ErrorKind::Artifact | ErrorKind::InvalidJson), "{error:?}");
            return check_error(&error);
        }
    };
    let artifact = json(text);
    let names = |kind: &str| -> Vec<String> {
        let known = artifact["rules"][kind].as_object();
        known.map_or_else(Vec::new, |known| known.keys().take(4).cloned().collect())
    };
    let (mboxes, views) = (names("mboxes"), names("views"));
    for (number, visitor) in [r#"{"tntId":"a.28_0"}"#, r#"{"thirdPartyId":"é"}"#, "null"].into_iter().enumerate() {
        decide_about(&rules, visitor, number == 0, &mboxes, &views);
    }
}

fn decide_about(rules: &Ruleset, visitor: &str, traced: bool, mboxes: &[String], views: &[String]) {
    let mboxes: Vec<Value> = mboxes
        .iter()
        .enumerate()
        .map(|(index, name)| {
            serde_json::json!({"name": name, "index": index, "parameters": {"user": "Bob", "cart.total": "99", "a": "1"}})
        })
        .collect();
    let views: Vec<Value> = views.iter().map(|name| serde_json::json!({"name": name})).collect();
    let mut request = serde_json::json!({
        "requestId": "r",
        "id": json(visitor),
        "context": {
            "channel": "web",
            "userAgent": "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/119.0.0.0 Safari/537.36",
            "address": {"url": "https://shop.example:8080/a/b.html?utm=x&q=1#part", "referringUrl": "https://search.example/"},
            "geo": {"countryCode": "US", "stateCode": "CA", "city": "SANJOSE", "latitude": 37.3, "longitude": -121.9},
        },
        "execute": {"pageLoad": {"parameters": {"a": "1"}}, "mboxes": &mboxes},
        "prefetch": {"views": views, "mboxes": &mboxes},
    });
    if traced {
        request["trace"] = serde_json::json!({"authorizationToken": "t"});
    }
    let text = request.to_string();
    let document = json::parse(&text, &Limits::OPTIONS).expect("request");
    let request = document.as_object().expect("an object");
    let geo = document.pointer("/context/geo");
    let _ = needs_geo_lookup(rules, geo);
    let found = json::parse(r#"{"city":"bern"}"#, &Limits::OPTIONS).expect("an answer");
    let merged = merge_geo(geo, Some(&found));
    assert_eq!(merged.get("countryCode"), document.pointer("/context/geo/countryCode"));
    assert_eq!(merged.get("city"), found.get("city"));
    assert!(!valid_geo(geo).is_empty());
    let decision = || {
        let random = Repeatable::new();
        decide(
            rules,
            &Input {
                client: "acme",
                request,
                session_id: "session",
                location_hint: Some("28"),
                now_ms: NOW_MS,
                random: &random,
                all_matching_rules_mboxes: &["every".to_owned()],
                trace: TraceSource { artifact_location: "https://assets.example/rules.json", ..TraceSource::default() },
            },
        )
    };
    let decided = decision();
    assert_eq!(format!("{decided:?}"), format!("{:?}", decision()), "decisions differ with everything the same");
    assert!(matches!(decided.status, 200 | 206));
    let response = json(&decided.response);
    assert_eq!(response["status"], decided.status);
    assert_eq!(response["client"], "acme");
    // A mbox that gets all matching rules is answered several times. The name is the artifact's, the index is not.
    for answered in response["execute"]["mboxes"].as_array().into_iter().flatten() {
        assert!(mboxes.iter().any(|asked| asked["index"] == answered["index"]), "{answered} was not asked for");
    }
    json(&decided.id);
    for text in decided.notifications.iter().chain(&decided.response_tokens).chain(&decided.traces) {
        json(text);
    }
    let _ = rules.remote_dependency(request);
}
