//! The end of a client: by `shut`, or by nobody holding it any more.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

mod client_support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use client_support::*;
use serde_json::json;
use target_sdk_core::client::Client;
use target_sdk_core::env::Environment;

/// One of the tests counts sockets of the process.
static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// A client that only this has, and the names of its events.
fn alone(config: &str) -> (Client, Arc<Mutex<Vec<&'static str>>>) {
    let names = Arc::new(Mutex::new(Vec::new()));
    let mut environment = Environment::system(tokio::runtime::Handle::current());
    let sink = names.clone();
    environment.events = Arc::new(move |event| sink.lock().unwrap().push(event.name));
    let client = Client::new(config, environment).unwrap();
    client.start();
    (client, names)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_nobody_holds_stops_polling() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let world = demo().await;
    let config =
        world.config("on-device", json!({"pollingInterval": 10, "allowFastPolling": true, "telemetryEnabled": true}));
    // At any moment: before the artifact, while polling, while measurements and notifications are on their way.
    for after_ms in [0, 1, 3, 10, 40, 80] {
        let (client, names) = alone(&config);
        let other = client.clone();
        tokio::time::sleep(Duration::from_millis(after_ms)).await;
        drop(client);
        assert!(!names.lock().unwrap().contains(&"closed"), "a clone is left");
        drop(other);
        soon("the last event", || names.lock().unwrap().last() == Some(&"closed")).await;
    }
    let (client, names) = alone(&config);
    client.ready().await.unwrap();
    drop(client);
    soon("the last event", || names.lock().unwrap().last() == Some(&"closed")).await;
    // What was under way arrives; then it is quiet for many times the interval.
    tokio::time::sleep(Duration::from_millis(100)).await;
    world.forget().await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(world.received("/demo/production/v1/rules.json").await.len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shut_closes_connections_that_wait_for_calls() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let sockets = || std::fs::read_dir("/proc/self/fd").unwrap().flatten().filter(is_socket).count();
    let world = demo().await;
    let before = sockets();
    let probe = world.client("server-side", json!({}));
    probe.offers(&execute(&["homepage-hero"])).await.unwrap();
    assert!(sockets() >= before + 2, "both ends of a connection that is kept");
    probe.client.shut();
    soon("no connection is left", || sockets() <= before).await;
}

fn is_socket(entry: &std::fs::DirEntry) -> bool {
    std::fs::read_link(entry.path()).is_ok_and(|target| target.to_string_lossy().starts_with("socket:"))
}
