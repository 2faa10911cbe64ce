//! What a client sends without being asked: notifications of on-device decisions, and telemetry.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod client_support;

use std::time::{Duration, Instant};

use client_support::*;
use serde_json::{Value, json};
use target_sdk_core::client::{FlushReport, State};

const PATIENCE: Duration = Duration::from_secs(5);

fn report(delivered: u64, dropped: u64, pending: u64) -> FlushReport {
    FlushReport { delivered, dropped, pending }
}

/// The C layer's close: no new calls, the last ones end, what is queued is sent, the rest is given up.
async fn close(probe: &Probe) -> FlushReport {
    probe.client.begin_close();
    probe.client.idle().await;
    let report = probe.client.flush(PATIENCE).await;
    probe.client.shut();
    report
}

#[tokio::test]
async fn an_executed_decision_is_told_with_all_that_belongs_to_it() {
    let world = demo().await;
    let client =
        world.ready("on-device", json!({"environmentId": 7, "propertyToken": "P", "telemetryEnabled": false})).await;
    let before = i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap();
    let asked = json!({
        "sessionId": "S-1",
        "customerIds": {"crm": {"id": "u1", "authState": 1}},
        "request": {"id": {"tntId": "abc.28_0"}, "context": {"channel": "mobile", "userAgent": CHROME},
            "qaMode": {"token": "q"}, "trace": {"authorizationToken": "x"},
            "execute": {"pageLoad": {}, "mboxes": [{"index": 0, "name": "homepage-hero"},
                {"index": 1, "name": "demo-engineering-flags"}, {"index": 2, "name": "demo-engineering-flags"}]},
            "prefetch": {"mboxes": [{"index": 0, "name": "checkout-banner"}]}}});
    let envelope = client.offers(&asked).await.unwrap();
    let sent = world.deliveries_at_least(1).await;
    assert_eq!(sent.len(), 1, "one request for all: {sent:#?}");
    let (query, body) = (&sent[0]["query"], &sent[0]["body"]);
    assert_eq!((&query["sessionId"], &query["imsOrgId"]), (&json!("S-1"), &json!(ORGANIZATION.replace('@', "%40"))));
    for key in ["id", "property", "environmentId", "experienceCloud", "qaMode"] {
        assert_eq!(body[key], envelope["request"][key], "{key}");
        assert!(!body[key].is_null(), "{key}: {body:#}");
    }
    assert_eq!((&body["environmentId"], &body["property"]["token"]), (&json!(7), &json!("P")));
    assert_eq!(body["id"]["customerIds"][0]["integrationCode"], "crm");
    assert_eq!(body["context"]["channel"], "mobile");
    assert_eq!(body["context"]["userAgent"], CHROME);
    assert_eq!(body["context"].get("geo"), None, "no empty geo");
    for key in ["execute", "prefetch", "trace", "telemetry"] {
        assert_eq!(body.get(key), None, "{key}");
    }
    assert_ne!(body["requestId"], envelope["request"]["requestId"], "a request of its own");

    let notifications = body["notifications"].as_array().unwrap();
    let told: Vec<_> = notifications
        .iter()
        .map(|one| json!([one["type"], one["mbox"]["name"], one["tokens"][0].is_string()]))
        .collect();
    assert_eq!(
        told,
        [
            json!(["display", "homepage-hero", true]),
            json!(["display", "demo-engineering-flags", true]),
            json!(["display", "target-global-mbox", true])
        ],
        "each token once, none for what was only prefetched"
    );
    let mut ids: Vec<_> = notifications.iter().map(|one| one["id"].as_str().unwrap()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 3);
    for one in notifications {
        assert!(one["timestamp"].as_i64().unwrap() >= before);
    }
    soon("acknowledged", || client.stats()["notifications"]["delivered"] == 3).await;
    assert_eq!(client.client.flush(PATIENCE).await, report(0, 0, 0), "it was acknowledged before");
}

#[tokio::test]
async fn decisions_of_one_visitor_are_told_together() {
    let world = demo().await;
    let client = world.ready("on-device", json!({"telemetryEnabled": false})).await;
    let mut asked = of_visitor("abc.28_0", execute(&["homepage-hero"]));
    asked["sessionId"] = json!("S-1");
    let first = client.offers(&asked).await.unwrap();
    // The same visitor state: the analytics id is part of what notifications of one request share.
    asked["visitorState"] = first["visitorState"].clone();
    asked["request"]["experienceCloud"] = first["request"]["experienceCloud"].clone();
    for _ in 0..4 {
        client.offers(&asked).await.unwrap();
    }
    let other = of_visitor("def.28_0", execute(&["homepage-hero"]));
    client.offers(&other).await.unwrap();
    assert_eq!(client.client.flush(PATIENCE).await, report(6, 0, 0));
    let sent = world.deliveries().await;
    let counts: Vec<_> = sent.iter().map(|one| one["body"]["notifications"].as_array().unwrap().len()).collect();
    assert_eq!(counts, [5, 1], "{sent:#?}");
    assert_eq!(sent[0]["query"]["sessionId"], "S-1");
    assert_eq!(sent[1]["body"]["id"]["tntId"], "def.28_0");
}

#[tokio::test]
async fn what_fails_is_sent_again_with_the_same_ids() {
    let world = demo().await;
    let client = world.ready("on-device", json!({"telemetryEnabled": false, "maxRetries": 0})).await;
    world.misbehave(json!({"target": "delivery", "name": "status:503", "times": 1})).await;
    client.offers(&execute(&["homepage-hero"])).await.unwrap();
    assert_eq!(client.client.flush(PATIENCE).await, report(1, 0, 0));
    let sent = world.deliveries().await;
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[0]["body"]["notifications"], sent[1]["body"]["notifications"]);
    assert_eq!(sent[0]["body"]["requestId"], sent[1]["body"]["requestId"]);
    assert_eq!(sent[0]["query"], sent[1]["query"]);
    let stats = client.stats();
    assert_eq!((&stats["notifications"]["retries"], &stats["notifications"]["delivered"]), (&json!(1), &json!(1)));
    assert_eq!(client.events_of("sendNotificationError").len(), 0);
}

#[tokio::test]
async fn what_the_server_refuses_is_given_up_and_told() {
    let world = demo().await;
    let client = world.ready("on-device", json!({"telemetryEnabled": false})).await;
    world.fault("delivery", "status:400").await;
    client.offers(&execute(&["homepage-hero"])).await.unwrap();
    assert_eq!(client.client.flush(PATIENCE).await, report(0, 1, 0));
    assert_eq!(world.deliveries().await.len(), 1, "a refusal is final");
    let told = client.events_of("sendNotificationError");
    assert_eq!(told.len(), 1);
    assert_eq!(told[0]["error"]["httpStatus"], 400);
    // What was given up can be sent by the host.
    world.behave().await;
    let again = client.notify(&told[0]["notification"]).await.unwrap();
    assert_eq!(
        again["response"]["notifications"][0]["id"],
        told[0]["notification"]["request"]["notifications"][0]["id"]
    );
}

#[tokio::test]
async fn a_flush_says_how_far_it_went_and_close_gives_up_the_rest() {
    let world = demo().await;
    let client = world.ready("on-device", json!({"telemetryEnabled": false, "timeout": 60_000})).await;
    world.fault("delivery", "stall").await;
    client.offers(&execute(&["homepage-hero", "a1-serverside-ab"])).await.unwrap();
    let before = Instant::now();
    assert_eq!(client.client.flush(Duration::from_millis(100)).await, report(0, 0, 2));
    assert!(before.elapsed() < Duration::from_secs(1), "{:?}", before.elapsed());
    client.client.shut();
    assert_eq!(client.client.state(), State::Closed);
    let told = client.events_of("sendNotificationError");
    assert_eq!(told.len(), 1, "{:?}", client.names());
    assert_eq!(told[0]["notification"]["request"]["notifications"].as_array().unwrap().len(), 2);
    let names = client.names();
    assert_eq!(names.last().unwrap(), "closed", "{names:?}");
    // The one that asks is left.
    let before = Instant::now();
    while world.stats().await["openConnections"] != 1 {
        assert!(before.elapsed() < PATIENCE, "the stalled request goes on");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(client.client.flush(PATIENCE).await, report(0, 0, 0));
}

#[tokio::test]
async fn closing_sends_what_is_queued() {
    let world = demo().await;
    let client = world.ready("on-device", json!({})).await;
    client.offers(&execute(&["homepage-hero"])).await.unwrap();
    assert_eq!(close(&client).await, report(1, 0, 0));
    let sent = world.deliveries().await;
    assert_eq!(sent.len(), 1, "telemetry travels along: {sent:#?}");
    assert_eq!(sent[0]["body"]["notifications"].as_array().unwrap().len(), 1);
    assert_eq!(sent[0]["body"]["telemetry"]["entries"].as_array().unwrap().len(), 2);
    assert!(client.offers(&execute(&["homepage-hero"])).await.is_err());
}

#[tokio::test]
async fn telemetry_of_decisions_here() {
    let world = demo().await;
    let client = world.ready("on-device", json!({})).await;
    let mut asked = execute(&["homepage-hero", "a1-serverside-ab"]);
    asked["sessionId"] = json!("S-1");
    asked["request"]["prefetch"] = json!({"pageLoad": {}, "views": [{"name": "home"}]});
    let envelope = client.offers(&asked).await.unwrap();
    client.client.flush(PATIENCE).await;
    let sent = world.deliveries().await;
    let entries = sent[0]["body"]["telemetry"]["entries"].as_array().unwrap();
    assert_eq!(entries.len(), 2, "{entries:#?}");
    assert_eq!(entries[0]["requestId"], "ArtifactDownload");
    assert!(entries[0]["execution"].as_f64().unwrap() > 0.0);
    assert!(entries[0]["request"]["responseSize"].as_f64().unwrap() > 1000.0, "{entries:#?}");
    let mine = &entries[1];
    assert_eq!((&mine["requestId"], &mine["mode"]), (&envelope["request"]["requestId"], &json!("local")));
    assert_eq!(
        mine["features"],
        json!({"decisioningMethod": "on-device", "executeMboxCount": 2, "prefetchPageLoad": true, "prefetchViewCount": 1})
    );
    assert!(mine["execution"].is_number() && mine["timestamp"].is_i64(), "{mine}");
    assert_eq!(mine.get("request"), None, "there was no network call");
    assert_eq!(sent[0]["query"]["sessionId"], "S-1");

    // The request that took it along is itself measured, for the next one.
    client.client.flush(PATIENCE).await;
    let sent = world.deliveries().await;
    let next = &sent[1]["body"]["telemetry"]["entries"];
    assert_eq!(next.as_array().unwrap().len(), 1);
    assert_eq!(
        (&next[0]["mode"], &next[0]["features"]),
        (&json!("edge"), &json!({"decisioningMethod": "server-side"}))
    );
    assert_eq!(next[0]["requestId"], sent[0]["body"]["requestId"]);
}

#[tokio::test]
async fn telemetry_of_server_calls_travels_with_the_next_one() {
    let world = demo().await;
    let client = world.ready("server-side", json!({"maxRetries": 0})).await;
    let first = client.offers(&execute(&["homepage-hero"])).await.unwrap();
    assert_eq!(world.deliveries().await[0]["body"].get("telemetry"), None);
    // A call that fails does not lose it.
    world.misbehave(json!({"target": "delivery", "name": "status:500", "times": 1})).await;
    client.offers(&execute(&["homepage-hero"])).await.unwrap_err();
    client.offers(&execute(&["homepage-hero"])).await.unwrap();
    let sent = world.deliveries().await;
    assert_eq!(sent[1]["body"]["telemetry"], sent[2]["body"]["telemetry"]);
    let entries = sent[2]["body"]["telemetry"]["entries"].as_array().unwrap();
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0]["requestId"], first["request"]["requestId"]);
    assert_eq!(entries[0]["mode"], "edge");
    assert_eq!(entries[0]["features"], json!({"decisioningMethod": "server-side", "executeMboxCount": 1}));
    assert_eq!(entries[0]["telemetryServerToken"], first["response"]["telemetryServerToken"]);
    for key in ["execution", "parsing", "timestamp"] {
        assert!(entries[0][key].is_number(), "{key}");
    }
    assert!(entries[0]["request"]["timeToFirstByte"].is_number());
    assert!(entries[0]["request"]["responseSize"].as_f64().unwrap() > 0.0);
}

#[tokio::test]
async fn without_telemetry_nothing_is_sent_that_nobody_asked_for() {
    let world = demo().await;
    for method in ["on-device", "hybrid"] {
        let client = world.ready(method, json!({"telemetryEnabled": false})).await;
        client.offers(&json!({"request": {"prefetch": {"mboxes": [{"name": "homepage-hero"}]}}})).await.unwrap();
        assert_eq!(close(&client).await, report(0, 0, 0));
    }
    assert_eq!(world.deliveries().await, Vec::<Value>::new());
    let client = world.ready("on-device", json!({"telemetryEnabled": false})).await;
    client.offers(&execute(&["homepage-hero"])).await.unwrap();
    client.client.flush(PATIENCE).await;
    client
        .notify(&json!({"request": {"notifications": [{"id": "n", "timestamp": 1, "type": "click"}]}}))
        .await
        .unwrap();
    let sent = world.deliveries().await;
    assert_eq!(sent.len(), 2);
    assert!(sent.iter().all(|one| one["body"].get("telemetry").is_none()), "{sent:#?}");
}

#[tokio::test]
async fn a_prefetch_is_measured_and_its_measurement_waits() {
    let world = demo().await;
    let client = world.ready("on-device", json!({})).await;
    for _ in 0..5 {
        client.offers(&json!({"request": {"prefetch": {"mboxes": [{"name": "homepage-hero"}]}}})).await.unwrap();
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(world.deliveries().await.len(), 0, "not one request for each decision");
    for _ in 0..100 {
        client.offers(&json!({"request": {"prefetch": {"mboxes": [{"name": "homepage-hero"}]}}})).await.unwrap();
    }
    let sent = world.deliveries_at_least(1).await;
    assert!(sent[0]["body"]["telemetry"]["entries"].as_array().unwrap().len() >= 100);
    assert_eq!(sent[0]["body"].get("notifications"), None);
}

#[tokio::test]
async fn stalled_notifications_do_not_hold_up_calls() {
    let world = demo().await;
    let client = world.ready("hybrid", json!({"maxInFlight": 1, "telemetryEnabled": false})).await;
    world.misbehave(json!({"target": "delivery", "name": "stall", "times": 1})).await;
    client.offers(&execute(&["homepage-hero"])).await.unwrap();
    world.deliveries_at_least(1).await;
    let before = Instant::now();
    let envelope = client.offers(&execute(&["newsletter-a4t"])).await.unwrap();
    assert_eq!(envelope["meta"]["decisioningMethod"], "server-side");
    assert!(before.elapsed() < Duration::from_secs(1), "{:?}", before.elapsed());
    assert_eq!(client.stats()["notifications"]["queued"], 1, "still stalled");
}
