//! JSON Logic: any rule over any data ends, without a panic, and the laws of the language hold.
//!
//! The input is `[rule, data]` as JSON; anything else is read as instructions to build such a pair.

use serde_json::{Value, json};
use target_sdk_core::fuzzing::decisioning::evaluate;
use target_sdk_core::json::{Json, Limits, parse};

use super::support::Bytes;

const OPERATORS: [&str; 37] = [
    "==",
    "===",
    "!=",
    "!==",
    ">",
    ">=",
    "<",
    "<=",
    "!!",
    "!",
    "%",
    "log",
    "in",
    "cat",
    "substr",
    "+",
    "*",
    "-",
    "/",
    "min",
    "max",
    "merge",
    "var",
    "missing",
    "missing_some",
    "if",
    "?:",
    "and",
    "or",
    "filter",
    "map",
    "reduce",
    "all",
    "none",
    "some",
    "nope",
    "",
];
const TEXTS: [&str; 16] = [
    "",
    "a",
    "a.b",
    "list",
    "list.0",
    "objs",
    "accumulator",
    "current",
    "0",
    "-1.5",
    "0x10",
    " 7 ",
    "1e3",
    "Infinity",
    "é😀",
    "length",
];
const NUMBERS: [f64; 12] = [0.0, -0.0, 1.0, -1.0, 2.0, 0.1, 1e21, 1e-7, 9_007_199_254_740_993.0, 1e308, -1e-308, 255.0];

pub(crate) fn run(data: &[u8]) {
    let given = std::str::from_utf8(data).ok().and_then(|text| serde_json::from_str::<Value>(text).ok());
    let (rule, data) = match given {
        Some(Value::Array(pair)) => {
            let mut pair = pair.into_iter();
            (pair.next().unwrap_or_default(), pair.next().unwrap_or_default())
        }
        Some(_) => return,
        None => {
            let mut bytes = Bytes(data);
            let rule = build(&mut bytes, 5, true);
            let fixed = json!({"a": {"b": "x"}, "list": [3, 1, "2", null], "objs": [{"v": 1}, {"v": "2"}, {}]});
            (rule, if bytes.byte().is_multiple_of(2) { fixed } else { build(&mut bytes, 3, false) })
        }
    };
    check(&rule, &data);
}

/// A rule, or a value, that the bytes describe.
fn build(bytes: &mut Bytes<'_>, depth: u32, is_rule: bool) -> Value {
    let kinds = if depth == 0 { 7 } else { 16 };
    match bytes.below(kinds) {
        0 => Value::Null,
        1 => true.into(),
        2 => false.into(),
        3 => NUMBERS[bytes.below(NUMBERS.len())].into(),
        4 => TEXTS[bytes.below(TEXTS.len())].into(),
        5 => i64::from(bytes.byte() as i8).into(),
        6 => String::from_utf8_lossy(bytes.take(3)).into(),
        7 | 8 => (0..bytes.below(5)).map(|_| build(bytes, depth - 1, is_rule)).collect(),
        9 if !is_rule => {
            let members = (0..bytes.below(4))
                .map(|_| (TEXTS[bytes.below(TEXTS.len())].to_owned(), build(bytes, depth - 1, false)));
            Value::Object(members.collect())
        }
        10 => json!({"var": TEXTS[bytes.below(TEXTS.len())]}),
        _ if !is_rule => i64::from(bytes.byte()).into(),
        _ => {
            let operator = OPERATORS[bytes.below(OPERATORS.len())];
            let operands: Vec<Value> = (0..bytes.below(5)).map(|_| build(bytes, depth - 1, true)).collect();
            match operands.len() {
                1 if bytes.byte().is_multiple_of(2) => json!({operator: operands[0]}),
                _ => json!({operator: operands}),
            }
        }
    }
}

/// The value of `rule`; `None` if that fails or is given up.
fn value(rule: &Value, data: &Json<'_>) -> Option<String> {
    let rule = rule.to_string();
    evaluate(&parse(&rule, &DEEP).ok()?, data).ok()
}

/// The laws wrap rules a few levels deeper.
const DEEP: Limits = Limits { depth: 80, ..Limits::REMOTE };

fn check(rule: &Value, data: &Value) {
    let (rule_text, data_text) = (rule.to_string(), data.to_string());
    let (Ok(parsed), Ok(data)) = (parse(&rule_text, &Limits::REMOTE), parse(&data_text, &Limits::REMOTE)) else {
        return;
    };
    let outcome = evaluate(&parsed, &data);
    assert_eq!(outcome, evaluate(&parsed, &data), "{rule_text}");
    let Ok(expected) = outcome else { return };
    let same = |law: Value| assert_eq!(value(&law, &data).as_ref(), Some(&expected), "{law} over {data_text}");
    same(json!({"if": [true, rule, 1]}));
    same(json!({"if": [false, 1, rule]}));
    same(json!({"and": [rule]}));
    same(json!({"or": [rule]}));
    same(json!({"or": [false, rule]}));
    same(json!({"log": [rule]}));
    let truth = value(&json!({"!!": [rule]}), &data);
    assert!(matches!(truth.as_deref(), Some("true" | "false")), "{truth:?}");
    assert_eq!(value(&json!({"!": [{"!": [rule]}]}), &data), truth, "{rule_text}");
    assert_eq!(value(&json!({"if": [rule, true, false]}), &data), truth, "{rule_text}");
    assert_eq!(value(&json!({"===": [rule, rule]}), &data), value(&json!({"!": {"!==": [rule, rule]}}), &data));
    assert_eq!(value(&json!({"==": [rule, rule]}), &data), value(&json!({"!": {"!=": [rule, rule]}}), &data));

    // Paths known at compile time are slots, those inside loops are looked up: both must find the same. Loops have a limit
    // on their work, and what they make becomes part of an array, where `undefined` and numbers without JSON are null.
    let expected = if serde_json::from_str::<Value>(&expected).is_ok() { expected } else { "null".to_owned() };
    if let Some(looked_up) = value(&json!({"map": [{"merge": [[{"var": ""}]]}, rule]}), &data) {
        // `merge` takes a list apart: then the rule has seen its elements
        if !matches!(data, Json::Array(_)) {
            assert_eq!(looked_up, format!("[{expected}]"), "{rule_text} over {data_text}");
        }
    }
}
