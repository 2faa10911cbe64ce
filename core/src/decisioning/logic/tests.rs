//! JSON Logic against the official cases and against answers recorded from json-logic-js.

use super::*;
use crate::json::{self, Limits};

/// Data that is one JSON value, as json-logic-js has it.
struct Plain<'a> {
    whole: Value<'a>,
    paths: &'a [String],
}

impl<'a> Data<'a> for Plain<'a> {
    fn slot(&mut self, number: u32) -> Value<'a> {
        self.whole.walk(&self.paths[number as usize])
    }

    fn whole(&mut self) -> Value<'a> {
        self.whole.clone()
    }
}

/// The rule's value as JSON text, or the error's message. `undefined` is told from `null`.
fn evaluate(rule: &Json<'_>, data: &Json<'_>) -> Result<String, LogicError> {
    let mut paths = Paths::default();
    let compiled = compile(rule, &mut paths);
    let paths = paths.into_list();
    let mut data = Plain { whole: Value::from_json(data), paths: &paths };
    let value = Evaluator::new(&mut data, &mut Fuel::FULL.clone()).run(&compiled)?;
    let mut out = String::new();
    match &value {
        Value::Undefined => out.push_str("undefined"),
        Value::Number(number) if !number.is_finite() => out.push_str(&coerce::number_to_text(*number)),
        value => value.write(&mut out),
    }
    Ok(out)
}

fn parse(text: &str) -> Json<'_> {
    json::parse(text, &Limits::REMOTE).unwrap()
}

fn check(rule: &str, data: &str) -> String {
    evaluate(&parse(rule), &parse(data)).unwrap_or_else(|error| format!("error: {error}"))
}

/// Equal as JSON, with 1 and 1.0 the same number.
fn same(a: &Json<'_>, b: &Json<'_>) -> bool {
    match (a, b) {
        (Json::Number(a), Json::Number(b)) => a.as_f64() == b.as_f64(),
        (Json::Array(a), Json::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Json::Object(a), Json::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, value)| b.get(key).is_some_and(|other| same(value, other)))
        }
        _ => a == b,
    }
}

#[test]
fn official_cases() {
    let shared = std::env::var_os("TARGET_SDK_SHARED")
        .map_or_else(|| concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared").into(), std::path::PathBuf::from);
    let Ok(text) = std::fs::read_to_string(shared.join("jsonlogic/compatible.json")) else {
        println!("SKIPPED: official JSON Logic cases, {} has no jsonlogic/compatible.json", shared.display());
        return;
    };
    let cases = parse(&text);
    let mut ran = 0;
    for case in cases.as_array().unwrap().iter().filter_map(Json::as_object) {
        let (rule, expected) = (case.get("rule").unwrap(), case.get("result").unwrap());
        let data = case.get("data").unwrap_or(&Json::Null);
        let actual = evaluate(rule, data).unwrap_or_else(|error| panic!("{rule}: {error}"));
        assert!(same(&parse(&actual), expected), "{rule} over {data}: {actual}, expected {expected}");
        ran += 1;
    }
    println!("{ran} official JSON Logic cases passed");
    assert_eq!(ran, 278);
}

#[test]
fn documented_cases() {
    for (rule, expected) in [
        (r#"{"==":["1",1]}"#, "true"),
        (r#"{"==":["1.0",1]}"#, "true"),
        (r#"{"==":[null,null]}"#, "true"),
        (r#"{"==":["",0]}"#, "true"),
        (r#"{"==":["a",{"var":"missing"}]}"#, "false"),
        (r#"{"==":["",{"var":"missing"}]}"#, "false"),
        (r#"{"==":["true",true]}"#, "false"),
        (r#"{"==":[[1],1]}"#, "true"),
        (r#"{"<":["10","9"]}"#, "true"),
        (r#"{"<":["10",9]}"#, "false"),
        (r#"{"<":["abc",1]}"#, "false"),
        (r#"{"in":["b",{"var":"missing"}]}"#, "false"),
        (r#"{"in":["","abc"]}"#, "true"),
        (r#"{"in":["1",[1]]}"#, "false"),
        (r#"{"!":[[]]}"#, "true"),
        (r#"{"!":"0"}"#, "false"),
        (r#"{"substr":["abcdef",-3]}"#, r#""def""#),
        (r#"{"substr":["abcdef",1,-2]}"#, r#""bcd""#),
        (r#"{"substr":["abcdef",0,3]}"#, r#""abc""#),
        (r#"{"substr":[{"var":"missing"},0]}"#, r#""null""#),
        (r#"{"<=":["0000",{"var":"time"},"2359"]}"#, "true"),
        (r#"{"<=":[0,{"var":"missing"}]}"#, "true"),
        (r#"{">=":[{"var":"missing"},0]}"#, "true"),
        (r#"{"<":[0,{"var":"missing"}]}"#, "false"),
        (r#"{"+":["1","2"]}"#, "3"),
        (r#"{"cat":["a",null,1.5,true]}"#, r#""a1.5true""#),
        (r#"{"and":[]}"#, "undefined"),
        (r#"{"or":[]}"#, "undefined"),
        (r#"{"if":[false,1]}"#, "null"),
        (r#"{"if":[[],1,"0",2]}"#, "2"),
        (r#"{"var":["missing",{"var":"time"}]}"#, r#""1530""#),
        (r#"{"var":"time.length"}"#, "4"),
        (r#"{"var":"time.1"}"#, r#""5""#),
        (r#"{"var":1}"#, r#""one""#),
        (r#"{"max":["7",5]}"#, "7"),
        (r#"{"min":[]}"#, "Infinity"),
        (r#"{"*":["3"]}"#, r#""3""#),
        (r#"{"all":[[],true]}"#, "false"),
        (r#"{"none":[[],true]}"#, "true"),
        (r#"{"a":1,"b":{"+":[1,2]}}"#, r#"{"a":1,"b":{"+":[1,2]}}"#),
    ] {
        assert_eq!(check(rule, r#"{"time":"1530","1":"one"}"#), expected, "{rule}");
    }
}

#[test]
fn unknown_operators_fail_only_when_reached() {
    assert_eq!(check(r#"{"nope":[1]}"#, "null"), "error: Unrecognized operation nope");
    assert_eq!(check(r#"{"and":[false,{"nope":[1]}]}"#, "null"), "false");
    assert_eq!(check(r#"{"if":[true,1,{"nope":[]}]}"#, "null"), "1");
    assert_eq!(check(r#"{"==":[1,1,{"nope":[]}]}"#, "null"), "error: Unrecognized operation nope");
    assert_eq!(check(r#"{"*":[]}"#, "null"), "error: * needs an operand");
}

#[test]
fn loops_are_bounded() {
    let list = format!("[{}0]", "0,".repeat(2_000));
    for rule in [
        // time: every element against every element
        format!(r#"{{"map":[{list},{{"map":[{list},{{"+":[1,1]}}]}}]}}"#),
        // memory: the text doubles with each element
        format!(r#"{{"reduce":[{list},{{"cat":[{{"var":"accumulator"}},{{"var":"accumulator"}}]}},"x"]}}"#),
        format!(r#"{{"reduce":[{list},{{"merge":[{{"var":"accumulator"}},{{"var":"accumulator"}}]}},[1]]}}"#),
        // depth: each element wraps what was before
        format!(r#"{{"reduce":[{list},[{{"var":"accumulator"}}],0]}}"#),
        format!(r#"{{"reduce":[{list},[{{"var":""}},{{"var":""}}],0]}}"#),
        // copies and measurements of a long text
        format!(
            r#"{{"reduce":[{list},{{"if":[{{"var":"accumulator.length"}},{{"var":"accumulator"}}]}},{{"cat":["{}"]}}]}}"#,
            "x".repeat(1 << 20)
        ),
    ] {
        let started = std::time::Instant::now();
        assert_eq!(evaluate(&parse(&rule), &Json::Null), Err(LogicError::Limit));
        assert!(started.elapsed() < std::time::Duration::from_secs(5), "{:?}", started.elapsed());
    }
    let sum = format!(r#"{{"reduce":[{list},{{"+":[{{"var":"accumulator"}},1]}},0]}}"#);
    assert_eq!(check(&sum, "null"), "2001");
}

/// What json-logic-js answered, recorded: every pair of values through the operators, and made-up rules.
#[test]
fn recorded_answers() {
    let text = include_str!("../../../tests/fixtures/decisioning/json-logic-js.json");
    let recorded = parse(text);
    let list = |key: &str| recorded.get(key).and_then(Json::as_array).unwrap();
    let results = list("results");
    let (mut ran, mut wrong) = (0, Vec::new());
    let mut check = |rule: &Json<'_>, data: &Json<'_>, expected: &str| {
        let actual = evaluate(rule, data).unwrap_or_else(|_| "error".to_owned());
        ran += 1;
        let same = actual == expected
            || matches!(
                (json::parse(&actual, &Limits::REMOTE), json::parse(expected, &Limits::REMOTE)),
                (Ok(actual), Ok(expected)) if same(&actual, &expected)
            );
        if !same {
            wrong.push(format!("{rule} over {data}: {actual}, expected {expected}"));
        }
    };
    // -1 stands for answers that are no valid text: halves of astral characters.
    let result =
        |index: &Json<'_>| usize::try_from(index.as_i64().unwrap()).ok().map(|at| results[at].as_str().unwrap());
    let with = |members: &[(&'static str, &Json<'static>)]| {
        Json::Object(members.iter().map(|(key, value)| ((*key).into(), (*value).clone())).collect())
    };
    let values: Vec<Json<'static>> = list("values").iter().map(|value| value.clone().into_owned()).collect();
    for (op, answers) in recorded.get("binary").and_then(Json::as_object).unwrap().iter() {
        let rule = format!(r#"{{"{op}":[{{"var":"a"}},{{"var":"b"}}]}}"#);
        let pairs = values.iter().flat_map(|a| values.iter().map(move |b| (a, b)));
        for ((a, b), answer) in pairs.zip(answers.as_array().unwrap()) {
            if let Some(expected) = result(answer) {
                check(&parse(&rule), &with(&[("a", a), ("b", b)]), expected);
            }
        }
    }
    for (op, answers) in recorded.get("unary").and_then(Json::as_object).unwrap().iter() {
        let rule = format!(r#"{{"{op}":[{{"var":"a"}}]}}"#);
        for (a, answer) in values.iter().zip(answers.as_array().unwrap()) {
            if let Some(expected) = result(answer) {
                check(&parse(&rule), &with(&[("a", a)]), expected);
            }
        }
    }
    let data = recorded.get("data").unwrap();
    for case in list("random").iter().filter_map(Json::as_array) {
        check(&case[0], data, case[1].as_str().unwrap());
    }
    println!("{ran} answers of json-logic-js compared");
    assert!(wrong.is_empty(), "{} of {ran} differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(ran > 30_000);
}
