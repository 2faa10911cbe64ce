//! What rules know of a page: the parts of its address, split leniently, with the registrable domain by the public
//! suffix list.

use std::borrow::Cow;

/// The parts of an address. All are empty when there is none.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct PageUrl<'a> {
    pub(crate) url: &'a str,
    pub(crate) path: &'a str,
    pub(crate) query: &'a str,
    pub(crate) fragment: &'a str,
    host: &'a str,
}

/// Where a host stands in the domain name system.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Domain<'a> {
    pub(crate) subdomain: Cow<'a, str>,
    pub(crate) domain: Cow<'a, str>,
    pub(crate) top_level: Cow<'a, str>,
}

/// One member of `page` and `referring`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Url,
    Path,
    Query,
    Fragment,
    Subdomain,
    Domain,
    TopLevelDomain,
}

impl Part {
    /// In the order in which a trace lists them.
    pub(crate) const ALL: [(Part, &'static str, &'static str); 7] = [
        (Part::Url, "url", "url_lc"),
        (Part::Path, "path", "path_lc"),
        (Part::Query, "query", "query_lc"),
        (Part::Fragment, "fragment", "fragment_lc"),
        (Part::Subdomain, "subdomain", "subdomain_lc"),
        (Part::Domain, "domain", "domain_lc"),
        (Part::TopLevelDomain, "topLevelDomain", "topLevelDomain_lc"),
    ];

    /// The part that a rule calls `name`, and whether in lower case.
    pub(crate) fn from_name(name: &str) -> Option<(Part, bool)> {
        Part::ALL.into_iter().find_map(|(part, plain, lower)| match name {
            _ if name == plain => Some((part, false)),
            _ if name == lower => Some((part, true)),
            _ => None,
        })
    }
}

impl<'a> PageUrl<'a> {
    /// Splits `url`. Nothing is decoded and nothing refused.
    pub(crate) fn split(url: &'a str) -> PageUrl<'a> {
        let rest = after_scheme(url);
        let (authority, rest) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        let (rest, fragment) = rest.split_once('#').unwrap_or((rest, ""));
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let host = match host.find(']') {
            Some(end) if host.starts_with('[') => host.get(..=end).unwrap_or(host),
            _ => host.split_once(':').map_or(host, |(host, _)| host),
        };
        PageUrl { url, path, query, fragment, host }
    }

    /// Takes the host apart.
    pub(crate) fn domain(&self) -> Domain<'a> {
        Domain::of(self.host)
    }
}

/// What follows `scheme:` and `//`, each of them optional.
fn after_scheme(url: &str) -> &str {
    let rest = match url.find([':', '/', '?', '#', '.', '@']) {
        Some(at) if at > 0 && url.as_bytes().get(at) == Some(&b':') => {
            let rest = url.get(at + 1..).unwrap_or("");
            let authority = rest.split(['/', '?', '#']).next().unwrap_or("");
            // "localhost:3000" is a host with its port, "user:pw@host" has no scheme either.
            let port = !authority.is_empty() && authority.bytes().all(|byte| byte.is_ascii_digit());
            if port || authority.contains('@') { url } else { rest }
        }
        _ => url,
    };
    rest.strip_prefix("//").unwrap_or(rest)
}

impl<'a> Domain<'a> {
    fn of(host: &'a str) -> Domain<'a> {
        let unknown = || Domain { domain: Cow::Borrowed(host), ..Domain::default() };
        let lower = if host.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase()) {
            Cow::Borrowed(host)
        } else {
            Cow::Owned(host.to_lowercase())
        };
        let lower = match lower {
            Cow::Borrowed(host) => Cow::Borrowed(host.strip_suffix('.').unwrap_or(host)),
            Cow::Owned(mut host) => {
                if host.ends_with('.') {
                    host.pop();
                }
                Cow::Owned(host)
            }
        };
        if !is_host_name(&lower) {
            return unknown();
        }
        let Some(found) = psl::domain(lower.as_bytes()).filter(|domain| domain.suffix().is_known()) else {
            return unknown();
        };
        let (domain_length, suffix_length) = (found.as_bytes().len(), found.suffix().as_bytes().len());
        let cut = |from: usize, to: usize| -> Cow<'a, str> {
            match &lower {
                Cow::Borrowed(host) => Cow::Borrowed(host.get(from..to).unwrap_or("")),
                Cow::Owned(host) => Cow::Owned(host.get(from..to).unwrap_or("").to_owned()),
            }
        };
        let domain_at = lower.len() - domain_length;
        let labels = lower.get(..domain_at.saturating_sub(1)).unwrap_or("");
        let www = match labels.strip_prefix("www") {
            Some("") => 3,
            Some(rest) if rest.starts_with('.') => 4,
            _ => 0,
        };
        Domain {
            subdomain: cut(www, labels.len()),
            domain: cut(domain_at, lower.len()),
            top_level: cut(lower.len() - suffix_length, lower.len()),
        }
    }
}

/// Whether `host` consists of labels that the domain name system allows. Labels beyond ASCII would be encoded before
/// a look-up and are taken as they are.
fn is_host_name(host: &str) -> bool {
    host.len() <= 255
        && host.split('.').all(|label| {
            !label.is_empty()
                && label.len() <= 63
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-') || !byte.is_ascii())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documented_addresses() {
        for (url, subdomain, domain, top_level) in [
            ("http://local-target-test:8080/", "", "local-target-test", ""),
            ("https://www.adobe.com/A", "", "adobe.com", "com"),
            ("HTTP://WWW.Adobe.COM/P", "", "adobe.com", "com"),
            ("https://a.b.co.uk/", "a", "b.co.uk", "co.uk"),
            ("http://co.uk/", "", "co.uk", ""),
            ("http://pied.piper.decentralized.test.hooli.com", "pied.piper.decentralized.test", "hooli.com", "com"),
            (
                "http://test.wayne-enterprises.us-east-1.elasticbeanstalk.com/x",
                "test",
                "wayne-enterprises.us-east-1.elasticbeanstalk.com",
                "us-east-1.elasticbeanstalk.com",
            ),
            ("https://sub.github.io/", "", "sub.github.io", "github.io"),
            ("http://www.blog.foo.com", "blog", "foo.com", "com"),
            ("http://www2.foo.com/", "www2", "foo.com", "com"),
            ("http://wwwfoo.bar.com", "wwwfoo", "bar.com", "com"),
            ("http://127.0.0.1/", "", "127.0.0.1", ""),
            ("http://example.com.", "", "example.com", "com"),
            ("http://WWW.Example.com.", "", "example.com", "com"),
            ("http://a.local/", "", "a.local", ""),
            ("http://exa_mple.com/", "", "exa_mple.com", ""),
            ("foo.com/x", "", "foo.com", "com"),
            ("//foo.com/x", "", "foo.com", "com"),
            ("/just/path?q=1", "", "", ""),
            ("http://user:pw@foo.com:81/x", "", "foo.com", "com"),
            ("user:pw@foo.com:81/x", "", "foo.com", "com"),
            ("http://münchen.de/", "", "münchen.de", "de"),
            ("http://h.com/~u@x/y", "", "h.com", "com"),
            ("localhost:3000/x", "", "localhost", ""),
            ("localhost:3000", "", "localhost", ""),
            ("http://[::1]:8080/x", "", "[::1]", ""),
            ("http://-a.com/", "", "-a.com", ""),
            ("http://a..com/", "", "a..com", ""),
            ("http://", "", "", ""),
            ("", "", "", ""),
        ] {
            let found = PageUrl::split(url).domain();
            assert_eq!((&*found.subdomain, &*found.domain, &*found.top_level), (subdomain, domain, top_level), "{url}");
        }
    }

    #[test]
    fn parts_are_verbatim() {
        for (url, path, query, fragment) in [
            ("http://h.com/~u@x/y?a=%20&b#F", "/~u@x/y", "a=%20&b", "F"),
            ("http://h.com#!/spa/route?x=1", "", "", "!/spa/route?x=1"),
            ("http://h.com?q=a?b", "", "q=a?b", ""),
            ("/just/path?q=1", "/just/path", "q=1", ""),
            ("foo.com/A/../b;c", "/A/../b;c", "", ""),
            ("http://h.com:80/#", "/", "", ""),
            ("http://user@foo.com/a@b", "/a@b", "", ""),
        ] {
            let split = PageUrl::split(url);
            assert_eq!((split.url, split.path, split.query, split.fragment), (url, path, query, fragment), "{url}");
        }
    }

    #[test]
    fn names_of_parts() {
        assert_eq!(Part::from_name("topLevelDomain_lc"), Some((Part::TopLevelDomain, true)));
        assert_eq!(Part::from_name("url"), Some((Part::Url, false)));
        assert_eq!(Part::from_name("{parameter=nina}"), None);
    }

    proptest::proptest! {
        #[test]
        fn any_text_splits(url in "\\PC{0,40}") {
            let split = PageUrl::split(&url);
            let domain = split.domain();
            proptest::prop_assert!(domain.domain.len() <= url.len() * 3);
            proptest::prop_assert!(url.contains(split.path) && url.contains(split.query) && url.contains(split.fragment));
        }
    }
}
