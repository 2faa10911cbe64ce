//! One attempt: send, read under caps, judge.

use reqwest::header::{CONTENT_ENCODING, DATE, HeaderMap, LOCATION, RETRY_AFTER};
use tokio::time::Instant;

use super::body::{Collector, Refused};
use super::failure::{self, Facts, Failure};
use super::probe::Probe;
use super::retry::{self, Retry};
use super::{Response, Timing};
use crate::error::{ErrorKind, Phase};
use crate::excerpt::excerpt;

/// How much of an error page is read: enough for the excerpt, and usually enough to keep the connection.
const ERROR_PAGE: usize = 16 << 10;

/// What one attempt led to.
#[allow(clippy::large_enum_variant)] // made and taken apart at once: a box would cost more than the move
pub(super) enum Outcome {
    Answer(Response),
    /// A redirect, with the `Location` as it came.
    Redirect {
        status: u16,
        location: String,
    },
}

/// What stays the same over all attempts of a request.
pub(super) struct Plan<'a> {
    pub(super) host: &'a str,
    pub(super) proxy: Option<&'a str>,
    pub(super) idempotent: bool,
    pub(super) max_body_bytes: usize,
    pub(super) follow_redirects: bool,
}

impl<'a> Plan<'a> {
    fn facts(&self, probe: &Probe) -> Facts<'a> {
        Facts { host: self.host, proxy: self.proxy, progress: probe.progress(), idempotent: self.idempotent }
    }
}

/// Sends `request` once, now, at `began`. `received` is told the bytes of each answer, wanted or not. Returns when it ended,
/// too.
pub(super) async fn attempt(
    client: &reqwest::Client,
    request: reqwest::Request,
    plan: &Plan<'_>,
    probe: &Probe,
    began: Instant,
    received: impl Fn(usize),
) -> Result<(Outcome, Instant), Failure> {
    let mut response = client.execute(request).await.map_err(|error| failure::sending(&error, plan.facts(probe)))?;
    let head = Instant::now();
    probe.enter(Phase::Read);
    let status = response.status().as_u16();

    // Nobody but downloads asks for what may be unmodified.
    if !(response.status().is_success() || (status == 304 && plan.idempotent)) {
        if plan.follow_redirects && matches!(status, 301 | 302 | 303 | 307 | 308) {
            let location = text(response.headers(), LOCATION.as_str()).unwrap_or_default().to_owned();
            return Ok((Outcome::Redirect { status, location }, head));
        }
        let page = read_error_page(&mut response).await;
        received(page.wire());
        return Err(status_failure(status, response.headers(), &page.into_partial(), plan));
    }

    let gzip = match encoding(response.headers()) {
        Ok(gzip) => gzip,
        Err(unknown) => {
            let message = format!("{} answered in the encoding {unknown}, which was not asked for", plan.host);
            return Err(decode(status, message));
        }
    };
    let refused = |why: Refused| decode(status, format!("the answer of {} is refused: {why}", plan.host));
    if !gzip && response.content_length().is_some_and(|length| length > plan.max_body_bytes as u64) {
        return Err(refused(Refused::TooLarge { cap: plan.max_body_bytes }));
    }
    let expected = response.content_length().and_then(|length| usize::try_from(length).ok());
    let mut body = Collector::new(gzip, plan.max_body_bytes, expected.unwrap_or(0));
    loop {
        match response.chunk().await {
            Ok(Some(piece)) => {
                received(piece.len());
                body.push(&piece).map_err(refused)?;
            }
            Ok(None) => break,
            Err(error) => return Err(failure::reading(&error, plan.facts(probe), body.wire())),
        }
    }
    let ended = Instant::now();
    let progress = probe.enter(Phase::Decode);
    let response_size = body.wire();
    let body = body.finish().map_err(refused)?;
    let timing = Timing {
        dns: progress.dns,
        tls: progress.tls,
        time_to_first_byte: Some(head - began),
        download: Some(ended - head),
        response_size,
    };
    let version = if response.version() == reqwest::Version::HTTP_2 { "HTTP/2" } else { "HTTP/1.1" };
    let headers = std::mem::take(response.headers_mut());
    let answer = Response { status, headers, body, attempts: progress.attempts, timing, version };
    Ok((Outcome::Answer(answer), ended))
}

fn decode(status: u16, message: String) -> Failure {
    Failure { http_status: Some(status), ..Failure::new(ErrorKind::Decode, Phase::Decode, message) }
}

async fn read_error_page(response: &mut reqwest::Response) -> Collector {
    let gzip = encoding(response.headers()).unwrap_or(false);
    let mut page = Collector::new(gzip, ERROR_PAGE, 0);
    // Whatever goes wrong here, the status is the error.
    while let Ok(Some(piece)) = response.chunk().await {
        if page.push(&piece).is_err() {
            break;
        }
    }
    page
}

fn status_failure(status: u16, headers: &HeaderMap, page: &[u8], plan: &Plan<'_>) -> Failure {
    let host = plan.host;
    if status == 407 && plan.proxy.is_some() {
        let message = format!("the proxy asks for authentication (407) to reach {host}");
        return Failure { http_status: Some(status), ..Failure::new(ErrorKind::Network, Phase::Connect, message) };
    }
    let name = reqwest::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    let message = format!("{host} answered {status}{}{}", if name.is_some() { " " } else { "" }, name.unwrap_or(""));
    // A POST answered by 500 may have been processed; asking twice for the same thing is harmless.
    let transient = retry::is_transient(status) || (status == 500 && plan.idempotent);
    let asked = || {
        let date = text(headers, DATE.as_str()).and_then(retry::http_date);
        let now = crate::env::Clock::now_ms(&crate::env::SystemClock) / 1000;
        text(headers, RETRY_AFTER.as_str()).and_then(|value| retry::retry_after(value, date, now))
    };
    Failure {
        retry: if transient { Retry::Asked(asked()) } else { Retry::No },
        retryable: transient || status == 500,
        host_down: matches!(status, 502..=504),
        http_status: Some(status),
        body: Some(excerpt(page)).filter(|text| !text.is_empty()),
        ..Failure::new(ErrorKind::Http, Phase::Wait, message)
    }
}

/// Whether the body is gzip; `Err` names an encoding that we do not read.
fn encoding(headers: &HeaderMap) -> Result<bool, String> {
    let mut named = Vec::new();
    for value in headers.get_all(CONTENT_ENCODING) {
        let names = String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase();
        named.extend(
            names.split(',').map(str::trim).filter(|name| !matches!(*name, "" | "identity")).map(str::to_owned),
        );
    }
    match named.as_slice() {
        [] => Ok(false),
        [one] if one == "gzip" || one == "x-gzip" => Ok(true),
        _ => Err(named.join(", ").chars().take(40).filter(|c| !c.is_control()).collect()),
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
