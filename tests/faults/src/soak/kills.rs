//! The server is killed (SIGKILL) in the middle of an answer and started again on the same port: no notification is lost, and
//! those that arrive twice have the same ids.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use serde_json::json;

use super::{Plan, Report};
use crate::abi::{self, Client, OK, What};
use crate::payload::Subject;
use crate::process;

/// Notifications that may wait: more would be refused.
const WAITING: u64 = 2000;

struct Victim {
    process: Child,
    out: BufReader<ChildStdout>,
}

impl Victim {
    fn start(listener: &TcpListener, record: &str, fatal: u64) -> Victim {
        let socket: OwnedFd = listener.try_clone().expect("a descriptor").into();
        let mut process = Command::new(std::env::current_exe().expect("path of this program"))
            .args(["victim", record, &fatal.to_string()])
            .stdin(Stdio::from(socket))
            .stdout(Stdio::piped())
            .spawn()
            .expect("a process");
        let out = BufReader::new(process.stdout.take().expect("a pipe"));
        Victim { process, out }
    }

    /// Waits until it is in the middle of an answer.
    fn half_way(&mut self) {
        let mut line = String::new();
        self.out.read_line(&mut line).expect("a pipe");
        assert_eq!(line, "half\n", "the victim died by itself");
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub fn run(plan: &Plan, report: &mut Report) {
    abi::api();
    let (descriptors, threads) = (process::descriptors(), process::thread_names().len());
    let record = std::env::temp_dir().join(format!("target-faults-record-{}", std::process::id()));
    let record_path = record.to_str().expect("a path in UTF-8").to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("a port").to_string();
    let artifact: serde_json::Value = serde_json::from_slice(&Subject::Artifact.body("good")).expect("JSON");
    let config = json!({
        "client": "demo", "organizationId": "0123456789ABCDEF01234567@AdobeOrg", "secure": false, "serverDomain": address,
        "pinServerDomain": true, "telemetryEnabled": false, "pollingInterval": 0,
    });
    let mut deciding = config.clone();
    deciding["decisioningMethod"] = json!("on-device");
    deciding["artifactPayload"] = artifact;
    let decider = Client::create(&deciding.to_string(), None).expect("a client");
    let caller = Client::create(&config.to_string(), None).expect("a client");
    let stop = AtomicBool::new(false);
    let (decisions, calls, answered) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let mut random = plan.random(7);
    let began = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| decide(decider, &decisions, &stop));
        scope.spawn(|| {
            let options = json!({"request": {"execute": {"mboxes": [{"index": 0, "name": "m"}]}}}).to_string();
            while !stop.load(SeqCst) {
                let (status, result) = caller.sync(What::Offers, &options, 2000);
                abi::free(result);
                calls.fetch_add(1, SeqCst);
                answered.fetch_add(u64::from(status == OK), SeqCst);
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        for _ in 0..plan.count {
            let mut victim = Victim::start(&listener, &record_path, random.u64(1..16));
            victim.half_way();
        }
        stop.store(true, SeqCst);
    });
    report.figure("kills", plan.count);
    report.figure("seconds", began.elapsed().as_secs());
    // One that lives: everything arrives.
    let last = Victim::start(&listener, &record_path, u64::MAX);
    let mut flushed = (abi::OK, json!({}));
    for _ in 0..6 {
        flushed = decider.flush(30_000);
        if flushed.0 == OK {
            break;
        }
    }
    let notifications = decider.stats()["notifications"].clone();
    for client in [decider, caller] {
        client.close(1000);
        client.destroy();
    }
    let shut = abi::shutdown(5000);
    report.check(shut == OK, || format!("target_shutdown: {}", abi::status_name(shut)));
    drop(last);
    drop(listener);
    let decisions = decisions.load(SeqCst);
    let count = |name: &str| notifications[name].as_u64().unwrap_or(u64::MAX);
    report.check(count("accepted") == decisions && count("delivered") == decisions && count("dropped") == 0, || {
        format!("{decisions} decisions, but {notifications}; flush: {flushed:?}")
    });
    judge(&record_path, decisions, report);
    let _ = std::fs::remove_file(&record);
    report.figure("requests", count("requests"));
    report.figure("calls", calls.load(SeqCst));
    report.figure("answered", answered.load(SeqCst));
    let clean = process::eventually(Duration::from_secs(10), || {
        process::descriptors() <= descriptors && process::thread_names().len() <= threads
    });
    report.check(clean, || format!("left behind: {:?} {:?}", process::descriptor_names(), process::thread_names()));
}

/// Decides, and each decision makes a notification.
fn decide(client: Client, decisions: &AtomicU64, stop: &AtomicBool) {
    let mut turn = 0_u64;
    while !stop.load(SeqCst) {
        let waiting = client.stats()["notifications"]["queued"].as_u64().unwrap_or(0);
        if waiting > WAITING {
            std::thread::sleep(Duration::from_millis(2));
            continue;
        }
        for _ in 0..20 {
            turn += 1;
            let options = json!({"sessionId": format!("s{}", turn % 50),
                "request": {"execute": {"mboxes": [{"index": 0, "name": "m"}]}}});
            let (status, result) = client.sync(What::Offers, &options.to_string(), 1000);
            assert_eq!(status, OK, "a decision: {}", abi::take_text(result));
            abi::free(result);
            decisions.fetch_add(1, SeqCst);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn judge(record: &str, decisions: u64, report: &mut Report) {
    let text = std::fs::read_to_string(record).expect("the record");
    let mut seen: HashMap<&str, &str> = HashMap::new();
    let (mut arrivals, mut changed) = (0_u64, 0_u64);
    for line in text.lines() {
        let (id, others) = line.split_once(' ').expect("ids");
        arrivals += 1;
        changed += u64::from(*seen.entry(id).or_insert(others) != others);
    }
    let distinct = seen.len() as u64;
    report.figure("notifications", decisions);
    report.figure("lost", decisions.saturating_sub(distinct));
    report.figure("duplicates", arrivals - distinct);
    report.figure("duplicates_with_other_ids", changed);
    report.check(distinct == decisions, || format!("{distinct} different notifications arrived of {decisions}"));
    report.check(changed == 0, || format!("{changed} duplicates have another request or impression id"));
}
