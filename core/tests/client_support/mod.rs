//! Clients of the crate against an edge in the test's own process.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods
)]

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};
use target_edge::Edge;
use target_edge::options::{Command, parse};
use target_sdk_core::client::{Admission, Answer, Call, Client, Operation};
use target_sdk_core::env::Environment;
use target_sdk_core::error::{Error, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The edge's demo data: artifact and offers.
pub const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/edge/data");
/// The organization of the demo's artifact.
pub const ORGANIZATION: &str = "0123456789ABCDEF01234567@AdobeOrg";
pub const CHROME: &str =
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36";

/// A running edge.
pub struct World {
    pub edge: Edge,
    pub port: u16,
}

/// An edge with the demo's offers and artifact.
pub async fn demo() -> World {
    start(&format!("--offers {DATA}/offers.json --artifact {DATA}/artifact.json")).await
}

/// An edge as the command line would start it.
pub async fn start(line: &str) -> World {
    let arguments = format!("--port 0 {line}");
    let Ok(Command::Run(options)) = parse(arguments.split_whitespace().map(str::to_owned)) else {
        panic!("wrong arguments: {line}");
    };
    let edge = Edge::start(*options).await.unwrap();
    let port = edge.address().port();
    World { edge, port }
}

impl World {
    /// A configuration for this edge; members of `extra` come on top, null removes one.
    pub fn config(&self, method: &str, extra: Value) -> String {
        config(self.port, method, extra)
    }

    /// A started client of this edge.
    pub fn client(&self, method: &str, extra: Value) -> Probe {
        Probe::start(&self.config(method, extra))
    }

    /// A started client that is ready.
    pub async fn ready(&self, method: &str, extra: Value) -> Probe {
        let probe = self.client(method, extra);
        probe.client.ready().await.unwrap();
        probe
    }

    pub async fn http(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: edge\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(body.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    /// What arrived at a path, oldest first.
    pub async fn received(&self, path: &str) -> Vec<Value> {
        let (status, body) = self.http("GET", &format!("/debug/received?path={path}"), "").await;
        assert_eq!(status, 200);
        serde_json::from_str(&body).unwrap()
    }

    /// The delivery requests, with `query` and `body` taken apart.
    pub async fn deliveries(&self) -> Vec<Value> {
        let mut all = self.received("/rest/v1/delivery").await;
        for one in &mut all {
            one["body"] = serde_json::from_str(one["body"].as_str().unwrap()).unwrap();
            let query = one["query"].as_str().unwrap();
            let query: Map<String, Value> = query
                .split('&')
                .filter_map(|pair| pair.split_once('='))
                .map(|(key, value)| (key.to_owned(), value.into()))
                .collect();
            one["query"] = Value::Object(query);
        }
        all
    }

    pub async fn forget(&self) {
        assert_eq!(self.http("DELETE", "/debug/received", "").await.0, 204);
    }

    /// Adds a fault: `status:503`, or an object.
    pub async fn fault(&self, target: &str, name: &str) {
        self.misbehave(json!({"target": target, "name": name})).await;
    }

    pub async fn misbehave(&self, rule: Value) {
        let (status, body) = self.http("POST", "/debug/fault", &rule.to_string()).await;
        assert_eq!(status, 200, "{body}");
    }

    pub async fn behave(&self) {
        assert!(self.http("DELETE", "/debug/fault", "").await.0 < 300);
    }

    /// Counters of the edge. Asking is a connection, too.
    pub async fn stats(&self) -> Value {
        serde_json::from_str(&self.http("GET", "/debug/stats", "").await.1).unwrap()
    }

    /// Waits until so many deliveries arrived.
    pub async fn deliveries_at_least(&self, count: usize) -> Vec<Value> {
        let before = Instant::now();
        loop {
            let deliveries = self.deliveries().await;
            if deliveries.len() >= count {
                return deliveries;
            }
            assert!(before.elapsed() < Duration::from_secs(5), "{} of {count} came: {deliveries:#?}", deliveries.len());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

pub fn config(port: u16, method: &str, extra: Value) -> String {
    let mut config = json!({
        "client": "demo",
        "organizationId": ORGANIZATION,
        "decisioningMethod": method,
        "serverDomain": format!("127.0.0.1:{port}"),
        "pinServerDomain": true,
        "secure": false,
        "cdnBasePath": format!("127.0.0.1:{port}"),
        "strict": true,
    });
    for (key, value) in extra.as_object().unwrap() {
        match value {
            Value::Null => drop(config.as_object_mut().unwrap().shift_remove(key)),
            value => config[key] = value.clone(),
        }
    }
    config.to_string()
}

/// A client whose events are kept. It is shut when this is dropped.
pub struct Probe {
    pub client: Client,
    events: Arc<Mutex<Vec<Value>>>,
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.client.shut();
    }
}

impl Probe {
    pub fn new(config: &str) -> Probe {
        let events = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&events);
        let mut environment = Environment::system(tokio::runtime::Handle::current());
        environment.events = Arc::new(move |event| {
            let json: Value = serde_json::from_str(&event.json).expect("an event is JSON");
            assert_eq!(json["type"], event.name);
            sink.lock().unwrap().push(json);
        });
        Probe { client: Client::new(config, environment).unwrap(), events }
    }

    pub fn start(config: &str) -> Probe {
        let probe = Probe::new(config);
        probe.client.start();
        probe
    }

    /// Begins a call as the C layer does: admission first.
    pub fn begin(&self, operation: Operation) -> Result<(Admission, Call)> {
        let admission = self.client.admit()?;
        let call = self.client.call(operation, Instant::now(), None);
        Ok((admission, call))
    }

    async fn answer(&self, operation: Operation) -> Result<Answer> {
        match self.begin(operation)? {
            (_admission, Call::Ready(answer)) => answer,
            (_admission, Call::Pending(answer)) => answer.await,
        }
    }

    async fn envelope(&self, operation: Operation) -> Result<Value> {
        let answer = self.answer(operation).await?;
        Ok(serde_json::from_str(&answer.json).expect("an envelope is JSON"))
    }

    pub async fn offers(&self, options: &Value) -> Result<Value> {
        self.envelope(Operation::GetOffers { options: options.to_string() }).await
    }

    pub async fn notify(&self, options: &Value) -> Result<Value> {
        self.envelope(Operation::SendNotifications { options: options.to_string() }).await
    }

    pub async fn attributes(&self, names: &[&str], options: &Value) -> Result<Value> {
        let mbox_names = serde_json::to_string(names).unwrap();
        self.envelope(Operation::GetAttributes { mbox_names, options: options.to_string() }).await
    }

    /// The events so far.
    pub fn events(&self) -> Vec<Value> {
        self.events.lock().unwrap().clone()
    }

    /// The events of one kind so far.
    pub fn events_of(&self, kind: &str) -> Vec<Value> {
        self.events().into_iter().filter(|event| event["type"] == kind).collect()
    }

    pub fn names(&self) -> Vec<String> {
        self.events().iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect()
    }

    pub fn stats(&self) -> Value {
        serde_json::from_str(&self.client.stats()).expect("statistics are JSON")
    }
}

/// The error as the C API shows it.
pub fn document(error: &Error) -> Value {
    serde_json::from_str(&error.to_json(-1, "E")).unwrap()
}

pub fn execute(names: &[&str]) -> Value {
    let mboxes: Vec<Value> =
        names.iter().enumerate().map(|(index, name)| json!({"index": index, "name": name})).collect();
    json!({"request": {"execute": {"mboxes": mboxes}}})
}

/// The options of a visitor.
pub fn of_visitor(tnt_id: &str, mut options: Value) -> Value {
    options["request"]["id"] = json!({"tntId": tnt_id});
    options
}

/// Content of the first option of the n-th executed mbox.
pub fn content(envelope: &Value, nth: usize) -> Value {
    envelope["response"]["execute"]["mboxes"][nth]["options"][0]["content"].clone()
}

/// Waits for something that happens in the background.
pub async fn soon(what: &str, mut done: impl FnMut() -> bool) {
    let before = Instant::now();
    while !done() {
        assert!(before.elapsed() < Duration::from_secs(8), "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A port where nobody listens.
pub async fn dead_port() -> u16 {
    tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
}

/// A file that is removed with the value, and replaced whole.
pub struct File(pub PathBuf);

impl File {
    pub fn new(text: &str) -> File {
        let name = format!("target-sdk-client-{}-{:016x}.json", std::process::id(), fastrand::u64(..));
        let file = File(std::env::temp_dir().join(name));
        file.write(text);
        file
    }

    pub fn write(&self, text: &str) {
        let temporary = self.0.with_extension("tmp");
        std::fs::write(&temporary, text).unwrap();
        std::fs::rename(&temporary, &self.0).unwrap();
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// An artifact with these mboxes, each with one offer for everybody.
pub fn artifact(offers: &[(&str, &str)]) -> String {
    let mboxes: Map<String, Value> = offers
        .iter()
        .enumerate()
        .map(|(at, (name, content))| {
            let rule = json!({"ruleKey": at.to_string(), "activityId": at + 1, "meta": {"activity.id": at + 1},
                "condition": true, "consequence": {"name": name,
                "options": [{"type": "html", "content": content, "eventToken": format!("token-{at}")}], "metrics": []}});
            ((*name).to_owned(), json!([rule]))
        })
        .collect();
    let names: Vec<&str> = offers.iter().map(|(name, _)| *name).collect();
    json!({"version": "1.0.0", "globalMbox": "target-global-mbox", "responseTokens": [], "remoteMboxes": [],
        "localMboxes": names, "meta": {"clientCode": "demo"}, "rules": {"mboxes": mboxes, "views": {}}})
    .to_string()
}
