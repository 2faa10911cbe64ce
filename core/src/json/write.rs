//! Writing documents.

use std::fmt::Write;

use super::scan::clean_prefix;
use super::{Json, Object};

/// Appends `text` as a JSON string, quotes included.
pub fn write_str(out: &mut String, text: &str) {
    out.push('"');
    write_escaped(out, text);
    out.push('"');
}

/// Appends `text` as it stands inside a JSON string: escaped, without quotes.
pub fn write_escaped(out: &mut String, text: &str) {
    let mut rest = text;
    loop {
        // Nearly all text needs no escapes.
        let (clean, special) = rest.split_at_checked(clean_prefix(rest.as_bytes())).unwrap_or((rest, ""));
        out.push_str(clean);
        let Some(byte) = special.bytes().next() else { return };
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            0x08 => out.push_str("\\b"),
            0x0c => out.push_str("\\f"),
            _ => {
                let _ = write!(out, "\\u{byte:04x}"); // writing to a String cannot fail
            }
        }
        rest = special.get(1..).unwrap_or("");
    }
}

/// Appends an integer.
pub fn write_int(out: &mut String, value: i64) {
    out.push_str(itoa::Buffer::new().format(value));
}

impl Json<'_> {
    /// Appends the value as compact JSON.
    pub fn write(&self, out: &mut String) {
        match self {
            Json::Null => out.push_str("null"),
            Json::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Json::Number(number) => number.write(out),
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
}

impl Object<'_> {
    /// Appends the object as compact JSON.
    pub fn write(&self, out: &mut String) {
        out.push('{');
        for (at, (key, value)) in self.iter().enumerate() {
            if at > 0 {
                out.push(',');
            }
            write_str(out, key);
            out.push(':');
            value.write(out);
        }
        out.push('}');
    }
}
