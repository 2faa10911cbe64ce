//! JavaScript's conversions and comparisons, on which every SDK's decisions rest.

use crate::number::{is_blank, parse_float};
use std::borrow::Cow;
use std::cmp::Ordering;
use std::rc::Rc;

use super::value::Value;

/// JavaScript truthiness: what decides whether a rule matches.
pub(crate) fn to_boolean(value: &Value<'_>) -> bool {
    match value {
        Value::Undefined | Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(number) => *number != 0.0 && !number.is_nan(),
        Value::String(text) => !text.is_empty(),
        Value::Array(_) | Value::Object(_) => true,
    }
}

/// JSON Logic truthiness, used inside a rule: as JavaScript's, but an empty array is false.
pub(crate) fn truthy(value: &Value<'_>) -> bool {
    match value {
        Value::Array(list) => !list.items.is_empty(),
        other => to_boolean(other),
    }
}

/// `Number(value)`.
pub(crate) fn to_number(value: &Value<'_>) -> f64 {
    match value {
        Value::Undefined => f64::NAN,
        Value::Null => 0.0,
        Value::Bool(value) => f64::from(u8::from(*value)),
        Value::Number(number) => *number,
        Value::String(text) => text_to_number(text),
        Value::Array(_) | Value::Object(_) => text_to_number(&to_text(value)),
    }
}

/// `String(value)`.
pub(crate) fn to_text<'v>(value: &'v Value<'_>) -> Cow<'v, str> {
    match value {
        Value::Undefined => Cow::Borrowed("undefined"),
        Value::Null => Cow::Borrowed("null"),
        Value::Bool(true) => Cow::Borrowed("true"),
        Value::Bool(false) => Cow::Borrowed("false"),
        Value::Number(number) => Cow::Owned(number_to_text(*number)),
        Value::String(text) => Cow::Borrowed(text),
        Value::Array(list) => Cow::Owned(join(&list.items)),
        Value::Object(_) => Cow::Borrowed("[object Object]"),
    }
}

fn join(items: &[Value<'_>]) -> String {
    let mut out = String::new();
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        push_joined(&mut out, item);
    }
    out
}

/// Appends an element the way `Array.prototype.join` does: null and undefined are nothing.
pub(crate) fn push_joined(out: &mut String, item: &Value<'_>) {
    if !matches!(item, Value::Undefined | Value::Null) {
        out.push_str(&to_text(item));
    }
}

/// `a == b`.
pub(crate) fn loosely_equal(a: &Value<'_>, b: &Value<'_>) -> bool {
    match (a, b) {
        (Value::Undefined | Value::Null, Value::Undefined | Value::Null) => true,
        (Value::Undefined | Value::Null, _) | (_, Value::Undefined | Value::Null) => false,
        (Value::String(a), Value::String(b)) => **a == **b,
        (Value::Array(a), Value::Array(b)) => Rc::ptr_eq(a, b),
        (Value::Object(a), Value::Object(b)) => Rc::ptr_eq(a, b),
        (Value::Array(_), Value::Object(_)) | (Value::Object(_), Value::Array(_)) => false,
        (Value::Array(_) | Value::Object(_), Value::String(text)) => *to_text(a) == **text,
        (Value::String(text), Value::Array(_) | Value::Object(_)) => *to_text(b) == **text,
        _ => to_number(a) == to_number(b),
    }
}

/// `a === b`.
pub(crate) fn strictly_equal(a: &Value<'_>, b: &Value<'_>) -> bool {
    match (a, b) {
        (Value::Undefined, Value::Undefined) | (Value::Null, Value::Null) => true,
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::Number(a), Value::Number(b)) => a == b,
        (Value::String(a), Value::String(b)) => **a == **b,
        (Value::Array(a), Value::Array(b)) => Rc::ptr_eq(a, b),
        (Value::Object(a), Value::Object(b)) => Rc::ptr_eq(a, b),
        _ => false,
    }
}

/// How `<`, `<=`, `>` and `>=` see two values: two strings by UTF-16 units, anything else as numbers. `None` makes all
/// four false.
pub(crate) fn compare(a: &Value<'_>, b: &Value<'_>) -> Option<Ordering> {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.partial_cmp(b),
        (Value::String(a), Value::String(b)) => Some(compare_texts(a, b)),
        (
            Value::String(_) | Value::Array(_) | Value::Object(_),
            Value::String(_) | Value::Array(_) | Value::Object(_),
        ) => Some(compare_texts(&to_text(a), &to_text(b))),
        _ => to_number(a).partial_cmp(&to_number(b)),
    }
}

fn compare_texts(a: &str, b: &str) -> Ordering {
    if a.is_ascii() || b.is_ascii() {
        return a.cmp(b); // bytes and UTF-16 units differ in order only between astral characters and U+E000..U+FFFF
    }
    a.encode_utf16().cmp(b.encode_utf16())
}

/// `Number(text)`.
pub(crate) fn text_to_number(text: &str) -> f64 {
    let text = text.trim_matches(is_blank);
    let bytes = text.as_bytes();
    match bytes {
        [] => return 0.0,
        [b'0', b'x' | b'X', ..] => return whole_number(text, 16),
        [b'0', b'o' | b'O', ..] => return whole_number(text, 8),
        [b'0', b'b' | b'B', ..] => return whole_number(text, 2),
        _ => {}
    }
    match text.strip_prefix(['+', '-']).unwrap_or(text) {
        "Infinity" if bytes.first() == Some(&b'-') => f64::NEG_INFINITY,
        "Infinity" => f64::INFINITY,
        // Rust also reads "inf" and "nan"; every other form it takes is JavaScript's too.
        _ if bytes.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'+' | b'-' | b'e' | b'E')) => {
            text.parse().unwrap_or(f64::NAN)
        }
        _ => f64::NAN,
    }
}

fn whole_number(text: &str, radix: u32) -> f64 {
    let digits = text.get(2..).unwrap_or("");
    if digits.is_empty() {
        return f64::NAN;
    }
    // Exact while it fits; beyond that the last bit may round differently, which no rule can depend on.
    digits
        .chars()
        .try_fold(0.0, |value: f64, c| c.to_digit(radix).map(|digit| value * f64::from(radix) + f64::from(digit)))
        .unwrap_or(f64::NAN)
}

/// `parseFloat(value)`.
pub(crate) fn value_to_float(value: &Value<'_>) -> f64 {
    match value {
        // Not through text: parseFloat(String(x)) is x for every number but -0, and adding -0 shows nothing.
        Value::Number(number) => *number,
        other => parse_float(&to_text(other)),
    }
}

/// `String(number)`.
pub(crate) fn number_to_text(number: f64) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    if number == 0.0 {
        return "0".to_owned();
    }
    let size = number.abs();
    if (1e-6..1e21).contains(&size) {
        return number.to_string(); // shortest digits that read back, never an exponent: as in JavaScript
    }
    let scientific = format!("{number:e}");
    match scientific.split_once('e') {
        Some((mantissa, exponent)) if !exponent.starts_with('-') => format!("{mantissa}e+{exponent}"),
        _ => scientific,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_from_text() {
        for (text, expected) in [
            ("", 0.0),
            (" \t\n\u{feff}\u{a0}", 0.0),
            ("1.0", 1.0),
            (" 12 ", 12.0),
            (".5", 0.5),
            ("5.", 5.0),
            ("-1e3", -1000.0),
            ("+7", 7.0),
            ("0x1F", 31.0),
            ("0b101", 5.0),
            ("0o17", 15.0),
            ("Infinity", f64::INFINITY),
            ("-Infinity", f64::NEG_INFINITY),
            ("1e400", f64::INFINITY),
        ] {
            assert_eq!(text_to_number(text), expected, "{text:?}");
        }
        for text in ["abc", "1 2", "inf", "nan", "NaN", "infinity", "0x", "-0x1", "1e", ".", "e5", "1_0", "0xg", "--1"]
        {
            assert!(text_to_number(text).is_nan(), "{text:?}");
        }
    }

    #[test]
    fn floats_at_the_start_of_text() {
        for (text, expected) in [
            ("12px", 12.0),
            (" 3.5.7", 3.5),
            ("-.5e2x", -50.0),
            ("1e", 1.0),
            ("1e+", 1.0),
            ("-Infinityx", f64::NEG_INFINITY),
            ("5.", 5.0),
        ] {
            assert_eq!(parse_float(text), expected, "{text:?}");
        }
        for text in ["", "abc", ".", "-", "e5", "+.e1", "null"] {
            assert!(parse_float(text).is_nan(), "{text:?}");
        }
    }

    #[test]
    fn text_from_numbers() {
        for (number, expected) in [
            (9.0, "9"),
            (1.5, "1.5"),
            (-0.0, "0"),
            (1e21, "1e+21"),
            (1.5e300, "1.5e+300"),
            (1e20, "100000000000000000000"),
            (0.000001, "0.000001"),
            (1.25e-7, "1.25e-7"),
            (0.1 + 0.2, "0.30000000000000004"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(number_to_text(number), expected);
        }
    }

    #[test]
    fn order_is_by_utf16_units() {
        let (astral, private) = (Value::text("😀"), Value::text("\u{e000}"));
        assert_eq!(compare(&astral, &private), Some(Ordering::Less));
        assert_eq!(compare(&Value::text("10"), &Value::text("9")), Some(Ordering::Less));
        assert_eq!(compare(&Value::text("10"), &Value::Number(9.0)), Some(Ordering::Greater));
        assert_eq!(compare(&Value::Undefined, &Value::Number(0.0)), None);
        assert_eq!(compare(&Value::Null, &Value::Number(0.0)), Some(Ordering::Equal));
    }
}
