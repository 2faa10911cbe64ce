//! Reads the members of a JSON object one by one, strictly: each has one type, and what is wrong is named by its pointer.

use std::ops::RangeInclusive;

use crate::error::{Error, Result};
use crate::json::{Json, Object};
use crate::suggest::suggest;

/// Text in the configuration is at most this long, unless the reader says otherwise.
pub(super) const LONGEST_TEXT: usize = 256 << 10;

/// The members of one object of the configuration. A member that is `null` counts as absent.
pub(super) struct Fields<'j> {
    object: &'j Object<'j>,
    /// JSON pointer of the object.
    path: String,
}

impl<'j> Fields<'j> {
    /// The members of the object at `path`, of which `known` may occur: others are a warning, in strict mode an error.
    pub(super) fn new(object: &'j Object<'j>, path: &str, known: &[&str], strict: bool) -> Result<Fields<'j>> {
        let fields = Fields { object, path: path.to_owned() };
        for (key, _) in object.iter().filter(|(key, _)| !known.contains(key)) {
            let shown: String = key.chars().take(64).collect();
            let hint = match suggest(key, known) {
                Some(meant) => format!("; did you mean {meant:?}?"),
                None => String::new(),
            };
            let message = format!("unknown key {shown:?} in the configuration{hint}");
            if strict {
                return Err(Error::invalid(fields.pointer(key), message));
            }
            log::warn!(target: "target_sdk::config", "{message}");
        }
        Ok(fields)
    }

    /// The JSON pointer of member `key`.
    pub(super) fn pointer(&self, key: &str) -> String {
        format!("{}/{}", self.path, key.replace('~', "~0").replace('/', "~1"))
    }

    /// Member `key` as it is.
    pub(super) fn get(&self, key: &str) -> Option<&'j Json<'j>> {
        self.object.get(key).filter(|value| !value.is_null())
    }

    /// "`/timeout` must be …"
    pub(super) fn error(&self, key: &str, must: &str) -> Error {
        invalid(&self.pointer(key), must)
    }

    /// A boolean.
    pub(super) fn flag(&self, key: &str, default: bool) -> Result<bool> {
        match self.get(key) {
            None => Ok(default),
            Some(value) => value.as_bool().ok_or_else(|| wrong_type(&self.pointer(key), "a boolean", value)),
        }
    }

    /// An integer in `range`. A number with a zero fraction (`3e3`, `3000.0`) is one.
    pub(super) fn integer(&self, key: &str, range: RangeInclusive<i64>) -> Result<Option<i64>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let Json::Number(number) = value else {
            return Err(wrong_type(&self.pointer(key), "a number", value));
        };
        match number.as_i64() {
            Some(integer) if range.contains(&integer) => Ok(Some(integer)),
            _ => Err(self
                .error(key, &format!("be an integer between {} and {}, it is {number}", range.start(), range.end()))),
        }
    }

    /// Text; may be empty.
    pub(super) fn text(&self, key: &str) -> Result<Option<&'j str>> {
        self.long_text(key, LONGEST_TEXT)
    }

    /// Text of at most `longest` bytes; may be empty.
    pub(super) fn long_text(&self, key: &str, longest: usize) -> Result<Option<&'j str>> {
        match self.get(key) {
            None => Ok(None),
            Some(value) => text_of(value, &self.pointer(key), longest).map(Some),
        }
    }

    /// Text that says nothing when it is empty, as in the other SDKs.
    pub(super) fn optional_text(&self, key: &str) -> Result<Option<&'j str>> {
        Ok(self.text(key)?.filter(|text| !text.is_empty()))
    }

    /// Text that has to be there, and not empty.
    pub(super) fn required_text(&self, key: &str, longest: usize) -> Result<&'j str> {
        match self.long_text(key, longest)? {
            Some(text) if !text.is_empty() => Ok(text),
            _ => Err(self.error(key, "be given")),
        }
    }

    /// An object whose members are `known`.
    pub(super) fn object(&self, key: &str, known: &[&str], strict: bool) -> Result<Option<Fields<'j>>> {
        match self.get(key) {
            None => Ok(None),
            Some(Json::Object(object)) => Fields::new(object, &self.pointer(key), known, strict).map(Some),
            Some(value) => Err(wrong_type(&self.pointer(key), "an object", value)),
        }
    }

    /// A list of texts, none of them empty.
    pub(super) fn texts(&self, key: &str) -> Result<Vec<String>> {
        let Some(value) = self.get(key) else { return Ok(Vec::new()) };
        let items = value.as_array().ok_or_else(|| wrong_type(&self.pointer(key), "an array of strings", value))?;
        let text = |(at, item)| {
            let path = format!("{}/{at}", self.pointer(key));
            let text = text_of(item, &path, LONGEST_TEXT)?;
            if text.is_empty() { Err(invalid(&path, "not be empty")) } else { Ok(text.to_owned()) }
        };
        items.iter().enumerate().map(text).collect()
    }
}

fn text_of<'j>(value: &'j Json<'j>, path: &str, longest: usize) -> Result<&'j str> {
    let text = value.as_str().ok_or_else(|| wrong_type(path, "a string", value))?;
    if text.len() > longest {
        return Err(invalid(path, &format!("be at most {longest} bytes long, it has {}", text.len())));
    }
    // No text of a configuration has one, and C would take it for the end.
    if text.contains('\0') {
        return Err(invalid(path, "not contain NUL characters"));
    }
    Ok(text)
}

/// "`path` must …"
pub(super) fn invalid(path: &str, must: &str) -> Error {
    Error::invalid(path, format!("{path} must {must}"))
}

/// "`path` must be a string, not an array"
pub(super) fn wrong_type(path: &str, expected: &str, actual: &Json<'_>) -> Error {
    let article = if matches!(actual, Json::Array(_) | Json::Object(_)) { "an" } else { "a" };
    invalid(path, &format!("be {expected}, not {article} {}", actual.type_name()))
}
