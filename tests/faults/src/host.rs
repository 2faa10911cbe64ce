//! The child process of one case: a host program that does what it is told, line by line, and says how it went.
//!
//! A process of its own for each case: what is left behind is its own, and a crash is one failed case.

use std::io::{BufRead, Write};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::abi::{self, Client, Queue, RawCompletion, What};
use crate::process;

const EVENT: u64 = u64::MAX;

struct Host {
    queue: Queue,
    log: Queue,
    client: Option<Client>,
    events: Vec<Value>,
    records: Vec<String>,
    /// Completions by tag, as they came.
    done: Vec<(u64, RawCompletion)>,
    next_tag: u64,
    /// Descriptors that nobody else can have.
    wasted: Vec<std::fs::File>,
}

/// Reads commands until the end of standard input.
pub fn run() {
    abi::api();
    let (descriptors, threads) = (process::descriptors(), process::thread_names().len());
    few_descriptors();
    // Rust programs ignore it; others die of it.
    // SAFETY: the default is a valid disposition.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    abi::init();
    let mut host = Host {
        queue: Queue::new(),
        log: Queue::new(),
        client: None,
        events: Vec::new(),
        records: Vec::new(),
        done: Vec::new(),
        next_tag: 1,
        wasted: Vec::new(),
    };
    abi::log_to(host.log);
    for line in std::io::stdin().lock().lines() {
        let command: Value = serde_json::from_str(&line.expect("standard input")).expect("a command");
        let waited = process::waited_ms("");
        let mut answer = match command["op"].as_str().expect("op") {
            "finish" => host.finish(descriptors, threads),
            op => host.obey(op, &command),
        };
        host.drain(0);
        // What the machine kept this process from doing meanwhile.
        answer["machine"] = json!(process::waited_ms("").saturating_sub(waited));
        answer["log"] = json!(std::mem::take(&mut host.records));
        println!("{answer}");
        std::io::stdout().flush().expect("standard output");
    }
}

impl Host {
    fn obey(&mut self, op: &str, command: &Value) -> Value {
        let ms = |name: &str| command[name].as_u64().unwrap_or(0) as u32;
        match op {
            "create" => match Client::create(&command["config"].to_string(), Some((self.queue, EVENT))) {
                Ok(client) => {
                    self.client = Some(client);
                    json!({"status": "TARGET_OK"})
                }
                Err(error) => json!({"status": error["name"], "document": error}),
            },
            "call" => self.call(command),
            "submit" => {
                let (what, options) = asked(command);
                let tag = self.tag();
                match self.client().submit_to(self.queue, tag, what, &options, ms("deadline")) {
                    Ok(_) => json!({"status": "TARGET_OK", "tag": tag}),
                    Err(status) => json!({"status": abi::status_name(status)}),
                }
            }
            "wait" => {
                let tag = command["tag"].as_u64().expect("tag");
                let found = self.wait(tag, Duration::from_millis(ms("timeout").into()));
                let count = self.done.iter().filter(|(of, _)| *of == tag).count();
                match found {
                    Some(done) => json!({"status": abi::status_name(done.status), "count": count}),
                    None => json!({"status": "nothing", "count": 0}),
                }
            }
            "event" => self.event(command),
            "state" => json!({"state": self.client().state()}),
            "stats" => json!({"stats": self.client().stats()}),
            "close" => {
                let began = Instant::now();
                let (status, report) = self.client().close(ms("drain"));
                json!({"status": abi::status_name(status), "ms": millis(began), "report": report})
            }
            // The preloaded shim: names that resolve in some way, clocks that jump.
            "shim" => {
                crate::shim::set(command["name"].as_str().expect("name"), command["value"].as_i64().expect("value"));
                json!({})
            }
            "forget" => {
                self.drain(0);
                self.events.clear();
                json!({})
            }
            "descriptors" => {
                self.wasted.clear();
                while command["none"] == true
                    && let Ok(file) = std::fs::File::open("/dev/null")
                {
                    self.wasted.push(file);
                }
                json!({})
            }
            other => panic!("unknown command {other}"),
        }
    }

    fn client(&self) -> Client {
        self.client.expect("a client was created")
    }

    fn tag(&mut self) -> u64 {
        self.next_tag += 1;
        self.next_tag - 1
    }

    /// One call, submitted and waited for.
    fn call(&mut self, command: &Value) -> Value {
        let (what, options) = asked(command);
        let deadline = command["deadline"].as_u64().unwrap_or(0) as u32;
        let began = Instant::now();
        let (status, result) = if command["style"] == "sync" {
            self.client().sync(what, &options, deadline)
        } else {
            let tag = self.tag();
            if let Err(status) = self.client().submit_to(self.queue, tag, what, &options, deadline) {
                return json!({"status": abi::status_name(status), "refused": true});
            }
            match self.wait(tag, Duration::from_secs(60)) {
                Some(done) => (done.status, done.result),
                None => return json!({"status": "nothing", "ms": millis(began)}),
            }
        };
        let ms = millis(began);
        json!({"status": abi::status_name(status), "document": abi::take(result), "ms": ms})
    }

    fn wait(&mut self, tag: u64, limit: Duration) -> Option<RawCompletion> {
        let until = Instant::now() + limit;
        loop {
            if let Some((_, done)) = self.done.iter().find(|(of, _)| *of == tag) {
                return Some(*done);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            self.drain(left.as_millis().clamp(1, 1000) as i32);
        }
    }

    /// Takes what is there, waiting `timeout_ms` for the first.
    fn drain(&mut self, timeout_ms: i32) {
        for one in self.queue.poll(64, timeout_ms) {
            if one.is_event() {
                self.events.push(abi::take(one.result));
            } else {
                self.done.push((one.tag, one));
            }
        }
        loop {
            let some = self.log.poll(64, 0);
            if some.is_empty() {
                return;
            }
            for one in some {
                let text = abi::take_text(one.result);
                if one.is_log() {
                    self.records.push(text);
                }
            }
        }
    }

    /// The next event of some types; earlier ones are forgotten.
    fn event(&mut self, command: &Value) -> Value {
        let types: Vec<&str> = command["types"].as_array().expect("types").iter().filter_map(Value::as_str).collect();
        let began = Instant::now();
        let until = began + Duration::from_millis(command["timeout"].as_u64().expect("timeout"));
        loop {
            let wanted = |event: &Value| types.contains(&event["type"].as_str().unwrap_or(""));
            if let Some(at) = self.events.iter().position(wanted) {
                let mut event = self.events.drain(..=at).next_back().expect("the event");
                if let Some(members) = event.as_object_mut() {
                    members.remove("artifactPayload");
                }
                return json!({"event": event, "ms": millis(began), "stats": self.client().stats()});
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return json!({"event": null, "ms": millis(began)});
            }
            self.drain(left.as_millis().clamp(1, 1000) as i32);
        }
    }

    /// Ends everything and says what is left of it.
    fn finish(&mut self, descriptors: usize, threads: usize) -> Value {
        if let Some(client) = self.client.take() {
            client.destroy();
        }
        self.wasted.clear();
        let status = abi::shutdown(10_000);
        self.drain(0);
        let twice = self
            .done
            .iter()
            .any(|(tag, one)| self.done.iter().filter(|(of, _)| of == tag).count() > 1 && one.tag == *tag);
        self.queue.destroy();
        let log = self.log;
        log.destroy();
        // Threads that look up names end by themselves when they have had nothing to do for a while.
        let left = || process::thread_names().into_iter().filter(|name| name != "target-dns").count();
        let ended =
            process::eventually(Duration::from_secs(10), || left() <= threads && process::descriptors() <= descriptors);
        let answer = json!({
            "status": abi::status_name(status), "clean": ended, "twice": twice,
            "descriptors": [descriptors, process::descriptor_names()], "threads": [threads, process::thread_names()],
        });
        self.queue = Queue::new();
        self.log = Queue::new();
        answer
    }
}

/// So few that they can all be taken.
fn few_descriptors() {
    let limits = libc::rlimit { rlim_cur: 256, rlim_max: 256 };
    // SAFETY: a valid struct.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limits) }, 0);
}

fn asked(command: &Value) -> (What, String) {
    let what = match command["what"].as_str().expect("what") {
        "notifications" => What::Notifications,
        "attributes" => What::Attributes,
        _ => What::Offers,
    };
    (what, command["options"].to_string())
}

fn millis(since: Instant) -> u64 {
    since.elapsed().as_millis() as u64
}
