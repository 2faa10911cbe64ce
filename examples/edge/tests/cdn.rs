//! The artifact CDN, the geo look-up and the demo data.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod support;

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};
use support::{DATA, demo, start};

#[test]
fn the_artifact_has_an_etag() {
    let edge = demo("");
    let text = fs::read_to_string(format!("{DATA}/artifact.json")).unwrap();
    let first = edge.get("/demo/production/v1/rules.json");
    assert_eq!((first.status, first.text()), (200, text.clone()));
    let etag = first.header("etag").to_owned();
    assert!(etag.starts_with('"') && etag.ends_with('"'), "{etag}");
    assert_eq!(first.header("x-geo-city"), "SAN FRANCISCO");

    let again = edge.send("GET", "/demo/staging/v1/property-token/rules.json", &[("if-none-match", &etag)], "");
    assert_eq!((again.status, again.body.len(), again.header("etag")), (304, 0, etag.as_str()));
    let other = edge.send("GET", "/demo/production/v1/rules.json", &[("if-none-match", "\"old\"")], "");
    assert_eq!((other.status, other.text()), (200, text));
    assert_eq!(edge.get("/demo/production/v2/rules.json").status, 404);
    assert_eq!(start("").get("/demo/production/v1/rules.json").status, 404);
}

#[test]
fn a_changed_file_is_a_new_version() {
    let path = std::env::temp_dir().join(format!("target-edge-artifact-{}.json", std::process::id()));
    fs::write(&path, r#"{"version":"1.0.0","rules":{}}"#).unwrap();
    let edge = start(&format!("--artifact {}", path.display()));
    let first = edge.get("/c/production/v1/rules.json").header("etag").to_owned();
    fs::write(&path, r#"{"version":"1.0.0","rules":{"mboxes":{}}}"#).unwrap();
    let second = edge.send("GET", "/c/production/v1/rules.json", &[("if-none-match", &first)], "");
    assert_eq!(second.status, 200);
    assert_ne!(second.header("etag"), first);
    fs::write(&path, "broken").unwrap();
    let third = edge.get("/c/production/v1/rules.json");
    assert_eq!(third.header("etag"), second.header("etag"), "the last good version stays");
    fs::remove_file(&path).unwrap();
}

#[test]
fn the_binary_form_is_made_for_an_organization() {
    let edge = demo("--org SOME@AdobeOrg");
    let text = fs::read_to_string(format!("{DATA}/artifact.json")).unwrap();
    let reply = edge.get("/demo/production/v1/rules.bin");
    assert_eq!(reply.status, 200);
    assert_eq!(&reply.body[..8], b"ATOD:001");
    let key = [b"SOME@AdobeOrg", &reply.body[8..40]].concat();
    let plain = reply.body[40..].iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
    assert_eq!(String::from_utf8(plain).unwrap(), text);
    let etag = reply.header("etag");
    assert_eq!(edge.send("GET", "/demo/production/v1/rules.bin", &[("if-none-match", etag)], "").status, 304);
    assert_ne!(edge.get("/demo/production/v1/rules.json").header("etag"), etag);
}

#[test]
fn geo_answers_in_body_and_headers() {
    let edge = demo("");
    let reply = edge.send("GET", "/v1/geo", &[("x-forwarded-for", "203.0.113.7, 10.0.0.1")], "");
    assert_eq!(
        reply.json(),
        json!({"x-geo-latitude": 52.52, "x-geo-longitude": 13.4, "x-geo-country-code": "DE",
               "x-geo-region-code": "BE", "x-geo-city": "BERLIN", "x-forwarded-for": "203.0.113.7"})
    );
    assert_eq!((reply.header("x-geo-latitude"), reply.header("x-geo-city")), ("52.52", "BERLIN"));
    let peer = start("").get("/v1/geo").json();
    assert_eq!((&peer["x-forwarded-for"], &peer["x-geo-city"]), (&json!("127.0.0.1"), &json!("SAN FRANCISCO")));
    assert_eq!(peer["x-geo-latitude"], 37.75);
}

/// The demo must show the same thing server-side and on-device.
#[test]
fn the_demo_artifact_fits_the_demo_offers() {
    let read =
        |name: &str| -> Value { serde_json::from_str(&fs::read_to_string(format!("{DATA}/{name}")).unwrap()).unwrap() };
    let (artifact, offers) = (read("artifact.json"), read("offers.json"));
    assert_eq!(artifact["version"], "1.0.0");
    for (section, list) in [("mboxes", "localMboxes"), ("views", "localViews")] {
        let rules = artifact["rules"][section].as_object().unwrap();
        let names: BTreeSet<_> = rules.keys().map(String::as_str).collect();
        let listed: BTreeSet<_> =
            artifact[list].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
        assert_eq!(names, listed);
        for (name, rules) in rules {
            let contents: Vec<_> = rules
                .as_array()
                .unwrap()
                .iter()
                .map(|rule| {
                    assert_eq!(rule["consequence"]["name"], *name);
                    assert_eq!(rule["meta"]["location.name"], *name);
                    assert_eq!(rule["activityId"], rule["meta"]["activity.id"]);
                    assert!(rule["ruleKey"].is_string() && !rule["condition"].is_null());
                    &rule["consequence"]["options"][0]["content"]
                })
                .collect();
            let entry = if name == "target-global-mbox" { &offers["pageLoad"] } else { &offers[section][name] };
            let option = entry.get("options").unwrap_or(entry).get(0).unwrap();
            assert!(contents.contains(&&option["content"]), "{name}");
        }
    }
    let halves: Vec<_> = artifact["rules"]["mboxes"]["homepage-hero"]
        .as_array()
        .unwrap()
        .iter()
        .map(|rule| &rule["condition"])
        .collect();
    assert_eq!(*halves[0], json!({"<": [{"var": "allocation"}, 50]}));
    assert_eq!(*halves[1], json!({">=": [{"var": "allocation"}, 50]}));
}
