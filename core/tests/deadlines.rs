//! A call ends at its deadline wherever it hangs, and leaves nothing behind.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

mod transport_support;

use std::time::Duration;

use target_sdk_core::config::ProxyConfig;
use target_sdk_core::error::{ErrorKind, Phase};
use target_sdk_core::transport::{Request, Transport};
use tokio::io::AsyncWriteExt;
use tokio::time::Instant;
use transport_support::*;

const DEADLINE: Duration = Duration::from_millis(150);

/// Where the server gets stuck.
const PLACES: [(&str, &str, u64, Phase); 5] = [
    ("never answers", "", 0, Phase::Wait),
    ("drips its head", "HTTP/1.1 200 OK\r\nx: ", 10, Phase::Wait),
    ("drips its body", "HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n", 10, Phase::Read),
    ("drips an error page", "HTTP/1.1 400 Bad Request\r\ncontent-length: 10000\r\n\r\n", 10, Phase::Read),
    ("stalls the handshake", "", 0, Phase::Tls),
];

#[tokio::test]
async fn nothing_outlives_its_deadline() {
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    for (place, answer, drip, phase) in PLACES {
        let server = Server::start(move |_, mut stream| async move {
            if place != "stalls the handshake" {
                read_request(&mut stream).await;
            }
            let mut alive = stream.write_all(answer.as_bytes()).await.is_ok();
            while alive && drip > 0 {
                tokio::time::sleep(Duration::from_millis(drip)).await;
                alive = stream.write_all(b"x").await.is_ok();
            }
            until_closed(&mut stream).await;
        })
        .await;
        let transport = transport();
        let before = tasks();
        let calls = (0..16).map(|nth| {
            let (transport, mut request) = (transport.clone(), post(server.url()));
            if place == "stalls the handshake" {
                request.url = request.url.replace("http://", "https://").into();
            }
            // Some may repeat what they cannot finish.
            request.max_retries = nth % 3;
            async move {
                let began = Instant::now();
                let request = Request { deadline: began + DEADLINE, ..request };
                let error = transport.send(request).await.map(|_| ()).expect_err(place);
                (error, began.elapsed())
            }
        });
        for (error, took) in futures_util::future::join_all(calls).await {
            assert_eq!((error.kind(), error.phase()), (ErrorKind::Timeout, Some(phase)), "{place}: {error}");
            assert!(error.message().contains("ran out of time after"), "{place}: {error}");
            // The upper bound is for a busy machine; timers are exact to a millisecond.
            assert!(took >= DEADLINE && took < Duration::from_secs(5), "{place}: {took:?}");
        }
        assert_eq!(server.connections(), 16, "{place}");
        // Tasks of the client, and those of the server, which end when their connections do.
        let ended = Instant::now();
        while tasks() > before {
            assert!(ended.elapsed() < Duration::from_secs(10), "{place}: {} tasks stay", tasks() - before);
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

/// A server that never reads: the call ends at its deadline, and ten seconds later its socket and its body are gone, too.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_server_that_never_reads_keeps_nothing() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/x", listener.local_addr().unwrap());
    // Accepted, and kept as it is.
    std::thread::spawn(move || listener.incoming().collect::<Vec<_>>());
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let (transport, before) = (transport(), tasks());
    let calls = (0..4).map(|_| {
        let request = Request { body: Some("x".repeat(8 << 20).into()), ..post(url.clone()) };
        let transport = transport.clone();
        async move { transport.send(within(500, request)).await }
    });
    for outcome in futures_util::future::join_all(calls).await {
        let error = outcome.map(|_| ()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    }
    let ended = Instant::now();
    while tasks() > before {
        assert!(ended.elapsed() < Duration::from_secs(40), "{} tasks stay", tasks() - before);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_stalled_proxy_is_no_excuse() {
    let server = Server::start(|_, mut stream| async move { until_closed(&mut stream).await }).await;
    for scheme in ["http", "https", "socks5"] {
        let mut config = config();
        config.connect_timeout = Duration::from_secs(60);
        config.proxy = Some(ProxyConfig {
            url: format!("{scheme}://127.0.0.1:{}", server.port),
            username: None,
            password: None,
            no_proxy: None,
        });
        let began = Instant::now();
        let request = Request { deadline: began + DEADLINE, ..post("https://192.0.2.1/x") };
        let error = Transport::new(&config).unwrap().send(request).await.map(|_| ()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout, "{scheme}: {error}");
        assert!(began.elapsed() >= DEADLINE && began.elapsed() < Duration::from_secs(5), "{scheme}");
    }
}

/// Deadlines at the ends of their range: gone by, and half a century away.
#[tokio::test]
async fn any_deadline_is_one() {
    let (server, _) = Server::answering(&["HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"]).await;
    let transport = transport();
    for ms in [u64::from(u32::MAX), u64::from(u32::MAX) * 365, 86_400_000 * 365 * 30] {
        assert!(transport.send(within(ms, post(server.url()))).await.is_ok(), "{ms}");
    }
    let began = Instant::now();
    let gone_by = Request { deadline: began, ..post("http://192.0.2.1/") };
    let error = transport.send(gone_by).await.map(|_| ()).unwrap_err();
    assert_eq!((error.kind(), error.phase(), error.attempts()), (ErrorKind::Timeout, Some(Phase::Queue), Some(0)));
    assert!(began.elapsed() < Duration::from_secs(5));
}
