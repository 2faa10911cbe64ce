//! Where an artifact's redirects may lead.

use reqwest::Url;

const REDIRECTS: u32 = 3;

/// Where a redirect leads, if it may be followed: same registrable domain, never less secure.
pub(super) fn redirected(from: &Url, location: &str, count: u32) -> Result<Url, &'static str> {
    if count > REDIRECTS {
        return Err("too many redirects");
    }
    if location.is_empty() || location.bytes().any(|byte| byte.is_ascii_control()) {
        return Err("a redirect without a usable location");
    }
    let to = from.join(location).map_err(|_| "a redirect to something that is not a URL")?;
    if to.scheme() != from.scheme() && to.scheme() != "https" {
        return Err("a redirect from https to another scheme is not followed");
    }
    if !same_owner(from, &to) {
        return Err("a redirect to another host is not followed");
    }
    if to.port() != from.port() && to.port().is_some_and(|port| port < 1024) {
        return Err("a redirect to another service's port is not followed");
    }
    if !to.username().is_empty() || to.password().is_some() {
        return Err("a redirect with a user name or password is not followed");
    }
    Ok(to)
}

/// Whether the hosts are the same, or names under the same registrable domain.
fn same_owner(one: &Url, other: &Url) -> bool {
    let domain = |url: &'_ Url| match url.host()? {
        url::Host::Domain(name) => {
            let domain = psl::domain(name.trim_end_matches('.').as_bytes())?;
            let known = domain.suffix().is_known();
            known.then(|| String::from_utf8_lossy(domain.as_bytes()).into_owned())
        }
        url::Host::Ipv4(_) | url::Host::Ipv6(_) => None,
    };
    one.host() == other.host() || domain(one).is_some_and(|owner| domain(other) == Some(owner))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_stay_with_their_owner_and_stay_secure() {
        let from = Url::parse("https://assets.example/a/rules.json").unwrap();
        let to = |location| redirected(&from, location, 1).map(String::from);
        assert_eq!(to("/b/rules.json").unwrap(), "https://assets.example/b/rules.json");
        assert_eq!(to("https://assets.example:8443/r").unwrap(), "https://assets.example:8443/r");
        assert_eq!(to("?x").unwrap(), "https://assets.example/a/rules.json?x");
        for refused in [
            "https://assets.example:22/r",
            "https://assets.example.evil.com/r",
            "https://169.254.169.254/r",
            "https://0x7f.1/r",
            "javascript:alert(1)",
            "data:application/json,{}",
            "https://:x@assets.example/r",
            "https://[::1/r",
            "http://assets.example/r",
            "https://other.example/r",
            "//other.example/r",
            "https://u:p@assets.example/r",
            "",
            "/a\r\nx: y",
            "ftp://assets.example/r",
            "file:///etc/passwd",
        ] {
            assert!(to(refused).is_err(), "{refused:?}");
        }
        assert!(redirected(&from, "/r", REDIRECTS).is_ok());
        assert!(redirected(&from, "/r", REDIRECTS + 1).is_err());
        let plain = Url::parse("http://assets.example/r").unwrap();
        assert!(redirected(&plain, "https://assets.example/r", 1).is_ok());
        // Names of one owner may redirect to each other; a public suffix is nobody's.
        for (from, to, allowed) in [
            ("https://assets.adobetarget.com/a", "https://assets.staging.adobetarget.com/a", true),
            ("https://assets.adobetarget.com/a", "https://adobetarget.com/a", true),
            ("https://assets.adobetarget.com/a", "https://ADOBETARGET.com./a", true),
            ("https://assets.adobetarget.com/a", "https://adobetarget.org/a", false),
            ("https://assets.adobetarget.com/a", "https://xn--dobetarget-q8a.com/a", false),
            ("https://a.co.uk/a", "https://b.co.uk/a", false),
            ("https://a.github.io/a", "https://b.github.io/a", false),
            ("https://one.localdomain/a", "https://two.localdomain/a", false),
            ("https://192.0.2.1/a", "https://192.0.2.2/a", false),
            ("https://[2001:db8::1]/a", "https://[2001:db8:0::1]/b", true),
        ] {
            let (from, to) = (Url::parse(from).unwrap(), to);
            assert_eq!(redirected(&from, to, 1).is_ok(), allowed, "{from} {to}");
        }
    }
}
