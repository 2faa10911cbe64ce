//! What the decisioning tests share: repeatable randomness, and comparison with expectations that leave things open.

#![allow(unreachable_pub, dead_code, clippy::unwrap_used, clippy::panic)] // each test uses its part

use std::sync::atomic::{AtomicU64, Ordering};

use target_sdk_core::decisioning::{Decision, Input, Ruleset, TraceSource, decide};
use target_sdk_core::env::Random;
use target_sdk_core::json::{self, Json, Limits};

/// Counts: the first id ends in 1, the second in 2.
#[derive(Default)]
pub struct Counting(AtomicU64);

impl Random for Counting {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(16) {
            let next = self.0.fetch_add(1, Ordering::Relaxed) + 1;
            chunk.fill(0);
            chunk.iter_mut().rev().zip(next.to_le_bytes()).for_each(|(place, byte)| *place = byte);
        }
    }
}

/// Reads JSON that a test wrote or keeps in a file.
pub fn parse(text: &str) -> Json<'_> {
    json::parse(text, &Limits::REMOTE).unwrap()
}

/// What a case varies.
pub struct Setting<'a> {
    pub client: &'a str,
    pub session_id: &'a str,
    pub location_hint: Option<&'a str>,
    pub now_ms: i64,
    pub all_matching_rules_mboxes: &'a [String],
}

impl Default for Setting<'_> {
    fn default() -> Self {
        Setting {
            client: "acme",
            session_id: "session-1",
            location_hint: None,
            now_ms: 1_614_036_374_000, // Monday 2021-02-22 23:26:14 UTC
            all_matching_rules_mboxes: &[],
        }
    }
}

/// Decides a request.
pub fn decide_with(rules: &Ruleset, request: &Json<'_>, setting: &Setting<'_>) -> Decision {
    let random = Counting::default();
    let input = Input {
        client: setting.client,
        request: request.as_object().unwrap(),
        session_id: setting.session_id,
        location_hint: setting.location_hint,
        now_ms: setting.now_ms,
        random: &random,
        all_matching_rules_mboxes: setting.all_matching_rules_mboxes,
        trace: TraceSource {
            artifact_location: "https://assets.example/rules.json",
            polling_interval: 300_000,
            polling_halted: false,
            retrieval_count: 1,
            last_retrieved_ms: Some(1_614_036_374_000),
        },
    };
    decide(rules, &input)
}

/// Compares as a subset: members of `expected` must be in `actual`, arrays have the same length, numbers are equal as
/// doubles, and `expect.any(Type)` stands for any value of the type. Returns where the first difference is.
pub fn difference(expected: &Json<'_>, actual: Option<&Json<'_>>, path: &str) -> Option<String> {
    let mismatch =
        || Some(format!("{path}: expected {expected}, found {}", actual.map_or("nothing".into(), Json::to_string)));
    match (expected, actual) {
        (Json::String(any), Some(actual)) if any.starts_with("expect.any(") => {
            let fits = match any.as_ref() {
                "expect.any(Object)" => actual.as_object().is_some(),
                "expect.any(String)" => actual.as_str().is_some(),
                "expect.any(Number)" => actual.as_f64().is_some(),
                other => panic!("unknown expectation {other}"),
            };
            if fits { None } else { mismatch() }
        }
        (Json::Object(expected), Some(Json::Object(actual))) => {
            expected.iter().find_map(|(key, value)| difference(value, actual.get(key), &format!("{path}/{key}")))
        }
        (Json::Array(expected), Some(Json::Array(actual))) if expected.len() == actual.len() => expected
            .iter()
            .zip(actual)
            .enumerate()
            .find_map(|(at, (expected, actual))| difference(expected, Some(actual), &format!("{path}/{at}"))),
        (Json::Number(a), Some(Json::Number(b))) if a.as_f64() == b.as_f64() => None,
        (expected, Some(actual)) if expected == actual => None,
        _ => mismatch(),
    }
}
