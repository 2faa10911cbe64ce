//! Where requests go: URLs, checked, and what many requests to the same place share.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use reqwest::Url;
use url::Position;

use super::health::Health;
use crate::error::{Error, ErrorKind, Result};

/// A URL, perhaps without the end of its query, and how its host is doing.
pub(super) struct Route {
    pub(super) url: Url,
    pub(super) health: Arc<Mutex<Health>>,
}

impl Route {
    /// `host`, with the port if it is not the scheme's own.
    pub(super) fn host(&self) -> &str {
        &self.url[Position::BeforeHost..Position::AfterPort]
    }

    /// The address, if the host is given as one.
    pub(super) fn literal_address(&self) -> Option<IpAddr> {
        // The parser has turned decimal, octal and hexadecimal forms into plain addresses.
        self.url.host_str()?.trim_matches(['[', ']']).parse().ok()
    }
}

/// The URL of one request: a route, and the end of the query, whose text needs no checks and no escapes.
#[derive(Clone)]
pub(super) struct Target<'r> {
    pub(super) route: Arc<Route>,
    pub(super) pairs: &'r str,
}

impl Target<'_> {
    pub(super) fn url(&self) -> Url {
        let mut url = self.route.url.clone();
        if !self.pairs.is_empty() {
            let mut query = url.query_pairs_mut();
            for (name, value) in pairs(self.pairs).flatten() {
                query.append_pair(name, value);
            }
        }
        url
    }
}

/// The name and value in each `&name=value`; `None` for what is not such a pair.
fn pairs(text: &str) -> impl Iterator<Item = Option<(&str, &str)>> {
    // Byte by byte: the searches of `str` are made for longer texts.
    text.as_bytes().split(|byte| *byte == b'&').skip(1).map(|pair| {
        let (name, value) = pair.split_at_checked(pair.iter().position(|byte| *byte == b'=')?)?;
        Some((str::from_utf8(name).ok()?, str::from_utf8(value.get(1..)?).ok()?))
    })
}

/// Cuts a URL where it begins to differ from request to request: behind the first member of its query. `None` if the
/// rest would have to be parsed.
pub(super) fn cut(text: &str) -> Option<(&str, &str)> {
    let find = |from: usize, what: u8| Some(from + text.as_bytes().get(from..)?.iter().position(|byte| *byte == what)?);
    let query = find(0, b'?')? + 1;
    let end = find(query, b'&').filter(|end| *end > query)?;
    let (base, rest) = text.split_at_checked(end)?;
    // These stand in a query as they are, whether a URL parser or a form writer has put them there.
    let is_plain =
        |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'));
    let plain = pairs(rest).all(|pair| pair.is_some_and(|(name, value)| is_plain(name) && is_plain(value)));
    (plain && !base.contains('#')).then_some((base, rest))
}

/// A URL that a request may be sent to.
pub(super) fn checked_url(text: &str) -> Result<Url> {
    // No message repeats the URL: its query holds session ids.
    let wrong = |what: &'static str| Error::new(ErrorKind::InvalidOptions, what);
    if text.bytes().any(|byte| byte.is_ascii_control()) {
        return Err(wrong("the request's URL has a control character in it"));
    }
    let url = Url::parse(text).map_err(|_| wrong("the request's URL is not a URL"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong("the request's URL must begin with https:// or http://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("the request's URL must not have a user name or password in it"));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::super::address;
    use super::*;

    fn route(url: Url) -> Arc<Route> {
        Arc::new(Route { url, health: Arc::default() })
    }

    #[test]
    fn cut_urls_are_put_together_as_they_were() {
        for text in [
            "https://a.example/rest/v1/delivery?imsOrgId=1%40AdobeOrg&sessionId=s1",
            "https://a.example/rest/v1/delivery?imsOrgId=1%40AdobeOrg&sessionId=s1-._&version=1.2",
            "https://a.example/rest/v1/delivery?imsOrgId=&sessionId=&version=",
            "https://B.example:8443/rest/../v1/delivery?imsOrgId=a'b&sessionId=s3",
            "https://bücher.example/?a b&sessionId=s3",
        ] {
            let (base, pairs) = cut(text).unwrap();
            let target = Target { route: route(checked_url(base).unwrap()), pairs };
            assert_eq!(target.url(), Url::parse(text).unwrap());
            assert!(base.ends_with(&text[text.find('?').unwrap()..text.find('&').unwrap()]), "{base}");
        }
        for text in [
            "https://a.example/rest/v1/delivery",
            "https://a.example/rest/v1/delivery?",
            "https://a.example/rest/v1/delivery?sessionId=s1",
            "https://a.example/rest/v1/delivery?&sessionId=s1",
            "https://a.example/rest/v1/delivery?a#b&sessionId=s1",
            "https://a.example/rest/v1/delivery?a=b&sessionId=s1#fragment",
            "https://a.example/rest/v1/delivery?a=b&sessionId=s 1",
            "https://a.example/rest/v1/delivery?a=b&sessionId=s%2A",
            "https://a.example/rest/v1/delivery?a=b&sessionId=~",
            "https://a.example/rest/v1/delivery?a=b&sessionId=*",
            "https://a.example/rest/v1/delivery?a=b&sessionId=1=2",
            "https://a.example/rest/v1/delivery?a=b&sessionId",
            "https://a.example/rest/v1/delivery?a=b&&c=d",
            "https://a.example/rest/v1/delivery?a=b&c=d\r\n",
        ] {
            assert_eq!(cut(text), None, "{text:?}");
        }
    }

    #[test]
    fn urls_are_checked_and_never_repeated() {
        for bad in ["", "rules", "ftp://h/secret", "https://user:secret@h/", "https://h/\r\nsecret", "https://"] {
            let error = checked_url(bad).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidOptions);
            assert!(!error.message().contains("secret"), "{bad:?}");
        }
    }

    #[test]
    fn literal_addresses_are_recognised_however_they_are_written() {
        for text in
            ["http://2130706433/", "http://0x7f.1/", "http://0177.0.0.1/", "http://127.1/", "http://[::ffff:7f00:1]/"]
        {
            let address = route(checked_url(text).unwrap()).literal_address().unwrap();
            assert!(!address::is_public(address), "{text}");
        }
        assert_eq!(route(checked_url("http://assets.example/").unwrap()).literal_address(), None);
    }
}
