//! Checks of text that becomes part of a host name, a URL or a header. What passes cannot change the meaning of what it
//! is put into.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A host with an optional port, as it stands in a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Authority<'a> {
    /// Name, IPv4 address, or IPv6 address in brackets.
    pub(super) host: &'a str,
    /// Port, if one is given.
    pub(super) port: Option<u16>,
    /// The address, if the host is one.
    pub(super) address: Option<IpAddr>,
}

impl<'a> Authority<'a> {
    /// Reads `host` or `host:port`. The error says what the text must do.
    pub(super) fn parse(text: &'a str) -> Result<Authority<'a>, &'static str> {
        if text.contains("://") {
            return Err("be a host with or without a port, not a URL: no scheme belongs there (see secure)");
        }
        if text.contains('@') {
            return Err("not contain a user name or password");
        }
        // The colon of a port comes after the brackets of an IPv6 address.
        let end_of_name = text.find(']').map_or(0, |bracket| bracket + 1);
        let (host, port) = match text.split_at(end_of_name) {
            (inside, rest) if !inside.is_empty() => {
                (inside, rest.strip_prefix(':').or((!rest.is_empty()).then_some(rest)))
            }
            _ => match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            },
        };
        let port = match port.map(|digits| (digits.bytes().all(|byte| byte.is_ascii_digit()), digits.parse::<u16>())) {
            None => None,
            Some((true, Ok(port @ 1..))) => Some(port),
            Some(_) => return Err("have a port between 1 and 65535 after the host, or end there"),
        };
        Ok(Authority { host, port, address: check_host(host)? })
    }

    /// Whether the host is an address that is not on the public internet, or a name for this machine.
    pub(super) fn is_private(&self) -> bool {
        match self.address {
            Some(IpAddr::V4(address)) => private_v4(address),
            Some(IpAddr::V6(address)) => private_v6(address),
            None => {
                let name = self.host.strip_suffix('.').unwrap_or(self.host).to_ascii_lowercase();
                name == "localhost" || name.ends_with(".localhost")
            }
        }
    }
}

fn check_host(host: &str) -> Result<Option<IpAddr>, &'static str> {
    if let Some(inside) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let address: Ipv6Addr = inside.parse().map_err(|_| "be a host; in brackets goes an IPv6 address")?;
        return Ok(Some(IpAddr::V6(address)));
    }
    let name = host.strip_suffix('.').unwrap_or(host);
    let label_fits = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    const NAME: &str = "be a host name of letters, digits, hyphens and dots (internationalised names in punycode)";
    if name.len() > 253 || !name.split('.').all(label_fits) {
        return Err(NAME);
    }
    // "127.1", "0x7f000001" and "017700000001" are addresses to some readers and names to others: only the usual form.
    let last = name.rsplit('.').next().unwrap_or(name);
    let numeric = last.bytes().all(|byte| byte.is_ascii_digit())
        || last.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("0x"))
            && last.bytes().skip(2).all(|byte| byte.is_ascii_hexdigit());
    if !numeric {
        // What begins like punycode may be none.
        return url::Host::parse(host).map(|_| None).map_err(|_| NAME);
    }
    let address: Ipv4Addr = host.parse().map_err(|_| "be a host; an IPv4 address has four decimal numbers")?;
    Ok(Some(IpAddr::V4(address)))
}

fn private_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_broadcast()
        || address.is_documentation()
        || address.is_multicast()
        || a == 0
        || a >= 240
        || (a == 100 && (64..128).contains(&b)) // shared between carriers and their customers
        || (a == 192 && b == 0 && c == 0) // protocol assignments
        || (a == 198 && (b == 18 || b == 19)) // benchmarks
}

fn private_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    let embedded = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        private_v4(Ipv4Addr::new(a, b, c, d))
    };
    match segments {
        // "::", "::1", and IPv4 addresses written as IPv6
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] => embedded(high, low),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => embedded(high, low), // NAT64
        [0x64, 0xff9b, 1, ..] => true,                                // local NAT64
        [0x2002, high, low, ..] => embedded(high, low),               // 6to4
        [0x2001, 0xdb8, ..] => true,                                  // documentation
        _ => {
            address.is_multicast()
                || segments[0] & 0xfe00 == 0xfc00 // unique local
                || segments[0] & 0xff80 == 0xfe80 // link-local, site-local
        }
    }
}

/// A URL split where it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Url<'a> {
    /// As it was given.
    pub(super) scheme: &'a str,
    /// Host and port.
    pub(super) authority: Authority<'a>,
    /// Path and query, or empty.
    pub(super) rest: &'a str,
}

impl<'a> Url<'a> {
    /// Reads an absolute URL. The error says what the text must do, and never shows the text: it may hold a password.
    pub(super) fn parse(text: &'a str) -> Result<Url<'a>, &'static str> {
        let (scheme, after) = text.split_once("://").ok_or("be a URL with a scheme, such as https://host/path")?;
        let first = after.find(['/', '?', '#']).unwrap_or(after.len());
        let (authority, rest) = after.split_at(first);
        if authority.is_empty() {
            return Err("name a host");
        }
        if rest.contains('#') {
            return Err("not have a fragment");
        }
        if !is_url_text(rest) {
            return Err("have only characters that a URL may have (others percent-encoded)");
        }
        Ok(Url { scheme, authority: Authority::parse(authority)?, rest })
    }
}

/// Visible ASCII without the characters that URL readers disagree about.
pub(super) fn is_url_text(text: &str) -> bool {
    text.bytes().all(|byte| {
        byte.is_ascii_graphic() && !matches!(byte, b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}')
    })
}

/// Whether `text` may stand for one segment of a path (it is percent-encoded there).
pub(super) fn is_path_segment(text: &str) -> bool {
    !matches!(text, "." | "..")
        && !text.chars().any(|letter| {
            letter.is_whitespace()
                || letter.is_control()
                || matches!(letter, '/' | '\\' | '?' | '#' | '%' | '"' | '<' | '>')
        })
}

/// Whether `text` has only ASCII letters, digits and characters of `others`.
pub(super) fn is_made_of(text: &str, others: &str) -> bool {
    text.chars().all(|letter| letter.is_ascii_alphanumeric() || others.contains(letter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_with_and_without_port() {
        for (text, host, port) in [
            ("acme.tt.omtrdc.net", "acme.tt.omtrdc.net", None),
            ("localhost:8080", "localhost", Some(8080)),
            ("a_b.example.com.", "a_b.example.com.", None),
            ("192.0.2.7:443", "192.0.2.7", Some(443)),
            ("[::1]", "[::1]", None),
            ("[2001:db8::1]:65535", "[2001:db8::1]", Some(65535)),
            ("xn--mnchen-3ya.de", "xn--mnchen-3ya.de", None),
            ("8com.example", "8com.example", None),
        ] {
            let authority = Authority::parse(text).unwrap();
            assert_eq!((authority.host, authority.port), (host, port), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_host() {
        let long = format!("{}.example", "a".repeat(64));
        for text in [
            "",
            ":",
            ":80",
            "a:",
            "a:0",
            "a:65536",
            "a:+80",
            "a:8 0",
            "a:80:80",
            "a b",
            "a\r\nb",
            "a\0b",
            "a/b",
            "a?b",
            "a#b",
            "user@a",
            "user:pw@a",
            "a@b:80",
            "-a.example",
            "a-.example",
            "a..example",
            ".a",
            "..",
            "[::1",
            "::1",
            "[::1]x",
            "[::1]:",
            "[127.0.0.1]",
            "[fe80::1%eth0]",
            "127.1",
            "0x7f.1",
            "0x7f000001",
            "2130706433",
            "0177.0.0.1",
            "1.2.3.256",
            "1.2.3.4.5",
            "127.0.0.1.",
            "münchen.de",
            "xn--m127.example",
            "a%2eb",
            "https://a",
            long.as_str(),
        ] {
            assert!(Authority::parse(text).is_err(), "{text:?} was taken for a host");
        }
    }

    #[test]
    fn private_hosts() {
        for text in [
            "127.0.0.1",
            "127.255.255.254:80",
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "0.0.0.0",
            "100.64.0.1",
            "255.255.255.255",
            "224.0.0.1",
            "240.0.0.1",
            "198.18.0.1",
            "192.0.0.8",
            "192.0.2.1",
            "[::]",
            "[::1]:443",
            "[::ffff:127.0.0.1]",
            "[::ffff:a9fe:a9fe]",
            "[::10.0.0.1]",
            "[fe80::1]",
            "[fec0::1]",
            "[fc00::1]",
            "[fd12::1]",
            "[ff02::1]",
            "[64:ff9b::7f00:1]",
            "[64:ff9b:1::1]",
            "[2002:7f00:1::]",
            "[2001:db8::1]",
            "localhost",
            "LOCALHOST.",
            "a.localhost",
        ] {
            assert!(Authority::parse(text).unwrap().is_private(), "{text}");
        }
        for text in [
            "8.8.8.8",
            "172.32.0.1",
            "100.128.0.1",
            "169.253.0.1",
            "[2606:4700::1111]",
            "[::ffff:8.8.8.8]",
            "[64:ff9b::808:808]",
            "assets.adobetarget.com",
            "localhost.example",
            "notlocalhost",
        ] {
            assert!(!Authority::parse(text).unwrap().is_private(), "{text}");
        }
    }

    #[test]
    fn urls() {
        let url = Url::parse("https://cdn.example:8443/a/rules.json?v=1%20").unwrap();
        assert_eq!(
            (url.scheme, url.authority.host, url.authority.port, url.rest),
            ("https", "cdn.example", Some(8443), "/a/rules.json?v=1%20")
        );
        assert_eq!(Url::parse("http://a").unwrap().rest, "");
        assert_eq!(Url::parse("http://a?x").unwrap().authority.host, "a");
        for text in [
            "",
            "a",
            "//a/b",
            "https:/a",
            "https://",
            "https:///x",
            "https://u@a/",
            "https://u:p@a/",
            "https://a/x y",
            "https://a/x#y",
            "https://a#y",
            "https://a/é",
            "https://a\\@b/",
            "https://a/\\b",
            "https://a/\r\nX: y",
            "https://a:b@c:80/",
            "https://a/`",
        ] {
            assert!(Url::parse(text).is_err(), "{text:?} was taken for a URL");
        }
    }

    /// What is let through means the same to the reader that the requests are made with.
    #[test]
    fn agrees_with_the_url_reader_of_the_transport() {
        for text in [
            "https://acme.example/",
            "https://A.Example:444/x?y",
            "http://[2001:DB8::1]:81/x",
            "http://1.2.3.4/a/../b",
            "http://a_b.example./x",
            "https://[::ffff:1.2.3.4]/",
        ] {
            let ours = Url::parse(text).unwrap();
            let theirs = reqwest::Url::parse(text).unwrap();
            assert_eq!(theirs.scheme(), ours.scheme);
            assert_eq!(theirs.port(), ours.authority.port);
            assert_eq!((theirs.username(), theirs.password()), ("", None));
            let host = theirs.host_str().unwrap();
            match ours.authority.address {
                Some(address) => {
                    assert_eq!(host.trim_matches(['[', ']']).parse::<IpAddr>().unwrap(), address, "{text}");
                }
                None => assert_eq!(host, ours.authority.host.to_ascii_lowercase(), "{text}"),
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn any_host_that_passes_is_the_host_of_its_url(text in "[a-z0-9.:@/?#\\\\_%\\[\\]x-]{1,20}") {
            if let Ok(ours) = Authority::parse(&text) {
                let theirs = reqwest::Url::parse(&format!("https://{text}/"));
                // Names such as xn--0 are refused there, which is safe.
                if let Ok(theirs) = theirs {
                    proptest::prop_assert_eq!(theirs.port().or(Some(443)), ours.port.or(Some(443)));
                    proptest::prop_assert!(theirs.username().is_empty() && theirs.path() == "/");
                    if ours.address.is_none() {
                        proptest::prop_assert_eq!(theirs.host_str(), Some(ours.host));
                    }
                }
            }
        }
    }

    #[test]
    fn path_segments() {
        for text in ["production", "my-env.2", "f12c912a-792f", "é", "..."] {
            assert!(is_path_segment(text), "{text}");
        }
        for text in [".", "..", "a/b", "a\\b", "a b", "a\r\n", "a%2f", "a?b", "a#b", "\0", "a\u{a0}b"] {
            assert!(!is_path_segment(text), "{text:?}");
        }
    }
}
