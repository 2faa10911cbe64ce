//! Where a request goes, and under which headers.

use percent_encoding::utf8_percent_encode;

use crate::config::Config;
use crate::cookies::COMPONENT;

/// Name of this SDK in the `X-EXC-SDK` header.
pub const SDK_NAME: &str = "AdobeTargetRust";
/// Version of this SDK in the `X-EXC-SDK-Version` header.
pub const SDK_VERSION: &str = env!("CARGO_PKG_VERSION");

/// The URL of a delivery call, offers and notifications alike.
///
/// A known cluster wins over `server_domain`, unless the configuration pins that.
pub fn url(config: &Config, cluster: Option<&str>, session_id: &str) -> String {
    let mut out = String::with_capacity(192);
    out.push_str(if config.secure { "https://" } else { "http://" });
    let domain = config.server_domain.as_deref().filter(|domain| !domain.is_empty());
    match (cluster, domain) {
        (_, Some(domain)) if config.pin_server_domain => out.push_str(domain),
        (Some(cluster), _) if !config.pin_server_domain => {
            out.push_str("mboxedge");
            out.push_str(cluster);
            out.push_str(".tt.omtrdc.net");
        }
        (_, Some(domain)) => out.push_str(domain),
        (_, None) => {
            out.push_str(&config.client);
            out.push_str(".tt.omtrdc.net");
        }
    }
    out.push_str("/rest/v1/delivery?imsOrgId=");
    out.extend(utf8_percent_encode(&config.organization_id, COMPONENT));
    out.push_str("&sessionId=");
    out.extend(utf8_percent_encode(session_id, COMPONENT));
    if let Some(version) = &config.version {
        out.push_str("&version=");
        out.extend(utf8_percent_encode(version, COMPONENT));
    }
    out
}

/// The headers of a delivery call. The transport adds those that are its business: host, length, encodings.
pub fn headers(request_id: &str) -> Vec<(&'static str, String)> {
    // ids that are not plain text are escaped: a header could not carry them
    let is_plain = request_id.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
    let request_id = if is_plain {
        request_id.to_owned()
    } else {
        utf8_percent_encode(request_id, percent_encoding::CONTROLS).to_string()
    };
    vec![
        ("content-type", "application/json".to_owned()),
        ("accept", "application/json".to_owned()),
        ("x-exc-sdk", SDK_NAME.to_owned()),
        ("x-exc-sdk-version", SDK_VERSION.to_owned()),
        ("x-request-id", request_id),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_plain_text() {
        let headers = headers("é\u{7f}-1 ok");
        assert_eq!(
            headers,
            [
                ("content-type", "application/json".to_owned()),
                ("accept", "application/json".to_owned()),
                ("x-exc-sdk", "AdobeTargetRust".to_owned()),
                ("x-exc-sdk-version", env!("CARGO_PKG_VERSION").to_owned()),
                ("x-request-id", "%C3%A9%7F-1 ok".to_owned()),
            ]
        );
    }
}
