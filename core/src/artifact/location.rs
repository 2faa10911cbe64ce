//! Where the artifact is, and how it is encoded.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::config::{ArtifactFormat, Config};
use crate::error::{Error, Result};

/// Everything but what RFC 3986 calls unreserved.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// URL and encoding of the artifact.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Location {
    pub(super) url: String,
    pub(super) format: ArtifactFormat,
}

/// The configured location, else `{cdn}/{client}/{environment}/v1[/{property}]/rules.json`.
pub(super) fn location(config: &Config) -> Result<Location> {
    if let Some(url) = &config.artifact_location {
        check(url, config.secure, "/artifactLocation")?;
        let path = url.split(['?', '#']).next().unwrap_or(url).to_ascii_lowercase();
        let by_name = if path.ends_with(".bin") { ArtifactFormat::Bin } else { ArtifactFormat::Json };
        return Ok(Location { url: url.clone(), format: config.artifact_format.unwrap_or(by_name) });
    }
    let format = config.artifact_format.unwrap_or(ArtifactFormat::Json);
    let mut url = base_url(config)?;
    let environment = config.environment.to_lowercase();
    let property = config.property_token.as_deref().filter(|token| !token.is_empty());
    for (path, segment) in [
        ("/client", Some(config.client.as_str())),
        ("/environment", Some(&environment)),
        ("", Some("v1")),
        ("/propertyToken", property),
    ] {
        let Some(segment) = segment else { continue };
        if segment.is_empty() || segment == "." || segment == ".." {
            return Err(Error::invalid(path, "cannot be part of the artifact's URL"));
        }
        url.push('/');
        url.extend(utf8_percent_encode(segment, SEGMENT));
    }
    url.push_str(if format == ArtifactFormat::Bin { "/rules.bin" } else { "/rules.json" });
    Ok(Location { url, format })
}

/// Scheme, host and perhaps path that artifacts and geo look-ups come from, without a slash at the end.
pub(super) fn base_url(config: &Config) -> Result<String> {
    let base = config.cdn_base.trim_end_matches('/');
    let url = match (base.contains("://"), config.secure) {
        (true, _) => base.to_owned(),
        (false, true) => format!("https://{base}"),
        (false, false) => format!("http://{base}"),
    };
    check(&url, config.secure, "/cdnBasePath")?;
    Ok(url)
}

/// https unless that was waived, a host, no user name, and a port that is no other well-known service's.
fn check(url: &str, secure: bool, path: &str) -> Result<()> {
    let wrong = |what: &'static str| Err(Error::invalid(path, what));
    if url.bytes().any(|byte| byte.is_ascii_control() || byte == b' ' || byte == b'\\') {
        return wrong("the URL has a blank, backslash or control character in it");
    }
    let Some((scheme, rest)) = url.split_once("://") else { return wrong("not a URL such as https://host/rules.json") };
    let (http, https) = (scheme.eq_ignore_ascii_case("http"), scheme.eq_ignore_ascii_case("https"));
    if !https && (secure || !http) {
        return wrong("the URL must begin with https:// (http:// needs `secure: false`)");
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or("");
    if authority.contains('@') {
        return wrong("the URL must not have a user name or password in it");
    }
    // The colons of an IPv6 address are inside brackets.
    let port = authority.rsplit_once(':').filter(|(_, port)| !port.contains(']')).map(|(_, port)| port);
    if authority.is_empty() || authority.starts_with(':') {
        return wrong("the URL has no host");
    }
    match port.map(str::parse::<u16>) {
        None => Ok(()),
        Some(Ok(port)) if !secure || port == 443 || port >= 1024 => Ok(()),
        Some(Ok(_)) => wrong("the URL's port must be 443 or at least 1024"),
        Some(Err(_)) => wrong("the URL's port is not a port number"),
    }
}

crate::opaque::opaque_debug! { Location { format } }

#[cfg(test)]
mod tests {
    use super::super::tests::config;
    use super::*;

    fn url(change: impl FnOnce(&mut Config)) -> Result<String> {
        let mut config = config();
        change(&mut config);
        location(&config).map(|location| location.url)
    }

    #[test]
    fn the_location_is_made_of_client_environment_and_property() {
        assert_eq!(url(|_| {}).unwrap(), "https://assets.adobetarget.com/acme/production/v1/rules.json");
        assert_eq!(
            url(|c| {
                c.environment = "My Stage/1".to_owned();
                c.property_token = Some("a?b#c%d".to_owned());
                c.artifact_format = Some(ArtifactFormat::Bin);
            })
            .unwrap(),
            "https://assets.adobetarget.com/acme/my%20stage%2F1/v1/a%3Fb%23c%25d/rules.bin"
        );
        assert_eq!(
            url(|c| c.property_token = Some(String::new())).unwrap(),
            "https://assets.adobetarget.com/acme/production/v1/rules.json"
        );
        assert_eq!(
            url(|c| {
                c.secure = false;
                c.cdn_base = "127.0.0.1:8080/base/".to_owned();
            })
            .unwrap(),
            "http://127.0.0.1:8080/base/acme/production/v1/rules.json"
        );
        assert_eq!(url(|c| c.environment = "..".to_owned()).unwrap_err().path(), Some("/environment"));
    }

    #[test]
    fn an_override_wins_and_names_its_format() {
        for (text, given, format) in [
            ("https://cdn.example/a/rules.json", None, ArtifactFormat::Json),
            ("https://cdn.example/a/RULES.BIN?token=1", None, ArtifactFormat::Bin),
            ("https://cdn.example/a/rules.bin", Some(ArtifactFormat::Json), ArtifactFormat::Json),
            ("https://cdn.example/a", Some(ArtifactFormat::Bin), ArtifactFormat::Bin),
        ] {
            let config = Config { artifact_location: Some(text.to_owned()), artifact_format: given, ..config() };
            assert_eq!(location(&config).unwrap(), Location { url: text.to_owned(), format });
        }
    }

    #[test]
    fn locations_must_be_safe() {
        for bad in [
            "http://cdn.example/r",
            "ftp://cdn.example/r",
            "cdn.example/r",
            "https://u:p@cdn.example/r",
            "https:///r",
            "https://:443/r",
            "https://cdn.example:22/r",
            "https://cdn.example:x/r",
            "https://cdn.example/\r\nx",
            "",
            "https://cdn.example\\@evil/r",
        ] {
            let error = url(|c| c.artifact_location = Some(bad.to_owned())).unwrap_err();
            assert_eq!(error.path(), Some("/artifactLocation"), "{bad:?}");
        }
        for good in ["https://[2001:db8::1]/r", "https://[::1]:8443/r", "https://cdn.example:443/r"] {
            assert!(url(|c| c.artifact_location = Some(good.to_owned())).is_ok(), "{good}");
        }
        assert_eq!(url(|c| c.cdn_base = "http://cdn.example".to_owned()).unwrap_err().path(), Some("/cdnBasePath"));
    }
}
