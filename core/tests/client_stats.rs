//! Statistics: what they promise holds in every sample, and the document describes them as they are.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod client_support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use client_support::*;
use serde_json::{Value, json};
use target_sdk_core::client::{Call, Operation};

/// The members of a document with the names that docs/statistics.md uses, and their types.
fn members(of: &Value, path: &str, found: &mut BTreeMap<String, String>) {
    if let Value::Object(object) = of {
        for (key, value) in object {
            let key = match path {
                "operations" if ["server-side", "on-device", "notifications"].contains(&key.as_str()) => "*",
                "errors" => "*",
                _ => key,
            };
            members(value, &if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }, found);
        }
        return;
    }
    let kind = match of {
        Value::String(_) => "string",
        // Latencies are written with their decimals.
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        other => panic!("{path} is {other}"),
    };
    found.insert(path.to_owned(), kind.to_owned());
}

/// The table of the document: member and type.
fn documented() -> BTreeMap<String, String> {
    let text = include_str!("../../docs/statistics.md");
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.map(|row| {
        let (member, rest) = row.split_once('`').unwrap();
        let cells: Vec<&str> = rest.split('|').map(str::trim).collect();
        assert!(cells.len() >= 5 && !cells[3].is_empty(), "{row}");
        (member.to_owned(), cells[1].to_owned())
    })
    .collect()
}

#[tokio::test]
async fn every_member_is_documented_and_every_documented_one_exists() {
    let world = demo().await;
    let mut found = BTreeMap::new();
    let mut note = |stats: &Value| members(stats, "", &mut found);

    let plain = world.ready("server-side", json!({})).await;
    note(&plain.stats());
    plain.offers(&execute(&["homepage-hero"])).await.unwrap();
    plain.offers(&json!({"request": 7})).await.unwrap_err();
    note(&plain.stats());
    let device = world.ready("on-device", json!({})).await;
    note(&device.stats());
    device.offers(&execute(&["homepage-hero"])).await.unwrap();
    world.fault("artifact", "status:500").await;
    device.client.refresh_artifact().await.unwrap_err();
    note(&device.stats());
    let payload = device.client.artifact().unwrap();
    let offline = Probe::start(&config(1, "on-device", json!({"offline": true, "artifactPayload": payload})));
    offline.client.ready().await.unwrap();
    assert!(offline.stats().get("transport").is_none() && offline.stats().get("notifications").is_none());
    note(&offline.stats());
    assert!(plain.stats().get("artifact").is_none());

    let documented = documented();
    for (member, kind) in &found {
        assert_eq!(documented.get(member), Some(kind), "docs/statistics.md does not have {member} as {kind}");
    }
    // Other sections are those of the C layer.
    let section = |member: &str| member.split('.').next().unwrap().to_owned();
    let ours: BTreeSet<String> = found.keys().map(|member| section(member)).collect();
    for member in documented.keys().filter(|member| ours.contains(&section(member))) {
        assert!(found.contains_key(member), "docs/statistics.md describes {member}, which is not there");
    }
    // The sample of the document is one.
    let text = include_str!("../../docs/statistics.md");
    let sample = text.split("```json").nth(1).unwrap().split("```").next().unwrap();
    let mut shown = BTreeMap::new();
    members(&serde_json::from_str(sample).unwrap(), "", &mut shown);
    assert!(shown.iter().all(|(member, kind)| found.get(member) == Some(kind)), "{shown:#?}");
}

/// Calls that succeed, fail, time out, wait and are dropped, on two threads, with samples all the time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sums_hold_in_every_sample_of_a_storm() {
    let world = demo().await;
    for fault in ["flap", "reset"] {
        world.misbehave(json!({"target": "delivery", "name": fault, "times": 200})).await;
    }
    let client = Arc::new(world.ready("hybrid", json!({"maxInFlight": 8, "maxQueued": 24, "timeout": 1000})).await);
    let done = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> = (0..4_u64)
        .map(|caller| {
            let (client, done) = (Arc::clone(&client), Arc::clone(&done));
            tokio::spawn(async move {
                let (mut nth, mut accepted, mut refused) = (caller, 0_u64, 0_u64);
                let mut pending = Vec::new();
                while !done.load(Ordering::SeqCst) {
                    nth += 1;
                    let options = match nth % 5 {
                        0 => r#"{"request":7}"#.to_owned(),
                        1 => execute(&["homepage-hero"]).to_string(),
                        // Only the server knows this one.
                        _ => execute(&["somewhere-else"]).to_string(),
                    };
                    match client.begin(Operation::GetOffers { options }) {
                        Err(_) => refused += 1,
                        Ok((admission, call)) => {
                            accepted += 1;
                            match call {
                                // Dropped: cancelled.
                                Call::Pending(_) if nth.is_multiple_of(7) => {}
                                Call::Pending(answer) => pending.push(tokio::spawn(async move {
                                    let _admission = admission;
                                    answer.await
                                })),
                                Call::Ready(_) => {}
                            }
                        }
                    }
                    if nth.is_multiple_of(11) {
                        if let Some(call) = pending.pop() {
                            call.abort();
                        }
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                }
                for call in pending {
                    // Those that were ended have no outcome.
                    let _ = call.await;
                }
                (accepted, refused)
            })
        })
        .collect();

    let number = |stats: &Value, pointer: &str| stats.pointer(pointer).unwrap().as_u64().unwrap();
    let mut before = client.stats();
    let began = Instant::now();
    let mut samples = 0;
    while began.elapsed() < Duration::from_millis(1_500) || samples < 50 {
        let stats = client.stats();
        let sum = ["completed", "cancelled", "inFlight"].map(|part| number(&stats, &format!("/calls/{part}")));
        assert_eq!(number(&stats, "/calls/accepted"), sum.iter().sum::<u64>(), "{stats:#}");
        let parts = ["delivered", "dropped", "queued"].map(|part| number(&stats, &format!("/notifications/{part}")));
        assert_eq!(number(&stats, "/notifications/accepted"), parts.iter().sum::<u64>(), "{stats:#}");
        assert!(number(&stats, "/limits/admitted") <= 32 && number(&stats, "/limits/running") <= 8, "{stats:#}");
        for counter in [
            "/calls/accepted",
            "/calls/completed",
            "/calls/cancelled",
            "/operations/server-side/succeeded",
            "/operations/server-side/failed",
            "/operations/on-device/succeeded",
            "/operations/server-side/latencyMs/count",
            "/limits/refused/queueFull",
            "/transport/requests",
            "/transport/attempts",
            "/transport/retries",
            "/transport/bytesIn",
            "/notifications/accepted",
            "/artifact/polls",
        ] {
            assert!(number(&stats, counter) >= number(&before, counter), "{counter} fell: {before:#} {stats:#}");
        }
        before = stats;
        samples += 1;
        tokio::time::sleep(Duration::from_micros(500)).await;
    }
    done.store(true, Ordering::SeqCst);
    let (mut accepted, mut refused) = (0, 0);
    for caller in callers {
        let (of_caller, of_refused) = caller.await.unwrap();
        accepted += of_caller;
        refused += of_refused;
    }
    let stats = client.stats();
    assert_eq!(number(&stats, "/calls/accepted"), accepted);
    assert_eq!(number(&stats, "/limits/refused/queueFull"), refused);
    assert_eq!((number(&stats, "/calls/inFlight"), number(&stats, "/limits/admitted")), (0, 0), "{stats:#}");
    let kinds: u64 = stats["errors"].as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum();
    let failed: u64 =
        stats["operations"].as_object().unwrap().values().map(|kind| kind["failed"].as_u64().unwrap()).sum();
    assert_eq!(kinds, failed, "each failure has a kind: {stats:#}");
    assert!(accepted > 100 && failed > 0 && number(&stats, "/calls/cancelled") > 0, "{stats:#}");
}

/// Measurements wait for the next call when one fails, but not when the server calls it wrong: they may be the reason.
#[tokio::test]
async fn measurements_do_not_spoil_later_calls() {
    let world = demo().await;
    let client = world.ready("server-side", json!({"maxRetries": 0})).await;
    let entries = |delivery: &Value| delivery["body"]["telemetry"]["entries"].as_array().map_or(0, Vec::len);
    client.offers(&execute(&["homepage-hero"])).await.unwrap();
    for (fault, kept) in [("status:503", 1), ("reset", 1), ("status:400", 0)] {
        world.misbehave(json!({"target": "delivery", "name": fault, "times": 1})).await;
        client.offers(&execute(&["homepage-hero"])).await.unwrap_err();
        assert_eq!(client.stats()["telemetry"], json!({"waiting": kept, "dropped": 1 - kept}), "{fault}");
    }
    client.offers(&execute(&["homepage-hero"])).await.unwrap();
    let deliveries = world.deliveries().await;
    assert_eq!(entries(deliveries.last().unwrap()), 0);
    assert_eq!(client.stats()["telemetry"]["waiting"], 1);
}
