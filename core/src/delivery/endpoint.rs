//! Where a request goes, and under which headers.

use std::borrow::Cow;

use once_cell::race::OnceBox;
use percent_encoding::utf8_percent_encode;

use crate::config::Config;
use crate::cookies::push_component;
use crate::transport::CommonHeaders;

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
    push_component(&mut out, &config.organization_id);
    out.push_str("&sessionId=");
    push_component(&mut out, session_id);
    if let Some(version) = &config.version {
        out.push_str("&version=");
        push_component(&mut out, version);
    }
    out
}

const REQUEST_ID: &str = "x-request-id";

/// The headers of all delivery calls, by name. The transport adds those that are its business: host, length, encodings.
const COMMON: [(&str, &str); 5] = [
    ("content-type", "application/json"),
    ("accept", "application/json"),
    ("x-exc-sdk", SDK_NAME),
    ("x-exc-sdk-version", SDK_VERSION),
    (REQUEST_ID, ""),
];

/// The headers that all delivery calls have.
pub(crate) fn common_headers() -> &'static CommonHeaders {
    static HEADERS: OnceBox<CommonHeaders> = OnceBox::new();
    HEADERS.get_or_init(|| Box::new(CommonHeaders::new(&COMMON)))
}

/// The header that each call has for itself.
pub(crate) fn own_header(request_id: &str) -> (&'static str, Cow<'_, str>) {
    // ids that are not plain text are escaped: a header could not carry them
    let is_plain = request_id.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
    let id = match is_plain {
        true => Cow::Borrowed(request_id),
        false => utf8_percent_encode(request_id, percent_encoding::CONTROLS).into(),
    };
    (REQUEST_ID, id)
}

/// The headers of a delivery call.
pub fn headers(request_id: &str) -> [(&'static str, Cow<'_, str>); 5] {
    COMMON.map(|(name, value)| if name == REQUEST_ID { own_header(request_id) } else { (name, value.into()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_plain_text() {
        let headers = headers("é\u{7f}-1 ok");
        let expected = [
            ("content-type", "application/json"),
            ("accept", "application/json"),
            ("x-exc-sdk", "AdobeTargetRust"),
            ("x-exc-sdk-version", env!("CARGO_PKG_VERSION")),
            ("x-request-id", "%C3%A9%7F-1 ok"),
        ];
        assert_eq!(headers, expected.map(|(name, value)| (name, value.into())));
        assert!(format!("{:?}", common_headers()).contains("AdobeTargetRust"));
    }
}
