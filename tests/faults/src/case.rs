//! One case: a row of the table and what is exercised. Runs it and compares.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::child::Host;
use crate::payload::{CANARY, SERVER_ID, Subject};
use crate::process::eventually;
use crate::server::Server;
use crate::table::{ARTIFACT, DECODE, Expect, HTTP, NETWORK, NOT_READY, Net, OK, Row, TIMEOUT, TLS};
use crate::tls;

/// What is the machine's and not the library's: a shared machine with two cores makes everything wait.
const SLACK_MS: u64 = 3000;
/// What a failure that is no matter of time may take.
const PROMPT_MS: u64 = 12_000;
/// A download has this long, all its attempts included.
const DOWNLOAD_MS: u64 = 10_000;

pub struct Case {
    pub row: Arc<Row>,
    pub subject: Subject,
}

/// What a case may use.
#[derive(Clone, Copy)]
pub struct Tools<'a> {
    pub shim: &'a Path,
}

impl Case {
    pub fn name(&self) -> String {
        format!("{}/{}", self.row.name, self.subject.name())
    }

    fn expect(&self) -> &Expect {
        self.row.expect(self.subject).expect("cases are made of expectations")
    }

    fn config(&self, port: u16) -> Value {
        let row = &self.row;
        let host = row.host.unwrap_or("127.0.0.1");
        let proxied_https = matches!(row.net, Net::Proxy { https: true } | Net::DeadProxy | Net::TlsProxy);
        let proxied = proxied_https || matches!(row.net, Net::Proxy { .. });
        let https = proxied_https || matches!(row.net, Net::Tls(_) | Net::H2);
        let (scheme, address) = match (https, proxied) {
            (true, true) => ("https", host.to_owned()),
            (true, false) => ("https", format!("{host}:{port}")),
            (false, true) => ("http", host.to_owned()),
            (false, false) => ("http", format!("{host}:{port}")),
        };
        let mut config = json!({
            "client": "demo", "organizationId": "0123456789ABCDEF01234567@AdobeOrg", "propertyToken": "canary-property",
            "serverDomain": address, "pinServerDomain": true, "telemetryEnabled": false,
            "connectTimeout": 10_000, "maxResponseBytes": 1 << 20, "maxArtifactBytes": 1 << 20,
            "secure": https, "timeout": 30_000,
        });
        if https {
            config["tlsRoots"] = json!({"pem": tls::trusted_pem()});
        }
        if proxied {
            let scheme = if row.net == Net::TlsProxy { "https" } else { "http" };
            config["proxy"] = json!({"url": format!("{scheme}://127.0.0.1:{port}"), "username": "canary-user",
                "password": "canary-password"});
        }
        if self.subject == Subject::Artifact {
            config["secure"] = json!(false);
            config["decisioningMethod"] = json!("on-device");
            config["artifactLocation"] = json!(format!("{scheme}://{address}/rules.json?secret={CANARY}"));
            config["pollingInterval"] = json!(1500);
            config["allowFastPolling"] = json!(true);
        }
        if let (Some(all), Some(more)) = (config.as_object_mut(), row.config.as_object()) {
            all.extend(more.clone());
        }
        config
    }

    fn options(&self) -> Value {
        let mut options = self.subject.options();
        if self.subject == Subject::Artifact {
            // Prefetching causes no notifications: nothing else goes over the network.
            options["request"]["prefetch"] = options["request"]["execute"].take();
            options["request"].as_object_mut().expect("an object").remove("execute");
            options["decisioningMethod"] = json!("on-device");
        }
        if self.row.big {
            let padding: Vec<Value> = (0..3).map(|_| json!("p".repeat(250_000))).collect();
            options["request"]["padding"] = json!(padding);
        }
        options
    }

    /// Runs the case; all that is wrong with it.
    pub fn run(&self, tools: Tools<'_>) -> Vec<String> {
        let began = Instant::now();
        let mut judge = Judge::default();
        if let Err(why) = self.play(tools, &mut judge) {
            judge.wrong.push(why);
        }
        if std::env::var_os("FAULTS_VERBOSE").is_some() {
            eprintln!("{} {:.1} s", self.name(), began.elapsed().as_secs_f64());
        }
        judge.wrong
    }

    fn host(&self, tools: Tools<'_>) -> Host {
        let needs_shim = self.row.shim.is_some() || self.row.host.is_some();
        Host::start(needs_shim.then_some(tools.shim))
    }

    /// The server and what is around the host begin to go wrong.
    fn break_it(&self, server: &Server, host: &mut Host) -> Result<(), String> {
        server.break_it();
        if let Some((name, value)) = self.row.shim {
            // A wall clock jumps while the call is on its way.
            if name != "clock" {
                host.ask(&json!({"op": "shim", "name": name, "value": value}))?;
            }
        }
        if self.row.no_descriptors {
            host.ask(&json!({"op": "descriptors", "none": true}))?;
        }
        Ok(())
    }

    fn heal(&self, server: &Server, host: &mut Host) -> Result<(), String> {
        server.heal();
        if let Some((name, value)) = self.row.shim {
            let resolves_well = name == "dns" && self.expect().status == OK;
            if !resolves_well {
                let value = if name == "clock" { value / 2 } else { 0 };
                host.ask(&json!({"op": "shim", "name": name, "value": value}))?;
            }
        }
        if self.row.no_descriptors {
            host.ask(&json!({"op": "descriptors"}))?;
        }
        Ok(())
    }

    fn play(&self, tools: Tools<'_>, judge: &mut Judge) -> Result<(), String> {
        let server = Server::start(&self.row, self.subject);
        let mut host = self.host(tools);
        let config = self.config(server.shared.port);
        match self.subject {
            Subject::Artifact => self.play_artifact(&server, &mut host, &config, judge)?,
            _ => self.play_call(&server, &mut host, &config, judge)?,
        }
        let end = host.ask(&json!({"op": "finish"}))?;
        judge.check(end["status"] == OK, || format!("target_shutdown: {}", end["status"]));
        judge.check(end["clean"] == true, || {
            format!("left behind: descriptors {} threads {}", end["descriptors"], end["threads"])
        });
        judge.check(end["twice"] == false, || "a call was completed twice".to_owned());
        let gone = eventually(Duration::from_secs(5), || server.open_connections() == 0);
        judge.check(gone || matches!(self.row.net, Net::Full), || "a connection is open after the end".to_owned());
        // Answers and their log records: nothing else is said.
        for line in &host.said {
            judge.secrets(line);
        }
        host.dismiss()
    }

    fn call(&self, host: &mut Host, deadline: u32, style: &str) -> Result<Value, String> {
        host.ask(&json!({"op": "call", "what": self.subject.what(), "options": self.options(), "deadline": deadline,
            "style": style}))
    }

    fn play_call(&self, server: &Server, host: &mut Host, config: &Value, judge: &mut Judge) -> Result<(), String> {
        let row = &self.row;
        created(&host.ask(&json!({"op": "create", "config": config}))?)?;
        if row.warm {
            let warm = self.call(host, 20_000, "queue")?;
            judge.check(warm["status"] == OK, || format!("the call before the fault: {warm}"));
        }
        self.break_it(server, host)?;
        let style = if row.name.len().is_multiple_of(2) { "sync" } else { "queue" };
        let answer = if let Some(("clock", seconds)) = row.shim {
            let options = self.options();
            let order =
                json!({"op": "submit", "what": self.subject.what(), "options": options, "deadline": row.deadline});
            let began = Instant::now();
            let tag = host.ask(&order)?["tag"].clone();
            host.ask(&json!({"op": "shim", "name": "clock", "value": seconds}))?;
            let done = host.ask(&json!({"op": "wait", "tag": tag, "timeout": 60_000}))?;
            let ms = began.elapsed().as_millis() as u64;
            json!({"status": done["status"], "ms": ms, "machine": done["machine"], "document": {"phase": "wait", "attempts": 1, "retryable": true}})
        } else {
            self.call(host, row.deadline, style)?
        };
        self.judge_call(&answer, judge);
        self.judge_meetings(server, judge);
        self.judge_bodies(server, judge);
        self.heal(server, host)?;
        self.recover(host, judge)
    }

    /// The next call to the same server, which is healthy now, over the same pool.
    fn recover(&self, host: &mut Host, judge: &mut Judge) -> Result<(), String> {
        if self.row.rests {
            let next = self.call(host, 1_000, "queue")?;
            let document = &next["document"];
            let kept = next["status"] == "TARGET_E_CIRCUIT_OPEN" && document["attempts"] == 0;
            judge.check(kept && document["httpStatus"] == 429, || format!("the next call, too early: {next:.1500}"));
            return Ok(());
        }
        // Failed look-ups are remembered for five seconds.
        let patient = self.row.shim.is_some_and(|(name, _)| name == "dns") && self.expect().status != OK;
        let until = Instant::now() + Duration::from_secs(if patient { 15 } else { 0 });
        loop {
            let next = self.call(host, 20_000, "queue")?;
            let well = next["status"] == OK && says(&next["document"], "healthy");
            if well || Instant::now() >= until {
                judge.check(well, || format!("the next call, to a healthy server: {next:.1500}"));
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    fn judge_call(&self, answer: &Value, judge: &mut Judge) {
        let expect = self.expect();
        let (status, document) = (answer["status"].as_str().unwrap_or(""), &answer["document"]);
        let fits = status == expect.status || expect.or == Some(status);
        judge.check(fits, || format!("status {status}, expected {}: {document:.1200}", expect.status));
        if !fits {
            return;
        }
        let ms = answer["ms"].as_u64().unwrap_or(u64::MAX);
        let deadline = u64::from(self.row.deadline);
        let machine = answer["machine"].as_u64().unwrap_or(0);
        if expect.at_deadline {
            judge.check((deadline..deadline + SLACK_MS + machine).contains(&ms), || {
                format!("{ms} ms for a deadline of {deadline} ms")
            });
        } else {
            judge.check(ms < PROMPT_MS + machine, || format!("took {ms} ms"));
        }
        if status == OK {
            if let Some(word) = expect.word {
                judge.check(says(document, word), || format!("the answer does not say {word}: {document:.600}"));
            }
            return;
        }
        let attempts = document["attempts"].as_u64();
        let expected = u64::from(expect.attempts.0)..=u64::from(expect.attempts.1);
        judge.check(attempts.is_some_and(|count| expected.contains(&count)), || {
            format!("attempts {attempts:?}, expected {expected:?}: {document:.600}")
        });
        judge.check(document["phase"].is_string(), || format!("no phase: {document:.600}"));
        if let Some(phase) = expect.phase {
            judge.check(document["phase"] == phase, || {
                format!("phase {}, expected {phase}: {document:.600}", document["phase"])
            });
        }
        if let Some(status) = expect.http {
            judge.check(document["httpStatus"] == status, || {
                format!("httpStatus {}, expected {status}", document["httpStatus"])
            });
        }
        if self.row.shim.is_none_or(|(name, _)| name != "clock") {
            judge.check(document["message"].as_str().is_some_and(|text| text.len() > 20), || {
                format!("no reason: {document:.600}")
            });
        }
        let retryable = match (status, expect.http) {
            (NETWORK, Some(407)) => Some(false),
            (TIMEOUT | NETWORK, _) => Some(true),
            (HTTP, Some(status)) => Some(matches!(status, 429 | 500 | 502 | 503 | 504)),
            (DECODE, _) => Some(false),
            (TLS, _) => None,
            _ => None,
        };
        if let Some(retryable) = retryable {
            judge.check(document["retryable"] == retryable, || {
                format!("retryable {}, documented is {retryable}: {document:.600}", document["retryable"])
            });
        }
    }

    fn judge_meetings(&self, server: &Server, judge: &mut Judge) {
        let (least, most) = self.row.seen.unwrap_or(self.expect().attempts);
        let met = server.met();
        judge.check((least..=most).contains(&met), || {
            format!("the server was asked {met} times, expected {least} to {most}")
        });
    }

    /// All attempts carry the same request: its id is the same.
    fn judge_bodies(&self, server: &Server, judge: &mut Judge) {
        let bodies = server.bodies();
        let id = |body: &[u8]| serde_json::from_slice::<Value>(body).ok().map(|body| body["requestId"].clone());
        let ids: Vec<_> = bodies.iter().filter(|body| !body.is_empty()).map(|body| id(body)).collect();
        judge.check(ids.windows(2).all(|two| two[0] == two[1]), || format!("attempts of different ids: {ids:?}"));
    }

    fn play_artifact(&self, server: &Server, host: &mut Host, config: &Value, judge: &mut Judge) -> Result<(), String> {
        let expect = self.expect().clone();
        let works = expect.status == OK;
        self.break_it(server, host)?;
        let began = Instant::now();
        created(&host.ask(&json!({"op": "create", "config": config}))?)?;
        let outcomes =
            json!(["artifactDownloadFailed", "artifactDownloadSucceeded", "artifactNotModified", "degraded"]);
        let first = host.ask(&json!({"op": "event", "types": outcomes, "timeout": 60_000}))?;
        let ms = began.elapsed().as_millis() as u64;
        let (event, stats) = (&first["event"], &first["stats"]);
        let name = event["type"].as_str().unwrap_or("none");
        let expected = if works { "artifactDownloadSucceeded" } else { "artifactDownloadFailed" };
        judge.check(name == expected, || format!("first download: {name}, expected {expected}: {event:.1200}"));
        let machine = first["machine"].as_u64().unwrap_or(0);
        judge.check(ms < DOWNLOAD_MS + SLACK_MS + machine, || format!("the first download took {ms} ms"));
        if !works {
            let reason = event["error"]["message"].as_str().unwrap_or("");
            judge.check(reason.len() > 20, || format!("no reason: {event}"));
            judge.secrets(reason);
        }
        // Later polls would be counted, too.
        if stats["artifact"]["polls"] == 1 {
            let range = u64::from(expect.attempts.0)..=u64::from(expect.attempts.1);
            let attempts = stats["transport"]["attempts"].as_u64();
            judge.check(attempts.is_some_and(|count| range.contains(&count)), || {
                format!("attempts {attempts:?}, expected {range:?}: {event:.1200}")
            });
            let least = self.row.seen.map_or(expect.attempts.0, |(least, _)| least);
            judge.check(server.met() >= least, || format!("the server was asked {} times", server.met()));
        }
        if works {
            // The event is told before the rules are in use.
            host.ask(&json!({"op": "event", "types": ["clientReady"], "timeout": 10_000}))?;
        }
        let call = self.call(host, 5000, "queue")?;
        let status = call["status"].as_str().unwrap_or("");
        judge.check(status == expect.status || expect.or == Some(status), || {
            format!("decision: {status}, expected {}: {:.1200}", expect.status, call["document"])
        });
        if works && let Some(word) = expect.word {
            judge.check(says(&call["document"], word), || {
                format!("the decision does not say {word}: {:.600}", call["document"])
            });
        }
        judge.check(matches!(expect.status, OK | ARTIFACT | NOT_READY), || "a wrong expectation".to_owned());

        if self.row.incurable {
            return Ok(());
        }
        // Healed: a later poll brings the artifact.
        self.heal(server, host)?;
        self.until_healthy(host, judge, "after the first fault")?;

        // Again, with a good artifact at hand: it stays in use, whatever happens.
        host.ask(&json!({"op": "forget"}))?;
        self.break_it(server, host)?;
        let types = json!(["artifactDownloadFailed", "artifactDownloadSucceeded", self.row.later]);
        // What a name resolves to is remembered for a minute.
        let remembered = self.row.shim.is_some();
        if !works && !remembered {
            let again = host.ask(&json!({"op": "event", "types": types, "timeout": 60_000}))?;
            judge
                .check(again["event"]["type"] == self.row.later, || format!("later download: {:.600}", again["event"]));
            let call = self.call(host, 5000, "queue")?;
            judge.check(call["status"] == OK && says(&call["document"], "healthy"), || {
                format!("the last good artifact is not used: {call:.1200}")
            });
            let state = host.ask(&json!({"op": "state"}))?;
            judge.check(state["state"] == 1, || format!("state {} in place of ready", state["state"]));
        } else if works && expect.word.is_some() {
            self.until_decided(host, judge, "good", "at a later download")?;
        }
        self.heal(server, host)?;
        self.until_healthy(host, judge, "after the second fault")
    }

    fn until_healthy(&self, host: &mut Host, judge: &mut Judge, when: &str) -> Result<(), String> {
        self.until_decided(host, judge, "healthy", when)
    }

    fn until_decided(&self, host: &mut Host, judge: &mut Judge, word: &str, when: &str) -> Result<(), String> {
        let until = Instant::now() + Duration::from_secs(45);
        loop {
            let call = self.call(host, 5000, "queue")?;
            if call["status"] == OK && says(&call["document"], word) {
                return Ok(());
            }
            if Instant::now() > until {
                judge.wrong.push(format!("{when}: no decision says {word}: {call:.1200}"));
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// A call in the middle of the fault, and close: it returns in time, and everything accepted is accounted for.
    pub fn run_close(&self, tools: Tools<'_>) -> Vec<String> {
        let mut judge = Judge::default();
        if let Err(why) = self.play_close(tools, &mut judge) {
            judge.wrong.push(why);
        }
        judge.wrong
    }

    fn play_close(&self, tools: Tools<'_>, judge: &mut Judge) -> Result<(), String> {
        const CALLS: usize = 4;
        let server = Server::start(&self.row, self.subject);
        let mut host = self.host(tools);
        // The library cannot start its threads without descriptors, and says so.
        let early = self.row.no_descriptors;
        if !early {
            self.break_it(&server, &mut host)?;
        }
        created(&host.ask(&json!({"op": "create", "config": self.config(server.shared.port)}))?)?;
        if early {
            self.break_it(&server, &mut host)?;
        }
        let order = json!({"op": "submit", "what": self.subject.what(), "options": self.options(), "deadline": 30_000});
        let mut tags = Vec::new();
        for _ in 0..CALLS {
            let answer = host.ask(&order)?;
            judge.check(answer["status"] == OK, || format!("submit: {answer}"));
            tags.push(answer["tag"].clone());
        }
        // Some row are met at once, some never: a random moment is as good as any.
        std::thread::sleep(Duration::from_millis(fastrand::u64(0..300)));
        let drain = fastrand::u64(0..200);
        let close = host.ask(&json!({"op": "close", "drain": drain}))?;
        let ms = close["ms"].as_u64().unwrap_or(u64::MAX);
        judge.check(close["status"] == OK, || format!("close: {close}"));
        let machine = close["machine"].as_u64().unwrap_or(0);
        judge.check(ms <= drain + 200 + SLACK_MS + machine, || format!("close took {ms} ms with {drain} ms to drain"));
        let mut ended = 0;
        for tag in tags {
            let done = host.ask(&json!({"op": "wait", "tag": tag, "timeout": 10_000}))?;
            judge.check(done["count"] == 1, || format!("a call was completed {} times", done["count"]));
            ended += 1;
        }
        let mut stats = json!({});
        // What was cut off is in flight until its task is gone: a moment.
        for _ in 0..100 {
            stats = host.ask(&json!({"op": "stats"}))?["stats"].clone();
            if stats["calls"]["inFlight"] == 0 {
                break;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        let count = |name: &str| stats["calls"][name].as_u64().unwrap_or(u64::MAX);
        judge.check(
            ended == CALLS
                && count("accepted") == CALLS as u64
                && count("accepted") == count("completed") + count("cancelled")
                && count("inFlight") == 0,
            || format!("calls do not add up: {}", stats["calls"]),
        );
        let end = host.ask(&json!({"op": "finish"}))?;
        judge.check(end["clean"] == true, || {
            format!("left behind: descriptors {} threads {}", end["descriptors"], end["threads"])
        });
        for line in &host.said {
            judge.secrets(line);
        }
        host.dismiss()
    }
}

fn created(answer: &Value) -> Result<(), String> {
    if answer["status"] == OK { Ok(()) } else { Err(format!("the client is refused: {answer}")) }
}

/// Whether offers or acknowledgements of this answer say `word`.
fn says(document: &Value, word: &str) -> bool {
    document["response"].to_string().contains(&format!("\"{word}\""))
}

#[derive(Default)]
struct Judge {
    wrong: Vec<String>,
}

impl Judge {
    fn check(&mut self, well: bool, what: impl FnOnce() -> String) {
        if !well {
            self.wrong.push(what());
        }
    }

    /// Errors and log records have none; answers have what the host asked for in them.
    fn secrets(&mut self, line: &str) {
        let Ok(mut value) = serde_json::from_str::<Value>(line) else {
            self.check(!line.contains(CANARY) && !line.contains(SERVER_ID), || format!("a secret in {line:.600}"));
            return;
        };
        if value["status"] == OK
            && let Some(members) = value.as_object_mut()
        {
            members.remove("document");
        }
        // The location is told in full, as it was configured.
        if let Some(event) = value["event"].as_object_mut() {
            event.remove("artifactLocation");
        }
        let text = value.to_string();
        for secret in [CANARY, SERVER_ID] {
            self.check(!text.contains(secret), || {
                let at = text.find(secret).unwrap_or(0);
                let from = text[..at].char_indices().rev().nth(200).map_or(0, |(index, _)| index);
                format!("a secret: …{:.400}", &text[from..])
            });
        }
    }
}
