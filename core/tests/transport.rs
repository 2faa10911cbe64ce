//! The transport against servers that misbehave, in plain text.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod transport_support;

use std::io::Write;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use target_sdk_core::error::{Error, ErrorKind, Phase};
use target_sdk_core::transport::{Purpose, Request};
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;
use tokio::time::Instant;
use transport_support::*;

const OK: &str = "HTTP/1.1 200 OK\r\nX-One: 1\r\ncontent-length: 2\r\n\r\n{}";
const BUSY: &str = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";

/// Facts that every failure carries, and words that none does.
fn check(error: &Error, kind: ErrorKind, phase: Phase, attempts: u32) {
    assert_eq!((error.kind(), error.phase(), error.attempts()), (kind, Some(phase), Some(attempts)), "{error:?}");
    assert!(!error.message().contains("secret") && !error.message().contains("/x"), "{error}");
    assert!(error.message().contains("127.0.0.1"), "{error}");
}

#[tokio::test]
async fn connections_are_kept_and_requests_arrive_whole() {
    let (seen, mut requests) = mpsc::unbounded_channel();
    let server = Server::start(move |_, mut stream| {
        let seen = seen.clone();
        async move {
            while let Some(request) = read_request(&mut stream).await {
                seen.send(request).unwrap();
                answer(&mut stream, "200 OK", "X-One: 1\r\n", b"{\"a\":1}").await;
            }
        }
    })
    .await;
    let transport = transport();
    for _ in 0..5 {
        let response = transport.send(post(server.url())).await.unwrap();
        assert_eq!((response.status, response.attempts, response.body.as_slice()), (200, 1, b"{\"a\":1}".as_slice()));
        assert_eq!(response.header("x-one"), Some("1"));
        assert_eq!(response.version, "HTTP/1.1");
        assert_eq!(response.timing.response_size, 7);
        assert!(response.timing.time_to_first_byte.is_some());
        let request = requests.recv().await.unwrap().to_ascii_lowercase();
        assert!(request.starts_with("post /x?sessionid=secret http/1.1\r\n"), "{request}");
        assert!(request.ends_with("\r\n\r\n{\"requestid\":\"r1\"}"), "{request}");
        for header in ["accept-encoding: gzip\r\n", "content-type: application/json\r\n", "x-request-id: r1\r\n"] {
            assert!(request.contains(header), "{request}");
        }
    }
    assert_eq!(server.connections(), 1);
    let stats = transport.stats();
    assert_eq!((stats.requests, stats.attempts, stats.retries), (5, 5, 0));
    assert_eq!((stats.bytes_in, stats.bytes_out), (35, 90));
}

#[tokio::test]
async fn a_refused_connection_is_retried_and_named() {
    let port = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap().port()
    };
    let error = transport().send(retrying(2, post(format!("http://127.0.0.1:{port}/x?secret")))).await.unwrap_err();
    check(&error, ErrorKind::Network, Phase::Connect, 3);
    assert_eq!(error.message(), format!("connection refused by 127.0.0.1:{port}"));
    assert!(error.retryable());
}

#[tokio::test]
async fn a_connection_closed_before_the_answer_is_not_retried_for_a_post_but_for_a_get() {
    let server = Server::start(|number, mut stream| async move {
        read_request(&mut stream).await;
        if number == 3 {
            answer(&mut stream, "200 OK", "", b"{}").await;
        }
    })
    .await;
    let transport = transport();
    let error = transport.send(retrying(2, post(server.url()))).await.unwrap_err();
    check(&error, ErrorKind::Network, Phase::Wait, 1);
    assert!(error.message().contains("closed the connection before answering"), "{error}");
    let response = transport.send(retrying(2, get(server.url()))).await.unwrap();
    assert_eq!(response.attempts, 3);
}

#[tokio::test]
async fn a_reset_is_a_network_error() {
    let server = Server::start(|_, mut stream| async move {
        read_request(&mut stream).await;
        stream.set_zero_linger().unwrap();
    })
    .await;
    let error = transport().send(retrying(2, post(server.url()))).await.unwrap_err();
    check(&error, ErrorKind::Network, Phase::Wait, 1);
    assert!(error.message().contains("reset"), "{error}");
}

#[tokio::test]
async fn a_stall_ends_at_the_deadline_wherever_it_is() {
    for stage in 0..3 {
        let server = Server::start(move |_, mut stream| async move {
            read_request(&mut stream).await;
            match stage {
                0 => {}
                1 => stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-le").await.unwrap(),
                _ => stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{").await.unwrap(),
            }
            until_closed(&mut stream).await;
        })
        .await;
        let began = Instant::now();
        let error = transport().send(within(150, post(server.url()))).await.unwrap_err();
        let took = began.elapsed();
        let phase = if stage == 2 { Phase::Read } else { Phase::Wait };
        check(&error, ErrorKind::Timeout, phase, 1);
        assert!(took >= Duration::from_millis(150) && took < Duration::from_secs(4), "{took:?}");
    }
}

#[tokio::test]
async fn a_slow_drip_ends_at_the_deadline() {
    let server = Server::start(|_, mut stream| async move {
        read_request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n").await.unwrap();
        while stream.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let began = Instant::now();
    let error = transport().send(within(200, post(server.url()))).await.unwrap_err();
    check(&error, ErrorKind::Timeout, Phase::Read, 1);
    assert!(began.elapsed() < Duration::from_secs(4));
}

#[tokio::test]
async fn a_truncated_body_is_an_error_not_a_short_answer() {
    for head in ["content-length: 100", "transfer-encoding: chunked"] {
        let server = Server::start(move |_, mut stream| async move {
            read_request(&mut stream).await;
            let text = format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n5\r\n{{\"a\":");
            stream.write_all(text.as_bytes()).await.unwrap();
        })
        .await;
        let error = transport().send(retrying(2, post(server.url()))).await.unwrap_err();
        check(&error, ErrorKind::Network, Phase::Read, 1);
        assert!(error.message().contains("middle of its answer"), "{error}");
    }
}

#[tokio::test]
async fn bodies_over_the_cap_are_refused_while_they_stream() {
    let (sent, mut amounts) = mpsc::unbounded_channel();
    let server = Server::start(move |number, mut stream| {
        let sent = sent.clone();
        async move {
            read_request(&mut stream).await;
            if number == 0 {
                answer(&mut stream, "200 OK", "", &[b'x'; 3000]).await;
                return;
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await.unwrap();
            let mut amount = 0;
            let chunk = [b"400\r\n".as_slice(), &[b'x'; 1024], b"\r\n"].concat();
            while stream.write_all(&chunk).await.is_ok() {
                amount += 1024;
            }
            sent.send(amount).unwrap();
        }
    })
    .await;
    let transport = transport();
    for _ in 0..2 {
        let request = Request { max_body_bytes: 2000, ..post(server.url()) };
        let error = transport.send(request).await.unwrap_err();
        check(&error, ErrorKind::Decode, Phase::Decode, 1);
        assert_eq!(error.http_status(), Some(200));
        assert!(error.message().contains("limit of 2000 bytes"), "{error}");
    }
    let amount = amounts.recv().await.unwrap();
    assert!(amount < 64 << 20, "an endless body was read on: {amount}");
    assert!(transport.stats().bytes_in < 2 << 20);
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn gzip_is_read_and_its_bombs_are_not() {
    let server = Server::start(|number, mut stream| async move {
        read_request(&mut stream).await;
        let body = match number {
            0 => gzip(&b"{\"a\":1}".repeat(100)),
            1 => gzip(&vec![b' '; 64 << 20]),
            2 => gzip(b"{}").get(..10).unwrap().to_vec(),
            _ => b"{}".to_vec(),
        };
        let coding = if number == 3 { "br" } else { "gzip" };
        answer(&mut stream, "200 OK", &format!("content-encoding: {coding}\r\nconnection: close\r\n"), &body).await;
    })
    .await;
    let transport = transport();
    let request = || Request { max_body_bytes: 256 << 20, ..post(server.url()) };
    let response = transport.send(request()).await.unwrap();
    assert_eq!(response.body, b"{\"a\":1}".repeat(100));
    assert!(response.timing.response_size < 100);
    for words in ["expands more than 200-fold", "not valid gzip", "in the encoding br"] {
        let error = transport.send(request()).await.unwrap_err();
        check(&error, ErrorKind::Decode, Phase::Decode, 1);
        assert!(error.message().contains(words), "{error}");
        assert!(!error.retryable());
    }
}

#[tokio::test]
async fn transient_statuses_are_retried_with_the_same_request() {
    let (seen, requests) = (Arc::new(Mutex::new(Vec::new())), 2);
    let log = Arc::clone(&seen);
    let server = Server::start(move |_, mut stream| {
        let log = Arc::clone(&log);
        async move {
            while let Some(request) = read_request(&mut stream).await {
                let count = {
                    let mut log = log.lock().unwrap();
                    log.push(request);
                    log.len()
                };
                let text = if count < requests { BUSY } else { OK };
                stream.write_all(text.as_bytes()).await.unwrap();
            }
        }
    })
    .await;
    let transport = transport();
    let response = transport.send(retrying(1, post(server.url()))).await.unwrap();
    assert_eq!(response.attempts, 2);
    let seen = seen.lock().unwrap();
    assert_eq!(seen[0], seen[1], "a retry is the same request");
    assert_eq!(transport.stats().retries, 1);
    assert_eq!(server.connections(), 1, "the connection of a 503 is kept");
}

#[tokio::test]
async fn statuses_and_their_attempts() {
    for (status, attempts, retryable) in [
        ("400 Bad Request", 1, false),
        ("401 Unauthorized", 1, false),
        ("403 Forbidden", 1, false),
        ("404 Not Found", 1, false),
        ("408 Request Timeout", 1, false),
        ("429 Too Many Requests", 3, true),
        ("500 Internal Server Error", 1, true),
        ("502 Bad Gateway", 3, true),
        ("503 Service Unavailable", 3, true),
        ("504 Gateway Timeout", 3, true),
        ("302 Found", 1, false),
    ] {
        let server = Server::start(move |_, mut stream| async move {
            while read_request(&mut stream).await.is_some() {
                let body = b"{\"message\":\"no such client\",\"tntId\":\"0123456789abcdef0123\"}";
                answer(&mut stream, status, "location: /y\r\n", body).await;
            }
        })
        .await;
        let error = transport().send(retrying(2, post(server.url()))).await.unwrap_err();
        check(&error, ErrorKind::Http, Phase::Wait, attempts);
        assert_eq!(error.http_status(), status.split(' ').next().map(|code| code.parse().unwrap()));
        assert_eq!(error.retryable(), retryable, "{status}");
        assert!(error.message().ends_with(&format!("answered {status}")), "{error}");
        let document = error.to_json(-12, "X");
        assert!(document.contains("no such client") && !document.contains("0123456789abcdef"), "{document}");
    }
}

#[tokio::test]
async fn retry_after_is_honoured_within_the_deadline() {
    const WAIT: &str = "HTTP/1.1 429 Too Many Requests\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n";
    let (server, _) = Server::answering(&[WAIT, OK]).await;
    let began = Instant::now();
    let response = transport().send(retrying(1, post(server.url()))).await.unwrap();
    assert_eq!(response.attempts, 2);
    let took = began.elapsed();
    assert!(took >= Duration::from_secs(1) && took < Duration::from_secs(4), "{took:?}");

    // A wait that the deadline does not allow is not begun.
    let (server, served) = Server::answering(&[WAIT, OK]).await;
    let began = Instant::now();
    let error = transport().send(within(900, retrying(1, post(server.url())))).await.unwrap_err();
    check(&error, ErrorKind::Http, Phase::Wait, 1);
    assert!(began.elapsed() < Duration::from_millis(900));
    assert_eq!(served.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_stale_pooled_connection_is_retried_once_and_nobody_notices() {
    let server = Server::start(|number, mut stream| async move {
        read_request(&mut stream).await;
        answer(&mut stream, "200 OK", "", b"{}").await;
        // The second request of each connection but the last finds a server that closes without a word.
        read_request(&mut stream).await;
        if number == 1 {
            answer(&mut stream, "200 OK", "", b"{}").await;
        }
    })
    .await;
    let transport = transport();
    transport.send(post(server.url())).await.unwrap();
    let response = transport.send(retrying(1, post(server.url()))).await.unwrap();
    assert_eq!((response.attempts, server.connections()), (2, 2));
    let stats = transport.stats();
    assert_eq!((stats.attempts, stats.retries), (3, 1));
}

#[tokio::test]
async fn dropping_the_call_closes_the_connection() {
    let (closed, mut times) = mpsc::unbounded_channel();
    let server = Server::start(move |_, mut stream| {
        let closed = closed.clone();
        async move {
            read_request(&mut stream).await;
            until_closed(&mut stream).await;
            closed.send(Instant::now()).unwrap();
        }
    })
    .await;
    let transport = transport();
    let call = tokio::spawn({
        let transport = transport.clone();
        let request = post(server.url());
        async move { transport.send(request).await }
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    call.abort();
    let aborted = Instant::now();
    let closed = tokio::time::timeout(Duration::from_secs(1), times.recv()).await.unwrap().unwrap();
    assert!(closed.saturating_duration_since(aborted) < Duration::from_secs(1));
}

#[tokio::test]
async fn a_host_that_keeps_failing_is_left_alone_and_found_again() {
    let (server, served) = Server::answering(&[BUSY]).await;
    let transport = transport();
    for _ in 0..20 {
        let error = transport.send(post(server.url())).await.unwrap_err();
        assert_eq!(error.http_status(), Some(503));
    }
    let began = Instant::now();
    let error = transport.send(retrying(2, post(server.url()))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::CircuitOpen);
    assert!(error.retryable() && began.elapsed() < Duration::from_secs(1));
    assert_eq!(served.load(Ordering::SeqCst), 20);
    assert_eq!((transport.stats().breaker_opens, transport.stats().breaker_refusals), (1, 1));
    // Other purposes have a breaker of their own.
    let error = transport.send(get(server.url())).await.unwrap_err();
    assert_eq!(error.http_status(), Some(503));
    // After the pause, one request asks.
    tokio::time::sleep(Duration::from_millis(2250)).await;
    let error = transport.send(post(server.url())).await.unwrap_err();
    assert_eq!(error.http_status(), Some(503));
    let error = transport.send(post(server.url())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::CircuitOpen);
}

#[tokio::test]
async fn impatient_calls_say_nothing_about_the_host() {
    let server = Server::start(|_, mut stream| async move {
        read_request(&mut stream).await;
        until_closed(&mut stream).await;
    })
    .await;
    let transport = transport();
    for _ in 0..30 {
        let error = transport.send(within(5, post(server.url()))).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout);
    }
    assert_eq!(transport.stats().breaker_opens, 0);
}

#[tokio::test]
async fn retries_stop_when_their_budget_is_spent() {
    const NOW: &str = "HTTP/1.1 429 Too Many Requests\r\ncontent-length: 0\r\n\r\n";
    let (server, served) = Server::answering(&[NOW]).await;
    let transport = transport();
    let calls = (0..40).map(|_| transport.send(retrying(1, post(server.url()))));
    let results = futures_util::future::join_all(calls).await;
    assert!(results.iter().all(Result::is_err));
    let stats = transport.stats();
    // Ten are always allowed, and a tenth of forty.
    assert!((10..=14).contains(&stats.retries), "{stats:?}");
    assert_eq!(stats.budget_exhausted + stats.retries, 40);
    assert_eq!(served.load(Ordering::SeqCst) as u64, 40 + stats.retries);
}

#[tokio::test]
async fn private_addresses_are_refused_when_asked() {
    let (server, served) = Server::answering(&[OK]).await;
    let port = server.port;
    for host in ["127.0.0.1", "localhost", "2130706433", "0x7f.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254"]
    {
        let request = Request { private_addresses_allowed: false, ..get(format!("http://{host}:{port}/x")) };
        let error = transport().send(retrying(2, request)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Network, "{host}");
        assert!(error.message().contains("refused here") && !error.retryable(), "{error}");
    }
    assert_eq!(served.load(Ordering::SeqCst), 0);
    let response = transport().send(get(format!("http://localhost:{port}/x"))).await.unwrap();
    assert!(response.timing.dns.is_some(), "localhost was looked up");
}

#[tokio::test]
async fn a_name_that_does_not_exist_is_a_dns_error() {
    let error = transport().send(retrying(1, post("http://no-such-host.invalid/x?secret"))).await.unwrap_err();
    assert_eq!((error.kind(), error.phase(), error.attempts()), (ErrorKind::Network, Some(Phase::Dns), Some(2)));
    assert!(error.message().contains("no-such-host.invalid") && !error.message().contains("secret"), "{error}");
}

#[tokio::test]
async fn artifact_redirects_are_followed_within_the_host_three_times() {
    let server = Server::start(|_, mut stream| async move {
        while let Some(request) = read_request(&mut stream).await {
            let hop = request.split(' ').nth(1).unwrap().trim_start_matches("/hop").parse().unwrap_or(9);
            match hop {
                0 => answer(&mut stream, "200 OK", "", b"{}").await,
                9 => answer(&mut stream, "302 Found", "location: http://localhost/other\r\n", b"").await,
                n => answer(&mut stream, "302 Found", &format!("location: /hop{}\r\n", n - 1), b"").await,
            }
        }
    })
    .await;
    let transport = transport();
    let at = |path: &str| get(format!("http://127.0.0.1:{}{path}", server.port));
    assert_eq!(transport.send(at("/hop3")).await.unwrap().attempts, 4);
    for (path, words) in [("/hop4", "too many redirects"), ("/away", "another host")] {
        let error = transport.send(at(path)).await.unwrap_err();
        assert_eq!((error.kind(), error.http_status()), (ErrorKind::Http, Some(302)));
        assert!(error.message().contains(words), "{error}");
    }
    let delivery = Request { purpose: Purpose::Delivery, ..at("/hop1") };
    assert_eq!(transport.send(delivery).await.unwrap_err().http_status(), Some(302), "delivery follows none");
}

#[tokio::test]
async fn header_values_cannot_break_out() {
    let (server, served) = Server::answering(&[OK]).await;
    for value in ["a\r\nx-evil: 1", "a\nb", "a\0b"] {
        let request = Request { headers: vec![("x-request-id", value.into())], ..post(server.url()) };
        let error = transport().send(request).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidOptions);
        assert!(error.message().contains("x-request-id") && !error.message().contains("evil"));
    }
    assert_eq!(served.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn garbage_instead_of_http_is_a_decode_error() {
    let (server, _) = Server::answering(&["SSH-2.0-OpenSSH_9.6\r\n\r\n"]).await;
    let error = transport().send(retrying(1, post(server.url()))).await.unwrap_err();
    check(&error, ErrorKind::Decode, Phase::Wait, 1);
}

#[tokio::test]
async fn lanes_keep_artifact_downloads_from_crowding() {
    let server = Server::start(|_, mut stream| async move {
        read_request(&mut stream).await;
        until_closed(&mut stream).await;
    })
    .await;
    let transport = transport();
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let (transport, request) = (transport.clone(), get(server.url()));
        calls.spawn(async move { transport.send(request).await });
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(server.connections(), 4);
    let error = transport.send(within(50, get(server.url()))).await.unwrap_err();
    check(&error, ErrorKind::Timeout, Phase::Queue, 0);
    let error = transport.send(within(50, post(server.url()))).await.unwrap_err();
    check(&error, ErrorKind::Timeout, Phase::Wait, 1);
    calls.shutdown().await;
    let error = transport.send(within(50, get(server.url()))).await.unwrap_err();
    check(&error, ErrorKind::Timeout, Phase::Wait, 1);
}
