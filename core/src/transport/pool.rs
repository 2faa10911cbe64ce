//! The reqwest clients behind a transport.
//!
//! There are at most four: with and without TLS, with and without a guard against private addresses. They are made when
//! first needed, so plain http never reads the system's trust store, and replaced after five minutes, because reqwest
//! keeps a busy connection for ever and would never see that the name's addresses have changed.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::{NoProxy, Proxy, Url, redirect};
use tokio::time::Instant;

use super::dns::{Lookup, Resolver};
use super::probe;
use super::tls::TlsSettings;
use crate::config::{ProxyConfig, TransportConfig};
use crate::error::{Error, Result};

const LIFE: Duration = Duration::from_secs(300);
/// A server that takes nothing for so long loses its connection. hyper wants to get rid of what it has buffered before it
/// closes, also when the call is over: without this, a server that never reads would keep socket and body for ever.
#[cfg(target_os = "linux")]
const UNREAD: Duration = Duration::from_secs(10);
/// Connections are not given up more often than this, however many requests run out of time.
const DOUBT_EVERY: Duration = Duration::from_secs(2);

pub(super) struct Pool {
    config: TransportConfig,
    tls: TlsSettings,
    proxy: Option<ProxySettings>,
    resolver: Resolver,
    clients: Mutex<[Option<Aged>; 4]>,
    /// When connections were given up last.
    doubted: Mutex<Option<Instant>>,
}

struct Aged {
    client: reqwest::Client,
    until: Instant,
    /// When anything was answered last over its connections.
    answered: Instant,
}

/// Which of the clients a request needs.
#[derive(Clone, Copy)]
pub(super) struct Needs {
    pub(super) https: bool,
    pub(super) public_only: bool,
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
            doubted: Mutex::default(),
        })
    }

    /// The same with another look-up.
    #[cfg(test)]
    pub(super) fn with_look_up(config: &TransportConfig, look_up: super::dns::LookUp) -> Pool {
        Pool { resolver: Resolver::with(look_up), ..Pool::new(config).unwrap() }
    }

    /// The proxy's `host:port`.
    pub(super) fn proxy_name(&self) -> Option<&str> {
        self.proxy.as_ref().map(|proxy| proxy.name.as_str())
    }

    /// A client for one request, without a connection yet.
    pub(super) fn fresh_client(&self, needs: Needs) -> Result<reqwest::Client> {
        self.build(self.uses_tls(needs), needs.public_only)
    }

    fn uses_tls(&self, needs: Needs) -> bool {
        needs.https || self.proxy.as_ref().is_some_and(|proxy| proxy.uses_tls)
    }

    fn slot(&self, needs: Needs) -> usize {
        usize::from(self.uses_tls(needs)) * 2 + usize::from(needs.public_only)
    }

    /// The client for a request.
    pub(super) fn client(&self, needs: Needs, now: Instant) -> Result<reqwest::Client> {
        let mut clients = lock(&self.clients);
        let slot = &mut clients[self.slot(needs)];
        if let Some(aged) = slot.as_ref().filter(|aged| aged.until > now) {
            return Ok(aged.client.clone());
        }
        let client = self.build(self.uses_tls(needs), needs.public_only)?;
        // Clients of many processes started together do not all reconnect together.
        let until = now + LIFE.mul_f64(0.8 + 0.2 * fastrand::f64());
        *slot = Some(Aged { client: client.clone(), until, answered: now });
        Ok(client)
    }

    /// A request was answered over the pool's connections, whatever the answer.
    pub(super) fn answered(&self, needs: Needs, now: Instant) {
        let mut clients = lock(&self.clients);
        if let Some(aged) = &mut clients[self.slot(needs)] {
            aged.answered = now;
        }
    }

    /// A request that was begun at `since` ran out of time. When nothing at all was answered since then, the connections
    /// are probably dead without knowing it, and the next request gets new ones: over HTTP/2 all requests would wait in
    /// vain for the one connection until a ping gives it up.
    pub(super) fn doubt(&self, needs: Needs, since: Instant) {
        let now = Instant::now();
        let mut clients = lock(&self.clients);
        let slot = &mut clients[self.slot(needs)];
        let mut doubted = lock(&self.doubted);
        let lately = doubted.is_some_and(|at| now < at + DOUBT_EVERY);
        if slot.as_ref().is_some_and(|aged| aged.answered < since) && !lately {
            *doubted = Some(now);
            log::info!(target: "target_sdk::transport", "no answers over the connections that there are: new ones are made");
            *slot = None;
        }
    }

    /// Forgets the clients: their connections close when no request uses them.
    pub(super) fn clear(&self) {
        let forgotten = std::mem::take(&mut *lock(&self.clients));
        drop(forgotten); // outside the lock
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
            // reqwest's own retries would be neither counted nor bounded by `maxRetries` and the budget.
            .retry(reqwest::retry::never())
            .no_proxy()
            .connect_timeout(self.config.connect_timeout)
            .pool_idle_timeout(self.config.pool_idle_timeout)
            .pool_max_idle_per_host(self.config.max_idle_per_host)
            .tcp_keepalive(Duration::from_secs(30))
            .http2_adaptive_window(true)
            .http2_max_header_list_size(64 << 10)
            .http2_keep_alive_interval(Duration::from_secs(20))
            .http2_keep_alive_timeout(Duration::from_secs(10));
        #[cfg(target_os = "linux")]
        {
            builder = builder.tcp_user_timeout(UNREAD);
        }
        if let Some(settings) = &self.proxy {
            builder = builder.proxy(settings.proxy.clone());
        }
        builder.build().map_err(|error| Error::internal(format!("the HTTP client cannot be built: {error}")))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `None`: the proxy is configured for no host at all.
fn proxy_settings(config: &ProxyConfig) -> Result<Option<ProxySettings>> {
    // The URL may hold a password: no message repeats it.
    let wrong = |what: &'static str| Error::at("/proxy/url", what);
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
    fn connections_that_may_be_dead_are_left_and_not_too_often() {
        let config = crate::config::Config::parse(r#"{"client":"c","organizationId":"o"}"#).unwrap();
        let pool = Pool::new(&config.transport).unwrap();
        let needs = Needs { https: true, public_only: false };
        let is_kept = || lock(&pool.clients)[pool.slot(needs)].is_some();
        pool.client(needs, Instant::now()).unwrap();
        let began = Instant::now();
        pool.answered(needs, Instant::now());
        pool.doubt(needs, began);
        assert!(is_kept(), "another request was answered meanwhile");
        let began = Instant::now();
        pool.doubt(Needs { https: false, ..needs }, began);
        assert!(is_kept(), "that was another one");
        pool.doubt(needs, began);
        assert!(!is_kept());
        pool.client(needs, Instant::now()).unwrap();
        pool.doubt(needs, Instant::now());
        assert!(is_kept(), "not twice in two seconds");
    }

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
