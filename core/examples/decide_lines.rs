//! Answers calls given as JSON lines, with a fixed clock and repeatable ids: one half of the differential test.
//!
//! Lines in:
//! - `{"artifact": …}`: the artifact of the calls that follow
//! - `{"id", "kind": "offers", "config", "options", "nowMs", "place"}`: a call decided here. `place` is what the geo
//!   look-up answers.
//! - `{"id", "kind": "delivery" | "notifications", "config", "options", "nowMs", "answer"}`: a call for the server, which
//!   answers `answer`.
//!
//! Lines out, one for each call: `{"id", "envelope", "notifications"}`, `{"id", "url", "headers", "request", "envelope"}`,
//! or `{"id", "error": {"kind", "message", "path"}}`.

use std::collections::HashMap;
use std::error::Error as StdError;
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::value::RawValue;
use target_sdk_core::client::{Call, Client, Operation};
use target_sdk_core::config::Config;
use target_sdk_core::decisioning::{Input, Ruleset, TraceSource, decide, valid_geo};
use target_sdk_core::delivery::options::Purpose;
use target_sdk_core::delivery::{Sent, endpoint, parse_options, prepare, response, seal};
use target_sdk_core::env::{Clock, Environment, Random};
use target_sdk_core::envelope::RawList;
use target_sdk_core::error::Error;
use target_sdk_core::json::{self, Json, write_str};
use target_sdk_core::transport::Timing;

/// The members of a line, unread.
type Line<'a> = HashMap<String, &'a RawValue>;

/// Stands where it is put.
struct FixedClock(AtomicI64);

impl Clock for FixedClock {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Different bytes each time, the same in each run.
struct Counting(AtomicU64);

impl Random for Counting {
    fn fill(&self, bytes: &mut [u8]) {
        let mut generator = fastrand::Rng::with_seed(self.0.fetch_add(1, Ordering::Relaxed));
        generator.fill(bytes);
    }
}

/// A geo service on this machine, which answers what it is told to.
struct GeoService {
    port: u16,
    answer: Arc<Mutex<String>>,
}

impl GeoService {
    fn start() -> std::io::Result<GeoService> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let port = listener.local_addr()?.port();
        let answer = Arc::new(Mutex::new(String::new()));
        let answers = Arc::clone(&answer);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let body = answers.lock().unwrap_or_else(PoisonError::into_inner).clone();
                // A call whose look-up fails shows in the comparison.
                let _ = reply(stream, &body);
            }
        });
        Ok(GeoService { port, answer })
    }

    fn set(&self, answer: &str) {
        answer.clone_into(&mut self.answer.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

fn reply(mut stream: TcpStream, body: &str) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte)? == 1 {
        head.extend_from_slice(&byte);
    }
    write!(
        stream,
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

struct Answerer {
    runtime: tokio::runtime::Runtime,
    clock: Arc<FixedClock>,
    random: Arc<Counting>,
    geo: GeoService,
    artifact: String,
    rules: HashMap<u64, Ruleset>,
    artifacts: u64,
    client: Option<(String, u64, Client)>,
    created_ms: i64,
}

impl Answerer {
    fn new() -> std::io::Result<Answerer> {
        Ok(Answerer {
            runtime: tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?,
            clock: Arc::new(FixedClock(AtomicI64::new(0))),
            random: Arc::new(Counting(AtomicU64::new(1))),
            geo: GeoService::start()?,
            artifact: String::new(),
            rules: HashMap::new(),
            artifacts: 0,
            client: None,
            created_ms: 0,
        })
    }

    fn line(&mut self, text: &str, out: &mut impl Write) -> Result<(), Box<dyn StdError>> {
        let line: Line<'_> = serde_json::from_str(text)?;
        if let Some(artifact) = line.get("artifact") {
            artifact.get().clone_into(&mut self.artifact);
            self.artifacts += 1;
            self.rules.clear();
            return Ok(());
        }
        let member =
            |name: &str| line.get(name).map(|value| value.get()).ok_or_else(|| format!("a call has no {name}"));
        let id = member("id")?;
        let (config, options) = (member("config")?, member("options")?);
        let now_ms: i64 = serde_json::from_str(member("nowMs")?)?;
        let kind: String = serde_json::from_str(member("kind")?)?;
        let (place, server) = (line.get("place").copied(), line.get("answer").copied());
        let answer = catch_unwind(AssertUnwindSafe(|| match kind.as_str() {
            "offers" => self.offers(config, options, now_ms, place),
            "delivery" => self.delivery(config, options, now_ms, Purpose::Offers, server),
            "notifications" => self.delivery(config, options, now_ms, Purpose::Notifications, server),
            other => Err(Error::internal(format!("unknown kind of call {other}"))),
        }));
        match answer {
            Ok(Ok(members)) => writeln!(out, "{{\"id\":{id},{members}}}")?,
            Ok(Err(error)) => {
                let mut text = format!("{{\"id\":{id},\"error\":{{\"kind\":\"{:?}\",\"message\":", error.kind());
                write_str(&mut text, error.message());
                text.push_str(",\"path\":");
                write_str(&mut text, error.path().unwrap_or(""));
                writeln!(out, "{text}}}}}")?;
            }
            Err(_) => {
                self.client = None;
                writeln!(out, "{{\"id\":{id},\"panic\":true}}")?;
            }
        }
        Ok(())
    }

    fn environment(&self) -> Environment {
        Environment {
            runtime: self.runtime.handle().clone(),
            clock: self.clock.clone(),
            random: self.random.clone(),
            events: Arc::new(|_| {}),
        }
    }

    fn config(&self, config: &str, place: bool) -> String {
        let network = if place {
            let host = format!("127.0.0.1:{}", self.geo.port);
            format!(r#""secure":false,"cdnBasePath":"http://{host}","serverDomain":"{host}","pinServerDomain":true"#)
        } else {
            r#""offline":true"#.to_owned()
        };
        let own = config.trim_start().strip_prefix('{').unwrap_or(config);
        format!("{{{network},\"artifactPayload\":{},{own}", self.artifact)
    }

    /// The whole way of a call that is decided here, and besides it the notifications that the decision makes.
    fn offers(&mut self, config: &str, options: &str, now_ms: i64, place: Option<&RawValue>) -> Result<String, Error> {
        self.clock.0.store(now_ms, Ordering::Relaxed);
        self.geo.set(place.map_or("{}", RawValue::get));
        let text = self.config(config, place.is_some());
        let known = matches!(&self.client, Some((known, number, _)) if *known == text && *number == self.artifacts);
        // The answers of the geo service are remembered: where one may be asked for, each call has a client of its own.
        if !known || place.is_some() {
            self.created_ms = now_ms;
            self.client = Some((text.clone(), self.artifacts, Client::new(&text, self.environment())?));
        }
        let Some((_, _, client)) = &self.client else { return Err(Error::internal("there is no client")) };
        let operation = Operation::GetOffers { options: options.to_owned() };
        let answer = match client.call(operation, Instant::now(), Some(Duration::from_secs(10))) {
            Call::Ready(answer) => answer?,
            Call::Pending(answer) => self.runtime.block_on(answer)?,
        };
        // A client remembers the cluster; the cases are to know nothing of each other.
        let notifications = self.notifications(&text, options, now_ms)?;
        if answer.json.contains("\"targetLocationHintCookie\"") {
            self.clock.0.store(self.created_ms, Ordering::Relaxed);
            self.client = Some((text.clone(), self.artifacts, Client::new(&text, self.environment())?));
        }
        Ok(format!("\"envelope\":{},\"notifications\":[{}]", answer.json, notifications.join(",")))
    }

    fn notifications(&mut self, config: &str, options: &str, now_ms: i64) -> Result<Vec<String>, Error> {
        if !self.rules.contains_key(&self.artifacts) {
            self.rules.insert(self.artifacts, Ruleset::compile(&self.artifact)?);
        }
        let Some(rules) = self.rules.get(&self.artifacts) else { return Err(Error::internal("there are no rules")) };
        let config = Config::parse(config)?;
        let options = parse_options(options, Purpose::Offers, config.strict)?;
        let mut prepared = prepare(options, &config, None, now_ms, &*self.random)?;
        if let Some(Json::Object(context)) = prepared.request.get_mut("context") {
            let geo = valid_geo(context.get("geo"));
            context.set("geo", geo);
        }
        let decision = decide(
            rules,
            &Input {
                client: &config.client,
                request: &prepared.request,
                session_id: &prepared.session_id,
                location_hint: prepared.cluster.as_deref(),
                now_ms,
                random: &*self.random,
                all_matching_rules_mboxes: &config.all_matching_rules_mboxes,
                trace: TraceSource::default(),
            },
        );
        Ok(decision.notifications)
    }

    /// What a call for the server sends, and its envelope when the server answers `answer`.
    fn delivery(
        &self,
        config: &str,
        options: &str,
        now_ms: i64,
        purpose: Purpose,
        answer: Option<&RawValue>,
    ) -> Result<String, Error> {
        let config = Config::parse(config)?;
        let options = parse_options(options, purpose, config.strict)?;
        let prepared = prepare(options, &config, None, now_ms, &*self.random)?;
        let sealed = seal(prepared, &config, &[]);
        let delivered = response::read(200, answer.map_or("{}", RawValue::get).as_bytes().to_vec())?;
        let sent = Sent {
            sealed: &sealed,
            delivered,
            attempts: 1,
            execution: Duration::ZERO,
            parsing: Duration::ZERO,
            timing: Timing::default(),
        };
        let none = RawList::new();
        let envelope = sent.envelope(now_ms, &none, &none)?;
        json::parse(&envelope, &json::Limits::REMOTE)?;
        let mut out = String::from("\"url\":");
        write_str(&mut out, &sealed.url);
        out.push_str(",\"headers\":{");
        for (at, (name, value)) in endpoint::headers(&sealed.request_id).iter().enumerate() {
            if at > 0 {
                out.push(',');
            }
            write_str(&mut out, name);
            out.push(':');
            write_str(&mut out, value);
        }
        out.push_str("},\"request\":");
        out.push_str(&sealed.body);
        out.push_str(",\"envelope\":");
        out.push_str(&envelope);
        Ok(out)
    }
}

fn main() -> Result<(), Box<dyn StdError>> {
    let mut answerer = Answerer::new()?;
    let mut out = BufWriter::new(std::io::stdout().lock());
    for line in BufReader::new(std::io::stdin().lock()).lines() {
        answerer.line(&line?, &mut out)?;
    }
    out.flush()?;
    Ok(())
}
