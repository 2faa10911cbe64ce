//! What the parser takes for JSON and what not: a table of our own, after RFC 8259 and the limits of docs/configuration.md.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use target_sdk_core::config::Config;
use target_sdk_core::error::ErrorKind;
use target_sdk_core::json::{Json, Limits, parse};

/// JSON to everybody.
const GOOD: &[&str] = &[
    "{}",
    "[]",
    "null",
    "true",
    "false",
    "0",
    "-0",
    "7",
    "-7",
    "\"\"",
    "\"a\"",
    " [ ] ",
    "\t{\n}\r\n ",
    "[null,true,false]",
    "{\"a\":1}",
    "{\"a\":{\"b\":[{\"c\":null}]}}",
    "{\"\":0}",
    "{\"a b\":1}",
    "{\"\\u0061\":1}",
    "[[],[[]],{}]",
    "1.5",
    "-1.5",
    "0.0",
    "1e2",
    "1E2",
    "1e+2",
    "1e-2",
    "1.5e10",
    "123456789012345678",
    "18446744073709551615",
    "-9223372036854775808",
    "0.1e-300",
    "2.2250738585072014e-308",
    "1.7976931348623157e308",
    "1e-400",
    "0e0",
    "-0.0",
    "0.000000000000000000000000001",
    "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
    "\"\\u0000\"",
    "\"\\u00e9\"",
    "\"é\"",
    "\"😀\"",
    "\"\\ud83d\\ude00\"",
    "\"\\uD83D\\uDE00\"",
    "\"\u{7f}\"",
    "\"\u{2028}\u{2029}\"",
    "\"\u{feff}\"",
    "\"\u{ffff}\"",
    "\"\u{10ffff}\"",
    "\"\\uFFFF\"",
    "\"/\"",
    "\"'\"",
    "\"NaN\"",
    "[1,2,3]",
    "[\"a\",\"b\"]",
    "{\"a\":\"b\",\"c\":\"d\"}",
    "[1e1,2E2]",
    "{\"a\":[]}",
    "[{}]",
    "\"\\\\u0041\"",
];

/// JSON to nobody.
const BAD: &[&str] = &[
    "",
    " ",
    "\u{feff}{}",
    "nul",
    "nulll",
    "True",
    "TRUE",
    "undefined",
    "NaN",
    "-NaN",
    "Infinity",
    "-Infinity",
    "+1",
    "01",
    "-01",
    "1.",
    ".5",
    "-.5",
    "1e",
    "1e+",
    "1E-",
    "1.e1",
    "0x10",
    "1_000",
    "1,000",
    "--1",
    "- 1",
    "1 2",
    "e1",
    "-",
    "1.5.5",
    "1e5.5",
    "\u{ff11}",
    "[",
    "]",
    "[[",
    "[1",
    "[1,",
    "[1,]",
    "[,1]",
    "[,]",
    "[1,,2]",
    "[1 2]",
    "[1;2]",
    "[\"a\":1]",
    "[1]]",
    "[}",
    "[1}",
    "[\"a\"",
    "{",
    "}",
    "{\"a\"",
    "{\"a\":",
    "{\"a\":1",
    "{\"a\":1,",
    "{\"a\":1,}",
    "{,}",
    "{\"a\" 1}",
    "{\"a\",1}",
    "{a:1}",
    "{'a':1}",
    "{1:1}",
    "{null:1}",
    "{\"a\":1 \"b\":2}",
    "{\"a\":1}}",
    "{\"a\":1}{}",
    "{}{}",
    "{\"a\"::1}",
    "{:1}",
    "{]",
    "{\"a\":}",
    "\"",
    "\"a",
    "a\"",
    "'a'",
    "`a`",
    "\"\\",
    "\"\\\"",
    "\"\\x41\"",
    "\"\\u\"",
    "\"\\u12\"",
    "\"\\u123\"",
    "\"\\u123g\"",
    "\"\\U0041\"",
    "\"\\a\"",
    "\"\\ud800\"",
    "\"\\udc00\"",
    "\"\\ud800\\ud800\"",
    "\"\\ud800x\"",
    "\"\\udc00\\ud800\"",
    "\"\\ud800\\u0041\"",
    "\"a\nb\"",
    "\"a\tb\"",
    "\"\u{0}\"",
    "\"\u{1f}\"",
    "//",
    "/**/1",
    "1//x",
    "# x",
    "[1] x",
    "\u{a0}1",
    "\u{b}1",
    "\u{c}1",
    "\0",
    "{}\0",
    "1\u{0}",
    "<html>",
    "(1)",
    "1e400",
    "-1e400",
    "1e99999999999",
    "[1e309]",
];

#[test]
fn texts_and_their_verdicts() {
    assert!(GOOD.len() + BAD.len() > 150);
    for limits in [&Limits::OPTIONS, &Limits::CONFIG, &Limits::REMOTE] {
        for text in GOOD {
            let value = parse(text, limits).unwrap_or_else(|error| panic!("{text:?}: {error}"));
            // What is written is the same value; and another reader agrees.
            let again = value.to_string();
            assert_eq!(parse(&again, limits).unwrap(), value, "{text:?}");
            serde_json::from_str::<serde_json::Value>(&again).unwrap();
        }
        for text in BAD {
            match parse(text, limits) {
                Ok(value) => panic!("{text:?} was taken for {value}"),
                Err(error) => assert_eq!(error.kind(), ErrorKind::InvalidJson, "{text:?}"),
            }
        }
    }
}

/// The configuration is read by the same rules.
#[test]
fn configurations_and_their_verdicts() {
    for text in BAD {
        let error = Config::parse(text).map(|_| ()).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::InvalidJson | ErrorKind::InvalidOptions), "{text:?}: {error:?}");
    }
    for text in GOOD.iter().filter(|text| !text.trim_start().starts_with('{')) {
        let error = Config::parse(text).map(|_| ()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidOptions, "{text:?}");
    }
}

#[test]
fn numbers_are_kept_exactly() {
    for (text, integer, float) in [
        ("9223372036854775807", Some(i64::MAX), None),
        ("-9223372036854775808", Some(i64::MIN), None),
        ("18446744073709551615", None, Some(18_446_744_073_709_551_615.0)),
        ("9007199254740993", Some(9_007_199_254_740_993), None),
        ("0.1", None, Some(0.1)),
        ("1e-400", Some(0), Some(0.0)), // to a double
        ("3e3", Some(3000), None),
        ("-1.0", Some(-1), None),
        ("1e17", None, Some(1e17)),
        ("123456789012345678901234567890", None, Some(1.234_567_890_123_456_8e29)),
    ] {
        let value = parse(text, &Limits::OPTIONS).unwrap();
        assert_eq!(value.as_i64(), integer, "{text}");
        if let Some(float) = float {
            assert_eq!(value.as_f64(), Some(float), "{text}");
        }
        assert_eq!(value.to_string(), text);
    }
}

#[test]
fn duplicate_keys_are_errors_in_a_configuration_and_last_wins_elsewhere() {
    for (text, kept) in [
        (r#"{"a":1,"a":2}"#, r#"{"a":2}"#),
        (r#"{"a":1,"\u0061":2}"#, r#"{"a":2}"#),
        (r#"{"x":{"a":1,"b":[],"a":{"c":1}}}"#, r#"{"x":{"a":{"c":1},"b":[]}}"#),
        (r#"{"":1,"":2}"#, r#"{"":2}"#),
    ] {
        assert_eq!(parse(text, &Limits::OPTIONS).unwrap().to_string(), kept);
        assert_eq!(parse(text, &Limits::REMOTE).unwrap().to_string(), kept);
        let error = parse(text, &Limits::CONFIG).unwrap_err();
        assert!(error.message().contains("duplicate key"), "{error}");
    }
}

fn nested(open: &str, close: &str, levels: usize) -> String {
    open.repeat(levels) + "0" + &close.repeat(levels)
}

#[test]
fn limits_of_depth_keys_and_texts() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("[{\"a\":", "}]")] {
        let per_level = open.matches(['[', '{']).count();
        assert!(parse(&nested(open, close, 64 / per_level), &Limits::OPTIONS).is_ok());
        for levels in [64 / per_level + 1, 1_000] {
            let error = parse(&nested(open, close, levels), &Limits::OPTIONS).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidJson, "{open} {levels}");
        }
    }
    let keys = |count: usize| format!("{{{}}}", (0..count).map(|n| format!("\"{n}\":0")).collect::<Vec<_>>().join(","));
    assert!(parse(&keys(10_000), &Limits::OPTIONS).is_ok());
    assert!(parse(&keys(10_001), &Limits::OPTIONS).is_err());
    let text = |length: usize, unit: &str| format!("\"{}\"", unit.repeat(length / unit.len()));
    assert!(parse(&text(256 << 10, "x"), &Limits::OPTIONS).is_ok());
    assert!(parse(&text((256 << 10) + 1, "x"), &Limits::OPTIONS).is_err());
    assert!(parse(&text((256 << 10) + 2, "é"), &Limits::OPTIONS).is_err());
    // A key is a text, too; and escapes count as what they stand for, or are refused: no more than the limit comes out.
    let key = format!("{{{}:1}}", text((256 << 10) + 1, "x"));
    assert!(parse(&key, &Limits::OPTIONS).is_err());
    let escaped = format!("\"{}\"", "\\u00e9".repeat(140_000));
    if let Ok(Json::String(text)) = parse(&escaped, &Limits::OPTIONS) {
        assert!(text.len() <= 256 << 10);
    }
    let whole = format!("[{}]", vec!["0"; 500_000].join(","));
    assert!(whole.len() < 1 << 20 && parse(&whole, &Limits::OPTIONS).is_ok());
    assert!(
        parse(&format!("{whole}{}", " ".repeat(60_000)), &Limits::OPTIONS).is_err(),
        "more than 1 MiB, blanks included"
    );
}

/// Hosts call from threads with small stacks.
#[test]
fn nesting_needs_little_stack() {
    let check = || {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let deepest = nested(open, close, 64);
            let value = parse(&deepest, &Limits::OPTIONS).unwrap();
            assert_eq!(value.to_string(), deepest);
            drop(value.clone());
            for levels in [65, 200, 100_000] {
                assert!(parse(&nested(open, close, levels), &Limits::OPTIONS).is_err());
                assert!(parse(&open.repeat(levels), &Limits::OPTIONS).is_err(), "never closed");
            }
            assert!(parse(&open.repeat(1_000_000), &Limits::REMOTE).is_err());
            assert!(Config::parse(&nested(open, close, 100_000)).is_err());
        }
    };
    // Without optimisation a level takes three times as much.
    let stack = if cfg!(debug_assertions) { 192 << 10 } else { 64 << 10 };
    let thread = std::thread::Builder::new().stack_size(stack).spawn(check).unwrap();
    thread.join().unwrap();
}
