//! The transport over TLS.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod transport_support;

use std::time::Duration;

use target_sdk_core::config::{TlsIdentity, TlsRoots, TransportConfig};
use target_sdk_core::error::{ErrorKind, Phase};
use target_sdk_core::transport::Transport;
use tokio::io::AsyncReadExt;
use transport_support::tls::*;
use transport_support::*;

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
