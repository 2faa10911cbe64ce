//! JSON Logic with the semantics of json-logic-js, compiled once and evaluated often.
//!
//! A rule becomes a tree of [`Expr`]. Paths known at compile time become numbered slots, which the data of a decision
//! fills when first asked. An operator that does not exist compiles to a node that fails when it is reached, as in the
//! original: a rule that never gets there is not affected.

mod eval;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

pub(crate) use eval::{Data, Evaluator, Fuel};

use super::coerce;
use super::value::Value;
use crate::json::Json;

/// A compiled rule, or a part of one.
#[derive(Debug)]
pub(crate) enum Expr {
    Null,
    Bool(bool),
    Number(f64),
    String(Box<str>),
    /// An object that is no operation: it stands for itself.
    Data(Box<Json<'static>>),
    List(Box<[Expr]>),
    /// A path of the decision's data, known at compile time.
    Slot(u32),
    Call(Op, Box<[Expr]>),
    /// An operator that does not exist.
    Unknown(Box<str>),
}

/// The operators of json-logic-js.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Equal,
    StrictEqual,
    NotEqual,
    StrictNotEqual,
    Greater,
    GreaterEqual,
    Less,
    LessEqual,
    Truthy,
    Not,
    Remainder,
    Log,
    In,
    Cat,
    Substr,
    Add,
    Multiply,
    Subtract,
    Divide,
    Min,
    Max,
    Merge,
    /// A path that is computed, or looked up in a loop.
    Var,
    /// A slot with a default.
    SlotOr,
    Missing,
    MissingSome,
    If,
    And,
    Or,
    Filter,
    Map,
    Reduce,
    All,
    None,
    Some,
}

impl Op {
    fn from_name(name: &str) -> Option<Op> {
        Some(match name {
            "==" => Op::Equal,
            "===" => Op::StrictEqual,
            "!=" => Op::NotEqual,
            "!==" => Op::StrictNotEqual,
            ">" => Op::Greater,
            ">=" => Op::GreaterEqual,
            "<" => Op::Less,
            "<=" => Op::LessEqual,
            "!!" => Op::Truthy,
            "!" => Op::Not,
            "%" => Op::Remainder,
            "log" => Op::Log,
            "in" => Op::In,
            "cat" => Op::Cat,
            "substr" => Op::Substr,
            "+" => Op::Add,
            "*" => Op::Multiply,
            "-" => Op::Subtract,
            "/" => Op::Divide,
            "min" => Op::Min,
            "max" => Op::Max,
            "merge" => Op::Merge,
            "var" => Op::Var,
            "missing" => Op::Missing,
            "missing_some" => Op::MissingSome,
            "if" | "?:" => Op::If,
            "and" => Op::And,
            "or" => Op::Or,
            "filter" => Op::Filter,
            "map" => Op::Map,
            "reduce" => Op::Reduce,
            "all" => Op::All,
            "none" => Op::None,
            "some" => Op::Some,
            _ => return None,
        })
    }

    /// Operators whose second operand sees one element of the first as its data.
    fn is_loop(self) -> bool {
        matches!(self, Op::Filter | Op::Map | Op::Reduce | Op::All | Op::None | Op::Some)
    }
}

/// Why a rule could not be evaluated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LogicError {
    /// No such operator.
    Unknown(Box<str>),
    /// An operand of a type on which JavaScript throws.
    Operand(&'static str),
    /// Loops ran for too long, or built too much.
    Limit,
}

impl std::fmt::Display for LogicError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            LogicError::Unknown(name) => write!(f, "Unrecognized operation {name}"),
            LogicError::Operand(message) => f.write_str(message),
            LogicError::Limit => f.write_str("the rule does too much work"),
        }
    }
}

impl From<super::value::TooLarge> for LogicError {
    fn from(_: super::value::TooLarge) -> LogicError {
        LogicError::Limit
    }
}

/// The paths that a group of rules reads, each with its slot number.
#[derive(Debug, Default)]
pub(crate) struct Paths {
    numbers: HashMap<String, u32>,
    list: Vec<String>,
}

impl Paths {
    fn slot(&mut self, path: &str) -> u32 {
        if let Some(&number) = self.numbers.get(path) {
            return number;
        }
        let number = self.list.len() as u32; // a document has fewer than 2^32 bytes
        self.numbers.insert(path.to_owned(), number);
        self.list.push(path.to_owned());
        number
    }

    /// The paths in slot order.
    pub(crate) fn into_list(self) -> Vec<String> {
        self.list
    }
}

/// Compiles a rule; its paths are added to `paths`.
pub(crate) fn compile(rule: &Json<'_>, paths: &mut Paths) -> Expr {
    compile_in(rule, paths, false)
}

fn compile_in(rule: &Json<'_>, paths: &mut Paths, in_loop: bool) -> Expr {
    match rule {
        Json::Null => Expr::Null,
        Json::Bool(value) => Expr::Bool(*value),
        Json::Number(number) => Expr::Number(number.as_f64().unwrap_or(f64::NAN)),
        Json::String(text) => Expr::String(text.as_ref().into()),
        Json::Array(items) => Expr::List(items.iter().map(|item| compile_in(item, paths, in_loop)).collect()),
        Json::Object(object) => {
            let mut members = object.iter();
            match (members.next(), members.next()) {
                (Some((name, operands)), None) => compile_call(name, operands, paths, in_loop),
                _ => Expr::Data(Box::new(rule.clone().into_owned())),
            }
        }
    }
}

fn compile_call(name: &str, operands: &Json<'_>, paths: &mut Paths, in_loop: bool) -> Expr {
    let operands = match operands {
        Json::Array(items) => items.as_slice(),
        single => std::slice::from_ref(single),
    };
    let Some(op) = Op::from_name(name) else { return Expr::Unknown(name.into()) };
    // A path known now becomes a slot. Computed, or inside a loop, it is looked up when the rule runs.
    let path = match operands.first() {
        Some(Json::String(text)) if !text.is_empty() => Some(text.to_string()),
        Some(number @ Json::Number(_)) => Some(coerce::to_text(&Value::from_json(number)).into_owned()),
        _ => None,
    };
    if let Some(path) = path.filter(|_| op == Op::Var && !in_loop) {
        let slot = Expr::Slot(paths.slot(&path));
        let rest = operands.iter().skip(1).map(|operand| compile_in(operand, paths, false));
        let operands: Box<[Expr]> = rest.collect();
        if operands.is_empty() {
            return slot;
        }
        return Expr::Call(Op::SlotOr, std::iter::once(slot).chain(operands).collect());
    }
    let operands = operands
        .iter()
        .enumerate()
        .map(|(at, operand)| compile_in(operand, paths, in_loop || (op.is_loop() && at == 1)));
    Expr::Call(op, operands.collect())
}
