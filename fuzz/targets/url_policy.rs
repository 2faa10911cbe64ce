//! Where requests may go: what the policy accepts is judged once more, by the parser that browsers have.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use target_sdk_core::config::Config;
use target_sdk_core::fuzzing::{artifact, transport};
use url::{Host, Url};

pub(crate) fn run(data: &[u8]) {
    let mut octets = [0; 16];
    octets.iter_mut().zip(data).for_each(|(to, from)| *to = *from);
    addresses(octets);

    let Ok(text) = std::str::from_utf8(data) else { return };
    for key in ["artifactLocation", "cdnBasePath"] {
        if let Some(url) = location(key, text) {
            check(&url);
        }
    }
    literal(text);
    if let Some((from, to)) = text.split_once('\n') {
        redirect(from, to);
    }
}

/// The artifact's URL, if a client takes this configuration.
fn location(key: &str, text: &str) -> Option<String> {
    let config = serde_json::json!({"client": "acme", "organizationId": "O@AdobeOrg", key: text}).to_string();
    artifact::location(&Config::parse(&config).ok()?).ok()
}

/// What was accepted without `secure: false`.
fn check(location: &str) {
    let url = Url::parse(location).unwrap_or_else(|error| panic!("{error}: {location}"));
    assert_eq!(url.scheme(), "https", "{location}");
    assert!(url.username().is_empty() && url.password().is_none(), "{location}");
    assert!(url.port().is_none_or(|port| port >= 1024), "{location}");
    match url.host().expect("a host") {
        Host::Ipv4(address) => assert!(!is_inside(address.into()), "{location}"),
        Host::Ipv6(address) => assert!(!is_inside(address.into()), "{location}"),
        Host::Domain(name) => {
            // No name that is an address for some other reader.
            let name = name.trim_end_matches('.');
            assert!(!name.is_empty() && name != "localhost" && !name.ends_with(".localhost"), "{location}");
            assert!(name.parse::<IpAddr>().is_err(), "{location}");
        }
    }
}

/// The networks that a server on the internet is never in; written down again, without a look at the policy.
fn is_inside(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let networks: [(u32, u32); 8] = [
                (0x0000_0000, 8),
                (0x0a00_0000, 8),
                (0x6440_0000, 10),
                (0x7f00_0000, 8),
                (0xa9fe_0000, 16),
                (0xac10_0000, 12),
                (0xc0a8_0000, 16),
                (0xe000_0000, 3),
            ];
            networks.iter().any(|(network, bits)| (u32::from(address) ^ network) >> (32 - bits) == 0)
        }
        IpAddr::V6(address) => {
            let number = u128::from(address);
            let inner = Ipv4Addr::from(number as u32);
            number <= 1
                || number >> 121 == 0xfc >> 1
                || number >> 118 == 0xfe80 >> 6
                || number >> 120 == 0xff
                || (number >> 32 == 0xffff && is_inside(inner.into()))
                || (number >> 32 == 0 && is_inside(inner.into()))
                || (number >> 32 == 0x0064_ff9b << 64 && is_inside(inner.into()))
                || (number >> 112 == 0x2002 && is_inside(Ipv4Addr::from((number >> 80) as u32).into()))
        }
    }
}

fn addresses(octets: [u8; 16]) {
    let v6 = Ipv6Addr::from(octets);
    let v4 = Ipv4Addr::new(octets[0], octets[1], octets[2], octets[3]);
    for address in [IpAddr::V6(v6), IpAddr::V4(v4)] {
        assert!(!(transport::is_public(address) && is_inside(address)), "{address}");
    }
    // An address is not more public for being written as an IPv6 address.
    let plain = transport::is_public(v4.into());
    let number = u128::from(u32::from(v4));
    for wrapped in [0xffff << 32 | number, 0x0064_ff9b << 96 | number, 0x2002 << 112 | number << 80] {
        assert_eq!(transport::is_public(Ipv6Addr::from(wrapped).into()), plain, "{v4}");
    }
}

/// However an address is written, the policy sees the address that would be connected to.
fn literal(text: &str) {
    let Some(found) = transport::literal_address(text) else { return };
    let url = Url::parse(text).expect("what is accepted is a URL");
    assert!(matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none());
    let expected = match url.host().expect("a host") {
        Host::Ipv4(address) => Some(IpAddr::V4(address)),
        Host::Ipv6(address) => Some(IpAddr::V6(address)),
        Host::Domain(_) => None,
    };
    assert_eq!(found, expected, "{text}");
}

fn redirect(from: &str, to: &str) {
    let Some(reached) = transport::redirected(from, to) else { return };
    let from = Url::parse(from).expect("what was followed began at a URL");
    let owner = |url: &Url| match url.host().expect("a host") {
        // The least that two names of one registrable domain have in common.
        Host::Domain(name) => name.trim_end_matches('.').rsplitn(3, '.').take(2).map(str::to_owned).collect(),
        _ => Vec::new(),
    };
    let same_owner = owner(&from).len() == 2 && owner(&from) == owner(&reached);
    assert!(reached.host() == from.host() || same_owner, "{to}");
    assert!(reached.scheme() == "https" || (reached.scheme() == "http" && from.scheme() == "http"), "{to}");
    assert!(reached.username().is_empty() && reached.password().is_none(), "{to}");
}
