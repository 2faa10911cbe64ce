//! The transport over TLS and through proxies.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod transport_support;

use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use target_sdk_core::config::{ProxyConfig, TlsIdentity, TlsRoots, TransportConfig};
use target_sdk_core::error::{ErrorKind, Phase};
use target_sdk_core::transport::Transport;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use transport_support::*;

/// A certificate authority of one test.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Authority {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        // Authorities of one name would be taken for each other.
        params.distinguished_name.push(rcgen::DnType::CommonName, format!("authority {}", fastrand::u64(..)));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Authority { pem, issuer: Issuer::new(params, key) }
    }

    /// PEM of a certificate for `name`, and of its key.
    fn issue(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }

    fn acceptor(&self, name: &str, alpn: &[&str], clients: Option<&Authority>) -> TlsAcceptor {
        let (certificate, key) = self.issue(name);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder =
            ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions().unwrap();
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap()).unwrap();
                builder.with_client_cert_verifier(
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap(),
                )
            }
        };
        let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
        let mut config =
            builder.with_single_cert(chain, PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap()).unwrap();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        TlsAcceptor::from(Arc::new(config))
    }
}

/// A server that answers `{}` over TLS, in HTTP/2 if that was negotiated.
async fn tls_server(acceptor: TlsAcceptor) -> Server {
    Server::start(move |_, stream| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
                while read_request(&mut stream).await.is_some() {
                    answer(&mut stream, "200 OK", "", b"{}").await;
                }
                return;
            }
            let mut connection = h2::server::handshake(stream).await.unwrap();
            while let Some(Ok((_, mut respond))) = connection.accept().await {
                let mut body = respond.send_response(http::Response::new(()), false).unwrap();
                body.send_data("{}".into(), true).unwrap();
            }
        }
    })
    .await
}

fn https(server: &Server) -> String {
    format!("https://localhost:{}/x?secret", server.port)
}

fn trusting(authority: &Authority) -> TransportConfig {
    TransportConfig { tls_roots: TlsRoots::Pem(authority.pem.clone()), ..config() }
}

#[tokio::test]
async fn http2_is_negotiated_and_one_connection_carries_everything() {
    let authority = Authority::new();
    let server = tls_server(authority.acceptor("localhost", &["h2", "http/1.1"], None)).await;
    let transport = Transport::new(&trusting(&authority)).unwrap();
    let first = transport.send(post(https(&server))).await.unwrap();
    assert_eq!((first.version, first.body.as_slice()), ("HTTP/2", b"{}".as_slice()));
    assert!(first.timing.tls.is_some() && first.timing.dns.is_some(), "{:?}", first.timing);
    let calls = (0..20).map(|_| transport.send(post(https(&server))));
    for result in futures_util::future::join_all(calls).await {
        let response = result.unwrap();
        assert!(response.timing.tls.is_none() && response.timing.dns.is_none(), "{:?}", response.timing);
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn http1_is_used_where_the_server_has_no_http2() {
    let authority = Authority::new();
    for alpn in [["http/1.1"].as_slice(), &[]] {
        let server = tls_server(authority.acceptor("localhost", alpn, None)).await;
        // The right anchor is the last of three.
        let bundle = [Authority::new().pem, Authority::new().pem, authority.pem.clone()].concat();
        let config = TransportConfig { tls_roots: TlsRoots::Pem(bundle), ..config() };
        let response = Transport::new(&config).unwrap().send(post(https(&server))).await.unwrap();
        assert_eq!(response.version, "HTTP/1.1");
    }
}

#[tokio::test]
async fn certificates_that_do_not_fit_are_tls_errors_with_a_reason() {
    let authority = Authority::new();
    let right = tls_server(authority.acceptor("localhost", &[], None)).await;
    let wrong_name = tls_server(authority.acceptor("other.example", &[], None)).await;
    for (config, server, reason) in [
        (config(), &right, "UnknownIssuer"),
        (TransportConfig { tls_roots: TlsRoots::Bundled, ..config() }, &right, "UnknownIssuer"),
        (trusting(&Authority::new()), &right, "UnknownIssuer"),
        (trusting(&authority), &wrong_name, "not valid for"),
    ] {
        let error = Transport::new(&config).unwrap().send(retrying(2, post(https(server)))).await.unwrap_err();
        assert_eq!((error.kind(), error.phase(), error.attempts()), (ErrorKind::Tls, Some(Phase::Tls), Some(1)));
        assert!(error.message().contains(reason) && !error.retryable(), "{error}");
        assert!(!error.message().contains("secret"));
    }
}

#[tokio::test]
async fn a_handshake_that_breaks_down_is_retried() {
    let server = Server::start(|_, mut stream| async move {
        let mut hello = [0; 64];
        let _ = stream.read(&mut hello).await;
    })
    .await;
    let error = transport().send(retrying(1, post(https(&server)))).await.unwrap_err();
    assert_eq!((error.kind(), error.phase(), error.attempts()), (ErrorKind::Tls, Some(Phase::Tls), Some(2)), "{error}");
    assert!(error.retryable());
}

#[tokio::test]
async fn a_stalled_handshake_ends_at_the_deadline_or_the_connect_timeout() {
    let server = Server::start(|_, mut stream| async move { until_closed(&mut stream).await }).await;
    let error = transport().send(within(150, post(https(&server)))).await.unwrap_err();
    assert_eq!((error.kind(), error.phase()), (ErrorKind::Timeout, Some(Phase::Tls)), "{error}");
    let impatient = TransportConfig { connect_timeout: Duration::from_millis(100), ..config() };
    let error = Transport::new(&impatient).unwrap().send(post(https(&server))).await.unwrap_err();
    assert_eq!((error.kind(), error.phase()), (ErrorKind::Tls, Some(Phase::Tls)), "{error}");
    assert!(error.message().contains("took too long"), "{error}");
}

#[tokio::test]
async fn a_client_identity_is_presented() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let server = tls_server(authority.acceptor("localhost", &["h2"], Some(&clients))).await;
    let anonymous = Transport::new(&trusting(&authority)).unwrap();
    let error = anonymous.send(post(https(&server))).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Tls | ErrorKind::Network), "{error:?}");
    let (certificate_pem, key_pem) = clients.issue("client");
    let config =
        TransportConfig { tls_identity: Some(TlsIdentity { certificate_pem, key_pem }), ..trusting(&authority) };
    Transport::new(&config).unwrap().send(post(https(&server))).await.unwrap();
}

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
