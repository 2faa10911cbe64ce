//! Connections that do not come about or break, and servers that take their time.

use std::io::Write;
use std::time::Duration;

use serde_json::json;

use super::{DECODE, NETWORK, NOT_READY, Net, OK, Row, row};
use crate::http;
use crate::server::{Shared, Then, reset};

/// As long as the fault lasts.
fn while_broken(shared: &Shared) {
    while shared.is_broken() && !shared.is_stopping() {
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn pause(ms: u64) {
    std::thread::sleep(Duration::from_millis(ms));
}

pub(super) fn rows() -> Vec<Row> {
    let mut rows = breaking();
    rows.extend(slow());
    rows.extend(kept());
    rows
}

fn breaking() -> Vec<Row> {
    let group = "connections";
    vec![
        row(group, "refused", "Nobody listens")
            .net(Net::Nobody)
            .calls(NETWORK, 2)
            .phase("connect")
            .artifact(NOT_READY, 4)
            .unseen(),
        row(group, "no-answer-to-connect", "Connecting is not answered: packets are dropped, `connectTimeout` passes")
            .net(Net::Full)
            .config(json!({"connectTimeout": 300}))
            .calls(NETWORK, 2)
            .phase("connect")
            .artifact(NOT_READY, 4)
            .unseen(),
        row(group, "accept-then-close", "Accepts and closes")
            .on_accept(|_, tcp| {
                drop(tcp);
                Ok(())
            })
            .calls(NETWORK, 1)
            .up_to(2)
            .artifact(NOT_READY, 4),
        row(group, "accept-then-reset", "Accepts and resets")
            .on_accept(|_, tcp| {
                reset(&tcp);
                Ok(())
            })
            .calls(NETWORK, 1)
            .up_to(2)
            .artifact(NOT_READY, 4),
        row(group, "reset-after-head", "Resets when it has read the head of the request")
            .on_head(|x| Ok(if http::read_head(x.conn)?.is_some() { Then::Reset } else { Then::Close }))
            .calls(NETWORK, 1)
            .artifact(NOT_READY, 4),
        Row {
            big: true,
            ..row(group, "reset-in-request-body", "Resets in the middle of a large request")
                .on_head(|x| Ok(if http::read_head(x.conn)?.is_some() { Then::Reset } else { Then::Close }))
                .calls(NETWORK, 1)
        },
        Row {
            big: true,
            ..row(
                group,
                "half-close-in-request-body",
                "Half-closes (FIN) in the middle of a large request, and reads on",
            )
            .on_head(|x| {
                http::read_head(x.conn)?;
                Ok(Then::Close)
            })
            .calls(NETWORK, 1)
        },
        row(group, "fin-before-answer", "Closes a new connection after the request, without an answer")
            .on_request(|_| Ok(Then::Close))
            .calls(NETWORK, 1)
            .artifact(NOT_READY, 4),
        row(group, "reset-before-answer", "Resets a new connection after the request, without an answer")
            .on_request(|_| Ok(Then::Reset))
            .calls(NETWORK, 1)
            .artifact(NOT_READY, 4),
        row(group, "fin-in-head", "Closes in the middle of the answer's head")
            .on_request(|x| {
                x.send("HTTP/1.1 200 OK\r\ncontent-ty")?;
                Ok(Then::Close)
            })
            .calls(NETWORK, 1)
            .artifact(NOT_READY, 4),
        row(group, "reset-in-body", "Resets in the middle of the answer's body")
            .on_request(|x| {
                let body = x.body();
                x.send(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len()))?;
                x.send(&body[..body.len() / 2])?;
                pause(50);
                Ok(Then::Reset)
            })
            .calls(NETWORK, 1)
            .phase("read")
            .artifact(NOT_READY, 4),
        row(group, "early-answer", "Answers before it has read the request, and closes")
            .on_head(|x| {
                let body = x.server.subject.body("good");
                http::read_head(x.conn)?;
                x.answer("200 OK", "connection: close\r\n", &body)?;
                Ok(Then::Close)
            })
            .succeeds(1),
        Row {
            big: true,
            ..row(group, "early-refusal", "Answers 413 before it has read a large request, and closes")
                .on_head(|x| {
                    http::read_head(x.conn)?;
                    x.answer("413 Payload Too Large", "connection: close\r\n", b"{}")?;
                    Ok(Then::Close)
                })
                .calls(super::HTTP, 1)
                .http(413)
        },
    ]
}

fn slow() -> Vec<Row> {
    let group = "times";
    let stalls = |name: &'static str, what: &'static str| row(group, name, what).artifact(NOT_READY, 1);
    vec![
        stalls("accept-never-read", "Accepts, and neither reads nor writes")
            .on_accept(|shared, tcp| {
                while_broken(shared);
                drop(tcp);
                Ok(())
            })
            .times_out(2000, "wait", 1),
        Row {
            big: true,
            ..row(
                group,
                "accept-never-read-large",
                "Accepts, and never reads a request larger than the system's buffers",
            )
            .on_accept(|shared, tcp| {
                while_broken(shared);
                drop(tcp);
                Ok(())
            })
            .times_out(2000, "wait", 1)
        },
        stalls("no-answer", "Reads the request and never answers")
            .on_request(|x| {
                x.hold()?;
                Ok(Then::Close)
            })
            .times_out(2000, "wait", 1),
        stalls("head-then-stall", "Sends the head of the answer, then nothing")
            .on_request(|x| {
                x.send("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n")?;
                x.hold()?;
                Ok(Then::Close)
            })
            .times_out(2500, "read", 1),
        stalls("half-body-then-stall", "Sends half of the body, then nothing")
            .on_request(|x| {
                let body = x.body();
                x.send(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len()))?;
                x.send(&body[..body.len() / 2])?;
                x.hold()?;
                Ok(Then::Close)
            })
            .times_out(2500, "read", 1),
        stalls("error-page-then-stall", "Answers 400 with half an error page, then nothing")
            .on_request(|x| {
                x.send("HTTP/1.1 400 Bad Request\r\ncontent-length: 100\r\n\r\n{\"status\":400,")?;
                x.hold()?;
                Ok(Then::Close)
            })
            .times_out(2500, "read", 1),
        stalls("drip-head", "Sends the head at one byte every 100 ms")
            .on_request(|x| {
                for byte in
                    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\nx: ".iter().cycle()
                {
                    x.send([*byte])?;
                    pause(100);
                }
                Ok(Then::Close)
            })
            .times_out(2500, "wait", 1),
        stalls("drip-body", "Sends the body at one byte every 100 ms")
            .on_request(|x| {
                let body = [x.body(), b" ".repeat(10_000)].concat();
                x.send(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len()))?;
                for byte in body {
                    x.send([byte])?;
                    pause(100);
                }
                Ok(Then::Close)
            })
            .times_out(3000, "read", 1),
        row(group, "late-answer", "Answers correctly 400 ms after the deadline: nobody gets to see it")
            .on_request(|x| {
                pause(2400);
                let body = x.body();
                x.answer("200 OK", "", &body)?;
                Ok(Then::Serve)
            })
            .times_out(2000, "wait", 1),
        row(group, "patient-answer", "Answers after a second, well before the deadline")
            .on_request(|x| {
                pause(1000);
                let body = x.body();
                x.answer("200 OK", "", &body)?;
                Ok(Then::Serve)
            })
            .succeeds(1),
        row(group, "dribbled-answer", "Sends a correct answer byte by byte, without pauses")
            .on_request(|x| {
                let body = x.body();
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
                for byte in [head.into_bytes(), body].concat() {
                    x.conn.stream.write_all(&[byte])?;
                }
                Ok(Then::Serve)
            })
            .succeeds(1),
    ]
}

/// Connections that have carried a request before.
fn kept() -> Vec<Row> {
    let group = "connections";
    vec![
        row(group, "kept-fin-at-reuse", "Closes a kept connection when the next request arrives: asked once more")
            .on_reuse(|_| Ok(Then::Close))
            .calls(OK, 2)
            .word(Some("healthy"))
            .seen(1, 1),
        row(group, "kept-reset-at-reuse", "Resets a kept connection when the next request arrives: asked once more")
            .on_reuse(|_| Ok(Then::Reset))
            .calls(OK, 2)
            .word(Some("healthy"))
            .seen(1, 1),
        row(group, "kept-fin-in-answer", "Closes a kept connection in the middle of the next answer")
            .on_reuse(|x| {
                x.send("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"status\"")?;
                Ok(Then::Close)
            })
            .calls(NETWORK, 1)
            .phase("read"),
        Row {
            warm: true,
            fault: super::Fault::IdleClosed,
            ..row(group, "kept-closed-idle", "Closes a kept connection just before the next request")
                .calls(OK, 1)
                .up_to(2)
                .word(Some("healthy"))
                .unseen()
        },
        row(
            group,
            "kept-garbage-before-reuse",
            "Sends an answer and, with it, bytes that nobody asked for: the connection is not used again",
        )
        .on_request(|x| {
            // In one piece: what comes later may meet a request that is on its way, and nobody could tell whose answer it is.
            let body = x.body();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
            let stale = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n\"stale-1\"";
            x.send([head.as_bytes(), &body, stale].concat())?;
            Ok(Then::Serve)
        })
        .succeeds(1),
        row(
            group,
            "request-timeout-408",
            "Answers a request with an unasked 408 and closes, as servers do with idle connections",
        )
        .on_reuse(|x| {
            x.answer("408 Request Timeout", "connection: close\r\n", b"")?;
            Ok(Then::Close)
        })
        .calls(super::HTTP, 1)
        .http(408),
        row(group, "http09", "Answers without any head, as HTTP/0.9")
            .on_request(|x| {
                x.send("<html>hello</html>")?;
                Ok(Then::Close)
            })
            .calls(DECODE, 1)
            .artifact(super::ARTIFACT, 1),
        row(group, "ssh-banner", "Is an SSH server")
            .on_accept(|shared, mut tcp| {
                tcp.write_all(b"SSH-2.0-OpenSSH_9.6\r\n")?;
                while_broken(shared);
                Ok(())
            })
            .calls(DECODE, 1)
            .up_to(2)
            .or(NETWORK)
            .artifact(super::ARTIFACT, 1)
            .artifact_up_to(4)
            .artifact_or(NOT_READY),
        row(
            group,
            "tls-alert-on-plain-port",
            "Expects TLS where the client speaks plainly: sends a TLS alert and closes",
        )
        .on_request(|x| {
            x.send([0x15, 3, 1, 0, 2, 2, 40])?;
            Ok(Then::Close)
        })
        .calls(DECODE, 1)
        .artifact(super::ARTIFACT, 1),
    ]
}
