//! One request from its lane to its answer: deadline, attempts, redirects.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use url::Position;

use super::attempt::{self, Outcome, Plan};
use super::failure::{self, Failure};
use super::health::{Admission, Change, Health};
use super::pool::{Needs, Pool};
use super::probe::Probe;
use super::redirect::redirected;
use super::retry::{self, Retry};
use super::{Method, Purpose, Request, Response, TransportStats, address};
use crate::config::TransportConfig;
use crate::error::{Error, ErrorKind, Phase, Result};

/// A deadline shorter than this says what the caller is willing to wait, not that the host is down.
const FAIR_CHANCE: Duration = Duration::from_secs(1);
/// Calls that wait for the same host come over this time.
const SPREAD: Duration = Duration::from_secs(1);
/// Hosts that are remembered before the idle ones are forgotten.
const HOSTS: usize = 256;

pub(super) struct Inner {
    pool: Pool,
    artifact_lane: Semaphore,
    geo_lane: Semaphore,
    /// By purpose and host.
    health: [Mutex<HashMap<String, Arc<Mutex<Health>>>>; 3],
    counters: Counters,
    /// The URL of the last delivery, without its query: the next one nearly always differs in nothing else.
    delivery_url: Mutex<Option<(String, Url)>>,
}

#[derive(Default)]
struct Counters {
    requests: AtomicU64,
    attempts: AtomicU64,
    retries: AtomicU64,
    budget_exhausted: AtomicU64,
    breaker_opens: AtomicU64,
    breaker_refusals: AtomicU64,
    rest_refusals: AtomicU64,
    bytes_out: AtomicU64,
    bytes_in: AtomicU64,
}

fn count(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Ordering::Relaxed);
}

impl Inner {
    pub(super) fn new(config: &TransportConfig) -> Result<Inner> {
        Ok(Inner::with(Pool::new(config)?))
    }

    pub(super) fn with(pool: Pool) -> Inner {
        Inner {
            pool,
            artifact_lane: Semaphore::new(4),
            geo_lane: Semaphore::new(32),
            health: Default::default(),
            counters: Counters::default(),
            delivery_url: Mutex::default(),
        }
    }

    pub(super) fn stats(&self) -> TransportStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &self.counters;
        let (open_breakers, resting_hosts) = self.given_up();
        TransportStats {
            open_breakers,
            resting_hosts,
            requests: read(&counters.requests),
            attempts: read(&counters.attempts),
            retries: read(&counters.retries),
            budget_exhausted: read(&counters.budget_exhausted),
            breaker_opens: read(&counters.breaker_opens),
            breaker_refusals: read(&counters.breaker_refusals),
            rest_refusals: read(&counters.rest_refusals),
            bytes_out: read(&counters.bytes_out),
            bytes_in: read(&counters.bytes_in),
        }
    }

    pub(super) async fn send(&self, request: Request) -> Result<Response> {
        let began = Instant::now();
        count(&self.counters.requests, 1);
        let url = match request.purpose {
            Purpose::Delivery => self.delivery_url(&request.url)?,
            Purpose::Artifact | Purpose::Geo => checked_url(&request.url)?,
        };
        let probe = Probe::new();
        if began >= request.deadline {
            return Err(failure::too_late(host_of(&url), probe.progress(), Duration::ZERO));
        }
        let run = Arc::clone(&probe).watch(self.run(&request, &url, &probe, began));
        // Boxed: reqwest's future is large and would be copied into every caller's.
        match tokio::time::timeout_at(request.deadline, Box::pin(run)).await {
            Ok(result) => result,
            Err(_) => Err(failure::too_late(host_of(&url), probe.progress(), began.elapsed())),
        }
    }

    async fn run(&self, request: &Request, url: &Url, probe: &Probe, began: Instant) -> Result<Response> {
        let lane = match request.purpose {
            Purpose::Delivery => None,
            Purpose::Artifact => Some(&self.artifact_lane),
            Purpose::Geo => Some(&self.geo_lane),
        };
        let _place = match lane {
            Some(lane) => {
                Some(lane.acquire().await.map_err(|_| Error::new(ErrorKind::Closed, "the transport is closed"))?)
            }
            None => None,
        };
        let body = request.body.as_ref().map(|body| Bytes::from(body.clone()));
        let mut url = Cow::Borrowed(url);
        let mut redirects = 0;
        loop {
            let host = host_of(&url);
            let outcome = self.attempts(request, &url, host, body.as_ref(), probe, began).await?;
            let (status, location) = match outcome {
                Outcome::Answer(response) => return Ok(*response),
                Outcome::Redirect { status, location } => (status, location),
            };
            redirects += 1;
            let next = redirected(&url, &location, redirects).map_err(|why| {
                let failure = Failure::new(ErrorKind::Http, Phase::Wait, format!("{host} answered {status}: {why}"));
                Failure { http_status: Some(status), ..failure }.into_error(probe.progress().attempts, began.elapsed())
            })?;
            url = Cow::Owned(next);
        }
    }

    pub(super) fn close_idle(&self) {
        self.pool.clear();
    }

    /// The attempts at one URL.
    async fn attempts(
        &self,
        request: &Request,
        url: &Url,
        host: &str,
        body: Option<&Bytes>,
        probe: &Probe,
        began: Instant,
    ) -> Result<Outcome> {
        let public_only = !request.private_addresses_allowed;
        if public_only && literal_address(url).is_some_and(|address| !address::is_public(address)) {
            let message = format!("{host} is a loopback, link-local or private address, which is refused here");
            return Err(Failure::new(ErrorKind::Network, Phase::Connect, message).into_error(0, began.elapsed()));
        }
        let plan = Plan {
            host,
            proxy: self.pool.proxy_name(),
            idempotent: request.method == Method::Get,
            max_body_bytes: request.max_body_bytes,
            follow_redirects: request.purpose == Purpose::Artifact && request.method == Method::Get,
        };
        let health = self.health(request.purpose, host);
        let mut retries = 0;
        let mut stale_retried = false;
        let mut last: Option<Failure> = None;
        let needs = needs(request, url);
        loop {
            if let Err(refusal) = self.grant_rest(&health, host, request.deadline, probe, began).await {
                return Err(match last {
                    Some(failure) => failure.into_error(probe.progress().attempts, began.elapsed()),
                    None => refusal,
                });
            }
            let Some(ticket) = self.admit(&health, host, needs, request.deadline) else {
                // A host given up between two attempts: the failure that is known says more.
                return Err(match last {
                    Some(failure) => failure.into_error(probe.progress().attempts, began.elapsed()),
                    None => {
                        count(&self.counters.breaker_refusals, 1);
                        let message = format!("{host} has been failing; it is asked again within two seconds");
                        Error::new(ErrorKind::CircuitOpen, message).with_attempts(0).with_elapsed(began.elapsed())
                    }
                });
            };
            if retries == 0 {
                lock(&health).budget.request(Instant::now());
            }
            // The pool may hold more connections that are dead: the one repetition goes over a new one.
            let client = match last.as_ref().is_some_and(|failure| failure.retry == Retry::Stale) {
                true => self.pool.fresh_client(needs)?,
                false => self.pool.client(needs)?,
            };
            let attempt = build(request, url, body)?;
            probe.begin_attempt();
            count(&self.counters.attempts, 1);
            count(&self.counters.bytes_out, request.body.as_ref().map_or(0, |body| body.len() as u64));
            let received = |bytes: usize| count(&self.counters.bytes_in, bytes as u64);
            let failure = match attempt::attempt(&client, attempt, &plan, probe, received).await {
                Ok(outcome) => {
                    self.pool.answered(needs);
                    ticket.settle(false);
                    return Ok(outcome);
                }
                Err(failure) => failure,
            };
            if failure.http_status.is_some() {
                self.pool.answered(needs);
            }
            // A connection that the server had closed while it was idle says nothing about the server.
            ticket.settle(failure.host_down && !matches!(failure.retry, Retry::Stale | Retry::Unsent));
            if let (Retry::Asked(Some(wait)), Some(status)) = (failure.retry, failure.http_status) {
                lock(&health).rest.asked(Instant::now(), wait, status, fastrand::f64());
            }
            let attempts = probe.progress().attempts;
            log::debug!(target: "target_sdk::transport", "attempt {attempts}: {}", failure.message);
            let wait = match self.wait_before_retry(&failure, &health, retries, stale_retried, request) {
                Some(wait) => wait,
                None => return Err(failure.into_error(attempts, began.elapsed())),
            };
            stale_retried |= failure.retry == Retry::Stale;
            retries += 1;
            count(&self.counters.retries, 1);
            last = Some(failure);
            if !wait.is_zero() {
                tokio::time::sleep(wait).await;
            }
        }
    }

    /// How long to wait before the next attempt; `None`: there is none.
    fn wait_before_retry(
        &self,
        failure: &Failure,
        health: &Mutex<Health>,
        retries: u32,
        stale_retried: bool,
        request: &Request,
    ) -> Option<Duration> {
        if retries >= request.max_retries {
            return None;
        }
        let pause = retry::backoff(retries, fastrand::f64());
        let pause = match failure.retry {
            Retry::No => return None,
            Retry::Stale if stale_retried => return None,
            Retry::Stale => Duration::ZERO,
            Retry::Unsent | Retry::Safe | Retry::Asked(_) => pause,
        };
        let now = Instant::now();
        let rest = lock(health).rest.left(now).map_or(Duration::ZERO, |(rest, _)| rest);
        let wait = rest + pause;
        // Waiting beyond the deadline would only delay the bad news.
        if rest > retry::WAIT_CAP || now + wait >= request.deadline {
            return None;
        }
        // A request that found its connection closed was not served: repeating it is no more load than was meant.
        if !matches!(failure.retry, Retry::Stale | Retry::Unsent) && !lock(health).budget.take(now) {
            count(&self.counters.budget_exhausted, 1);
            return None;
        }
        Some(wait)
    }

    /// Waits as long as the host wants to be left alone; refuses the call when its deadline comes before.
    async fn grant_rest(
        &self,
        health: &Mutex<Health>,
        host: &str,
        deadline: Instant,
        probe: &Probe,
        began: Instant,
    ) -> Result<()> {
        loop {
            let now = Instant::now();
            let Some((left, status)) = lock(health).rest.left(now) else { return Ok(()) };
            if left > retry::WAIT_CAP || now + left >= deadline {
                count(&self.counters.rest_refusals, 1);
                let seconds = left.as_secs_f64().ceil();
                let message = format!("{host} answered {status} and wants no requests for another {seconds} s");
                return Err(Error::new(ErrorKind::CircuitOpen, message)
                    .with_http_status(status)
                    .with_attempts(probe.progress().attempts)
                    .with_elapsed(began.elapsed()));
            }
            probe.enter(Phase::Queue);
            // Those who wait do not all come at the first moment.
            let later = left + left.min(SPREAD).mul_f64(fastrand::f64());
            tokio::time::sleep_until(if now + later < deadline { now + later } else { now + left }).await;
        }
    }

    /// Hosts whose breaker is open, and hosts that want to be left alone.
    fn given_up(&self) -> (u64, u64) {
        let now = Instant::now();
        let (mut open, mut resting) = (0, 0);
        for hosts in &self.health {
            for health in lock(hosts).values() {
                let health = lock(health);
                open += u64::from(health.breaker.is_open());
                resting += u64::from(health.rest.left(now).is_some());
            }
        }
        (open, resting)
    }

    /// [`checked_url`], which parses host and path only when they change.
    fn delivery_url(&self, text: &str) -> Result<Url> {
        let Some((base, query)) = text.split_once('?') else { return checked_url(text) };
        let mut last = lock(&self.delivery_url);
        if let Some((known, url)) = &*last
            && known == base
            && query.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#')
        {
            let mut url = url.clone();
            drop(last);
            url.set_query(Some(query));
            return Ok(url);
        }
        let url = checked_url(text)?;
        let mut without_query = url.clone();
        without_query.set_query(None);
        without_query.set_fragment(None);
        *last = Some((base.to_owned(), without_query));
        Ok(url)
    }

    fn health(&self, purpose: Purpose, host: &str) -> Arc<Mutex<Health>> {
        let [delivery, artifact, geo] = &self.health;
        let hosts = match purpose {
            Purpose::Delivery => delivery,
            Purpose::Artifact => artifact,
            Purpose::Geo => geo,
        };
        let mut hosts = lock(hosts);
        if let Some(health) = hosts.get(host) {
            return Arc::clone(health);
        }
        if hosts.len() >= HOSTS {
            let now = Instant::now();
            hosts.retain(|_, health| !lock(health).is_idle(now));
            if hosts.len() >= HOSTS {
                hosts.clear();
            }
        }
        Arc::clone(hosts.entry(host.to_owned()).or_default())
    }

    fn admit<'a>(
        &'a self,
        health: &'a Mutex<Health>,
        host: &'a str,
        needs: Needs,
        deadline: Instant,
    ) -> Option<Ticket<'a>> {
        match lock(health).breaker.admit(Instant::now()) {
            Admission::Refused => None,
            admission => Some(Ticket {
                inner: self,
                health,
                host,
                needs,
                admission,
                began: Instant::now(),
                deadline,
                settled: false,
            }),
        }
    }
}

fn needs(request: &Request, url: &Url) -> Needs {
    Needs { https: url.scheme() == "https", public_only: !request.private_addresses_allowed }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The duty to tell the breaker how an attempt went.
struct Ticket<'a> {
    inner: &'a Inner,
    health: &'a Mutex<Health>,
    host: &'a str,
    /// Which of the pool's: https, public addresses only.
    needs: Needs,
    admission: Admission,
    began: Instant,
    deadline: Instant,
    settled: bool,
}

impl Ticket<'_> {
    fn settle(mut self, failed: bool) {
        self.record(failed);
    }

    fn record(&mut self, failed: bool) {
        self.settled = true;
        let change = lock(self.health).breaker.record(Instant::now(), self.admission, failed, fastrand::f64());
        match change {
            Some(Change::Opened) => {
                count(&self.inner.counters.breaker_opens, 1);
                log::warn!(target: "target_sdk::transport", "{} keeps failing: it is asked every two seconds only", self.host);
            }
            Some(Change::Closed) => log::info!(target: "target_sdk::transport", "{} answers again", self.host),
            None => {}
        }
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        if self.settled {
            return;
        }
        // Dropped in flight: by the deadline, which is a failure of the host if it had a fair chance, or by a cancel,
        // which is none.
        let now = Instant::now();
        if now >= self.deadline {
            self.inner.pool.doubt(self.needs, self.began);
            if now - self.began >= FAIR_CHANCE {
                self.record(true);
            }
        }
    }
}

pub(super) fn checked_url(text: &str) -> Result<Url> {
    // No message repeats the URL: its query holds session ids.
    let wrong = |what: &'static str| Error::new(ErrorKind::InvalidOptions, what);
    if text.bytes().any(|byte| byte.is_ascii_control()) {
        return Err(wrong("the request's URL has a control character in it"));
    }
    let url = Url::parse(text).map_err(|_| wrong("the request's URL is not a URL"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong("the request's URL must begin with https:// or http://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("the request's URL must not have a user name or password in it"));
    }
    Ok(url)
}

pub(super) fn checked_headers(request: &Request) -> Result<HeaderMap> {
    let mut headers = HeaderMap::with_capacity(request.headers.len() + 2);
    headers.insert("accept-encoding", HeaderValue::from_static("gzip"));
    if request.body.is_some() {
        headers.insert("content-type", HeaderValue::from_static("application/json"));
    }
    for (name, value) in &request.headers {
        let key = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| Error::internal(format!("`{name}` is not the name of a header")))?;
        let value = HeaderValue::from_str(value).map_err(|_| {
            Error::new(ErrorKind::InvalidOptions, format!("the value of header {name} has a forbidden character in it"))
        })?;
        headers.insert(key, value);
    }
    Ok(headers)
}

fn build(request: &Request, url: &Url, body: Option<&Bytes>) -> Result<reqwest::Request> {
    let method = match request.method {
        Method::Get => reqwest::Method::GET,
        Method::Post => reqwest::Method::POST,
    };
    let mut built = reqwest::Request::new(method, url.clone());
    *built.headers_mut() = checked_headers(request)?;
    *built.body_mut() = body.map(|body| reqwest::Body::from(Bytes::clone(body)));
    Ok(built)
}

/// `host`, with the port if it is not the scheme's own.
fn host_of(url: &Url) -> &str {
    &url[Position::BeforeHost..Position::AfterPort]
}

pub(super) fn literal_address(url: &Url) -> Option<std::net::IpAddr> {
    // The parser has turned decimal, octal and hexadecimal forms into plain addresses.
    url.host_str()?.trim_matches(['[', ']']).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delivery_urls_are_the_same_from_memory() {
        let inner =
            Inner::new(&crate::config::Config::parse(r#"{"client":"c","organizationId":"o"}"#).unwrap().transport)
                .unwrap();
        for text in [
            "https://a.example/rest/v1/delivery?imsOrgId=1%40AdobeOrg&sessionId=s1",
            "https://a.example/rest/v1/delivery?imsOrgId=1%40AdobeOrg&sessionId=s2'\"<>",
            "https://b.example:8443/rest/v1/delivery?sessionId=s3",
            "https://b.example:8443/rest/v1/delivery?sessionId=s4#fragment",
            "https://b.example:8443/rest/v1/delivery?",
            "https://b.example:8443/rest/v1/delivery",
        ] {
            assert_eq!(inner.delivery_url(text).unwrap(), Url::parse(text).unwrap());
        }
        assert!(inner.delivery_url("https://b.example:8443/rest/v1/delivery?a\r\nb").is_err());
    }

    #[test]
    fn urls_are_checked_and_never_repeated() {
        for bad in ["", "rules", "ftp://h/secret", "https://user:secret@h/", "https://h/\r\nsecret", "https://"] {
            let error = checked_url(bad).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidOptions);
            assert!(!error.message().contains("secret"), "{bad:?}");
        }
    }

    #[test]
    fn literal_addresses_are_recognised_however_they_are_written() {
        for text in
            ["http://2130706433/", "http://0x7f.1/", "http://0177.0.0.1/", "http://127.1/", "http://[::ffff:7f00:1]/"]
        {
            let address = literal_address(&checked_url(text).unwrap()).unwrap();
            assert!(!address::is_public(address), "{text}");
        }
        assert_eq!(literal_address(&checked_url("http://assets.example/").unwrap()), None);
    }
}
