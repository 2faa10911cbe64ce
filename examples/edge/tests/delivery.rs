//! What the Delivery API answers.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod support;

use serde_json::{Value, json};
use support::{DATA, DELIVERY, HERO, demo, start};

fn request(members: Value) -> String {
    let mut request = members;
    request["context"] = json!({"channel": "web"});
    request.to_string()
}

#[test]
fn wrong_requests_are_answered_400_in_the_shape_of_target() {
    let edge = demo("");
    let web = r#"{"context":{"channel":"web"}}"#;
    for (path, body, message) in [
        ("/rest/v1/delivery?sessionId=s", web, "imsOrgId is required"),
        ("/rest/v1/delivery?imsOrgId=O", web, "sessionId is required"),
        (
            "/rest/v1/delivery?imsOrgId=O&sessionId=a%2Fb",
            web,
            "sessionId should be printable, without blanks, `?` and `/`",
        ),
        (DELIVERY, "", "a request body is required"),
        (DELIVERY, "[]", "the request body should be an object"),
        (DELIVERY, "{}", "context is required"),
        (DELIVERY, r#"{"context":{}}"#, "context.channel is required"),
        (
            DELIVERY,
            r#"{"context":{"channel":"web"},"prefetch":{"mboxes":[{"index":0}]}}"#,
            "prefetch.mboxes[0].name is required",
        ),
    ] {
        let reply = edge.send("POST", path, &[], body);
        assert_eq!((reply.status, reply.json()), (400, json!({"status": 400, "message": message})));
        assert_eq!(reply.header("content-type"), "application/json;charset=UTF-8");
    }
    let reply = edge.deliver("{\"context\":");
    assert_eq!(reply.status, 400);
    assert!(reply.json()["message"].as_str().unwrap().starts_with("the request body is not valid JSON"));
    assert_eq!(edge.get("/rest/v1/delivery").status, 405);
    assert_eq!(edge.get("/nowhere").json()["status"], 404);
}

#[test]
fn identities_are_kept_or_made() {
    let edge = demo("--cluster 35 --client acme");
    let reply = edge.deliver(&request(json!({"requestId": "r-1", "id": {"tntId": "abc", "thirdPartyId": "t"}}))).json();
    assert_eq!(reply["requestId"], "r-1");
    assert_eq!(reply["id"], json!({"tntId": "abc", "thirdPartyId": "t"}));
    assert_eq!(reply["edgeHost"], "mboxedge35.tt.omtrdc.net");
    assert_eq!(reply["client"], "acme");
    assert_eq!(reply.get("execute"), None);

    let made = edge.deliver(&request(json!({"id": {"marketingCloudVisitorId": "m"}}))).json();
    assert_eq!(made["id"]["marketingCloudVisitorId"], "m");
    let (id, hint) = made["id"]["tntId"].as_str().unwrap().split_once('.').unwrap();
    assert_eq!(hint, "35_0");
    assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
    assert_eq!(made["requestId"].as_str().unwrap().len(), 36);
    assert!(!made["telemetryServerToken"].as_str().unwrap().is_empty());
    let third = edge.deliver(&request(json!({"id": {"thirdPartyId": "t"}}))).json();
    assert_eq!(third["id"], json!({"thirdPartyId": "t"}), "decided by it, as an SDK does");
    let again = edge.deliver(&request(json!({}))).json();
    assert_ne!(again["id"]["tntId"], made["id"]["tntId"]);
    assert_ne!(again["requestId"], made["requestId"]);
}

#[test]
fn clients_are_recognised() {
    let any = demo("");
    let host = |host| any.connect_with_host(host);
    assert_eq!(host("acme.tt.omtrdc.net")["client"], "acme");
    assert_eq!(host("mboxedge28.tt.omtrdc.net:443")["client"], "demo", "the artifact's");
    assert_eq!(any.send("POST", &format!("{DELIVERY}&client=q"), &[], HERO).json()["client"], "q");

    let only = start("--client acme --org O@AdobeOrg");
    assert_eq!(only.deliver(HERO).json()["client"], "acme");
    assert_eq!(only.send("POST", &format!("{DELIVERY}&client=q"), &[], HERO).status, 400);
    assert_eq!(only.send("POST", "/rest/v1/delivery?imsOrgId=P&sessionId=s", &[], HERO).status, 400);
    assert_eq!(only.get("/other/production/v1/rules.json").status, 403);
}

impl support::Running {
    /// The hero asked for under another host name.
    fn connect_with_host(&self, host: &str) -> Value {
        use std::io::Write;
        let mut client = self.connect();
        let text = format!("POST {DELIVERY} HTTP/1.1\r\nhost: {host}\r\ncontent-length: {}\r\n\r\n{HERO}", HERO.len());
        client.stream.write_all(text.as_bytes()).unwrap();
        client.read().unwrap().json()
    }
}

#[test]
fn offers_are_served() {
    let edge = start(&format!("--offers {DATA}/offers.json"));
    let offers: Value = serde_json::from_str(&std::fs::read_to_string(format!("{DATA}/offers.json")).unwrap()).unwrap();
    let mboxes = json!([{"index": 0, "name": "demo-engineering-flags"}, {"index": 7, "name": "nobody-knows"},
        {"index": 8, "name": "newsletter-a4t"}]);
    let reply = edge
        .deliver(&request(json!({
            "execute": {"pageLoad": {}, "mboxes": mboxes}, "prefetch": {"mboxes": mboxes, "views": [{"name": "home"}]}})))
        .json();
    let flags = &reply["execute"]["mboxes"][0]["options"][0];
    let expected = json!({"searchProviderId": 143, "cdnHostname": "cdn.cloud.corp.net", "hasLegacyAccess": false});
    assert_eq!((&flags["type"], &flags["content"]), (&json!("json"), &expected));
    assert_eq!(flags.get("eventToken"), None);
    assert_eq!(flags["responseTokens"], offers["mboxes"]["demo-engineering-flags"][0]["responseTokens"]);
    assert_eq!(reply["execute"]["mboxes"][1], json!({"index": 7, "name": "nobody-knows"}));
    assert_eq!(reply["execute"]["mboxes"][2]["analytics"]["payload"]["pe"], "tnt");
    assert_eq!(reply["execute"]["pageLoad"]["options"][0]["type"], "actions");
    assert_eq!(reply["prefetch"]["mboxes"][0]["options"][0]["eventToken"], "edge-flags-a");
    assert_eq!(reply["prefetch"]["views"].as_array().unwrap().len(), 1);
    assert_eq!(reply["prefetch"]["views"][0]["metrics"][0]["type"], "click");
}

#[test]
fn notifications_are_acknowledged_and_beacons_have_no_answer() {
    let edge = demo("");
    let notification = |id: &str| json!({"id": id, "type": "display", "timestamp": 1, "tokens": ["t"]});
    let reply = edge.deliver(&request(json!({"notifications": [notification("a"), notification("b")]}))).json();
    assert_eq!(reply["notifications"], json!([{"id": "a"}, {"id": "b"}]));
    let reply = edge.deliver(r#"{"context":{"channel":"web","beacon":true}}"#);
    assert_eq!((reply.status, reply.body.len()), (204, 0));
    let reply = edge.deliver(&request(json!({"notifications": [notification("a"), {"id": "b"}]})));
    assert_eq!(reply.status, 400, "one mistake spoils all");
}

#[test]
fn a_trace_is_given_when_asked_for() {
    let edge = start(&format!("--client demo --offers {DATA}/offers.json"));
    let asked = json!({"trace": {"authorizationToken": "x"}, "execute": {"mboxes": [{"index": 0, "name": "homepage-hero"}]},
        "prefetch": {"views": [{}]}});
    let reply = edge.deliver(&request(asked)).json();
    let trace = &reply["execute"]["mboxes"][0]["trace"];
    assert_eq!(trace["clientCode"], "demo");
    assert_eq!(
        trace["request"],
        json!({"sessionId": "s1", "mbox": {"type": "execute", "index": 0, "name": "homepage-hero"}})
    );
    assert_eq!(reply["prefetch"]["views"][1]["trace"]["request"]["view"]["name"], "cart");
    assert_eq!(edge.deliver(HERO).json()["execute"]["mboxes"][0].get("trace"), None);
}

#[test]
fn a_fixed_status_and_a_delay() {
    let edge = demo("--status 503 --delay 120");
    let before = std::time::Instant::now();
    let reply = edge.deliver(HERO);
    assert!(before.elapsed().as_millis() >= 120);
    assert_eq!((reply.status, reply.json()["status"].as_u64()), (503, Some(503)));
    assert_eq!(edge.get("/v1/geo").status, 200);
    let reply = demo("--status 201").deliver(HERO);
    assert_eq!((reply.status, reply.json()["status"].as_u64()), (201, Some(200)));
}

#[test]
fn what_arrives_is_kept_byte_by_byte() {
    let edge = demo("");
    let body = "{ \"context\" : {\"channel\":\"web\"},\n\t\"x\": \"\\u00e4 ä 1.0\" }";
    let before = target_time();
    edge.send("POST", DELIVERY, &[("X-EXC-SDK", "Mine"), ("x-request-id", "1")], body);
    edge.deliver("not JSON");
    edge.get("/v1/geo");
    let all = edge.get("/debug/received").json();
    assert_eq!(all.as_array().unwrap().len(), 3);
    let first = &all[0];
    assert_eq!((&first["method"], &first["path"]), (&json!("POST"), &json!("/rest/v1/delivery")));
    assert_eq!(first["query"], "imsOrgId=O%40AdobeOrg&sessionId=s1");
    assert_eq!(first["body"], body);
    assert_eq!((&first["headers"]["x-exc-sdk"], &first["protocol"]), (&json!("Mine"), &json!("HTTP/1.1")));
    assert!(first["at"].as_u64().unwrap() >= before);
    assert_eq!(all[1]["body"], "not JSON");
    assert_ne!(all[0]["connection"], all[1]["connection"]);
    let geo = edge.get("/debug/received?path=/v1/geo").json();
    assert_eq!(geo.as_array().unwrap().len(), 1);

    assert_eq!(edge.send("DELETE", "/debug/received", &[], "").status, 204);
    assert_eq!(edge.get("/debug/received").json(), json!([]));
    let stats = edge.get("/debug/stats").json();
    assert_eq!((&stats["requests"], &stats["delivery"], &stats["geo"]), (&json!(3), &json!(2), &json!(1)));
    assert!(stats["connections"].as_u64().unwrap() >= 6);
}

fn target_time() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}

#[test]
fn a_decider_may_take_the_place_of_the_offers() {
    use std::sync::Arc;
    use target_edge::Edge;
    use target_edge::decider::{Decider, Decision, Question};
    use target_edge::options::Options;

    struct ByVisitor;
    impl Decider for ByVisitor {
        fn decide(&self, question: &Question<'_>) -> Result<Decision, String> {
            match question.request["id"]["tntId"].as_str() {
                Some("trouble") => Err("no decision".to_owned()),
                id => Ok(Decision { execute: Some(json!({ "for": id, "of": question.client })), prefetch: None }),
            }
        }
    }

    let runtime = tokio::runtime::Runtime::new().unwrap();
    let edge = runtime.block_on(Edge::start_with(Options::default(), Some(Arc::new(ByVisitor)))).unwrap();
    let edge = support::Running { edge, runtime };
    let reply = edge.deliver(&request(json!({"id": {"tntId": "v.28_0"}}))).json();
    assert_eq!(reply["execute"], json!({"for": "v.28_0", "of": "local"}));
    let reply = edge.deliver(&request(json!({"id": {"tntId": "trouble"}})));
    assert_eq!((reply.status, reply.json()), (500, json!({"status": 500, "message": "no decision"})));
}
