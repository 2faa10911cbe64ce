//! JSON as this crate handles it: a borrowed document that keeps member order, read under limits, written back as it came.
//!
//! Parsing is serde_json's; what is added is borrowing (a string without escapes is a slice of the input), limits that
//! hold before memory is spent, and a choice about duplicate keys.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
pub use serde_json::Number;
use serde_json::value::RawValue;

use crate::error::{Error, ErrorKind};

/// A JSON value that borrows from the text it was read from.
#[derive(Clone, Debug, PartialEq, Default)]
pub enum Json<'a> {
    /// `null`
    #[default]
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number: `u64`, `i64` or `f64`.
    Number(Number),
    /// A string.
    String(Cow<'a, str>),
    /// An array.
    Array(Vec<Json<'a>>),
    /// An object, in document order.
    Object(Object<'a>),
}

/// The members of an object, in document order, each key once.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Object<'a>(Vec<(Cow<'a, str>, Json<'a>)>);

/// What to do with a key that an object holds twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Duplicates {
    /// Refuse the document.
    Refuse,
    /// The last value wins, at the place of the first.
    LastWins,
}

/// Limits on a document. Exceeding one is an [`ErrorKind::InvalidJson`] error.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Length of the text in bytes.
    pub bytes: usize,
    /// Nesting of arrays and objects.
    pub depth: usize,
    /// Members of one object.
    pub keys: usize,
    /// Length of one string in bytes.
    pub string: usize,
    /// Duplicate keys.
    pub duplicates: Duplicates,
}

impl Limits {
    /// For client configuration.
    pub const CONFIG: Limits =
        Limits { bytes: 64 << 20, depth: 64, keys: 10_000, string: 256 << 10, duplicates: Duplicates::Refuse };
    /// For the options of a call.
    pub const OPTIONS: Limits =
        Limits { bytes: 1 << 20, depth: 64, keys: 10_000, string: 256 << 10, duplicates: Duplicates::LastWins };
    /// For what a server or a file says; its length has been limited already.
    pub const REMOTE: Limits =
        Limits { bytes: usize::MAX, depth: 64, keys: 1_000_000, string: usize::MAX, duplicates: Duplicates::LastWins };
}

/// Reads one JSON document.
pub fn parse<'a>(text: &'a str, limits: &Limits) -> Result<Json<'a>, Error> {
    if text.len() > limits.bytes {
        return Err(Error::new(
            ErrorKind::InvalidJson,
            format!("the JSON is {} bytes long, the limit is {}", text.len(), limits.bytes),
        ));
    }
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = Seed { limits, depth: 0 }.deserialize(&mut reader);
    value
        .and_then(|value| reader.end().map(|()| value))
        .map_err(|error| Error::new(ErrorKind::InvalidJson, format!("not valid JSON: {error}")))
}

/// The text of the value at an RFC 6901 pointer, cut out of the document as it stands there.
pub fn raw_pointer<'a>(text: &'a str, pointer: &str) -> Option<&'a str> {
    let mut text = text.trim_matches([' ', '\t', '\r', '\n']);
    if pointer.is_empty() {
        return Some(text);
    }
    for token in pointer.strip_prefix('/')?.split('/') {
        let token = if token.contains('~') {
            Cow::Owned(token.replace("~1", "/").replace("~0", "~"))
        } else {
            Cow::Borrowed(token)
        };
        text = serde_json::Deserializer::from_str(text).deserialize_any(Step(&token)).ok()??.get();
    }
    Some(text)
}

/// One step into a document: finds the member or element of that name, skips the others unread.
struct Step<'t>(&'t str);

impl<'de> Visitor<'de> for Step<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or array")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(key) = access.next_key_seed(KeySeed(&Limits::REMOTE))? {
            if key == self.0 {
                found = Some(access.next_value()?);
            } else {
                access.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let index = array_index(self.0);
        let mut at = 0;
        let mut found = None;
        loop {
            if Some(at) == index {
                found = access.next_element()?;
                if found.is_none() {
                    return Ok(None);
                }
            } else if access.next_element::<IgnoredAny>()?.is_none() {
                return Ok(found);
            }
            at += 1;
        }
    }
}

fn array_index(token: &str) -> Option<usize> {
    if token == "0" || !token.starts_with(['0', '+']) { token.parse().ok() } else { None }
}

/// Appends `text` as a JSON string, quotes included.
pub fn write_str(out: &mut String, text: &str) {
    out.push('"');
    write_escaped(out, text);
    out.push('"');
}

/// Appends `text` as it stands inside a JSON string: escaped, without quotes.
pub fn write_escaped(out: &mut String, text: &str) {
    // Nearly all text needs no escapes, and this loop without branches is several times faster than the one below.
    let escapes = text.bytes().fold(false, |found, byte| found | (byte < 0x20) | (byte == b'"') | (byte == b'\\'));
    if !escapes {
        out.push_str(text);
        return;
    }
    let mut clean = 0;
    for (at, byte) in text.bytes().enumerate() {
        let escape = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0x08 => "\\b",
            0x0c => "\\f",
            0..=0x1f => "",
            _ => continue,
        };
        out.push_str(&text[clean..at]);
        if escape.is_empty() {
            out.push_str("\\u00");
            out.push(if byte < 0x10 { '0' } else { '1' });
            out.push(char::from(b"0123456789abcdef"[usize::from(byte & 15)]));
        } else {
            out.push_str(escape);
        }
        clean = at + 1;
    }
    out.push_str(&text[clean..]);
}

/// Appends an integer.
pub fn write_int(out: &mut String, value: i64) {
    out.push_str(itoa::Buffer::new().format(value));
}

impl<'a> Json<'a> {
    /// A string value.
    pub fn string(text: impl Into<Cow<'a, str>>) -> Json<'a> {
        Json::String(text.into())
    }

    /// Member `key`, if this is an object that has it. A present `null` is `Some(&Json::Null)`.
    pub fn get(&self, key: &str) -> Option<&Json<'a>> {
        self.as_object()?.get(key)
    }

    /// The text of a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Json::String(text) => Some(text),
            _ => None,
        }
    }

    /// The value of a boolean.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Json::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// The value of a number as a double.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Json::Number(number) => number.as_f64(),
            _ => None,
        }
    }

    /// The value of an integer.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Json::Number(number) => number.as_i64(),
            _ => None,
        }
    }

    /// The elements of an array.
    pub fn as_array(&self) -> Option<&[Json<'a>]> {
        match self {
            Json::Array(items) => Some(items),
            _ => None,
        }
    }

    /// The members of an object.
    pub fn as_object(&self) -> Option<&Object<'a>> {
        match self {
            Json::Object(object) => Some(object),
            _ => None,
        }
    }

    /// Whether this is `null`.
    pub fn is_null(&self) -> bool {
        matches!(self, Json::Null)
    }

    /// "string", "object", ...: for messages.
    pub fn type_name(&self) -> &'static str {
        match self {
            Json::Null => "null",
            Json::Bool(_) => "boolean",
            Json::Number(_) => "number",
            Json::String(_) => "string",
            Json::Array(_) => "array",
            Json::Object(_) => "object",
        }
    }

    /// The value at an RFC 6901 pointer, if there is one.
    pub fn pointer(&self, pointer: &str) -> Option<&Json<'a>> {
        if pointer.is_empty() {
            return Some(self);
        }
        pointer.strip_prefix('/')?.split('/').try_fold(self, |value, token| match value {
            Json::Object(object) if token.contains('~') => object.get(&token.replace("~1", "/").replace("~0", "~")),
            Json::Object(object) => object.get(token),
            Json::Array(items) => array_index(token).and_then(|index| items.get(index)),
            _ => None,
        })
    }

    /// Appends the value as compact JSON.
    pub fn write(&self, out: &mut String) {
        match self {
            Json::Null => out.push_str("null"),
            Json::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Json::Number(number) => {
                use fmt::Write;
                let _ = write!(out, "{number}"); // writing to a String cannot fail
            }
            Json::String(text) => write_str(out, text),
            Json::Array(items) => {
                out.push('[');
                for (at, item) in items.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    item.write(out);
                }
                out.push(']');
            }
            Json::Object(object) => object.write(out),
        }
    }

    /// The same value, owning its text.
    pub fn into_owned(self) -> Json<'static> {
        match self {
            Json::Null => Json::Null,
            Json::Bool(value) => Json::Bool(value),
            Json::Number(number) => Json::Number(number),
            Json::String(text) => Json::String(Cow::Owned(text.into_owned())),
            Json::Array(items) => Json::Array(items.into_iter().map(Json::into_owned).collect()),
            Json::Object(object) => Json::Object(object.into_owned()),
        }
    }
}

/// Compact JSON.
impl fmt::Display for Json<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = String::new();
        self.write(&mut out);
        f.write_str(&out)
    }
}

impl<'a> From<&'a str> for Json<'a> {
    fn from(text: &'a str) -> Self {
        Json::String(Cow::Borrowed(text))
    }
}

impl From<String> for Json<'_> {
    fn from(text: String) -> Self {
        Json::String(Cow::Owned(text))
    }
}

impl From<i64> for Json<'_> {
    fn from(value: i64) -> Self {
        Json::Number(value.into())
    }
}

impl From<bool> for Json<'_> {
    fn from(value: bool) -> Self {
        Json::Bool(value)
    }
}

impl<'a> From<Object<'a>> for Json<'a> {
    fn from(object: Object<'a>) -> Self {
        Json::Object(object)
    }
}

impl<'a> Object<'a> {
    /// An object without members.
    pub fn new() -> Object<'a> {
        Object::default()
    }

    /// How many members there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The members in document order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Json<'a>)> {
        self.0.iter().map(|(key, value)| (key.as_ref(), value))
    }

    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<&Json<'a>> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// The value of `key`, to be changed in place.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Json<'a>> {
        self.0.iter_mut().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// Sets `key`: in its place if it is there, else at the end.
    pub fn set(&mut self, key: impl Into<Cow<'a, str>>, value: impl Into<Json<'a>>) {
        let (key, value) = (key.into(), value.into());
        match self.get_mut(&key) {
            Some(place) => *place = value,
            None => self.0.push((key, value)),
        }
    }

    /// Takes `key` out.
    pub fn remove(&mut self, key: &str) -> Option<Json<'a>> {
        let at = self.0.iter().position(|(name, _)| name == key)?;
        Some(self.0.remove(at).1)
    }

    /// An object without members and with room for `capacity`.
    pub(crate) fn with_capacity(capacity: usize) -> Object<'a> {
        Object(Vec::with_capacity(capacity))
    }

    /// Appends a member whose key is known not to be there yet.
    pub(crate) fn push(&mut self, key: impl Into<Cow<'a, str>>, value: impl Into<Json<'a>>) {
        self.0.push((key.into(), value.into()));
    }

    /// The members in document order, with keys that can be cloned without copying their text.
    pub(crate) fn members(&self) -> &[(Cow<'a, str>, Json<'a>)] {
        &self.0
    }

    /// The members, to be changed or removed in place. The caller keeps keys unique.
    pub(crate) fn members_mut(&mut self) -> &mut Vec<(Cow<'a, str>, Json<'a>)> {
        &mut self.0
    }

    /// Appends the object as compact JSON.
    pub fn write(&self, out: &mut String) {
        out.push('{');
        for (at, (key, value)) in self.0.iter().enumerate() {
            if at > 0 {
                out.push(',');
            }
            write_str(out, key);
            out.push(':');
            value.write(out);
        }
        out.push('}');
    }

    /// The same object, owning its text.
    pub fn into_owned(self) -> Object<'static> {
        Object(self.0.into_iter().map(|(key, value)| (Cow::Owned(key.into_owned()), value.into_owned())).collect())
    }
}

impl<'a> IntoIterator for Object<'a> {
    type Item = (Cow<'a, str>, Json<'a>);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> FromIterator<(Cow<'a, str>, Json<'a>)> for Object<'a> {
    fn from_iter<I: IntoIterator<Item = (Cow<'a, str>, Json<'a>)>>(members: I) -> Self {
        let mut object = Object::new();
        for (key, value) in members {
            object.set(key, value);
        }
        object
    }
}

#[derive(Clone, Copy)]
struct Seed<'l> {
    limits: &'l Limits,
    depth: usize,
}

impl Seed<'_> {
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth >= self.limits.depth {
            return Err(E::custom(format_args!("nested deeper than {} levels", self.limits.depth)));
        }
        Ok(Seed { depth: self.depth + 1, ..self })
    }

    fn check_string<E: serde::de::Error>(&self, text: &str) -> Result<(), E> {
        if text.len() > self.limits.string {
            return Err(E::custom(format_args!(
                "a string of {} bytes, the limit is {}",
                text.len(),
                self.limits.string
            )));
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Json<'de>;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Json<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Json<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json<'de>, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json<'de>, E> {
        Ok(Json::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json<'de>, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json<'de>, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Json<'de>, E> {
        Number::from_f64(value).map(Json::Number).ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_borrowed_str<E: serde::de::Error>(self, text: &'de str) -> Result<Json<'de>, E> {
        self.check_string(text)?;
        Ok(Json::String(Cow::Borrowed(text)))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Json<'de>, E> {
        self.check_string(text)?;
        Ok(Json::String(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Json<'de>, A::Error> {
        let inner = self.deeper()?;
        let mut items = Vec::new();
        while let Some(item) = access.next_element_seed(inner)? {
            items.push(item);
        }
        Ok(Json::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Json<'de>, A::Error> {
        let inner = self.deeper()?;
        let mut members = Members::default();
        while let Some(key) = access.next_key_seed(KeySeed(self.limits))? {
            let place = members.place(key, self.limits)?;
            let value = access.next_value_seed(inner)?;
            members.object.0[place].1 = value;
        }
        Ok(Json::Object(members.object))
    }
}

/// An object under construction. Large objects get an index, so that finding duplicates stays linear.
#[derive(Default)]
struct Members<'a> {
    object: Object<'a>,
    index: Option<std::collections::HashMap<Cow<'a, str>, usize>>,
}

impl<'a> Members<'a> {
    const INDEXED_FROM: usize = 32;

    fn place<E: serde::de::Error>(&mut self, key: Cow<'a, str>, limits: &Limits) -> Result<usize, E> {
        let known = match &self.index {
            Some(index) => index.get(&key).copied(),
            None => self.object.0.iter().position(|(name, _)| *name == key),
        };
        if let Some(place) = known {
            return match limits.duplicates {
                Duplicates::LastWins => Ok(place),
                Duplicates::Refuse => Err(E::custom(format_args!("duplicate key {key:?}"))),
            };
        }
        let place = self.object.0.len();
        if place >= limits.keys {
            return Err(E::custom(format_args!("more than {} keys in one object", limits.keys)));
        }
        if let Some(index) = &mut self.index {
            index.insert(key.clone(), place);
        }
        self.object.0.push((key, Json::Null));
        if self.index.is_none() && self.object.0.len() > Self::INDEXED_FROM {
            self.index = Some(self.object.0.iter().enumerate().map(|(at, (key, _))| (key.clone(), at)).collect());
        }
        Ok(place)
    }
}

struct KeySeed<'l>(&'l Limits);

impl<'de> DeserializeSeed<'de> for KeySeed<'_> {
    type Value = Cow<'de, str>;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Cow<'de, str>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for KeySeed<'_> {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E: serde::de::Error>(self, text: &'de str) -> Result<Cow<'de, str>, E> {
        Seed { limits: self.0, depth: 0 }.check_string(text)?;
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Cow<'de, str>, E> {
        Seed { limits: self.0, depth: 0 }.check_string(text)?;
        Ok(Cow::Owned(text.to_owned()))
    }
}

#[cfg(test)]
mod tests;
