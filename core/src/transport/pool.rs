//! The reqwest clients behind a transport.
//!
//! There are at most four: with and without TLS, with and without a guard against private addresses. They are made when
//! first needed, so plain http never reads the system's trust store, and replaced after five minutes, because reqwest
//! keeps a busy connection for ever and would never see that the name's addresses have changed.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use reqwest::{NoProxy, Proxy, Url, redirect};
use tokio::time::Instant;

use super::dns::{Lookup, Resolver};
use super::probe;
use super::tls::TlsSettings;
use crate::config::{ProxyConfig, TransportConfig};
use crate::error::{Error, Result};

const LIFE: Duration = Duration::from_secs(300);

pub(super) struct Pool {
    config: TransportConfig,
    tls: TlsSettings,
    proxy: Option<ProxySettings>,
    resolver: Resolver,
    clients: Mutex<[Option<Aged>; 4]>,
}

struct Aged {
    client: reqwest::Client,
    until: Instant,
}

struct ProxySettings {
    proxy: Proxy,
    host: String,
    uses_tls: bool,
    /// `host:port`, for messages.
    name: String,
}

impl Pool {
    /// Checks the configuration; reads no trust store and opens nothing.
    pub(super) fn new(config: &TransportConfig) -> Result<Pool> {
        Ok(Pool {
            tls: TlsSettings::new(&config.tls_roots, config.tls_identity.as_ref())?,
            proxy: config.proxy.as_ref().map(proxy_settings).transpose()?.flatten(),
            config: config.clone(),
            resolver: Resolver::new(),
            clients: Mutex::default(),
        })
    }

    /// The proxy's `host:port`.
    pub(super) fn proxy_name(&self) -> Option<&str> {
        self.proxy.as_ref().map(|proxy| proxy.name.as_str())
    }

    /// The client for a request.
    pub(super) fn client(&self, https: bool, public_only: bool, now: Instant) -> Result<reqwest::Client> {
        let tls = https || self.proxy.as_ref().is_some_and(|proxy| proxy.uses_tls);
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = &mut clients[usize::from(tls) * 2 + usize::from(public_only)];
        if let Some(aged) = slot.as_ref().filter(|aged| aged.until > now) {
            return Ok(aged.client.clone());
        }
        let client = self.build(tls, public_only)?;
        // Clients of many processes started together do not all reconnect together.
        let until = now + LIFE.mul_f64(0.8 + 0.2 * fastrand::f64());
        *slot = Some(Aged { client: client.clone(), until });
        Ok(client)
    }

    fn build(&self, tls: bool, public_only: bool) -> Result<reqwest::Client> {
        let tls = if tls { self.tls.config()? } else { self.tls.without_roots()? };
        let lookup = Lookup {
            resolver: self.resolver.clone(),
            public_only,
            exempt: self.proxy.as_ref().map(|proxy| proxy.host.clone()),
        };
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .dns_resolver(lookup)
            .connector_layer(probe::Connecting)
            .redirect(redirect::Policy::none())
            .referer(false)
            .no_proxy()
            .connect_timeout(self.config.connect_timeout)
            .pool_idle_timeout(self.config.pool_idle_timeout)
            .pool_max_idle_per_host(self.config.max_idle_per_host)
            .tcp_keepalive(Duration::from_secs(30))
            .http2_adaptive_window(true)
            .http2_max_header_list_size(64 << 10)
            .http2_keep_alive_interval(Duration::from_secs(20))
            .http2_keep_alive_timeout(Duration::from_secs(10));
        if let Some(settings) = &self.proxy {
            builder = builder.proxy(settings.proxy.clone());
        }
        builder.build().map_err(|error| Error::internal(format!("the HTTP client cannot be built: {error}")))
    }
}

/// `None`: the proxy is configured for no host at all.
fn proxy_settings(config: &ProxyConfig) -> Result<Option<ProxySettings>> {
    // The URL may hold a password: no message repeats it.
    let wrong = |what: &'static str| Error::invalid("/proxy/url", what);
    let url = Url::parse(&config.url).map_err(|_| wrong("not a URL such as http://proxy.example:3128"))?;
    if !matches!(url.scheme(), "http" | "https" | "socks5" | "socks5h") {
        return Err(wrong("the scheme must be http, https or socks5"));
    }
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| wrong("the URL has no host"))?.to_owned();
    let port = url.port_or_known_default().unwrap_or(1080);
    let (name, uses_tls) = (format!("{host}:{port}"), url.scheme() == "https");
    let mut proxy = Proxy::all(url).map_err(|_| wrong("this URL cannot be used for a proxy"))?;
    if config.username.is_some() || config.password.is_some() {
        let text = |part: &Option<String>| part.clone().unwrap_or_default();
        proxy = proxy.basic_auth(&text(&config.username), &text(&config.password));
    }
    // reqwest's `*` matches names only, not addresses.
    if config.no_proxy.as_deref().is_some_and(|hosts| hosts.split(',').any(|host| host.trim() == "*")) {
        return Ok(None);
    }
    let proxy = proxy.no_proxy(config.no_proxy.as_deref().and_then(NoProxy::from_string));
    Ok(Some(ProxySettings { proxy, host, uses_tls, name }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxy_urls_are_checked_and_never_repeated() {
        for url in ["", "proxy:3128", "ftp://proxy", "http://", "not a url secret"] {
            let config = ProxyConfig { url: url.to_owned(), username: None, password: None, no_proxy: None };
            let error = proxy_settings(&config).err().unwrap();
            assert_eq!(error.path(), Some("/proxy/url"), "{url}");
            assert!(!error.message().contains("secret"));
        }
        for (url, name) in
            [("http://p.example", "p.example:80"), ("https://[::1]:3129", "[::1]:3129"), ("socks5://p", "p:1080")]
        {
            let config = ProxyConfig { url: url.to_owned(), username: None, password: None, no_proxy: None };
            assert_eq!(proxy_settings(&config).unwrap().unwrap().name, name);
        }
    }
}
