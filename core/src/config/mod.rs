//! Client configuration, validated: what `target_client_create` was given, as types.

mod fields;
mod host;
mod parse;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How offers are decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecisioningMethod {
    /// By Target's Delivery API.
    ServerSide,
    /// By the rules artifact, in this process.
    OnDevice,
    /// In this process unless the request needs the server.
    Hybrid,
}

impl DecisioningMethod {
    /// The name used in JSON.
    pub fn name(self) -> &'static str {
        match self {
            DecisioningMethod::ServerSide => "server-side",
            DecisioningMethod::OnDevice => "on-device",
            DecisioningMethod::Hybrid => "hybrid",
        }
    }

    /// The method of that name.
    pub fn from_name(name: &str) -> Option<DecisioningMethod> {
        [DecisioningMethod::ServerSide, DecisioningMethod::OnDevice, DecisioningMethod::Hybrid]
            .into_iter()
            .find(|method| method.name() == name)
    }
}

/// Encoding of a rules artifact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArtifactFormat {
    /// `rules.json`
    Json,
    /// `rules.bin`, obfuscated
    Bin,
}

/// Everything a client was configured with. See `spec` in the documentation for the JSON keys; this has the same names.
#[derive(Clone)]
pub struct Config {
    /// Target client code.
    pub client: String,
    /// IMS organization id.
    pub organization_id: String,
    /// Default for calls that do not choose.
    pub decisioning_method: DecisioningMethod,
    /// Deadline of a call that has none of its own.
    pub timeout: Duration,
    /// Complete host (a port may follow) that replaces `{client}.tt.omtrdc.net`.
    pub server_domain: Option<String>,
    /// Never leave `server_domain` for an edge cluster's host.
    pub pin_server_domain: bool,
    /// First edge cluster.
    pub target_location_hint: Option<String>,
    /// `false`: plain http, and loopback and private addresses for the artifact. For development.
    pub secure: bool,
    /// Default `environmentId` of requests.
    pub environment_id: Option<i64>,
    /// Environment of the artifact, lower-case.
    pub environment: String,
    /// Host (scheme and path may be part of it when `secure` is false) that artifacts and geo look-ups come from.
    pub cdn_base: String,
    /// Default property.
    pub property_token: Option<String>,
    /// Query parameter `version`.
    pub version: Option<String>,
    /// Whether calls are measured and the measurements sent to Target.
    pub telemetry_enabled: bool,
    /// Time between two artifact downloads; `None` is never.
    pub polling_interval: Option<Duration>,
    /// Accept intervals below five minutes (`allowFastPolling`). For development and tests.
    pub allow_fast_polling: bool,
    /// How long an on-device call waits for the first artifact; `None`: it does not.
    pub maximum_wait_ready: Option<Duration>,
    /// URL of the artifact, instead of the computed one.
    pub artifact_location: Option<String>,
    /// Artifact given with the configuration, as JSON text.
    pub artifact_payload: Option<Arc<str>>,
    /// Encoding of the artifact; `None`: by the URL's ending.
    pub artifact_format: Option<ArtifactFormat>,
    /// File read when the network has no artifact, rewritten after each good download.
    pub artifact_file: Option<PathBuf>,
    /// Mboxes that return all matching rules instead of the first.
    pub all_matching_rules_mboxes: Vec<String>,
    /// Whether attributes include the page load's offers, under the global mbox name.
    pub include_page_load: bool,
    /// Limit on calls running at once.
    pub max_in_flight: usize,
    /// Limit on calls waiting beyond those.
    pub max_queued: usize,
    /// Safe retries of a delivery call.
    pub max_retries: u32,
    /// Never open a socket.
    pub offline: bool,
    /// Unknown keys are errors.
    pub strict: bool,
    /// Cap on a decoded delivery response, in bytes.
    pub max_response_bytes: usize,
    /// Cap on a decoded artifact, in bytes.
    pub max_artifact_bytes: usize,
    /// Connections.
    pub transport: TransportConfig,
}

/// Configuration of connections, shared by delivery, artifact and geo requests.
#[derive(Clone, Debug)]
pub struct TransportConfig {
    /// TCP and TLS handshake.
    pub connect_timeout: Duration,
    /// How long an unused connection is kept.
    pub pool_idle_timeout: Duration,
    /// Unused connections kept for one host.
    pub max_idle_per_host: usize,
    /// Proxy, if any.
    pub proxy: Option<ProxyConfig>,
    /// Trust anchors.
    pub tls_roots: TlsRoots,
    /// Client certificate and key (PEM), if any.
    pub tls_identity: Option<TlsIdentity>,
}

/// An HTTP proxy.
#[derive(Clone)]
pub struct ProxyConfig {
    /// `http://host:port`, `https://…` or `socks5://…`
    pub url: String,
    /// User name for basic authentication.
    pub username: Option<String>,
    /// Password for basic authentication.
    pub password: Option<String>,
    /// Comma-separated hosts, domains and networks that are reached directly.
    pub no_proxy: Option<String>,
}

impl std::fmt::Debug for ProxyConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProxyConfig").field("no_proxy", &self.no_proxy).finish_non_exhaustive()
    }
}

/// A client certificate with its key.
#[derive(Clone)]
pub struct TlsIdentity {
    /// PEM text of the certificate chain.
    pub certificate_pem: String,
    /// PEM text of the private key.
    pub key_pem: String,
}

impl std::fmt::Debug for TlsIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TlsIdentity")
    }
}

/// Where trust anchors come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsRoots {
    /// The system's store; the bundled roots when it is empty.
    Auto,
    /// The system's store only.
    System,
    /// The bundled roots only.
    Bundled,
    /// Only these (PEM text).
    Pem(String),
}

crate::opaque::opaque_debug! { Config { client, decisioning_method, timeout, secure, environment, offline, strict, transport } }
