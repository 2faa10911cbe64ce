//! TLS: trust anchors, client identity, protocols. The provider is ours and stays inside the configuration.

use std::sync::Arc;

use once_cell::race::OnceBox;
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use super::probe::Sessions;
use crate::config::{TlsIdentity, TlsRoots};
use crate::error::{Error, ErrorKind, Phase, Result};

/// What was configured, checked; the system's store is not read until TLS is used.
pub(super) struct TlsSettings {
    roots: Roots,
    identity: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
    /// Shared by all clients made from this, so that they resume each other's sessions.
    sessions: Arc<Sessions>,
}

enum Roots {
    Auto,
    System,
    Fixed(Arc<RootCertStore>),
}

impl TlsSettings {
    /// Checks PEM texts.
    pub(super) fn new(roots: &TlsRoots, identity: Option<&TlsIdentity>) -> Result<TlsSettings> {
        let roots = match roots {
            TlsRoots::Auto => Roots::Auto,
            TlsRoots::System => Roots::System,
            TlsRoots::Bundled => Roots::Fixed(bundled()),
            TlsRoots::Pem(text) => Roots::Fixed(Arc::new(pem_roots(text)?)),
        };
        let identity = identity.map(read_identity).transpose()?;
        let settings = TlsSettings { roots, identity, sessions: Arc::new(Sessions::new()) };
        if settings.identity.is_some() {
            // A key that does not belong to its certificate is found now, not at the first handshake.
            settings.build(Arc::new(RootCertStore::empty()))?;
        }
        Ok(settings)
    }

    /// The configuration for connections that use TLS.
    pub(super) fn config(&self) -> Result<ClientConfig> {
        let roots = match &self.roots {
            Roots::Fixed(roots) => Arc::clone(roots),
            Roots::System => system()?,
            Roots::Auto => system().unwrap_or_else(|error| {
                log::info!(target: "target_sdk::transport", "{error}; using the bundled roots");
                bundled()
            }),
        };
        self.build(roots)
    }

    /// A configuration that trusts nobody, for plain http: reqwest wants one.
    pub(super) fn without_roots(&self) -> Result<ClientConfig> {
        self.build(Arc::new(RootCertStore::empty()))
    }

    fn build(&self, roots: Arc<RootCertStore>) -> Result<ClientConfig> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::internal(format!("TLS protocol versions: {error}")))?
            .with_root_certificates(roots);
        let mut config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => builder.with_client_auth_cert(chain.clone(), key.clone_key()).map_err(|error| {
                Error::invalid("/tlsIdentity", format!("the client certificate and key cannot be used: {error}"))
            })?,
        };
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        config.resumption = Resumption::store(Arc::clone(&self.sessions) as Arc<_>);
        Ok(config)
    }
}

/// Root certificates that all clients of the process share. Not a `OnceLock`: a process that was forked while another thread
/// is inside one would wait for that thread for ever; here the first of several threads wins, and nobody waits.
type SharedRoots = OnceBox<Shared>;

struct Shared(Arc<RootCertStore>);

fn bundled() -> Arc<RootCertStore> {
    static STORE: SharedRoots = SharedRoots::new();
    let read = || Box::new(Shared(Arc::new(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() })));
    Arc::clone(&STORE.get_or_init(read).0)
}

/// The system's store, read once per process unless it is missing.
fn system() -> Result<Arc<RootCertStore>> {
    static STORE: SharedRoots = SharedRoots::new();
    STORE.get_or_try_init(read_system).map(|roots| Arc::clone(&roots.0))
}

fn read_system() -> Result<Box<Shared>> {
    let mut store = RootCertStore::empty();
    let (good, bad) = store.add_parsable_certificates(system_certificates());
    log::debug!(target: "target_sdk::transport", "system trust store: {good} certificates, {bad} unreadable");
    if store.is_empty() {
        return Err(Error::new(
            ErrorKind::Tls,
            "no certificates in the system's trust store; install them (package ca-certificates) or set `tlsRoots`",
        )
        .with_phase(Phase::Tls));
    }
    Ok(Box::new(Shared(Arc::new(store))))
}

/// The bundle where Linux distributions keep it. `load_native_certs` would also read the environment, which is the host's.
#[cfg(target_os = "linux")]
fn system_certificates() -> Vec<CertificateDer<'static>> {
    const BUNDLES: [&str; 7] = [
        "/etc/ssl/certs/ca-certificates.crt",                // Debian, Ubuntu, Arch, Alpine
        "/etc/pki/tls/certs/ca-bundle.crt",                  // Fedora, RHEL, Amazon Linux
        "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // RHEL
        "/etc/ssl/ca-bundle.pem",                            // SUSE
        "/etc/ssl/cert.pem",                                 // Alpine, Void
        "/etc/pki/tls/cacert.pem",
        "/usr/local/share/certs/ca-root-nss.crt",
    ];
    for bundle in BUNDLES.iter().map(std::path::Path::new).filter(|path| path.is_file()) {
        let found = rustls_native_certs::load_certs_from_paths(Some(bundle), None);
        for error in &found.errors {
            log::warn!(target: "target_sdk::transport", "system trust store: {error}");
        }
        if !found.certs.is_empty() {
            return found.certs;
        }
    }
    rustls_native_certs::load_certs_from_paths(None, Some(std::path::Path::new("/etc/ssl/certs"))).certs
}

#[cfg(not(target_os = "linux"))]
fn system_certificates() -> Vec<CertificateDer<'static>> {
    rustls_native_certs::load_native_certs().certs
}

/// Every certificate of the text is added, and every one must be readable.
fn pem_roots(text: &str) -> Result<RootCertStore> {
    let wrong = |reason: String| Error::invalid("/tlsRoots", reason);
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(text.as_bytes()) {
        let certificate = certificate.map_err(|error| wrong(format!("the PEM cannot be read: {error}")))?;
        store.add(certificate).map_err(|error| wrong(format!("a certificate cannot be a trust anchor: {error}")))?;
    }
    if store.is_empty() {
        return Err(wrong("the PEM has no certificate in it".to_owned()));
    }
    Ok(store)
}

fn read_identity(identity: &TlsIdentity) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
    let chain = CertificateDer::pem_slice_iter(identity.certificate_pem.as_bytes())
        .collect::<std::result::Result<Vec<_>, _>>()
        .map_err(|error| Error::invalid("/tlsIdentity", format!("the certificate PEM cannot be read: {error}")))?;
    if chain.is_empty() {
        return Err(Error::invalid("/tlsIdentity", "the certificate PEM has no certificate in it"));
    }
    if ["-----BEGIN ENCRYPTED PRIVATE KEY", "Proc-Type: 4,ENCRYPTED"].iter().any(|mark| identity.key_pem.contains(mark))
    {
        return Err(Error::invalid("/tlsIdentity", "the private key is encrypted; give it decrypted"));
    }
    let key = PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes())
        .map_err(|error| Error::invalid("/tlsIdentity", format!("the key PEM has no readable private key: {error}")))?;
    Ok((chain, key))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ca() -> rcgen::Certificate {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.self_signed(&key).unwrap()
    }

    #[test]
    fn a_bundle_contributes_all_its_certificates() {
        let bundle: String = (0..3).map(|_| ca().pem()).collect();
        assert_eq!(pem_roots(&bundle).unwrap().len(), 3);
    }

    #[test]
    fn bad_pem_is_an_error_at_its_key() {
        for text in ["", "hello", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            let error = TlsSettings::new(&TlsRoots::Pem(text.to_owned()), None).err().unwrap();
            assert_eq!((error.kind(), error.path()), (ErrorKind::InvalidOptions, Some("/tlsRoots")), "{text:?}");
        }
    }

    #[test]
    fn identities_are_checked_when_configured() {
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new(vec!["client".to_owned()]).unwrap().self_signed(&key).unwrap();
        let check = |certificate_pem: &str, key_pem: &str| {
            let identity = TlsIdentity { certificate_pem: certificate_pem.to_owned(), key_pem: key_pem.to_owned() };
            TlsSettings::new(&TlsRoots::Bundled, Some(&identity)).map(drop)
        };
        check(&certificate.pem(), &key.serialize_pem()).unwrap();
        let other = rcgen::KeyPair::generate().unwrap().serialize_pem();
        assert!(check(&certificate.pem(), &other).is_err(), "a key of another certificate");
        assert!(check("", &key.serialize_pem()).is_err());
        let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
        assert!(check(&certificate.pem(), encrypted).unwrap_err().message().contains("encrypted"));
    }

    #[test]
    fn bundled_roots_exist() {
        assert!(bundled().len() > 50);
    }
}
