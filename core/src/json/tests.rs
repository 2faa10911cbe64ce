use super::*;
use crate::error::ErrorKind;

fn round_trip(text: &str) -> String {
    parse(text, &Limits::OPTIONS).unwrap().to_string()
}

#[test]
fn writes_back_what_it_read() {
    for text in [
        r#"{"b":1,"a":[null,true,false,-7,18446744073709551615,2.5,-0.0],"":{}}"#,
        r#""\"\\\n\r\t\b\f\u0001\u001f/é😀""#,
        "37.749290000000002",
        "[]",
    ] {
        let once = round_trip(text);
        assert_eq!(round_trip(&once), once);
        let (ours, theirs): (serde_json::Value, serde_json::Value) =
            (serde_json::from_str(&once).unwrap(), serde_json::from_str(text).unwrap());
        assert_eq!(ours, theirs);
    }
    assert_eq!(round_trip(r#""\"\\\n\r\t\b\f\u0001\u001f/é😀""#), r#""\"\\\n\r\t\b\f\u0001\u001f/é😀""#);
}

#[test]
fn numbers_stay_as_they_were_written() {
    for number in [
        "0",
        "-7",
        "-0",
        "-0.0",
        "1.10",
        "1e2",
        "1E+2",
        "0.1000000000000000055511151231257827",
        "9223372036854775807",
        "9223372036854775808",
        "18446744073709551616",
        "-123456789012345678901234567890",
    ] {
        let text = format!(r#"{{"n":[{number}]}}"#);
        assert_eq!(round_trip(&text), text);
        let owned = parse(number, &Limits::OPTIONS).unwrap().into_owned();
        assert_eq!(owned.to_string(), number);
        assert_eq!(owned.as_f64(), number.parse().ok());
    }
    assert_eq!(Number::from_f64(-0.0).unwrap().to_string(), "-0.0");
    assert_eq!(Number::from_f64(1.5e300).unwrap().to_string(), "1.5e300");
    assert!(Number::from_f64(f64::NAN).is_none());
}

#[test]
fn duplicates_follow_the_limits() {
    assert_eq!(round_trip(r#"{"a":1,"b":2,"a":3}"#), r#"{"a":3,"b":2}"#);
    let error = parse(r#"{"a":1,"a":3}"#, &Limits::CONFIG).unwrap_err();
    assert!(error.message().contains("duplicate key \"a\""), "{error}");
    let many: String = (0..100).map(|n| format!("\"k{n}\":{n},")).collect();
    let twice = format!("{{{many}{many}\"end\":0}}");
    assert_eq!(parse(&twice, &Limits::OPTIONS).unwrap().as_object().unwrap().len(), 101);
    assert!(parse(&twice, &Limits::CONFIG).is_err());
}

#[test]
fn limits_hold() {
    let deep = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
    assert!(parse(&deep(64), &Limits::OPTIONS).is_ok());
    for levels in [65, 200, 300_000] {
        assert_eq!(parse(&deep(levels), &Limits::OPTIONS).unwrap_err().kind(), ErrorKind::InvalidJson);
    }
    let long = format!("\"{}\"", "x".repeat((256 << 10) + 1));
    assert!(parse(&long, &Limits::OPTIONS).unwrap_err().message().contains("limit is 262144"));
    let large = format!("[{}]", "1,".repeat(600_000) + "1");
    assert!(parse(&large, &Limits::OPTIONS).unwrap_err().message().contains("1048576"));
    let keys: String = (0..10_001).map(|n| format!("\"{n}\":0,")).collect();
    assert!(parse(&format!("{{{keys}\"x\":0}}"), &Limits::OPTIONS).is_err());
}

#[test]
fn refuses_what_is_not_json() {
    for text in ["", "{", "nul", "NaN", "Infinity", "1e400", "{'a':1}", "[1,]", "\"\u{1}\"", "1 2", "\"\\ud800\""] {
        let error = parse(text, &Limits::OPTIONS).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidJson, "{text}");
        assert!(error.message().contains("column"), "{error}");
    }
}

#[test]
fn raw_pointers_cut_the_text_out() {
    let text = r#" {"a":[ 1e2 , {"b/c":"\u0041", "n":123456789012345678901234567890}],"a~":null,"x":1,"x":{"y":[]}} "#;
    for (pointer, expected) in [
        ("", Some(text.trim())),
        ("/a/0", Some("1e2")),
        ("/a/1/b~1c", Some(r#""\u0041""#)),
        ("/a/1/n", Some("123456789012345678901234567890")),
        ("/a~0", Some("null")),
        ("/x/y", Some("[]")),
        ("/a/2", None),
        ("/a/01", None),
        ("/a/0/z", None),
        ("/nope", None),
        ("a", None),
    ] {
        assert_eq!(raw_pointer(text, pointer), expected, "{pointer}");
    }
}

#[test]
fn pointers() {
    let value = parse(r#"{"a":[{"b~c/d":7}],"":1}"#, &Limits::OPTIONS).unwrap();
    assert_eq!(value.pointer("/a/0/b~0c~1d").and_then(Json::as_i64), Some(7));
    assert_eq!(value.pointer("/").and_then(Json::as_i64), Some(1));
    assert!(value.pointer("").is_some());
    for missing in ["/a/00", "/a/+0", "/a/1", "/x", "a", "/a/-"] {
        assert!(value.pointer(missing).is_none(), "{missing}");
    }
}

/// What serde_json alone makes of a document, which the scanner must make of it, too.
fn with_serde<'a>(text: &'a str, limits: &Limits) -> Option<Json<'a>> {
    parse::deserialize(text, parse::Seed { limits, depth: 0 }).ok()
}

#[test]
fn reads_what_serde_json_reads() {
    const LIMITS: Limits = Limits { bytes: 1 << 20, depth: 3, keys: 4, string: 9, duplicates: Duplicates::LastWins };
    let parts = [
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        " ",
        "\n",
        "\"a\"",
        "\"b\"",
        "\"\"",
        "\"é\\n\"",
        "\"\\u00e9\"",
        "\"\\ud83d\\ude00\"",
        "\"\\ud800\"",
        "\"123456789\"",
        "\"1234567890\"",
        "\"\\n23456789\"",
        "\"",
        "\\",
        "null",
        "true",
        "false",
        "0",
        "-0",
        "7",
        "18446744073709551615",
        "18446744073709551616",
        "-9223372036854775808",
        "-9223372036854775809",
        "0.1",
        "1e5",
        "1E400",
        "-",
        "1.",
        "01",
        "\u{1}",
        "{\"a\":1,\"a\":2}",
        "{\"a\":1,\"b\":2,\"c\":3,\"d\":4,\"e\":5}",
        "[[[]]]",
        "[[[[]]]]",
    ];
    let mut random = 7_u64;
    let mut pick = |below: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as usize % below
    };
    let (mut taken, mut refused) = (0, 0);
    for round in 0..60_000 {
        let mut text = String::new();
        if round % 2 == 0 {
            (0..pick(6)).for_each(|_| text.push_str(parts[pick(parts.len())]));
        } else {
            // nearly right
            let mut value = || parts[8 + pick(parts.len() - 8)];
            text = format!(
                "{{{}:{},\"k\":[{},{}]}}",
                ["\"a\"", value()][usize::from(round % 16 == 1)],
                value(),
                value(),
                value()
            );
        }
        for duplicates in [Duplicates::LastWins, Duplicates::Refuse] {
            let limits = Limits { duplicates, ..LIMITS };
            let (ours, theirs) = (parse(&text, &limits).ok(), with_serde(&text, &limits));
            // Only the scanner keeps the texts of numbers; -0.0 and 0.0 are equal, but not written alike.
            let written = |json: &Option<Json<'_>>| {
                json.as_ref()
                    .map(|json| serde_json::from_str::<serde_json::Value>(&json.to_string()).unwrap().to_string())
            };
            assert_eq!(ours, theirs, "{text}");
            assert_eq!(written(&ours), written(&theirs), "{text}");
            if ours.is_some() { taken += 1 } else { refused += 1 }
        }
    }
    assert!(taken > 5_000 && refused > 5_000, "{taken} {refused}");
}
