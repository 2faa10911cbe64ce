//! Every fault, seen from the other end of the wire.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod support;

use std::io::{ErrorKind, Read};
use std::time::{Duration, Instant};

use serde_json::json;
use support::{Client, HERO, demo};

/// Sends the hero request on a fresh connection and leaves the answer to be read.
fn asked(edge: &support::Running, fault: &str) -> Client {
    edge.fault(&json!({"name": fault, "times": 1}).to_string());
    let mut client = edge.connect();
    client.write("POST", support::DELIVERY, &[], HERO);
    client
}

fn is_pending(client: &mut Client, wait: Duration) -> bool {
    client.stream.set_read_timeout(Some(wait)).unwrap();
    matches!(client.stream.read(&mut [0]), Err(error)
        if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut))
}

#[test]
fn connections_end_instead_of_an_answer() {
    let edge = demo("");
    let error = asked(&edge, "reset").read_rest().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert_eq!(asked(&edge, "close").read_rest().unwrap(), b"");
    let mut stalled = asked(&edge, "stall");
    assert!(is_pending(&mut stalled, Duration::from_millis(300)));
    assert_eq!(edge.deliver(HERO).status, 200, "each fault was for one request");
}

#[test]
fn answers_break_off() {
    let edge = demo("");
    let whole = edge.deliver(HERO).body.len();

    let mut client = asked(&edge, "truncate");
    let (status, headers) = client.read_head().unwrap();
    let promised: usize = headers["content-length"].parse().unwrap();
    let rest = client.read_rest().unwrap();
    assert_eq!((status, rest.len()), (200, promised / 2));
    assert!(promised.abs_diff(whole) < 8, "{promised} {whole}");

    let mut client = asked(&edge, "drop-after-head");
    assert!(client.read_head().unwrap().1["content-length"].parse::<usize>().unwrap() > 0);
    assert_eq!(client.read_rest().unwrap(), b"");

    let mut client = asked(&edge, "half-close");
    let (_, headers) = client.read_head().unwrap();
    let rest = client.read_rest().unwrap();
    assert_eq!(rest.len(), headers["content-length"].parse::<usize>().unwrap() / 2);
    // The other direction is open: a closed socket would answer this with a reset.
    for _ in 0..3 {
        client.write("GET", "/", &[], "");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(client.stream.take_error().unwrap().map(|error| error.kind()), None);
}

#[test]
fn lengths_lie() {
    let edge = demo("");
    let mut client = asked(&edge, "wrong-length");
    let reply = client.read().unwrap();
    let promised = reply.body.len();
    client.stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let mut more = vec![0; 64 << 10];
    let extra = client.stream.read(&mut more).unwrap();
    assert!(extra.abs_diff(promised) <= 1, "{extra} bytes follow {promised}");
    assert!(is_pending(&mut client, Duration::from_millis(50)), "the connection stays open");
}

#[test]
fn slow_is_a_byte_every_half_second() {
    let edge = demo("");
    let mut client = asked(&edge, "slow");
    let before = Instant::now();
    let mut start = [0; 4];
    client.stream.read_exact(&mut start).unwrap();
    assert_eq!(&start, b"HTTP");
    assert!(before.elapsed() >= Duration::from_millis(1400), "{:?}", before.elapsed());
    client.stream.set_nonblocking(true).unwrap();
    assert_eq!(client.stream.read(&mut [0; 99]).unwrap_err().kind(), ErrorKind::WouldBlock);
}

#[test]
fn bodies_are_not_what_they_should_be() {
    let edge = demo("");
    let reply = asked(&edge, "not-json").read().unwrap();
    assert_eq!((reply.status, reply.header("content-type")), (200, "application/json;charset=UTF-8"));
    assert!(serde_json::from_slice::<serde_json::Value>(&reply.body).is_err());
    let reply = asked(&edge, "html").read().unwrap();
    assert_eq!((reply.status, reply.header("content-type")), (200, "text/html;charset=UTF-8"));
    let reply = asked(&edge, "empty").read().unwrap();
    assert_eq!((reply.status, reply.header("content-length")), (200, "0"));
    let reply = asked(&edge, "gzip-corrupt").read().unwrap();
    assert_eq!((reply.header("content-encoding"), &reply.body[..2]), ("gzip", &[0x1f, 0x8b][..]));

    let mut client = asked(&edge, "oversize");
    assert_eq!(client.read_head().unwrap().0, 200);
    let mut buffer = vec![0; 1 << 20];
    let mut total = 0;
    while total <= 64 << 20 {
        total += client.stream.read(&mut buffer).unwrap();
    }
}

#[test]
fn statuses() {
    let edge = demo("");
    let reply = asked(&edge, "status:429").read().unwrap();
    assert_eq!((reply.status, reply.json()["status"].as_u64()), (429, Some(429)));
    assert_eq!(asked(&edge, "status:204").read().unwrap().status, 204);
    let reply = asked(&edge, "retry-after:7").read().unwrap();
    assert_eq!((reply.status, reply.header("retry-after")), (503, "7"));
    let reply = asked(&edge, "redirect:http://127.0.0.1:9/x?y=z").read().unwrap();
    assert_eq!((reply.status, reply.header("location")), (307, "http://127.0.0.1:9/x?y=z"));
}

#[test]
fn flap_and_counts_and_targets() {
    let edge = demo("--fault all=flap");
    let statuses: Vec<_> = (0..4).map(|_| edge.deliver(HERO).status).collect();
    assert_eq!(statuses, [200, 503, 200, 503]);

    let edge = demo("--fault geo=status:500:2 --fault artifact=status:403");
    let geo: Vec<_> = (0..3).map(|_| edge.get("/v1/geo").status).collect();
    assert_eq!(geo, [500, 500, 200]);
    assert_eq!(edge.get("/demo/production/v1/rules.json").status, 403);
    assert_eq!(edge.deliver(HERO).status, 200);
    let listed = edge.get("/debug/fault").json();
    assert_eq!(listed, json!([{"target": "artifact", "name": "status:403", "times": null, "delayMs": 0, "seen": 1}]));
    assert_eq!(edge.send("DELETE", "/debug/fault", &[], "").status, 204);
    assert_eq!(edge.get("/demo/production/v1/rules.json").status, 200);

    edge.fault(r#"{"target":"all","delayMs":150,"times":1}"#);
    let before = Instant::now();
    assert_eq!(edge.deliver(HERO).status, 200);
    assert!(before.elapsed() >= Duration::from_millis(150));
    let reply = edge.send("POST", "/debug/fault", &[], r#"{"name":"moon"}"#);
    assert_eq!(reply.status, 400);
    assert!(reply.json()["message"].as_str().unwrap().contains("unknown fault `moon`"));
    assert_eq!(edge.get("/debug/stats").json()["faults"], 4);
}

#[test]
fn a_kept_connection_is_lost_after_a_correct_answer() {
    let edge = demo("");
    let mut client = edge.connect();
    assert_eq!(client.deliver(HERO).unwrap().status, 200);
    assert_eq!(client.deliver(HERO).unwrap().status, 200, "connections are kept as a rule");
    edge.fault(r#"{"name":"disconnect-keepalive","times":1}"#);
    let reply = client.deliver(HERO).unwrap();
    assert_eq!((reply.status, reply.header("connection")), (200, ""));
    assert_eq!(reply.json()["status"], 200);
    assert_eq!(client.read_rest().unwrap(), b"");
}
