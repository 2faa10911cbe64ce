//! Certificates, good and bad, and servers that present them.

use std::io::{self, Read, Write};
use std::sync::{Arc, LazyLock};

use rcgen::{BasicConstraints, CertificateParams, CustomExtension, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use time::{Duration, OffsetDateTime};

/// How a server presents itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Good,
    H2,
    /// Certificate for TLS 1.2 only.
    Tls12,
    Expired,
    NotYetValid,
    WrongHost,
    SelfSigned,
    UnknownCa,
    MissingIntermediate,
    Intermediate,
    ClientCertificate,
    StrangeAlpn,
    /// Says h2 and means HTTP/1.1.
    FalseH2,
    HugeChain,
    /// TLS records as small as the protocol's implementations make them.
    SmallRecords,
    /// Handshake in records of one byte.
    OneByteRecords,
}

impl Kind {
    /// Whether no handshake succeeds.
    pub fn fails(self) -> bool {
        !matches!(
            self,
            Kind::Good
                | Kind::H2
                | Kind::Tls12
                | Kind::Intermediate
                | Kind::FalseH2
                | Kind::SmallRecords
                | Kind::OneByteRecords
        )
    }
}

struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new(name: &str) -> Authority {
        let (params, key) = authority(name);
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Authority { pem, issuer: Issuer::new(params, key) }
    }

    /// One that this one signs.
    fn intermediate(&self) -> (String, Issuer<'static, KeyPair>) {
        let (params, key) = authority("intermediate of the fault server");
        let pem = params.signed_by(&key, &self.issuer).expect("a certificate").pem();
        (pem, Issuer::new(params, key))
    }
}

fn authority(name: &str) -> (CertificateParams, KeyPair) {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    (params, key)
}

static TRUSTED: LazyLock<Authority> = LazyLock::new(|| Authority::new("authority of the fault server"));
static UNKNOWN: LazyLock<Authority> = LazyLock::new(|| Authority::new("authority that nobody trusts"));

/// What clients are told to trust.
pub fn trusted_pem() -> String {
    TRUSTED.pem.clone()
}

fn leaf(names: &[&str]) -> CertificateParams {
    CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).expect("names")
}

const HERE: [&str; 4] = ["127.0.0.1", "localhost", "edge.test", "::1"];

/// PEMs of the chain, and the key.
fn identity(kind: Kind) -> (String, KeyPair) {
    let key = KeyPair::generate().expect("a key");
    let mut params = leaf(&HERE);
    let now = OffsetDateTime::now_utc();
    match kind {
        Kind::Expired => {
            params.not_before = now - Duration::days(30);
            params.not_after = now - Duration::days(1);
        }
        Kind::NotYetValid => {
            params.not_before = now + Duration::days(1);
            params.not_after = now + Duration::days(30);
        }
        Kind::WrongHost => params = leaf(&["other.test"]),
        Kind::HugeChain => {
            let huge = vec![4, 0x82, 0xea, 0x60].into_iter().chain(std::iter::repeat_n(0, 60_000)).collect();
            params.custom_extensions.push(CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99_999, 1], huge));
        }
        _ => {}
    }
    let pem = match kind {
        Kind::SelfSigned => params.self_signed(&key).expect("a certificate").pem(),
        Kind::UnknownCa => params.signed_by(&key, &UNKNOWN.issuer).expect("a certificate").pem(),
        Kind::MissingIntermediate | Kind::Intermediate => {
            let (intermediate, issuer) = TRUSTED.intermediate();
            let own = params.signed_by(&key, &issuer).expect("a certificate").pem();
            if kind == Kind::Intermediate { own + &intermediate } else { own }
        }
        Kind::HugeChain => {
            let own = params.signed_by(&key, &TRUSTED.issuer).expect("a certificate").pem();
            own.clone() + &own
        }
        _ => params.signed_by(&key, &TRUSTED.issuer).expect("a certificate").pem(),
    };
    (pem, key)
}

fn config(kind: Kind) -> Arc<ServerConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
    let builder = match kind {
        Kind::Tls12 | Kind::SmallRecords | Kind::OneByteRecords => {
            builder.with_protocol_versions(&[&rustls::version::TLS12])
        }
        _ => builder.with_safe_default_protocol_versions(),
    }
    .expect("versions");
    let builder = if kind == Kind::ClientCertificate {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(UNKNOWN.pem.as_bytes()).expect("PEM")).expect("an authority");
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
        builder.with_client_cert_verifier(verifier.expect("a verifier"))
    } else {
        builder.with_no_client_auth()
    };
    let (pem, key) = identity(kind);
    let chain = CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<Vec<_>, _>>().expect("PEM");
    let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).expect("a key");
    let mut config = builder.with_single_cert(chain, key).expect("a certificate and its key");
    let alpn: &[&[u8]] = match kind {
        Kind::H2 | Kind::FalseH2 => &[b"h2"],
        Kind::StrangeAlpn => &[b"gopher"],
        _ => &[b"http/1.1"],
    };
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    if kind == Kind::SmallRecords {
        config.max_fragment_size = Some(32);
    }
    Arc::new(config)
}

/// Splits the records of a handshake, as long as they are not encrypted, into records of one byte.
pub struct Splitter<S> {
    inner: S,
    pending: Vec<u8>,
    encrypted: bool,
}

impl<S> Splitter<S> {
    pub fn new(inner: S) -> Splitter<S> {
        Splitter { inner, pending: Vec::new(), encrypted: false }
    }
}

impl<S: Read> Read for Splitter<S> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.inner.read(out)
    }
}

impl<S: Write> Write for Splitter<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        const CHANGE_CIPHER_SPEC: u8 = 20;
        const HANDSHAKE: u8 = 22;
        self.pending.extend(bytes);
        while let [kind, major, minor, high, low, rest @ ..] = &self.pending[..] {
            let length = usize::from(*high) << 8 | usize::from(*low);
            if rest.len() < length {
                break;
            }
            let mut out = Vec::new();
            if *kind == HANDSHAKE && !self.encrypted {
                for byte in &rest[..length] {
                    out.extend([*kind, *major, *minor, 0, 1, *byte]);
                }
            } else {
                out.extend(&self.pending[..5 + length]);
            }
            self.encrypted |= *kind == CHANGE_CIPHER_SPEC;
            self.inner.write_all(&out)?;
            self.pending.drain(..5 + length);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// The server's side of a handshake.
pub fn accept<S: Read + Write>(transport: S, kind: &Kind) -> io::Result<StreamOwned<ServerConnection, S>> {
    static GOOD: LazyLock<Arc<ServerConfig>> = LazyLock::new(|| config(Kind::Good));
    static H2: LazyLock<Arc<ServerConfig>> = LazyLock::new(|| config(Kind::H2));
    let config = match kind {
        Kind::Good => Arc::clone(&GOOD),
        Kind::H2 => Arc::clone(&H2),
        other => config(*other),
    };
    let connection = ServerConnection::new(config).map_err(io::Error::other)?;
    let mut stream = StreamOwned::new(connection, transport);
    while stream.conn.is_handshaking() {
        if let Err(error) = stream.conn.complete_io(&mut stream.sock) {
            // The alert says why.
            let _ = stream.conn.write_tls(&mut stream.sock);
            return Err(error);
        }
    }
    stream.flush()?;
    Ok(stream)
}
