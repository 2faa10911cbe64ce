//! Nothing that identifies anybody gets into the log, an error, the statistics or a `Debug` text: words that occur
//! nowhere else are put into every field that could, and looked for everywhere.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

mod client_support;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use client_support::{Probe, config, soon};
use serde_json::{Value, json};
use target_sdk_core::client::Operation;
use target_sdk_core::config::Config;
use target_sdk_core::error::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// All canaries have this in them, or are this number.
const WORD: &str = "kanarie";
const DIGITS: &str = "48151623424815162342481516234248151623";
const ADDRESS: &str = "203.0.113.77";

struct Recorder(Mutex<Vec<String>>);

impl log::Log for Recorder {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        // Records of dependencies do not pass the C layer; its tests see to that.
        if record.target().starts_with("target_sdk") {
            self.0.lock().unwrap().push(format!("{} {} {}", record.level(), record.target(), record.args()));
        }
    }

    fn flush(&self) {}
}

static RECORDER: Recorder = Recorder(Mutex::new(Vec::new()));

/// Texts that were seen, and where.
#[derive(Default)]
struct Seen(Vec<(String, String)>);

impl Seen {
    fn note(&mut self, place: &str, text: String) {
        self.0.push((place.to_owned(), text));
    }

    fn error(&mut self, place: &str, error: &Error) {
        self.note(place, error.to_json(-1, "E"));
        self.note(place, format!("{error} {error:?}"));
    }

    /// Says what was found, if anything was.
    fn check(&self) {
        // The places, each with what is around the first canary in it.
        let caught = |text: &str| {
            let lower = text.to_lowercase();
            let at = [WORD, DIGITS, ADDRESS].iter().find_map(|canary| lower.find(canary))?;
            Some(lower.chars().skip(at.saturating_sub(60)).take(120).collect::<String>())
        };
        let found: BTreeSet<(&str, String)> =
            self.0.iter().filter_map(|(place, text)| Some((place.as_str(), caught(text)?))).collect();
        assert!(found.is_empty(), "{found:#?}");
    }
}

/// A visitor whose every trait is a canary.
fn options() -> Value {
    json!({
        "sessionId": "kanarieSession",
        "targetCookie": "session#kanarieCookieSession#9999999999|PC#kanarieDevice.28_0#9999999999",
        "visitorCookie": format!("MCMID|{DIGITS}|MCAID|kanarieAid|MCAAMB-9999999999|kanarieBlob|MCAAMLH-9999999999|6"),
        "customerIds": {"kanarieCode": {"id": "kanarieCustomer", "authState": 1}},
        "request": {
            "id": {"thirdPartyId": "kanarieThirdParty", "customerIds": [{"id": "kanarieCrm", "integrationCode": "kanarieIntegration",
                "authenticatedState": "authenticated"}]},
            "property": {"token": "kanarie-token"},
            "context": {
                "channel": "web",
                "userAgent": "Kanarie/1.0",
                "address": {"url": "https://www.example.com/kanariePath?kanarieKey=kanarieValue", "referringUrl": "https://kanarie.example/"},
                "geo": {"ipAddress": ADDRESS},
                "browser": {"host": "kanarie.example"},
            },
            "experienceCloud": {"analytics": {"supplementalDataId": "kanarieSdid", "logging": "server_side"},
                "audienceManager": {"locationHint": 9, "blob": "kanarieAamBlob"}},
            "trace": {"authorizationToken": "kanarieAuthorization"},
            "execute": {"mboxes": [{"index": 0, "name": "m", "parameters": {"kanarieParameter": "kanarie"},
                "profileParameters": {"kanarieProfile": "kanarie"}, "order": {"id": "kanarieOrder", "total": 1.5},
                "product": {"id": "kanarieProduct", "categoryId": "kanarieCategory"}}]},
            "kanarieUnknown": "kanarie",
        },
    })
}

/// What a server answers that repeats all it was told, and adds to it.
fn answers() -> Vec<(&'static str, String)> {
    let ids = format!(
        r#"{{"tntId":"kanarieDevice.28_0","marketingCloudVisitorId":"{DIGITS}","thirdPartyId":"kanarieThirdParty"}}"#
    );
    let good = format!(
        r#"{{"status":200,"requestId":"r","client":"demo","id":{ids},"edgeHost":"mboxedge28.tt.omtrdc.net","execute":{{"mboxes":[{{"index":0,"name":"m",
           "options":[{{"type":"html","content":"kanarie","eventToken":"kanarieEvent","responseTokens":{{"t":"kanarie"}}}}],
           "analytics":{{"payload":{{"pe":"tnt","tnta":"kanarie"}}}},"trace":{{"t":"kanarie"}}}}]}}}}"#
    );
    let ok = |body: &str| {
        format!("HTTP/1.1 200 OK\r\nset-cookie: mbox=kanarieCookie\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    };
    let bad = |line: &str, body: &str| {
        format!("HTTP/1.1 {line}\r\nx-request-id: kanarie\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    };
    vec![
        ("good", ok(&good)),
        (
            "400",
            bad(
                "400 Bad Request",
                &format!(r#"{{"status":400,"message":"id is wrong: 'kanarieThirdParty'","id":{ids}}}"#),
            ),
        ),
        (
            "403",
            bad(
                "403 Forbidden",
                &format!(
                    "<html><a href=\"https://x.example/?s=kanarieSession\">no</a><p>sessionId=kanarieSession {DIGITS}</p>"
                ),
            ),
        ),
        ("500", bad("500 Internal Server Error", &format!(r#"[{ids},"kanarie"]"#))),
        (
            "503",
            bad(
                "503 Service Unavailable",
                &format!(r#"{{"error":"try later, \"kanarieSession\"","session":"kanarieSession","n":{DIGITS}}}"#),
            ),
        ),
        ("429", bad("429 Too Many Requests", &ids)),
        (
            "redirect",
            "HTTP/1.1 302 Found\r\nlocation: https://kanarie.example/?kanarie\r\ncontent-length: 0\r\n\r\n".to_owned(),
        ),
        ("not JSON", ok("<p title=\"kanarieSession\">")),
        ("cut", ok(&good[..good.len() - 60])),
        ("a list", ok(&format!("[{ids}]"))),
        ("wrong types", ok(&good.replace("\"id\":{", "\"id\":[{").replace("\"},\"edgeHost\"", "\"}],\"edgeHost\""))),
        ("wrong id", ok(r#"{"status":200,"id":{"tntId":["kanarie"]}}"#)),
        ("wrong options", ok(r#"{"status":200,"id":{},"execute":{"mboxes":[{"options":"kanarie"}]}}"#)),
        ("wrong edge", ok(r#"{"status":200,"id":{},"edgeHost":{"x":"kanarie"}}"#)),
        ("twice", ok(r#"{"status":200,"x":"kanarie","x":"kanarie","id":{}}"#)),
        ("truncated", "HTTP/1.1 200 OK\r\ncontent-length: 4000\r\n\r\n{\"id\":{\"tntId\":\"kanarie".to_owned()),
        ("garbage", "kanarie kanarie\r\n\r\n".to_owned()),
        (
            "strange encoding",
            "HTTP/1.1 200 OK\r\ncontent-encoding: x\r\nset-cookie: kanarie=1\r\ncontent-length: 1\r\n\r\nx".to_owned(),
        ),
        ("bad gzip", "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 7\r\n\r\nkanarie".to_owned()),
        ("nothing", String::new()),
    ]
}

const ARTIFACT: &str = r#"{"version":"1.0.0","globalMbox":"target-global-mbox","geoTargetingEnabled":true,"responseTokens":[],"remoteMboxes":[],"remoteViews":[],
    "localMboxes":["m"],"localViews":[],"meta":{"clientCode":"demo"},"rules":{"views":{},"mboxes":{"m":[
    {"ruleKey":"1","activityId":1,"meta":{},"condition":{"nope":[{"var":"mbox.kanarieParameter"}]},"consequence":{}},
    {"ruleKey":"2","activityId":2,"meta":{},"condition":true,"consequence":{"name":"m","options":[{"type":"html","content":"x","eventToken":"kanarieEvent"}],"metrics":[]}}]}}}"#;

/// A server: artifact and places by their paths, everything else as `script` says now.
async fn server(script: Arc<Mutex<String>>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let script = Arc::clone(&script);
            tokio::spawn(async move {
                let mut request = Vec::new();
                let mut piece = [0; 16_384];
                // One request for each connection; the body may come in pieces.
                loop {
                    let Ok(n @ 1..) = stream.read(&mut piece).await else { return };
                    request.extend_from_slice(&piece[..n]);
                    let text = String::from_utf8_lossy(&request).to_lowercase();
                    let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                    let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
                    if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                        break;
                    }
                }
                let text = String::from_utf8_lossy(&request).into_owned();
                let reply = if text.starts_with("GET /demo/") {
                    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{ARTIFACT}", ARTIFACT.len())
                } else {
                    script.lock().unwrap().clone()
                };
                let _ = stream.write_all(reply.as_bytes()).await;
                let _ = stream.shutdown().await;
            });
        }
    });
    port
}

#[tokio::test]
async fn no_canary_is_seen() {
    log::set_logger(&RECORDER).unwrap();
    log::set_max_level(log::LevelFilter::Trace);
    let mut seen = Seen::default();
    let script = Arc::new(Mutex::new(String::new()));
    let port = server(Arc::clone(&script)).await;
    let secrets = json!({"strict": false, "timeout": 700, "propertyToken": "kanarie-property", "version": "kanarie"});
    let mut answered = 0;
    for (name, answer) in answers() {
        *script.lock().unwrap() = answer;
        for method in ["server-side", "on-device", "hybrid"] {
            let client = Probe::start(&config(port, method, secrets.clone()));
            // Whatever comes of it: with a broken server the client decides from the artifact alone.
            let _ = tokio::time::timeout(Duration::from_secs(10), client.client.ready()).await.unwrap();
            let mut remote = options();
            remote["request"]["execute"]["mboxes"][0]["name"] = json!("elsewhere");
            for asked in [options(), remote] {
                match client.offers(&asked).await {
                    Ok(_) => answered += 1,
                    Err(error) => seen.error(name, &error),
                }
            }
            if let Err(error) = client.attributes(&["m", "kanarieMbox"], &options()).await {
                seen.error(name, &error);
            }
            let notification = json!({"id": "kanarieNotification", "timestamp": 1, "type": "display", "tokens": ["kanarieEvent"],
                "mbox": {"name": "m", "state": "kanarieState"}});
            let mut notify = options();
            notify["request"]["execute"].take();
            notify["request"]["notifications"] =
                json!([notification, {"id": 7, "type": "kanarie", "timestamp": "kanarie"}]);
            if let Err(error) = client.notify(&notify).await {
                seen.error(name, &error);
            }
            let flushed = client.client.flush(Duration::from_millis(200)).await;
            seen.note(name, format!("{flushed:?}"));
            seen.note(name, client.client.stats());
            // Events give the host its own data back; what the library says in them is in `error`.
            for event in client.events() {
                seen.note(name, event["error"].to_string());
                seen.note(name, event["reason"].to_string());
            }
        }
    }
    assert!(answered > 20, "the canaries were in calls that worked, too: {answered}");
    wrong_options(&mut seen, port).await;
    wrong_configurations(&mut seen);
    networks(&mut seen).await;
    debug_texts(&mut seen);

    let log = RECORDER.0.lock().unwrap().clone();
    assert!(log.len() > 200, "only {} records", log.len());
    for level in ["WARN", "DEBUG"] {
        assert!(log.iter().any(|record| record.starts_with(level)), "no {level} record");
    }
    for record in log {
        seen.note("log", record);
    }
    assert!(seen.0.len() > 400);
    seen.check();
    // The check finds what it is for.
    let blind = std::panic::catch_unwind(|| {
        let mut seen = Seen::default();
        seen.note("here", "a Kanarie".to_owned());
        seen.check();
    });
    assert!(blind.is_err());
}

/// Every text of the options replaced by a canary of another type: refused without repeating it.
async fn wrong_options(seen: &mut Seen, port: u16) {
    let client = Probe::start(&config(port, "server-side", json!({"strict": true})));
    let whole = options();
    let mut paths = Vec::new();
    collect(&whole, String::new(), &mut paths);
    let mut refused = 0;
    for path in paths {
        for wrong in [json!(["kanarie"]), json!({"kanarie": "kanarie"}), json!("kanarie\u{0}\r\nx: kanarie")] {
            let mut options = whole.clone();
            *options.pointer_mut(&path).unwrap() = wrong;
            if let Err(error) = client.offers(&options).await {
                refused += 1;
                // The path is made of the host's own keys.
                let document: Value = serde_json::from_str(&error.to_json(-1, "E")).unwrap();
                seen.note(
                    &path,
                    document["message"].to_string().replace(&document["path"].as_str().unwrap_or("-").to_owned(), ""),
                );
            }
        }
    }
    assert!(refused > 40, "{refused}");
    for text in [
        "kanarie",
        "{\"request\":kanarie}",
        "{\"request\":{\"kanarie",
        "[\"kanarie\"]",
        "{\"kanarie\":1e999}",
        "\"kanarie\"",
    ] {
        let admission = client.begin(Operation::GetOffers { options: text.to_owned() }).unwrap();
        match admission.1 {
            target_sdk_core::client::Call::Ready(answer) => seen.error(text, &answer.unwrap_err()),
            target_sdk_core::client::Call::Pending(_) => panic!("{text} was sent"),
        }
    }
}

fn collect(value: &Value, path: String, paths: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                let path = format!("{path}/{key}");
                paths.push(path.clone());
                collect(value, path, paths);
            }
        }
        Value::Array(items) => {
            for (at, value) in items.iter().enumerate() {
                collect(value, format!("{path}/{at}"), paths);
            }
        }
        _ => {}
    }
}

/// Configurations that are refused for what is confidential in them.
fn wrong_configurations(seen: &mut Seen) {
    for members in [
        json!({"proxy": {"url": "http://kanarie:kanarie@proxy"}}),
        json!({"proxy": {"url": "kanarie"}}),
        json!({"proxy": {"url": "http://p", "username": "kanarie:x", "password": "kanarie"}}),
        json!({"proxy": {"url": "http://p", "username": "u", "password": "kanarie\n"}}),
        json!({"tlsIdentity": {"certificate": "kanarie", "key": "kanarie"}}),
        json!({"tlsRoots": {"pem": "kanarie"}}),
        json!({"propertyToken": "kanarie/../"}),
        json!({"version": "kanarie\r\n"}),
        json!({"artifactLocation": "ftp://cdn.example/rules.json?kanarie"}),
        json!({"artifactLocation": "https://u:kanarie@cdn.example/rules.json"}),
        json!({"artifactPayload": "{\"kanarie\""}),
        json!({"artifactPayload": {"version": "kanarie"}}),
        json!({"targetLocationHint": "kanarie?"}),
        json!({"serverDomain": "kanarie/"}),
    ] {
        let text = config(1, "on-device", members);
        let environment = target_sdk_core::env::Environment::system(tokio::runtime::Handle::current());
        let refused = match Config::parse(&text) {
            Err(error) => error,
            Ok(_) => match target_sdk_core::client::Client::new(&text, environment) {
                Err(error) => error,
                Ok(_) => panic!("accepted: {text}"),
            },
        };
        // The version of an artifact is told; it identifies nobody.
        if !refused.message().contains("version (") {
            seen.error(&text, &refused);
        }
    }
}

/// Servers and proxies that cannot be reached.
async fn networks(seen: &mut Seen) {
    for members in [
        json!({}),
        json!({"serverDomain": "no-such-host.invalid", "cdnBasePath": "no-such-host.invalid"}),
        json!({"proxy": {"url": "http://127.0.0.1:1", "username": "kanarie", "password": "kanarie"}}),
        json!({"artifactLocation": "http://127.0.0.1:1/rules.json?kanarie=kanarie"}),
        json!({"proxy": {"url": "socks5://127.0.0.1:1", "username": "kanarie", "password": "kanarie"}}),
    ] {
        let client = Probe::start(&config(1, "hybrid", members));
        seen.note("state", format!("{:?}", client.client.ready().await));
        let error = client.offers(&options()).await.unwrap_err();
        seen.error("network", &error);
        seen.note("network", client.client.stats());
        soon("events", || !client.events().is_empty()).await;
        for event in client.events() {
            seen.note("network", event["error"].to_string());
        }
    }
}

/// `Debug` of what a Rust program gets into its hands.
fn debug_texts(seen: &mut Seen) {
    let text = config(
        1,
        "on-device",
        json!({"proxy": {"url": "http://p", "username": "kanarie", "password": "kanarie"}, "propertyToken": "kanarie",
            "artifactLocation": "http://127.0.0.1/rules.json?kanarie", "version": "kanarie",
            "artifactPayload": {"version": "1.0.0", "x": "kanarie"}}),
    );
    seen.note("Config", format!("{:?}", Config::parse(&text).unwrap()));
    seen.note("Operation", format!("{:?}", Operation::GetOffers { options: options().to_string() }));
    let event = target_sdk_core::env::Event { name: "x", json: "kanarie".to_owned() };
    seen.note("Event", format!("{event:?}"));
    let answer = target_sdk_core::client::Answer { json: "kanarie".to_owned(), page_load_mbox: None };
    seen.note("Answer", format!("{answer:?}"));
    let request = target_sdk_core::transport::Request {
        purpose: target_sdk_core::transport::Purpose::Delivery,
        method: target_sdk_core::transport::Method::Post,
        common: None,
        url: "http://x/?kanarie".into(),
        headers: vec![("cookie", "kanarie".into())],
        body: Some("kanarie".into()),
        deadline: tokio::time::Instant::now(),
        max_retries: 0,
        max_body_bytes: 1,
        private_addresses_allowed: true,
    };
    seen.note("Request", format!("{request:?}"));
}
