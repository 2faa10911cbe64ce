//! The transport over TLS.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod transport_support;

use std::time::Duration;

use rcgen::CertificateParams;
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

/// Certificates that are wrong in themselves, at the host that they name: one attempt, and the reason.
#[tokio::test]
async fn bad_certificates_are_refused_with_their_reason() {
    let authority = Authority::new();
    let named = |names: &[&str]| {
        CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap()
    };
    let mut expired = named(&["localhost"]);
    expired.not_before = rcgen::date_time_ymd(2001, 1, 1);
    expired.not_after = rcgen::date_time_ymd(2002, 1, 1);
    let mut early = named(&["localhost"]);
    early.not_before = rcgen::date_time_ymd(4001, 1, 1);
    early.not_after = rcgen::date_time_ymd(4002, 1, 1);
    let mut for_clients = named(&["localhost"]);
    for_clients.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    let mut an_authority = named(&["localhost"]);
    an_authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let own_key = rcgen::KeyPair::generate().unwrap();
    let self_signed = named(&["localhost"]).self_signed(&own_key).unwrap().pem();
    for (identity, host, reason) in [
        (authority.issue_as(expired), "localhost", "xpired"),
        (authority.issue_as(early), "localhost", "not valid yet"),
        (authority.issue_as(for_clients), "localhost", "usage"),
        (authority.issue_as(an_authority), "localhost", "CaUsedAsEndEntity"),
        ((self_signed, own_key.serialize_pem()), "localhost", "UnknownIssuer"),
        (authority.issue_as(named(&["*.localhost"])), "localhost", "not valid for"),
        (authority.issue_as(named(&["localhost"])), "127.0.0.1", "not valid for"),
        (authority.issue_as(named(&["127.0.0.2"])), "127.0.0.1", "not valid for"),
    ] {
        let server = tls_server(acceptor(&identity, &[], None)).await;
        let url = format!("https://{host}:{}/x?secret", server.port);
        let error = Transport::new(&trusting(&authority)).unwrap().send(retrying(2, post(url))).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.phase(), error.attempts()),
            (ErrorKind::Tls, Some(Phase::Tls), Some(1)),
            "{error}"
        );
        assert!(error.message().contains(reason) && !error.retryable(), "{reason}: {error}");
        assert!(!error.message().contains("secret"), "{error}");
    }
    // An address is a name like any other.
    let server = tls_server(authority.acceptor("127.0.0.1", &[], None)).await;
    let url = format!("https://127.0.0.1:{}/x", server.port);
    Transport::new(&trusting(&authority)).unwrap().send(post(url)).await.unwrap();
}

/// An authority that may vouch for other names only.
#[tokio::test]
async fn constraints_on_names_are_kept() {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.distinguished_name.push(rcgen::DnType::CommonName, "constrained");
    params.name_constraints = Some(rcgen::NameConstraints {
        permitted_subtrees: vec![rcgen::GeneralSubtree::DnsName("example.com".to_owned())],
        excluded_subtrees: Vec::new(),
    });
    let pem = params.self_signed(&key).unwrap().pem();
    let authority = Authority { pem, issuer: rcgen::Issuer::new(params, key) };
    let server = tls_server(authority.acceptor("localhost", &[], None)).await;
    let error = Transport::new(&trusting(&authority)).unwrap().send(post(https(&server))).await.unwrap_err();
    assert_eq!((error.kind(), error.retryable()), (ErrorKind::Tls, false));
    assert!(error.message().contains("NameConstraint"), "{error}");
}

/// Servers that speak nothing newer than TLS 1.1, or only weak ciphers, as far as their first words show it.
#[tokio::test]
async fn old_protocols_are_not_spoken() {
    // ServerHello of TLS 1.0 and 1.1 (with a cipher suite of that time), and the alert "protocol version".
    let hello = |minor: u8| {
        let mut body = vec![3, minor];
        body.extend([7; 32]); // random
        body.push(0); // no session
        body.extend([0x00, 0x2f, 0]); // TLS_RSA_WITH_AES_128_CBC_SHA, no compression
        let mut handshake = vec![2, 0, 0, body.len() as u8];
        handshake.extend(body);
        let mut record = vec![22, 3, minor, 0, handshake.len() as u8];
        record.extend(handshake);
        record
    };
    for words in [hello(1), hello(2), vec![21, 3, 1, 0, 2, 2, 70], vec![21, 3, 3, 0, 2, 2, 40]] {
        let answer = words.clone();
        let server = Server::start(move |_, mut stream| {
            let answer = answer.clone();
            async move {
                let mut hello = [0; 4096];
                let _ = stream.read(&mut hello).await;
                let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, &answer).await;
                until_closed(&mut stream).await;
            }
        })
        .await;
        let error = transport().send(retrying(2, post(https(&server)))).await.unwrap_err();
        assert_eq!((error.kind(), error.phase()), (ErrorKind::Tls, Some(Phase::Tls)), "{words:?}: {error}");
        assert_eq!((error.attempts(), error.retryable()), (Some(1), false), "{words:?}: {error}");
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
