//! The artifact provider against a local CDN, and without one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

mod transport_support;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use target_sdk_core::artifact::{Download, Geo, Provider, State};
use target_sdk_core::config::{ArtifactFormat, Config, DecisioningMethod};
use target_sdk_core::env::{Environment, Event};
use target_sdk_core::error::{Error, ErrorKind, Result};
use target_sdk_core::json::{self, Limits};
use target_sdk_core::transport::Transport;
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, timeout};
use transport_support::*;

fn config_for(port: u16) -> Config {
    Config {
        client: "acme".to_owned(),
        organization_id: "ORG@AdobeOrg".to_owned(),
        decisioning_method: DecisioningMethod::OnDevice,
        timeout: Duration::from_secs(3),
        server_domain: None,
        pin_server_domain: false,
        target_location_hint: None,
        secure: false,
        environment_id: None,
        environment: "Production".to_owned(),
        cdn_base: format!("127.0.0.1:{port}"),
        property_token: None,
        version: None,
        telemetry_enabled: true,
        polling_interval: None,
        allow_fast_polling: true,
        maximum_wait_ready: None,
        artifact_location: None,
        artifact_payload: None,
        artifact_format: None,
        artifact_file: None,
        all_matching_rules_mboxes: Vec::new(),
        include_page_load: false,
        max_in_flight: 256,
        max_queued: 1024,
        max_retries: 1,
        offline: false,
        strict: false,
        max_response_bytes: 8 << 20,
        max_artifact_bytes: 1 << 20,
        transport: config(),
    }
}

/// The name in an artifact of major version 1: what these tests take for compiled rules.
fn compile(text: &str) -> Result<String> {
    let artifact = json::parse(text, &Limits::REMOTE).map_err(|error| {
        Error::new(ErrorKind::Artifact, format!("Unable to read artifact JSON: {}", error.message()))
    })?;
    let version = artifact.get("version").and_then(|version| version.as_str()).unwrap_or("");
    if version.split('.').next() != Some("1") {
        return Err(Error::new(ErrorKind::Artifact, format!("the artifact version {version} is not supported")));
    }
    let name = artifact.get("name").and_then(|name| name.as_str()).unwrap_or("");
    assert_ne!(name, "panic", "as asked");
    Ok(name.to_owned())
}

fn artifact(name: &str) -> String {
    format!("{{\"version\":\"1.0.0\",\"name\":\"{name}\"}}")
}

/// A CDN: what it answers can be changed, what it was asked is kept.
#[derive(Clone, Default)]
struct Cdn {
    answer: Arc<Mutex<(String, String, Vec<u8>)>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Cdn {
    async fn start(delay: Duration) -> (Cdn, u16) {
        let cdn = Cdn::default();
        let shared = cdn.clone();
        let server = Server::start(move |_, mut stream| {
            let cdn = shared.clone();
            async move {
                while let Some(request) = read_request(&mut stream).await {
                    cdn.asked.lock().unwrap().push(request);
                    tokio::time::sleep(delay).await;
                    let (status, headers, body) = cdn.answer.lock().unwrap().clone();
                    if status == "cut" {
                        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"ver").await;
                        return;
                    }
                    answer(&mut stream, &status, &headers, &body).await;
                }
            }
        })
        .await;
        (cdn, server.port)
    }

    fn says(&self, status: &str, headers: &str, body: impl AsRef<[u8]>) {
        *self.answer.lock().unwrap() = (status.to_owned(), headers.to_owned(), body.as_ref().to_vec());
    }

    fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

type Events = Arc<Mutex<Vec<Event>>>;

fn provider(config: &Config) -> (Provider<String>, Events) {
    let events = Events::default();
    let mut env = Environment::system(tokio::runtime::Handle::current());
    let sink = Arc::clone(&events);
    env.events = Arc::new(move |event| sink.lock().unwrap().push(event));
    let transport = (!config.offline).then(|| Transport::new(&config.transport).unwrap());
    (Provider::new(config, transport, &env, compile).unwrap(), events)
}

fn names(events: &Events) -> Vec<&'static str> {
    events.lock().unwrap().drain(..).map(|event| event.name).collect()
}

fn current(provider: &Provider<String>) -> Option<String> {
    provider.current().map(|snapshot| snapshot.rules.clone())
}

async fn soon(what: &str, mut done: impl FnMut() -> bool) {
    let limit = Instant::now() + Duration::from_secs(5);
    while !done() {
        assert!(Instant::now() < limit, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A directory that is removed with the value.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Directory {
        let path = std::env::temp_dir().join(format!("target-sdk-artifact-{:016x}", fastrand::u64(..)));
        std::fs::create_dir(&path).unwrap();
        Directory(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("rules.json")
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[tokio::test]
async fn a_download_is_put_to_use_and_told_in_order() {
    let (cdn, port) = Cdn::start(Duration::ZERO).await;
    cdn.says("200 OK", "etag: \"e1\"\r\nx-geo-city: BERN\r\nx-geo-latitude: 46.95\r\n", artifact("one"));
    let (provider, events) = provider(&config_for(port));
    let downloads = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&downloads);
    provider.on_download(Arc::new(move |download: &Download| log.lock().unwrap().push(*download)));
    assert_eq!(provider.status().state, State::Waiting);
    assert!(provider.current().is_none());
    provider.start();
    provider.start();
    provider.first_outcome().await.unwrap();
    provider.usable().await;
    let snapshot = provider.current().unwrap();
    assert_eq!((snapshot.rules.as_str(), &*snapshot.text), ("one", artifact("one").as_str()));
    assert_eq!(snapshot.location, format!("http://127.0.0.1:{port}/acme/production/v1/rules.json"));
    assert_eq!((snapshot.etag.as_deref(), snapshot.retrieval_count), (Some("\"e1\""), 1));
    assert!(snapshot.retrieved_ms > 1_700_000_000_000);
    let told: Vec<_> = events.lock().unwrap().drain(..).map(|event| event.json).collect();
    assert_eq!(
        told,
        [
            format!(
                "{{\"type\":\"artifactDownloadSucceeded\",\"artifactLocation\":\"{}\",\"artifactPayload\":{}}}",
                snapshot.location, snapshot.text
            ),
            "{\"type\":\"geoLocationUpdated\",\"geoContext\":{\"latitude\":46.95,\"city\":\"BERN\"}}".to_owned(),
        ]
    );
    soon("hook", || downloads.lock().unwrap().len() == 1).await;
    assert!(downloads.lock().unwrap()[0].timing.response_size > 10);

    // Not modified: asked with the tag, nothing changes.
    cdn.says("304 Not Modified", "", "");
    provider.refresh().await.unwrap();
    assert!(cdn.asked.lock().unwrap()[1].to_ascii_lowercase().contains("if-none-match: \"e1\"\r\n"));
    assert!(Arc::ptr_eq(&snapshot, &provider.current().unwrap()));
    assert_eq!(names(&events), ["artifactNotModified"]);
    let status = provider.status();
    assert_eq!((status.state, status.polls, status.downloads, status.not_modified), (State::Ready, 2, 1, 1));
    assert_eq!(downloads.lock().unwrap().len(), 2);

    cdn.says("200 OK", "", artifact("two"));
    provider.refresh().await.unwrap();
    let snapshot = provider.current().unwrap();
    assert_eq!((snapshot.rules.as_str(), snapshot.etag.as_deref(), snapshot.retrieval_count), ("two", None, 2));
    assert_eq!(cdn.asked(), 3, "pollingInterval 0 downloads once by itself");
}

#[tokio::test]
async fn nothing_bad_ever_replaces_a_good_artifact() {
    let (cdn, port) = Cdn::start(Duration::ZERO).await;
    cdn.says("200 OK", "etag: \"good\"\r\n", artifact("good"));
    let (provider, events) = provider(&config_for(port));
    provider.refresh().await.unwrap();
    names(&events);
    let large = format!("{{\"version\":\"1.0.0\",\"x\":\"{}\"}}", "x".repeat(2 << 20));
    for (status, body, words) in [
        ("200 OK", "{\"version\":\"1.0", "artifact JSON"),
        ("200 OK", "<html>login</html>", "artifact JSON"),
        ("200 OK", "", "artifact JSON"),
        ("200 OK", "{\"version\":\"2.0.0\"}", "2.0.0 is not supported"),
        ("200 OK", "{\"version\":\"1.0.0\",\"name\":\"panic\"}", "panic"),
        ("200 OK", large.as_str(), "limit of 1048576 bytes"),
        ("204 No Content", "", "204"),
        ("403 Forbidden", "", "Artifact request is not authorized."),
        ("404 Not Found", "", "404 Not Found"),
        ("500 Internal Server Error", "", "500 Internal Server Error"),
        ("503 Service Unavailable", "", "503 Service Unavailable"),
        ("cut", "", "middle of its answer"),
    ] {
        cdn.says(status, "etag: \"bad\"\r\n", body);
        let error = provider.refresh().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Artifact, "{status}");
        assert!(error.message().contains(words), "{status}: {error}");
        let snapshot = provider.current().unwrap();
        assert_eq!((snapshot.rules.as_str(), snapshot.etag.as_deref()), ("good", Some("\"good\"")), "{status} {words}");
        let told: Vec<_> = events.lock().unwrap().drain(..).collect();
        assert_eq!(told.len(), 1, "once per load, not per attempt: {told:?}");
        assert_eq!(told[0].name, "artifactDownloadFailed");
        assert!(json::parse(&told[0].json, &Limits::REMOTE).unwrap().pointer("/error/message").is_some());
        assert!(provider.status().error.is_some());
    }
    let asked = cdn.asked.lock().unwrap().last().unwrap().to_ascii_lowercase();
    assert!(asked.contains("if-none-match: \"good\""), "the tag of a refused artifact is not kept");
    cdn.says("200 OK", "", artifact("better"));
    provider.refresh().await.unwrap();
    assert_eq!(current(&provider).as_deref(), Some("better"));
    assert!(provider.status().error.is_none());
}

#[tokio::test]
async fn a_forbidden_artifact_is_asked_for_once_with_adobe_s_words() {
    let (cdn, port) = Cdn::start(Duration::ZERO).await;
    cdn.says("403 Forbidden", "", "");
    let (provider, events) = provider(&config_for(port));
    provider.start();
    let error = provider.first_outcome().await.unwrap_err();
    assert_eq!(
        error.message(),
        "Artifact request is not authorized. This is likely due to On-Device-Decisioning being disabled in Admin settings.  Please enable and try again."
    );
    assert_eq!((error.kind(), error.http_status(), error.retryable()), (ErrorKind::Artifact, Some(403), false));
    assert_eq!((cdn.asked(), provider.status().state), (1, State::Failed));
    soon("events", || events.lock().unwrap().len() == 2).await;
    assert_eq!(names(&events), ["artifactDownloadFailed", "pollingStopped"]);
    // By hand it can be tried again.
    cdn.says("200 OK", "", artifact("late"));
    provider.refresh().await.unwrap();
    assert_eq!((current(&provider).as_deref(), provider.status().state), (Some("late"), State::Ready));
    provider.first_outcome().await.unwrap();
}

#[tokio::test]
async fn polling_recovers_from_a_failed_first_load_and_never_stops() {
    let (cdn, port) = Cdn::start(Duration::ZERO).await;
    cdn.says("404 Not Found", "", "");
    let config = Config { polling_interval: Some(Duration::from_millis(40)), ..config_for(port) };
    let (provider, _) = provider(&config);
    provider.start();
    assert_eq!(provider.first_outcome().await.unwrap_err().http_status(), Some(404));
    cdn.says("200 OK", "", artifact("panic"));
    let before = provider.status().failures;
    soon("polls that panic", || provider.status().failures > before + 1).await;
    cdn.says("200 OK", "", artifact("good"));
    timeout(Duration::from_secs(2), provider.usable()).await.unwrap();
    assert_eq!(current(&provider).as_deref(), Some("good"));
    let polls = provider.status().polls;
    let began = Instant::now();
    soon("ten polls", || provider.status().polls >= polls + 10).await;
    assert!(began.elapsed() > Duration::from_millis(300), "one interval apart: {:?}", began.elapsed());
    provider.stop();
    let asked = cdn.asked();
    tokio::time::sleep(Duration::from_millis(120)).await;
    assert!(cdn.asked() <= asked + 1);
    assert_eq!(provider.refresh().await.unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(current(&provider).as_deref(), Some("good"), "what is there stays");
}

#[tokio::test]
async fn an_event_handler_that_panics_stops_nothing() {
    let (cdn, port) = Cdn::start(Duration::ZERO).await;
    cdn.says("200 OK", "", artifact("one"));
    let mut env = Environment::system(tokio::runtime::Handle::current());
    env.events = Arc::new(|event| panic!("told of {}", event.name));
    let config = Config { polling_interval: Some(Duration::from_millis(20)), ..config_for(port) };
    let provider = Provider::new(&config, Some(Transport::new(&config.transport).unwrap()), &env, compile).unwrap();
    provider.start();
    soon("polls", || provider.status().downloads >= 3).await;
    assert_eq!(current(&provider).as_deref(), Some("one"));
    provider.stop();
}

#[tokio::test]
async fn a_panicking_hook_is_survived_too() {
    let (cdn, port) = Cdn::start(Duration::ZERO).await;
    cdn.says("200 OK", "", artifact("one"));
    let config = Config { polling_interval: Some(Duration::from_millis(20)), ..config_for(port) };
    let (provider, _) = provider(&config);
    provider.on_download(Arc::new(|_: &Download| panic!("hook")));
    provider.start();
    soon("polls", || provider.status().downloads >= 3).await;
    provider.stop();
}

#[tokio::test]
async fn a_thousand_refreshes_at_once_are_one_download() {
    let (cdn, port) = Cdn::start(Duration::from_millis(100)).await;
    cdn.says("200 OK", "", artifact("one"));
    let (provider, _) = provider(&config_for(port));
    let calls = (0..1000).map(|_| provider.refresh());
    let results = futures_util::future::join_all(calls).await;
    assert!(results.iter().all(Result::is_ok));
    assert_eq!((cdn.asked(), provider.status().polls), (1, 1));
    // One that stops waiting does not stop the others.
    let impatient = timeout(Duration::from_millis(20), provider.refresh()).await;
    assert!(impatient.is_err());
    provider.refresh().await.unwrap();
    assert_eq!(cdn.asked(), 2);
}

#[tokio::test]
async fn an_obfuscated_artifact_is_read_with_the_organization_s_id() {
    let (cdn, port) = Cdn::start(Duration::ZERO).await;
    let key = [b"ORG@AdobeOrg".as_slice(), b"0123456789abcdef0123456789abcdef"].concat();
    let text = artifact("hidden");
    let body: Vec<u8> = text.bytes().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
    let packed = [b"ATOD:001".as_slice(), b"0123456789abcdef0123456789abcdef", &body].concat();
    cdn.says("200 OK", "", &packed);
    let directory = Directory::new();
    let config = Config {
        artifact_format: Some(ArtifactFormat::Bin),
        artifact_file: Some(directory.file()),
        ..config_for(port)
    };
    let (hidden, _) = provider(&config);
    hidden.refresh().await.unwrap();
    assert_eq!(current(&hidden).as_deref(), Some("hidden"));
    assert!(cdn.asked.lock().unwrap()[0].starts_with("GET /acme/production/v1/rules.bin "));
    assert_eq!(std::fs::read_to_string(directory.file()).unwrap(), text, "kept as JSON");
    cdn.says("200 OK", "", [b"ATOD:009".as_slice(), &packed[8..]].concat());
    assert!(hidden.refresh().await.unwrap_err().message().contains("version 009"));

    let (other, _) = provider(&Config { organization_id: "X@AdobeOrg".to_owned(), ..config });
    cdn.says("200 OK", "", &packed);
    assert!(other.refresh().await.unwrap_err().message().contains("Unable to read artifact JSON"));

    // A file may be obfuscated too.
    std::fs::write(directory.file(), &packed).unwrap();
    let (offline, _) = provider(&Config { offline: true, artifact_file: Some(directory.file()), ..config_for(1) });
    offline.start();
    offline.first_outcome().await.unwrap();
    assert_eq!(current(&offline).as_deref(), Some("hidden"));
}

#[tokio::test]
async fn the_copy_on_disk_starts_a_client_whose_network_is_dead() {
    let directory = Directory::new();
    let (cdn, port) = Cdn::start(Duration::ZERO).await;
    cdn.says("200 OK", "", artifact("one"));
    let config = Config { artifact_file: Some(directory.file()), ..config_for(port) };
    let (first, _) = provider(&config);
    first.refresh().await.unwrap();
    assert_eq!(std::fs::read_to_string(directory.file()).unwrap(), artifact("one"));

    // Connection refused, and an answer that never comes.
    let black_hole = Server::start(|_, mut stream| async move { until_closed(&mut stream).await }).await;
    for port in [1, black_hole.port] {
        let (second, _) = provider(&Config { artifact_file: Some(directory.file()), ..config_for(port) });
        second.start();
        timeout(Duration::from_secs(4), second.first_outcome()).await.unwrap().unwrap();
        assert_eq!(current(&second).as_deref(), Some("one"));
        second.stop();
    }

    // Damaged: not used, not an obstacle.
    std::fs::write(directory.file(), "{\"version\":").unwrap();
    let (third, events) = provider(&Config { artifact_file: Some(directory.file()), ..config_for(1) });
    third.start();
    assert_eq!(third.first_outcome().await.unwrap_err().kind(), ErrorKind::Artifact);
    assert_eq!(third.status().state, State::Failed);
    assert_eq!(names(&events).first(), Some(&"artifactDownloadFailed"));
    cdn.says("200 OK", "", artifact("two"));
    first.refresh().await.unwrap();
    assert_eq!(std::fs::read_to_string(directory.file()).unwrap(), artifact("two"));
}

#[tokio::test]
async fn offline_needs_a_payload_or_a_file_and_asks_nobody() {
    let (nothing, events) = provider(&Config { offline: true, ..config_for(1) });
    nothing.start();
    assert!(nothing.first_outcome().await.unwrap_err().message().contains("offline"));
    assert!(nothing.refresh().await.is_err());
    assert_eq!(names(&events), ["artifactDownloadFailed"], "of the refresh");

    let payload = Config { offline: true, artifact_payload: Some(artifact("given").into()), ..config_for(1) };
    let (given, events) = provider(&payload);
    assert_eq!(current(&given).as_deref(), Some("given"));
    given.start();
    given.first_outcome().await.unwrap();
    let snapshot = given.current().unwrap();
    assert_eq!((snapshot.location.as_str(), snapshot.retrieval_count), ("Not Applicable", 1));
    assert_eq!(given.status().state, State::Ready);
    assert!(names(&events).is_empty());
}

#[tokio::test]
async fn a_payload_is_used_at_once_and_replaced_after_one_interval() {
    let env = Environment::system(tokio::runtime::Handle::current());
    for bad in ["", "{", "{\"version\":\"7.0.0\"}", "{\"version\":\"1.0.0\",\"name\":\"panic\"}"] {
        let config = Config { artifact_payload: Some(bad.into()), ..config_for(1) };
        let error = Provider::new(&config, None, &env, compile).err().unwrap();
        assert_eq!((error.kind(), error.path()), (ErrorKind::InvalidOptions, Some("/artifactPayload")), "{bad}");
    }

    let (cdn, port) = Cdn::start(Duration::ZERO).await;
    cdn.says("200 OK", "", artifact("newer"));
    let payload = Some(artifact("given").into());
    let silent = Config { artifact_payload: payload.clone(), ..config_for(port) };
    let (silent, _) = provider(&silent);
    silent.start();
    let polled =
        Config { artifact_payload: payload, polling_interval: Some(Duration::from_millis(100)), ..config_for(port) };
    let (polled, _) = provider(&polled);
    polled.start();
    polled.first_outcome().await.unwrap();
    assert_eq!((current(&polled).as_deref(), cdn.asked()), (Some("given"), 0));
    soon("the newer one", || current(&polled).as_deref() == Some("newer")).await;
    polled.stop();
    assert_eq!(polled.current().unwrap().retrieval_count, 2);
    assert_eq!(current(&silent).as_deref(), Some("given"), "pollingInterval 0: not even one download");
    assert_eq!(silent.status().polls, 0);
}

#[tokio::test]
async fn the_first_load_retries_what_may_pass() {
    let (server, asked) = Server::answering(&[
        "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 32\r\n\r\n{\"version\":\"1.0.0\",\"name\":\"yes\"}",
    ])
    .await;
    let (provider, events) = provider(&config_for(server.port));
    provider.start();
    provider.first_outcome().await.unwrap();
    assert_eq!(asked.load(std::sync::atomic::Ordering::SeqCst), 3);
    assert_eq!(names(&events), ["artifactDownloadSucceeded", "geoLocationUpdated"]);
}

#[tokio::test]
async fn a_secure_client_refuses_private_hosts() {
    let (cdn, port) = Cdn::start(Duration::ZERO).await;
    let secure = Config { secure: true, ..config_for(port) };
    let (provider, _) = provider(&secure);
    let error = provider.refresh().await.unwrap_err();
    assert!(error.message().contains("refused here"), "{error}");
    assert_eq!(cdn.asked(), 0);
}

#[tokio::test]
async fn stopping_tells_those_who_wait() {
    let (_cdn, port) = Cdn::start(Duration::from_secs(60)).await;
    let (provider, _) = provider(&Config { polling_interval: Some(Duration::from_secs(1)), ..config_for(port) });
    provider.start();
    let waiting = provider.clone();
    let first = tokio::spawn(async move { waiting.first_outcome().await });
    let waiting = provider.clone();
    let refresh = tokio::spawn(async move { waiting.refresh().await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    provider.stop();
    provider.stop();
    for waiting in [first, refresh] {
        let error = timeout(Duration::from_secs(1), waiting).await.unwrap().unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Closed);
    }
    timeout(Duration::from_secs(1), provider.usable()).await.unwrap();
}

#[tokio::test]
async fn geo_look_ups_carry_the_address_and_are_remembered() {
    let (cdn, port) = Cdn::start(Duration::ZERO).await;
    cdn.says("200 OK", "", r#"{"x-geo-latitude":37.75,"x-geo-longitude":-122.4,"x-geo-country-code":"US","x-geo-region-code":"CA","x-geo-city":"SAN FRANCISCO"}"#);
    let config = config_for(port);
    let geo = Geo::new(&config, Transport::new(&config.transport).unwrap()).unwrap();
    let deadline = || Instant::now() + Duration::from_secs(2);
    for _ in 0..3 {
        let answer = geo.look_up(Some("12.21.1.40"), deadline()).await.unwrap();
        assert_eq!(
            answer.json,
            r#"{"latitude":37.75,"longitude":-122.4,"countryCode":"US","stateCode":"CA","city":"SAN FRANCISCO"}"#
        );
    }
    geo.look_up(None, deadline()).await.unwrap();
    let asked = cdn.asked.lock().unwrap().clone();
    assert_eq!(asked.len(), 2);
    assert!(asked[0].starts_with("GET /v1/geo ") && asked[0].contains("x-forwarded-for: 12.21.1.40\r\n"));
    assert!(!asked[1].contains("x-forwarded-for"));
    cdn.says("404 Not Found", "", "");
    assert_eq!(geo.look_up(Some("1.2.3.4"), deadline()).await.unwrap_err().http_status(), Some(404));
    cdn.says("200 OK", "x-geo-city: BERN\r\n", "");
    assert_eq!(geo.look_up(Some("1.2.3.4"), deadline()).await.unwrap().json, "{\"city\":\"BERN\"}", "failures are not");
}

/// Where texts were compiled: their lengths, and the threads.
static COMPILED: Mutex<Vec<(usize, std::thread::ThreadId)>> = Mutex::new(Vec::new());

#[tokio::test]
async fn long_artifacts_do_not_hold_up_the_threads_that_do_io() {
    let (cdn, port) = Cdn::start(Duration::ZERO).await;
    let env = Environment::system(tokio::runtime::Handle::current());
    let config = Config { max_artifact_bytes: 4 << 20, ..config_for(port) };
    let provider = Provider::new(&config, Some(Transport::new(&config.transport).unwrap()), &env, |text| {
        COMPILED.lock().unwrap().push((text.len(), std::thread::current().id()));
        compile(text)
    })
    .unwrap();
    let long = format!("{{\"version\":\"1.0.0\",\"name\":\"long\",\"x\":[{}[1]]}}", "[1],".repeat(500_000));
    for text in [artifact("short"), long.clone(), artifact("short again")] {
        cdn.says("200 OK", "", &text);
        provider.refresh().await.unwrap();
    }
    let here = std::thread::current().id();
    let compiled: Vec<_> = COMPILED.lock().unwrap().iter().map(|(len, thread)| (*len, *thread == here)).collect();
    assert_eq!(compiled, [(artifact("short").len(), true), (long.len(), false), (artifact("short again").len(), true)]);
}
