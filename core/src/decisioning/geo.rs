//! When to look up a visitor's place, and what of a given one counts. The look-up itself is the caller's.

use std::net::IpAddr;

use super::Ruleset;
use crate::json::{Json, Object};

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

/// The request's geo without an address that is none, and over it the fields of a look-up's answer.
pub fn merge_geo(geo: Option<&Json<'_>>, answer: Option<&Json<'_>>) -> Object<'static> {
    let mut merged = valid_geo(geo);
    if let Some(Json::Object(found)) = answer {
        for (field, value) in found.iter() {
            merged.set(field.to_owned(), value.clone().into_owned());
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
        for (geo, answer, expected) in [
            (
                r#"{"ipAddress":"1.1.1.1","zip":"1"}"#,
                r#"{"latitude":1.5,"city":"BERN"}"#,
                r#"{"ipAddress":"1.1.1.1","zip":"1","latitude":1.5,"city":"BERN"}"#,
            ),
            (r#"{"ipAddress":"unknownIpAddress"}"#, r#"{"ipAddress":"9.9.9.9"}"#, r#"{"ipAddress":"9.9.9.9"}"#),
            (r#"{"ipAddress":"unknownIpAddress"}"#, "{}", "{}"),
            (r#"{"ipAddress":"1.1.1.1"}"#, "null", r#"{"ipAddress":"1.1.1.1"}"#),
        ] {
            let mut out = String::new();
            merge_geo(Some(&parse(geo)), Some(&parse(answer))).write(&mut out);
            assert_eq!(out, expected);
        }
    }
}
