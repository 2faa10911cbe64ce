//! The server's answer: checked, searched once for what the envelope repeats, and passed on byte by byte.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Unexpected, Visitor};
use serde_json::value::RawValue;

use crate::envelope::RawList;
use crate::error::{Error, ErrorKind, Phase, Result};
use crate::excerpt::excerpt;

/// An answer of the Delivery API.
#[derive(Clone, PartialEq, Eq)]
pub struct Delivered {
    /// HTTP status.
    pub status: u16,
    /// The server's JSON text, unchanged.
    pub response: String,
    /// `id.tntId`, if not empty.
    pub tnt_id: Option<String>,
    /// `edgeHost`, if not empty.
    pub edge_host: Option<String>,
    /// `telemetryServerToken`, if not empty.
    pub telemetry_server_token: Option<String>,
    /// `analytics` of all items.
    pub analytics: RawList,
    /// `trace` of all items.
    pub traces: RawList,
    /// `responseTokens` of all options, empty ones left out.
    pub response_tokens: RawList,
}

/// Reads the body of an answer with a 2xx status. 204 means `{}`.
pub fn read(status: u16, body: Vec<u8>) -> Result<Delivered> {
    if status == 204 {
        return Ok(Found::default().into_delivered(status, "{}".to_owned()));
    }
    let fault = |what: String, body: &[u8]| {
        Error::new(ErrorKind::Decode, what).with_phase(Phase::Decode).with_http_status(status).with_body(excerpt(body))
    };
    let mut text =
        String::from_utf8(body).map_err(|error| fault("the answer is not UTF-8 text".to_owned(), error.as_bytes()))?;
    if text.starts_with('\u{feff}') {
        text.remove(0); // a byte order mark, which JSON readers need not accept
    }
    let mut found = Found::default();
    let mut reader = serde_json::Deserializer::from_str(&text);
    let parsed = Place::Answer(&mut found).deserialize(&mut reader).and_then(|()| reader.end());
    if let Err(error) = parsed {
        // serde's own message may quote the answer: only the place is told
        let what = if error.is_data() { "not a Delivery API response" } else { "not JSON" };
        let what = format!("the answer is {what} (line {} column {})", error.line(), error.column());
        return Err(fault(what, text.as_bytes()));
    }
    Ok(found.into_delivered(status, text))
}

/// What is repeated in the envelope.
#[derive(Default)]
struct Found {
    tnt_id: Option<String>,
    edge_host: Option<String>,
    telemetry_server_token: Option<String>,
    execute: Mode,
    prefetch: Mode,
}

/// Sections are kept apart: in the envelope they have an order, in the answer they may have another.
#[derive(Default)]
struct Mode {
    page_load: Section,
    views: Section,
    mboxes: Section,
}

#[derive(Default)]
struct Section {
    analytics: RawList,
    traces: RawList,
    tokens: RawList,
}

impl Found {
    fn into_delivered(self, status: u16, response: String) -> Delivered {
        let (mut analytics, mut traces, mut response_tokens) = (RawList::new(), RawList::new(), RawList::new());
        for mode in [&self.execute, &self.prefetch] {
            for section in [&mode.page_load, &mode.views, &mode.mboxes] {
                analytics.append(&section.analytics);
                traces.append(&section.traces);
                response_tokens.append(&section.tokens);
            }
        }
        let present = |text: Option<String>| text.filter(|text| !text.is_empty());
        Delivered {
            status,
            response,
            tnt_id: present(self.tnt_id),
            edge_host: present(self.edge_host),
            telemetry_server_token: present(self.telemetry_server_token),
            analytics,
            traces,
            response_tokens,
        }
    }
}

/// Where in the answer the reader is, and where what it finds there goes. The text is read once, and nothing is built.
enum Place<'f> {
    Answer(&'f mut Found),
    Id(&'f mut Option<String>),
    Mode(&'f mut Mode),
    Items(&'f mut Section),
    Item(&'f mut Section),
    Options(&'f mut RawList),
    Option(&'f mut RawList),
}

impl Place<'_> {
    /// Reads the value of one member.
    fn member<'de, A: MapAccess<'de>>(&mut self, key: Key, map: &mut A) -> Result<(), A::Error> {
        match (self, key) {
            (Place::Answer(found), Key::Id) => map.next_value_seed(Place::Id(fresh(&mut found.tnt_id))),
            (Place::Answer(found), Key::EdgeHost) => map.next_value().map(|host| found.edge_host = host),
            (Place::Answer(found), Key::TelemetryServerToken) => {
                map.next_value().map(|token| found.telemetry_server_token = token)
            }
            (Place::Answer(found), Key::Execute) => map.next_value_seed(Place::Mode(fresh(&mut found.execute))),
            (Place::Answer(found), Key::Prefetch) => map.next_value_seed(Place::Mode(fresh(&mut found.prefetch))),
            (Place::Id(tnt_id), Key::TntId) => map.next_value().map(|id| **tnt_id = id),
            (Place::Mode(mode), Key::PageLoad) => map.next_value_seed(Place::Item(fresh(&mut mode.page_load))),
            (Place::Mode(mode), Key::Views) => map.next_value_seed(Place::Items(fresh(&mut mode.views))),
            (Place::Mode(mode), Key::Mboxes) => map.next_value_seed(Place::Items(fresh(&mut mode.mboxes))),
            (Place::Item(item), Key::Analytics) => map.next_value().map(|raw| push_raw(&mut item.analytics, raw)),
            (Place::Item(item), Key::Trace) => map.next_value().map(|raw| push_raw(&mut item.traces, raw)),
            (Place::Item(item), Key::Options) => map.next_value_seed(Place::Options(&mut item.tokens)),
            (Place::Option(tokens), Key::ResponseTokens) => map.next_value().map(|raw: &RawValue| {
                let members = raw.get().strip_prefix('{').and_then(|raw| raw.strip_suffix('}'));
                if members.is_some_and(|members| !members.trim_ascii().is_empty()) {
                    tokens.push(raw.get());
                }
            }),
            _ => map.next_value::<IgnoredAny>().map(drop),
        }
    }
}

/// A member that comes twice replaces what came first.
fn fresh<T: Default>(place: &mut T) -> &mut T {
    *place = T::default();
    place
}

fn push_raw(list: &mut RawList, raw: &RawValue) {
    if raw.get() != "null" {
        list.push(raw.get());
    }
}

impl<'de> DeserializeSeed<'de> for Place<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Place<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Place::Items(_) | Place::Options(_) => "an array",
            _ => "an object",
        })
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        match self {
            Place::Answer(_) => Err(E::invalid_type(Unexpected::Unit, &self)),
            _ => Ok(()), // null counts as absent
        }
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        if matches!(self, Place::Items(_) | Place::Options(_)) {
            return Err(serde::de::Error::invalid_type(Unexpected::Map, &self));
        }
        while let Some(key) = map.next_key_seed(KeySeed)? {
            self.member(key, &mut map)?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        match self {
            Place::Items(section) => while items.next_element_seed(Place::Item(section))?.is_some() {},
            Place::Options(tokens) => while items.next_element_seed(Place::Option(tokens))?.is_some() {},
            other => return Err(serde::de::Error::invalid_type(Unexpected::Seq, &other)),
        }
        Ok(())
    }
}

/// The keys that matter.
#[derive(Clone, Copy)]
enum Key {
    Id,
    TntId,
    EdgeHost,
    TelemetryServerToken,
    Execute,
    Prefetch,
    PageLoad,
    Views,
    Mboxes,
    Analytics,
    Trace,
    Options,
    ResponseTokens,
    Other,
}

struct KeySeed;

impl<'de> DeserializeSeed<'de> for KeySeed {
    type Value = Key;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Key, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeySeed {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Key, E> {
        Ok(match key {
            "id" => Key::Id,
            "tntId" => Key::TntId,
            "edgeHost" => Key::EdgeHost,
            "telemetryServerToken" => Key::TelemetryServerToken,
            "execute" => Key::Execute,
            "prefetch" => Key::Prefetch,
            "pageLoad" => Key::PageLoad,
            "views" => Key::Views,
            "mboxes" => Key::Mboxes,
            "analytics" => Key::Analytics,
            "trace" => Key::Trace,
            "options" => Key::Options,
            "responseTokens" => Key::ResponseTokens,
            _ => Key::Other,
        })
    }
}

crate::opaque::opaque_debug! { Delivered { status } }

#[cfg(test)]
mod tests {
    use super::*;

    fn lists(delivered: &Delivered) -> [String; 3] {
        [&delivered.analytics, &delivered.traces, &delivered.response_tokens].map(|list| {
            let mut out = String::new();
            list.write(&mut out);
            out
        })
    }

    #[test]
    fn finds_everything_in_order_and_changes_nothing() {
        // sections and members in another order than the envelope's, numbers that no double holds, unknown members
        let text = concat!(
            " {\"prefetch\":{\"mboxes\":[{\"trace\":{\"n\":6},\"analytics\":{\"n\":6}}],",
            "\"views\":[{\"analytics\":{\"n\":5},\"options\":[{\"responseTokens\":{\"t\":5}}]},{\"name\":\"v\"}],",
            "\"pageLoad\":{\"analytics\":{\"n\":4}}},",
            "\"execute\":{\"mboxes\":[{\"options\":null},null,{\"analytics\":null,\"trace\":{\"n\": 123456789012345678901234567890 }},",
            "{\"analytics\":{\"n\":3},\"options\":[{\"responseTokens\":{ }},{},{\"responseTokens\":{\"t\":1e2}},{\"responseTokens\":null}]}],",
            "\"pageLoad\":{\"options\":[{\"responseTokens\":{\"t\":0}}],\"analytics\":{\"n\":1}}},",
            "\"new\":{\"id\":{\"tntId\":\"no\"},\"x\":1E400},\"id\":{\"tntId\":\"T.28_0\"},\"edgeHost\":\"mboxedge28.tt.omtrdc.net\",",
            "\"telemetryServerToken\":\"tok\"}\n"
        );
        let delivered = read(200, text.as_bytes().to_vec()).unwrap();
        assert_eq!(delivered.response, text);
        assert_eq!(delivered.tnt_id.as_deref(), Some("T.28_0"));
        assert_eq!(delivered.edge_host.as_deref(), Some("mboxedge28.tt.omtrdc.net"));
        assert_eq!(delivered.telemetry_server_token.as_deref(), Some("tok"));
        assert_eq!(
            lists(&delivered),
            [
                r#"[{"n":1},{"n":3},{"n":4},{"n":5},{"n":6}]"#,
                r#"[{"n": 123456789012345678901234567890 },{"n":6}]"#,
                r#"[{"t":0},{"t":1e2},{"t":5}]"#
            ]
        );
    }

    #[test]
    fn empty_answers() {
        for (status, body, response) in
            [(204, "", "{}"), (204, "ignored", "{}"), (200, "{}", "{}"), (206, " {} ", " {} ")]
        {
            let delivered = read(status, body.as_bytes().to_vec()).unwrap();
            assert_eq!((delivered.status, delivered.response.as_str()), (status, response));
            assert_eq!(lists(&delivered), ["[]", "[]", "[]"]);
        }
        let nulls = r#"{"id":null,"edgeHost":"","execute":null,"prefetch":{"views":null,"mboxes":[]}}"#;
        let delivered = read(200, nulls.as_bytes().to_vec()).unwrap();
        assert_eq!((delivered.tnt_id, delivered.edge_host), (None, None));
        assert_eq!(read(200, b"\xef\xbb\xbf{}".to_vec()).unwrap().response, "{}");
        let twice = r#"{"execute":{"pageLoad":{"trace":{"n":1}}},"execute":{"pageLoad":{"trace":{"n":2}}}}"#;
        assert_eq!(lists(&read(200, twice.as_bytes().to_vec()).unwrap())[1], r#"[{"n":2}]"#);
        assert_eq!(read(200, br#"{"id":{"tntId":"a"},"id":{}}"#.to_vec()).unwrap().tnt_id, None);
    }

    #[test]
    fn refuses_what_is_no_answer_without_telling_ids() {
        let deep = "[".repeat(300_000);
        for body in [
            "".as_bytes(),
            b"null",
            b"[]",
            b"[{\"tntId\":\"secret.28_0\"}]",
            b"\"secret.28_0\"",
            b"{\"id\":{\"tntId\":\"secret.28_0\"},\"execute\":",
            b"{\"id\":{\"tntId\":\"secret.28_0",
            b"{\"id\":{\"tntId\":12345678901234567890}}",
            b"{\"id\":\"secret.28_0\"}",
            b"{\"execute\":[]}",
            b"{\"execute\":{\"mboxes\":{}}}",
            b"{\"execute\":{\"mboxes\":[{\"options\":\"x\"}]}}",
            b"{} {}",
            b"<!DOCTYPE html><html><body id='secret.28_0'>Sign in</body></html>",
            b"\xff\xfe{}",
            deep.as_bytes(),
        ] {
            let shown = String::from_utf8_lossy(body.get(..60.min(body.len())).unwrap()).into_owned();
            let error = read(200, body.to_vec()).expect_err(&shown);
            assert_eq!(error.kind(), ErrorKind::Decode, "{shown}");
            assert_eq!((error.http_status(), error.phase()), (Some(200), Some(Phase::Decode)));
            let document = error.to_json(-1, "x");
            assert!(!document.contains("secret") && !document.contains("1234567890"), "{document}");
            assert!(document.len() < 600, "{document}");
        }
    }
}
