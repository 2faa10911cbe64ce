//! The command itself: its one line, its end, and a thousand connections.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod support;

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use support::{Client, DATA, HERO};

/// A child that is never left behind.
struct Started {
    child: Child,
    address: SocketAddr,
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start(arguments: &[&str]) -> Started {
    let mut child = Command::new(env!("CARGO_BIN_EXE_target-edge"))
        .args(["--port", "0", "--offers", &format!("{DATA}/offers.json")])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let address = line.strip_prefix("target-edge listening on http://").unwrap().trim_end().parse().unwrap();
    Started { child, address }
}

fn ended(started: &mut Started) -> ExitStatus {
    let before = Instant::now();
    loop {
        if let Some(status) = started.child.try_wait().unwrap() {
            return status;
        }
        assert!(before.elapsed() < Duration::from_secs(5), "still running");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn signals_end_it_cleanly_with_connections_open() {
    for signal in ["TERM", "INT"] {
        let mut started = start(&["--fault", "stall"]);
        let mut stalled = Client::connect(started.address);
        stalled.write("POST", support::DELIVERY, &[], HERO);
        let pid = started.child.id().to_string();
        assert!(Command::new("kill").args(["-s", signal, &pid]).status().unwrap().success());
        assert_eq!(ended(&mut started).code(), Some(0), "{signal}");
    }
}

#[test]
fn it_ends_with_its_parent_if_told_to() {
    let mut started = start(&["--exit-with-parent"]);
    assert_eq!(Client::connect(started.address).deliver(HERO).unwrap().status, 200);
    drop(started.child.stdin.take());
    assert_eq!(ended(&mut started).code(), Some(0));

    let mut stays = start(&[]);
    drop(stays.child.stdin.take());
    assert_eq!(Client::connect(stays.address).deliver(HERO).unwrap().status, 200);
    assert_eq!(stays.child.try_wait().unwrap(), None);
}

#[test]
fn mistakes_are_told_and_the_help_is_complete() {
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_target-edge")).args(arguments).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (code, _, errors) = run(&["--fault", "moon"]);
    assert_eq!(code, Some(2));
    assert!(errors.contains("unknown fault `moon`") && errors.contains("--help"), "{errors}");
    let (code, _, errors) = run(&["--port", "0", "--offers", "/nowhere/offers.json"]);
    assert_eq!(code, Some(1));
    assert!(errors.contains("/nowhere/offers.json"), "{errors}");
    let (code, help, _) = run(&["--help"]);
    assert_eq!(code, Some(0));
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let mentioned = help.split_whitespace().filter(|word| word.starts_with("--"));
    for flag in mentioned {
        assert!(readme.contains(flag.trim_end_matches(',')), "README.md does not explain {flag}");
    }
    for (name, _) in target_edge::fault::FAULTS {
        assert!(readme.contains(&format!("`{name}`")), "README.md does not explain {name}");
    }
}

#[test]
fn a_thousand_connections_at_once() {
    const MANY: usize = 1000;
    let mut started = start(&["--delay", "300"]);
    let mut clients: Vec<_> = (0..MANY).map(|_| Client::connect(started.address)).collect();
    for round in 1..=2 {
        let before = Instant::now();
        for client in &mut clients {
            client.write("POST", support::DELIVERY, &[], HERO);
        }
        for client in &mut clients {
            assert_eq!(client.read().unwrap().status, 200);
        }
        // One after the other they would take 300 s.
        assert!(before.elapsed() < Duration::from_secs(20), "round {round}: {:?}", before.elapsed());
    }
    let stats = Client::connect(started.address).send("GET", "/debug/stats", &[], "").unwrap().json();
    assert_eq!(stats["requests"].as_u64(), Some(2 * MANY as u64));
    assert!(stats["openConnections"].as_u64().unwrap() >= MANY as u64, "{stats}");
    let received = Client::connect(started.address).send("GET", "/debug/received", &[], "").unwrap().json();
    assert_eq!(received.as_array().unwrap().len(), 2 * MANY);
    drop(started.child.stdin.take());
    let mut nothing = String::new();
    started.child.kill().unwrap();
    started.child.stdout.as_mut().unwrap().read_to_string(&mut nothing).unwrap();
    assert_eq!(nothing, "", "one line and no more");
}
