//! A wall clock that jumps: waits are measured by another one, and no moment is too far for what needs the time of day.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

mod client_support;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use client_support::*;
use serde_json::{Value, json};
use target_sdk_core::client::{Call, Client, Operation};
use target_sdk_core::env::{Clock, Environment, SystemClock};

const TEN_YEARS: i64 = 315_576_000_000;

/// The system's clock, moved; by each look at it also forth and back, if so asked.
struct Jumping {
    by_ms: AtomicI64,
    sways: AtomicI64,
    looks: AtomicU64,
}

impl Clock for Jumping {
    fn now_ms(&self) -> i64 {
        let look = self.looks.fetch_add(1, Ordering::SeqCst);
        let sway = self.sways.load(Ordering::SeqCst);
        let sway = if look.is_multiple_of(2) { sway } else { sway.checked_neg().unwrap_or(i64::MAX) };
        SystemClock.now_ms().saturating_add(self.by_ms.load(Ordering::SeqCst)).saturating_add(sway)
    }
}

async fn offers(client: &Client, options: &Value) -> Value {
    let operation = Operation::GetOffers { options: options.to_string() };
    let answer = match client.call(operation, Instant::now(), None) {
        Call::Ready(answer) => answer,
        Call::Pending(answer) => answer.await,
    };
    serde_json::from_str(&answer.unwrap().json).unwrap()
}

#[tokio::test]
async fn steps_of_ten_years_stop_nothing() {
    let world = demo().await;
    let clock = Arc::new(Jumping { by_ms: AtomicI64::new(0), sways: AtomicI64::new(0), looks: AtomicU64::new(0) });
    let mut environment = Environment::system(tokio::runtime::Handle::current());
    environment.clock = Arc::clone(&clock) as Arc<dyn Clock>;
    let text = world.config("hybrid", json!({"pollingInterval": 50, "allowFastPolling": true}));
    let client = Client::new(&text, environment).unwrap();
    client.start();
    client.ready().await.unwrap();
    let number = |pointer: &str| {
        let stats: Value = serde_json::from_str(&client.stats()).unwrap();
        stats.pointer(pointer).and_then(Value::as_u64).unwrap_or(0)
    };

    let steps =
        [TEN_YEARS, -TEN_YEARS, 0, -60 * TEN_YEARS / 10, 500 * TEN_YEARS, i64::MAX, i64::MIN, i64::MIN / 2, 1, -1, 0];
    for (by_ms, sways) in steps.into_iter().flat_map(|step| [(step, 0), (0, step)]) {
        clock.by_ms.store(by_ms, Ordering::SeqCst);
        clock.sways.store(sways, Ordering::SeqCst);
        let (polls, delivered) = (number("/artifact/polls"), number("/notifications/delivered"));
        let began = Instant::now();
        // Decided here, which leaves a notification, and by the server.
        let visitor = json!({"sessionId": "s", "targetCookie": "session#s#9999999999|PC#visitor.28_0#9999999999",
            "visitorCookie": "MCMID|12345678901234567890123456789012345678|MCAAMB-9999999999|blob"});
        for mbox in ["homepage-hero", "only-the-server-knows"] {
            let mut options = execute(&[mbox]);
            for (key, value) in visitor.as_object().unwrap() {
                options[key] = value.clone();
            }
            let envelope = offers(&client, &options).await;
            assert!(envelope["status"] == 200 || envelope["status"] == 206, "{by_ms} {sways}: {envelope:#}");
            let max_age = envelope["targetCookie"]["maxAge"].as_i64().unwrap();
            assert!(max_age >= 0, "{by_ms} {sways}: {envelope:#}");
        }
        let flushed = client.flush(Duration::from_secs(20)).await;
        assert_eq!((flushed.pending, flushed.dropped), (0, 0), "{by_ms} {sways}: {flushed:?}");
        assert!(number("/notifications/delivered") >= delivered);
        while number("/artifact/polls") < polls + 3 {
            assert!(began.elapsed() < Duration::from_secs(20), "{by_ms} {sways}: polling stopped");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        for age in ["/artifact/ageMs", "/artifact/lastPollAgeMs", "/operations/server-side/latencyMs/max"] {
            assert!(number(age) < 60_000, "{by_ms} {sways}: {age} {}", number(age));
        }
    }
    assert_eq!(number("/artifact/restarts"), 0);
    client.begin_close();
    tokio::time::timeout(Duration::from_secs(20), client.idle()).await.unwrap();
    client.shut();
}

/// Deadlines are counted on the other clock: a jump neither ends a call nor keeps it.
#[tokio::test]
async fn a_jump_during_a_call_changes_nothing() {
    let world = demo().await;
    world.fault("delivery", "stall").await;
    let clock = Arc::new(Jumping { by_ms: AtomicI64::new(0), sways: AtomicI64::new(0), looks: AtomicU64::new(0) });
    let mut environment = Environment::system(tokio::runtime::Handle::current());
    environment.clock = Arc::clone(&clock) as Arc<dyn Clock>;
    let client = Client::new(&world.config("server-side", json!({"timeout": 400})), environment).unwrap();
    client.start();
    for by_ms in [TEN_YEARS, -TEN_YEARS] {
        let began = Instant::now();
        let operation = Operation::GetOffers { options: execute(&["m"]).to_string() };
        let Call::Pending(answer) = client.call(operation, began, None) else { panic!("decided without the server") };
        clock.by_ms.store(by_ms, Ordering::SeqCst);
        let error = answer.await.unwrap_err();
        assert_eq!(error.kind(), target_sdk_core::error::ErrorKind::Timeout);
        assert!(began.elapsed() >= Duration::from_millis(400) && began.elapsed() < Duration::from_secs(10));
    }
    client.shut();
}
