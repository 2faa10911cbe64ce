//! One request from its lane to its answer: deadline, attempts, redirects.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use reqwest::Url;
use reqwest::header::{ACCEPT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::attempt::{self, Outcome, Plan};
use super::failure::{self, Failure};
use super::health::{Admission, Change, Health};
use super::pool::{Needs, Pool};
use super::probe::Probe;
use super::redirect::redirected;
use super::retry::{self, Retry};
use super::route::{self, Route, Target};
use super::{ENCODINGS, Method, Purpose, Request, Response, TransportStats, address};
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
    /// The route of the last delivery and the text it was made of: the next one nearly always takes the same.
    delivery: Mutex<Option<(String, Arc<Route>)>>,
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
            delivery: Mutex::default(),
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

    pub(super) async fn send(&self, request: Request<'_>) -> Result<Response> {
        let began = Instant::now();
        count(&self.counters.requests, 1);
        let target = self.target(request.purpose, &request.url)?;
        let probe = Probe::new();
        if began >= request.deadline {
            return Err(failure::too_late(target.route.host(), probe.progress(), Duration::ZERO));
        }
        let run = Arc::clone(&probe).watch(self.run(&request, target.clone(), &probe, began));
        match tokio::time::timeout_at(request.deadline, run).await {
            Ok(result) => result,
            Err(_) => Err(failure::too_late(target.route.host(), probe.progress(), began.elapsed())),
        }
    }

    async fn run(
        &self,
        request: &Request<'_>,
        mut target: Target<'_>,
        probe: &Probe,
        began: Instant,
    ) -> Result<Response> {
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
        let mut redirects = 0;
        loop {
            let outcome = self.attempts(request, &target, probe, began).await?;
            let (status, location) = match outcome {
                Outcome::Answer(response) => return Ok(response),
                Outcome::Redirect { status, location } => (status, location),
            };
            redirects += 1;
            let next = redirected(&target.url(), &location, redirects).map_err(|why| {
                let message = format!("{} answered {status}: {why}", target.route.host());
                let failure = Failure::new(ErrorKind::Http, Phase::Wait, message);
                Failure { http_status: Some(status), ..failure }.into_error(probe.progress().attempts, began.elapsed())
            })?;
            target = Target { route: self.route(request.purpose, next), pairs: "" };
        }
    }

    pub(super) fn close_idle(&self) {
        self.pool.clear();
    }

    /// The attempts at one URL.
    async fn attempts(
        &self,
        request: &Request<'_>,
        target: &Target<'_>,
        probe: &Probe,
        began: Instant,
    ) -> Result<Outcome> {
        let Route { url, health } = &*target.route;
        let host = target.route.host();
        let public_only = !request.private_addresses_allowed;
        if public_only && target.route.literal_address().is_some_and(|address| !address::is_public(address)) {
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
        let mut retries = 0;
        let mut stale_retried = false;
        let mut last: Option<Failure> = None;
        let needs = Needs { https: url.scheme() == "https", public_only };
        loop {
            if let Err(refusal) = self.grant_rest(health, host, request.deadline, probe, began).await {
                return Err(match last {
                    Some(failure) => failure.into_error(probe.progress().attempts, began.elapsed()),
                    None => refusal,
                });
            }
            let now = Instant::now();
            let Some(ticket) = self.admit(health, host, needs, now, request.deadline, retries == 0) else {
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
            // The pool may hold more connections that are dead: the one repetition goes over a new one.
            let client = match last.as_ref().is_some_and(|failure| failure.retry == Retry::Stale) {
                true => self.pool.fresh_client(needs)?,
                false => self.pool.client(needs, now)?,
            };
            let attempt = build(request, target)?;
            probe.begin_attempt();
            count(&self.counters.attempts, 1);
            count(&self.counters.bytes_out, request.body.as_ref().map_or(0, |body| body.len() as u64));
            let received = |bytes: usize| count(&self.counters.bytes_in, bytes as u64);
            let failure = match attempt::attempt(&client, attempt, &plan, probe, now, received).await {
                Ok((outcome, ended)) => {
                    self.pool.answered(needs, ended);
                    ticket.settle(false, ended);
                    return Ok(outcome);
                }
                Err(failure) => failure,
            };
            let ended = Instant::now();
            if failure.http_status.is_some() {
                self.pool.answered(needs, ended);
            }
            // A connection that the server had closed while it was idle says nothing about the server.
            ticket.settle(failure.host_down && !matches!(failure.retry, Retry::Stale | Retry::Unsent), ended);
            if let (Retry::Asked(Some(wait)), Some(status)) = (failure.retry, failure.http_status) {
                lock(health).rest.asked(ended, wait, status, fastrand::f64());
            }
            let attempts = probe.progress().attempts;
            log::debug!(target: "target_sdk::transport", "attempt {attempts}: {}", failure.message);
            let wait = match self.wait_before_retry(&failure, health, retries, stale_retried, request) {
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
        request: &Request<'_>,
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

    /// Where a request goes. For deliveries, host and path are only looked at when they change.
    fn target<'r>(&self, purpose: Purpose, url: &'r str) -> Result<Target<'r>> {
        let cut = match purpose {
            Purpose::Delivery => route::cut(url),
            Purpose::Artifact | Purpose::Geo => None,
        };
        let Some((base, pairs)) = cut else {
            return Ok(Target { route: self.route(purpose, route::checked_url(url)?), pairs: "" });
        };
        let mut last = lock(&self.delivery);
        let route = match &*last {
            Some((known, route)) if known == base => route.clone(),
            _ => {
                let route = self.route(purpose, route::checked_url(base)?);
                last.insert((base.to_owned(), route)).1.clone()
            }
        };
        Ok(Target { route, pairs })
    }

    fn route(&self, purpose: Purpose, url: Url) -> Arc<Route> {
        let mut route = Route { url, health: Arc::default() };
        route.health = self.health(purpose, route.host());
        Arc::new(route)
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

    /// Asks for an attempt, `None`: not now.
    fn admit<'a>(
        &'a self,
        health: &'a Mutex<Health>,
        host: &'a str,
        needs: Needs,
        now: Instant,
        deadline: Instant,
        is_first: bool,
    ) -> Option<Ticket<'a>> {
        let admission = {
            let mut health = lock(health);
            let admission = health.breaker.admit(now);
            if is_first && admission != Admission::Refused {
                health.budget.request(now);
            }
            admission
        };
        match admission {
            Admission::Refused => None,
            _ => Some(Ticket { inner: self, health, host, needs, admission, began: now, deadline, settled: false }),
        }
    }
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
    fn settle(mut self, failed: bool, now: Instant) {
        self.record(failed, now);
    }

    fn record(&mut self, failed: bool, now: Instant) {
        self.settled = true;
        let change = lock(self.health).breaker.record(now, self.admission, failed, fastrand::f64());
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
                self.record(true, now);
            }
        }
    }
}

pub(super) fn checked_headers(request: &Request<'_>) -> Result<HeaderMap> {
    let mut headers = match request.common {
        Some(common) => common.0.clone(),
        None => {
            let mut headers = HeaderMap::with_capacity(request.headers.len() + 2);
            headers.insert(ACCEPT_ENCODING, ENCODINGS);
            if request.body.is_some() {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            }
            headers
        }
    };
    for (name, value) in &request.headers {
        let key = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| Error::internal(format!("`{name}` is not the name of a header")))?;
        let value = HeaderValue::from_str(value).map_err(|_| {
            Error::new(ErrorKind::InvalidOptions, format!("the value of header {name} has a forbidden character in it"))
        })?;
        // Inserting makes room for another header first, which is in vain for one that is there.
        match headers.get_mut(&key) {
            Some(place) => *place = value,
            None => drop(headers.insert(key, value)),
        }
    }
    Ok(headers)
}

fn build(request: &Request<'_>, target: &Target<'_>) -> Result<reqwest::Request> {
    let method = match request.method {
        Method::Get => reqwest::Method::GET,
        Method::Post => reqwest::Method::POST,
    };
    let mut built = reqwest::Request::new(method, target.url());
    *built.headers_mut() = checked_headers(request)?;
    *built.body_mut() = request.body.as_ref().map(|body| reqwest::Body::from(Bytes::clone(body)));
    Ok(built)
}
