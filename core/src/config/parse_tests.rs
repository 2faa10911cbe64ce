use super::*;
use crate::error::ErrorKind;

const LEAST: &str = r#""client":"acme","organizationId":"ORG@AdobeOrg""#;

fn with(members: &str) -> Result<Config> {
    Config::parse(&format!("{{{LEAST},{members}}}"))
}

fn refused(members: &str) -> (String, String) {
    let error = with(members).map(|_| ()).expect_err(members);
    assert_eq!(error.kind(), ErrorKind::InvalidOptions, "{members}: {error}");
    (error.path().unwrap().to_owned(), error.message().to_owned())
}

const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";

fn json_text(text: &str) -> String {
    let mut out = String::new();
    json::write_str(&mut out, text);
    out
}

#[test]
fn defaults() {
    let config = Config::parse(&format!("{{{LEAST}}}")).unwrap();
    assert_eq!((config.client.as_str(), config.organization_id.as_str()), ("acme", "ORG@AdobeOrg"));
    assert_eq!(config.decisioning_method, DecisioningMethod::ServerSide);
    assert_eq!(config.timeout, Duration::from_secs(3));
    assert_eq!(config.environment, "production");
    assert_eq!(config.cdn_base, "assets.adobetarget.com");
    assert_eq!(config.polling_interval, Some(Duration::from_secs(300)));
    assert_eq!(config.maximum_wait_ready, None);
    assert!(config.secure && config.telemetry_enabled);
    assert!(!config.pin_server_domain && !config.offline && !config.strict && !config.allow_fast_polling);
    assert!(!config.include_page_load && config.all_matching_rules_mboxes.is_empty());
    assert_eq!((config.max_in_flight, config.max_queued, config.max_retries), (256, 1024, 1));
    assert_eq!((config.max_response_bytes, config.max_artifact_bytes), (8 << 20, 64 << 20));
    assert_eq!(config.environment_id, None);
    for absent in [&config.server_domain, &config.target_location_hint, &config.property_token, &config.version] {
        assert_eq!(*absent, None);
    }
    assert_eq!(config.artifact_location, None);
    assert!(config.artifact_payload.is_none() && config.artifact_format.is_none() && config.artifact_file.is_none());
    let transport = config.transport;
    assert_eq!(transport.connect_timeout, Duration::from_secs(1));
    assert_eq!(transport.pool_idle_timeout, Duration::from_secs(20));
    assert_eq!(transport.max_idle_per_host, 64);
    assert_eq!(transport.tls_roots, TlsRoots::Auto);
    assert!(transport.proxy.is_none() && transport.tls_identity.is_none());
}

#[test]
fn everything_set() {
    let config = with(
        r#""decisioningMethod":"hybrid","timeout":1.5e3,"serverDomain":"edge.example:8443","pinServerDomain":true,
        "targetLocationHint":"28","secure":true,"environmentId":-7,"environment":"Staging","cdnEnvironment":"staging",
        "propertyToken":"f12c912a-792f","version":"2.4 β","telemetryEnabled":false,"pollingInterval":600000,
        "maximumWaitReady":250,"artifactLocation":"https://cdn.example:8443/a/rules.bin?x=1",
        "artifactPayload":{"version":"1.0.0","n":37.749290000000002},"artifactFormat":"bin","artifactFile":"/tmp/x",
        "allMatchingRulesMboxes":["a","b"],"includePageLoad":true,"maxInFlight":1,"maxQueued":0,"maxRetries":10,
        "connectTimeout":1,"poolIdleTimeout":0,"maxIdlePerHost":0,"offline":true,"strict":true,
        "proxy":{"url":"http://proxy.example:3128","username":"u","password":"p:w","noProxy":"a.example, 10.0.0.0/8"},
        "tlsRoots":"bundled","maxResponseBytes":1,"maxArtifactBytes":1000"#,
    )
    .unwrap();
    assert_eq!(config.decisioning_method, DecisioningMethod::Hybrid);
    assert_eq!(config.timeout, Duration::from_millis(1500));
    assert_eq!(config.server_domain.as_deref(), Some("edge.example:8443"));
    assert_eq!(config.target_location_hint.as_deref(), Some("28"));
    assert_eq!(config.environment_id, Some(-7));
    assert_eq!(config.environment, "staging");
    assert_eq!(config.cdn_base, "assets.staging.adobetarget.com");
    assert_eq!(config.property_token.as_deref(), Some("f12c912a-792f"));
    assert_eq!(config.version.as_deref(), Some("2.4 β"));
    assert_eq!(config.polling_interval, Some(Duration::from_secs(600)));
    assert_eq!(config.maximum_wait_ready, Some(Duration::from_millis(250)));
    assert_eq!(config.artifact_location.as_deref(), Some("https://cdn.example:8443/a/rules.bin?x=1"));
    assert_eq!(config.artifact_payload.as_deref(), Some(r#"{"version":"1.0.0","n":37.749290000000002}"#));
    assert_eq!(config.artifact_format, Some(ArtifactFormat::Bin));
    assert_eq!(config.artifact_file, Some(PathBuf::from("/tmp/x")));
    assert_eq!(config.all_matching_rules_mboxes, ["a", "b"]);
    assert!(config.include_page_load && config.pin_server_domain && config.offline && config.strict);
    assert!(!config.telemetry_enabled);
    assert_eq!((config.max_in_flight, config.max_queued, config.max_retries), (1, 0, 10));
    assert_eq!((config.max_response_bytes, config.max_artifact_bytes), (1, 1000));
    let transport = config.transport;
    assert_eq!((transport.connect_timeout.as_millis(), transport.pool_idle_timeout.as_millis()), (1, 0));
    assert_eq!((transport.max_idle_per_host, &transport.tls_roots), (0, &TlsRoots::Bundled));
    let proxy = transport.proxy.unwrap();
    assert_eq!(proxy.url, "http://proxy.example:3128");
    assert_eq!((proxy.username.as_deref(), proxy.password.as_deref()), (Some("u"), Some("p:w")));
    assert_eq!(proxy.no_proxy.as_deref(), Some("a.example, 10.0.0.0/8"));
}

#[test]
fn texts_of_the_node_sdk() {
    for (json, path, message) in [
        ("{}", "", "Options map is required"),
        ("null", "", "Options map is required"),
        ("[]", "", "Options map is required"),
        ("\"x\"", "", "Options map is required"),
        (r#"{"client":null}"#, "", "Options map is required"),
        (r#"{"organizationId":"o"}"#, "/client", "Client is required"),
        (r#"{"client":"","organizationId":"o"}"#, "/client", "Client is required"),
        (r#"{"client":"c"}"#, "/organizationId", "Organization Id is required"),
        (r#"{"client":"c","organizationId":""}"#, "/organizationId", "Organization Id is required"),
        (
            r#"{"client":"c","organizationId":"o","decisioningMethod":"Hybrid"}"#,
            "/decisioningMethod",
            "Invalid Decisioning Method.  Must be set to one of: on-device,server-side,hybrid",
        ),
    ] {
        let error = Config::parse(json).unwrap_err();
        assert_eq!((error.path(), error.message()), (Some(path), message), "{json}");
        assert_eq!(error.kind(), ErrorKind::InvalidOptions);
    }
}

#[test]
fn what_is_not_json() {
    for json in ["", "{", "{\"client\":\"a\",\"client\":\"b\"}", "\u{feff}{}", "{\"timeout\":NaN}"] {
        assert_eq!(Config::parse(json).unwrap_err().kind(), ErrorKind::InvalidJson, "{json}");
    }
}

/// Every key, with every type that it does not have: refused under its own path, naming both types.
#[test]
fn wrong_types_are_refused_by_path() {
    let samples = [("boolean", "true"), ("number", "7"), ("string", "\"x\""), ("array", "[]"), ("object", "{}")];
    let types_of = |key: &str| -> &[&str] {
        match key {
            "artifactPayload" | "tlsRoots" => &["string", "object"],
            "proxy" | "tlsIdentity" => &["object"],
            "allMatchingRulesMboxes" => &["array"],
            "pinServerDomain" | "secure" | "telemetryEnabled" | "allowFastPolling" | "includePageLoad" | "offline"
            | "strict" => &["boolean"],
            "timeout" | "environmentId" | "pollingInterval" | "maximumWaitReady" | "maxInFlight" | "maxQueued"
            | "maxRetries" | "connectTimeout" | "poolIdleTimeout" | "maxIdlePerHost" | "maxResponseBytes"
            | "maxArtifactBytes" => &["number"],
            _ => &["string"],
        }
    };
    let mut flips = 0;
    for key in KEYS {
        for (name, sample) in samples.iter().filter(|(name, _)| !types_of(key).contains(name)) {
            let json = match *key {
                "client" => format!(r#"{{"client":{sample},"organizationId":"o"}}"#),
                "organizationId" => format!(r#"{{"client":"c","organizationId":{sample}}}"#),
                _ => format!(r#"{{{LEAST},"{key}":{sample}}}"#),
            };
            let error = Config::parse(&json).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidOptions, "{json}");
            assert_eq!(error.path(), Some(format!("/{key}").as_str()), "{json}");
            let starts = format!("/{key} must be a");
            assert!(error.message().starts_with(&starts), "{json}: {error}");
            assert!(error.message().contains(&format!(" {name}")), "{json}: {error}");
            flips += 1;
        }
        let null = format!(r#"{{{LEAST},"strict":true,"{key}":null}}"#);
        if !matches!(*key, "client" | "organizationId" | "strict") {
            assert!(Config::parse(&null).is_ok(), "{null}");
        }
    }
    assert_eq!(flips, KEYS.len() * 4 - 2);
    for (members, path) in [
        (r#""allMatchingRulesMboxes":["a",5]"#, "/allMatchingRulesMboxes/1"),
        (r#""allMatchingRulesMboxes":[""]"#, "/allMatchingRulesMboxes/0"),
        (r#""proxy":{"url":5}"#, "/proxy/url"),
        (r#""proxy":{"url":"http://p","username":[]}"#, "/proxy/username"),
        (r#""proxy":{"url":"http://p","username":"u","password":5}"#, "/proxy/password"),
        (r#""proxy":{"url":"http://p","noProxy":["a"]}"#, "/proxy/noProxy"),
        (r#""tlsRoots":{"pem":5}"#, "/tlsRoots/pem"),
        (r#""tlsRoots":{"pemFile":{}}"#, "/tlsRoots/pemFile"),
        (r#""tlsIdentity":{"certificate":true,"key":"x"}"#, "/tlsIdentity/certificate"),
        (r#""tlsIdentity":{"certificate":"-----BEGIN CERTIFICATE-----","key":1}"#, "/tlsIdentity/key"),
    ] {
        assert_eq!(refused(members).0, path, "{members}");
    }
}

#[test]
fn ranges_are_named() {
    for (key, bad, range) in [
        ("timeout", "-1", "between 0 and 4294967295"),
        ("timeout", "4294967296", "between 0 and 4294967295"),
        ("timeout", "0.5", "between 0 and 4294967295"),
        ("timeout", "1e300", "between 0 and 4294967295"),
        ("pollingInterval", "-1", "between 0 and 4294967295"),
        ("maximumWaitReady", "-2", "between -1 and 4294967295"),
        ("environmentId", "18446744073709551615", "between -9223372036854775808 and 9223372036854775807"),
        ("maxInFlight", "0", "between 1 and 1000000"),
        ("maxInFlight", "1000001", "between 1 and 1000000"),
        ("maxQueued", "-1", "between 0 and 1000000"),
        ("maxRetries", "11", "between 0 and 10"),
        ("connectTimeout", "0", "between 1 and 4294967295"),
        ("poolIdleTimeout", "-1", "between 0 and 4294967295"),
        ("maxIdlePerHost", "10001", "between 0 and 10000"),
        ("maxResponseBytes", "0", "between 1 and 1073741824"),
        ("maxArtifactBytes", "1073741825", "between 1 and 1073741824"),
    ] {
        let (path, message) = refused(&format!(r#""{key}":{bad}"#));
        assert_eq!(path, format!("/{key}"));
        assert!(message.contains(range), "{message}");
    }
    assert_eq!(with(r#""timeout":4294967295"#).unwrap().timeout.as_millis(), 4_294_967_295);
}

#[test]
fn hosts_that_cannot_be() {
    for client in ["-acme", "acme-", "-"] {
        let text = format!(r#"{{"client":"{client}","organizationId":"o"}}"#);
        let error = Config::parse(&text).map(|_| ()).unwrap_err();
        assert_eq!(error.path(), Some("/client"));
        assert!(error.message().contains("part of a host name"), "{error}");
    }
    let (path, message) = refused(r#""serverDomain":"https://acme.tt.omtrdc.net""#);
    assert_eq!(path, "/serverDomain");
    assert!(message.contains("not a URL"), "{message}");
}

#[test]
fn times_with_a_meaning() {
    assert_eq!(with(r#""timeout":0"#).unwrap().timeout, Duration::from_secs(3));
    assert_eq!(with(r#""pollingInterval":0"#).unwrap().polling_interval, None);
    assert_eq!(with(r#""pollingInterval":1000"#).unwrap().polling_interval, Some(Duration::from_secs(300)));
    let fast = with(r#""pollingInterval":20,"allowFastPolling":true"#).unwrap();
    assert_eq!((fast.polling_interval, fast.allow_fast_polling), (Some(Duration::from_millis(20)), true));
    for none in ["-1", "0"] {
        assert_eq!(with(&format!(r#""maximumWaitReady":{none}"#)).unwrap().maximum_wait_ready, None);
    }
}

#[test]
fn empty_text_is_no_text() {
    let config = with(
        r#""serverDomain":"","targetLocationHint":"","environment":"","propertyToken":"","version":"",
        "artifactLocation":"","artifactFile":"","cdnBasePath":"""#,
    )
    .unwrap();
    assert_eq!(config.environment, "production");
    assert_eq!(config.cdn_base, "assets.adobetarget.com");
    assert!(config.server_domain.is_none() && config.target_location_hint.is_none() && config.version.is_none());
    assert!(config.property_token.is_none() && config.artifact_location.is_none() && config.artifact_file.is_none());
}

#[test]
fn text_that_could_break_out_is_refused() {
    let evil = ["a\r\nX: y", "a\nb", "a\u{0}b", "a b", "a/b", "a\\b", "a?b", "a#b", "a%0d", ".."];
    for key in ["client", "organizationId", "serverDomain", "targetLocationHint", "environment", "propertyToken"] {
        for text in evil.iter().filter(|text| key != "organizationId" || **text != "..") {
            let mut members = vec![("client", "c"), ("organizationId", "o")];
            members.retain(|(name, _)| *name != key);
            members.push((key, text));
            let json: Vec<String> =
                members.iter().map(|(key, text)| format!("\"{key}\":{}", json_text(text))).collect();
            let error = Config::parse(&format!("{{{}}}", json.join(","))).map(|_| ()).expect_err(text);
            assert_eq!(error.path(), Some(format!("/{key}").as_str()), "{text:?}");
            assert!(!error.message().contains(text) || text.len() < 4, "{error}");
        }
    }
    for text in ["a\r\nb", "a\u{0}", "\u{7f}"] {
        assert_eq!(refused(&format!("\"version\":{}", json_text(text))).0, "/version");
    }
    assert_eq!(refused(&format!("\"artifactFile\":{}", json_text("a\0b"))).0, "/artifactFile");
    let long = "x".repeat((256 << 10) + 1);
    assert_eq!(refused(&format!("\"artifactFile\":{}", json_text(&long))).0, "/artifactFile");
}

#[test]
fn where_artifacts_come_from() {
    for (members, path) in [
        (r#""artifactLocation":"http://cdn.example/rules.json""#, "/artifactLocation"),
        (r#""artifactLocation":"file:///etc/passwd""#, "/artifactLocation"),
        (r#""artifactLocation":"ftp://cdn.example/x","secure":false"#, "/artifactLocation"),
        (r#""artifactLocation":"rules.json","secure":false"#, "/artifactLocation"),
        (r#""artifactLocation":"https://u:p@cdn.example/","secure":false"#, "/artifactLocation"),
        (r#""artifactLocation":"https://127.0.0.1/x""#, "/artifactLocation"),
        (r#""artifactLocation":"https://169.254.169.254/x""#, "/artifactLocation"),
        (r#""artifactLocation":"https://[::ffff:10.0.0.1]/x""#, "/artifactLocation"),
        (r#""artifactLocation":"https://0x7f.1/x","secure":false"#, "/artifactLocation"),
        (r#""artifactLocation":"https://cdn.example:22/x""#, "/artifactLocation"),
        (r#""artifactLocation":"https://cdn.example/a b""#, "/artifactLocation"),
        (r#""cdnBasePath":"http://cdn.example""#, "/cdnBasePath"),
        (r#""cdnBasePath":"ftp://cdn.example","secure":false"#, "/cdnBasePath"),
        (r#""cdnBasePath":"localhost""#, "/cdnBasePath"),
        (r#""cdnBasePath":"/path""#, "/cdnBasePath"),
        (r#""cdnBasePath":"cdn.example?x""#, "/cdnBasePath"),
        (r#""cdnBasePath":"u@cdn.example""#, "/cdnBasePath"),
        (r#""cdnEnvironment":"test""#, "/cdnEnvironment"),
        (r#""artifactFormat":"xml""#, "/artifactFormat"),
    ] {
        assert_eq!(refused(members).0, path, "{members}");
    }
    let base = |members: &str| with(members).unwrap().cdn_base;
    assert_eq!(base(r#""cdnEnvironment":"development""#), "assets.staging.adobetarget.com");
    assert_eq!(base(r#""cdnEnvironment":"staging","cdnBasePath":"cdn.example/a/""#), "cdn.example/a");
    assert_eq!(base(r#""secure":false,"cdnBasePath":"http://127.0.0.1:80/a""#), "http://127.0.0.1:80/a");
    let location = with(r#""secure":false,"artifactLocation":"http://127.0.0.1:81/rules.json""#).unwrap();
    assert_eq!(location.artifact_location.as_deref(), Some("http://127.0.0.1:81/rules.json"));
}

#[test]
fn artifact_payloads() {
    let payload = |value: &str| with(&format!("\"artifactPayload\":{value}"));
    let artifact = r#"{ "version": "1.0.0", "rules": {} }"#;
    let as_text = payload(&json_text(artifact)).unwrap();
    assert_eq!(as_text.artifact_payload.as_deref(), Some(artifact));
    // Longer than other texts of a configuration may be.
    let large = format!(r#"{{"x":"{}"}}"#, "y".repeat(300 << 10));
    assert!(payload(&json_text(&large)).is_ok() && payload(&large).is_ok());
    for value in ["\"\"", "\"{\"", "\"[]\"", "\"null\""] {
        assert_eq!(refused(&format!("\"artifactPayload\":{value}")).0, "/artifactPayload", "{value}");
    }
    for value in [r#"{"a":12345678}"#, r#""{\"a\":12345678}""#] {
        let (path, _) = refused(&format!(r#""maxArtifactBytes":10,"artifactPayload":{value}"#));
        assert_eq!(path, "/artifactPayload");
    }
}

#[test]
fn unknown_keys() {
    assert!(with(r#""logger":1,"proxy":{"url":"http://p","port":1}"#).is_ok());
    for (members, path, hint) in [
        (r#""strict":true,"organisationId":"x""#, "/organisationId", Some("organizationId")),
        (r#""strict":true,"server_domain":"x""#, "/server_domain", Some("serverDomain")),
        (r#""strict":true,"a/b~c":null"#, "/a~1b~0c", None),
        (r#""strict":true,"proxy":{"url":"http://p","usrname":"x"}"#, "/proxy/usrname", Some("username")),
        (r#""strict":true,"tlsRoots":{"pemfile":"x"}"#, "/tlsRoots/pemfile", Some("pemFile")),
        (r#""strict":true,"tlsIdentity":{"cert":"x"}"#, "/tlsIdentity/cert", None),
    ] {
        let (at, message) = refused(members);
        assert_eq!(at, path);
        assert_eq!(message.contains("did you mean"), hint.is_some(), "{message}");
        assert!(message.contains(hint.unwrap_or("unknown key")), "{message}");
    }
}

#[test]
fn proxies() {
    for (members, path) in [
        (r#"{}"#, "/proxy/url"),
        (r#"{"url":""}"#, "/proxy/url"),
        (r#"{"url":"proxy:3128"}"#, "/proxy/url"),
        (r#"{"url":"ftp://proxy"}"#, "/proxy/url"),
        (r#"{"url":"http://user:hunter2@proxy"}"#, "/proxy/url"),
        (r#"{"url":"http://proxy/path"}"#, "/proxy/url"),
        (r#"{"url":"http://proxy:0"}"#, "/proxy/url"),
        (r#"{"url":"http://p","username":"a\r\nb"}"#, "/proxy/username"),
        (r#"{"url":"http://p","username":"a:b"}"#, "/proxy/username"),
        (r#"{"url":"http://p","password":"hunter2"}"#, "/proxy/username"),
        (r#"{"url":"http://p","username":"u","password":"hunter2\n"}"#, "/proxy/password"),
        (r#"{"url":"http://p","noProxy":"a b"}"#, "/proxy/noProxy"),
    ] {
        let (at, message) = refused(&format!("\"proxy\":{members}"));
        assert_eq!(at, path, "{members}");
        assert!(!message.contains("hunter2"), "{message}");
    }
    for url in ["http://p", "https://p.example:1", "socks5://[::1]:1080", "socks5h://10.0.0.1/", "HTTP://p"] {
        assert!(with(&format!(r#""proxy":{{"url":"{url}"}}"#)).is_ok(), "{url}");
    }
}

#[test]
fn trust_anchors() {
    let pem = json_text(CERTIFICATE);
    let from_text = with(&format!(r#""tlsRoots":{{"pem":{pem}}}"#)).unwrap();
    assert_eq!(from_text.transport.tls_roots, TlsRoots::Pem(CERTIFICATE.to_owned()));

    let file = std::env::temp_dir().join(format!("target-sdk-config-{}.pem", std::process::id()));
    std::fs::write(&file, CERTIFICATE).unwrap();
    let name = json_text(file.to_str().unwrap());
    let from_file = with(&format!(r#""tlsRoots":{{"pemFile":{name}}}"#));
    std::fs::remove_file(&file).unwrap();
    assert_eq!(from_file.unwrap().transport.tls_roots, TlsRoots::Pem(CERTIFICATE.to_owned()));
    let (path, message) = refused(&format!(r#""tlsRoots":{{"pemFile":{name}}}"#));
    assert_eq!(path, "/tlsRoots/pemFile");
    assert!(message.contains("No such file"), "{message}");

    for (value, path) in [
        (r#""none""#, "/tlsRoots"),
        (r#"{}"#, "/tlsRoots"),
        (r#"{"pem":"x"}"#, "/tlsRoots/pem"),
        (r#"{"pem":""}"#, "/tlsRoots/pem"),
        (r#"{"pem":"x","pemFile":"y"}"#, "/tlsRoots"),
        (r#"{"pemFile":"/dev/zero"}"#, "/tlsRoots/pemFile"),
        (r#"{"pemFile":"/"}"#, "/tlsRoots/pemFile"),
    ] {
        assert_eq!(refused(&format!("\"tlsRoots\":{value}")).0, path, "{value}");
    }
    assert_eq!(with(r#""tlsRoots":"system""#).unwrap().transport.tls_roots, TlsRoots::System);
}

#[test]
fn client_certificates() {
    let identity = |certificate: &str, key: &str| {
        format!(r#""tlsIdentity":{{"certificate":{},"key":{}}}"#, json_text(certificate), json_text(key))
    };
    let key = |label: &str| format!("-----BEGIN {label}-----\nAA==\n-----END {label}-----");
    for label in ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"] {
        let config = with(&identity(CERTIFICATE, &key(label))).unwrap();
        let found = config.transport.tls_identity.unwrap();
        assert_eq!((found.certificate_pem, found.key_pem), (CERTIFICATE.to_owned(), key(label)));
    }
    assert_eq!(refused(&identity("x", &key("PRIVATE KEY"))).0, "/tlsIdentity/certificate");
    assert_eq!(refused(&identity(CERTIFICATE, CERTIFICATE)).0, "/tlsIdentity/key");
    let (path, message) = refused(&identity(CERTIFICATE, &key("ENCRYPTED PRIVATE KEY")));
    assert_eq!(path, "/tlsIdentity/key");
    assert!(message.contains("encrypted"), "{message}");
    assert_eq!(refused(&format!(r#""tlsIdentity":{{"key":{}}}"#, json_text("x"))).0, "/tlsIdentity/certificate");
}

/// Nothing that a configuration holds in confidence is shown by `Debug`.
#[test]
fn debug_shows_no_secret() {
    let config = with(&format!(
        r#""proxy":{{"url":"http://p","username":"canary1","password":"canary2"}},
        "tlsIdentity":{{"certificate":{},"key":{}}}"#,
        json_text(CERTIFICATE),
        json_text("-----BEGIN PRIVATE KEY-----\ncanary3\n-----END PRIVATE KEY-----"),
    ))
    .unwrap();
    assert!(!format!("{config:?}").contains("canary"));
}
