//! Heads of answers.

use super::{DECODE, HTTP, NOT_READY, OK, Row, row};
use crate::server::Then;

fn with(headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\n{headers}content-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

pub(super) fn rows() -> Vec<Row> {
    let group = "heads";
    let accepted = |name: &'static str, what: &'static str, headers: fn() -> String| {
        row(group, name, what).answers(move |body| with(&headers(), body)).succeeds(1)
    };
    let refused = |name: &'static str, what: &'static str, headers: fn() -> String| {
        row(group, name, what).answers(move |body| with(&headers(), body)).calls(DECODE, 1).artifact(super::ARTIFACT, 1)
    };
    vec![
        accepted("ninety-headers", "Sends ninety headers", || (0..90).map(|n| format!("x-{n}: {n}\r\n")).collect()),
        refused("ten-thousand-headers", "Sends ten thousand headers", || {
            (0..10_000).map(|n| format!("x-{n}: {n}\r\n")).collect()
        }),
        refused("thousand-cookies", "Sends a thousand cookies", || {
            (0..1000).map(|n| format!("set-cookie: canary{n}=1\r\n")).collect()
        }),
        refused("header-1-mib", "Sends a header of a megabyte", || format!("x: {}\r\n", "y".repeat(1 << 20))),
        refused("header-with-nul", "Sends a header with a NUL in it", || "x: a\0b\r\n".to_owned()),
        refused("header-without-colon", "Sends a line that is no header", || "hello\r\n".to_owned()),
        refused("header-folded", "Sends a header folded over two lines, as was once allowed", || {
            "x: a\r\n b\r\n".to_owned()
        }),
        accepted("cookies", "Sets cookies: they are neither kept nor sent", || {
            "set-cookie: canary=1; Path=/\r\n".repeat(20)
        }),
        accepted("latin-1-header", "Sends a header that is not ASCII", || "x-city: M\u{fc}nchen\r\n".to_owned()),
        row(group, "status-line-garbage", "Sends a status line without a number")
            .on_request(|x| {
                x.send("HTTP/1.1 fine OK\r\ncontent-length: 2\r\n\r\n{}")?;
                Ok(Then::Close)
            })
            .calls(DECODE, 1)
            .artifact(super::ARTIFACT, 1),
        row(group, "status-999", "Answers with status 999")
            .on_request(|x| {
                let body = x.body();
                x.answer("999 Whatever", "", &body)?;
                Ok(Then::Serve)
            })
            .calls(HTTP, 1)
            .http(999)
            .artifact(super::ARTIFACT, 1),
        row(group, "http-2-0-in-text", "Names a version of HTTP that it does not speak")
            .on_request(|x| {
                x.send("HTTP/3.7 200 OK\r\ncontent-length: 2\r\n\r\n{}")?;
                Ok(Then::Close)
            })
            .calls(DECODE, 1)
            .artifact(super::ARTIFACT, 1),
        row(group, "continue-once", "Sends an unasked `100 Continue` before the answer")
            .answers(|body| [&b"HTTP/1.1 100 Continue\r\n\r\n"[..], &with("", body)].concat())
            .succeeds(1),
        row(group, "continue-many", "Sends `100 Continue` a thousand times before the answer")
            .answers(|body| [b"HTTP/1.1 100 Continue\r\n\r\n".repeat(1000), with("", body)].concat())
            .succeeds(1),
        row(group, "early-hints-many", "Sends `103 Early Hints` a thousand times before the answer")
            .answers(|body| {
                [b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n".repeat(1000), with("", body)].concat()
            })
            .succeeds(1),
        row(group, "continue-for-ever", "Sends `100 Continue` for ever")
            .on_request(|x| {
                loop {
                    x.send("HTTP/1.1 100 Continue\r\n\r\n")?;
                    std::thread::sleep(std::time::Duration::from_millis(5));
                }
            })
            .times_out(2500, "wait", 1)
            .artifact(NOT_READY, 1),
        row(group, "switching-protocols", "Answers 101 Switching Protocols")
            .on_request(|x| {
                x.send("HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n")?;
                Ok(Then::Close)
            })
            .calls(HTTP, 1)
            .http(101)
            .artifact(super::ARTIFACT, 1),
        row(group, "no-content", "Answers 204: an answer without offers")
            .on_request(|x| {
                x.send("HTTP/1.1 204 No Content\r\n\r\n")?;
                Ok(Then::Serve)
            })
            .calls(OK, 1)
            .word(None)
            .artifact(super::ARTIFACT, 1),
        row(group, "no-content-with-body", "Answers 204 with a body: not read, the connection is not used again")
            .on_request(|x| {
                x.send("HTTP/1.1 204 No Content\r\ncontent-length: 7\r\n\r\n\"stale\"")?;
                Ok(Then::Serve)
            })
            .calls(OK, 1)
            .word(None)
            .artifact(super::ARTIFACT, 1),
        Row {
            later: "artifactNotModified",
            ..row(group, "not-modified-unasked", "Answers 304 to a request without conditions")
                .on_request(|x| {
                    x.send("HTTP/1.1 304 Not Modified\r\n\r\n")?;
                    Ok(Then::Serve)
                })
                .calls(HTTP, 1)
                .http(304)
                .artifact(super::ARTIFACT, 1)
        },
        Row {
            later: "artifactNotModified",
            ..row(group, "not-modified-with-body", "Answers 304 with a body to a request without conditions")
                .on_request(|x| {
                    x.send("HTTP/1.1 304 Not Modified\r\ncontent-length: 7\r\n\r\n\"stale\"")?;
                    Ok(Then::Serve)
                })
                .calls(HTTP, 1)
                .http(304)
                .artifact(super::ARTIFACT, 1)
        },
    ]
}
