//! Deliveries decided by the rules of the artifact.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod support;

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Value, json};
use support::{DATA, demo, start};

fn deliver(edge: &support::Running, members: Value) -> Value {
    let mut request = members;
    if request.get("context").is_none() {
        request["context"] = json!({"channel": "web"});
    }
    let reply = edge.deliver(&request.to_string());
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

#[test]
fn visitors_are_allocated_and_stay_where_they_are() {
    let edge = demo("");
    let mut counts = BTreeMap::new();
    for visitor in 0..200 {
        let ask = || {
            let reply = deliver(
                &edge,
                json!({"id": {"tntId": format!("visitor-{visitor}.28_0")},
                "execute": {"mboxes": [{"index": 1, "name": "homepage-hero"}]},
                "prefetch": {"mboxes": [{"index": 1, "name": "homepage-hero"}]}}),
            );
            let executed = reply["execute"]["mboxes"][0]["options"][0].clone();
            let prefetched = reply["prefetch"]["mboxes"][0]["options"][0].clone();
            assert_eq!(executed["content"], prefetched["content"]);
            assert_eq!(executed.get("eventToken"), None, "executed is counted");
            assert!(prefetched["eventToken"].is_string());
            assert_eq!(executed["responseTokens"]["activity.decisioningMethod"], "server-side");
            executed["responseTokens"]["experience.name"].as_str().unwrap().to_owned()
        };
        let experience = ask();
        assert_eq!(ask(), experience);
        *counts.entry(experience).or_insert(0) += 1;
    }
    assert_eq!(counts.len(), 2, "{counts:?}");
    assert!(counts.values().all(|count| (70..=130).contains(count)), "half and half: {counts:?}");
}

#[test]
fn audiences_are_looked_at() {
    let edge = demo("");
    let banner = |parameters: Value, agent: &str| {
        let reply = deliver(
            &edge,
            json!({"context": {"channel": "web", "userAgent": agent},
            "execute": {"mboxes": [{"index": 0, "name": "checkout-banner", "parameters": parameters}]}}),
        );
        reply["execute"]["mboxes"][0]["options"][0]["responseTokens"]["experience.name"].clone()
    };
    let chrome = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36";
    assert_eq!(banner(json!({"tier": "Gold"}), chrome), "Experience A");
    assert_eq!(banner(json!({}), chrome), "Experience B");
    assert_eq!(banner(json!({}), "curl/8"), "Experience C");
}

#[test]
fn the_offers_file_answers_what_the_artifact_does_not_know() {
    let edge = demo("");
    let mboxes = json!([{"index": 4, "name": "newsletter-a4t"}, {"index": 2, "name": "demo-engineering-flags"},
        {"index": 3, "name": "nobody-knows"}]);
    let reply = deliver(
        &edge,
        json!({"execute": {"mboxes": mboxes, "pageLoad": {}}, "prefetch": {"mboxes": mboxes, "views": [{}]}}),
    );
    let answered = reply["execute"]["mboxes"].as_array().unwrap();
    assert_eq!(answered.iter().map(|item| item["index"].as_i64().unwrap()).collect::<Vec<_>>(), [4, 2, 3]);
    assert_eq!(answered[0]["analytics"]["payload"]["pe"], "tnt", "of the offers");
    assert_eq!(answered[1]["options"][0]["responseTokens"]["activity.decisioningMethod"], "server-side");
    assert_eq!(answered[2], json!({"index": 3, "name": "nobody-knows"}));
    assert_eq!(reply["prefetch"]["mboxes"][1]["options"][0]["eventToken"], "local-flags-a", "of the artifact");
    assert_eq!(reply["execute"]["pageLoad"]["options"][0]["type"], "actions");
    let views: Vec<_> =
        reply["prefetch"]["views"].as_array().unwrap().iter().map(|view| view["name"].clone()).collect();
    assert_eq!(views, ["home", "cart"]);

    let only = start(&format!("--artifact {DATA}/artifact.json"));
    let reply = deliver(&only, json!({"execute": {"mboxes": [{"index": 0, "name": "newsletter-a4t"}]}}));
    assert_eq!(reply["execute"]["mboxes"][0], json!({"index": 0, "name": "newsletter-a4t"}));
    assert_eq!(reply.get("prefetch"), None);
}

#[test]
fn places_are_looked_up_as_the_cdn_does() {
    let artifact = json!({"version": "1.0.0", "geoTargetingEnabled": true, "responseTokens": ["geo.city"], "rules": {"mboxes": {
        "m": [{"ruleKey": "1", "meta": {"activity.id": 1}, "condition": {"==": ["DE", {"var": "geo.country"}]},
               "consequence": {"name": "m", "options": [{"type": "html", "content": "Hallo"}]}}]}}});
    let path = std::env::temp_dir().join(format!("target-edge-geo-{}.json", std::process::id()));
    fs::write(&path, artifact.to_string()).unwrap();
    let edge = start(&format!("--offers {DATA}/offers.json --artifact {}", path.display()));
    let from = |geo: Value| {
        let reply = deliver(
            &edge,
            json!({"context": {"channel": "web", "geo": geo}, "execute": {"mboxes": [{"index": 0, "name": "m"}]}}),
        );
        reply["execute"]["mboxes"][0]["options"][0].clone()
    };
    assert_eq!(from(json!({"ipAddress": "203.0.113.7"}))["responseTokens"]["geo.city"], "BERLIN");
    assert_eq!(from(json!({"ipAddress": "203.0.113.8"})), Value::Null);
    assert_eq!(from(json!({"countryCode": "DE"}))["content"], "Hallo");
    fs::remove_file(&path).unwrap();
}

#[test]
fn an_artifact_that_the_engine_refuses_is_served_all_the_same() {
    let text = r#"{"version":"2.0.0","rules":{"mboxes":{"homepage-hero":[]}}}"#;
    let path = std::env::temp_dir().join(format!("target-edge-refused-{}.json", std::process::id()));
    fs::write(&path, text).unwrap();
    let edge = start(&format!("--offers {DATA}/offers.json --artifact {}", path.display()));
    assert_eq!(edge.get("/c/production/v1/rules.json").text(), text);
    let reply = edge.deliver(support::HERO).json();
    assert_eq!(reply["execute"]["mboxes"][0]["options"][0]["type"], "html", "the offers decide");
    fs::remove_file(&path).unwrap();
}
