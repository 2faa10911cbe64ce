//! Servers that speak TLS, and who vouches for them.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use target_sdk_core::config::{TlsRoots, TransportConfig};
use tokio_rustls::TlsAcceptor;

use super::{Server, answer, config, read_request};

/// A certificate authority of one test.
pub struct Authority {
    pub pem: String,
    pub issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub fn new() -> Authority {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        // Authorities of one name would be taken for each other.
        params.distinguished_name.push(rcgen::DnType::CommonName, format!("authority {}", fastrand::u64(..)));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Authority { pem, issuer: Issuer::new(params, key) }
    }

    /// PEM of a certificate for `name`, and of its key.
    pub fn issue(&self, name: &str) -> (String, String) {
        self.issue_as(CertificateParams::new(vec![name.to_owned()]).unwrap())
    }

    pub fn issue_as(&self, params: CertificateParams) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }

    pub fn acceptor(&self, name: &str, alpn: &[&str], clients: Option<&Authority>) -> TlsAcceptor {
        acceptor(&self.issue(name), alpn, clients)
    }
}

/// Accepts with this certificate and key (PEM).
pub fn acceptor((certificate, key): &(String, String), alpn: &[&str], clients: Option<&Authority>) -> TlsAcceptor {
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
    let mut config = builder.with_single_cert(chain, PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap()).unwrap();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    TlsAcceptor::from(Arc::new(config))
}

/// A server that answers `{}` over TLS, in HTTP/2 if that was negotiated.
pub async fn tls_server(acceptor: TlsAcceptor) -> Server {
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

pub fn https(server: &Server) -> String {
    format!("https://localhost:{}/x?secret", server.port)
}

pub fn trusting(authority: &Authority) -> TransportConfig {
    TransportConfig { tls_roots: TlsRoots::Pem(authority.pem.clone()), ..config() }
}
