//! The project's own cases: one artifact with every feature, requests, and decisions reasoned out from the
//! documentation. Needs nothing outside the repository.
#![allow(clippy::unwrap_used, clippy::panic)] // all of this is a test

mod decisioning_support;

use decisioning_support::{Setting, decide_with, difference, parse};
use target_sdk_core::decisioning::Ruleset;
use target_sdk_core::json::Json;

const ARTIFACT: &str = include_str!("fixtures/decisioning/acme.artifact.json");
const CASES: &str = include_str!("fixtures/decisioning/acme.cases.json");

/// Equal but for the order of members, with `expect.any(Type)` allowed.
fn exact(expected: &Json<'_>, actual: &Json<'_>, path: &str) -> Option<String> {
    match (expected, actual) {
        (Json::Object(expected), Json::Object(actual)) => {
            if let Some((key, _)) = actual.iter().find(|(key, _)| expected.get(key).is_none()) {
                return Some(format!("{path}/{key} should not be there"));
            }
            expected.iter().find_map(|(key, value)| match actual.get(key) {
                Some(found) => exact(value, found, &format!("{path}/{key}")),
                None => Some(format!("{path}/{key} is missing")),
            })
        }
        (Json::Array(expected), Json::Array(actual)) if expected.len() == actual.len() => {
            let mut pairs = expected.iter().zip(actual).enumerate();
            pairs.find_map(|(at, (expected, actual))| exact(expected, actual, &format!("{path}/{at}")))
        }
        (expected, actual) => difference(expected, Some(actual), path),
    }
}

fn list(items: &[String]) -> String {
    format!("[{}]", items.join(","))
}

fn names(items: &[String]) -> Json<'_> {
    Json::Array(items.iter().map(|name| Json::from(name.as_str())).collect())
}

fn run(rules: &Ruleset, case: &Json<'_>) -> Result<(), String> {
    let strings: Vec<String> = case
        .get("all_matching")
        .and_then(Json::as_array)
        .unwrap_or(&[])
        .iter()
        .map(|name| name.as_str().unwrap().to_owned())
        .collect();
    let setting = Setting {
        location_hint: case.get("hint").and_then(Json::as_str),
        now_ms: case.get("now_ms").map_or(Setting::default().now_ms, |now| now.as_i64().unwrap()),
        all_matching_rules_mboxes: &strings,
        ..Setting::default()
    };
    let decision = decide_with(rules, case.get("request").unwrap(), &setting);
    let response = parse(&decision.response);
    let fail = |text: Option<String>| text.map_or(Ok(()), |text| Err(format!("{text}\n  in {}", decision.response)));
    for (pointer, expected) in case.get("exact").and_then(Json::as_object).into_iter().flat_map(|exact| exact.iter()) {
        match response.pointer(pointer) {
            Some(actual) => fail(exact(expected, actual, pointer))?,
            None => fail(Some(format!("{pointer} is missing")))?,
        }
    }
    for pointer in case.get("absent").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str) {
        fail(response.pointer(pointer).map(|found| format!("{pointer} should not be there: {found}")))?;
    }
    if let Some(expected) = case.get("notifications") {
        let notifications = list(&decision.notifications);
        fail(exact(expected, &parse(&notifications), "notifications"))?;
    }
    if let Some(expected) = case.get("tokens") {
        fail(exact(expected, &parse(&list(&decision.response_tokens)), "response tokens"))?;
    }
    if let Some(expected) = case.get("remote") {
        fail(exact(expected.get("mboxes").unwrap(), &names(&decision.remote.mboxes), "remote mboxes"))?;
        fail(exact(expected.get("views").unwrap(), &names(&decision.remote.views), "remote views"))?;
    }
    if let Some(expected) = case.get("tnt_id") {
        fail((decision.tnt_id.as_deref() != expected.as_str()).then(|| format!("tntId {:?}", decision.tnt_id)))?;
    }
    let status = case.get("status").and_then(Json::as_i64).unwrap_or(200);
    fail((i64::from(decision.status) != status).then(|| format!("status {}", decision.status)))?;
    fail(difference(&Json::from(status), response.get("status"), "/status"))?;
    fail(exact(&parse(&decision.id), response.get("id").unwrap(), "/id"))
}

#[test]
fn cases() {
    let rules = Ruleset::compile(ARTIFACT).unwrap();
    assert_eq!((rules.version(), rules.global_mbox(), rules.geo_targeting_enabled()), ("1.0.0", "acme-global", true));
    let cases = parse(CASES);
    let mut failures = Vec::new();
    for case in cases.as_array().unwrap() {
        if let Err(failure) = run(&rules, case) {
            failures.push(format!("{}\n  {failure}", case.get("description").unwrap()));
        }
    }
    println!("{} cases ran", cases.as_array().unwrap().len());
    assert!(failures.is_empty(), "{} failed:\n{}", failures.len(), failures.join("\n"));
    assert_eq!(cases.as_array().unwrap().len(), 37);
}

#[test]
fn a_decision_is_repeatable_and_leaves_the_rules_alone() {
    let rules = Ruleset::compile(ARTIFACT).unwrap();
    let cases = parse(CASES);
    for case in cases.as_array().unwrap() {
        let decide = || decide_with(&rules, case.get("request").unwrap(), &Setting::default()).response;
        assert_eq!(decide(), decide());
    }
}

#[test]
fn artifacts_at_fault_are_refused_with_the_place() {
    for (artifact, path, message) in [
        ("", "", "EOF"),
        ("[]", "", "the artifact is invalid: expected an object, found array"),
        ("{}", "/version", "(undefined) is not supported"),
        (r#"{"version":"2.0.0"}"#, "/version", "(2.0.0) is not supported"),
        (r#"{"version":"10.1"}"#, "/version", "(10.1) is not supported"),
        (r#"{"version":1}"#, "/version", "expected a string, found number"),
        (r#"{"version":"1.0.0","rules":7}"#, "/rules", "/rules: expected an object, found number"),
        (
            r#"{"version":"1.0.0","rules":{"mboxes":{"a/b":{}}}}"#,
            "/rules/mboxes/a~1b",
            "a~1b: expected an array, found object",
        ),
        (
            r#"{"version":"1.0.0","rules":{"views":{"v":[{},3]}}}"#,
            "/rules/views/v/1",
            "expected an object, found number",
        ),
        (
            r#"{"version":"1.0.0","rules":{"mboxes":{"m":[{"consequence":{"options":{}}}]}}}"#,
            "/rules/mboxes/m/0/consequence/options",
            "expected an array, found object",
        ),
        (
            r#"{"version":"1.0.0","rules":{"mboxes":{"m":[{"consequence":{"options":[1]}}]}}}"#,
            "/rules/mboxes/m/0/consequence/options/0",
            "expected an object, found number",
        ),
        (r#"{"version":"1.0.0","responseTokens":"x"}"#, "/responseTokens", "expected an array, found string"),
    ] {
        let error = Ruleset::compile(artifact).err().unwrap_or_else(|| panic!("{artifact} was accepted"));
        assert_eq!(error.kind(), target_sdk_core::error::ErrorKind::Artifact, "{artifact}");
        assert_eq!(error.path().unwrap_or(""), path, "{artifact}: {error}");
        assert!(error.message().contains(message), "{artifact}: {error}");
    }
}

#[test]
fn missing_and_null_members_are_empty() {
    for artifact in [
        r#"{"version":"1"}"#,
        r#"{"version":"1.x","rules":null,"meta":null,"responseTokens":null,"localMboxes":null}"#,
        r#"{"version":"1.0.0","rules":{"mboxes":null}}"#,
        r#"{"version":"1.0.0","rules":{"mboxes":{"m":null,"n":[{},{"condition":true,"consequence":null,"meta":null}]}}}"#,
    ] {
        let rules = Ruleset::compile(artifact).unwrap_or_else(|error| panic!("{artifact}: {error}"));
        assert_eq!(rules.global_mbox(), "target-global-mbox");
        let request = parse(r#"{"execute":{"mboxes":[{"name":"m"},{"name":"n"}],"views":[{}],"pageLoad":{}}}"#);
        let decision = decide_with(&rules, &request, &Setting::default());
        let response = parse(&decision.response);
        assert_eq!(response.pointer("/execute/pageLoad/options").and_then(Json::as_array).map(<[_]>::len), Some(0));
        assert_eq!(decision.remote.mboxes, ["m", "n", "target-global-mbox"]);
    }
}

/// Traces are lists of the envelope too: page load before mboxes, executed before prefetched, views before mboxes.
#[test]
fn traces_and_tokens_in_the_envelopes_order() {
    let rules = Ruleset::compile(ARTIFACT).unwrap();
    let request = parse(
        r#"{"requestId":"r","id":{"tntId":"a.28_0","thirdPartyId":"p"},"trace":{},"context":{"address":{"url":"https://a.b.co.uk/x"}},
        "prefetch":{"mboxes":[{"name":"every","index":0}],"views":[{"name":"cart"}],"pageLoad":{}},
        "execute":{"mboxes":[{"name":"hero","index":0},{"name":"none","index":1}],"pageLoad":{}}}"#,
    );
    let decision = decide_with(&rules, &request, &Setting::default());
    let response = parse(&decision.response);
    let traces = list(&decision.traces);
    let traces = parse(&traces);
    let places = [
        "/execute/pageLoad",
        "/execute/mboxes/0",
        "/execute/mboxes/1",
        "/prefetch/pageLoad",
        "/prefetch/views/0",
        "/prefetch/mboxes/0",
    ];
    assert_eq!(traces.as_array().unwrap().len(), places.len());
    for (place, trace) in places.iter().zip(traces.as_array().unwrap()) {
        assert_eq!(response.pointer(&format!("{place}/trace")), Some(trace), "{place}");
    }
    let expected = parse(
        r#"{"clientCode":"acme","artifact":{"artifactLocation":"https://assets.example/rules.json","pollingInterval":300000,
        "pollingHalted":false,"artifactVersion":"1.0.0","artifactRetrievalCount":1,"artifactLastRetrieved":"2021-02-22T23:26:14.000Z",
        "clientCode":"acme","environment":"production","generatedAt":"2026-11-01T00:00:00.000Z"},
        "profile":{"visitorId":{"tntId":"a","profileLocation":"28_0","thirdPartyId":"p"}},
        "request":{"sessionId":"session-1","pageURL":"https://a.b.co.uk/x","host":"b.co.uk","mbox":{"name":"none","index":1,"type":"execute"}},
        "campaigns":[{"id":1,"campaignType":"ab","branchId":1,"offers":[11],"environment":"production","notifications":[
          {"id":"expect.any(String)","impressionId":"expect.any(String)","timestamp":1614036374000,"type":"display","mbox":{"name":"hero"},"tokens":["hero-b"]}]}],
        "evaluatedCampaignTargets":[{"context":"expect.any(Object)","campaignId":1,"campaignType":"ab","matchedSegmentIds":[7],"unmatchedSegmentIds":[7],
          "matchedRuleConditions":[{"and":[{"<":[50,{"var":"allocation"}]},{">=":[100,{"var":"allocation"}]}]}],
          "unmatchedRuleConditions":[{"and":[{"<":[0,{"var":"allocation"}]},{">=":[50,{"var":"allocation"}]}]}]}]}"#,
    );
    assert_eq!(exact(&expected, &traces.as_array().unwrap()[2], ""), None);
    let context = traces.pointer("/1/evaluatedCampaignTargets/0/context").unwrap();
    assert_eq!(context.get("allocation").and_then(Json::as_f64), Some(85.89));
    assert_eq!(context.pointer("/page/subdomain").and_then(Json::as_str), Some("a"));

    let tokens: Vec<i64> = decision
        .response_tokens
        .iter()
        .map(|tokens| parse(tokens).get("activity.id").and_then(Json::as_i64).unwrap())
        .collect();
    // executed: page load 20, 21, 21 and hero; prefetched: page load again, the view's two, and the first of "every"
    assert_eq!(tokens, [20, 21, 21, 1, 20, 21, 21, 30, 32, 13]);
}
