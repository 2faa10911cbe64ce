//! Whatever an artifact or a request holds: compiling answers with a ruleset or an error, deciding with JSON.
#![allow(clippy::unwrap_used, clippy::panic)] // all of this is a test

mod decisioning_support;

use decisioning_support::{Setting, decide_with, parse};
use proptest::prelude::*;
use target_sdk_core::decisioning::{Ruleset, merge_geo, needs_geo_lookup};
use target_sdk_core::json::{self, Json, Limits, Object};

const ARTIFACT: &str = include_str!("fixtures/decisioning/acme.artifact.json");

/// Words that mean something to rules, artifacts or requests.
const WORDS: &[&str] = &[
    "",
    "0",
    "1.0.0",
    "hero",
    "home",
    "acme-global",
    "target-global-mbox",
    "a.b",
    "a",
    "a.b.c",
    "foo",
    "foo_lc",
    "html",
    "actions",
    "click",
    "display",
    "${user}",
    "${a.b}",
    "http://www.a.co.uk:80/x?y#z",
    "[::1",
    "😀\u{e000}",
    "unknownIpAddress",
    "127.0.0.1",
    "allocation",
    "current_time",
    "page.domain_lc",
    "mbox.foo_lc",
    "user.browserType",
    "geo.city",
    "mbox",
];
const OPERATORS: &[&str] = &[
    "==",
    "===",
    "!=",
    "<",
    "<=",
    ">",
    "in",
    "and",
    "or",
    "!",
    "if",
    "var",
    "missing",
    "missing_some",
    "cat",
    "substr",
    "+",
    "*",
    "-",
    "/",
    "%",
    "min",
    "max",
    "merge",
    "map",
    "filter",
    "reduce",
    "all",
    "some",
    "none",
    "bogus",
];
const KEYS: &[&str] = &[
    "version",
    "globalMbox",
    "geoTargetingEnabled",
    "responseTokens",
    "remoteMboxes",
    "localViews",
    "rules",
    "mboxes",
    "views",
    "meta",
    "ruleKey",
    "activityId",
    "propertyTokens",
    "condition",
    "consequence",
    "name",
    "options",
    "metrics",
    "type",
    "content",
    "eventToken",
    "activity.id",
    "audience.ids",
    "execute",
    "prefetch",
    "pageLoad",
    "index",
    "parameters",
    "address",
    "url",
    "referringUrl",
    "context",
    "geo",
    "city",
    "latitude",
    "ipAddress",
    "userAgent",
    "clientHints",
    "platform",
    "id",
    "tntId",
    "thirdPartyId",
    "marketingCloudVisitorId",
    "requestId",
    "property",
    "token",
    "trace",
    "a.b",
    "a",
    "foo",
    "user",
    "hero",
    "home",
];

type Values = BoxedStrategy<Json<'static>>;

fn leaf() -> Values {
    prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::Bool),
        any::<i64>().prop_map(Json::from),
        (-3_i64..120).prop_map(Json::from),
        prop::num::f64::NORMAL.prop_map(|n| json::Number::from_f64(n).map_or(Json::Null, Json::Number)),
        prop::sample::select(WORDS).prop_map(Json::from),
        "\\PC{0,8}".prop_map(Json::from),
    ]
    .boxed()
}

fn object(keys: &'static [&'static str], value: Values) -> Values {
    prop::collection::vec((prop::sample::select(keys), value), 0..6)
        .prop_map(|members| Json::Object(members.into_iter().map(|(key, value)| (key.into(), value)).collect()))
        .boxed()
}

/// JSON of words and keys that this module knows, in any order.
fn anything() -> Values {
    leaf()
        .prop_recursive(5, 60, 5, |inner| {
            prop_oneof![prop::collection::vec(inner.clone(), 0..5).prop_map(Json::Array), object(KEYS, inner),]
        })
        .boxed()
}

/// A condition, sensible or not.
fn condition() -> Values {
    leaf()
        .prop_recursive(5, 40, 4, |inner| {
            (prop::sample::select(OPERATORS), prop::collection::vec(inner, 0..4)).prop_map(|(operator, operands)| {
                Json::Object(std::iter::once((operator.into(), Json::Array(operands))).collect())
            })
        })
        .boxed()
}

fn member(key: &'static str, value: Json<'static>) -> Object<'static> {
    std::iter::once((key.into(), value)).collect()
}

/// An artifact of the right shape whose rules hold anything.
fn artifact() -> impl Strategy<Value = String> {
    let option = object(&["type", "content", "eventToken", "responseTokens", "x"], anything());
    let metric = object(&["type", "eventToken", "selector"], leaf());
    let rule = (
        condition(),
        prop::collection::vec(option, 0..3),
        prop::collection::vec(metric, 0..3),
        object(&["activity.id", "activity.name", "audience.ids", "location.name", "user"], anything()),
        leaf(),
        leaf(),
    );
    let rule = rule.prop_map(|(condition, options, metrics, meta, key, name)| {
        let mut consequence = member("options", Json::Array(options));
        consequence.set("metrics", Json::Array(metrics));
        consequence.set("name", name);
        let mut rule = member("condition", condition);
        rule.set("consequence", consequence);
        rule.set("meta", meta);
        rule.set("ruleKey", key);
        Json::Object(rule)
    });
    let list = prop::collection::vec(rule, 0..4).prop_map(Json::Array).boxed();
    (list.clone(), list.clone(), list, any::<bool>()).prop_map(|(hero, global, home, geo)| {
        let mut mboxes = member("hero", hero);
        mboxes.set("acme-global", global);
        let mut rules = member("mboxes", mboxes.into());
        rules.set("views", member("home", home));
        let mut artifact = member("version", "1.0.0".into());
        artifact.set("globalMbox", "acme-global");
        artifact.set("geoTargetingEnabled", geo);
        artifact.set("responseTokens", Json::Array(vec!["activity.id".into(), "geo.city".into(), 7_i64.into()]));
        artifact.set("rules", rules);
        Json::Object(artifact).to_string()
    })
}

/// A request for what that artifact has, with anything in its items.
fn request() -> impl Strategy<Value = Json<'static>> {
    let item = object(KEYS, anything());
    let parts = (anything(), item.clone(), item.clone(), item, anything(), any::<bool>());
    parts.prop_map(|(context, mut mbox, mut view, load, id, traced)| {
        if let (Json::Object(mbox), Json::Object(view)) = (&mut mbox, &mut view) {
            mbox.set("name", "hero");
            view.set("name", "home");
        }
        let mut asked = member("mboxes", Json::Array(vec![mbox]));
        asked.set("views", Json::Array(vec![view, Json::Object(Object::new())]));
        asked.set("pageLoad", load);
        let mut request = member("execute", asked.clone().into());
        request.set("prefetch", asked);
        request.set("context", context);
        request.set("id", id);
        if traced {
            request.set("trace", Object::new());
        }
        Json::Object(request)
    })
}

/// Decides and reads everything that comes out.
fn check(rules: &Ruleset, request: &Json<'_>) {
    let decision = decide_with(rules, request, &Setting::default());
    let response = parse(&decision.response);
    assert_eq!(response.get("status").and_then(Json::as_i64), Some(i64::from(decision.status)));
    assert_eq!(decision.status == 200, decision.remote.is_empty());
    assert!(parse(&decision.id).as_object().is_some());
    for text in decision.notifications.iter().chain(&decision.response_tokens).chain(&decision.traces) {
        assert!(parse(text).as_object().is_some());
    }
    let geo = request.pointer("/context/geo");
    let _ = needs_geo_lookup(rules, geo);
    let _ = merge_geo(geo, geo);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn any_text_compiles_or_not(text in "\\PC{0,60}") {
        let _ = Ruleset::compile(&text);
    }

    #[test]
    fn any_json_compiles_or_not(value in anything()) {
        let mut artifact = match value {
            Json::Object(object) => object,
            other => member("rules", other),
        };
        artifact.set("version", "1.0.0");
        if let Ok(rules) = Ruleset::compile(&Json::Object(artifact).to_string()) {
            check(&rules, &parse(r#"{"execute":{"mboxes":[{"name":"hero"}],"views":[{}],"pageLoad":{}},"trace":{}}"#));
        }
    }

    #[test]
    fn a_damaged_artifact_compiles_or_not(at in 0..ARTIFACT.len(), length in 0_usize..40, with in "[\\[\\]{}\",:0-9a-z ]{0,3}") {
        let end = (at + length).min(ARTIFACT.len());
        if let (Some(before), Some(after)) = (ARTIFACT.get(..at), ARTIFACT.get(end..))
            && let Ok(rules) = Ruleset::compile(&format!("{before}{with}{after}"))
        {
            check(&rules, &parse(r#"{"execute":{"mboxes":[{"name":"hero"},{"name":"kinds"}],"pageLoad":{}},"prefetch":{"views":[{}]}}"#));
        }
    }

    #[test]
    fn any_rules_decide_any_request(artifact in artifact(), request in request()) {
        check(&Ruleset::compile(&artifact).unwrap(), &request);
    }

    #[test]
    fn any_request_is_decided(request in anything()) {
        let rules = Ruleset::compile(ARTIFACT).unwrap();
        let request = match request {
            Json::Object(request) => request,
            other => member("execute", other),
        };
        check(&rules, &Json::Object(request));
    }
}

/// Nesting at the limit of what JSON may have here neither overflows a small stack nor is refused.
#[test]
fn deep_rules_fit_on_a_small_stack() {
    let deep = |levels: usize| format!("{}true{}", r#"{"!":["#.repeat(levels), "]}".repeat(levels));
    let artifact = |condition: &str| {
        format!(r#"{{"version":"1.0.0","rules":{{"mboxes":{{"m":[{{"condition":{condition}}}]}}}}}}"#)
    };
    let run = move || {
        let rules = Ruleset::compile(&artifact(&deep(31))).unwrap(); // with the rule around it 63 levels
        let request = json::parse(r#"{"execute":{"mboxes":[{"name":"m"}]}}"#, &Limits::OPTIONS).unwrap();
        let decision = decide_with(&rules, &request, &Setting::default());
        assert!(!decision.response.contains("options")); // an odd number of negations
        for levels in [40, 10_000, 1_000_000] {
            let error = Ruleset::compile(&artifact(&deep(levels))).err().unwrap();
            assert_eq!(error.path(), Some("/rules/mboxes/m/0"));
        }
    };
    std::thread::Builder::new().stack_size(256 << 10).spawn(run).unwrap().join().unwrap();
}

/// 20,000 visitors through the whole path: the split is even, and each visitor stays.
#[test]
fn splits_are_even_and_stable() {
    let rules = Ruleset::compile(ARTIFACT).unwrap();
    let group = |visitor: &str| {
        let request = format!(
            r#"{{"requestId":"r","id":{{"tntId":"{visitor}.28_0"}},"prefetch":{{"mboxes":[{{"name":"hero","index":0}}]}}}}"#
        );
        let decision = decide_with(&rules, &parse(&request), &Setting::default());
        let response = parse(&decision.response);
        let experience = response.pointer("/prefetch/mboxes/0/options/0/responseTokens/experience.name");
        experience.and_then(Json::as_str).map(str::to_owned)
    };
    let (mut a, mut b) = (0_i64, 0_i64);
    for n in 0..20_000 {
        let visitor = format!("{n:032x}");
        match group(&visitor).as_deref() {
            Some("Experience A") => a += 1,
            Some("Experience B") => b += 1,
            other => assert!(other.is_none()), // allocation 0.00 lies in neither range
        }
        if n % 100 == 0 {
            assert_eq!(group(&visitor), group(&visitor));
        }
    }
    // 10,000 each with a standard deviation of 71; 2 of 20,000 are expected to have allocation 0.00
    assert!((a - b).abs() < 600 && a + b > 19_980, "{a} in A, {b} in B");
}
