//! What a call gives, whoever decides it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod client_support;

use std::collections::BTreeSet;

use client_support::*;
use serde_json::{Value, json};
use target_sdk_core::error::ErrorKind;

/// Options without what says where they were decided.
fn options(item: &Value) -> Vec<Value> {
    let mut options = item["options"].as_array().cloned().unwrap_or_default();
    for option in &mut options {
        let tokens = option["responseTokens"].as_object_mut().unwrap();
        assert!(tokens.shift_remove("activity.decisioningMethod").is_some());
    }
    options
}

/// What a visitor sees.
fn experience(envelope: &Value) -> Value {
    let response = &envelope["response"];
    let mut seen = json!({});
    for mode in ["execute", "prefetch"] {
        for kind in ["mboxes", "views"] {
            let items = response[mode][kind].as_array().into_iter().flatten();
            seen[mode][kind] = items.map(|item| json!([item["name"], item["index"], options(item)])).collect();
        }
        seen[mode]["pageLoad"] = options(&response[mode]["pageLoad"]).into();
    }
    seen
}

#[tokio::test]
async fn a_visitor_gets_the_same_experience_whoever_decides() {
    let world = demo().await;
    let mut heroes = BTreeSet::new();
    let clients = [
        ("server-side", world.ready("server-side", json!({})).await),
        ("on-device", world.ready("on-device", json!({})).await),
        ("hybrid", world.ready("hybrid", json!({})).await),
    ];
    for visitor in 0..20 {
        let mboxes = json!([
            {"index": 1, "name": "homepage-hero"}, {"index": 2, "name": "a1-serverside-ab"},
            {"index": 3, "name": "checkout-banner", "parameters": {"tier": if visitor % 3 == 0 { "Gold" } else { "" }}},
            {"index": 4, "name": "demo-engineering-flags"}]);
        let asked = of_visitor(
            &format!("{visitor:032x}.28_0"),
            json!({"request": {"context": {"channel": "web", "userAgent": if visitor % 2 == 0 { CHROME } else { "" }},
                "execute": {"pageLoad": {}, "mboxes": mboxes},
                "prefetch": {"pageLoad": {}, "mboxes": mboxes, "views": [{"name": "home"}]}}}),
        );
        let mut seen = Vec::new();
        for (method, client) in &clients {
            let envelope = client.offers(&asked).await.unwrap();
            let decided = if *method == "server-side" { "server-side" } else { "on-device" };
            assert_eq!(envelope["meta"]["decisioningMethod"], decided, "{method}");
            assert_eq!(envelope["meta"]["requestedDecisioningMethod"], *method);
            assert_eq!(envelope["status"], 200);
            let token = &envelope["response"]["execute"]["mboxes"][0]["options"][0]["responseTokens"];
            assert_eq!(token["activity.decisioningMethod"], decided);
            assert_eq!(envelope["responseTokens"].as_array().unwrap().len(), 11, "one for each option");
            let value = envelope["targetCookie"]["value"].as_str().unwrap();
            assert!(value.contains(&format!("PC#{visitor:032x}.28_0#")), "{value}");
            seen.push(experience(&envelope));
        }
        assert_eq!(seen[0], seen[1], "visitor {visitor} on the server and on the device");
        assert_eq!(seen[1], seen[2], "visitor {visitor} on the device and hybrid");
        heroes.insert(seen[0]["execute"]["mboxes"][0][2][0]["content"].to_string());
        assert!(seen[0]["prefetch"]["mboxes"][0][2][0]["eventToken"].is_string());
    }
    assert_eq!(heroes.len(), 2, "both experiences were given: {heroes:?}");
    let edge = world.received("/rest/v1/delivery").await;
    let asked = |agent: &str| edge.iter().filter(|one| one["body"].as_str().unwrap().contains(agent)).count();
    assert_eq!(asked("\"prefetch\":{"), 20, "only the server-side client asked the server for offers");
}

#[tokio::test]
async fn hybrid_asks_the_server_for_what_it_cannot_decide() {
    let world = demo().await;
    let client = world.ready("hybrid", json!({})).await;
    let envelope = client.offers(&execute(&["homepage-hero", "newsletter-a4t", "nobody-knows"])).await.unwrap();
    assert_eq!(envelope["meta"]["decisioningMethod"], "server-side");
    assert_eq!(envelope["meta"]["requestedDecisioningMethod"], "hybrid");
    assert_eq!(envelope["meta"]["remoteMboxes"], json!(["newsletter-a4t", "nobody-knows"]));
    assert_eq!(envelope["analyticsDetails"].as_array().unwrap().len(), 1, "no holes: {envelope:#}");
    assert_eq!(envelope["analyticsDetails"][0]["payload"]["pe"], "tnt");
    let views = json!({"request": {"prefetch": {"views": [{"name": "cart"}]}}});
    let envelope = client.offers(&views).await.unwrap();
    assert_eq!(envelope["meta"]["remoteViews"], json!(["cart"]));
    assert_eq!(envelope["response"]["prefetch"]["views"][0]["name"], "cart");

    let local = client.offers(&execute(&["homepage-hero"])).await.unwrap();
    assert_eq!((&local["meta"]["decisioningMethod"], &local["status"]), (&json!("on-device"), &json!(200)));
    assert_eq!(local["meta"]["remoteMboxes"], json!([]));

    // On-device only: what is there, and a status that says that it is not all.
    let mut asked = execute(&["homepage-hero", "newsletter-a4t"]);
    asked["decisioningMethod"] = json!("on-device");
    let partial = client.offers(&asked).await.unwrap();
    assert_eq!((&partial["status"], &partial["response"]["status"]), (&json!(206), &json!(206)));
    assert_eq!(partial["meta"]["remoteMboxes"], json!(["newsletter-a4t"]));
    assert_eq!(partial["response"]["execute"]["mboxes"][1], json!({"index": 1, "name": "newsletter-a4t"}));
    assert!(content(&partial, 0).is_string());
}

#[tokio::test]
async fn hybrid_asks_the_server_while_there_is_no_artifact() {
    let world = demo().await;
    world.fault("artifact", "stall").await;
    let client = world.client("hybrid", json!({}));
    let envelope = client.offers(&execute(&["homepage-hero"])).await.unwrap();
    assert_eq!(envelope["meta"]["decisioningMethod"], "server-side");
    assert_eq!(envelope["meta"]["requestedDecisioningMethod"], "hybrid");
    assert!(content(&envelope, 0).is_string());
    assert!(client.client.readiness().is_none(), "still starting");
    let mut asked = execute(&["homepage-hero"]);
    asked["decisioningMethod"] = json!("on-device");
    assert_eq!(client.offers(&asked).await.unwrap_err().kind(), ErrorKind::NotReady);
}

#[tokio::test]
async fn the_method_of_a_call_wins() {
    let world = demo().await;
    let client = world.ready("on-device", json!({})).await;
    let mut asked = execute(&["homepage-hero"]);
    for (method, decided) in [("server-side", "server-side"), ("hybrid", "on-device"), ("on-device", "on-device")] {
        asked["decisioningMethod"] = json!(method);
        let envelope = client.offers(&asked).await.unwrap();
        assert_eq!(envelope["meta"]["decisioningMethod"], decided, "{method}");
    }
    asked["decisioningMethod"] = json!("on-devise");
    let error = client.offers(&asked).await.unwrap_err();
    assert_eq!((error.kind(), error.path()), (ErrorKind::InvalidOptions, Some("/decisioningMethod")));

    // Without an engine: refused, or for the server.
    let server = world.ready("server-side", json!({})).await;
    asked["decisioningMethod"] = json!("on-device");
    let error = server.offers(&asked).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotReady);
    assert_eq!(error.message(), "Unable to fulfill request; decisioning engine not ready.");
    assert!(!error.retryable(), "a server-side client never loads an artifact");
    asked["decisioningMethod"] = json!("");
    assert_eq!(server.offers(&asked).await.unwrap()["meta"]["decisioningMethod"], "server-side");
    asked["decisioningMethod"] = json!("hybrid");
    assert_eq!(server.offers(&asked).await.unwrap()["meta"]["decisioningMethod"], "server-side");
}

#[tokio::test]
async fn attributes_are_merged_wherever_they_were_decided() {
    let world = demo().await;
    for method in ["server-side", "on-device", "hybrid"] {
        let client = world.ready(method, json!({})).await;
        let mut asked = of_visitor("abc.28_0", json!({"request": {"context": {"channel": "web"}}}));
        let answer = client.attributes(&["demo-engineering-flags", "a1-serverside-ab"], &asked).await.unwrap();
        let flags = &answer["attributes"]["demo-engineering-flags"];
        assert_eq!(
            flags,
            &json!({"searchProviderId": 143, "cdnHostname": "cdn.cloud.corp.net", "hasLegacyAccess": false})
        );
        assert!(answer["attributes"]["a1-serverside-ab"]["layout"].is_string(), "{method}");
        let indexes: Vec<_> = answer["request"]["execute"]["mboxes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|mbox| mbox["index"].clone())
            .collect();
        assert_eq!(indexes, [1, 2], "{method}");
        // An mbox that is asked for already is not asked for twice.
        asked["request"]["prefetch"] = json!({"mboxes": [{"index": 7, "name": "demo-engineering-flags"}]});
        let answer = client.attributes(&["demo-engineering-flags"], &asked).await.unwrap();
        assert_eq!(answer["request"].get("execute"), None);
        assert_eq!(answer["attributes"]["demo-engineering-flags"]["searchProviderId"], 143);
        let none = client.attributes(&["nobody-knows"], &json!(null)).await.unwrap();
        assert_eq!(none["attributes"]["nobody-knows"], json!({}));
    }
}

#[tokio::test]
async fn notifications_are_sent_and_acknowledged() {
    let world = demo().await;
    for method in ["server-side", "on-device"] {
        let client = world.ready(method, json!({})).await;
        world.forget().await;
        let notification = json!({"id": "n-1", "timestamp": 1_700_000_000_000_i64, "type": "click",
            "tokens": ["t"], "mbox": {"name": "homepage-hero"}});
        let asked = json!({"sessionId": "S1", "request": {"notifications": [notification, {"id": "bad"}]}});
        let envelope = client.notify(&asked).await.unwrap();
        assert_eq!(envelope["response"]["notifications"], json!([{"id": "n-1"}]), "{method}");
        let sent = world.deliveries_at_least(1).await;
        assert_eq!(sent[0]["body"]["notifications"], json!([notification]), "the useless one is left out");
        assert_eq!(sent[0]["query"]["sessionId"], "S1");
        // As in the Node SDK: the measurements that wait are enough for a request, once.
        let nothing = json!({"request": {"notifications": []}});
        client.notify(&nothing).await.unwrap();
        assert!(!world.deliveries_at_least(2).await[1]["body"]["telemetry"]["entries"].as_array().unwrap().is_empty());
        let untold = world.ready(method, json!({"telemetryEnabled": false})).await;
        let error = untold.notify(&nothing).await.unwrap_err();
        assert_eq!(error.message(), "Notifications array is required in request");
    }
}

#[tokio::test]
async fn the_property_of_the_request_wins_and_chooses_the_rules() {
    let mut artifact: Value = serde_json::from_str(&client_support::artifact(&[("m", "for everybody")])).unwrap();
    let mut rule = artifact["rules"]["mboxes"]["m"][0].clone();
    rule["propertyTokens"] = json!(["P1"]);
    rule["ruleKey"] = json!("p1");
    rule["consequence"]["options"][0]["content"] = json!("for P1");
    artifact["rules"]["mboxes"]["m"].as_array_mut().unwrap().insert(0, rule);
    let file = File::new(&artifact.to_string());
    let world = start(&format!("--artifact {}", file.path().display())).await;
    for method in ["server-side", "on-device", "hybrid"] {
        for (configured, asked, expected) in [
            (Value::Null, Value::Null, "for everybody"),
            (json!("P1"), Value::Null, "for P1"),
            (Value::Null, json!({"token": "P1"}), "for P1"),
            (json!("P1"), json!({"token": "P2"}), "for everybody"),
            (json!("P2"), json!({"token": "P1"}), "for P1"),
        ] {
            let client = world.ready(method, json!({"propertyToken": configured})).await;
            let mut options = execute(&["m"]);
            options["request"]["property"] = asked.clone();
            let envelope = client.offers(&options).await.unwrap();
            assert_eq!(content(&envelope, 0), expected, "{method}: {configured} {asked}");
        }
    }
    let locations: BTreeSet<_> = world
        .received("/demo/production/v1/P1/rules.json")
        .await
        .into_iter()
        .map(|one| one["path"].to_string())
        .collect();
    assert_eq!(locations.len(), 1, "the configured property is part of the artifact's URL");
}

#[tokio::test]
async fn strict_clients_refuse_what_they_do_not_know() {
    let world = demo().await;
    let misspelt = json!({"reqest": {}, "request": {"execute": {"mboxes": [{"name": "homepage-hero"}]}}});
    let strict = world.ready("server-side", json!({"strict": true})).await;
    let error = strict.offers(&misspelt).await.unwrap_err();
    assert_eq!((error.kind(), error.path()), (ErrorKind::InvalidOptions, Some("/reqest")));
    assert!(error.message().contains("request"), "{error}");
    let lenient = world.ready("server-side", json!({"strict": false})).await;
    assert!(lenient.offers(&misspelt).await.is_ok());
    // The Delivery API grows: unknown members of the request itself are passed on.
    let mut newer = execute(&["homepage-hero"]);
    newer["request"]["somethingNew"] = json!({"a": [1]});
    assert!(strict.offers(&newer).await.is_ok());
    assert_eq!(world.deliveries().await.last().unwrap()["body"]["somethingNew"], json!({"a": [1]}));
}

#[tokio::test]
async fn a_trace_tells_which_artifact_decided() {
    let world = demo().await;
    let client = world.ready("on-device", json!({})).await;
    let mut asked = execute(&["homepage-hero"]);
    asked["request"]["trace"] = json!({"authorizationToken": "x"});
    let envelope = client.offers(&asked).await.unwrap();
    let artifact = &envelope["trace"][0]["artifact"];
    assert_eq!(artifact["artifactLocation"], format!("http://127.0.0.1:{}/demo/production/v1/rules.json", world.port));
    assert_eq!((&artifact["artifactVersion"], &artifact["artifactRetrievalCount"]), (&json!("1.0.0"), &json!(1)));
    assert_eq!((&artifact["pollingInterval"], &artifact["pollingHalted"]), (&json!(300_000), &json!(false)));
}
