//! HTTPS and HTTP/2, with the certificate authority the edge hands out.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::{Client, Version};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use support::{HERO, Running, demo};

fn client(pem: &str, protocols: &[&str]) -> Client {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    Client::builder().tls_backend_preconfigured(config).timeout(Duration::from_secs(10)).build().unwrap()
}

/// Version, status and body of a delivery call, or its failure.
fn deliver(edge: &Running, client: &Client) -> Result<(Version, u16, String), reqwest::Error> {
    edge.runtime.block_on(async {
        let url = format!("{}{}", edge.edge.url(), support::DELIVERY);
        let reply = client.post(url).body(HERO).send().await?;
        let (version, status) = (reply.version(), reply.status().as_u16());
        Ok((version, status, reply.text().await?))
    })
}

/// On a connection of its own: the one of `client` may just be ending because of the fault before.
fn tell(edge: &Running, fault: &str) {
    let client = client(edge.edge.authority_pem().unwrap(), &["http/1.1"]);
    let url = format!("{}/debug/fault", edge.edge.url());
    let body = format!(r#"{{"name":"{fault}","times":1}}"#);
    let status = edge.runtime.block_on(async { client.post(url).body(body).send().await.unwrap().status() });
    assert_eq!(status, 200);
}

#[test]
fn http2_by_alpn_with_the_written_authority() {
    let path = std::env::temp_dir().join(format!("target-edge-ca-{}.pem", std::process::id()));
    let edge = demo(&format!("--tls --tls-cert-out {}", path.display()));
    let pem = std::fs::read_to_string(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(edge.edge.authority_pem(), Some(pem.as_str()));
    assert!(edge.edge.url().starts_with("https://127.0.0.1:"));

    let h2 = client(&pem, &["h2", "http/1.1"]);
    let (version, status, body) = deliver(&edge, &h2).unwrap();
    assert_eq!((version, status), (Version::HTTP_2, 200));
    assert!(body.contains("homepage-hero"));
    assert_eq!(deliver(&edge, &client(&pem, &["http/1.1"])).unwrap().0, Version::HTTP_11);

    let other = demo("--tls");
    let stranger = client(other.edge.authority_pem().unwrap(), &["h2"]);
    assert!(deliver(&edge, &stranger).unwrap_err().is_connect(), "another authority is not trusted");
    // The client may know of the failed handshake before the edge has counted it.
    let give_up = Instant::now() + Duration::from_secs(10);
    let counted = loop {
        let stats = edge.runtime.block_on(async {
            h2.get(format!("{}/debug/stats", edge.edge.url())).send().await.unwrap().text().await.unwrap()
        });
        let stats: serde_json::Value = serde_json::from_str(&stats).unwrap();
        let counted = (stats["http2Requests"].as_u64(), stats["tlsFailures"].as_u64());
        if counted.1 > Some(0) || Instant::now() > give_up {
            break counted;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    assert_eq!(counted, (Some(1), Some(1)));
}

#[test]
fn faults_work_below_tls_and_over_http2() {
    let edge = demo("--tls");
    let pem = edge.edge.authority_pem().unwrap().to_owned();
    for protocol in ["http/1.1", "h2"] {
        let client = client(&pem, &[protocol]);
        for fault in ["reset", "close", "truncate", "half-close", "drop-after-head"] {
            tell(&edge, fault);
            let outcome = deliver(&edge, &client);
            assert!(outcome.is_err(), "{protocol} {fault}: {outcome:?}");
        }
        tell(&edge, "disconnect-keepalive");
        assert_eq!(deliver(&edge, &client).unwrap().1, 200, "{protocol}");
        tell(&edge, "status:503");
        assert_eq!(deliver(&edge, &client).unwrap().1, 503, "{protocol}");
        assert_eq!(deliver(&edge, &client).unwrap().1, 200, "{protocol}");
    }
    // A length that lies is an error of the protocol in HTTP/2.
    let client = client(&pem, &["h2"]);
    tell(&edge, "wrong-length");
    assert!(deliver(&edge, &client).is_err());
    for fault in ["stall", "slow"] {
        tell(&edge, fault);
        let waiting = edge.runtime.block_on(async {
            let url = format!("{}{}", edge.edge.url(), support::DELIVERY);
            let call = async { client.post(url).body(HERO).send().await?.text().await };
            tokio::time::timeout(Duration::from_millis(700), call).await
        });
        assert!(waiting.is_err(), "{fault}: {waiting:?}");
    }
}
