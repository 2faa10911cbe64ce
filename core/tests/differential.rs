//! Bugs that the differential test against the Node SDK found.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::Arc;
use std::time::Instant;

use target_sdk_core::client::{Call, Client, Operation};
use target_sdk_core::config::Config;
use target_sdk_core::delivery::options::Purpose;
use target_sdk_core::delivery::{parse_options, prepare};
use target_sdk_core::env::{Clock, Environment, SystemRandom};
use target_sdk_core::json::{self, Json, Limits};

struct Fixed;

impl Clock for Fixed {
    fn now_ms(&self) -> i64 {
        1_767_571_200_000
    }
}

/// The envelope of a call that is decided with `artifact`.
fn decided(artifact: &str, request: &str) -> Json<'static> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let environment = Environment { clock: Arc::new(Fixed), ..Environment::system(runtime.handle().clone()) };
    let config = format!(
        r#"{{"client":"acme","organizationId":"O@AdobeOrg","decisioningMethod":"on-device","offline":true,"pollingInterval":0,
            "artifactPayload":{artifact}}}"#
    );
    let client = Client::new(&config, environment).unwrap();
    let operation = Operation::GetOffers { options: format!(r#"{{"request":{request}}}"#) };
    let Call::Ready(answer) = client.call(operation, Instant::now(), None) else { panic!("it waits") };
    json::parse(&answer.unwrap().json, &Limits::REMOTE).unwrap().into_owned()
}

fn at<'j>(json: &'j Json<'_>, path: &[&str]) -> Option<&'j Json<'j>> {
    path.iter().try_fold(json, |json, key| match key.parse::<usize>() {
        Ok(index) => json.as_array()?.get(index),
        Err(_) => json.get(key),
    })
}

const HTML: &str = r#"{"version":"1.0.0","rules":{"mboxes":{"m":[{"ruleKey":"1","condition":true,
    "consequence":{"name":"m","options":[{"type":"html","content":"${offer.name}|${none}|${nope}"},
        {"type":"actions","content":[{"content":"${none}!"}]}],"metrics":[]},
    "meta":{"activity.id":1,"offer.name":null,"audience.ids":[]}}]}}}"#;

#[test]
fn macros_with_null_values_were_left_in_the_content() {
    let envelope =
        decided(HTML, r#"{"id":{"tntId":"t"},"execute":{"mboxes":[{"name":"m","parameters":{"none":null}}]}}"#);
    let options = at(&envelope, &["response", "execute", "mboxes", "0", "options"]).unwrap();
    assert_eq!(at(options, &["0", "content"]).unwrap().as_str(), Some("null|null|${nope}"));
    assert_eq!(at(options, &["1", "content", "0", "content"]).unwrap().as_str(), Some("null!"));
}

#[test]
fn the_request_of_the_envelope_had_another_geo_than_was_given() {
    for geo in [r#"{}"#, r#"{"ipAddress":"127.0.0.300","city":"Bern"}"#] {
        let request = format!(
            r#"{{"id":{{"tntId":"t"}},"context":{{"channel":"web","geo":{geo}}},"execute":{{"mboxes":[{{"name":"m"}}]}}}}"#
        );
        let envelope = decided(HTML, &request);
        assert_eq!(at(&envelope, &["request", "context", "geo"]).map(Json::to_string).as_deref(), Some(geo));
    }
}

#[test]
fn traces_called_polling_halted_that_was_never_wanted() {
    let envelope =
        decided(HTML, r#"{"id":{"tntId":"t"},"trace":{"authorizationToken":"a"},"execute":{"mboxes":[{"name":"m"}]}}"#);
    let artifact = at(&envelope, &["trace", "0", "artifact"]).unwrap();
    assert_eq!(artifact.get("pollingInterval").and_then(Json::as_f64), Some(0.0));
    assert_eq!(artifact.get("pollingHalted").unwrap().to_string(), "false");
}

#[test]
fn an_empty_audience_manager_blob_was_dropped() {
    let config = Config::parse(r#"{"client":"acme","organizationId":"O@AdobeOrg"}"#).unwrap();
    let options = r#"{"request":{"experienceCloud":{"audienceManager":{"locationHint":9,"blob":""}}},
        "visitorCookie":"MCAAMB-1999999999|fromCookie"}"#;
    let options = parse_options(options, Purpose::Offers, false).unwrap();
    let prepared = prepare(options, &config, None, 1_767_571_200_000, &SystemRandom).unwrap();
    let cloud = prepared.request.get("experienceCloud").unwrap();
    assert_eq!(cloud.get("audienceManager").unwrap().to_string(), r#"{"locationHint":9,"blob":""}"#);
}
