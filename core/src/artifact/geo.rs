//! Where an IP address is, from Adobe's CDN.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::location::base_url;
use crate::config::Config;
use crate::error::{Error, ErrorKind, Phase, Result};
use crate::json::{self, Json, Limits};
use crate::number::parse_float;
use crate::transport::{Method, Purpose, Request, Response, Transport};

const LIFE: Duration = Duration::from_secs(600);
const ENTRIES: usize = 1024;
const MAX_BODY: usize = 64 << 10;

/// The CDN's names, those of the Delivery API's `geo` object, and whether the value is a number.
const FIELDS: [(&str, &str, bool); 6] = [
    ("x-geo-latitude", "latitude", true),
    ("x-geo-longitude", "longitude", true),
    ("x-geo-country-code", "countryCode", false),
    ("x-geo-region-code", "stateCode", false),
    ("x-geo-city", "city", false),
    ("x-forwarded-for", "ipAddress", false),
];

/// What is known about an address.
#[derive(Clone, PartialEq, Eq)]
pub struct GeoAnswer {
    /// A JSON object with those of `latitude`, `longitude`, `countryCode`, `stateCode`, `city` and `ipAddress` (in this
    /// order) that the CDN told.
    pub json: String,
}

impl GeoAnswer {
    /// What the CDN told: values of the body, a JSON object, come first, then those of the headers (lower-case names).
    pub fn read(body: Option<&Json<'_>>, header: impl Fn(&str) -> Option<String>) -> GeoAnswer {
        GeoAnswer { json: object(|name| body.and_then(|body| body.get(name)).and_then(value).or_else(|| header(name))) }
    }
}

/// Looks addresses up and remembers the answers for ten minutes.
pub struct Geo {
    transport: Transport,
    url: String,
    private_addresses_allowed: bool,
    known: Mutex<HashMap<String, Known>>,
}

struct Known {
    answer: GeoAnswer,
    until: Instant,
    used: Instant,
}

impl Geo {
    /// Asks the CDN that `config` names.
    pub fn new(config: &Config, transport: Transport) -> Result<Geo> {
        Ok(Geo {
            transport,
            url: format!("{}/v1/geo", base_url(config)?),
            private_addresses_allowed: !config.secure,
            known: Mutex::default(),
        })
    }

    /// Where `ip` is; without one, where this host appears to be. An address must have been checked to be one.
    pub async fn look_up(&self, ip: Option<&str>, deadline: Instant) -> Result<GeoAnswer> {
        let key = ip.unwrap_or("");
        if let Some(answer) = self.remembered(key, Instant::now()) {
            return Ok(answer);
        }
        let request = Request {
            purpose: Purpose::Geo,
            method: Method::Get,
            url: self.url.as_str().into(),
            common: None,
            headers: ip.map(|ip| ("x-forwarded-for", ip.into())).into_iter().collect(),
            body: None,
            deadline,
            max_retries: 1,
            max_body_bytes: MAX_BODY,
            private_addresses_allowed: self.private_addresses_allowed,
        };
        let response = self.transport.send(request).await?;
        let answer = read(&response)?;
        self.remember(key, answer.clone(), Instant::now());
        Ok(answer)
    }

    fn remembered(&self, key: &str, now: Instant) -> Option<GeoAnswer> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = known.get_mut(key).filter(|entry| entry.until > now)?;
        entry.used = now;
        Some(entry.answer.clone())
    }

    fn remember(&self, key: &str, answer: GeoAnswer, now: Instant) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= ENTRIES && !known.contains_key(key) {
            known.retain(|_, entry| entry.until > now);
            if known.len() >= ENTRIES {
                // The half that was used last stays: looking for the single oldest each time would cost as much.
                let mut uses: Vec<Instant> = known.values().map(|entry| entry.used).collect();
                let middle = uses.len() / 2;
                let (_, median, _) = uses.select_nth_unstable(middle);
                let median = *median;
                known.retain(|_, entry| entry.used > median);
            }
        }
        known.insert(key.to_owned(), Known { answer, until: now + LIFE, used: now });
    }
}

fn read(response: &Response) -> Result<GeoAnswer> {
    let unreadable = |what: &str| {
        Error::new(ErrorKind::Decode, format!("the answer to the geo look-up is {what}"))
            .with_phase(Phase::Decode)
            .with_http_status(response.status)
    };
    let text = std::str::from_utf8(&response.body).map_err(|_| unreadable("not text"))?;
    let body = if text.trim().is_empty() {
        Json::Null
    } else {
        json::parse(text, &Limits::REMOTE).map_err(|_| unreadable("not JSON"))?
    };
    if !matches!(body, Json::Null | Json::Object(_)) {
        return Err(unreadable("not a JSON object"));
    }
    Ok(GeoAnswer::read(Some(&body), |name| header(response, name)))
}

/// The geo context in the headers of an artifact download: `{}` if there is none.
pub(super) fn context(response: &Response) -> String {
    GeoAnswer::read(None, |name| header(response, name)).json
}

fn header(response: &Response, name: &str) -> Option<String> {
    response.header(name).map(str::to_owned)
}

fn value(json: &Json<'_>) -> Option<String> {
    match json {
        Json::String(text) => Some(text.to_string()),
        Json::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn object(value: impl Fn(&str) -> Option<String>) -> String {
    let mut out = String::from("{");
    for (name, field, is_number) in FIELDS {
        let Some(text) = value(name) else { continue };
        let number = Some(parse_float(&text)).filter(|number| number.is_finite());
        if is_number && number.is_none() {
            continue;
        }
        if out.len() > 1 {
            out.push(',');
        }
        json::write_str(&mut out, field);
        out.push(':');
        match number {
            Some(number) if is_number => {
                // Writing to a String cannot fail.
                let _ = write!(out, "{number}");
            }
            _ => json::write_str(&mut out, &text),
        }
    }
    out.push('}');
    out
}

crate::opaque::opaque_debug! { GeoAnswer {} }

#[cfg(test)]
mod tests {
    use super::super::tests::config;
    use super::*;
    use crate::transport::Timing;

    fn response(body: &str, headers: &[(&str, &str)]) -> Response {
        Response {
            status: 200,
            headers: headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect(),
            body: body.as_bytes().to_vec(),
            attempts: 1,
            timing: Timing::default(),
            version: "HTTP/1.1",
        }
    }

    #[test]
    fn answers_come_from_the_body_or_the_headers() {
        let all = r#"{"latitude":37.75,"longitude":-122.4,"countryCode":"US","stateCode":"CA","city":"SAN FRANCISCO"}"#;
        let body = r#"{"x-geo-city":"SAN FRANCISCO","x-geo-latitude":37.75,"x-geo-longitude":"-122.40","x-geo-country-code":"US","x-geo-region-code":"CA","other":1}"#;
        assert_eq!(read(&response(body, &[])).unwrap().json, all);
        let headers = [
            ("x-geo-latitude", "37.75"),
            ("x-geo-longitude", "-122.4"),
            ("x-geo-country-code", "US"),
            ("x-geo-region-code", "CA"),
            ("x-geo-city", "SAN FRANCISCO"),
        ];
        assert_eq!(read(&response("", &headers)).unwrap().json, all);
        assert_eq!(context(&response("{\"x-geo-city\":\"B\"}", &headers)), all);
        let mixed = read(&response(
            r#"{"x-geo-city":null,"x-geo-latitude":"north"}"#,
            &[("x-geo-city", "A \"B\""), ("x-forwarded-for", "1.2.3.4")],
        ));
        assert_eq!(mixed.unwrap().json, r#"{"city":"A \"B\"","ipAddress":"1.2.3.4"}"#);
        // A number is read as far as it goes, like everywhere in the reference.
        let trailing = read(&response(r#"{"x-geo-longitude":"7.45 E"}"#, &[("x-geo-latitude", " 46.95N")]));
        assert_eq!(trailing.unwrap().json, r#"{"latitude":46.95,"longitude":7.45}"#);
        assert_eq!(read(&response("{}", &[])).unwrap().json, "{}");
        for bad in ["<html>", "[1]", "\"x\""] {
            assert_eq!(read(&response(bad, &[])).unwrap_err().kind(), ErrorKind::Decode);
        }
    }

    #[test]
    fn the_cache_is_bounded_and_forgets() {
        let config = config();
        let geo = Geo::new(&config, Transport::new(&config.transport).unwrap()).unwrap();
        let start = Instant::now();
        let answer = GeoAnswer { json: "{}".to_owned() };
        for n in 0..ENTRIES {
            geo.remember(&n.to_string(), answer.clone(), start + Duration::from_millis(n as u64));
        }
        let later = start + Duration::from_secs(5);
        assert!(geo.remembered("0", later).is_some());
        geo.remember("new", answer, later);
        assert!(geo.known.lock().unwrap().len() <= ENTRIES);
        assert!(geo.remembered("0", later).is_some(), "just used");
        assert!(geo.remembered("1", later).is_none(), "not used for longest");
        assert!(geo.remembered("new", later).is_some());
        assert!(geo.remembered("new", later + LIFE).is_none());
    }
}
