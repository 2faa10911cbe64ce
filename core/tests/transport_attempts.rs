//! Which failures are worth another attempt, and what the error says: one table.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod transport_support;

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use target_sdk_core::error::{ErrorKind, Phase};
use tokio::io::AsyncWriteExt;
use tokio::time::Instant;
use transport_support::*;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn encoded(encoding: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-encoding: {encoding}\r\ncontent-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// What a server does on each connection after it has read a request.
#[derive(Clone)]
enum Does {
    Says(Vec<u8>),
    /// The same, and a reset instead of a close.
    SaysAndResets(Vec<u8>),
}

use Does::{Says, SaysAndResets};

async fn doing(does: Does) -> Server {
    Server::start(move |_, mut stream| {
        let does = does.clone();
        async move {
            if read_request(&mut stream).await.is_none() {
                return;
            }
            let (Says(bytes) | SaysAndResets(bytes)) = &does;
            // The client may have seen enough before the end.
            let _ = stream.write_all(bytes).await;
            if matches!(does, SaysAndResets(_)) {
                tokio::time::sleep(Duration::from_millis(20)).await;
                stream.set_zero_linger().unwrap();
            }
        }
    })
    .await
}

fn status(line: &str) -> Does {
    Says(format!("HTTP/1.1 {line}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").into_bytes())
}

/// What fails, the attempts of a POST and of a GET that may each be tried three times, and how it is told.
#[tokio::test]
async fn failures_and_their_attempts() {
    let text = |text: &str| Says(text.as_bytes().to_vec());
    let bomb = gzip(&vec![b' '; 20 << 20]);
    let good = gzip(b"{\"a\":1}");
    let mut table = vec![
        ("close before the answer", text(""), 1, 3, ErrorKind::Network, Phase::Wait),
        ("reset before the answer", SaysAndResets(Vec::new()), 1, 3, ErrorKind::Network, Phase::Wait),
        ("close in the status line", text("HTTP/1.1 20"), 1, 3, ErrorKind::Network, Phase::Wait),
        ("close in the head", text("HTTP/1.1 200 OK\r\ncontent-le"), 1, 3, ErrorKind::Network, Phase::Wait),
        ("reset in the head", SaysAndResets(b"HTTP/1.1 200 OK\r\n".to_vec()), 1, 3, ErrorKind::Network, Phase::Wait),
        (
            "close after the head",
            text("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n"),
            1,
            3,
            ErrorKind::Network,
            Phase::Read,
        ),
        (
            "close in the body",
            text("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{\"a\""),
            1,
            3,
            ErrorKind::Network,
            Phase::Read,
        ),
        (
            "reset in the body",
            SaysAndResets(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{\"a\"".to_vec()),
            1,
            3,
            ErrorKind::Network,
            Phase::Read,
        ),
        (
            "no last chunk",
            text("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n"),
            1,
            3,
            ErrorKind::Network,
            Phase::Read,
        ),
        (
            "bad chunk size",
            text("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n"),
            1,
            1,
            ErrorKind::Decode,
            Phase::Read,
        ),
        ("garbage", text("SSH-2.0-OpenSSH_9.6\r\n\r\n"), 1, 1, ErrorKind::Decode, Phase::Wait),
        ("TLS alert", Says(vec![0x15, 3, 3, 0, 2, 2, 0x28]), 1, 1, ErrorKind::Decode, Phase::Wait),
        (
            "HTTP/2 unasked",
            Says(b"\0\0\x12\x04\0\0\0\0\0\0\x03\0\0\0\x64\0\x04\0\0\xff\xff\0\x05\0\0\x40\0".to_vec()),
            1,
            1,
            ErrorKind::Decode,
            Phase::Wait,
        ),
        (
            "two lengths",
            text("HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}"),
            1,
            1,
            ErrorKind::Decode,
            Phase::Wait,
        ),
        ("bad length", text("HTTP/1.1 200 OK\r\ncontent-length: -2\r\n\r\n{}"), 1, 1, ErrorKind::Decode, Phase::Wait),
        (
            "huge length",
            text("HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999999\r\n\r\n{}"),
            1,
            1,
            ErrorKind::Decode,
            Phase::Wait,
        ),
        (
            "length over the cap",
            text("HTTP/1.1 200 OK\r\ncontent-length: 1048577\r\n\r\n"),
            1,
            1,
            ErrorKind::Decode,
            Phase::Decode,
        ),
        (
            "header with NUL",
            text("HTTP/1.1 200 OK\r\nx: a\0b\r\ncontent-length: 2\r\n\r\n{}"),
            1,
            1,
            ErrorKind::Decode,
            Phase::Wait,
        ),
        (
            "header line of 1 MiB",
            Says(format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(1 << 20)).into_bytes()),
            1,
            1,
            ErrorKind::Decode,
            Phase::Wait,
        ),
        (
            "10,000 headers",
            Says(format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(10_000)).into_bytes()),
            1,
            1,
            ErrorKind::Decode,
            Phase::Wait,
        ),
        ("gzip that is none", Says(encoded("gzip", b"{\"a\":1}")), 1, 1, ErrorKind::Decode, Phase::Decode),
        ("gzip cut off", Says(encoded("gzip", &good[..good.len() - 9])), 1, 1, ErrorKind::Decode, Phase::Decode),
        (
            "gzip with a wrong sum",
            Says(encoded("gzip", &[&good[..good.len() - 8], &[0; 8]].concat())),
            1,
            1,
            ErrorKind::Decode,
            Phase::Decode,
        ),
        (
            "gzip and rubbish behind it",
            Says(encoded("gzip", &[good.as_slice(), b"rubbish"].concat())),
            1,
            1,
            ErrorKind::Decode,
            Phase::Decode,
        ),
        ("gzip bomb", Says(encoded("gzip", &bomb)), 1, 1, ErrorKind::Decode, Phase::Decode),
        ("gzip twice", Says(encoded("gzip, gzip", &gzip(&good))), 1, 1, ErrorKind::Decode, Phase::Decode),
        ("br unasked", Says(encoded("br", b"\x0b\x01\x80{}\x03")), 1, 1, ErrorKind::Decode, Phase::Decode),
        ("zstd unasked", Says(encoded("zstd", b"\x28\xb5\x2f\xfd")), 1, 1, ErrorKind::Decode, Phase::Decode),
        ("deflate unasked", Says(encoded("deflate", b"x")), 1, 1, ErrorKind::Decode, Phase::Decode),
        ("101", status("101 Switching Protocols"), 1, 1, ErrorKind::Http, Phase::Wait),
        (
            "redirect",
            Says(b"HTTP/1.1 307 T\r\nlocation: http://other.example/\r\ncontent-length: 0\r\n\r\n".to_vec()),
            1,
            1,
            ErrorKind::Http,
            Phase::Wait,
        ),
    ];
    for line in [
        "300 Multiple Choices",
        "400 Bad Request",
        "401 Unauthorized",
        "403 Forbidden",
        "404 Not Found",
        "408 Request Timeout",
        "409 Conflict",
        "410 Gone",
        "413 Content Too Large",
        "415 Unsupported Media Type",
        "418 I'm a teapot",
        "421 Misdirected Request",
        "425 Too Early",
        "431 Request Header Fields Too Large",
        "501 Not Implemented",
        "505 HTTP Version Not Supported",
        "599 Odd",
        "999 Odder",
    ] {
        table.push((line, status(line), 1, 1, ErrorKind::Http, Phase::Wait));
    }
    for line in ["429 Too Many Requests", "502 Bad Gateway", "503 Service Unavailable", "504 Gateway Timeout"] {
        table.push((line, status(line), 3, 3, ErrorKind::Http, Phase::Wait));
    }
    // A POST that was answered so may have been counted.
    table.push(("500", status("500 Internal Server Error"), 1, 3, ErrorKind::Http, Phase::Wait));
    assert!(table.len() > 50);
    for (name, does, of_post, of_get, kind, phase) in table {
        let server = doing(does).await;
        for (request, attempts) in [(post(server.url()), of_post), (get(server.url()), of_get)] {
            let (method, transport) = (request.method, transport());
            let before = server.connections();
            let error = transport.send(retrying(2, request)).await.map(|_| ()).expect_err(name);
            assert_eq!(
                (error.kind(), error.phase(), error.attempts()),
                (kind, Some(phase), Some(attempts)),
                "{name}, {method:?}: {error:?}"
            );
            assert_eq!(server.connections() - before, attempts as usize, "{name}, {method:?}");
            assert!(!error.message().contains("secret"), "{name}: {error}");
        }
    }
}

/// What looks odd and is allowed.
#[tokio::test]
async fn odd_answers_that_are_right() {
    let good = gzip(b"{\"a\":");
    let members = [good, gzip(b"1}")].concat();
    for (name, bytes, body) in [
        ("members of gzip", encoded("gzip", &members), "{\"a\":1}"),
        ("x-gzip", encoded("x-gzip", &gzip(b"{}")), "{}"),
        ("identity", encoded("identity", b"{}"), "{}"),
        ("empty gzip", encoded("gzip", b""), ""),
        ("equal lengths", b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\n{}".to_vec(), "{}"),
        ("until the end", b"HTTP/1.0 200 OK\r\n\r\n{}".to_vec(), "{}"),
        ("100 first", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}".to_vec(), "{}"),
        (
            "early hints",
            format!(
                "{}HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{{}}",
                "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(50)
            )
            .into_bytes(),
            "{}",
        ),
        (
            "trailers",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;x=\"y\"\r\n{}\r\n0\r\ntrailer: 1\r\n\r\n".to_vec(),
            "{}",
        ),
        (
            "tiny chunks",
            format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{}0\r\n\r\n", "1\r\n \r\n".repeat(50_000))
                .into_bytes(),
            &" ".repeat(50_000),
        ),
        (
            "more than was said",
            b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}HTTP/1.1 500 Smuggled\r\n\r\n".to_vec(),
            "{}",
        ),
        ("204", b"HTTP/1.1 204 No Content\r\n\r\n".to_vec(), ""),
    ] {
        let server = doing(Says(bytes)).await;
        let response = transport().send(post(server.url())).await.unwrap_or_else(|error| panic!("{name}: {error:?}"));
        assert_eq!((String::from_utf8(response.body).unwrap().as_str(), response.attempts), (body, 1), "{name}");
    }
}

/// What comes behind an answer is never taken for the next one.
#[tokio::test]
async fn bytes_behind_an_answer_do_not_answer_the_next_call() {
    let server = Server::start(|_, mut stream| async move {
        let mut first = true;
        while let Some(request) = read_request(&mut stream).await {
            let mine = format!("{{\"for\":{:?}}}", request.split(' ').nth(1).unwrap());
            answer(&mut stream, "200 OK", "", mine.as_bytes()).await;
            if std::mem::take(&mut first) {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\n\"not yours\"").await;
            }
        }
    })
    .await;
    let transport = transport();
    for nth in 0..20 {
        let url = format!("http://127.0.0.1:{}/{nth}", server.port);
        let response = transport.send(retrying(1, post(url))).await.unwrap();
        assert_eq!(String::from_utf8(response.body).unwrap(), format!("{{\"for\":\"/{nth}\"}}"));
    }
}

/// Endless answers stop at the caps, in every part of them.
#[tokio::test]
async fn endless_answers_are_stopped() {
    for (name, head, piece) in [
        ("headers", "HTTP/1.1 200 OK\r\n", "x: y\r\n".repeat(100)),
        ("one header", "HTTP/1.1 200 OK\r\nx: ", "y".repeat(4096)),
        ("status line", "HTTP/1.1 200 ", "y".repeat(4096)),
        ("body", "HTTP/1.1 200 OK\r\n\r\n", "y".repeat(65_536)),
        (
            "chunks",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
            format!("1000\r\n{}\r\n", "y".repeat(4096)),
        ),
        ("chunk extension", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;x=", "y".repeat(4096)),
        ("trailers", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n", "x: y\r\n".repeat(100)),
        ("error page", "HTTP/1.1 400 Bad\r\n\r\n", "y".repeat(65_536)),
    ] {
        let sent = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&sent);
        let server = Server::start(move |_, mut stream| {
            let (counter, piece) = (Arc::clone(&counter), piece.clone());
            async move {
                read_request(&mut stream).await;
                let _ = stream.write_all(head.as_bytes()).await;
                while stream.write_all(piece.as_bytes()).await.is_ok() {
                    counter.fetch_add(piece.len(), Ordering::SeqCst);
                }
            }
        })
        .await;
        let began = Instant::now();
        let error = transport().send(within(60_000, post(server.url()))).await.map(|_| ()).expect_err(name);
        assert!(began.elapsed() < Duration::from_secs(30), "{name}: it was stopped by the deadline only");
        assert!(matches!(error.kind(), ErrorKind::Decode | ErrorKind::Network | ErrorKind::Http), "{name}: {error:?}");
        // The cap of the body is 1 MiB here; sockets hold some more.
        let sent = sent.load(Ordering::SeqCst);
        assert!(sent < 16 << 20, "{name}: {sent} bytes were taken");
    }
}

/// Informational answers are skipped for as long as they come: the deadline ends that.
#[tokio::test]
async fn endless_early_hints_end_at_the_deadline() {
    let server = Server::start(|_, mut stream| async move {
        read_request(&mut stream).await;
        while stream.write_all(b"HTTP/1.1 103 Early Hints\r\n\r\n").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    let began = Instant::now();
    let error = transport().send(within(300, post(server.url()))).await.map(|_| ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(began.elapsed() < Duration::from_secs(5));
}
