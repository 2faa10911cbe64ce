//! The visitor as the Experience Cloud knows it: the AMCV cookie, customer ids, the supplemental data id and its state.

use std::borrow::Cow;

use crate::cookies::decode_component;
use crate::error::{Error, Result};
use crate::json::{self, Json, Object};

/// What is of use in an AMCV cookie.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct VisitorCookie {
    /// Experience Cloud id.
    pub marketing_cloud_visitor_id: Option<String>,
    /// Audience Manager blob.
    pub blob: Option<String>,
    /// Audience Manager location hint.
    pub location_hint: Option<i64>,
}

impl VisitorCookie {
    /// Reads the cookie's value, URL-encoded or not. Expired values, the literal `NONE` and what is malformed are left out.
    pub fn parse(value: &str, now_ms: i64) -> VisitorCookie {
        let mut cookie = VisitorCookie::default();
        if value.is_empty() || value == "T" {
            return cookie;
        }
        let mut parts = split(value).peekable();
        let is_digest = |part: &&str| !part.is_empty() && part.bytes().all(|b| b == b'-' || b.is_ascii_digit());
        parts.next_if(is_digest);
        while let (Some(key), Some(value)) = (parts.next(), parts.next()) {
            let (Some(key), Some(value)) = (decode_component(key), decode_component(value)) else {
                log::warn!(target: "target_sdk::visitor", "a part of the AMCV cookie is ignored: malformed % sequence");
                continue;
            };
            let (name, expiry) = key.split_once('-').unwrap_or((&key, ""));
            let expiry = leading_integer(expiry).unwrap_or(0); // none, or unreadable: never expires
            if value == "NONE" || value.is_empty() || (expiry != 0 && expiry < now_ms.div_euclid(1000)) {
                continue;
            }
            match name {
                "MCMID" => cookie.marketing_cloud_visitor_id = Some(value.into_owned()),
                "MCAAMB" => cookie.blob = Some(value.into_owned()),
                "MCAAMLH" => cookie.location_hint = leading_integer(&value),
                _ => {}
            }
        }
        cookie
    }
}

/// The parts between bars, escaped or not.
fn split(value: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(value);
    std::iter::from_fn(move || {
        let text = rest?;
        let plain = text.find('|').map(|at| (at, 1));
        let escaped = text.find("%7C").into_iter().chain(text.find("%7c")).min().map(|at| (at, 3));
        match plain.into_iter().chain(escaped).min() {
            Some((at, len)) => {
                rest = text.get(at + len..);
                text.get(..at)
            }
            None => rest.take(),
        }
    })
}

/// parseInt, for what fits.
fn leading_integer(text: &str) -> Option<i64> {
    let text = text.trim_start();
    let digits = text.strip_prefix('-').unwrap_or(text);
    let signs = text.len() - digits.len();
    let len = digits.bytes().take_while(u8::is_ascii_digit).count();
    text.get(..signs + len)?.parse().ok()
}

/// Checks customer ids as options and visitor state have them: `{code: {id, authState} | id}`.
pub(crate) fn check_customer_ids<'a>(value: Json<'a>, path: impl Fn() -> String) -> Result<Object<'a>> {
    let Json::Object(mut ids) = value else {
        return Err(Error::wrong_type(path(), "object", value.type_name()));
    };
    for (code, value) in ids.members_mut() {
        let at = |member: &str| format!("{}/{}{member}", path(), code.replace('~', "~0").replace('/', "~1"));
        match value {
            Json::Null | Json::Bool(false) | Json::String(_) | Json::Number(_) => {}
            Json::Object(entry) => {
                entry.members_mut().retain(|(_, value)| !value.is_null());
                match entry.get("id") {
                    Some(Json::String(_) | Json::Number(_)) => {}
                    Some(other) => return Err(Error::wrong_type(at("/id"), "string or number", other.type_name())),
                    None => return Err(Error::at(at("/id"), "id is required")),
                }
                match entry.get("authState") {
                    None | Some(Json::Number(_)) => {}
                    Some(other) => return Err(Error::wrong_type(at("/authState"), "number", other.type_name())),
                }
            }
            other => return Err(Error::wrong_type(at(""), "object, string or number", other.type_name())),
        }
    }
    Ok(ids)
}

/// Customer ids as the Delivery API has them, in the order of the options. Values have been checked.
pub(crate) fn delivery_customer_ids<'a>(ids: &Object<'a>) -> Vec<Json<'a>> {
    let mut out = Vec::with_capacity(ids.len());
    for (code, value) in ids.members() {
        let (id, state) = match value {
            Json::Object(entry) => (entry.get("id"), entry.get("authState").and_then(state_name)),
            Json::String(id) if id.is_empty() => continue,
            Json::Number(id) if id.as_f64() == Some(0.0) => continue,
            Json::String(_) | Json::Number(_) => (Some(value), Some("unknown")),
            _ => continue,
        };
        let mut customer = Object::with_capacity(3);
        if let Some(id) = id {
            customer.push("id", id.clone());
        }
        customer.push("integrationCode", Json::String(code.clone()));
        if let Some(state) = state {
            customer.push("authenticatedState", state);
        }
        out.push(Json::Object(customer));
    }
    out
}

fn state_name(state: &Json<'_>) -> Option<&'static str> {
    match state.as_i64() {
        Some(0) => Some("unknown"),
        Some(1) => Some("authenticated"),
        Some(2) => Some("logged_out"),
        _ => None,
    }
}

/// The visitor of one call, or of several when its state is handed on.
#[derive(Clone, Default)]
pub struct Visitor<'a> {
    customer_ids: Option<Object<'a>>,
    ids: Option<SupplementalDataIds<'a>>,
}

/// The current and the last supplemental data id, and which consumers have had them.
#[derive(Clone, Debug, Default)]
struct SupplementalDataIds<'a> {
    current: Option<Cow<'a, str>>,
    current_consumed: Object<'a>,
    last: Option<Cow<'a, str>>,
    last_consumed: Object<'a>,
}

/// Length of a supplemental data id.
const ID_LENGTH: usize = 33;

/// Whether `text` has the form of a supplemental data id.
pub fn is_supplemental_data_id(text: &str) -> bool {
    text.len() == ID_LENGTH
        && text.bytes().enumerate().all(|(at, byte)| match at {
            16 => byte == b'-',
            _ => byte.is_ascii_digit() || (b'A'..=b'F').contains(&byte),
        })
}

/// A supplemental data id made of random bytes.
pub(crate) fn new_supplemental_data_id(bytes: &[u8; 16]) -> String {
    let digit = |value: u8| char::from(b"0123456789ABCDEF"[usize::from(value & 15)]);
    let mut out = String::with_capacity(ID_LENGTH);
    for (at, byte) in bytes.iter().enumerate() {
        if at == 8 {
            out.push('-');
        }
        // each half begins with a digit from 0 to 7: it is a positive 64-bit number
        out.push(digit(if at % 8 == 0 { (byte >> 4) & 7 } else { byte >> 4 }));
        out.push(digit(*byte));
    }
    out
}

impl<'a> Visitor<'a> {
    /// The visitor whose `state` an earlier envelope told, with new `customer_ids` if there are any.
    pub(crate) fn new(
        state: Option<Object<'a>>,
        customer_ids: Option<Object<'a>>,
        organization_id: &str,
    ) -> Result<Visitor<'a>> {
        let mut visitor = match state {
            Some(mut state) => {
                let key = organization_key(organization_id);
                match state.remove(&key) {
                    None | Some(Json::Null) => Visitor::default(),
                    Some(Json::Object(state)) => Visitor::from_state(state, &format!("/visitorState/{key}"))?,
                    Some(other) => {
                        return Err(Error::wrong_type(format!("/visitorState/{key}"), "object", other.type_name()));
                    }
                }
            }
            None => Visitor::default(),
        };
        if customer_ids.is_some() {
            visitor.customer_ids = customer_ids;
        }
        Ok(visitor)
    }

    fn from_state(mut state: Object<'a>, path: &str) -> Result<Visitor<'a>> {
        let customer_ids = match state.remove("customerIDs") {
            None | Some(Json::Null) => None,
            Some(ids) => Some(check_customer_ids(ids, || format!("{path}/customerIDs"))?),
        };
        let ids = match state.remove("sdid") {
            None | Some(Json::Null) => None,
            Some(Json::Object(mut ids)) => Some(SupplementalDataIds {
                current: id(&mut ids, "supplementalDataIDCurrent", path)?,
                current_consumed: consumed(&mut ids, "supplementalDataIDCurrentConsumed", path)?,
                last: id(&mut ids, "supplementalDataIDLast", path)?,
                last_consumed: consumed(&mut ids, "supplementalDataIDLastConsumed", path)?,
            }),
            Some(other) => return Err(Error::wrong_type(format!("{path}/sdid"), "object", other.type_name())),
        };
        Ok(Visitor { customer_ids, ids })
    }

    /// The customer ids in the form of the options.
    pub(crate) fn customer_ids(&self) -> Option<&Object<'a>> {
        self.customer_ids.as_ref()
    }

    /// The supplemental data id for `consumer`; `make` makes a new one if the consumer has had all there are.
    pub(crate) fn supplemental_data_id(&mut self, consumer: &str, make: impl FnOnce() -> String) -> Cow<'a, str> {
        let ids = self.ids.get_or_insert_default();
        let key = ["payload:", consumer].concat();
        if let Some(last) = &ids.last
            && !is_consumed(&ids.last_consumed, &key)
        {
            ids.last_consumed.set(key, true);
            return last.clone();
        }
        let current = match ids.current.take() {
            Some(current) if is_consumed(&ids.current_consumed, &key) => {
                ids.last = Some(current);
                ids.last_consumed = std::mem::take(&mut ids.current_consumed);
                Cow::Owned(make())
            }
            Some(current) => current,
            None => {
                ids.current_consumed = Object::new();
                Cow::Owned(make())
            }
        };
        ids.current_consumed.set(key, true);
        ids.current = Some(current.clone());
        current
    }

    /// Appends the state as JSON: `{"ORG@AdobeOrg":{…}}`.
    pub fn write_state(&self, out: &mut String, organization_id: &str) {
        out.push('{');
        json::write_str(out, &organization_key(organization_id));
        out.push_str(":{");
        if let Some(ids) = &self.customer_ids {
            out.push_str("\"customerIDs\":");
            ids.write(out);
        }
        if let Some(ids) = &self.ids {
            if self.customer_ids.is_some() {
                out.push(',');
            }
            out.push_str("\"sdid\":{");
            if let Some(current) = &ids.current {
                out.push_str("\"supplementalDataIDCurrent\":");
                json::write_str(out, current);
                out.push(',');
            }
            out.push_str("\"supplementalDataIDCurrentConsumed\":");
            ids.current_consumed.write(out);
            if let Some(last) = &ids.last {
                out.push_str(",\"supplementalDataIDLast\":");
                json::write_str(out, last);
            }
            out.push_str(",\"supplementalDataIDLastConsumed\":");
            ids.last_consumed.write(out);
            out.push('}');
        }
        out.push_str("}}");
    }
}

fn is_consumed(consumed: &Object<'_>, key: &str) -> bool {
    consumed.get(key).and_then(Json::as_bool) == Some(true)
}

fn organization_key(organization_id: &str) -> Cow<'_, str> {
    if organization_id.contains('@') {
        Cow::Borrowed(organization_id)
    } else {
        Cow::Owned(format!("{organization_id}@AdobeOrg"))
    }
}

fn id<'a>(ids: &mut Object<'a>, key: &str, path: &str) -> Result<Option<Cow<'a, str>>> {
    match ids.remove(key) {
        None | Some(Json::Null) => Ok(None),
        Some(Json::String(id)) if is_supplemental_data_id(&id) => Ok(Some(id)),
        Some(Json::String(_)) => {
            Err(Error::at(format!("{path}/sdid/{key}"), "not a supplemental data id (two times 16 digits)"))
        }
        Some(other) => Err(Error::wrong_type(format!("{path}/sdid/{key}"), "string", other.type_name())),
    }
}

fn consumed<'a>(ids: &mut Object<'a>, key: &str, path: &str) -> Result<Object<'a>> {
    match ids.remove(key) {
        None | Some(Json::Null) => Ok(Object::new()),
        Some(Json::Object(consumed)) => {
            let unreadable = consumed.iter().find(|(_, value)| value.as_bool().is_none()).map(|(consumer, value)| {
                let consumer = consumer.replace('~', "~0").replace('/', "~1");
                Error::wrong_type(format!("{path}/sdid/{key}/{consumer}"), "boolean", value.type_name())
            });
            unreadable.map_or(Ok(consumed), Err)
        }
        Some(other) => Err(Error::wrong_type(format!("{path}/sdid/{key}"), "object", other.type_name())),
    }
}

crate::opaque::opaque_debug! { VisitorCookie {} Visitor<'a> {} }

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{Limits, parse};

    const NOW: i64 = 1_568_000_000_000;
    const ECID: &str = "07327024324407615852294135870030620007";

    fn amcv(value: &str) -> (Option<String>, Option<String>, Option<i64>) {
        let cookie = VisitorCookie::parse(value, NOW);
        (cookie.marketing_cloud_visitor_id, cookie.blob, cookie.location_hint)
    }

    #[test]
    fn reads_amcv() {
        let ecid = || Some(ECID.to_owned());
        let all = (ecid(), Some("RKhp".to_owned()), Some(9));
        let full = format!(
            "-1330315163|MCIDTS|18145|MCMID|{ECID}|MCAAMLH-1568347417|9|MCAAMB-1568347417|RKhp|MCOPTOUT-1567749817s|NONE"
        );
        for (value, expected) in [
            (full.clone(), all.clone()),
            (full.replace('|', "%7C"), all.clone()),
            (full.replace('|', "%7c"), all),
            (full.replace("1568347417", "1567999999"), (ecid(), None, None)),
            (full.replace("1568347417", "1567999999s"), (ecid(), None, None)),
            (format!("MCMID|{ECID}"), (ecid(), None, None)),
            (format!("MCMID|{ECID}|MCAAMB"), (ecid(), None, None)),
            (format!("1|MCMID|{ECID}|MCAAMB|NONE|MCAAMLH|x"), (ecid(), None, None)),
            (format!("MCMID|{ECID}|MCAAMB|%zz|MCAAMLH|7"), (ecid(), None, Some(7))),
            ("MCMID|NONE".to_owned(), (None, None, None)),
            ("MCAAMB|a%2Bb%2Fc%3D".to_owned(), (None, Some("a+b/c=".to_owned()), None)),
            (String::new(), (None, None, None)),
            ("T".to_owned(), (None, None, None)),
            ("%".to_owned(), (None, None, None)),
            ("|||".to_owned(), (None, None, None)),
        ] {
            assert_eq!(amcv(&value), expected, "{value}");
        }
    }

    fn visitor(state: &str) -> Result<Visitor<'_>> {
        let Json::Object(state) = parse(state, &Limits::OPTIONS)? else { panic!("not an object: {state}") };
        Visitor::new(Some(state), None, "ORG")
    }

    fn state(visitor: &Visitor<'_>) -> String {
        let mut out = String::new();
        visitor.write_state(&mut out, "ORG");
        out
    }

    #[test]
    fn supplemental_data_id_is_shared_and_rotated() {
        let mut visitor = Visitor::default();
        let mut made = 0_u8;
        let mut ask = |consumer: &str| {
            visitor
                .supplemental_data_id(consumer, || {
                    made += 1;
                    new_supplemental_data_id(&[made; 16])
                })
                .into_owned()
        };
        let (a1, b1) = (ask("A"), ask("B"));
        assert_eq!(a1, b1);
        let a2 = ask("A");
        assert_ne!(a2, a1);
        assert_eq!(ask("C"), a1, "a consumer that has not had the last id gets it first");
        assert_eq!(ask("C"), a2);
        let b2 = ask("B");
        assert_eq!(b2, a2);
        let b3 = ask("B");
        assert_ne!(b3, b2);
        assert_eq!(ask("A"), b3);
    }

    #[test]
    fn state_goes_round() {
        let mut first = Visitor::default();
        assert_eq!(state(&first), r#"{"ORG@AdobeOrg":{}}"#);
        let a = first.supplemental_data_id("A", || new_supplemental_data_id(&[0xff; 16])).into_owned();
        assert_eq!(a, "7FFFFFFFFFFFFFFF-7FFFFFFFFFFFFFFF");
        let text = state(&first);
        assert_eq!(
            text,
            format!(
                r#"{{"ORG@AdobeOrg":{{"sdid":{{"supplementalDataIDCurrent":"{a}","supplementalDataIDCurrentConsumed":{{"payload:A":true}},"supplementalDataIDLastConsumed":{{}}}}}}}}"#
            )
        );
        let mut second = visitor(&text).unwrap();
        assert_eq!(second.supplemental_data_id("B", || panic!("there is one")), a);
        let new = second.supplemental_data_id("A", || new_supplemental_data_id(&[1; 16])).into_owned();
        assert_eq!(new, "0101010101010101-0101010101010101");
        let text = state(&second);
        let mut third = visitor(&text).unwrap();
        assert_eq!(state(&third), text);
        assert_eq!(third.supplemental_data_id("B", || panic!("there is one")), new);
    }

    #[test]
    fn state_keeps_customer_ids_unless_new_ones_are_set() {
        let text = r#"{"ORG@AdobeOrg":{"customerIDs":{"crm":{"id":"u1","authState":1}}}}"#;
        assert_eq!(state(&visitor(text).unwrap()), text);
        let Json::Object(old) = parse(text, &Limits::OPTIONS).unwrap() else { panic!() };
        let Json::Object(new) = parse(r#"{"x":"u2"}"#, &Limits::OPTIONS).unwrap() else { panic!() };
        let visitor = Visitor::new(Some(old), Some(new), "ORG").unwrap();
        assert_eq!(state(&visitor), r#"{"ORG@AdobeOrg":{"customerIDs":{"x":"u2"}}}"#);
    }

    #[test]
    fn unreadable_state_is_an_error() {
        let sdid = "/visitorState/ORG@AdobeOrg/sdid";
        for (text, path) in [
            (r#"{"ORG@AdobeOrg":[]}"#, "/visitorState/ORG@AdobeOrg".to_owned()),
            (r#"{"ORG@AdobeOrg":{"sdid":1}}"#, sdid.to_owned()),
            (
                r#"{"ORG@AdobeOrg":{"sdid":{"supplementalDataIDCurrent":"x"}}}"#,
                format!("{sdid}/supplementalDataIDCurrent"),
            ),
            (r#"{"ORG@AdobeOrg":{"sdid":{"supplementalDataIDLast":7}}}"#, format!("{sdid}/supplementalDataIDLast")),
            (
                r#"{"ORG@AdobeOrg":{"sdid":{"supplementalDataIDCurrentConsumed":{"a/b":1}}}}"#,
                format!("{sdid}/supplementalDataIDCurrentConsumed/a~1b"),
            ),
            (r#"{"ORG@AdobeOrg":{"customerIDs":{"c":[]}}}"#, "/visitorState/ORG@AdobeOrg/customerIDs/c".to_owned()),
        ] {
            assert_eq!(visitor(text).unwrap_err().path(), Some(path.as_str()), "{text}");
        }
        assert!(visitor(r#"{"OTHER@AdobeOrg":{"sdid":1},"ORG@AdobeOrg":null}"#).is_ok());
    }

    #[test]
    fn ids_have_their_form() {
        for bytes in [[0; 16], [0x9a; 16], [0xff; 16]] {
            assert!(is_supplemental_data_id(&new_supplemental_data_id(&bytes)));
        }
        for text in [
            "",
            "4832DCA602B34B1B-02B46127CD5D8C6",
            "4832dca602b34b1b-02B46127CD5D8C63",
            "4832DCA602B34B1B002B46127CD5D8C63",
        ] {
            assert!(!is_supplemental_data_id(text), "{text}");
        }
    }
}
