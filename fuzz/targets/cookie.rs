//! Cookies: what is read from them is safe to pass on, and what is written is read back.

use target_sdk_core::cookies::{
    TargetCookie, cluster_from_host, cluster_from_tnt_id, is_cluster, write_location_hint_cookie, write_target_cookie,
};
use target_sdk_core::visitor::{VisitorCookie, is_supplemental_data_id};

use super::support::{NOW_MS, json};

pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let cookie = TargetCookie::parse(text, NOW_MS);
    for id in [&cookie.session, &cookie.device].into_iter().flatten() {
        assert!(!id.is_empty() && !id.chars().any(|letter| letter.is_ascii_control()), "{id:?}");
    }
    // What counts now has counted before, and what does not count any more never will again.
    let (earlier, later) = (TargetCookie::parse(text, NOW_MS - 1_000_000), TargetCookie::parse(text, i64::MAX));
    assert!(cookie.session.is_none() || earlier.session.is_some(), "{text}");
    assert!(later.session.is_none() || cookie.session.is_some(), "{text}");

    let session = cookie.session.as_deref().unwrap_or(text);
    let written = write(session, cookie.device.as_deref());
    let again = TargetCookie::parse(&written, NOW_MS);
    if session.is_empty() || session.chars().any(|letter| letter.is_ascii_control()) {
        assert_eq!(again.session, None);
    } else {
        assert_eq!(again.session.as_deref(), Some(session), "{written}");
    }
    assert_eq!(again.device, cookie.device, "{written}");
    assert_eq!(write(session, again.device.as_deref()), written);

    let visitor = VisitorCookie::parse(text, NOW_MS);
    let parts = [visitor.marketing_cloud_visitor_id, visitor.blob];
    assert!(parts.iter().flatten().all(|part| !part.is_empty() && part != "NONE"));

    for cluster in [cluster_from_tnt_id(text), cluster_from_host(text), Some(text).filter(|text| is_cluster(text))] {
        let Some(cluster) = cluster else { continue };
        let host = format!("mboxedge{cluster}.tt.omtrdc.net");
        let url = url::Url::parse(&format!("https://{host}/path")).expect("a host name");
        assert_eq!((url.host_str(), url.path()), (Some(host.to_ascii_lowercase().as_str()), "/path"));
        let mut out = String::new();
        write_location_hint_cookie(&mut out, cluster);
        assert_eq!(json(&out)["value"], cluster);
    }
    assert!(!is_supplemental_data_id(text) || text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit()));
}

fn write(session: &str, device: Option<&str>) -> String {
    let mut out = String::new();
    write_target_cookie(&mut out, session, device, NOW_MS);
    let cookie = json(&out);
    assert_eq!(cookie["name"], "mbox");
    let value = cookie["value"].as_str().expect("a value").to_owned();
    assert!(
        value.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b';' | b',' | b'"' | b'\\')),
        "{value}"
    );
    value
}
