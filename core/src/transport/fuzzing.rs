//! For fuzz targets.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::body::{Collector, Refused};
use super::route::{self, Route, Target};
use super::{Request, send};
use crate::error::Result;

/// How a refused body was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// More than the cap.
    TooLarge,
    /// Expands suspiciously.
    Bomb,
    /// Not gzip, or broken off.
    Gzip,
    /// No memory for it.
    Memory,
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Refusal {
        match refused {
            Refused::TooLarge { .. } => Refusal::TooLarge,
            Refused::Bomb => Refusal::Bomb,
            Refused::Gzip(_) => Refusal::Gzip,
            Refused::Memory => Refusal::Memory,
        }
    }
}

/// Reads a body that comes in `pieces`. With a refusal comes what can be shown of the body.
pub fn collect<'p>(
    gzip: bool,
    cap: usize,
    pieces: impl IntoIterator<Item = &'p [u8]>,
) -> std::result::Result<Vec<u8>, (Refusal, Vec<u8>)> {
    let mut collector = Collector::new(gzip, cap, 0);
    for piece in pieces {
        if let Err(refused) = collector.push(piece) {
            return Err((refused.into(), collector.into_partial()));
        }
    }
    collector.finish().map_err(|refused| (refused.into(), Vec::new()))
}

/// Names and values.
pub type Headers = Vec<(String, Vec<u8>)>;

/// The URL and the headers that a request is sent with.
pub fn head(request: &Request<'_>) -> Result<(url::Url, Headers)> {
    // As a delivery goes: in two parts if its URL can be cut.
    let (base, pairs) = route::cut(&request.url).unwrap_or((&request.url, ""));
    let url = Target { route: target(base)?, pairs }.url();
    let headers = send::checked_headers(request)?;
    Ok((url, headers.iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect()))
}

fn target(url: &str) -> Result<Arc<Route>> {
    Ok(Arc::new(Route { url: route::checked_url(url)?, health: Arc::default() }))
}

/// The address that a URL names, if the policy for addresses is to look at it.
pub fn literal_address(url: &str) -> Option<Option<IpAddr>> {
    target(url).ok().map(|route| route.literal_address())
}

/// Where a redirect leads, if it may be followed.
pub fn redirected(from: &str, location: &str) -> Option<url::Url> {
    super::redirect::redirected(&route::checked_url(from).ok()?, location, 1).ok()
}

/// Whether the address can be a server on the public internet.
pub fn is_public(address: IpAddr) -> bool {
    super::address::is_public(address)
}

/// The wait that a `Retry-After` header asks for.
pub fn retry_after(value: &str, now: i64) -> Option<Duration> {
    super::retry::retry_after(value, None, now)
}

/// Seconds since the epoch of a date in a header.
pub fn http_date(text: &str) -> Option<i64> {
    super::retry::http_date(text)
}
