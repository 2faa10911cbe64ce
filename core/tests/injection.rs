//! Values that would like to be headers, requests or hosts: each is refused, or arrives as nothing but a value.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

mod client_support;

use std::sync::{Arc, Mutex};

use client_support::{ORGANIZATION, Probe};
use serde_json::{Value, json};
use target_sdk_core::client::Client;
use target_sdk_core::env::Environment;
use target_sdk_core::error::ErrorKind;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const EVIL: &[&str] = &[
    "a\r\nx-evil: 1",
    "a\r\n\r\nGET /evil HTTP/1.1\r\nhost: evil\r\n\r\n",
    "a\nx-evil: 1",
    "a\rx-evil: 1",
    "a\0b",
    "a\u{7f}b",
    "a\u{85}x-evil: 1",
    "a\u{2028}x-evil: 1",
    "a b",
    "a\tb",
    "a/../b",
    "../../evil",
    "a?evil=1",
    "a#evil",
    "a&evil=1",
    "a;evil=1",
    "a%0d%0ax-evil: 1",
    "a@evil.example",
    "a:1@evil",
    "a\\evil",
    "evil.example/x",
    "é",
    "😀",
    "",
    " ",
    ".",
    "..",
    "a\"b",
    "<a>",
];

/// A proxy in plain text: keeps every byte that comes, and answers each request with an empty object.
async fn oracle() -> (u16, Arc<Mutex<Vec<Vec<u8>>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&seen);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let kept = Arc::clone(&kept);
            tokio::spawn(async move {
                let mut bytes = Vec::new();
                let mut piece = [0; 65_536];
                while let Ok(n @ 1..) = stream.read(&mut piece).await {
                    bytes.extend_from_slice(&piece[..n]);
                    if length(&bytes).is_some_and(|length| bytes.len() >= length) {
                        break;
                    }
                }
                kept.lock().unwrap().push(bytes);
                let _ = stream
                    .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 27\r\nconnection: close\r\n\r\n{\"status\":200,\"client\":\"c\"}")
                    .await;
            });
        }
    });
    (port, seen)
}

/// Length of the first request in these bytes.
fn length(bytes: &[u8]) -> Option<usize> {
    let head = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&bytes[..head]).to_lowercase();
    let body = text.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
    Some(head + body)
}

/// These bytes are one request, with a target and headers as ours have them. Gives the target.
fn check(bytes: &[u8]) -> String {
    assert_eq!(length(bytes), Some(bytes.len()), "{}", String::from_utf8_lossy(bytes));
    let text = std::str::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let mut lines = head.split("\r\n");
    let line = lines.next().unwrap();
    let parts: Vec<&str> = line.split(' ').collect();
    let [method, target, "HTTP/1.1"] = parts.as_slice() else { panic!("{line}") };
    assert!(target.bytes().all(|byte| byte.is_ascii_graphic()), "{line}");
    for header in lines {
        let (name, value) = header.split_once(':').unwrap_or_else(|| panic!("{header:?}"));
        assert!(
            [
                "accept",
                "accept-encoding",
                "content-length",
                "content-type",
                "host",
                "if-none-match",
                "x-exc-sdk",
                "x-exc-sdk-version",
                "x-forwarded-for",
                "x-request-id",
                "proxy-authorization",
                "user-agent"
            ]
            .contains(&name.to_lowercase().as_str()),
            "{header:?}"
        );
        assert!(!value.bytes().any(|byte| byte.is_ascii_control()), "{header:?}");
    }
    if *method == "POST" {
        serde_json::from_str::<Value>(body).unwrap();
        let (place, query) = target.split_once('?').unwrap();
        let host = place
            .strip_prefix("http://")
            .unwrap()
            .strip_suffix("/rest/v1/delivery")
            .unwrap_or_else(|| panic!("{target}"));
        let name = host.strip_suffix(".tt.omtrdc.net").unwrap_or_else(|| panic!("{target}"));
        assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'), "{target}");
        let keys: Vec<&str> = query.split('&').map(|pair| pair.split_once('=').unwrap().0).collect();
        assert!(keys == ["imsOrgId", "sessionId"] || keys == ["imsOrgId", "sessionId", "version"], "{target}");
        assert!(!query.contains(['#', '?', '/', '@', '"', '<']), "{target}");
    } else {
        assert!(target.starts_with("http://") && target.contains("/v1/"), "{target}");
    }
    (*target).to_owned()
}

fn config(port: u16, members: Value) -> String {
    let mut config = json!({"client": "demo", "organizationId": ORGANIZATION, "secure": false, "telemetryEnabled": false,
        "proxy": {"url": format!("http://127.0.0.1:{port}")}});
    for (key, value) in members.as_object().unwrap() {
        config[key] = value.clone();
    }
    config.to_string()
}

#[tokio::test]
async fn values_of_calls_stay_values() {
    let (port, seen) = oracle().await;
    let client = Probe::start(&config(port, json!({})));
    let mbox = json!({"execute": {"mboxes": [{"index": 0, "name": "m"}]}});
    let (mut sent, mut refused) = (0, 0);
    for evil in EVIL {
        for place in [
            "/sessionId",
            "/targetCookie",
            "/targetLocationHint",
            "/visitorCookie",
            "/consumerId",
            "/customerIds/a/id",
            "/request/requestId",
            "/request/impressionId",
            "/request/id/tntId",
            "/request/id/thirdPartyId",
            "/request/property/token",
            "/request/context/userAgent",
            "/request/context/address/url",
            "/request/execute/mboxes/0/name",
            "/request/trace/authorizationToken",
        ] {
            let mut options = json!({"request": mbox});
            let mut at = &mut options;
            let steps: Vec<&str> = place[1..].split('/').collect();
            for step in &steps[..steps.len() - 1] {
                at = match at {
                    Value::Array(items) => &mut items[step.parse::<usize>().unwrap()],
                    _ => &mut at[*step],
                };
            }
            let last = steps[steps.len() - 1];
            at[last] = match place {
                "/targetCookie" => json!(format!("session#{evil}#9999999999|PC#{evil}.28_0#9999999999")),
                "/visitorCookie" => json!(format!("MCMID|{evil}|MCAID|{evil}")),
                _ => json!(evil),
            };
            match client.offers(&options).await {
                Ok(_) => sent += 1,
                Err(error) if error.kind() == ErrorKind::InvalidOptions => {
                    refused += 1;
                    assert!(error.path().is_some(), "{place} {evil:?}: {error:?}");
                    assert!(seen.lock().unwrap().is_empty(), "{place} {evil:?}");
                    continue;
                }
                Err(error) => panic!("{place} {evil:?}: {error:?}"),
            }
            let requests = std::mem::take(&mut *seen.lock().unwrap());
            assert_eq!(requests.len(), 1, "{place} {evil:?}");
            check(&requests[0]);
        }
    }
    assert!(sent > 250 && refused > 20, "{sent} sent, {refused} refused");
}

#[tokio::test]
async fn values_of_configurations_stay_values() {
    let (port, seen) = oracle().await;
    let (mut sent, mut refused) = (0, 0);
    for evil in EVIL {
        for key in [
            "client",
            "organizationId",
            "propertyToken",
            "environment",
            "version",
            "targetLocationHint",
            "serverDomain",
            "cdnBasePath",
        ] {
            let text = config(port, json!({"decisioningMethod": "hybrid", key: evil}));
            let mut environment = Environment::system(tokio::runtime::Handle::current());
            environment.events = Arc::new(|_| {});
            match Client::new(&text, environment) {
                Err(error) => {
                    refused += 1;
                    assert_eq!(
                        (error.kind(), error.path()),
                        (ErrorKind::InvalidOptions, Some(format!("/{key}").as_str())),
                        "{evil:?}"
                    );
                }
                Ok(client) => {
                    client.start();
                    // Artifact and delivery, both through the oracle.
                    let _ = client.ready().await;
                    let probe_options =
                        json!({"request": {"execute": {"mboxes": [{"index": 0, "name": "m"}]}}}).to_string();
                    let operation = target_sdk_core::client::Operation::GetOffers { options: probe_options };
                    if let target_sdk_core::client::Call::Pending(answer) =
                        client.call(operation, std::time::Instant::now(), None)
                    {
                        let _ = answer.await;
                    }
                    client.shut();
                    let requests = std::mem::take(&mut *seen.lock().unwrap());
                    assert!(!requests.is_empty(), "{key} {evil:?}");
                    for request in &requests {
                        // Requests that `shut` cut off may be incomplete; none may be more than one.
                        if length(request).is_some_and(|length| request.len() >= length) {
                            let target = check(request);
                            assert!(!target.contains("/../"), "{target}");
                            // Where artifacts come from is the host's to say.
                            let place = if key == "cdnBasePath" { "http://" } else { "http://assets.adobetarget.com/" };
                            assert!(request.starts_with(b"POST ") || target.starts_with(place), "{target}");
                        }
                    }
                    sent += requests.len();
                }
            }
        }
    }
    assert!(refused > 130 && sent > 20, "{refused} refused, {sent} sent");
}

/// Addresses of visitors become a header of the look-up of places; only addresses do.
#[tokio::test]
async fn only_addresses_are_looked_up() {
    let (port, seen) = oracle().await;
    let artifact = json!({"version": "1.0.0", "geoTargetingEnabled": true, "globalMbox": "g", "rules": {"mboxes": {}, "views": {}},
        "remoteMboxes": [], "localMboxes": ["m"], "responseTokens": []});
    let client = Probe::start(&config(port, json!({"decisioningMethod": "on-device", "artifactPayload": artifact})));
    for evil in EVIL.iter().copied().chain([
        "1.2.3.4\r\nx-evil: 1",
        "1.2.3.4, 5.6.7.8",
        "::1%a\r\nx-evil: 1",
        "1.2.3.4%0d%0a",
        "fe80::1%e\u{0}",
    ]) {
        let options = json!({"request": {"context": {"geo": {"ipAddress": evil}}, "execute": {"mboxes": [{"index": 0, "name": "m"}]}}});
        // Decided without a place, or refused.
        let _ = client.offers(&options).await;
        for request in std::mem::take(&mut *seen.lock().unwrap()) {
            let target = check(&request);
            assert!(!target.contains("/v1/geo"), "{evil:?} was looked up");
        }
    }
}
