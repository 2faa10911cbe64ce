//! Attributes: the JSON offers of mboxes, merged into one object for each mbox.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::delivery::CallOptions;
use crate::delivery::options::{self, Purpose, Unchecked};
use crate::error::{Error, Result};
use crate::json::{self, Json, Limits, Object};

/// Reads the mbox names and the options of a `get_attributes` call, and asks for those mboxes that the request does not
/// ask for already. Options and their request may be absent.
pub fn parse_options<'a>(names: &'a str, options: &'a str, strict: bool) -> Result<CallOptions<'a>> {
    let names = parse_names(names)?;
    let mut unchecked = if options.trim_ascii().is_empty() {
        Unchecked::none()
    } else {
        match json::parse(options, &Limits::OPTIONS)? {
            Json::Null => Unchecked::none(),
            Json::Object(members) if members.is_empty() => Unchecked::none(),
            document => options::read(document, strict)?,
        }
    };
    let mut request = unchecked.request.take().unwrap_or_else(|| {
        let mut context = Object::with_capacity(2);
        context.push("channel", "web");
        let mut request = Object::with_capacity(2);
        request.push("context", context);
        request
    });
    add_mboxes(&mut request, names);
    unchecked.finish(request, Purpose::Offers)
}

/// Reads `["mbox", …]`.
pub fn parse_names(text: &str) -> Result<Vec<Cow<'_, str>>> {
    let names = match json::parse(text, &Limits::OPTIONS)? {
        Json::Array(names) => names,
        other => {
            return Err(Error::invalid("", format!("mbox names: expected array, found {}", other.type_name())));
        }
    };
    let name = |(at, name)| match name {
        Json::String(name) if name.is_empty() => {
            Err(Error::invalid(format!("/{at}"), "mbox names: a name must not be empty"))
        }
        Json::String(name) => Ok(name),
        other => {
            Err(Error::invalid(format!("/{at}"), format!("mbox names: expected string, found {}", other.type_name())))
        }
    };
    names.into_iter().enumerate().map(name).collect()
}

/// Appends the mboxes not asked for yet to `execute`. What is of the wrong type is left for validation to refuse.
fn add_mboxes<'a>(request: &mut Object<'a>, names: Vec<Cow<'a, str>>) {
    let mboxes = |mode: &str| request.get(mode).and_then(|mode| mode.get("mboxes")).and_then(Json::as_array);
    let (executed, prefetched) = (mboxes("execute").unwrap_or(&[]), mboxes("prefetch").unwrap_or(&[]));
    let is_requested = |name: &str| {
        executed.iter().chain(prefetched).any(|mbox| mbox.get("name").and_then(Json::as_str) == Some(name))
    };
    let used = executed.iter().filter_map(|mbox| mbox.get("index").and_then(Json::as_i64)).max();
    let first = used.unwrap_or(0).max(0).saturating_add(1);
    let missing: Vec<Json<'a>> = names
        .into_iter()
        .filter(|name| !is_requested(name))
        .zip(0..)
        .map(|(name, nth): (_, i64)| {
            let mut mbox = Object::with_capacity(2);
            mbox.push("name", Json::String(name));
            mbox.push("index", first.saturating_add(nth));
            Json::Object(mbox)
        })
        .collect();
    if missing.is_empty() {
        return;
    }
    if request.get("execute").is_none_or(Json::is_null) {
        request.set("execute", Object::new());
    }
    let Some(Json::Object(execute)) = request.get_mut("execute") else { return };
    match execute.get_mut("mboxes") {
        Some(Json::Array(mboxes)) => mboxes.extend(missing),
        None | Some(Json::Null) => execute.set("mboxes", Json::Array(missing)),
        Some(_) => {}
    }
}

/// The attributes of an answer: for each mbox its keys and their values as JSON text, exactly as the server wrote them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Attributes(Vec<(String, Members)>);

type Members = Vec<(String, String)>;

impl Attributes {
    /// The attributes in an envelope. With `page_load`, the page load's offers count too, under that mbox name.
    pub fn from_envelope(envelope: &str, page_load: Option<&str>) -> Result<Attributes> {
        let members: RawObject<'_> =
            serde_json::from_str(envelope).map_err(|_| Error::internal("the envelope is not a JSON object"))?;
        Ok(members
            .get("response")
            .map_or_else(Attributes::default, |response| Attributes::from_response(response.get(), page_load)))
    }

    /// The attributes in a Delivery API response.
    ///
    /// Merged as in the Node SDK: prefetch, then execute; a later option's key wins. Only options of type `json` whose
    /// content is an object count. An mbox without any is there, without keys.
    pub fn from_response(response: &str, page_load: Option<&str>) -> Attributes {
        let mut attributes = Attributes::default();
        let response = RawObject::of(response);
        for mode in ["prefetch", "execute"] {
            let Some(mode) = response.get(mode) else { continue };
            let mode = RawObject::of(mode.get());
            if let (Some(name), Some(item)) = (page_load, mode.get("pageLoad")) {
                attributes.add(name, &RawObject::of(item.get()));
            }
            for mbox in elements(mode.get("mboxes")) {
                let mbox = RawObject::of(mbox.get());
                let name = mbox.get("name").and_then(|name| serde_json::from_str::<String>(name.get()).ok());
                if let Some(name) = name {
                    attributes.add(&name, &mbox);
                }
            }
        }
        attributes
    }

    fn add(&mut self, name: &str, item: &RawObject<'_>) {
        let at = self.0.iter().position(|(mbox, _)| mbox == name).unwrap_or_else(|| {
            self.0.push((name.to_owned(), Vec::new()));
            self.0.len() - 1
        });
        let Some((_, members)) = self.0.get_mut(at) else { return };
        for option in elements(item.get("options")) {
            let option = RawObject::of(option.get());
            let kind = option.get("type").and_then(|kind| serde_json::from_str::<Cow<'_, str>>(kind.get()).ok());
            let content = option.get("content").filter(|_| kind.as_deref() == Some("json"));
            for (key, value) in content.map(|content| RawObject::of(content.get())).unwrap_or_default().0 {
                match members.iter_mut().find(|(known, _)| *known == key) {
                    Some((_, place)) => value.get().clone_into(place),
                    None => members.push((key.into_owned(), value.get().to_owned())),
                }
            }
        }
    }

    /// The names of the answered mboxes.
    pub fn mboxes(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(mbox, _)| mbox.as_str())
    }

    /// The value of an attribute as JSON text.
    pub fn get(&self, mbox: &str, key: &str) -> Option<&str> {
        self.members(mbox)?.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// The attributes of one mbox as a JSON object; `None` if the mbox was not answered.
    pub fn as_object(&self, mbox: &str) -> Option<String> {
        let mut out = String::new();
        write_members(&mut out, self.members(mbox)?);
        Some(out)
    }

    /// Appends `{mbox: {key: value}}`.
    pub fn write(&self, out: &mut String) {
        out.push('{');
        for (at, (mbox, members)) in self.0.iter().enumerate() {
            if at > 0 {
                out.push(',');
            }
            json::write_str(out, mbox);
            out.push(':');
            write_members(out, members);
        }
        out.push('}');
    }

    /// Adds the attributes to an envelope as its last member.
    pub fn append_to(&self, envelope: &mut String) -> Result<()> {
        if envelope.pop() != Some('}') {
            return Err(Error::internal("the envelope is not a JSON object"));
        }
        if !envelope.ends_with('{') {
            envelope.push(',');
        }
        envelope.push_str("\"attributes\":");
        self.write(envelope);
        envelope.push('}');
        Ok(())
    }

    fn members(&self, mbox: &str) -> Option<&Members> {
        self.0.iter().find(|(name, _)| name == mbox).map(|(_, members)| members)
    }
}

fn write_members(out: &mut String, members: &Members) {
    out.push('{');
    for (at, (key, value)) in members.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        json::write_str(out, key);
        out.push(':');
        out.push_str(value);
    }
    out.push('}');
}

/// The members of an object, values unread; the last of equal keys wins.
#[derive(Default)]
struct RawObject<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> RawObject<'a> {
    /// The members of `text`, none if it is not an object: an answer was checked when it arrived.
    fn of(text: &'a str) -> RawObject<'a> {
        serde_json::from_str(text).unwrap_or_else(|_| {
            log::debug!(target: "target_sdk::attributes", "something in the answer is not the object that was expected");
            RawObject::default()
        })
    }

    fn get(&self, key: &str) -> Option<&'a RawValue> {
        self.0.iter().rev().find(|(name, _)| name == key).map(|(_, value)| *value)
    }
}

/// The elements of an array, none if it is not one.
fn elements(array: Option<&RawValue>) -> Vec<&RawValue> {
    match array.map(|array| serde_json::from_str(array.get())) {
        Some(Ok(elements)) => elements,
        _ => Vec::new(),
    }
}

impl<'de> Deserialize<'de> for RawObject<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = RawObject<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawObject<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some((Key(key), value)) = map.next_entry()? {
                    members.push((key, value));
                }
                Ok(RawObject(members))
            }
        }

        deserializer.deserialize_map(Reader)
    }
}

/// A key, borrowed when it has no escapes.
struct Key<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Key<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(key)))
            }

            fn visit_str<E>(self, key: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(key.to_owned())))
            }
        }

        deserializer.deserialize_str(Reader)
    }
}

crate::opaque::opaque_debug! { Attributes {} }

#[cfg(test)]
mod tests {
    use super::*;

    const RESPONSE: &str = concat!(
        r#"{"status":200,"execute":{"pageLoad":{"options":[{"type":"json","content":{"p":1}}]},"mboxes":["#,
        r#"{"index":0,"name":"a","options":[{"type":"json","content":{"k":"execute","big":123456789012345678901234567890}},"#,
        r#"{"type":"html","content":{"k":"html"}},{"type":"json","content":{"x\"y":{"z":[1e2]}}},"#,
        r#"{"type":"json","content":"text"},{"type":"json"},{"eventToken":"t"}]},"#,
        r#"{"index":1,"name":"unmatched"},{"index":2}]},"#,
        r#""prefetch":{"mboxes":[{"name":"a","options":[{"type":"json","content":{"k":"prefetch","only":null}}]},"#,
        r#"{"name":"b","options":[{"type":"json","content":{"n":1}},{"type":"json","content":{"n":2}}]}]}}"#
    );

    #[test]
    fn merges_as_node_does() {
        let attributes = Attributes::from_response(RESPONSE, None);
        let mut out = String::new();
        attributes.write(&mut out);
        assert_eq!(
            out,
            concat!(
                r#"{"a":{"k":"execute","only":null,"big":123456789012345678901234567890,"x\"y":{"z":[1e2]}},"#,
                r#""b":{"n":2},"unmatched":{}}"#
            )
        );
        assert_eq!(attributes.get("a", "k"), Some("\"execute\""));
        assert_eq!(attributes.get("a", "x\"y"), Some(r#"{"z":[1e2]}"#));
        assert_eq!((attributes.get("a", "none"), attributes.get("none", "k")), (None, None));
        assert_eq!(attributes.as_object("b").as_deref(), Some(r#"{"n":2}"#));
        assert_eq!((attributes.as_object("unmatched").as_deref(), attributes.as_object("none")), (Some("{}"), None));
        assert_eq!(attributes.mboxes().collect::<Vec<_>>(), ["a", "b", "unmatched"]);
    }

    #[test]
    fn page_load_on_request() {
        let attributes = Attributes::from_response(RESPONSE, Some("target-global-mbox"));
        assert_eq!(attributes.get("target-global-mbox", "p"), Some("1"));
    }

    #[test]
    fn goes_into_the_envelope_and_comes_out_of_it() {
        let mut envelope = format!(r#"{{"status":200,"response":{RESPONSE}}}"#);
        let attributes = Attributes::from_envelope(&envelope, None).unwrap();
        assert_eq!(attributes, Attributes::from_response(RESPONSE, None));
        attributes.append_to(&mut envelope).unwrap();
        assert!(envelope.starts_with(&format!(r#"{{"status":200,"response":{RESPONSE},"attributes":{{"a":"#)));
        let back: RawObject<'_> = serde_json::from_str(&envelope).unwrap();
        let mut out = String::new();
        attributes.write(&mut out);
        assert_eq!(back.get("attributes").unwrap().get(), out);
        assert!(Attributes::from_envelope("[]", None).is_err());
        assert_eq!(Attributes::from_envelope(r#"{"response":7}"#, None).unwrap(), Attributes::default());
        for odd in [r#"{"execute":{"mboxes":{}}}"#, r#"{"execute":{"mboxes":[7,{"name":7}]}}"#] {
            assert_eq!(Attributes::from_response(odd, None), Attributes::default());
        }
    }

    fn request(names: &str, options: &str) -> Result<String> {
        let options = parse_options(names, options, true)?;
        let mut out = String::new();
        options.request.write(&mut out);
        Ok(out)
    }

    #[test]
    fn adds_missing_mboxes() {
        for (names, options, expected) in [
            (r#"["a"]"#, "", r#"{"context":{"channel":"web"},"execute":{"mboxes":[{"name":"a","index":1}]}}"#),
            (r#"["a"]"#, "null", r#"{"context":{"channel":"web"},"execute":{"mboxes":[{"name":"a","index":1}]}}"#),
            (r#"["a"]"#, "{}", r#"{"context":{"channel":"web"},"execute":{"mboxes":[{"name":"a","index":1}]}}"#),
            (r#"["a"]"#, r#"{"request":{}}"#, r#"{"execute":{"mboxes":[{"name":"a","index":1}]}}"#),
            (r#"["a"]"#, r#"{"request":{"execute":null}}"#, r#"{"execute":{"mboxes":[{"name":"a","index":1}]}}"#),
            ("[]", r#"{"sessionId":"s"}"#, r#"{"context":{"channel":"web"}}"#),
            (
                r#"["a","b","c","c"]"#,
                r#"{"request":{"execute":{"mboxes":[{"name":"b","index":4}]},"prefetch":{"mboxes":[{"name":"a","index":9}]}}}"#,
                concat!(
                    r#"{"execute":{"mboxes":[{"name":"b","index":4},{"name":"c","index":5},{"name":"c","index":6}]},"#,
                    r#""prefetch":{"mboxes":[{"name":"a","index":9}]}}"#
                ),
            ),
            (
                r#"["a"]"#,
                r#"{"request":{"execute":{"pageLoad":{},"mboxes":[]}}}"#,
                r#"{"execute":{"pageLoad":{},"mboxes":[{"name":"a","index":1}]}}"#,
            ),
            (
                r#"["a"]"#,
                r#"{"request":{"prefetch":{"mboxes":[{"name":"a"}]}}}"#,
                r#"{"prefetch":{"mboxes":[{"name":"a"}]}}"#,
            ),
        ] {
            assert_eq!(request(names, options).unwrap(), expected, "{names} {options}");
        }
    }

    #[test]
    fn errors_name_the_place() {
        for (names, options, path) in [
            ("{}", "", ""),
            (r#"["a",7]"#, "", "/1"),
            (r#"[""]"#, "", "/0"),
            (r#"["a"]"#, "[]", ""),
            (r#"["a"]"#, r#"{"request":{"execute":[]}}"#, "/request/execute"),
            (r#"["a"]"#, r#"{"request":{"execute":{"mboxes":{}}}}"#, "/request/execute/mboxes"),
            (r#"["a"]"#, r#"{"reqest":{}}"#, "/reqest"),
        ] {
            assert_eq!(request(names, options).unwrap_err().path(), Some(path), "{names} {options}");
        }
        assert!(request("[", "").is_err() && request("[]", "[").is_err());
    }
}
