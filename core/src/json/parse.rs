//! Reading documents.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::scan::Raw;
use super::{Json, Number, Object, Scanner};
use crate::error::{Error, ErrorKind};

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
    let mut scanner = Scanner::new(text);
    let seed = Seed { limits, depth: 0 };
    if let Some(value) = seed.scan(&mut scanner)
        && scanner.is_over()
    {
        return Ok(value);
    }
    // There is something wrong with it, and serde_json can tell what.
    deserialize(text, seed).map_err(|error| Error::new(ErrorKind::InvalidJson, format!("not valid JSON: {error}")))
}

pub(super) fn deserialize<'a, S: DeserializeSeed<'a>>(text: &'a str, seed: S) -> Result<S::Value, serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = seed.deserialize(&mut reader)?;
    reader.end().map(|()| value)
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

pub(super) fn array_index(token: &str) -> Option<usize> {
    if token == "0" || !token.starts_with(['0', '+']) { token.parse().ok() } else { None }
}

/// Reads one value: with the scanner if it can, else with serde_json.
#[derive(Clone, Copy)]
pub(super) struct Seed<'l> {
    pub(super) limits: &'l Limits,
    pub(super) depth: usize,
}

impl Seed<'_> {
    /// The next value, unless there is something wrong with it.
    fn scan<'a>(self, scanner: &mut Scanner<'a>) -> Option<Json<'a>> {
        Some(match scanner.peek() {
            b'"' => Json::String(self.text(scanner.string()?)?),
            b'{' => {
                let inner = self.deeper::<serde_json::Error>().ok()?;
                scanner.take(b'{');
                let mut members = Members::default();
                let mut first = true;
                while scanner.next(b'}', first)? {
                    first = false;
                    let key = self.text(scanner.key()?)?;
                    let place = members.place::<serde_json::Error>(key, self.limits).ok()?;
                    members.object.0.get_mut(place)?.1 = inner.scan(scanner)?;
                }
                Json::Object(members.object)
            }
            b'[' => {
                let inner = self.deeper::<serde_json::Error>().ok()?;
                scanner.take(b'[');
                let mut items = Vec::new();
                while scanner.next(b']', items.is_empty())? {
                    items.push(inner.scan(scanner)?);
                }
                Json::Array(items)
            }
            b'n' => scanner.word("null").map(|()| Json::Null)?,
            b't' => scanner.word("true").map(|()| Json::Bool(true))?,
            b'f' => scanner.word("false").map(|()| Json::Bool(false))?,
            _ => Json::Number(Number::read(scanner.number()?)?),
        })
    }

    fn text<'a>(&self, raw: Raw<'a>) -> Option<Cow<'a, str>> {
        match raw {
            Raw::Plain(text) => (text.len() <= self.limits.string).then_some(Cow::Borrowed(text)),
            Raw::Escaped(text) => deserialize(text, KeySeed(self.limits)).ok(),
        }
    }

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
        Ok(Json::Number(i64::try_from(value).map_or_else(|_| Number::Text(value.to_string().into()), Number::Integer)))
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
