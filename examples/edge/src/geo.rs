//! `GET /v1/geo`: where an address is, as far as the offers file says.

use std::net::IpAddr;

use hyper::header::{HeaderName, HeaderValue};
use serde_json::{Map, Value};

use crate::http::{Answer, json};
use crate::offers::Offers;

const DEFAULT: [(&str, &str); 5] = [
    ("x-geo-latitude", "37.75"),
    ("x-geo-longitude", "-122.4"),
    ("x-geo-country-code", "US"),
    ("x-geo-region-code", "CA"),
    ("x-geo-city", "SAN FRANCISCO"),
];

/// The place of an address: the offers file's for it, or its default, or San Francisco.
pub(crate) fn place(offers: &Offers, forwarded: Option<&str>, peer: IpAddr) -> Map<String, Value> {
    // The first of a chain of proxies is the visitor.
    let address = forwarded
        .and_then(|chain| chain.split(',').next())
        .map(str::trim)
        .filter(|address| !address.is_empty())
        .map_or_else(|| peer.to_string(), str::to_owned);
    let mut place = match offers.place(&address) {
        Some(known) => known.clone(),
        None => DEFAULT
            .iter()
            .map(|(name, value)| {
                // Coordinates are numbers.
                let value = value.parse::<f64>().map_or_else(|_| Value::from(*value), Value::from);
                ((*name).to_owned(), value)
            })
            .collect(),
    };
    place.insert("x-forwarded-for".to_owned(), Value::String(address));
    place
}

/// The place as headers, except the address, which is the request's own.
pub(crate) fn add_headers(answer: &mut Answer, place: &Map<String, Value>) {
    for (name, value) in place.iter().filter(|(name, _)| name.starts_with("x-geo-")) {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        // Headers are ASCII; a city like Zürich is in the body only.
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_str(&text)) {
            answer.headers_mut().insert(name, value);
        }
    }
}

pub(crate) fn answer(place: Map<String, Value>) -> Answer {
    let body = Value::Object(place);
    let mut answer = json(&body);
    if let Value::Object(place) = &body {
        add_headers(&mut answer, place);
    }
    answer
}
