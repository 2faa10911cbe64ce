//! Where an artifact may come from: a table of places that a URL could try to reach, and of ways to write them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod transport_support;

use serde_json::json;
use target_sdk_core::config::Config;
use target_sdk_core::error::{ErrorKind, Phase};
use target_sdk_core::transport::{Request, Transport};
use transport_support::{config, get, within};

/// Hosts of this machine, of its network, or of nobody.
const PRIVATE: &[&str] = &[
    // as they are
    "127.0.0.1",
    "127.1.2.3",
    "0.0.0.0",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.254",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "192.0.0.1",
    "192.0.2.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    // in other clothes
    "2130706433",
    "0x7f000001",
    "0x7F.0.0.1",
    "0177.0.0.1",
    "017700000001",
    "127.1",
    "127.0.1",
    "0",
    "0x0",
    "0x7f.1",
    "127.0.0.1.",
    "0300.0250.1.1",
    "0xc0a80101",
    "3232235777",
    "0xa9fea9fe",
    "2852039166",
    "169.254.43518",
    "0251.0376.0251.0376",
    "0xA9.0xFE.0xA9.0xFE",
    "１２７.０.０.１",
    "127。0。0。1",
    "⑯⑨.254.169.254",
    "%31%32%37.0.0.1",
    "127.0.0.1%00",
    "127.0.0.1%2f",
    // as version 6
    "[::1]",
    "[::]",
    "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::ffff:a9fe:a9fe]",
    "[::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]",
    "[fe80::1]",
    "[fe80::1%25eth0]",
    "[fc00::1]",
    "[fd00:ec2::254]",
    "[ff02::1]",
    "[2001:db8::1]",
    "[100::1]",
    // by name
    "localhost",
    "LOCALHOST",
    "localhost.",
    "LocalHost.",
    "ｌｏｃａｌｈｏｓｔ",
];

/// Names and addresses of the internet.
const PUBLIC: &[&str] = &[
    "assets.adobetarget.com",
    "ASSETS.ADOBETARGET.COM",
    "assets.adobetarget.com:443",
    "assets.adobetarget.com:8443",
    "1.1.1.1",
    "8.8.8.8:1024",
    "[2606:4700::1111]",
    "[2606:4700::1111]:8443",
    "xn--bcher-kva.example",
    "a-b.c-d.example",
];

/// URLs that lead astray otherwise.
const CROOKED: &[&str] = &[
    "http://assets.adobetarget.com/r",
    "ftp://assets.adobetarget.com/r",
    "file:///etc/passwd",
    "gopher://a.example/",
    "data:application/json,{}",
    "javascript:1",
    "//a.example/r",
    "a.example/r",
    "https:a.example",
    "https:///r",
    "https://",
    "https://user@a.example/r",
    "https://user:password@a.example/r",
    "https://a.example@127.0.0.1/r",
    "https://127.0.0.1#@a.example/",
    "https://127.0.0.1?@a.example/",
    "https://a.example\\@127.0.0.1/r",
    "https:\\\\127.0.0.1\\r",
    "https://127.0.0.1\\.a.example/r",
    "https://a.example:22/r",
    "https://a.example:80/r",
    "https://a.example:1023/r",
    "https://a.example:0/r",
    "https://a.example:65536/r",
    "https://a.example:port/r",
    "https://a.example:-1/r",
    "https://a b/r",
    "https://a.example/r\r\nhost: evil",
    "https://a.example/\u{0}",
    "https://[::1/r",
    "https://[127.0.0.1]/r",
    "https://1.2.3/4@127.0.0.1/",
    "https://256.256.256.256/r",
    "https://a..example/r",
    "https://.example/r",
    "https://-/r",
    "https://xn--/r",
    "\u{1}https://a.example/r",
    " https://a.example/r",
    "https://a.example/r ",
    "https://a\u{ad}.example:22/",
];

fn accepted(location: &str) -> bool {
    let text =
        json!({"client": "c", "organizationId": "o", "decisioningMethod": "on-device", "artifactLocation": location})
            .to_string();
    match Config::parse(&text) {
        Ok(_) => true,
        Err(error) => {
            assert_eq!(
                (error.kind(), error.path()),
                (ErrorKind::InvalidOptions, Some("/artifactLocation")),
                "{location}: {error}"
            );
            false
        }
    }
}

#[tokio::test]
async fn no_way_of_writing_a_private_host_leads_there() {
    assert!(PRIVATE.len() >= 60);
    let transport = Transport::new(&config()).unwrap();
    let mut by_configuration = 0;
    for host in PRIVATE {
        for url in [format!("https://{host}/rules.json"), format!("https://{host}:8443/rules.json")] {
            if !accepted(&url) {
                by_configuration += 1;
            }
            // Whatever the configuration says (a name may become private later): the transport refuses it, too.
            let request = Request { private_addresses_allowed: false, ..within(5_000, get(&url)) };
            let error = transport.send(request).await.map(|_| ()).expect_err(&url);
            let refused =
                error.message().contains("refused here") && error.kind() == ErrorKind::Network && !error.retryable();
            let is_no_url = error.kind() == ErrorKind::InvalidOptions;
            // Some resolvers do not know `localhost.`.
            let is_unknown = error.phase() == Some(Phase::Dns);
            assert!(refused || is_no_url || is_unknown, "{url}: {error:?}");
        }
    }
    assert!(by_configuration >= 2 * PRIVATE.len() - 10, "{by_configuration} of {}", 2 * PRIVATE.len());
}

#[test]
fn public_hosts_are_accepted_and_crooked_urls_are_not() {
    for host in PUBLIC {
        assert!(accepted(&format!("https://{host}/rules.json")), "{host}");
    }
    for url in CROOKED {
        assert!(!accepted(url), "{url:?}");
    }
}

/// Names that look like Adobe's are other names: they are looked up as what they are.
#[tokio::test]
async fn homographs_are_other_hosts() {
    let transport = Transport::new(&config()).unwrap();
    for (lookalike, real) in [("аssets.invalid", "xn--ssets-3ve.invalid"), ("assets.ｉnvalid", "assets.invalid")] {
        let request =
            Request { private_addresses_allowed: false, ..within(5_000, get(format!("https://{lookalike}/r"))) };
        let error = transport.send(request).await.map(|_| ()).unwrap_err();
        assert!(error.message().contains(real), "{error}");
        assert!(!accepted(&format!("https://{lookalike}/r")), "a configuration names hosts in ASCII");
    }
}
