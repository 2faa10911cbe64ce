//! Requests, URLs and errors as the table in `fixtures/delivery/requests.json` says, and properties that hold for any input.
//!
//! A row has `config` (keys of the client configuration), `options` (or `optionsText`), optionally `purpose`
//! ("notifications"), `mboxNames` (the call is `get_attributes`) and `stickyHint` (cluster of an earlier answer). It
//! expects `{url, body}` or `{error: {kind, path, message}}`. The clock stands at 1700000000000; `<sessionId>`,
//! `<requestId>` and `<sdid>` stand for ids that the library makes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Mutex;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};
use target_sdk_core::attributes;
use target_sdk_core::config::{Config, DecisioningMethod, TlsRoots, TransportConfig};
use target_sdk_core::cookies::{TargetCookie, write_target_cookie};
use target_sdk_core::delivery::options::Purpose;
use target_sdk_core::delivery::{Sealed, Sent, endpoint, parse_options, prepare, response, seal};
use target_sdk_core::env::Random;
use target_sdk_core::envelope::RawList;
use target_sdk_core::error::{Error, ErrorKind};
use target_sdk_core::transport::Timing;
use target_sdk_core::visitor::VisitorCookie;

const NOW: i64 = 1_700_000_000_000;

/// Ids of ones, twos, threes, ...: so each can be told from the others.
struct Numbered;

impl Random for Numbered {
    fn fill(&self, bytes: &mut [u8]) {
        for (n, part) in (1..).zip(bytes.chunks_mut(16)) {
            part.fill(n * 0x11);
        }
    }
}

const MADE: [(&str, &str); 3] = [
    ("<requestId>", "11111111111141119111111111111111"),
    ("<sdid>", "2222222222222222-2222222222222222"),
    ("<sessionId>", "3333333333334333b333333333333333"),
];

fn config(keys: &Value) -> Config {
    let text = |key: &str| keys.get(key).map(|value| value.as_str().expect(key).to_owned());
    let flag = |key: &str, default| keys.get(key).map_or(default, |value| value.as_bool().expect(key));
    Config {
        client: text("client").unwrap(),
        organization_id: text("organizationId").unwrap(),
        decisioning_method: DecisioningMethod::ServerSide,
        timeout: Duration::from_secs(3),
        server_domain: text("serverDomain"),
        pin_server_domain: flag("pinServerDomain", false),
        target_location_hint: text("targetLocationHint"),
        secure: flag("secure", true),
        environment_id: keys.get("environmentId").map(|id| id.as_i64().unwrap()),
        environment: "production".to_owned(),
        cdn_base: "assets.adobetarget.com".to_owned(),
        property_token: text("propertyToken"),
        version: text("version"),
        telemetry_enabled: true,
        allow_fast_polling: false,
        polling_interval: None,
        maximum_wait_ready: None,
        artifact_location: None,
        artifact_payload: None,
        artifact_format: None,
        artifact_file: None,
        all_matching_rules_mboxes: Vec::new(),
        include_page_load: false,
        max_in_flight: 1,
        max_queued: 1,
        max_retries: 0,
        offline: false,
        strict: flag("strict", false),
        max_response_bytes: 1 << 20,
        max_artifact_bytes: 1 << 20,
        transport: TransportConfig {
            connect_timeout: Duration::from_secs(1),
            pool_idle_timeout: Duration::from_secs(1),
            max_idle_per_host: 1,
            proxy: None,
            tls_roots: TlsRoots::Bundled,
            tls_identity: None,
        },
    }
}

fn acme() -> Config {
    config(&json!({"client": "acme", "organizationId": "ORG@AdobeOrg"}))
}

fn fixture(name: &str) -> Value {
    let path = format!("{}/tests/fixtures/delivery/{name}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn with_made_ids(text: String) -> String {
    MADE.iter().fold(text, |text, (name, id)| text.replace(name, id))
}

/// Runs one row: the URL and the body, or the error.
fn run(row: &Value) -> Result<(String, String), Error> {
    let config = config(&row["config"]);
    let text = match row.get("optionsText") {
        Some(text) => text.as_str().unwrap().to_owned(),
        None => row["options"].to_string(),
    };
    let names = row.get("mboxNames").map(Value::to_string);
    let purpose = match row.get("purpose").map(|purpose| purpose.as_str().unwrap()) {
        None => Purpose::Offers,
        Some("notifications") => Purpose::Notifications,
        Some(other) => panic!("purpose {other}"),
    };
    let options = match &names {
        Some(names) => attributes::parse_options(names, &text, config.strict)?,
        None => parse_options(&text, purpose, config.strict)?,
    };
    let sticky = row.get("stickyHint").map(|hint| hint.as_str().unwrap());
    let prepared = prepare(options, &config, sticky, NOW, &Numbered)?;
    let url = endpoint::url(&config, prepared.cluster.as_deref(), &prepared.session_id);
    Ok((url, prepared.body(&[])))
}

#[test]
fn requests_are_as_the_table_says() {
    let table = fixture("requests.json");
    let rows = table.as_array().unwrap();
    assert!(rows.len() > 90, "only {} rows", rows.len());
    for row in rows {
        let name = row["name"].as_str().unwrap();
        let expect = &row["expect"];
        match (run(row), expect.get("error")) {
            (Ok((url, body)), None) => {
                assert_eq!(body, with_made_ids(expect["body"].to_string()), "body: {name}");
                assert_eq!(url, with_made_ids(expect["url"].as_str().unwrap().to_owned()), "url: {name}");
            }
            (Err(error), Some(expected)) => {
                assert_eq!(format!("{:?}", error.kind()), expected["kind"].as_str().unwrap(), "{name}: {error}");
                assert_eq!(error.path(), expected["path"].as_str(), "{name}: {error}");
                if let Some(message) = expected.get("message") {
                    assert_eq!(error.message(), message.as_str().unwrap(), "{name}");
                }
            }
            (got, _) => panic!("{name}: {got:?}"),
        }
    }
}

#[test]
fn a_request_with_every_field_is_sent_as_it_is() {
    let full = fixture("full_request.json");
    let text = json!({ "request": full }).to_string();
    let prepared =
        prepare(parse_options(&text, Purpose::Offers, true).unwrap(), &acme(), None, NOW, &Numbered).unwrap();
    assert_eq!(prepared.body(&[]), full.to_string());
}

#[test]
fn numbers_are_sent_as_they_were_written() {
    let mbox = r#"{"name":"a","index":0,"new":[1.10,-0,1e2,12345678901234567890123],"total":5.00}"#;
    let text = format!(r#"{{"request":{{"execute":{{"mboxes":[{mbox}]}},"new":123456789012345678901234567890}}}}"#);
    let options = parse_options(&text, Purpose::Offers, true).unwrap();
    let body = prepare(options, &acme(), None, NOW, &Numbered).unwrap().body(&[]);
    assert!(body.contains(mbox) && body.ends_with(r#""new":123456789012345678901234567890}"#), "{body}");
}

/// Every place in a document that the Delivery API gives a type.
fn typed_places(value: &Value, at: &str, out: &mut Vec<String>) {
    let is_free = ["/parameters", "/profileParameters", "/usage"].iter().any(|end| at.ends_with(end));
    match value {
        Value::Object(members) if !is_free => {
            for (key, value) in members {
                out.push(format!("{at}/{key}"));
                typed_places(value, &format!("{at}/{key}"), out);
            }
        }
        Value::Array(items) => {
            for (n, item) in items.iter().enumerate() {
                out.push(format!("{at}/{n}"));
                typed_places(item, &format!("{at}/{n}"), out);
            }
        }
        _ => {}
    }
}

#[test]
fn a_wrong_type_anywhere_is_an_error_that_names_the_place() {
    let full = json!({ "request": fixture("full_request.json") });
    let mut places = Vec::new();
    typed_places(&full["request"], "/request", &mut places);
    assert!(places.len() > 150, "only {}", places.len());
    for place in places {
        // without these an item is dropped, not refused
        let last = place.rsplit('/').next().unwrap();
        let in_list =
            |list: &str| place.contains(list) && place.trim_end_matches(last).trim_end_matches('/').ends_with("/0");
        let drops = (in_list("/mboxes/") && last == "name")
            || (in_list("/notifications/") && matches!(last, "id" | "timestamp" | "type"))
            || ["/mboxes/0", "/notifications/0"].iter().any(|item| place.ends_with(item));
        let found = full.pointer(&place).unwrap();
        for wrong in [json!(true), json!(7), json!("x"), json!([1]), json!({"a": 1})] {
            let is_time = last == "time" && wrong == 7; // milliseconds
            if std::mem::discriminant(&wrong) == std::mem::discriminant(found) || is_time {
                continue;
            }
            let mut options = full.clone();
            *options.pointer_mut(&place).unwrap() = wrong.clone();
            let text = options.to_string();
            match parse_options(&text, Purpose::Offers, false) {
                Err(error) => {
                    assert_eq!(
                        (error.kind(), error.path()),
                        (ErrorKind::InvalidOptions, Some(place.as_str())),
                        "{wrong}"
                    );
                    assert!(error.message().starts_with(&format!("{place}: expected ")), "{error}");
                    assert!(!drops, "{place} should have been dropped: {error}");
                }
                Ok(_) => assert!(drops, "{place} = {wrong} was taken"),
            }
        }
    }
}

#[test]
fn telemetry_stands_in_its_place() {
    let body = |request: Value| {
        let text = json!({ "request": request }).to_string();
        let options = parse_options(&text, Purpose::Offers, true).unwrap();
        let prepared = prepare(options, &acme(), None, NOW, &Numbered).unwrap();
        prepared.body(&[r#"{"n":1e2}"#.to_owned(), r#"{"n":2}"#.to_owned()])
    };
    let after_cloud = |body: &str| body.split_once(r#""logging":"server_side"}}"#).unwrap().1.to_owned();
    assert_eq!(
        after_cloud(&body(json!({"execute": {"pageLoad": {}}, "qaMode": {}}))),
        r#","execute":{"pageLoad":{}},"telemetry":{"entries":[{"n":1e2},{"n":2}]},"qaMode":{}}"#
    );
    assert_eq!(after_cloud(&body(json!({"requestId": "r"}))), r#","telemetry":{"entries":[{"n":1e2},{"n":2}]}}"#);
    assert_eq!(
        after_cloud(&body(json!({"new": 1, "telemetry": {"entries": [{"mode": "edge"}], "new": 2}}))),
        r#","telemetry":{"entries":[{"mode":"edge"},{"n":1e2},{"n":2}],"new":2},"new":1}"#
    );
}

#[test]
fn decisioning_method_is_the_calls_or_the_clients() {
    let method = |options: &str| {
        let options = parse_options(options, Purpose::Offers, true).unwrap();
        prepare(options, &acme(), None, NOW, &Numbered).unwrap().decisioning_method
    };
    assert_eq!(method(r#"{"request":{"context":{}},"decisioningMethod":"hybrid"}"#), DecisioningMethod::Hybrid);
    assert_eq!(method(r#"{"request":{"context":{}}}"#), DecisioningMethod::ServerSide);
}

#[test]
fn a_visitor_without_id_comes_with_bytes_for_one() {
    let entropy = |options: &str| {
        let options = parse_options(options, Purpose::Offers, true).unwrap();
        prepare(options, &acme(), None, NOW, &Numbered).unwrap().entropy
    };
    for (options, expected) in [
        (r#"{"request":{"context":{}}}"#, Some([0x44; 16])),
        (
            r#"{"request":{"context":{}},"sessionId":"s","customerIds":{"crm":{"id":"u","authState":1}}}"#,
            Some([0x44; 16]),
        ),
        (r#"{"request":{"id":{"tntId":""}}}"#, Some([0x44; 16])),
        (r#"{"request":{"id":{"tntId":"t"}}}"#, None),
        (r#"{"request":{"id":{"thirdPartyId":"t"}}}"#, None),
        (r#"{"request":{"id":{"marketingCloudVisitorId":"t"}}}"#, None),
        (r#"{"request":{"context":{}},"targetCookie":"PC#T#1999999999"}"#, None),
        (r#"{"request":{"id":{"tntId":""}},"targetCookie":"PC#T#1999999999"}"#, Some([0x44; 16])),
        (r#"{"request":{"context":{}},"visitorCookie":"MCMID|07"}"#, None),
    ] {
        assert_eq!(entropy(options), expected, "{options}");
    }
}

#[test]
fn the_answer_becomes_an_envelope_and_a_telemetry_entry() {
    let config = acme();
    let sealed = |options: &str| {
        let options = parse_options(options, Purpose::Offers, true).unwrap();
        seal(prepare(options, &config, None, NOW, &Numbered).unwrap(), &config, &[])
    };
    fn sent<'s>(sealed: &'s Sealed, response: &str) -> Sent<'s> {
        Sent {
            sealed,
            delivered: response::read(200, response.as_bytes().to_vec()).unwrap(),
            attempts: 1,
            execution: Duration::from_millis(12),
            parsing: Duration::from_micros(250),
            timing: Timing { response_size: 10, ..Timing::default() },
        }
    }
    let response = concat!(
        r#"{"status":200,"id":{"tntId":"T.35_0"},"edgeHost":"mboxedge35.tt.omtrdc.net","telemetryServerToken":"tok","#,
        r#""execute":{"mboxes":[{"name":"a","index":0,"options":[{"content":1.50,"responseTokens":{"n":12345678901234567890123}}],"#,
        r#""analytics":{"payload":{"pe":"tnt","tnta":"x"}},"trace":{"t":1}},{"name":"b","index":1}]}}"#
    );
    let request =
        sealed(r#"{"request":{"execute":{"mboxes":[{"name":"a"}]}},"sessionId":"S","decisioningMethod":"hybrid"}"#);
    let answer = sent(&request, response);
    let mut remote = RawList::new();
    remote.push_text("a");
    assert_eq!(
        answer.envelope(NOW, &remote, &RawList::new()).unwrap(),
        with_made_ids(format!(
            concat!(
                r#"{{"status":200,"request":{{"requestId":"<requestId>","context":{{"timeOffsetInMinutes":0,"channel":"web"}},"#,
                r#""experienceCloud":{{"analytics":{{"supplementalDataId":"<sdid>","logging":"server_side"}}}},"#,
                r#""execute":{{"mboxes":[{{"name":"a","index":0}}]}}}},"response":{},"#,
                r#""targetCookie":{{"name":"mbox","value":"session#S#1700001860|PC#T.35_0#1763244800","maxAge":63244800}},"#,
                r#""targetLocationHintCookie":{{"name":"mboxEdgeCluster","value":"35","maxAge":1860}},"#,
                r#""visitorState":{{"ORG@AdobeOrg":{{"sdid":{{"supplementalDataIDCurrent":"<sdid>","#,
                r#""supplementalDataIDCurrentConsumed":{{"payload:target-global-mbox":true}},"supplementalDataIDLastConsumed":{{}}}}}}}},"#,
                r#""analyticsDetails":[{{"payload":{{"pe":"tnt","tnta":"x"}}}}],"responseTokens":[{{"n":12345678901234567890123}}],"#,
                r#""trace":[{{"t":1}}],"meta":{{"decisioningMethod":"server-side","requestedDecisioningMethod":"hybrid","#,
                r#""remoteMboxes":["a"],"remoteViews":[]}}}}"#
            ),
            response
        ))
    );
    assert_eq!(
        answer.telemetry_entry(NOW),
        with_made_ids(
            concat!(
                r#"{"requestId":"<requestId>","timestamp":1700000000000,"execution":12,"mode":"edge","#,
                r#""features":{"decisioningMethod":"server-side","executeMboxCount":1},"parsing":0.25,"#,
                r#""request":{"responseSize":10},"telemetryServerToken":"tok"}"#
            )
            .to_owned()
        )
    );
    // the request's cluster wins over the answer's; an edge host that is none gives no cluster
    let hinted = sealed(r#"{"request":{"context":{}},"targetLocationHint":"28"}"#);
    assert_eq!(sent(&hinted, response).cluster(), Some("28"));
    let plain = sealed(r#"{"request":{"context":{}}}"#);
    assert_eq!(sent(&plain, r#"{"edgeHost":"acme.tt.omtrdc.net"}"#).cluster(), None);
}

/// Keeps what is logged, by all tests of this file.
struct Kept(Mutex<Vec<String>>);

static KEPT: Kept = Kept(Mutex::new(Vec::new()));

impl log::Log for Kept {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        self.0.lock().unwrap().push(format!("{} {} {}", record.level(), record.target(), record.args()));
    }

    fn flush(&self) {}
}

#[test]
fn the_log_names_places_and_no_values() {
    log::set_logger(&KEPT).unwrap();
    log::set_max_level(log::LevelFilter::Trace);
    let options = json!({
        "request": {
            "id": {"tntId": "CANARY", "customerIds": [{"id": "CANARY".repeat(30)}]},
            "property": {"token": "CANARY"},
            "context": {"channel": "CANARY"},
            "trace": {"authorizationToken": "CANARY"},
            "experienceCloud": {"analytics": {"supplementalDataId": "CANARY"}},
            "execute": {"mboxes": [{"name": "a"}, {"parameters": {"secret": "CANARY"}}, "CANARY"]},
            "notifications": [{"id": "CANARY", "timestamp": 1, "type": "CANARY"}],
        },
        "visitorCookie": "MCMID|CANARY%|MCAAMB|CANARY%zz",
        "targetCookie": "session#CANARY#1999999999|PC#CANARY%#1999999999|CANARY|x#CANARY#CANARY|session#CANARY%00#1999999999",
        "sessionId": "CANARY ?",
        "customerIds": {"crm": "CANARY"},
        "tragetLocationHint": "CANARY",
    })
    .to_string();
    let options = parse_options(&options, Purpose::Offers, false).unwrap();
    let prepared = prepare(options, &acme(), None, NOW, &Numbered).unwrap();
    assert!(prepared.body(&[]).contains("CANARY"));
    let error = response::read(200, br#"{"id":{"tntId":"CANARY1234567"},"execute":7}"#.to_vec()).unwrap_err();
    assert!(!error.to_json(0, "").contains("CANARY"));

    let kept = KEPT.0.lock().unwrap();
    let has = |line: &str| assert!(kept.iter().any(|kept| kept == line), "no line {line:?} in {kept:#?}");
    has(
        "ERROR target_sdk::delivery Mbox validation failed for: /request/execute/mboxes/1 (name must be a non-empty string); dropped",
    );
    has(
        "ERROR target_sdk::delivery Mbox validation failed for: /request/execute/mboxes/2 (it is not an object); dropped",
    );
    has(
        "ERROR target_sdk::delivery Notification validation failed for: /request/notifications/0 (type must be click or display); dropped",
    );
    has("WARN target_sdk::delivery /request/id/customerIds/0/id should have 1 to 128 characters");
    has("WARN target_sdk::delivery /tragetLocationHint: unknown option; did you mean targetLocationHint?");
    has("WARN target_sdk::delivery /request/context/channel is neither web nor mobile: web is sent");
    has("WARN target_sdk::cookies a part of the mbox cookie is ignored: it has a malformed % sequence");
    has("WARN target_sdk::visitor a part of the AMCV cookie is ignored: malformed % sequence");
    has("DEBUG target_sdk::delivery the session id of the mbox cookie is used, not the one of the options");
    assert!(!kept.iter().any(|line| line.contains("CANARY")), "{kept:#?}");
}

/// JSON of any shape, with keys of the API among its keys so that it gets far.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[ -~é|#%-]{0,12}".prop_map(Value::from),
        Just(Value::from("web")),
    ];
    let key = prop_oneof![
        "[a-z~/]{0,6}",
        proptest::sample::select(vec![
            "request",
            "execute",
            "prefetch",
            "mboxes",
            "views",
            "pageLoad",
            "name",
            "index",
            "id",
            "tntId",
            "context",
            "channel",
            "property",
            "token",
            "experienceCloud",
            "analytics",
            "supplementalDataId",
            "audienceManager",
            "notifications",
            "telemetry",
            "entries",
            "customerIds",
            "visitorState",
            "ORG@AdobeOrg",
            "sdid",
            "targetCookie",
            "visitorCookie",
            "sessionId",
            "parameters",
        ])
        .prop_map(str::to_owned),
    ];
    leaf.prop_recursive(6, 60, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec((key.clone(), inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn check_prepared(text: &str) {
    for purpose in [Purpose::Offers, Purpose::Notifications] {
        let Ok(options) = parse_options(text, purpose, false) else { continue };
        let config = acme();
        let Ok(prepared) = prepare(options, &config, Some("5"), NOW, &Numbered) else { continue };
        let body: Value = serde_json::from_str(&prepared.body(&["{}".to_owned()])).unwrap();
        for required in ["requestId", "context", "experienceCloud", "telemetry"] {
            assert!(body[required].is_string() || body[required].is_object(), "{body}");
        }
        let url = endpoint::url(&config, prepared.cluster.as_deref(), &prepared.session_id);
        assert!(url.is_ascii() && !url.contains(|c: char| c.is_ascii_control() || c == ' '), "{url}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_options_give_a_request_or_an_error(options in any_json()) {
        check_prepared(&options.to_string());
        check_prepared(&json!({"request": options}).to_string());
        check_prepared(&json!({"request": {"execute": options, "context": {}}, "visitorState": {"ORG@AdobeOrg": {"sdid": {}}}}).to_string());
    }

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,60}", names in "\\PC{0,20}") {
        let _ = parse_options(&text, Purpose::Offers, true);
        let _ = attributes::parse_options(&names, &text, false);
    }

    #[test]
    fn any_cookie_is_read(text in "[session PC#|%0-9a-f.é-]{0,60}", now in any::<i64>()) {
        let _ = TargetCookie::parse(&text, now);
        let _ = VisitorCookie::parse(&text, now);
        let _ = VisitorCookie::parse(&format!("MCMID|{text}|MCAAMLH-{text}|MCAAMB%7C{text}"), now);
    }

    #[test]
    fn what_is_written_is_read_back(session in "[^\\x00-\\x1f\\x7f]{1,40}", device in "[^\\x00-\\x1f\\x7f]{1,40}", now in 0..4_000_000_000_000_i64) {
        let mut out = String::new();
        write_target_cookie(&mut out, &session, Some(&device), now);
        let cookie: Value = serde_json::from_str(&out).unwrap();
        let read = TargetCookie::parse(cookie["value"].as_str().unwrap(), now);
        prop_assert_eq!(read.session.as_deref(), Some(session.as_str()));
        prop_assert_eq!(read.device.as_deref(), Some(device.as_str()));
        // and it is gone when its time is over
        let later = TargetCookie::parse(cookie["value"].as_str().unwrap(), now + 1_861_001);
        prop_assert_eq!(later.session, None);
    }
}
