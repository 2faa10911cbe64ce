use serde_json::{Value, json};

use super::{body, query};

fn message(request: Value) -> String {
    body(&request).unwrap_err()
}

fn mbox(mbox: Value) -> Value {
    json!({"context": {"channel": "web"}, "execute": {"mboxes": [mbox]}})
}

fn notification(notification: Value) -> Value {
    json!({"context": {"channel": "web"}, "notifications": [notification]})
}

#[test]
fn queries() {
    let some = |text: &str| Some(text.to_owned());
    assert!(query(some("O@AdobeOrg"), some("s-1")).is_ok());
    assert_eq!(query(None, some("s")).unwrap_err(), "imsOrgId is required");
    assert_eq!(query(some("O"), None).unwrap_err(), "sessionId is required");
    for wrong in ["a b", "a?b", "a/b", &"x".repeat(129)] {
        assert!(query(some("O"), some(wrong)).unwrap_err().starts_with("sessionId should"), "{wrong}");
    }
}

#[test]
fn a_full_request_passes() {
    let request = json!({
        "requestId": "r", "impressionId": "i", "environmentId": 5, "unknown": [1],
        "id": {"tntId": "a.28_0", "marketingCloudVisitorId": null,
               "customerIds": [{"id": "1", "integrationCode": "crm", "authenticatedState": "authenticated"}]},
        "property": {"token": "t"}, "trace": {"authorizationToken": "t", "usage": {}},
        "context": {"channel": "mobile", "beacon": false, "timeOffsetInMinutes": -60.5,
            "mobilePlatform": {"deviceType": "phone", "platformType": "ios"},
            "screen": {"width": 1.5, "orientation": "portrait"}, "address": {"url": "https://x/"},
            "geo": {"ipAddress": " fe80::1%eth0 ", "countryCode": "DE", "stateCode": "BE", "latitude": 1.5}},
        "experienceCloud": {"audienceManager": {"locationHint": 9, "blob": "b"},
            "analytics": {"logging": "server_side", "supplementalDataId": "4832DCA602B34B1B-02B46127CD5D8C63"}},
        "execute": {"pageLoad": {}, "mboxes": [{"index": 0, "name": "a b-c", "parameters": {"a.b": "x"},
            "order": {"id": "1", "total": 1.5, "purchasedProductIds": ["a", "b"]}, "product": {"id": "p"}}]},
        "prefetch": {"views": [{}, {"name": "home"}], "pageLoad": {}, "mboxes": []},
        "notifications": [{"id": "n", "type": "display", "timestamp": 1, "tokens": ["t"], "mbox": {"name": "a"}}],
        "telemetry": {"entries": [{"requestId": "r", "timestamp": 1, "mode": "edge", "execution": 1.5,
            "features": {"decisioningMethod": "hybrid", "executeMboxCount": 1}}]},
        "qaMode": {"token": "q", "previewIndexes": [{"activityIndex": 1}]}, "preview": {"token": "p"}
    });
    assert_eq!(body(&request), Ok(()));
    assert_eq!(body(&json!({"context": {"channel": "web"}})), Ok(()), "a location hint ping");
}

#[test]
fn context_is_required() {
    assert_eq!(message(json!([])), "the request body should be an object");
    assert_eq!(message(json!({})), "context is required");
    assert_eq!(message(json!({"context": {}})), "context.channel is required");
    assert_eq!(message(json!({"context": {"channel": "Web"}})), "context.channel should be one of mobile, web");
    for (member, part) in [
        (json!({"beacon": "yes"}), "context.beacon should be a boolean"),
        (json!({"geo": {"ipAddress": "1.2.3"}}), "context.geo.ipAddress should be"),
        (json!({"geo": {"ipAddress": "1.2.3.4%1"}}), "context.geo.ipAddress should be"),
        (json!({"geo": {"countryCode": "D"}}), "context.geo.countryCode"),
        (json!({"address": {"url": "x".repeat(4097)}}), "context.address.url should have at most 4096"),
        (json!({"mobilePlatform": {"deviceType": "phone"}}), "context.mobilePlatform.platformType is required"),
    ] {
        let mut context = member;
        context["channel"] = "web".into();
        let error = message(json!({ "context": context }));
        assert!(error.starts_with(part), "{error}");
    }
}

#[test]
fn mboxes_need_an_index_and_a_name() {
    assert_eq!(message(mbox(json!({"name": "a"}))), "execute.mboxes[0].index is required");
    assert_eq!(message(mbox(json!({"index": "1", "name": "a"}))), "execute.mboxes[0].index should be an integer");
    assert_eq!(message(mbox(json!({"index": 1}))), "execute.mboxes[0].name is required");
    assert_eq!(message(mbox(json!({"index": 1, "name": " "}))), "execute.mboxes[0].name should not be blank");
    for name in ["a-clicked", "any mbox", "a\"b", "<a>", &"x".repeat(251)] {
        assert!(message(mbox(json!({"index": 1, "name": name}))).contains("mboxes[0].name"), "{name}");
    }
    assert_eq!(body(&mbox(json!({"index": 1, "name": "größe_1"}))), Ok(()));
}

#[test]
fn parameters_have_limits() {
    let many: Value = (0..51).map(|n| (format!("p{n}"), json!("x"))).collect::<serde_json::Map<_, _>>().into();
    for (parameters, part) in [
        (many, "at most 50 entries"),
        (json!({"": "x"}), "blank name"),
        (json!({"profile.x": "x"}), "not allowed"),
        (json!({"orderId": "x"}), "not allowed"),
        (json!({"a": 1}), "parameters.a should be a string"),
        (json!({"a": "x".repeat(5001)}), "at most 5000"),
        (json!({"x".repeat(129): "x"}), "at most 128"),
    ] {
        let error = message(mbox(json!({"index": 0, "name": "m", "parameters": parameters})));
        assert!(error.contains(part), "{error}");
    }
    assert_eq!(body(&mbox(json!({"index": 0, "name": "m", "profileParameters": {"orderId": "x"}}))), Ok(()));
}

#[test]
fn orders_and_products_have_limits() {
    for (details, part) in [
        (json!({"order": {"total": -1}}), "order.total should not be negative"),
        (json!({"order": {"purchasedProductIds": [""]}}), "purchasedProductIds[0]"),
        (json!({"order": {"purchasedProductIds": vec!["x".repeat(50); 5]}}), "at most 250"),
        (json!({"product": {"id": ""}}), "product.id should not be blank"),
    ] {
        let mut request = details;
        request["index"] = 0.into();
        request["name"] = "m".into();
        let error = message(mbox(request));
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn notifications_need_id_type_and_timestamp() {
    for (wrong, part) in [
        (json!({"type": "display", "timestamp": 1}), "notifications[0].id is required"),
        (
            json!({"id": "x".repeat(201), "type": "display", "timestamp": 1}),
            "notifications[0].id should have at most 200",
        ),
        (json!({"id": "n", "timestamp": 1}), "notifications[0].type is required"),
        (json!({"id": "n", "type": "view", "timestamp": 1}), "notifications[0].type should be one of"),
        (json!({"id": "n", "type": "click"}), "notifications[0].timestamp is required"),
        (json!({"id": "n", "type": "click", "timestamp": 1.5}), "notifications[0].timestamp should be an integer"),
        (json!({"id": "n", "type": "click", "timestamp": 1, "tokens": [""]}), "notifications[0].tokens[0]"),
        (
            json!({"id": "n", "type": "click", "timestamp": 1, "mbox": {"name": "x-clicked"}}),
            "notifications[0].mbox.name",
        ),
        (json!({"id": "n", "type": "click", "timestamp": 1, "mbox": {}, "view": {}}), "exclude each other"),
    ] {
        let error = message(notification(wrong));
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn the_other_members() {
    for (member, part) in [
        (json!({"requestId": "x".repeat(129)}), "requestId should have at most 128"),
        (json!({"id": {"tntId": "a.b.28_0"}}), "id.tntId"),
        (json!({"id": {"customerIds": [null]}}), "id.customerIds[0] should be an object"),
        (json!({"id": {"customerIds": [{"id": "1", "integrationCode": "c"}]}}), "authenticatedState is required"),
        (json!({"property": {}}), "property.token is required"),
        (json!({"trace": {}}), "trace.authorizationToken is required"),
        (json!({"experienceCloud": {"analytics": {"supplementalDataId": "x"}}}), "supplementalDataId"),
        (json!({"experienceCloud": {"audienceManager": {"locationHint": 0}}}), "locationHint should be between"),
        (json!({"telemetry": {"entries": [{"mode": "far"}]}}), "telemetry.entries[0].mode"),
        (json!({"qaMode": {"previewIndexes": []}}), "qaMode.previewIndexes should not be empty"),
        (json!({"execute": {"mboxes": {}}}), "execute.mboxes should be an array"),
        (json!({"prefetch": {"views": [{"name": "x".repeat(129)}]}}), "prefetch.views[0].name"),
    ] {
        let mut request = member;
        request["context"] = json!({"channel": "web"});
        let error = message(request);
        assert!(error.contains(part), "{error}");
    }
}
