//! The server's answer: checked, searched once for what the envelope repeats, and passed on byte by byte.

use std::borrow::Cow;

use serde::de::IgnoredAny;

use crate::envelope::RawList;
use crate::error::{Error, ErrorKind, Phase, Result};
use crate::excerpt::excerpt;
use crate::json::{Raw, Scanner};

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
    let mut reader = Reader(Scanner::new(&text));
    if reader.answer(&mut found).is_none() {
        // serde's own message may quote the answer: only the place is told
        let (what, line, column) = match serde_json::from_str::<IgnoredAny>(&text) {
            Err(error) => ("JSON", error.line(), error.column()),
            Ok(_) => {
                let (line, column) = reader.0.place();
                ("a Delivery API response", line, column)
            }
        };
        let what = format!("the answer is not {what} (line {line} column {column})");
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

/// Reads the answer's text once. Nothing is built of it, and what is none of the reader's business is only skipped.
struct Reader<'a>(Scanner<'a>);

/// The place of a member that may come twice; the second replaces the first.
fn fresh<T: Default>(place: &mut T) -> &mut T {
    *place = T::default();
    place
}

/// `None`, here and below: it is not as it should be.
impl<'a> Reader<'a> {
    fn answer(&mut self, found: &mut Found) -> Option<()> {
        if self.0.peek() == b'n' {
            return None;
        }
        self.members(|reader, key| match key {
            "id" => {
                let tnt_id = fresh(&mut found.tnt_id);
                reader.members(|reader, key| match key {
                    "tntId" => reader.text(tnt_id),
                    _ => reader.skip(),
                })
            }
            "edgeHost" => reader.text(&mut found.edge_host),
            "telemetryServerToken" => reader.text(&mut found.telemetry_server_token),
            "execute" => reader.mode(fresh(&mut found.execute)),
            "prefetch" => reader.mode(fresh(&mut found.prefetch)),
            _ => reader.skip(),
        })?;
        self.0.is_over().then_some(())
    }

    fn mode(&mut self, mode: &mut Mode) -> Option<()> {
        self.members(|reader, key| match key {
            "pageLoad" => reader.item(fresh(&mut mode.page_load)),
            "views" => {
                let section = fresh(&mut mode.views);
                reader.elements(|reader| reader.item(section))
            }
            "mboxes" => {
                let section = fresh(&mut mode.mboxes);
                reader.elements(|reader| reader.item(section))
            }
            _ => reader.skip(),
        })
    }

    fn item(&mut self, section: &mut Section) -> Option<()> {
        self.members(|reader, key| match key {
            "analytics" => reader.raw(&mut section.analytics),
            "trace" => reader.raw(&mut section.traces),
            "options" => reader.elements(|reader| {
                reader.members(|reader, key| match key {
                    "responseTokens" => reader.tokens(&mut section.tokens),
                    _ => reader.skip(),
                })
            }),
            _ => reader.skip(),
        })
    }

    fn tokens(&mut self, list: &mut RawList) -> Option<()> {
        let raw = self.0.skip()?;
        let members = raw.strip_prefix('{').and_then(|raw| raw.strip_suffix('}'));
        if members.is_some_and(|members| !members.trim_ascii().is_empty()) {
            list.push(raw);
        }
        Some(())
    }

    fn raw(&mut self, list: &mut RawList) -> Option<()> {
        let raw = self.0.skip()?;
        if raw != "null" {
            list.push(raw);
        }
        Some(())
    }

    fn skip(&mut self) -> Option<()> {
        self.0.skip().map(drop)
    }

    /// A text, or `null` for none.
    fn text(&mut self, place: &mut Option<String>) -> Option<()> {
        *place = match self.0.peek() {
            b'n' => self.0.word("null").map(|()| None)?,
            _ => Some(unescaped(self.0.string()?)?.into_owned()),
        };
        Some(())
    }

    /// The members of an object. `null` counts as absent.
    fn members(&mut self, mut member: impl FnMut(&mut Self, &str) -> Option<()>) -> Option<()> {
        if self.0.peek() == b'n' {
            return self.0.word("null");
        }
        let mut first = self.0.take(b'{').then_some(true)?;
        while self.0.next(b'}', first)? {
            first = false;
            let key = unescaped(self.0.key()?)?;
            member(self, &key)?;
        }
        Some(())
    }

    /// The elements of an array. `null` counts as absent.
    fn elements(&mut self, mut element: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        if self.0.peek() == b'n' {
            return self.0.word("null");
        }
        let mut first = self.0.take(b'[').then_some(true)?;
        while self.0.next(b']', first)? {
            first = false;
            element(self)?;
        }
        Some(())
    }
}

fn unescaped(raw: Raw<'_>) -> Option<Cow<'_, str>> {
    match raw {
        Raw::Plain(text) => Some(Cow::Borrowed(text)),
        Raw::Escaped(text) => serde_json::from_str(text).ok().map(Cow::Owned),
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
