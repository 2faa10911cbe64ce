//! Artifacts that go wrong, and clients that go on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod client_support;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use client_support::*;
use serde_json::{Value, json};
use target_sdk_core::client::State;
use target_sdk_core::error::ErrorKind;

async fn decided(client: &Probe) -> Value {
    let envelope = client.offers(&execute(&["m"])).await.unwrap();
    assert_eq!(envelope["meta"]["decisioningMethod"], "on-device");
    content(&envelope, 0)
}

/// The one event of a load that failed.
fn the_failure(client: &Probe, what: &str) -> Value {
    let told = client.events_of("artifactDownloadFailed");
    assert_eq!(told.len(), 1, "{what}: {:?}", client.names());
    told[0].clone()
}

#[tokio::test]
async fn each_fault_is_told_once_and_changes_no_decision() {
    let file = File::new(&artifact(&[("m", "good")]));
    let world = start(&format!("--artifact {}", file.path().display())).await;
    let location = format!("http://127.0.0.1:{}/demo/production/v1/rules.json", world.port);
    for (fault, message, status) in [
        ("not-json", "invalid", None),
        ("html", "invalid", None),
        ("empty", "invalid", None),
        ("truncate", "broke in the middle", None),
        ("half-close", "broke in the middle", None),
        ("drop-after-head", "broke", None),
        ("gzip-corrupt", "gzip", None),
        ("oversize", "limit", None),
        ("reset", "reset the connection", None),
        ("close", "closed the connection", None),
        ("status:403", "likely due to On-Device-Decisioning being disabled in Admin settings", Some(403)),
        ("status:404", "404", Some(404)),
        ("status:500", "500", Some(500)),
        ("status:204", "204", Some(204)),
        ("redirect:http://127.0.0.1:1/rules.json", "", None),
    ] {
        let client = world.ready("on-device", json!({"maxArtifactBytes": 1_000_000})).await;
        assert_eq!(decided(&client).await, "good");
        file.write(&artifact(&[("m", "newer")]));
        world.fault("artifact", fault).await;
        let error = client.client.refresh_artifact().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Artifact, "{fault}: {error}");
        let told = the_failure(&client, fault);
        assert_eq!(told["artifactLocation"], location, "{fault}");
        let shown = told["error"]["message"].as_str().unwrap();
        assert!(shown.contains(message) && !shown.is_empty(), "{fault}: {shown}");
        assert_eq!(shown, error.message(), "{fault}: the host gets the same text");
        if let Some(status) = status {
            assert_eq!(told["error"]["httpStatus"], status, "{fault}: {told}");
        }
        assert_eq!(decided(&client).await, "good", "{fault}");
        assert_eq!(client.client.state(), State::Ready);
        let stats = client.stats();
        assert_eq!(
            (&stats["artifact"]["state"], &stats["artifact"]["failures"]),
            (&json!("ready"), &json!(1)),
            "{fault}"
        );
        // The entity tag of what failed is not kept: the next load is a whole one.
        world.behave().await;
        client.client.refresh_artifact().await.unwrap();
        assert_eq!(decided(&client).await, "newer", "{fault}");
        file.write(&artifact(&[("m", "good")]));
    }
}

#[tokio::test]
async fn artifacts_that_cannot_be_understood_are_refused_whole() {
    let good = artifact(&[("m", "good")]);
    let file = File::new(&good);
    let world = start(&format!("--artifact {}", file.path().display())).await;
    let client = world.ready("on-device", json!({})).await;
    let mut parsed: Value = serde_json::from_str(&good).unwrap();
    parsed["rules"]["mboxes"]["m"] = json!(7);
    let badly_typed = parsed.to_string();
    for (nth, (text, part)) in [
        (good.replace("1.0.0", "2.0.0"), "version (2.0.0) is not supported"),
        (good.replace("1.0.0", "0.9.0"), "version (0.9.0) is not supported"),
        (good.replace("\"version\"", "\"Version\""), "version (undefined) is not supported"),
        (badly_typed, "invalid"),
    ]
    .into_iter()
    .enumerate()
    {
        file.write(&text);
        for _ in 0..2 {
            let error = client.client.refresh_artifact().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Artifact);
            assert!(error.message().contains(part), "{part}: {error}");
            assert_eq!(decided(&client).await, "good", "{part}");
        }
        let told = client.events_of("artifactDownloadFailed");
        assert_eq!(told.len(), 2 * (nth + 1), "its entity tag is not kept: it is refused again, not \"not modified\"");
        assert!(told.last().unwrap()["error"]["message"].as_str().unwrap().contains(part));
    }
    assert_eq!(client.client.state(), State::Ready);
    assert_eq!(client.events_of("artifactDownloadSucceeded").len(), 1);
    assert_eq!(client.events_of("clientReady").len(), 1);
}

#[tokio::test]
async fn a_cdn_that_dies_is_told_and_decisions_go_on() {
    let cdn = demo().await;
    let world = demo().await;
    let base = json!({"cdnBasePath": format!("127.0.0.1:{}", cdn.port)});
    let client = world.ready("hybrid", base).await;
    drop(cdn);
    let error = client.client.refresh_artifact().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Artifact);
    let told = the_failure(&client, "dead");
    assert!(told["error"]["message"].as_str().unwrap().starts_with("Failed to retrieve artifact: "), "{told}");
    let envelope = client.offers(&execute(&["homepage-hero"])).await.unwrap();
    assert_eq!(envelope["meta"]["decisioningMethod"], "on-device");
}

#[tokio::test]
async fn a_failed_first_load_recovers() {
    // What the server refuses or sends in vain is told by each call; what may pass is "not ready".
    for (fault, kind) in [
        ("status:403", ErrorKind::Artifact),
        ("status:404", ErrorKind::Artifact),
        ("not-json", ErrorKind::Artifact),
        ("reset", ErrorKind::NotReady),
        ("truncate", ErrorKind::NotReady),
    ] {
        let file = File::new(&artifact(&[("m", "at last")]));
        let world = start(&format!("--artifact {}", file.path().display())).await;
        world.fault("artifact", fault).await;
        let client = world.client("on-device", json!({"pollingInterval": 30, "allowFastPolling": true}));
        let hybrid = world.client("hybrid", json!({"pollingInterval": 30, "allowFastPolling": true}));
        let (error, same) = tokio::join!(client.client.ready(), hybrid.client.ready());
        assert_eq!(error.unwrap_err().kind(), ErrorKind::NotReady, "{fault}");
        assert_eq!(same.unwrap_err().kind(), ErrorKind::NotReady, "{fault}");
        assert_eq!(client.client.state(), State::Degraded);
        let names = client.names();
        assert_eq!(names[..2], ["artifactDownloadFailed", "degraded"], "{fault}: {names:?}");
        assert_eq!(client.offers(&execute(&["m"])).await.unwrap_err().kind(), kind, "{fault}");
        let envelope = hybrid.offers(&execute(&["m"])).await.unwrap();
        assert_eq!(envelope["meta"]["decisioningMethod"], "server-side", "hybrid does without");
        world.behave().await;
        soon("recovery", || client.client.state() == State::Ready && hybrid.client.state() == State::Ready).await;
        assert_eq!(client.client.readiness().map(|ready| ready.is_ok()), Some(true));
        assert_eq!(decided(&client).await, "at last", "{fault}");
        for client in [&client, &hybrid] {
            soon("readiness is told", || !client.events_of("clientReady").is_empty()).await;
            assert_eq!((client.events_of("clientReady").len(), client.events_of("degraded").len()), (1, 1));
        }
        assert_eq!(hybrid.offers(&execute(&["m"])).await.unwrap()["meta"]["decisioningMethod"], "on-device");
    }
}

#[tokio::test]
async fn a_copy_on_disk_stands_in_for_the_cdn() {
    let served = File::new(&artifact(&[("m", "served")]));
    let world = start(&format!("--artifact {}", served.path().display())).await;
    let copy = File::new("not an artifact");
    let extra = json!({"artifactFile": copy.path(), "pollingInterval": 30, "allowFastPolling": true});
    let first = world.ready("on-device", extra.clone()).await;
    assert_eq!(decided(&first).await, "served");
    soon("the copy", || std::fs::read_to_string(copy.path()).is_ok_and(|text| text.contains("served"))).await;
    drop(first);
    world.fault("artifact", "status:404").await;
    let second = world.ready("on-device", extra).await;
    assert_eq!(decided(&second).await, "served");
    assert_eq!(second.client.state(), State::Ready);
    served.write(&artifact(&[("m", "served anew")]));
    world.behave().await;
    let before = Instant::now();
    while decided(&second).await != "served anew" {
        assert!(before.elapsed() < Duration::from_secs(5));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn the_binary_form_decides_alike() {
    let world = start(&format!("--org {ORGANIZATION} --artifact {DATA}/artifact.json")).await;
    let json = world.ready("on-device", json!({})).await;
    let binary = world.ready("on-device", json!({"artifactFormat": "bin"})).await;
    assert_eq!(world.received("/demo/production/v1/rules.bin").await.len(), 1);
    assert_eq!(json.client.artifact().unwrap(), binary.client.artifact().unwrap());
    let asked = of_visitor("abc.28_0", execute(&["homepage-hero"]));
    assert_eq!(content(&json.offers(&asked).await.unwrap(), 0), content(&binary.offers(&asked).await.unwrap(), 0));
    world.fault("artifact", "html").await;
    assert_eq!(binary.client.refresh_artifact().await.unwrap_err().kind(), ErrorKind::Artifact);
    the_failure(&binary, "no binary artifact");
}

/// A hundred times a second the artifact is another one; each decision is made by one of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn decisions_match_one_version_while_artifacts_swap() {
    let version = |number: usize| {
        let content = format!("version {number}");
        artifact(&[("one", &content), ("two", &content), ("three", &content)])
    };
    let file = File::new(&version(0));
    let world = start(&format!("--artifact {}", file.path().display())).await;
    let client = Arc::new(
        world
            .ready("on-device", json!({"pollingInterval": 5, "allowFastPolling": true, "telemetryEnabled": false}))
            .await,
    );
    let stop = Arc::new(AtomicBool::new(false));
    let decisions = Arc::new(AtomicUsize::new(0));
    let deciders: Vec<_> = (0..2)
        .map(|_| {
            let (client, stop, decisions) = (Arc::clone(&client), Arc::clone(&stop), Arc::clone(&decisions));
            tokio::spawn(async move {
                let mut seen = BTreeSet::new();
                let mut latest = 0;
                while !stop.load(Ordering::Relaxed) {
                    let mut asked = execute(&["one", "two", "three"]);
                    asked["request"]["prefetch"] = asked["request"]["execute"].clone();
                    let envelope = client.offers(&asked).await.unwrap();
                    let mut versions = BTreeSet::new();
                    for mode in ["execute", "prefetch"] {
                        for mbox in envelope["response"][mode]["mboxes"].as_array().unwrap() {
                            versions.insert(mbox["options"][0]["content"].as_str().unwrap().to_owned());
                        }
                    }
                    assert_eq!(versions.len(), 1, "{versions:?}");
                    let version = versions.pop_first().unwrap();
                    let number: usize = version.strip_prefix("version ").unwrap().parse().unwrap();
                    assert!(number >= latest, "never back to an older one: {number} after {latest}");
                    latest = number;
                    seen.insert(number);
                    decisions.fetch_add(1, Ordering::Relaxed);
                    tokio::task::yield_now().await;
                }
                seen
            })
        })
        .collect();
    let mut swaps = 0;
    let began = Instant::now();
    let enough = |swaps: usize| swaps >= 100 && decisions.load(Ordering::Relaxed) > 500;
    while !enough(swaps) && began.elapsed() < Duration::from_secs(30) {
        swaps += 1;
        file.write(&version(swaps));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    stop.store(true, Ordering::Relaxed);
    let mut seen = BTreeSet::new();
    for decider in deciders {
        seen.extend(decider.await.unwrap());
    }
    let count = decisions.load(Ordering::Relaxed);
    println!("{swaps} versions, {} of them seen in {count} decisions", seen.len());
    assert!(enough(swaps) && seen.len() >= 10, "{swaps} versions, {} seen, {count}", seen.len());
    assert_eq!(client.events_of("artifactDownloadFailed").len(), 0);
    assert_eq!(client.events_of("clientReady").len(), 1);
}
