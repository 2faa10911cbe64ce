//! Evaluation of compiled rules.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::{Expr, LogicError, Op};
use crate::decisioning::coerce::{
    compare, loosely_equal, push_joined, strictly_equal, to_number, to_text, truthy, value_to_float,
};
use crate::decisioning::value::Value;

/// What rules read: the value of each interned path, or everything.
pub(crate) trait Data<'a> {
    /// The value at the path of slot `number`: `Undefined` when it is missing; a present null is `Null`.
    fn slot(&mut self, number: u32) -> Value<'a>;

    /// All data as one object.
    fn whole(&mut self) -> Value<'a>;
}

/// Work that loops may still do. Straight rules cost what they are long and need no limit; loops can multiply.
#[derive(Clone, Debug)]
pub(crate) struct Fuel(u32);

impl Fuel {
    /// Enough for any list that a person wrote, and a few milliseconds at most.
    pub(crate) const FULL: Fuel = Fuel(200_000);

    fn spend(&mut self, amount: usize) -> Result<(), LogicError> {
        match u32::try_from(amount).ok().and_then(|amount| self.0.checked_sub(amount)) {
            Some(left) => {
                self.0 = left;
                Ok(())
            }
            None => {
                self.0 = 0;
                Err(LogicError::Limit)
            }
        }
    }
}

/// Evaluates rules over `data`.
pub(crate) struct Evaluator<'e, D> {
    data: &'e mut D,
    fuel: &'e mut Fuel,
}

type Outcome<'a> = Result<Value<'a>, LogicError>;

impl<'e, D> Evaluator<'e, D> {
    pub(crate) fn new(data: &'e mut D, fuel: &'e mut Fuel) -> Evaluator<'e, D> {
        Evaluator { data, fuel }
    }

    /// The value of a rule.
    pub(crate) fn run<'a>(&mut self, rule: &'a Expr) -> Outcome<'a>
    where
        D: Data<'a>,
    {
        self.eval(rule, None)
    }

    /// `scope` is the element that a loop is at, which hides the data.
    fn eval<'a>(&mut self, expr: &'a Expr, scope: Option<&Value<'a>>) -> Outcome<'a>
    where
        D: Data<'a>,
    {
        if scope.is_some() {
            self.fuel.spend(1)?;
        }
        Ok(match expr {
            Expr::Null => Value::Null,
            Expr::Bool(value) => Value::Bool(*value),
            Expr::Number(number) => Value::Number(*number),
            Expr::String(text) => Value::text(text),
            Expr::Data(json) => {
                let value = Value::from_json(json);
                if scope.is_some() {
                    self.fuel.spend(value.weight())?;
                }
                value
            }
            Expr::List(items) => {
                Value::array(items.iter().map(|item| self.eval(item, scope)).collect::<Result<_, _>>()?)?
            }
            Expr::Slot(number) => match self.data.slot(*number) {
                Value::Undefined => Value::Null,
                value => value,
            },
            Expr::Call(op, operands) => return self.call(*op, operands, scope),
            Expr::Unknown(name) => return Err(LogicError::Unknown(name.clone())),
        })
    }

    /// Operand `at`, `undefined` when it was not given.
    fn operand<'a>(&mut self, operands: &'a [Expr], at: usize, scope: Option<&Value<'a>>) -> Outcome<'a>
    where
        D: Data<'a>,
    {
        operands.get(at).map_or(Ok(Value::Undefined), |operand| self.eval(operand, scope))
    }

    /// The first two operands; all others are evaluated too, because they may fail.
    fn two<'a>(&mut self, operands: &'a [Expr], scope: Option<&Value<'a>>) -> Result<(Value<'a>, Value<'a>), LogicError>
    where
        D: Data<'a>,
    {
        let pair = (self.operand(operands, 0, scope)?, self.operand(operands, 1, scope)?);
        for rest in operands.iter().skip(2) {
            self.eval(rest, scope)?;
        }
        if scope.is_some() {
            self.fuel.spend(size(&pair.0) + size(&pair.1))?;
        }
        Ok(pair)
    }

    fn every<'a>(&mut self, operands: &'a [Expr], scope: Option<&Value<'a>>) -> Result<Vec<Value<'a>>, LogicError>
    where
        D: Data<'a>,
    {
        let values = operands.iter().map(|operand| self.eval(operand, scope)).collect::<Result<Vec<_>, _>>()?;
        if scope.is_some() {
            self.fuel.spend(values.iter().map(size).sum())?;
        }
        Ok(values)
    }

    fn call<'a>(&mut self, op: Op, operands: &'a [Expr], scope: Option<&Value<'a>>) -> Outcome<'a>
    where
        D: Data<'a>,
    {
        Ok(match op {
            Op::And => {
                let mut last = Value::Undefined;
                for operand in operands {
                    last = self.eval(operand, scope)?;
                    if !truthy(&last) {
                        break;
                    }
                }
                last
            }
            Op::Or => {
                let mut last = Value::Undefined;
                for operand in operands {
                    last = self.eval(operand, scope)?;
                    if truthy(&last) {
                        break;
                    }
                }
                last
            }
            Op::If => return self.choose(operands, scope),
            Op::Filter | Op::Map | Op::Reduce | Op::All | Op::None | Op::Some => return self.each(op, operands, scope),
            Op::Equal | Op::StrictEqual | Op::NotEqual | Op::StrictNotEqual => {
                let (a, b) = self.two(operands, scope)?;
                Value::Bool(match op {
                    Op::Equal => loosely_equal(&a, &b),
                    Op::StrictEqual => strictly_equal(&a, &b),
                    Op::NotEqual => !loosely_equal(&a, &b),
                    _ => !strictly_equal(&a, &b),
                })
            }
            Op::Greater | Op::GreaterEqual => {
                let (a, b) = self.two(operands, scope)?;
                let order = compare(&a, &b);
                Value::Bool(
                    order == Some(Ordering::Greater) || (op == Op::GreaterEqual && order == Some(Ordering::Equal)),
                )
            }
            Op::Less | Op::LessEqual => self.between(op, operands, scope)?,
            Op::Truthy => Value::Bool(truthy(&self.two(operands, scope)?.0)),
            Op::Not => Value::Bool(!truthy(&self.two(operands, scope)?.0)),
            Op::Log => self.two(operands, scope)?.0,
            Op::Remainder | Op::Divide | Op::Subtract => {
                let (a, b) = self.two(operands, scope)?;
                let (left, right) = (to_number(&a), to_number(&b));
                Value::Number(match (op, &b) {
                    (Op::Remainder, _) => left % right,
                    (Op::Divide, _) => left / right,
                    (_, Value::Undefined) => -left,
                    _ => left - right,
                })
            }
            Op::In => Value::Bool(self.contains(operands, scope)?),
            Op::Substr => self.substr(operands, scope)?,
            Op::Cat => {
                let values = self.every(operands, scope)?;
                let mut out = String::new();
                values.iter().for_each(|value| push_joined(&mut out, value));
                out.into()
            }
            Op::Add => Value::Number(self.every(operands, scope)?.iter().map(value_to_float).fold(0.0, |a, b| a + b)),
            Op::Multiply => {
                let mut values = self.every(operands, scope)?.into_iter();
                let first = values.next().ok_or(LogicError::Operand("* needs an operand"))?;
                values.fold(first, |a, b| Value::Number(value_to_float(&a) * value_to_float(&b)))
            }
            Op::Min | Op::Max => {
                let start = if op == Op::Min { f64::INFINITY } else { f64::NEG_INFINITY };
                let values = self.every(operands, scope)?;
                Value::Number(values.iter().map(to_number).fold(start, |a, b| match op {
                    _ if a.is_nan() || b.is_nan() => f64::NAN,
                    Op::Min => a.min(b),
                    _ => a.max(b),
                }))
            }
            Op::Merge => {
                let mut merged = Vec::new();
                for value in self.every(operands, scope)? {
                    match value {
                        Value::Array(list) => merged.extend(list.items.iter().cloned()),
                        other => merged.push(other),
                    }
                }
                Value::array(merged)?
            }
            Op::Var => return self.var(operands, scope),
            Op::SlotOr => {
                let found = match operands.first() {
                    Some(Expr::Slot(number)) => self.data.slot(*number),
                    _ => Value::Undefined,
                };
                return self.or_default(found, operands, scope);
            }
            Op::Missing => {
                let values = self.every(operands, scope)?;
                Value::array(self.missing(values, scope)?)?
            }
            Op::MissingSome => {
                let (need, options) = self.two(operands, scope)?;
                let length = match &options {
                    Value::Undefined | Value::Null => return Err(LogicError::Operand("missing_some needs a list")),
                    other => to_number(&other.member("length")),
                };
                // The list stands for the operands of "missing", whose first may be a list of its own.
                let operands = match options {
                    Value::Array(list) => list.items.clone(),
                    other => vec![other],
                };
                let missing = self.missing(operands, scope)?;
                let enough = length - missing.len() as f64 >= to_number(&need);
                Value::array(if enough { Vec::new() } else { missing })?
            }
        })
    }

    fn choose<'a>(&mut self, operands: &'a [Expr], scope: Option<&Value<'a>>) -> Outcome<'a>
    where
        D: Data<'a>,
    {
        let mut pairs = operands.chunks_exact(2);
        for pair in pairs.by_ref() {
            if let [condition, then] = pair
                && truthy(&self.eval(condition, scope)?)
            {
                return self.eval(then, scope);
            }
        }
        match pairs.remainder() {
            [otherwise] => self.eval(otherwise, scope),
            _ => Ok(Value::Null),
        }
    }

    /// `<` and `<=`: with a third operand, "between".
    fn between<'a>(&mut self, op: Op, operands: &'a [Expr], scope: Option<&Value<'a>>) -> Outcome<'a>
    where
        D: Data<'a>,
    {
        let (a, b) = (self.operand(operands, 0, scope)?, self.operand(operands, 1, scope)?);
        let c = self.operand(operands, 2, scope)?;
        for rest in operands.iter().skip(3) {
            self.eval(rest, scope)?;
        }
        if scope.is_some() {
            self.fuel.spend(size(&a) + size(&b) + size(&c))?;
        }
        let holds = |a: &Value<'_>, b: &Value<'_>| match compare(a, b) {
            Some(Ordering::Less) => true,
            Some(Ordering::Equal) => op == Op::LessEqual,
            _ => false,
        };
        Ok(Value::Bool(holds(&a, &b) && (matches!(c, Value::Undefined) || holds(&b, &c))))
    }

    fn contains<'a>(&mut self, operands: &'a [Expr], scope: Option<&Value<'a>>) -> Result<bool, LogicError>
    where
        D: Data<'a>,
    {
        if let [needle, Expr::List(items)] = operands {
            // The usual form, a list written into the rule: no array is built for it.
            let needle = self.eval(needle, scope)?;
            let mut found = false;
            for item in items {
                let item = self.eval(item, scope)?;
                found = found || strictly_equal(&needle, &item);
            }
            return Ok(found);
        }
        let (needle, haystack) = self.two(operands, scope)?;
        Ok(match &haystack {
            Value::String(text) => !text.is_empty() && text.contains(to_text(&needle).as_ref()),
            Value::Array(list) => list.items.iter().any(|item| strictly_equal(item, &needle)),
            _ => false,
        })
    }

    fn substr<'a>(&mut self, operands: &'a [Expr], scope: Option<&Value<'a>>) -> Outcome<'a>
    where
        D: Data<'a>,
    {
        let (source, start) = (self.operand(operands, 0, scope)?, self.operand(operands, 1, scope)?);
        let length = self.operand(operands, 2, scope)?;
        for rest in operands.iter().skip(3) {
            self.eval(rest, scope)?;
        }
        if scope.is_some() {
            self.fuel.spend(size(&source))?;
        }
        let length = match length {
            Value::Undefined => None,
            given => Some(to_number(&given)),
        };
        let text = to_text(&source);
        let start = whole(to_number(&start));
        let out = if text.is_ascii() {
            let (from, to) = substr_range(text.len(), start, length);
            text.get(from..to).unwrap_or("").to_owned()
        } else {
            let units: Vec<u16> = text.encode_utf16().collect();
            let (from, to) = substr_range(units.len(), start, length);
            String::from_utf16_lossy(units.get(from..to).unwrap_or(&[]))
        };
        Ok(out.into())
    }

    fn var<'a>(&mut self, operands: &'a [Expr], scope: Option<&Value<'a>>) -> Outcome<'a>
    where
        D: Data<'a>,
    {
        let found = self.operand(operands, 0, scope)?;
        let found = match &found {
            Value::Undefined | Value::Null => self.whole(scope)?,
            Value::String(text) if text.is_empty() => self.whole(scope)?,
            path => self.whole(scope)?.walk(&to_text(path)),
        };
        self.or_default(found, operands, scope)
    }

    fn or_default<'a>(&mut self, found: Value<'a>, operands: &'a [Expr], scope: Option<&Value<'a>>) -> Outcome<'a>
    where
        D: Data<'a>,
    {
        let default = self.operand(operands, 1, scope)?;
        for rest in operands.iter().skip(2) {
            self.eval(rest, scope)?;
        }
        Ok(match (found, default) {
            (Value::Undefined, Value::Undefined) => Value::Null,
            (Value::Undefined, default) => default,
            (found, _) => found,
        })
    }

    fn whole<'a>(&mut self, scope: Option<&Value<'a>>) -> Outcome<'a>
    where
        D: Data<'a>,
    {
        match scope {
            Some(element) => {
                self.fuel.spend(element.weight())?;
                Ok(element.clone())
            }
            None => Ok(self.data.whole()),
        }
    }

    /// Which of the keys have no value. The keys are the first operand if it is an array, else all operands.
    fn missing<'a>(&mut self, operands: Vec<Value<'a>>, scope: Option<&Value<'a>>) -> Result<Vec<Value<'a>>, LogicError>
    where
        D: Data<'a>,
    {
        let keys = match operands.first() {
            Some(Value::Array(list)) => list.items.clone(),
            _ => operands,
        };
        // The original would run data of this shape as a rule. Data is never run here.
        if let Some(name) = keys.iter().find_map(looks_like_rule) {
            return Err(LogicError::Unknown(name.into()));
        }
        let data = self.whole(scope)?;
        let is_missing = |key: &Value<'a>| {
            let (path, default) = match key {
                Value::Array(list) => (list.items.first(), list.items.get(1)),
                key => (Some(key), None),
            };
            let value = match path {
                None | Some(Value::Undefined | Value::Null) => data.clone(),
                Some(Value::String(text)) if text.is_empty() => data.clone(),
                Some(path) => data.walk(&to_text(path)),
            };
            let value = match (value, default) {
                (Value::Undefined, Some(default)) => default.clone(),
                (value, _) => value,
            };
            match value {
                Value::Undefined | Value::Null => true,
                Value::String(text) => text.is_empty(),
                _ => false,
            }
        };
        Ok(keys.into_iter().filter(is_missing).collect())
    }

    fn each<'a>(&mut self, op: Op, operands: &'a [Expr], scope: Option<&Value<'a>>) -> Outcome<'a>
    where
        D: Data<'a>,
    {
        let list = self.operand(operands, 0, scope)?;
        let body = operands.get(1);
        let initial = match (op, operands.get(2)) {
            (Op::Reduce, Some(initial)) => self.eval(initial, scope)?,
            _ => Value::Null,
        };
        let Value::Array(list) = &list else {
            return Ok(match op {
                Op::Filter | Op::Map => Value::array(Vec::new())?,
                Op::Reduce => initial,
                other => Value::Bool(other == Op::None),
            });
        };
        let mut run = |element: &Value<'a>| {
            self.fuel.spend(1)?;
            body.map_or(Ok(Value::Undefined), |body| self.eval(body, Some(element)))
        };
        match op {
            Op::Filter => {
                let mut kept = Vec::new();
                for item in &list.items {
                    if truthy(&run(item)?) {
                        kept.push(item.clone());
                    }
                }
                Ok(Value::array(kept)?)
            }
            Op::Map => Ok(Value::array(list.items.iter().map(run).collect::<Result<_, _>>()?)?),
            Op::Reduce => list.items.iter().try_fold(initial, |accumulator, current| {
                let entries =
                    vec![(Cow::Borrowed("current"), current.clone()), (Cow::Borrowed("accumulator"), accumulator)];
                run(&Value::object(entries)?)
            }),
            _ => {
                // all: no element fails, and there is one; some: one holds; none: not one holds
                let stops_at = op != Op::All;
                for item in &list.items {
                    if truthy(&run(item)?) == stops_at {
                        return Ok(Value::Bool(op == Op::Some));
                    }
                }
                Ok(Value::Bool(match op {
                    Op::All => !list.items.is_empty(),
                    other => other == Op::None,
                }))
            }
        }
    }
}

/// The operator of an object with one member, in the value or in a list of it.
fn looks_like_rule<'v>(value: &'v Value<'_>) -> Option<&'v str> {
    match value {
        Value::Array(list) => list.items.iter().find_map(looks_like_rule),
        Value::Object(members) => match members.entries.as_slice() {
            [(name, _)] => Some(name),
            _ => None,
        },
        _ => None,
    }
}

/// What reading a whole value costs, in units of fuel.
fn size(value: &Value<'_>) -> usize {
    match value {
        Value::Array(_) => value.weight(),
        Value::String(_) => value.weight() - 1,
        _ => 0,
    }
}

/// `ToIntegerOrInfinity`.
fn whole(number: f64) -> f64 {
    if number.is_nan() { 0.0 } else { number.trunc() }
}

/// The range that `substr` takes of `size` units; a negative length counts from the end, as JSON Logic wants.
fn substr_range(size: usize, start: f64, length: Option<f64>) -> (usize, usize) {
    let total = size as f64;
    let from = if start < 0.0 { (total + start).max(0.0) } else { start.min(total) };
    let to = match length {
        None => total,
        Some(length) if length < 0.0 => from + whole(total - from + length).max(0.0),
        Some(length) => (from + whole(length)).min(total),
    };
    (from as usize, to as usize)
}
