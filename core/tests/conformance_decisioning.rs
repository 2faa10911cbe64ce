//! The conformance cases that Target's SDKs share, through the pure decisioning module.
//!
//! The suites lie beside the repository in `../shared`, or where `TARGET_SDK_SHARED` says; without them the test says
//! that it was skipped. The end-to-end runner takes the same cases through the C API, and those of the TELEMETRY suite
//! only there: what they check is the traffic of the client, not a decision.

#![allow(clippy::unwrap_used, clippy::panic)] // all of this is a test

mod decisioning_support;

use std::path::{Path, PathBuf};

use decisioning_support::{Setting, decide_with, difference, parse};
use target_sdk_core::artifact::GeoAnswer;
use target_sdk_core::decisioning::{Ruleset, merge_geo, needs_geo_lookup, valid_geo};
use target_sdk_core::json::{self, Json, Limits};

fn shared() -> PathBuf {
    std::env::var_os("TARGET_SDK_SHARED")
        .map_or_else(|| concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared").into(), PathBuf::from)
}

/// Milliseconds of a `mockDate`.
fn mocked_now(date: &Json<'_>) -> i64 {
    let part = |key| date.get(key).and_then(Json::as_i64);
    let (year, month, day) = (part("year").unwrap(), part("month").unwrap(), part("date").unwrap());
    let leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let lengths = [31, if leap(year) { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let days = (1970..year).map(|year| if leap(year) { 366 } else { 365 }).sum::<i64>()
        + lengths.iter().take(month as usize).sum::<i64>()
        + day
        - 1;
    let time = ["hours", "minutes", "seconds"].into_iter().fold(0, |sum, key| sum * 60 + part(key).unwrap_or(0));
    (days * 86_400 + time) * 1_000
}

/// The request as the client would hand it over: with its geo completed.
fn prepared<'a>(rules: &Ruleset, request: &Json<'a>, answer: Option<&Json<'a>>) -> Json<'a> {
    let mut request = request.clone();
    let geo = request.pointer("/context/geo").cloned();
    let looked_up = needs_geo_lookup(rules, geo.as_ref()).is_some();
    let geo = match answer {
        Some(answer) if looked_up => {
            let told = GeoAnswer::read(Some(answer), |_| None).json;
            merge_geo(geo.as_ref(), Some(&json::parse(&told, &Limits::REMOTE).unwrap()))
        }
        _ => valid_geo(geo.as_ref()),
    };
    if let Json::Object(members) = &mut request
        && let Some(Json::Object(context)) = members.get_mut("context")
    {
        context.set("geo", geo);
    }
    request
}

fn run(suite: &Json<'_>, case: &Json<'_>, artifacts: &Path) -> Result<(), String> {
    let text = |key: &str| case.get(key).or_else(|| suite.get(key)).and_then(Json::as_str);
    let artifact = text("artifact").ok_or("no artifact")?;
    let artifact = std::fs::read_to_string(artifacts.join(format!("{artifact}.json"))).map_err(|e| e.to_string())?;
    let rules = match Ruleset::compile(&artifact) {
        Ok(rules) => rules,
        Err(error) => return Err(error.to_string()),
    };
    let conf = case.get("conf").or_else(|| suite.get("conf")).ok_or("no conf")?;
    let input = case.get("input").ok_or("no input")?;
    let request = prepared(&rules, input.get("request").ok_or("no request")?, case.get("mockGeo"));
    let setting = Setting {
        client: conf.get("client").and_then(Json::as_str).ok_or("no client")?,
        session_id: input.get("sessionId").and_then(Json::as_str).unwrap_or(""),
        location_hint: input.get("targetLocationHint").and_then(Json::as_str),
        now_ms: case.get("mockDate").map_or(1_614_036_374_000, mocked_now),
        ..Setting::default()
    };
    let decision = decide_with(&rules, &request, &setting);
    if let Some(expected) = case.get("output")
        && let Some(difference) = difference(expected, Some(&parse(&decision.response)), "")
    {
        return Err(difference);
    }
    match case.get("notificationOutput") {
        None => {}
        Some(Json::Null) if decision.notifications.is_empty() => {}
        Some(Json::Null) => return Err(format!("notifications that should not be: {:?}", decision.notifications)),
        Some(expected) => {
            let sent = format!("{{\"id\":{},\"notifications\":[{}]}}", decision.id, decision.notifications.join(","));
            let sent = parse(&sent);
            // What else the request holds is the client's.
            for key in ["id", "notifications"] {
                let expected = expected.pointer(&format!("/request/{key}"));
                if let Some(difference) = expected.and_then(|expected| difference(expected, sent.get(key), key)) {
                    return Err(difference);
                }
            }
        }
    }
    Ok(())
}

#[test]
fn conformance_suites() {
    let root = shared().join("conformance");
    let Ok(entries) = std::fs::read_dir(root.join("suites")) else {
        println!("SKIPPED: conformance suites, there is no {}", root.display());
        return;
    };
    let mut suites: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    suites.sort();
    let (mut ran, mut left, mut failures) = (0, 0, Vec::new());
    for path in suites {
        let text = std::fs::read_to_string(&path).unwrap();
        let suite = parse(&text);
        for (name, case) in suite.get("test").and_then(Json::as_object).unwrap().iter() {
            if path.ends_with("TEST_SUITE_TELEMETRY.json") {
                left += 1;
                continue;
            }
            ran += 1;
            if let Err(failure) = run(&suite, case, &root.join("artifacts")) {
                failures.push(format!("{} / {name}: {failure}", path.file_name().unwrap().to_string_lossy()));
            }
        }
    }
    println!("{ran} conformance cases ran, {left} of the TELEMETRY suite left to the end-to-end runner");
    assert!(failures.is_empty(), "{} of {ran} failed:\n{}", failures.len(), failures.join("\n"));
    assert!(ran >= 38);
}

#[test]
fn unsupported_artifacts_are_refused() {
    let path = shared().join("conformance/artifacts/TEST_ARTIFACT_UNSUPPORTED.json");
    let Ok(text) = std::fs::read_to_string(&path) else {
        println!("SKIPPED: unsupported artifact, there is no {}", path.display());
        return;
    };
    let error = Ruleset::compile(&text).err().unwrap();
    assert_eq!(
        error.message(),
        "The decisioning artifact version (99.0.0) is not supported. \
         This library is compatible with this major version: 1"
    );
}
