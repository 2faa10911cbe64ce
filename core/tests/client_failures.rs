//! Calls that fail, calls that are too many, calls that are cancelled.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod client_support;

use std::time::{Duration, Instant};

use client_support::*;
use serde_json::{Value, json};
use target_sdk_core::client::{Call, Operation};
use target_sdk_core::error::{Error, ErrorKind, Phase};

/// One call of a client without retries, while the edge misbehaves.
async fn failing(fault: &str, extra: Value) -> Error {
    let world = demo().await;
    world.fault("delivery", fault).await;
    let mut settings = json!({"maxRetries": 0});
    settings.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    let client = world.ready("server-side", settings).await;
    let mut asked = of_visitor("secret-tnt.28_0", execute(&["homepage-hero"]));
    asked["sessionId"] = json!("secret-session");
    asked["request"]["requestId"] = json!("R-1");
    let error = client.offers(&asked).await.map(|envelope| panic!("{fault}: {envelope:#}")).unwrap_err();
    let shown = document(&error).to_string();
    assert!(!shown.contains("secret"), "{shown}");
    assert_eq!(error.request_id(), Some("R-1"), "{fault}: {error}");
    assert_eq!(error.attempts(), Some(1), "{fault}: {error}");
    assert!(document(&error)["elapsedMs"].is_u64(), "{fault}");
    let stats = client.stats();
    assert_eq!(stats["limits"]["admitted"], 0, "{stats:#}");
    // The client goes on.
    world.behave().await;
    assert!(client.offers(&asked).await.is_ok(), "after {fault}");
    error
}

#[tokio::test]
async fn statuses_are_http_errors_with_an_excerpt_of_the_body() {
    for (status, retryable) in
        [(400, false), (401, false), (404, false), (409, false), (500, true), (502, true), (503, true)]
    {
        let error = failing(&format!("status:{status}"), json!({})).await;
        assert_eq!((error.kind(), error.http_status()), (ErrorKind::Http, Some(status)));
        let document = document(&error);
        assert!(document["body"].as_str().unwrap().contains("\"status\""), "{document:#}");
        assert_eq!(error.retryable(), retryable, "{status}");
    }
}

#[tokio::test]
async fn a_wrong_request_is_answered_with_the_reason() {
    let world = demo().await;
    let client = world.ready("server-side", json!({})).await;
    let asked = json!({"request": {"trace": {}, "execute": {"mboxes": [{"name": "homepage-hero"}]}}});
    let error = client.offers(&asked).await.unwrap_err();
    assert_eq!((error.kind(), error.http_status(), error.retryable()), (ErrorKind::Http, Some(400), false));
    let shown = document(&error);
    assert!(shown["body"].as_str().unwrap().contains("trace.authorizationToken is required"), "{shown:#}");
    assert_eq!(world.deliveries().await.len(), 1, "never sent again");
}

#[tokio::test]
async fn answers_that_are_none_are_decode_errors() {
    for (fault, body) in [("not-json", true), ("html", true), ("empty", false)] {
        let error = failing(fault, json!({})).await;
        assert_eq!((error.kind(), error.phase()), (ErrorKind::Decode, Some(Phase::Decode)), "{fault}: {error}");
        assert_eq!(error.http_status(), Some(200));
        assert_eq!(document(&error)["body"].as_str().is_some_and(|body| !body.is_empty()), body, "{fault}");
        assert!(!error.retryable(), "{fault}");
    }
    let error = failing("oversize", json!({"maxResponseBytes": 100_000})).await;
    assert_eq!(error.kind(), ErrorKind::Decode, "{error}");
    assert!(error.message().contains("100000") || error.message().contains("maxResponseBytes"), "{error}");
    let error = failing("gzip-corrupt", json!({})).await;
    assert_eq!(error.kind(), ErrorKind::Decode, "{error}");
}

#[tokio::test]
async fn broken_connections_are_network_errors_with_their_phase() {
    for (fault, phases) in [
        ("reset", &[Phase::Wait, Phase::Send][..]),
        ("close", &[Phase::Wait]),
        ("truncate", &[Phase::Read]),
        ("half-close", &[Phase::Read]),
        ("drop-after-head", &[Phase::Read]),
    ] {
        let error = failing(fault, json!({})).await;
        assert_eq!(error.kind(), ErrorKind::Network, "{fault}: {error}");
        assert!(error.phase().is_some_and(|phase| phases.contains(&phase)), "{fault}: {:?} {error}", error.phase());
    }
}

#[tokio::test]
async fn time_runs_out_while_waiting_and_while_reading() {
    for (fault, phase) in [("stall", Phase::Wait), ("slow", Phase::Wait)] {
        let before = Instant::now();
        let error = failing(fault, json!({"timeout": 250})).await;
        assert_eq!((error.kind(), error.phase()), (ErrorKind::Timeout, Some(phase)), "{fault}: {error}");
        assert!(error.retryable());
        let took = before.elapsed();
        assert!(took >= Duration::from_millis(250) && took < Duration::from_millis(1500), "{fault}: {took:?}");
    }
}

#[tokio::test]
async fn nobody_listens() {
    let port = dead_port().await;
    let client = Probe::start(&config(port, "server-side", json!({"maxRetries": 0})));
    let before = Instant::now();
    let error = client.offers(&execute(&["m"])).await.unwrap_err();
    assert_eq!((error.kind(), error.phase()), (ErrorKind::Network, Some(Phase::Connect)), "{error}");
    assert!(error.retryable() && error.message().contains(&port.to_string()), "{error}");
    assert!(before.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn no_content_is_an_empty_answer() {
    let world = demo().await;
    let client = world.ready("server-side", json!({})).await;
    let asked = json!({"sessionId": "S", "request": {"context": {"channel": "web", "beacon": true}}});
    let envelope = client.offers(&asked).await.unwrap();
    assert_eq!((&envelope["status"], &envelope["response"]), (&json!(204), &json!({})));
    assert!(envelope["targetCookie"]["value"].as_str().unwrap().starts_with("session#S#"));
}

#[tokio::test]
async fn transient_failures_are_tried_again_within_the_deadline() {
    let world = demo().await;
    let client = world.ready("server-side", json!({"maxRetries": 2})).await;
    for fault in ["status:503", "retry-after:0"] {
        world.forget().await;
        world.misbehave(json!({"target": "delivery", "name": fault, "times": 2})).await;
        let envelope = client.offers(&execute(&["homepage-hero"])).await.unwrap();
        assert_eq!(envelope["status"], 200);
        let sent = world.deliveries().await;
        assert_eq!(sent.len(), 3, "{fault}");
        assert!(sent.iter().all(|one| one["body"] == sent[0]["body"]), "{fault}: every attempt is the same");
    }
    // Asked to come back after the deadline: there is no point in waiting for it.
    world.fault("delivery", "retry-after:20").await;
    let before = Instant::now();
    let error = client.offers(&execute(&["homepage-hero"])).await.unwrap_err();
    assert_eq!((error.kind(), error.http_status()), (ErrorKind::Http, Some(503)));
    assert!(before.elapsed() < Duration::from_secs(1), "{:?}", before.elapsed());
}

#[tokio::test]
async fn past_the_limits_calls_are_refused_at_once() {
    let world = demo().await;
    world.fault("delivery", "stall").await;
    let client =
        world.ready("server-side", json!({"maxInFlight": 1, "maxQueued": 1, "timeout": 300, "maxRetries": 0})).await;
    let operation = || Operation::GetOffers { options: execute(&["homepage-hero"]).to_string() };
    let running = client.begin(operation()).unwrap();
    let queued = client.begin(operation()).unwrap();
    let error = client.begin(operation()).map(|_| ()).unwrap_err();
    assert_eq!((error.kind(), error.retryable()), (ErrorKind::QueueFull, true));
    assert!(error.message().contains("maxQueued 1"), "{error}");
    let outcome = |(admission, call)| async move {
        let _admission: target_sdk_core::client::Admission = admission;
        match call {
            Call::Pending(answer) => answer.await.map(|_| ()),
            Call::Ready(answer) => answer.map(|_| ()),
        }
    };
    let (first, second) = tokio::join!(outcome(running), outcome(queued));
    assert_eq!(first.unwrap_err().kind(), ErrorKind::Timeout);
    let second = second.unwrap_err();
    assert_eq!(second.kind(), ErrorKind::Timeout, "{second}");
    assert_eq!(client.stats()["limits"]["refused"]["queueFull"], 1);
    world.behave().await;
    assert!(client.offers(&execute(&["homepage-hero"])).await.is_ok(), "the places are free again");
}

#[tokio::test]
async fn a_dropped_call_closes_its_connection() {
    let world = demo().await;
    world.fault("delivery", "stall").await;
    let client = world.ready("server-side", json!({"timeout": 60_000})).await;
    let (admission, call) =
        client.begin(Operation::GetOffers { options: execute(&["homepage-hero"]).to_string() }).unwrap();
    let Call::Pending(mut answer) = call else { panic!("decided without asking") };
    assert!(tokio::time::timeout(Duration::from_millis(100), &mut answer).await.is_err());
    assert_eq!(world.stats().await["openConnections"], 2);
    drop(answer);
    drop(admission);
    let before = Instant::now();
    while world.stats().await["openConnections"] != 1 {
        assert!(before.elapsed() < Duration::from_secs(3), "the request goes on");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(client.stats()["limits"]["admitted"], 0);
    world.behave().await;
    assert!(client.offers(&execute(&["homepage-hero"])).await.is_ok());
}

#[tokio::test]
async fn closing_ends_calls_in_flight() {
    let world = demo().await;
    world.fault("delivery", "stall").await;
    let client = world.ready("server-side", json!({"timeout": 60_000})).await;
    let (_admission, call) =
        client.begin(Operation::GetOffers { options: execute(&["homepage-hero"]).to_string() }).unwrap();
    let Call::Pending(answer) = call else { panic!("decided without asking") };
    let answer = tokio::spawn(answer);
    world.deliveries_at_least(1).await;
    client.client.begin_close();
    assert_eq!(client.client.admit().map(|_| ()).unwrap_err().kind(), ErrorKind::Closed);
    assert!(!answer.is_finished(), "those in flight go on while the client drains");
    client.client.shut();
    client.client.shut();
    let error = answer.await.unwrap().map(|_| ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
    assert_eq!(client.names(), ["clientReady", "draining", "closed"]);
}

#[tokio::test]
async fn an_artifact_is_decided_by_while_the_server_is_down() {
    let world = demo().await;
    let client = world.ready("hybrid", json!({"maxRetries": 0, "telemetryEnabled": false})).await;
    world.fault("all", "reset").await;
    let envelope = client.offers(&execute(&["homepage-hero"])).await.unwrap();
    assert_eq!(envelope["meta"]["decisioningMethod"], "on-device");
    assert_eq!(client.offers(&execute(&["newsletter-a4t"])).await.unwrap_err().kind(), ErrorKind::Network);
}
