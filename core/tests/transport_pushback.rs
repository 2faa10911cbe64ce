//! What a server may ask of its clients: to come back later, not to be overrun, to be left alone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod transport_support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use target_sdk_core::error::{Error, ErrorKind, Phase};
use target_sdk_core::transport::{Request, Transport};
use tokio::io::AsyncWriteExt;
use tokio::time::Instant;
use transport_support::*;

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";

/// A server that answers everything with `head` (no body) until `well` is set.
async fn ill(head: String) -> (Server, Arc<AtomicUsize>, Arc<AtomicBool>) {
    let (served, well) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let shared = (Arc::clone(&served), Arc::clone(&well));
    let server = Server::start(move |_, mut stream| {
        let ((served, well), head) = (shared.clone(), head.clone());
        async move {
            while read_request(&mut stream).await.is_some() {
                served.fetch_add(1, Ordering::SeqCst);
                let text = if well.load(Ordering::SeqCst) {
                    OK.to_owned()
                } else {
                    format!("{head}content-length: 0\r\n\r\n")
                };
                if stream.write_all(text.as_bytes()).await.is_err() {
                    return;
                }
            }
        }
    })
    .await;
    (server, served, well)
}

async fn failed(transport: &Transport, request: Request<'_>) -> Error {
    transport.send(request).await.map(|_| ()).unwrap_err()
}

/// Each form of Retry-After: for how many seconds later calls are refused, if at all.
#[tokio::test]
async fn retry_after_is_remembered_over_calls() {
    for (header, rest) in [
        ("retry-after: 5\r\n", Some(5..=6)),
        ("retry-after:   40  \r\n", Some(40..=44)),
        ("date: Sun, 06 Nov 1994 08:49:37 GMT\r\nretry-after: Sun, 06 Nov 1994 08:50:37 GMT\r\n", Some(60..=66)),
        ("date: Sun, 06 Nov 1994 08:49:37 GMT\r\nretry-after: Sun, 06 Nov 1994 08:49:37 GMT\r\n", None),
        ("date: Sun, 06 Nov 1994 08:49:37 GMT\r\nretry-after: Sun, 06 Nov 1994 07:00:00 GMT\r\n", None),
        ("retry-after: Sun, 06 Nov 2044 08:50:37 GMT\r\n", Some(30..=33)),
        ("retry-after: 1000000000000000000\r\n", Some(3600..=3960)),
        ("retry-after: 99999999999999999999999999999999\r\n", Some(3600..=3960)),
        ("retry-after: 0\r\n", None),
        ("retry-after: -1\r\n", None),
        ("retry-after: +7\r\n", None),
        ("retry-after: 1.5\r\n", None),
        ("retry-after: soon\r\n", None),
        ("retry-after: \r\n", None),
        ("retry-after: \u{ff}\r\n", None),
        ("", None),
    ] {
        for status in ["429 Too Many Requests", "503 Service Unavailable"] {
            let (server, served, _) = ill(format!("HTTP/1.1 {status}\r\n{header}")).await;
            let transport = transport();
            let code = status.split(' ').next().unwrap().parse().unwrap();
            let error = failed(&transport, within(4_000, post(server.url()))).await;
            assert_eq!((error.kind(), error.http_status()), (ErrorKind::Http, Some(code)));
            let error = failed(&transport, within(4_000, post(server.url()))).await;
            let stats = transport.stats();
            let Some(rest) = rest.clone() else {
                assert_eq!((error.kind(), served.load(Ordering::SeqCst)), (ErrorKind::Http, 2), "{header:?}");
                assert_eq!((stats.resting_hosts, stats.rest_refusals), (0, 0));
                continue;
            };
            assert_eq!((error.kind(), error.attempts()), (ErrorKind::CircuitOpen, Some(0)), "{header:?}: {error}");
            assert_eq!((error.http_status(), error.retryable()), (Some(code), true));
            let words = error.message().split_once("wants no requests for another ").unwrap().1;
            let seconds: u64 = words.trim_end_matches(" s").parse().unwrap();
            assert!(rest.contains(&seconds), "{header:?}: {error}");
            assert_eq!(served.load(Ordering::SeqCst), 1, "{header:?}: it is not asked");
            assert_eq!((stats.resting_hosts, stats.rest_refusals), (1, 1));
            // An endpoint is a host and a purpose.
            let error = failed(&transport, get(server.url())).await;
            assert_eq!((error.kind(), served.load(Ordering::SeqCst)), (ErrorKind::Http, 2));
        }
    }
}

#[tokio::test]
async fn a_call_waits_for_a_resting_host_if_its_deadline_allows() {
    let (server, served, well) = ill("HTTP/1.1 429 Too Many Requests\r\nretry-after: 1\r\n".to_owned()).await;
    let transport = transport();
    failed(&transport, post(server.url())).await;
    let asked = Instant::now();
    well.store(true, Ordering::SeqCst);
    let calls = (0..10).map(|_| transport.send(within(20_000, post(server.url()))));
    for response in futures_util::future::join_all(calls).await {
        assert_eq!(response.unwrap().attempts, 1, "the wait is no attempt");
    }
    assert!(asked.elapsed() >= Duration::from_millis(900), "{:?}", asked.elapsed());
    assert_eq!(served.load(Ordering::SeqCst), 11);
    assert_eq!(transport.stats().resting_hosts, 0);
}

/// Nobody waits for half an hour, however patient.
#[tokio::test]
async fn a_long_rest_is_not_waited_for() {
    let (server, _, _) = ill("HTTP/1.1 503 Service Unavailable\r\nretry-after: 1800\r\n".to_owned()).await;
    let transport = transport();
    let began = Instant::now();
    let error = failed(&transport, within(7_200_000, retrying(3, post(server.url())))).await;
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::Http, Some(1)));
    let error = failed(&transport, within(7_200_000, post(server.url()))).await;
    assert_eq!(error.kind(), ErrorKind::CircuitOpen);
    assert!(began.elapsed() < Duration::from_secs(10));
}

/// Whatever the failure, the server sees at most 1.12 times the requests.
#[tokio::test]
async fn an_outage_is_not_made_worse() {
    for status in ["429 Too Many Requests", "503 Service Unavailable"] {
        let (server, served, _) = ill(format!("HTTP/1.1 {status}\r\n")).await;
        let transport = transport();
        for _ in 0..20 {
            let calls = (0..50).map(|_| failed(&transport, retrying(2, post(server.url()))));
            futures_util::future::join_all(calls).await;
        }
        let served = served.load(Ordering::SeqCst);
        assert!(served <= 1_120, "{status}: {served} requests for 1000 calls");
        assert_eq!(transport.stats().attempts, served as u64);
    }
}

#[tokio::test]
async fn the_end_of_an_outage_is_seen_soon() {
    let (server, served, well) = ill("HTTP/1.1 503 Service Unavailable\r\n".to_owned()).await;
    let transport = transport();
    for _ in 0..20 {
        failed(&transport, post(server.url())).await;
    }
    assert_eq!(transport.stats().open_breakers, 1);
    // Impatient callers and callers that give up do not multiply the probes.
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(2_600) {
        let _ = tokio::time::timeout(Duration::from_micros(200), transport.send(within(1, post(server.url())))).await;
    }
    let probes = served.load(Ordering::SeqCst) - 20;
    assert!(probes as u128 <= began.elapsed().as_millis() / 2_000 + 1, "{probes} in {:?}", began.elapsed());
    well.store(true, Ordering::SeqCst);
    let back = Instant::now();
    while let Err(error) = transport.send(post(server.url())).await {
        assert_eq!(error.kind(), ErrorKind::CircuitOpen, "{error}");
        assert!(back.elapsed() < Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // Two seconds by the rule, the rest for a busy machine.
    assert!(back.elapsed() < Duration::from_secs(4), "{:?}", back.elapsed());
    let stats = transport.stats();
    assert_eq!((stats.breaker_opens, stats.open_breakers), (1, 0));
}

/// A server that closes idle connections just when they are used again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_closed_while_they_are_taken_cost_nothing() {
    const IDLE: Duration = Duration::from_millis(30);
    let served = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&served);
    let server = Server::start(move |_, mut stream| {
        let counter = Arc::clone(&counter);
        async move {
            // The first request may take its time.
            let mut request = read_request(&mut stream).await;
            while request.take().is_some() {
                counter.fetch_add(1, Ordering::SeqCst);
                answer(&mut stream, "200 OK", "", b"{}").await;
                request = tokio::time::timeout(IDLE, read_request(&mut stream)).await.unwrap_or(None);
            }
        }
    })
    .await;
    let url = server.url();
    let sweeps = (0..8).map(|lane| {
        let url = url.clone();
        tokio::spawn(async move {
            let transport = transport();
            for nth in 0..41_u64 {
                // Two at a time: the pool holds several that are closed together.
                let calls = (0..2).map(|_| transport.send(retrying(1, post(url.clone()))));
                for response in futures_util::future::join_all(calls).await {
                    response.unwrap_or_else(|error| panic!("lane {lane}, call {nth}: {error:?}"));
                }
                tokio::time::sleep(IDLE - Duration::from_millis(5) + Duration::from_micros(250 * nth)).await;
            }
            transport.stats()
        })
    });
    let mut answered = 0;
    for sweep in sweeps.collect::<Vec<_>>() {
        let stats = sweep.await.unwrap();
        answered += stats.requests;
    }
    assert_eq!(answered, 8 * 41 * 2);
    assert_eq!(served.load(Ordering::SeqCst) as u64, answered, "no request was answered twice");
}

/// A server that restarted: every connection in the pool is dead, and none of them shows it before it is used.
#[tokio::test]
async fn a_pool_of_dead_connections_costs_nothing() {
    let (served, restarted) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let shared = (Arc::clone(&served), Arc::clone(&restarted));
    let server = Server::start(move |number, mut stream| {
        let (served, restarted) = shared.clone();
        async move {
            while read_request(&mut stream).await.is_some() {
                if number < 4 && restarted.load(Ordering::SeqCst) {
                    return;
                }
                served.fetch_add(1, Ordering::SeqCst);
                while number < 4 && served.load(Ordering::SeqCst) < 4 {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                answer(&mut stream, "200 OK", "", b"{}").await;
            }
        }
    })
    .await;
    let transport = transport();
    let calls = (0..4).map(|_| transport.send(post(server.url())));
    assert!(futures_util::future::join_all(calls).await.iter().all(Result::is_ok));
    assert_eq!(server.connections(), 4);
    restarted.store(true, Ordering::SeqCst);
    for _ in 0..6 {
        let response = transport.send(retrying(1, post(server.url()))).await.unwrap();
        assert!(response.attempts <= 2);
    }
    assert_eq!(served.load(Ordering::SeqCst), 10);
}

/// The phases tell a wait for the host's rest from a wait for its answer.
#[tokio::test]
async fn a_deadline_within_the_spread_is_kept() {
    let (server, _, well) = ill("HTTP/1.1 429 Too Many Requests\r\nretry-after: 1\r\n".to_owned()).await;
    let transport = transport();
    failed(&transport, post(server.url())).await;
    well.store(true, Ordering::SeqCst);
    // Later than the rest (1.1 s at most), and hardly later: sent all the same, or refused, but never late.
    for ms in [1_150, 1_200] {
        let began = Instant::now();
        match transport.send(within(ms, post(server.url()))).await {
            Ok(response) => assert_eq!(response.attempts, 1),
            Err(error) => assert!(
                error.kind() == ErrorKind::CircuitOpen
                    || (error.kind() == ErrorKind::Timeout && error.phase() != Some(Phase::Read)),
                "{error}"
            ),
        }
        assert!(began.elapsed() < Duration::from_secs(4));
    }
}
