//! The values that rules compute with: JSON plus `undefined`, numbers as doubles, text borrowed where possible.

use std::borrow::Cow;
use std::rc::Rc;

use crate::json::{self, Json};

/// How deep a computed value may nest. Data comes from JSON of at most 64 levels; only a rule that wraps its own
/// result in a loop can get here.
const MAX_DEPTH: u32 = 200;

/// How many values one array or object may hold, counting shared parts each time they show.
const MAX_WEIGHT: usize = 1 << 24;

/// A JavaScript value, as far as rules can make one.
#[derive(Clone, Debug, Default)]
pub(crate) enum Value<'a> {
    #[default]
    Undefined,
    Null,
    Bool(bool),
    Number(f64),
    String(Text<'a>),
    Array(Rc<List<'a>>),
    Object(Rc<Members<'a>>),
}

/// Text that is cheap to copy: borrowed from rules or request, or shared.
#[derive(Clone, Debug)]
pub(crate) enum Text<'a> {
    Borrowed(&'a str),
    Shared(Rc<str>),
}

impl std::ops::Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Text::Borrowed(text) => text,
            Text::Shared(text) => text,
        }
    }
}

impl<'a> From<Cow<'a, str>> for Value<'a> {
    fn from(text: Cow<'a, str>) -> Self {
        match text {
            Cow::Borrowed(text) => Value::text(text),
            Cow::Owned(text) => text.into(),
        }
    }
}

impl From<String> for Value<'_> {
    fn from(text: String) -> Self {
        Value::String(Text::Shared(text.into()))
    }
}

/// The elements of an array.
#[derive(Debug)]
pub(crate) struct List<'a> {
    pub(crate) items: Vec<Value<'a>>,
    size: Size,
}

/// The members of an object, in order, each key once.
#[derive(Debug)]
pub(crate) struct Members<'a> {
    pub(crate) entries: Vec<(Cow<'a, str>, Value<'a>)>,
    size: Size,
}

/// How deep a value nests and how many values it holds.
#[derive(Clone, Copy, Debug)]
struct Size {
    depth: u32,
    weight: usize,
}

/// A value would be deeper or larger than this module allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooLarge;

impl<'a> Value<'a> {
    pub(crate) fn text(text: &'a str) -> Value<'a> {
        Value::String(Text::Borrowed(text))
    }

    /// An array, unless it nests too deeply.
    pub(crate) fn array(items: Vec<Value<'a>>) -> Result<Value<'a>, TooLarge> {
        let size = Size::around(items.iter())?;
        Ok(Value::Array(Rc::new(List { items, size })))
    }

    /// An object, unless it nests too deeply.
    pub(crate) fn object(entries: Vec<(Cow<'a, str>, Value<'a>)>) -> Result<Value<'a>, TooLarge> {
        let size = Size::around(entries.iter().map(|(_, value)| value))?;
        Ok(Value::Object(Rc::new(Members { entries, size })))
    }

    fn size(&self) -> Size {
        match self {
            Value::Array(list) => list.size,
            Value::Object(members) => members.size,
            Value::String(text) => Size { depth: 0, weight: 1 + text.len() / 64 },
            _ => Size { depth: 0, weight: 1 },
        }
    }

    /// How many values this one holds, itself included; long text counts for more.
    pub(crate) fn weight(&self) -> usize {
        self.size().weight
    }

    /// A JSON value as a rule sees it.
    pub(crate) fn from_json(json: &'a Json<'_>) -> Value<'a> {
        match json {
            Json::Null => Value::Null,
            Json::Bool(value) => Value::Bool(*value),
            Json::Number(number) => Value::Number(number.as_f64().unwrap_or(f64::NAN)),
            Json::String(text) => Value::text(text),
            Json::Array(items) => {
                // Documents are limited to 64 levels, so the depth limit cannot bite here.
                Value::array(items.iter().map(Value::from_json).collect()).unwrap_or_default()
            }
            Json::Object(object) => {
                let entries = object.iter().map(|(key, value)| (Cow::Borrowed(key), Value::from_json(value)));
                Value::object(entries.collect()).unwrap_or_default()
            }
        }
    }

    /// Own member `key` as JavaScript reads it: members of objects, elements and `length` of arrays, UTF-16 units and
    /// `length` of strings. Nothing is inherited: a prototype does not exist here.
    pub(crate) fn member(&self, key: &str) -> Value<'a> {
        match self {
            Value::Object(members) => {
                members.entries.iter().find(|(name, _)| name == key).map(|(_, value)| value.clone()).unwrap_or_default()
            }
            Value::Array(list) if key == "length" => Value::Number(list.items.len() as f64),
            Value::Array(list) => array_index(key).and_then(|index| list.items.get(index)).cloned().unwrap_or_default(),
            Value::String(text) => text_member(text, key),
            _ => Value::Undefined,
        }
    }

    /// The value at a dotted path; `Undefined` when a step is missing or walks through null.
    pub(crate) fn walk(&self, path: &str) -> Value<'a> {
        let mut steps = path.split('.');
        let Some(first) = steps.next() else { return Value::Undefined };
        steps.fold(self.member(first), |value, step| value.member(step))
    }

    /// Appends the value as JSON; `undefined` becomes `null`, as in a JavaScript array.
    pub(crate) fn write(&self, out: &mut String) {
        match self {
            Value::Undefined | Value::Null => out.push_str("null"),
            Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Value::Number(number) if number.is_finite() => out.push_str(&super::coerce::number_to_text(*number)),
            Value::Number(_) => out.push_str("null"),
            Value::String(text) => json::write_str(out, text),
            Value::Array(list) => {
                out.push('[');
                for (at, item) in list.items.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    item.write(out);
                }
                out.push(']');
            }
            Value::Object(members) => {
                out.push('{');
                let present = members.entries.iter().filter(|(_, value)| !matches!(value, Value::Undefined));
                for (at, (key, value)) in present.enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    json::write_str(out, key);
                    out.push(':');
                    value.write(out);
                }
                out.push('}');
            }
        }
    }
}

impl Size {
    fn around<'v, 'a: 'v>(children: impl Iterator<Item = &'v Value<'a>>) -> Result<Size, TooLarge> {
        let mut outer = Size { depth: 1, weight: 1 };
        for size in children.map(Value::size) {
            outer.depth = outer.depth.max(size.depth + 1);
            outer.weight = outer.weight.saturating_add(size.weight);
        }
        if outer.depth > MAX_DEPTH || outer.weight > MAX_WEIGHT { Err(TooLarge) } else { Ok(outer) }
    }
}

/// Member `key` of a string that the caller keeps: a UTF-16 unit or `length`.
pub(crate) fn text_member<'a>(text: &str, key: &str) -> Value<'a> {
    if key == "length" {
        return Value::Number(text.encode_utf16().count() as f64);
    }
    match array_index(key).and_then(|index| text.encode_utf16().nth(index)) {
        Some(unit) => String::from_utf16_lossy(&[unit]).into(),
        None => Value::Undefined,
    }
}

/// `key` as the index that JavaScript would see in it: decimal, without sign or leading zeros.
fn array_index(key: &str) -> Option<usize> {
    let canonical = key == "0" || key.bytes().next().is_some_and(|first| (b'1'..=b'9').contains(&first));
    if canonical { key.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_like_javascript() {
        let text = r#"{"a":[10,{"b":null}],"s":"h😀","":1}"#;
        let data = json::parse(text, &json::Limits::OPTIONS).unwrap();
        let data = Value::from_json(&data);
        let shown = |path: &str| {
            let value = data.walk(path);
            let mut out = String::new();
            value.write(&mut out);
            (!matches!(value, Value::Undefined)).then_some(out)
        };
        assert_eq!(shown("a.0").as_deref(), Some("10"));
        assert_eq!(shown("a.1.b").as_deref(), Some("null"));
        assert_eq!(shown("a.length").as_deref(), Some("2"));
        assert_eq!(shown("s.0").as_deref(), Some("\"h\""));
        assert_eq!(shown("s.length").as_deref(), Some("3"));
        assert_eq!(shown("").as_deref(), Some("1"));
        for missing in ["a.00", "a.+1", "a.1.b.c", "a.2", "x", "s.3", "a.constructor", "__proto__"] {
            assert_eq!(shown(missing), None, "{missing}");
        }
    }

    #[test]
    fn nesting_is_limited() {
        let mut value = Value::Null;
        for _ in 0..MAX_DEPTH {
            value = Value::array(vec![value]).unwrap();
        }
        assert_eq!(Value::array(vec![value.clone()]).unwrap_err(), TooLarge);
        assert_eq!(Value::object(vec![("x".into(), value)]).unwrap_err(), TooLarge);
        let mut doubled = Value::Null;
        let refused = (0..64).any(|_| match Value::array(vec![doubled.clone(), doubled.clone()]) {
            Ok(next) => {
                doubled = next;
                false
            }
            Err(TooLarge) => true,
        });
        assert!(refused);
    }
}
