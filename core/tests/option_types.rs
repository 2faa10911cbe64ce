//! Options of calls whose type is wrong: refused at their place, never replaced by a default. (Fields of the request: see
//! delivery.rs; of the configuration: config/parse_tests.rs.)
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use serde_json::{Value, json};
use target_sdk_core::delivery::options::Purpose;
use target_sdk_core::delivery::parse_options;
use target_sdk_core::error::ErrorKind;

/// Each option with a value that is right.
fn right() -> Value {
    json!({
        "request": {"execute": {"mboxes": [{"index": 0, "name": "m"}]}},
        "visitorCookie": "MCMID|1", "targetCookie": "session#s#1", "targetLocationHint": "28", "consumerId": "c", "sessionId": "s",
        "decisioningMethod": "hybrid", "customerIds": {"crm": {"id": "u", "authState": 1}, "other": "v"}, "visitorState": {},
    })
}

#[test]
fn every_option_of_the_wrong_type_is_refused_at_its_place() {
    parse_options(&right().to_string(), Purpose::Offers, true).unwrap();
    let places: Vec<String> = right().as_object().unwrap().keys().map(|key| format!("/{key}")).collect();
    assert_eq!(places.len(), 9);
    let nested = ["/customerIds/crm", "/customerIds/crm/id", "/customerIds/crm/authState", "/customerIds/other"];
    let mut flips = 0;
    for place in places.iter().map(String::as_str).chain(nested) {
        for wrong in [json!(true), json!(7), json!(7.5), json!("\u{1}"), json!([]), json!([{}]), json!({"x": []})] {
            let mut options = right();
            let at = options.pointer_mut(place).unwrap();
            let same_type = std::mem::discriminant(at) == std::mem::discriminant(&wrong);
            // An id may be a number, and may be given alone or with its state.
            let may_be = match place {
                "/customerIds/crm" | "/customerIds/other" => {
                    wrong.is_string() || wrong.is_number() || wrong.is_object()
                }
                "/customerIds/crm/id" => wrong.is_number(),
                _ => false,
            };
            if same_type || may_be {
                continue;
            }
            *at = wrong.clone();
            let error = parse_options(&options.to_string(), Purpose::Offers, false).map(|_| ()).expect_err(place);
            assert_eq!((error.kind(), error.path()), (ErrorKind::InvalidOptions, Some(place)), "{wrong}: {error:?}");
            flips += 1;
        }
    }
    assert!(flips > 60, "{flips}");
}

#[test]
fn null_is_absent_and_unknown_keys_are_told() {
    for key in right().as_object().unwrap().keys().filter(|key| *key != "request") {
        let mut options = right();
        options[key] = Value::Null;
        parse_options(&options.to_string(), Purpose::Offers, true).unwrap_or_else(|error| panic!("{key}: {error}"));
    }
    for (key, meant) in
        [("sessionID", "sessionId"), ("target_cookie", "targetCookie"), ("visitorcookie", "visitorCookie"), ("zzz", "")]
    {
        let mut options = right();
        options[key] = json!(1);
        parse_options(&options.to_string(), Purpose::Offers, false).unwrap();
        let error = parse_options(&options.to_string(), Purpose::Offers, true).map(|_| ()).unwrap_err();
        assert_eq!(error.path(), Some(format!("/{key}").as_str()));
        assert!(error.message().contains(meant), "{error}");
    }
}
