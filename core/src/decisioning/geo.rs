//! When to look up a visitor's place, and how the answer joins the request. The look-up itself is the caller's.

use std::net::IpAddr;

use super::Ruleset;
use crate::json::{Json, Number, Object};
use crate::number::parse_float;

/// Whose place to look up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IpToLookUp<'a> {
    /// This address, to be sent as `x-forwarded-for`.
    Address(&'a str),
    /// The address that the look-up comes from.
    Unknown,
}

const UNKNOWN: &str = "unknownIpAddress";
const FIELDS: [&str; 5] = ["latitude", "longitude", "countryCode", "stateCode", "city"];

/// The headers of a geo answer, which are also the keys of its body, and the fields that they fill.
const ANSWER: [(&str, &str); 6] = [
    ("x-forwarded-for", "ipAddress"),
    ("x-geo-latitude", "latitude"),
    ("x-geo-longitude", "longitude"),
    ("x-geo-country-code", "countryCode"),
    ("x-geo-region-code", "stateCode"),
    ("x-geo-city", "city"),
];

/// Whether `context.geo` must be completed before deciding: the artifact targets places, the request has an address
/// and says nothing else about where the visitor is.
pub fn needs_geo_lookup<'a>(rules: &Ruleset, geo: Option<&'a Json<'_>>) -> Option<IpToLookUp<'a>> {
    if !rules.geo_targeting_enabled() {
        return None;
    }
    let geo = geo?.as_object()?;
    if FIELDS.iter().any(|field| geo.get(field).is_some()) {
        return None;
    }
    match geo.get("ipAddress")?.as_str()? {
        UNKNOWN => Some(IpToLookUp::Unknown),
        address => is_ip(address).then(|| IpToLookUp::Address(address.trim())),
    }
}

fn is_ip(address: &str) -> bool {
    let address = address.trim();
    match address.split_once('%') {
        Some((address, _zone)) => matches!(address.parse(), Ok(IpAddr::V6(_))),
        None => address.parse::<IpAddr>().is_ok(),
    }
}

/// The request's geo without an address that is none.
pub fn valid_geo(geo: Option<&Json<'_>>) -> Object<'static> {
    let mut valid = geo.and_then(Json::as_object).cloned().map(Object::into_owned).unwrap_or_default();
    if valid.get("ipAddress").is_some_and(|address| !address.as_str().is_some_and(is_ip)) {
        valid.remove("ipAddress");
    }
    valid
}

/// Lays the answer of a geo look-up over the request's geo. The answer is a JSON body, or headers, or both; the body
/// wins. `header` gives the value of a header by its lower-case name.
pub fn merge_geo<'h>(
    geo: Option<&Json<'_>>,
    body: Option<&Json<'_>>,
    header: impl Fn(&str) -> Option<&'h str>,
) -> Object<'static> {
    let mut merged = valid_geo(geo);
    for (name, field) in ANSWER {
        let from_body = body.and_then(|body| body.get(name)).filter(|value| !value.is_null());
        let value =
            from_body.cloned().map(Json::into_owned).or_else(|| header(name).map(|text| text.to_owned().into()));
        let value = match (field, value) {
            ("latitude" | "longitude", Some(Json::String(text))) => {
                Number::from_f64(parse_float(&text)).map(Json::Number)
            }
            ("latitude" | "longitude", Some(value)) => Some(value).filter(|value| value.as_f64().is_some()),
            (_, value) => value,
        };
        if let Some(value) = value {
            merged.set(field, value);
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{self, Limits};

    fn parse(text: &str) -> Json<'_> {
        json::parse(text, &Limits::OPTIONS).unwrap()
    }

    #[test]
    fn looks_up_only_addresses_without_a_place() {
        let on = Ruleset::compile(r#"{"version":"1.0.0","geoTargetingEnabled":true}"#).unwrap();
        let off = Ruleset::compile(r#"{"version":"1.0.0","hasGeoTargeting":true}"#).unwrap();
        for (geo, expected) in [
            (r#"{"ipAddress":"127.0.0.1"}"#, Some(IpToLookUp::Address("127.0.0.1"))),
            (r#"{"ipAddress":" 127.0.0.1 ","zip":"1"}"#, Some(IpToLookUp::Address("127.0.0.1"))),
            (r#"{"ipAddress":"fe80::1%eth0"}"#, Some(IpToLookUp::Address("fe80::1%eth0"))),
            (r#"{"ipAddress":"unknownIpAddress"}"#, Some(IpToLookUp::Unknown)),
            (r#"{"ipAddress":"127.0.0.1","city":"Bern"}"#, None),
            (r#"{"ipAddress":"127.0.0.1","latitude":0}"#, None),
            (r#"{"ipAddress":"127.0.0.256"}"#, None),
            (r#"{"ipAddress":"127.0.0.1%eth0"}"#, None),
            (r#"{"ipAddress":7}"#, None),
            ("{}", None),
            ("null", None),
        ] {
            let geo = parse(geo);
            assert_eq!(needs_geo_lookup(&on, Some(&geo)), expected, "{geo}");
            assert_eq!(needs_geo_lookup(&off, Some(&geo)), None, "{geo}");
        }
        assert_eq!(needs_geo_lookup(&on, None), None);
    }

    #[test]
    fn answers_join_the_request() {
        let merged = |geo: &str, body: &str, headers: &[(&str, &'static str)]| {
            let header = |name: &str| headers.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
            let mut out = String::new();
            merge_geo(Some(&parse(geo)), Some(&parse(body)), header).write(&mut out);
            out
        };
        let body = r#"{"x-geo-latitude":37.75,"x-geo-longitude":"-122.4 W","x-geo-country-code":"US","x-geo-region-code":"CA","x-geo-city":null}"#;
        assert_eq!(
            merged(r#"{"ipAddress":"127.0.0.1"}"#, body, &[("x-geo-city", "BERN"), ("x-geo-latitude", "1")]),
            r#"{"ipAddress":"127.0.0.1","latitude":37.75,"longitude":-122.4,"countryCode":"US","stateCode":"CA","city":"BERN"}"#
        );
        assert_eq!(merged(r#"{"ipAddress":"unknownIpAddress"}"#, r#"{"x-geo-latitude":"north"}"#, &[]), "{}");
        assert_eq!(
            merged(r#"{"ipAddress":"x","zip":"1"}"#, r#"{"x-forwarded-for":"9.9.9.9"}"#, &[]),
            r#"{"zip":"1","ipAddress":"9.9.9.9"}"#
        );
    }
}
