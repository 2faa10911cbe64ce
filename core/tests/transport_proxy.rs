//! The transport through proxies, good and bad ones.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod transport_support;

use std::time::Duration;

use target_sdk_core::config::{ProxyConfig, TransportConfig};
use target_sdk_core::error::{ErrorKind, Phase};
use target_sdk_core::transport::{Request, Transport};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::Instant;
use transport_support::tls::*;
use transport_support::*;

/// A proxy that wants `user:pass word`, makes tunnels and forwards nothing else.
async fn proxy(seen: mpsc::UnboundedSender<String>) -> Server {
    Server::start(move |_, mut stream| {
        let seen = seen.clone();
        async move {
            let Some(request) = read_request(&mut stream).await else { return };
            seen.send(request.lines().next().unwrap().to_owned()).unwrap();
            if !request.to_ascii_lowercase().contains("proxy-authorization: basic dxnlcjpwyxnzihdvcmq=\r\n") {
                let extra = "proxy-authenticate: Basic\r\n";
                answer(&mut stream, "407 Proxy Authentication Required", extra, b"").await;
                return;
            }
            if request.starts_with("CONNECT ") {
                let to = request.split(' ').nth(1).unwrap().replace("localhost", "127.0.0.1");
                let mut server = TcpStream::connect(to).await.unwrap();
                stream.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").await.unwrap();
                // Either side may end it.
                let _ = tokio::io::copy_bidirectional(&mut stream, &mut server).await;
            } else {
                answer(&mut stream, "200 OK", "", b"\"forwarded\"").await;
            }
        }
    })
    .await
}

fn through(proxy: &Server, password: &str, config: TransportConfig) -> TransportConfig {
    let proxy = ProxyConfig {
        url: format!("http://127.0.0.1:{}", proxy.port),
        username: Some("user".to_owned()),
        password: Some(password.to_owned()),
        no_proxy: Some("direct.example, 192.0.2.0/24".to_owned()),
    };
    TransportConfig { proxy: Some(proxy), ..config }
}

#[tokio::test]
async fn https_goes_through_the_proxy_s_tunnel_with_its_password() {
    let authority = Authority::new();
    let server = tls_server(authority.acceptor("localhost", &["h2"], None)).await;
    let (seen, mut requests) = mpsc::unbounded_channel();
    let proxy = proxy(seen).await;
    let transport = Transport::new(&through(&proxy, "pass word", trusting(&authority))).unwrap();
    let response = transport.send(post(https(&server))).await.unwrap();
    assert_eq!((response.version, response.body.as_slice()), ("HTTP/2", b"{}".as_slice()));
    assert_eq!(requests.recv().await.unwrap(), format!("CONNECT localhost:{} HTTP/1.1", server.port));

    let plain = transport.send(post("http://target.example/x")).await.unwrap();
    assert_eq!(plain.body, b"\"forwarded\"");
    assert_eq!(requests.recv().await.unwrap(), "POST http://target.example/x HTTP/1.1");
}

#[tokio::test]
async fn a_proxy_that_wants_another_password_is_a_network_error_that_is_not_retried() {
    let (seen, mut requests) = mpsc::unbounded_channel();
    let proxy = proxy(seen).await;
    let transport = Transport::new(&through(&proxy, "wr0ng", config())).unwrap();
    for url in ["https://target.example/x", "http://target.example/x"] {
        let error = transport.send(retrying(2, post(url))).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.phase(), error.attempts()),
            (ErrorKind::Network, Some(Phase::Connect), Some(1))
        );
        assert_eq!(error.http_status(), Some(407));
        assert!(error.message().contains("407") && !error.message().contains("wr0ng"), "{error}");
        requests.recv().await.unwrap();
    }
    assert!(requests.try_recv().is_err());
}

#[tokio::test]
async fn no_proxy_hosts_are_reached_directly_and_a_dead_proxy_is_named() {
    let (direct, _) = Server::answering(&["HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"]).await;
    let dead = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap().port()
    };
    let proxy = |no_proxy: Option<&str>| ProxyConfig {
        url: format!("http://127.0.0.1:{dead}"),
        username: None,
        password: None,
        no_proxy: no_proxy.map(str::to_owned),
    };
    for no_proxy in ["127.0.0.1", "127.0.0.0/8", "*"] {
        let config = TransportConfig { proxy: Some(proxy(Some(no_proxy))), ..config() };
        Transport::new(&config).unwrap().send(post(direct.url())).await.unwrap();
    }
    let config = TransportConfig { proxy: Some(proxy(None)), ..config() };
    let error = Transport::new(&config).unwrap().send(post(direct.url())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Network);
    assert!(error.message().contains(&format!("proxy 127.0.0.1:{dead}")), "{error}");
}

fn plain_proxy(url: String, no_proxy: Option<&str>) -> TransportConfig {
    let proxy = ProxyConfig { url, username: None, password: None, no_proxy: no_proxy.map(str::to_owned) };
    TransportConfig { proxy: Some(proxy), ..config() }
}

/// What a proxy may do with a CONNECT, and what comes of it.
#[tokio::test]
async fn a_proxy_that_misbehaves_is_a_network_error_that_names_it() {
    for (name, answered, kind, phase, words, attempts) in [
        ("drops", None, ErrorKind::Network, Phase::Connect, "proxy 127.0.0.1", 3),
        ("garbage", Some("SSH-2.0-OpenSSH\r\n\r\n"), ErrorKind::Network, Phase::Connect, "made no tunnel", 3),
        ("half an answer", Some("HTTP/1.1 200 Conn"), ErrorKind::Network, Phase::Connect, "proxy 127.0.0.1", 3),
        (
            "403",
            Some("HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n"),
            ErrorKind::Network,
            Phase::Connect,
            "made no tunnel",
            3,
        ),
        (
            "502",
            Some("HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n"),
            ErrorKind::Network,
            Phase::Connect,
            "made no tunnel",
            3,
        ),
        ("tunnel to garbage", Some("HTTP/1.1 200 OK\r\n\r\nSSH-2.0-OpenSSH\r\n"), ErrorKind::Tls, Phase::Tls, "TLS", 3),
        ("tunnel to nowhere", Some("HTTP/1.1 200 OK\r\n\r\n"), ErrorKind::Tls, Phase::Tls, "TLS", 3),
        ("endless head", Some("HTTP/1.1 200 OK\r\nx: "), ErrorKind::Network, Phase::Connect, "proxy 127.0.0.1", 3),
    ] {
        let server = Server::start(move |_, mut stream| async move {
            if read_request(&mut stream).await.is_none() {
                return;
            }
            let Some(answered) = answered else { return };
            let _ = stream.write_all(answered.as_bytes()).await;
            if name == "endless head" {
                while stream.write_all(&[b'x'; 4096]).await.is_ok() {}
            }
        })
        .await;
        let config = plain_proxy(format!("http://127.0.0.1:{}", server.port), None);
        let transport = Transport::new(&config).unwrap();
        let error = transport.send(retrying(2, post("https://target.example/x?secret"))).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.phase(), error.attempts()),
            (kind, Some(phase), Some(attempts)),
            "{name}: {error}"
        );
        assert!(error.message().contains(words) && !error.message().contains("secret"), "{name}: {error}");
        assert_eq!(server.connections(), attempts as usize, "{name}");
    }
}

#[tokio::test]
async fn a_proxy_that_stalls_ends_at_the_deadline() {
    let server = Server::start(|_, mut stream| async move { until_closed(&mut stream).await }).await;
    let patient = TransportConfig {
        connect_timeout: Duration::from_secs(60),
        ..plain_proxy(format!("http://127.0.0.1:{}", server.port), None)
    };
    let began = Instant::now();
    let error =
        Transport::new(&patient).unwrap().send(within(200, post("https://target.example/x"))).await.unwrap_err();
    assert_eq!((error.kind(), error.phase()), (ErrorKind::Timeout, Some(Phase::Connect)), "{error}");
    assert!(began.elapsed() >= Duration::from_millis(200) && began.elapsed() < Duration::from_secs(5));
}

/// A proxy that is never content is asked once for each call: passwords are not tried over and over.
#[tokio::test]
async fn a_proxy_that_always_wants_another_password_is_asked_once() {
    let (seen, mut requests) = mpsc::unbounded_channel();
    let proxy = proxy(seen).await;
    let transport = Transport::new(&through(&proxy, "n0t this", config())).unwrap();
    for _ in 0..3 {
        let error = transport.send(retrying(5, post("https://target.example/x"))).await.unwrap_err();
        assert_eq!((error.http_status(), error.attempts(), error.retryable()), (Some(407), Some(1), false));
    }
    assert_eq!(std::iter::from_fn(|| requests.try_recv().ok()).count(), 3);
}

/// Who is reached directly: hosts, domains, networks and addresses of `noProxy`.
#[tokio::test]
async fn no_proxy_names_hosts_domains_and_networks() {
    let (seen, mut requests) = mpsc::unbounded_channel();
    let proxy = proxy(seen).await;
    // Nobody listens at the direct targets: what counts is who was asked.
    for (no_proxy, host, direct) in [
        ("", "127.0.0.9", false),
        ("127.0.0.9", "127.0.0.9", true),
        ("127.0.0.9", "127.0.0.8", false),
        ("127.0.0.0/29", "127.0.0.7", true),
        ("127.0.0.0/29", "127.0.0.9", false),
        ("10.0.0.0/8, 127.0.0.0/8", "127.9.9.9", true),
        ("::1", "[::1]", true),
        ("::/64", "[::1]", true),
        ("fd00::/8", "[::1]", false),
        ("localhost", "localhost", true),
        ("example", "localhost", false),
        (" localhost , other.example", "localhost", true),
        (".sub.localhost", "localhost", false),
        ("*", "127.0.0.9", true),
        ("*", "localhost", true),
    ] {
        let mut config = through(&proxy, "pass word", config());
        config.proxy.as_mut().unwrap().no_proxy = Some(no_proxy.to_owned());
        let port = dead_port().await;
        let request = Request { max_retries: 0, ..post(format!("http://{host}:{port}/x")) };
        let outcome = Transport::new(&config).unwrap().send(request).await;
        let asked = requests.try_recv().is_ok();
        assert_eq!((asked, outcome.is_ok()), (!direct, !direct), "noProxy {no_proxy:?}, {host}: {outcome:?}");
    }
}

async fn dead_port() -> u16 {
    tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
}

/// A proxy at an IPv6 address, named as in URLs.
#[tokio::test]
async fn a_proxy_may_have_an_ipv6_address() {
    let Ok(listener) = tokio::net::TcpListener::bind("[::1]:0").await else {
        println!("SKIPPED: no IPv6 on this machine");
        return;
    };
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let request = read_request(&mut stream).await.unwrap();
        assert!(request.starts_with("POST http://[2001:db8::1]/x HTTP/1.1\r\n"), "{request}");
        answer(&mut stream, "200 OK", "", b"\"by v6\"").await;
        until_closed(&mut stream).await;
    });
    let transport = Transport::new(&plain_proxy(format!("http://[::1]:{port}"), None)).unwrap();
    let response = transport.send(post("http://[2001:db8::1]/x")).await.unwrap();
    assert_eq!(response.body, b"\"by v6\"");
}

/// Nothing else is said about a proxy than where it is.
#[tokio::test]
async fn a_wrong_kind_of_proxy_fails_clearly() {
    // An https proxy that speaks plain text, and a SOCKS proxy that is none.
    let server = Server::start(|_, mut stream| async move {
        let mut some = [0; 16];
        let _ = stream.read(&mut some).await;
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await;
    })
    .await;
    for scheme in ["https", "socks5"] {
        let config = plain_proxy(format!("{scheme}://127.0.0.1:{}", server.port), None);
        let error = Transport::new(&config).unwrap().send(post("https://192.0.2.1/x")).await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Network | ErrorKind::Tls), "{scheme}: {error:?}");
        assert!(matches!(error.phase(), Some(Phase::Connect | Phase::Tls)), "{scheme}: {error:?}");
    }
}
