//! JSON text to [`Config`]: every key has one type and one range, and nothing falls back to a default because it could
//! not be read.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::fields::{Fields, LONGEST_TEXT, wrong_type};
use super::host::{Authority, Url, is_made_of, is_path_segment, is_url_text};
use super::{ArtifactFormat, Config, DecisioningMethod, ProxyConfig, TlsIdentity, TlsRoots, TransportConfig};
use crate::error::{Error, Result};
use crate::json::{self, Json, Limits};

/// All keys of the configuration.
pub(super) const KEYS: &[&str] = &[
    "client",
    "organizationId",
    "decisioningMethod",
    "timeout",
    "serverDomain",
    "pinServerDomain",
    "targetLocationHint",
    "secure",
    "environmentId",
    "environment",
    "cdnEnvironment",
    "cdnBasePath",
    "propertyToken",
    "version",
    "telemetryEnabled",
    "pollingInterval",
    "allowFastPolling",
    "maximumWaitReady",
    "artifactLocation",
    "artifactPayload",
    "artifactFormat",
    "artifactFile",
    "allMatchingRulesMboxes",
    "includePageLoad",
    "maxInFlight",
    "maxQueued",
    "maxRetries",
    "connectTimeout",
    "poolIdleTimeout",
    "maxIdlePerHost",
    "proxy",
    "tlsRoots",
    "tlsIdentity",
    "offline",
    "strict",
    "maxResponseBytes",
    "maxArtifactBytes",
];

/// Times in milliseconds go as far as those of the C API.
const LONGEST_MS: i64 = u32::MAX as i64;
const DEFAULT_TIMEOUT_MS: i64 = 3000;
const DEFAULT_POLLING_MS: i64 = 300_000;
const SHORTEST_POLLING_MS: i64 = 300_000;
const LARGEST_BODY: i64 = 1 << 30;
/// A bundle of certificates is longer than other texts.
const LONGEST_PEM: usize = 4 << 20;

impl Config {
    /// Reads and checks a client's configuration.
    ///
    /// What is wrong comes back as an `InvalidOptions` error that names the JSON pointer. Values are never part of a
    /// message, numbers excepted. Unknown keys are warnings in the log, errors with `"strict": true`.
    pub fn parse(json: &str) -> Result<Config> {
        // An artifact may be part of the configuration: its strings and objects are longer than options are. Other texts
        // are measured one by one.
        let limits = Limits { string: Limits::CONFIG.bytes, keys: Limits::REMOTE.keys, ..Limits::CONFIG };
        let document = json::parse(json, &limits)?;
        let root = match document.as_object() {
            Some(object) if object.iter().any(|(_, value)| !value.is_null()) => object,
            _ => return Err(Error::invalid("", "Options map is required")),
        };
        let strict = match root.get("strict") {
            None | Some(Json::Null) => false,
            Some(value) => value.as_bool().ok_or_else(|| wrong_type("/strict", "a boolean", value))?,
        };
        read(&Fields::new(root, "", KEYS, strict)?, strict)
    }
}

fn read(fields: &Fields<'_>, strict: bool) -> Result<Config> {
    let client = identity(fields, "client", "-_", 63, "Client is required")?;
    if client.starts_with('-') || client.ends_with('-') {
        return Err(fields.error("client", "begin and end with a letter, a digit or _: it is part of a host name"));
    }
    let organization_id = identity(fields, "organizationId", "@._-", 128, "Organization Id is required")?;
    let decisioning_method = decisioning_method(fields)?;
    let secure = fields.flag("secure", true)?;
    let offline = fields.flag("offline", false)?;
    let max_artifact_bytes = size(fields, "maxArtifactBytes", 64 << 20)?;
    let allow_fast_polling = fields.flag("allowFastPolling", false)?;
    Ok(Config {
        client,
        organization_id,
        decisioning_method,
        timeout: timeout(fields)?,
        server_domain: server_domain(fields)?,
        pin_server_domain: fields.flag("pinServerDomain", false)?,
        target_location_hint: target_location_hint(fields)?,
        secure,
        environment_id: fields.integer("environmentId", i64::MIN..=i64::MAX)?,
        environment: path_segment(fields, "environment")?.unwrap_or("production").to_lowercase(),
        cdn_base: cdn_base(fields, secure)?,
        property_token: path_segment(fields, "propertyToken")?.map(str::to_owned),
        version: version(fields)?,
        telemetry_enabled: fields.flag("telemetryEnabled", true)?,
        polling_interval: polling_interval(fields, allow_fast_polling)?,
        allow_fast_polling,
        maximum_wait_ready: maximum_wait_ready(fields)?,
        artifact_location: artifact_location(fields, secure)?,
        artifact_payload: artifact_payload(fields, max_artifact_bytes)?,
        artifact_format: artifact_format(fields)?,
        artifact_file: fields.optional_text("artifactFile")?.map(PathBuf::from),
        all_matching_rules_mboxes: fields.texts("allMatchingRulesMboxes")?,
        include_page_load: fields.flag("includePageLoad", false)?,
        max_in_flight: count(fields, "maxInFlight", 1..=1_000_000, 256)?,
        max_queued: count(fields, "maxQueued", 0..=1_000_000, 1024)?,
        // Ten is what the Node SDK does.
        max_retries: number(fields, "maxRetries", 0..=10, 1)? as u32,
        offline,
        strict,
        max_response_bytes: size(fields, "maxResponseBytes", 8 << 20)?,
        max_artifact_bytes,
        transport: TransportConfig {
            connect_timeout: milliseconds(fields, "connectTimeout", 1, 1000)?,
            pool_idle_timeout: milliseconds(fields, "poolIdleTimeout", 0, 20_000)?,
            max_idle_per_host: count(fields, "maxIdlePerHost", 0..=10_000, 64)?,
            proxy: proxy(fields, strict)?,
            tls_roots: tls_roots(fields, strict)?,
            tls_identity: tls_identity(fields, strict)?,
        },
    })
}

fn number(fields: &Fields<'_>, key: &str, range: std::ops::RangeInclusive<i64>, default: i64) -> Result<i64> {
    Ok(fields.integer(key, range)?.unwrap_or(default))
}

fn count(fields: &Fields<'_>, key: &str, range: std::ops::RangeInclusive<i64>, default: i64) -> Result<usize> {
    let value = number(fields, key, range, default)?;
    usize::try_from(value).map_err(|_| fields.error(key, "fit this machine's memory"))
}

fn size(fields: &Fields<'_>, key: &str, default: i64) -> Result<usize> {
    count(fields, key, 1..=LARGEST_BODY, default)
}

fn milliseconds(fields: &Fields<'_>, key: &str, least: i64, default: i64) -> Result<Duration> {
    Ok(Duration::from_millis(number(fields, key, least..=LONGEST_MS, default)?.unsigned_abs()))
}

/// Client code or organization id: required, and part of host names, paths and cookie names.
fn identity(fields: &Fields<'_>, key: &str, others: &str, longest: usize, missing: &'static str) -> Result<String> {
    let text = fields.optional_text(key)?.ok_or_else(|| Error::invalid(fields.pointer(key), missing))?;
    if text.len() > longest || !is_made_of(text, others) {
        let must = format!("have at most {longest} characters: ASCII letters, digits and any of {others}");
        return Err(fields.error(key, &must));
    }
    Ok(text.to_owned())
}

fn decisioning_method(fields: &Fields<'_>) -> Result<DecisioningMethod> {
    match fields.text("decisioningMethod")? {
        None => Ok(DecisioningMethod::ServerSide),
        Some(name) => DecisioningMethod::from_name(name).ok_or_else(|| {
            Error::invalid(
                fields.pointer("decisioningMethod"),
                "Invalid Decisioning Method.  Must be set to one of: on-device,server-side,hybrid",
            )
        }),
    }
}

/// 0 is "the default", as for the deadline of a call.
fn timeout(fields: &Fields<'_>) -> Result<Duration> {
    match milliseconds(fields, "timeout", 0, 0)? {
        Duration::ZERO => Ok(Duration::from_millis(DEFAULT_TIMEOUT_MS.unsigned_abs())),
        timeout => Ok(timeout),
    }
}

fn server_domain(fields: &Fields<'_>) -> Result<Option<String>> {
    let key = "serverDomain";
    let Some(text) = fields.optional_text(key)? else { return Ok(None) };
    Authority::parse(text).map_err(|must| fields.error(key, must))?;
    Ok(Some(text.to_owned()))
}

fn target_location_hint(fields: &Fields<'_>) -> Result<Option<String>> {
    let key = "targetLocationHint";
    let Some(text) = fields.optional_text(key)? else { return Ok(None) };
    if text.len() > 32 || !is_made_of(text, "-") {
        return Err(fields.error(key, "have at most 32 characters: ASCII letters, digits and hyphens"));
    }
    Ok(Some(text.to_owned()))
}

fn path_segment<'j>(fields: &Fields<'j>, key: &str) -> Result<Option<&'j str>> {
    let Some(text) = fields.optional_text(key)? else { return Ok(None) };
    if text.len() > 250 || !is_path_segment(text) {
        let must = "have at most 250 bytes, no spaces or control characters, and none of / \\ ? # % \" < >";
        return Err(fields.error(key, must));
    }
    Ok(Some(text))
}

fn version(fields: &Fields<'_>) -> Result<Option<String>> {
    let Some(text) = fields.optional_text("version")? else { return Ok(None) };
    if text.len() > 128 || text.contains(char::is_control) {
        return Err(fields.error("version", "have at most 128 bytes and no control characters"));
    }
    Ok(Some(text.to_owned()))
}

/// Shorter than five minutes is five minutes, as in the Node SDK, and said in the log.
fn polling_interval(fields: &Fields<'_>, allow_fast_polling: bool) -> Result<Option<Duration>> {
    match number(fields, "pollingInterval", 0..=LONGEST_MS, DEFAULT_POLLING_MS)? {
        0 => Ok(None),
        short if short < SHORTEST_POLLING_MS && !allow_fast_polling => {
            log::warn!(
                target: "target_sdk::config",
                "pollingInterval is {short} ms; the shortest is {SHORTEST_POLLING_MS} ms, which is used"
            );
            Ok(Some(Duration::from_millis(SHORTEST_POLLING_MS.unsigned_abs())))
        }
        interval => Ok(Some(Duration::from_millis(interval.unsigned_abs()))),
    }
}

/// -1, the other SDKs' default, and 0 do not wait.
fn maximum_wait_ready(fields: &Fields<'_>) -> Result<Option<Duration>> {
    let wait = number(fields, "maximumWaitReady", -1..=LONGEST_MS, -1)?;
    Ok((wait > 0).then(|| Duration::from_millis(wait.unsigned_abs())))
}

fn cdn_base(fields: &Fields<'_>, secure: bool) -> Result<String> {
    let host = match fields.text("cdnEnvironment")? {
        None | Some("production") => "assets.adobetarget.com",
        Some("staging" | "development") => "assets.staging.adobetarget.com",
        Some(_) => return Err(fields.error("cdnEnvironment", "be one of production,staging,development")),
    };
    let key = "cdnBasePath";
    let Some(text) = fields.optional_text(key)? else { return Ok(host.to_owned()) };
    if text.contains("://") {
        if secure {
            return Err(fields.error(key, "start with the host (a scheme is for \"secure\": false only)"));
        }
        check_scheme(
            fields,
            key,
            Url::parse(text).map_err(|must| fields.error(key, must))?.scheme,
            &["http", "https"],
        )?;
    }
    let with_scheme = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
    let url = Url::parse(&with_scheme).map_err(|must| fields.error(key, must))?;
    if url.rest.contains('?') {
        return Err(fields.error(key, "not have a query"));
    }
    check_public(fields, key, &url, secure)?;
    Ok(text.trim_end_matches('/').to_owned())
}

fn artifact_location(fields: &Fields<'_>, secure: bool) -> Result<Option<String>> {
    let key = "artifactLocation";
    let Some(text) = fields.optional_text(key)? else { return Ok(None) };
    let url = Url::parse(text).map_err(|must| fields.error(key, must))?;
    check_scheme(fields, key, url.scheme, if secure { &["https"] } else { &["http", "https"] })?;
    check_public(fields, key, &url, secure)?;
    Ok(Some(text.to_owned()))
}

fn check_scheme(fields: &Fields<'_>, key: &str, scheme: &str, allowed: &[&str]) -> Result<()> {
    if allowed.iter().any(|allowed| scheme.eq_ignore_ascii_case(allowed)) {
        return Ok(());
    }
    Err(fields.error(key, &format!("be a URL with the scheme {}", allowed.join(" or "))))
}

/// Keeps a configured URL from reaching into the host's own network. Names are checked again once they are resolved.
fn check_public(fields: &Fields<'_>, key: &str, url: &Url<'_>, secure: bool) -> Result<()> {
    if !secure {
        return Ok(());
    }
    if url.authority.is_private() {
        return Err(fields.error(key, "not name a loopback or private address (unless \"secure\" is false)"));
    }
    match url.authority.port {
        None | Some(443 | 1024..) => Ok(()),
        Some(_) => Err(fields.error(key, "have port 443 or one from 1024 (unless \"secure\" is false)")),
    }
}

fn artifact_format(fields: &Fields<'_>) -> Result<Option<ArtifactFormat>> {
    match fields.text("artifactFormat")? {
        None => Ok(None),
        Some("json") => Ok(Some(ArtifactFormat::Json)),
        Some("bin") => Ok(Some(ArtifactFormat::Bin)),
        Some(_) => Err(fields.error("artifactFormat", "be one of json,bin")),
    }
}

/// An object, or a string that holds one. What is in the artifact is for those who compile it.
fn artifact_payload(fields: &Fields<'_>, max_bytes: usize) -> Result<Option<Arc<str>>> {
    let key = "artifactPayload";
    let text = match fields.get(key) {
        None => return Ok(None),
        Some(Json::Object(object)) => {
            let mut text = String::new();
            object.write(&mut text);
            text
        }
        Some(Json::String(text)) => {
            let limits = Limits { bytes: max_bytes, ..Limits::REMOTE };
            match json::parse(text, &limits) {
                Ok(Json::Object(_)) => text.to_string(),
                Ok(other) => {
                    return Err(wrong_type(&fields.pointer(key), "an object, or a string holding one", &other));
                }
                Err(error) => return Err(fields.error(key, &format!("hold an artifact: {}", error.message()))),
            }
        }
        Some(other) => return Err(wrong_type(&fields.pointer(key), "an object or a string", other)),
    };
    if text.len() > max_bytes {
        return Err(fields.error(key, &format!("be at most {max_bytes} bytes long (maxArtifactBytes)")));
    }
    Ok(Some(text.into()))
}

fn proxy(fields: &Fields<'_>, strict: bool) -> Result<Option<ProxyConfig>> {
    let Some(proxy) = fields.object("proxy", &["url", "username", "password", "noProxy"], strict)? else {
        return Ok(None);
    };
    let text = proxy.required_text("url", LONGEST_TEXT)?;
    if text.contains('@') {
        return Err(proxy.error("url", "not contain a user name or password: these are members of their own"));
    }
    let url = Url::parse(text).map_err(|must| proxy.error("url", must))?;
    check_scheme(&proxy, "url", url.scheme, &["http", "https", "socks5", "socks5h"])?;
    if !matches!(url.rest, "" | "/") {
        return Err(proxy.error("url", "end after the host and port"));
    }
    let printable = |key: &str| match proxy.text(key)? {
        Some(text) if text.contains(char::is_control) => Err(proxy.error(key, "not contain control characters")),
        text => Ok(text.map(str::to_owned)),
    };
    let (username, password) = (printable("username")?, printable("password")?);
    if username.as_deref().is_some_and(|name| name.contains(':')) {
        return Err(proxy.error("username", "not contain a colon: basic authentication cannot carry it"));
    }
    if password.is_some() && username.is_none() {
        return Err(proxy.error("username", "be given with a password"));
    }
    let no_proxy = proxy.optional_text("noProxy")?;
    if no_proxy.is_some_and(|list| !list.split(',').all(|entry| is_url_text(entry.trim_matches(' ')))) {
        return Err(proxy.error("noProxy", "be a list of hosts, domains and networks, separated by commas"));
    }
    Ok(Some(ProxyConfig { url: text.to_owned(), username, password, no_proxy: no_proxy.map(str::to_owned) }))
}

fn tls_roots(fields: &Fields<'_>, strict: bool) -> Result<TlsRoots> {
    let key = "tlsRoots";
    let choices = "be \"auto\", \"system\", \"bundled\", {\"pem\": …} or {\"pemFile\": …}";
    match fields.get(key) {
        None => return Ok(TlsRoots::Auto),
        Some(Json::String(name)) => {
            return match &**name {
                "auto" => Ok(TlsRoots::Auto),
                "system" => Ok(TlsRoots::System),
                "bundled" => Ok(TlsRoots::Bundled),
                _ => Err(fields.error(key, choices)),
            };
        }
        Some(Json::Object(_)) => {}
        Some(other) => return Err(wrong_type(&fields.pointer(key), "a string or an object", other)),
    }
    let Some(roots) = fields.object(key, &["pem", "pemFile"], strict)? else { return Ok(TlsRoots::Auto) };
    match (roots.long_text("pem", LONGEST_PEM)?, roots.text("pemFile")?) {
        (Some(pem), None) => {
            check_pem(&roots, "pem", pem, "CERTIFICATE")?;
            Ok(TlsRoots::Pem(pem.to_owned()))
        }
        (None, Some(path)) => {
            let pem = read_pem(path).map_err(|why| roots.error("pemFile", &format!("name a readable file: {why}")))?;
            check_pem(&roots, "pemFile", &pem, "CERTIFICATE")?;
            Ok(TlsRoots::Pem(pem))
        }
        _ => Err(fields.error(key, choices)),
    }
}

fn read_pem(path: &str) -> std::io::Result<String> {
    use std::io::Read;
    let mut text = String::new();
    let most = u64::try_from(LONGEST_PEM).unwrap_or(u64::MAX);
    // A device or pipe may have no end: read what is allowed and one byte more.
    std::fs::File::open(path)?.take(most.saturating_add(1)).read_to_string(&mut text)?;
    if text.len() > LONGEST_PEM {
        return Err(std::io::Error::other(format!("it is longer than {LONGEST_PEM} bytes")));
    }
    Ok(text)
}

fn check_pem(fields: &Fields<'_>, key: &str, pem: &str, label: &str) -> Result<()> {
    let has_label = pem.lines().any(|line| {
        line.trim().strip_prefix("-----BEGIN ").and_then(|rest| rest.strip_suffix("-----")).is_some_and(|found| {
            found == label || found.strip_suffix(label).is_some_and(|before| before.ends_with(' '))
        })
    });
    if has_label {
        return Ok(());
    }
    Err(fields.error(key, &format!("hold PEM text with a {label} section")))
}

fn tls_identity(fields: &Fields<'_>, strict: bool) -> Result<Option<TlsIdentity>> {
    let Some(identity) = fields.object("tlsIdentity", &["certificate", "key"], strict)? else { return Ok(None) };
    let certificate = identity.required_text("certificate", LONGEST_PEM)?;
    check_pem(&identity, "certificate", certificate, "CERTIFICATE")?;
    let key = identity.required_text("key", LONGEST_PEM)?;
    check_pem(&identity, "key", key, "PRIVATE KEY")?;
    if key.contains("BEGIN ENCRYPTED PRIVATE KEY") || key.contains("Proc-Type: 4,ENCRYPTED") {
        return Err(identity.error("key", "not be encrypted: decrypt it, there is nowhere to give its password"));
    }
    Ok(Some(TlsIdentity { certificate_pem: certificate.to_owned(), key_pem: key.to_owned() }))
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
