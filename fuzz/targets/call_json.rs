//! The options of a call, up to the bytes of the HTTP request: whatever the options say, exactly one request goes to a
//! host of the configuration.

use std::collections::HashMap;
use std::sync::OnceLock;

use target_sdk_core::attributes;
use target_sdk_core::config::Config;
use target_sdk_core::delivery::options::Purpose;
use target_sdk_core::delivery::{Sealed, endpoint, parse_options, prepare, seal};
use target_sdk_core::fuzzing::transport;
use target_sdk_core::transport::{Method, Request};

use super::support::{NOW_MS, Repeatable, check_error, digit_and_text, json};

const CONFIGS: [&str; 5] = [
    r#"{"client":"acme","organizationId":"ORG@AdobeOrg"}"#,
    r#"{"client":"acme","organizationId":"ORG@AdobeOrg","targetLocationHint":"35","environmentId":7,"propertyToken":"p","version":"2.1"}"#,
    r#"{"client":"acme","organizationId":"ORG@AdobeOrg","serverDomain":"edge.example:8443","pinServerDomain":true}"#,
    r#"{"client":"acme","organizationId":"ORG@AdobeOrg","serverDomain":"edge.example","secure":false,"strict":true}"#,
    r#"{"client":"acme","organizationId":"ORG@AdobeOrg","decisioningMethod":"hybrid","strict":true}"#,
];

fn config(number: u8) -> &'static Config {
    static PARSED: OnceLock<Vec<Config>> = OnceLock::new();
    let all = PARSED.get_or_init(|| CONFIGS.iter().map(|text| Config::parse(text).expect("configuration")).collect());
    &all[usize::from(number) % all.len()]
}

pub(crate) fn run(data: &[u8]) {
    let Some((choice, text)) = digit_and_text(data) else { return };
    let config = config(choice / 3);
    let options = match choice % 3 {
        0 => parse_options(text, Purpose::Offers, config.strict),
        1 => parse_options(text, Purpose::Notifications, config.strict),
        // two documents, one after the other
        _ => match text.split_once('\n') {
            Some((names, options)) => attributes::parse_options(names, options, config.strict),
            None => return,
        },
    };
    let prepared = options.and_then(|options| prepare(options, config, Some("28"), NOW_MS, &Repeatable::new()));
    let prepared = match prepared {
        Ok(prepared) => prepared,
        Err(error) => return check_error(&error),
    };
    let entry = r#"{"requestId":"earlier","execution":1.5}"#;
    let sealed = seal(prepared, config, &[entry.to_owned()]);
    check_body(&sealed, entry);
    check_request(&sealed, config);
}

fn check_body(sealed: &Sealed, entry: &str) {
    let body = json(&sealed.body);
    assert_eq!(body["requestId"], sealed.request_id.as_str());
    let entries = body["telemetry"]["entries"].as_array().expect("telemetry");
    assert_eq!(entries.iter().filter(|found| **found == json(entry)).count(), 1);
    assert!(json(&sealed.visitor_state).is_object());
    assert!(!sealed.session_id.is_empty() && !sealed.request_id.is_empty());
}

/// What a server makes of the bytes.
fn check_request(sealed: &Sealed, config: &Config) {
    let request = Request {
        purpose: target_sdk_core::transport::Purpose::Delivery,
        method: Method::Post,
        url: sealed.url.as_str().into(),
        common: None,
        headers: endpoint::headers(&sealed.request_id).into(),
        body: Some(sealed.body.clone().into()),
        deadline: std::time::Instant::now().into(),
        max_retries: 0,
        max_body_bytes: 1,
        private_addresses_allowed: true,
    };
    let (url, headers) = transport::head(&request).expect("options that were accepted make a request");
    let mut wire = format!("POST {}?{} HTTP/1.1\r\n", url.path(), url.query().unwrap_or("")).into_bytes();
    for (name, value) in &headers {
        wire.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
    }
    wire.extend(format!("content-length: {}\r\n\r\n{}", sealed.body.len(), sealed.body).bytes());

    let end = wire.windows(4).position(|four| four == b"\r\n\r\n").expect("end of the head");
    let (head, body) = wire.split_at(end + 4);
    assert_eq!(body, sealed.body.as_bytes());
    let head = std::str::from_utf8(head).expect("a head of text").trim_end();
    assert!(head.bytes().all(|byte| byte == b'\r' || byte == b'\n' || (b' '..0x7f).contains(&byte)), "{head:?}");
    assert_eq!(head.matches('\r').count(), head.matches("\r\n").count());
    assert_eq!(head.matches('\n').count(), head.matches("\r\n").count());
    let mut lines = head.split("\r\n");
    let first: Vec<&str> = lines.next().unwrap_or_default().split(' ').collect();
    assert!(matches!(first[..], ["POST", path, "HTTP/1.1"] if path.starts_with("/rest/v1/delivery?")), "{first:?}");
    let mut names: Vec<&str> = lines.map(|line| line.split_once(": ").expect("a header").0).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "accept",
            "accept-encoding",
            "content-length",
            "content-type",
            "x-exc-sdk",
            "x-exc-sdk-version",
            "x-request-id"
        ]
    );

    let query: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    let expected = 2 + usize::from(config.version.is_some());
    assert_eq!(query.len(), expected, "{url}");
    let query: HashMap<String, String> = query.into_iter().collect();
    assert_eq!(query.len(), expected, "{url}");
    assert_eq!(query["imsOrgId"], config.organization_id);
    assert_eq!(query["sessionId"], sealed.session_id);
    assert_eq!(url.fragment(), None);
    let host = url.host_str().expect("a host");
    let allowed = match &sealed.cluster {
        Some(cluster) if !config.pin_server_domain => {
            host.eq_ignore_ascii_case(&format!("mboxedge{cluster}.tt.omtrdc.net"))
        }
        _ => host == "edge.example" || host == "acme.tt.omtrdc.net",
    };
    assert!(allowed, "{host}");
    assert_eq!(url.scheme(), if config.secure { "https" } else { "http" });
}
