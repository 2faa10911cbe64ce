//! Numbers, exactly as they were written.

use std::borrow::Cow;
use std::fmt;

use super::write_int;

/// A number. One that is not a plain integer keeps its text, so that it is written back as it came.
#[derive(Clone, Debug)]
pub enum Number<'a> {
    /// An integer.
    Integer(i64),
    /// Anything else that is a double: with a fraction or an exponent, -0, or too large for the above.
    Text(Cow<'a, str>),
}

impl<'a> Number<'a> {
    /// A number as JSON writes it. `None`: a double cannot hold it.
    pub(super) fn read(literal: &'a str) -> Option<Number<'a>> {
        match literal.parse::<i64>() {
            Ok(integer) if literal != "-0" => Some(Number::Integer(integer)),
            _ => literal.parse::<f64>().ok()?.is_finite().then_some(Number::Text(Cow::Borrowed(literal))),
        }
    }

    /// A double. `None`: it is not finite, and JSON has no such numbers.
    pub fn from_f64(value: f64) -> Option<Number<'static>> {
        // `{:?}` keeps the sign of zero, and a fraction or an exponent.
        value.is_finite().then(|| Number::Text(Cow::Owned(format!("{value:?}"))))
    }

    /// Its value as a double.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Number::Integer(value) => Some(*value as f64),
            Number::Text(text) => text.parse().ok(),
        }
    }

    /// Its value if it is an integer, however it was written: `3e3` and `3000.0` are.
    pub fn as_i64(&self) -> Option<i64> {
        // 2^53: up to here a double is exact.
        const LARGEST: f64 = 9_007_199_254_740_992.0;
        match self {
            Number::Integer(value) => Some(*value),
            Number::Text(_) => {
                let value = self.as_f64().filter(|value| value.fract() == 0.0 && value.abs() <= LARGEST);
                value.map(|value| value as i64)
            }
        }
    }

    /// The same number, owning its text.
    pub fn into_owned(self) -> Number<'static> {
        match self {
            Number::Integer(value) => Number::Integer(value),
            Number::Text(text) => Number::Text(Cow::Owned(text.into_owned())),
        }
    }

    pub(super) fn write(&self, out: &mut String) {
        match self {
            Number::Integer(value) => write_int(out, *value),
            Number::Text(text) => out.push_str(text),
        }
    }
}

/// Whether the values are the same; `1e2` is `100`.
impl PartialEq for Number<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Number::Integer(a), Number::Integer(b)) => a == b,
            _ => self.as_f64() == other.as_f64(),
        }
    }
}

impl From<i64> for Number<'_> {
    fn from(value: i64) -> Self {
        Number::Integer(value)
    }
}

/// As JSON.
impl fmt::Display for Number<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Number::Integer(value) => value.fmt(f),
            Number::Text(text) => f.write_str(text),
        }
    }
}
