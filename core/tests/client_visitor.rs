//! Visitors: new ones, known ones, and where they belong.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod client_support;

use std::time::{Duration, Instant};

use client_support::*;
use serde_json::{Value, json};

/// Settings of a client whose every host is this edge: it is their proxy.
fn behind(world: &World) -> Value {
    json!({"serverDomain": null, "pinServerDomain": false, "proxy": {"url": format!("http://127.0.0.1:{}", world.port)}})
}

#[tokio::test]
async fn an_on_device_client_learns_its_cluster_at_the_start() {
    let world = demo().await;
    let client = world.ready("on-device", behind(&world)).await;
    let ping = world.deliveries_at_least(1).await;
    assert_eq!(ping[0]["headers"]["host"], "demo.tt.omtrdc.net");
    assert_eq!(ping[0]["body"].get("execute"), None);
    assert_eq!(ping[0]["body"].get("notifications"), None);
    assert_eq!(ping[0]["query"]["sessionId"].as_str().unwrap().len(), 32, "a session of its own");
    let before = Instant::now();
    let envelope = loop {
        let envelope =
            client.offers(&json!({"request": {"prefetch": {"mboxes": [{"name": "homepage-hero"}]}}})).await.unwrap();
        if !envelope["targetLocationHintCookie"].is_null() {
            break envelope;
        }
        assert!(before.elapsed() < Duration::from_secs(2), "the hint of the ping is not kept");
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    assert_eq!(envelope["targetLocationHintCookie"], json!({"name": "mboxEdgeCluster", "value": "28", "maxAge": 1860}));
    let tnt_id = envelope["response"]["id"]["tntId"].as_str().unwrap();
    assert!(tnt_id.ends_with(".28_0") && tnt_id.len() == 32 + 5, "{tnt_id}");
    world.forget().await;
    client.offers(&execute(&["homepage-hero"])).await.unwrap();
    let sent = world.deliveries_at_least(1).await;
    assert_eq!(sent[0]["headers"]["host"], "mboxedge28.tt.omtrdc.net", "notifications go to the visitor's cluster");

    // A hint of the configuration makes the ping needless.
    world.forget().await;
    let mut known = behind(&world);
    known["targetLocationHint"] = json!("35");
    let client = world.ready("on-device", known).await;
    client.offers(&execute(&["homepage-hero"])).await.unwrap();
    let sent = world.deliveries_at_least(1).await;
    assert_eq!((sent.len(), &sent[0]["headers"]["host"]), (1, &json!("mboxedge35.tt.omtrdc.net")));
}

#[tokio::test]
async fn a_ping_that_fails_blocks_nothing() {
    let world = demo().await;
    world.fault("delivery", "stall").await;
    let before = Instant::now();
    let client = world.ready("on-device", behind(&world)).await;
    assert!(before.elapsed() < Duration::from_secs(1), "{:?}", before.elapsed());
    assert!(client.offers(&execute(&["homepage-hero"])).await.is_ok());
    // Dropped, and with it the connections that wait for further requests.
    drop(client);
    while world.stats().await["openConnections"] != 1 {
        assert!(before.elapsed() < Duration::from_secs(4), "the ping goes on after the end");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_new_visitor_is_given_an_id_and_keeps_the_experience() {
    let world = demo().await;
    for method in ["server-side", "on-device", "hybrid"] {
        let client = world.ready(method, json!({"telemetryEnabled": false})).await;
        for customer in [Value::Null, json!({"crm": {"id": "u1", "authState": 1}})] {
            for _ in 0..6 {
                let mut asked = execute(&["homepage-hero"]);
                asked["customerIds"] = customer.clone();
                let first = client.offers(&asked).await.unwrap();
                let cookie = first["targetCookie"]["value"].as_str().unwrap();
                let tnt_id = first["response"]["id"]["tntId"].as_str().unwrap();
                assert!(cookie.contains(&format!("PC#{tnt_id}#")), "{method}: {cookie}");
                asked["targetCookie"] = json!(cookie);
                for _ in 0..3 {
                    let again = client.offers(&asked).await.unwrap();
                    assert_eq!(again["response"]["id"]["tntId"], tnt_id);
                    assert_eq!(content(&again, 0), content(&first, 0), "{method}");
                    let session = |envelope: &Value| {
                        let value = envelope["targetCookie"]["value"].as_str().unwrap();
                        value.split('#').nth(1).unwrap().to_owned()
                    };
                    assert_eq!(session(&again), session(&first), "{method}");
                }
            }
        }
    }
}

#[tokio::test]
async fn ids_decide_in_the_order_of_the_specification() {
    let world = demo().await;
    let device = world.ready("on-device", json!({"telemetryEnabled": false})).await;
    let server = world.ready("server-side", json!({"telemetryEnabled": false})).await;
    let mut differing = 0;
    for nth in 0..40 {
        let (mcid, tnt, third) = (format!("{nth:038}"), format!("{:032x}", nth * 7919), format!("user-{nth}"));
        let ask = async |id: Value| {
            let mut asked = execute(&["homepage-hero"]);
            asked["request"]["id"] = id;
            let (here, there) = (device.offers(&asked).await.unwrap(), server.offers(&asked).await.unwrap());
            assert_eq!(content(&here, 0), content(&there, 0), "{asked}");
            content(&here, 0)
        };
        let by_mcid = ask(json!({"marketingCloudVisitorId": mcid})).await;
        let by_tnt = ask(json!({"tntId": format!("{tnt}.28_0")})).await;
        let by_third = ask(json!({"tntId": "", "thirdPartyId": third})).await;
        assert_eq!(ask(json!({"tntId": format!("{tnt}.35_1")})).await, by_tnt, "the cluster does not matter");
        assert_eq!(ask(json!({"tntId": tnt, "thirdPartyId": third})).await, by_tnt);
        assert_eq!(ask(json!({"marketingCloudVisitorId": mcid, "tntId": tnt, "thirdPartyId": third})).await, by_mcid);
        let cookie = format!("MCMID|{mcid}|MCAAMLH-1568347417|9");
        let mut asked = execute(&["homepage-hero"]);
        asked["visitorCookie"] = json!(cookie);
        asked["request"]["id"] = json!({"tntId": tnt});
        let envelope = device.offers(&asked).await.unwrap();
        assert_eq!(content(&envelope, 0), by_mcid, "the visitor cookie's id counts");
        assert_eq!(envelope["response"]["id"]["marketingCloudVisitorId"], mcid);
        differing += usize::from(by_mcid != by_tnt) + usize::from(by_tnt != by_third);
    }
    assert!(differing > 10, "the ids do lead to different experiences: {differing}");
}

#[tokio::test]
async fn a_place_that_is_none_is_not_told() {
    let world = demo().await;
    let client = world.ready("on-device", json!({"telemetryEnabled": false})).await;
    for (geo, told) in [
        (json!({}), Value::Null),
        (json!({"ipAddress": "not an address"}), Value::Null),
        (json!({"ipAddress": "203.0.113.7"}), json!({"ipAddress": "203.0.113.7"})),
        (json!({"city": "BONN"}), json!({"city": "BONN"})),
    ] {
        world.forget().await;
        let mut asked = execute(&["homepage-hero"]);
        asked["request"]["context"] = json!({"channel": "web", "geo": geo});
        client.offers(&asked).await.unwrap();
        let sent = world.deliveries_at_least(1).await;
        assert_eq!(sent[0]["body"]["context"]["geo"], told, "{geo}");
    }
}

#[tokio::test]
async fn many_refreshes_are_one_download() {
    let world = demo().await;
    let client = world.ready("on-device", json!({})).await;
    world.forget().await;
    world.misbehave(json!({"target": "artifact", "delayMs": 100})).await;
    let refreshes = (0..20).map(|_| client.client.refresh_artifact());
    let outcomes = futures_util::future::join_all(refreshes).await;
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    assert_eq!(world.received("/demo/production/v1/rules.json").await.len(), 1);
    assert_eq!(client.events_of("artifactNotModified").len(), 1);
}

#[tokio::test]
async fn a_server_side_client_says_which_measurements_are_lost() {
    let world = demo().await;
    let client = world.ready("server-side", json!({})).await;
    client.offers(&execute(&["homepage-hero"])).await.unwrap();
    client.client.shut();
    assert_eq!(client.events_of("telemetryDropped")[0]["count"], 1);
    assert_eq!(client.names().last().unwrap(), "closed");
    let stats: Value = serde_json::from_str(&client.client.stats()).unwrap();
    assert_eq!(stats["telemetry"], json!({"waiting": 0, "dropped": 1}));
}

#[tokio::test]
async fn the_cluster_of_a_decision_is_that_of_later_calls() {
    let world = demo().await;
    let client = world.ready("on-device", json!({"pinServerDomain": true})).await;
    let cookie = |options: Value| {
        let client = &client;
        async move { client.offers(&options).await.unwrap()["targetLocationHintCookie"]["value"].clone() }
    };
    let mut asked = execute(&["homepage-hero"]);
    assert_eq!(cookie(asked.clone()).await, Value::Null);
    asked["targetLocationHint"] = json!("35");
    assert_eq!(cookie(asked.clone()).await, "35");
    assert_eq!(cookie(execute(&["homepage-hero"])).await, "35");
    asked["targetCookie"] = json!("PC#abc.28_0#9999999999");
    assert_eq!(cookie(asked).await, "28");
    assert_eq!(cookie(execute(&["homepage-hero"])).await, "28");
}

#[tokio::test]
async fn the_end_leaves_no_connection_and_says_what_is_lost() {
    let world = demo().await;
    let client = world.ready("hybrid", json!({"pollingInterval": 50, "allowFastPolling": true})).await;
    client.offers(&json!({"request": {"prefetch": {"mboxes": [{"name": "homepage-hero"}]}}})).await.unwrap();
    client.client.shut();
    let names = client.names();
    let end: Vec<_> =
        names.iter().filter(|name| !name.starts_with("artifact") && *name != "geoLocationUpdated").collect();
    assert_eq!(end, ["clientReady", "draining", "telemetryDropped", "pollingStopped", "closed"], "{names:?}");
    assert!(client.events_of("telemetryDropped")[0]["count"].as_u64().unwrap() >= 2);
    world.forget().await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(world.received("/demo/production/v1/rules.json").await.len(), 0, "no polls after the end");
    assert_eq!(client.names(), names, "closed is the last event");
    drop(client);
    let before = Instant::now();
    while world.stats().await["openConnections"] != 1 {
        assert!(before.elapsed() < Duration::from_secs(3), "{}", world.stats().await);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
