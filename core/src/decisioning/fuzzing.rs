//! For fuzz targets.

use super::logic::{Data, Evaluator, Fuel, LogicError, Paths, compile};
use super::value::Value;
use crate::json::Json;

/// Data that is one JSON value.
struct Plain<'a> {
    whole: Value<'a>,
    paths: &'a [String],
}

impl<'a> Data<'a> for Plain<'a> {
    fn slot(&mut self, number: u32) -> Value<'a> {
        self.paths.get(number as usize).map_or(Value::Undefined, |path| self.whole.walk(path))
    }

    fn whole(&mut self) -> Value<'a> {
        self.whole.clone()
    }
}

/// The value of a rule as text (JSON, but for `undefined` and numbers that JSON has not), or what is wrong with it.
pub fn evaluate(rule: &Json<'_>, data: &Json<'_>) -> Result<String, String> {
    let mut paths = Paths::default();
    let compiled = compile(rule, &mut paths);
    let paths = paths.into_list();
    let mut data = Plain { whole: Value::from_json(data), paths: &paths };
    let value = Evaluator::new(&mut data, &mut Fuel::FULL.clone())
        .run(&compiled)
        .map_err(|error: LogicError| error.to_string())?;
    let mut out = String::new();
    match &value {
        Value::Undefined => out.push_str("undefined"),
        Value::Number(number) if !number.is_finite() => out.push_str(&super::coerce::number_to_text(*number)),
        value => value.write(&mut out),
    }
    Ok(out)
}
