//! When a client is ready, what it decides by, and what clients of one process share: nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod client_support;

use std::time::{Duration, Instant};

use client_support::*;
use serde_json::{Value, json};
use target_sdk_core::client::{Call, Operation, State};
use target_sdk_core::error::ErrorKind;

#[tokio::test]
async fn ready_is_told_once_and_after_the_artifact() {
    let world = demo().await;
    let client = world.client("on-device", json!({"pollingInterval": 20, "allowFastPolling": true}));
    client.client.ready().await.unwrap();
    assert_eq!(client.client.state(), State::Ready);
    world.fault("artifact", "status:500").await;
    soon("a failed poll", || !client.events_of("artifactDownloadFailed").is_empty()).await;
    world.behave().await;
    assert!(client.client.refresh_artifact().await.is_ok());
    let names = client.names();
    assert_eq!(names[..3], ["artifactDownloadSucceeded", "geoLocationUpdated", "clientReady"], "{names:?}");
    assert_eq!(client.events_of("clientReady").len(), 1);
    let told = &client.events_of("artifactDownloadSucceeded")[0];
    assert_eq!(told["artifactLocation"], format!("http://127.0.0.1:{}/demo/production/v1/rules.json", world.port));
    let file: Value = serde_json::from_str(&std::fs::read_to_string(format!("{DATA}/artifact.json")).unwrap()).unwrap();
    assert_eq!(told["artifactPayload"], file);
    assert_eq!(client.events_of("geoLocationUpdated")[0]["geoContext"]["city"], "SAN FRANCISCO");
    let sequence: Vec<_> = client.events().iter().map(|event| event["sequence"].as_u64().unwrap()).collect();
    assert_eq!(sequence, (1..=sequence.len() as u64).collect::<Vec<_>>());

    let server = world.client("server-side", json!({}));
    assert!(matches!(server.client.readiness(), Some(Ok(()))), "at once");
    assert_eq!(server.names(), ["clientReady"]);
}

#[tokio::test]
async fn calls_wait_for_the_first_artifact_as_long_as_configured() {
    let world = demo().await;
    world.misbehave(json!({"target": "artifact", "delayMs": 300})).await;
    let not_waiting = world.client("on-device", json!({}));
    let before = Instant::now();
    let operation = Operation::GetOffers { options: execute(&["homepage-hero"]).to_string() };
    let (_admission, call) = not_waiting.begin(operation).unwrap();
    let Call::Ready(answer) = call else { panic!("it waits") };
    let error = answer.map(|_| ()).unwrap_err();
    assert_eq!((error.kind(), error.retryable()), (ErrorKind::NotReady, true));

    let short = world.client("on-device", json!({"maximumWaitReady": 50}));
    let error = short.offers(&execute(&["homepage-hero"])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotReady);
    assert!(before.elapsed() >= Duration::from_millis(50) && before.elapsed() < Duration::from_millis(290));

    let long = world.client("on-device", json!({"maximumWaitReady": 5000}));
    let envelope = long.offers(&execute(&["homepage-hero"])).await.unwrap();
    assert_eq!(envelope["meta"]["decisioningMethod"], "on-device");
    assert!(before.elapsed() >= Duration::from_millis(300));

    // Once the first load has failed there is nothing to wait for, nor is there for a client that is offline.
    let nowhere = format!("http://127.0.0.1:{}/nowhere.json", world.port);
    let waiting = json!({"maximumWaitReady": 60_000, "timeout": 60_000, "artifactLocation": nowhere});
    let failed = world.client("on-device", waiting);
    let offline = world.client("on-device", json!({"maximumWaitReady": 60_000, "timeout": 60_000, "offline": true}));
    let before = Instant::now();
    for client in [&failed, &offline] {
        let error = client.offers(&execute(&["homepage-hero"])).await.unwrap_err();
        assert!(!error.retryable(), "{error}");
    }
    assert!(before.elapsed() < Duration::from_secs(20), "{:?}", before.elapsed());

    // The call's own deadline comes first.
    world.fault("artifact", "stall").await;
    let bounded = world.client("on-device", json!({"maximumWaitReady": 5000, "timeout": 80}));
    let before = Instant::now();
    let error = bounded.offers(&execute(&["homepage-hero"])).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Timeout | ErrorKind::NotReady), "{error}");
    assert!(before.elapsed() < Duration::from_millis(1000), "{:?}", before.elapsed());
}

#[tokio::test]
async fn polling_swaps_the_artifact_and_decisions_follow() {
    let file = File::new(&artifact(&[("m", "first")]));
    let world = start(&format!("--artifact {}", file.path().display())).await;
    let client = world.ready("on-device", json!({"pollingInterval": 20, "allowFastPolling": true})).await;
    assert_eq!(content(&client.offers(&execute(&["m"])).await.unwrap(), 0), "first");
    soon("a poll that finds nothing new", || !client.events_of("artifactNotModified").is_empty()).await;
    file.write(&artifact(&[("m", "second version")]));
    soon("the new artifact", || client.events_of("artifactDownloadSucceeded").len() == 2).await;
    let decided = async || content(&client.offers(&execute(&["m"])).await.unwrap(), 0);
    let before = Instant::now();
    while decided().await != "second version" {
        assert!(before.elapsed() < Duration::from_secs(2));
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let asked = world.received("/demo/production/v1/rules.json").await;
    assert_eq!(asked[0]["headers"].get("if-none-match"), None);
    assert!(asked[1]["headers"]["if-none-match"].is_string());
    let text: Value = serde_json::from_str(&client.client.artifact().unwrap()).unwrap();
    assert_eq!(text["rules"]["mboxes"]["m"][0]["consequence"]["options"][0]["content"], "second version");
}

#[tokio::test]
async fn polling_is_not_faster_than_allowed() {
    let world = demo().await;
    let client = world.ready("on-device", json!({"pollingInterval": 20})).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(world.received("/demo/production/v1/rules.json").await.len(), 1);
    client.client.refresh_artifact().await.unwrap();
    assert_eq!(world.received("/demo/production/v1/rules.json").await.len(), 2);
}

#[tokio::test]
async fn one_client_boots_another() {
    let world = demo().await;
    let first = world.ready("on-device", json!({})).await;
    let text = first.client.artifact().unwrap();
    world.forget().await;
    let parsed: Value = serde_json::from_str(&text).unwrap();
    for payload in [json!(text), parsed] {
        // No polls: nothing but the payload is ever used.
        let second = world.ready("on-device", json!({"artifactPayload": payload, "pollingInterval": 0})).await;
        let asked = of_visitor("abc.28_0", execute(&["homepage-hero", "a1-serverside-ab", "checkout-banner"]));
        let envelope = second.offers(&asked).await.unwrap();
        assert_eq!(envelope["response"]["execute"], first.offers(&asked).await.unwrap()["response"]["execute"]);
        assert_eq!(second.names(), ["clientReady"]);
    }
    assert_eq!(world.received("/demo/production/v1/rules.json").await.len(), 0);
    let server = world.ready("server-side", json!({})).await;
    assert_eq!(server.client.artifact().unwrap_err().kind(), ErrorKind::NotReady);
    assert_eq!(server.client.refresh_artifact().await.unwrap_err().kind(), ErrorKind::NotReady);
}

#[tokio::test]
async fn offline_opens_no_socket() {
    let world = demo().await;
    let text = std::fs::read_to_string(format!("{DATA}/artifact.json")).unwrap();
    let file = File::new(&text);
    let connections = world.stats().await["connections"].as_u64().unwrap();
    for artifact in [json!({"artifactFile": file.path()}), json!({"artifactPayload": text})] {
        for method in ["on-device", "hybrid"] {
            let mut extra = artifact.clone();
            extra["offline"] = json!(true);
            extra["pollingInterval"] = json!(5);
            extra["allowFastPolling"] = json!(true);
            let client = world.ready(method, extra).await;
            assert_eq!(client.client.state(), State::Offline);
            let envelope = client.offers(&execute(&["homepage-hero"])).await.unwrap();
            assert_eq!(envelope["meta"]["decisioningMethod"], "on-device");
            let mut server = execute(&["homepage-hero"]);
            server["decisioningMethod"] = json!("server-side");
            let error = client.offers(&server).await.unwrap_err();
            assert_eq!((error.kind(), error.retryable()), (ErrorKind::Network, false), "{error}");
            assert!(client.client.refresh_artifact().await.is_err());
            client.client.flush(Duration::from_millis(50)).await;
            client.client.shut();
            // `refresh_artifact` failed, as it must.
            assert_eq!(
                client.names(),
                ["clientReady", "artifactDownloadFailed", "draining", "closed"],
                "it never polled"
            );
        }
    }
    let nothing = world.client("on-device", json!({"offline": true, "artifactFile": "/nowhere/rules.json"}));
    assert_eq!(nothing.client.ready().await.unwrap_err().kind(), ErrorKind::NotReady);
    let error = nothing.offers(&execute(&["m"])).await.unwrap_err();
    assert_eq!((error.kind(), error.retryable()), (ErrorKind::NotReady, false));
    assert!(error.message().contains("`artifactFile` cannot be used: No such file"), "{error}");
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(world.stats().await["connections"].as_u64().unwrap(), connections + 1, "the one that asks");
}

#[tokio::test]
async fn the_cluster_of_the_answer_is_kept() {
    let world = demo().await;
    // The edge stands in for all hosts of Target: it is their proxy.
    let proxy = json!({"serverDomain": null, "pinServerDomain": false, "client": "demo",
        "proxy": {"url": format!("http://127.0.0.1:{}", world.port)}});
    let client = world.ready("server-side", proxy).await;
    let plain = execute(&["homepage-hero"]);
    let mut hinted = plain.clone();
    hinted["targetLocationHint"] = json!("35");
    let mut cookie = plain.clone();
    cookie["targetCookie"] = json!("PC#abc.41_0#1999999999");
    for (asked, cluster) in
        [(&plain, "28"), (&plain, "28"), (&hinted, "35"), (&plain, "35"), (&cookie, "41"), (&plain, "41")]
    {
        let envelope = client.offers(asked).await.unwrap();
        assert_eq!(
            envelope["targetLocationHintCookie"],
            json!({"name": "mboxEdgeCluster", "value": cluster, "maxAge": 1860})
        );
    }
    let hosts: Vec<_> = world.deliveries().await.iter().map(|one| one["headers"]["host"].clone()).collect();
    let edge = |cluster: u32| format!("mboxedge{cluster}.tt.omtrdc.net");
    assert_eq!(hosts, ["demo.tt.omtrdc.net".to_owned(), edge(28), edge(35), edge(35), edge(41), edge(41)]);

    // A pinned client stays where it is; the cookie is set all the same.
    world.forget().await;
    let pinned = world.ready("server-side", json!({})).await;
    for _ in 0..2 {
        let envelope = pinned.offers(&plain).await.unwrap();
        assert_eq!(envelope["targetLocationHintCookie"]["value"], "28");
    }
    assert!(world.deliveries().await.iter().all(|one| one["headers"]["host"] == format!("127.0.0.1:{}", world.port)));
}

#[tokio::test]
async fn two_clients_share_nothing() {
    let (one, two) = (demo().await, demo().await);
    let with_property = one.ready("hybrid", json!({"propertyToken": "P1", "environmentId": 3})).await;
    let without = two.ready("hybrid", json!({})).await;
    // The very same options go to both, several times.
    let asked = json!({"request": {"execute": {"mboxes": [{"name": "newsletter-a4t"}]}}});
    for _ in 0..3 {
        with_property.offers(&asked).await.unwrap();
        without.offers(&asked).await.unwrap();
    }
    let (first, second) = (one.deliveries().await, two.deliveries().await);
    assert_eq!((first.len(), second.len()), (3, 3));
    assert!(
        first
            .iter()
            .all(|sent| sent["body"]["property"] == json!({"token": "P1"}) && sent["body"]["environmentId"] == 3)
    );
    assert!(
        second.iter().all(|sent| sent["body"].get("property").is_none() && sent["body"].get("environmentId").is_none())
    );
    let ids = |sent: &[Value]| {
        let entries = sent.iter().flat_map(|one| one["body"]["telemetry"]["entries"].as_array().into_iter().flatten());
        let ids: Vec<_> =
            entries.map(|entry| entry["requestId"].clone()).filter(|id| id != "ArtifactDownload").collect();
        ids
    };
    let requests = |sent: &[Value]| sent.iter().map(|one| one["body"]["requestId"].clone()).collect::<Vec<_>>();
    assert_eq!(ids(&first), requests(&first)[..2], "each its own measurements");
    assert_eq!(ids(&second), requests(&second)[..2]);
    with_property.client.shut();
    assert_eq!(with_property.client.admit().map(|_| ()).unwrap_err().kind(), ErrorKind::Closed);
    assert!(without.offers(&asked).await.is_ok());
    assert_eq!(without.names(), ["artifactDownloadSucceeded", "geoLocationUpdated", "clientReady"]);
}

#[tokio::test]
async fn places_are_looked_up_once_and_do_without_an_answer() {
    let mut rules: Value = serde_json::from_str(&artifact(&[("m", "Hallo")])).unwrap();
    rules["geoTargetingEnabled"] = json!(true);
    rules["responseTokens"] = json!(["geo.city"]);
    rules["rules"]["mboxes"]["m"][0]["condition"] = json!({"==": ["DE", {"var": "geo.country"}]});
    let file = File::new(&rules.to_string());
    let world = start(&format!("--offers {DATA}/offers.json --artifact {}", file.path().display())).await;
    let device = world.ready("on-device", json!({"telemetryEnabled": false})).await;
    let server = world.ready("server-side", json!({"telemetryEnabled": false})).await;
    for (address, expected) in [("203.0.113.7", json!("Hallo")), ("203.0.113.9", Value::Null)] {
        let mut asked = execute(&["m"]);
        asked["request"]["context"] = json!({"channel": "web", "geo": {"ipAddress": address}});
        for client in [&device, &server, &device] {
            assert_eq!(content(&client.offers(&asked).await.unwrap(), 0), expected, "{address}");
        }
    }
    assert_eq!(world.received("/v1/geo").await.len(), 2, "each address once");
    world.fault("geo", "status:500").await;
    let mut asked = execute(&["m"]);
    asked["request"]["context"] = json!({"channel": "web", "geo": {"ipAddress": "203.0.113.20"}});
    let envelope = device.offers(&asked).await.unwrap();
    assert_eq!(envelope["response"]["execute"]["mboxes"][0], json!({"index": 0, "name": "m"}), "decided without");
}
