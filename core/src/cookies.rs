//! The mbox cookie, the location hint cookie, and the edge cluster that they, visitor ids and host names tell.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::json;

/// Name of the cookie that holds session and device id.
pub const TARGET_COOKIE: &str = "mbox";
/// Name of the cookie that holds the edge cluster.
pub const LOCATION_HINT_COOKIE: &str = "mboxEdgeCluster";

const SESSION_SECONDS: i64 = 1860;
const DEVICE_SECONDS: i64 = 63_244_800;

/// What encodeURIComponent escapes.
const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'!')
    .remove(b'~')
    .remove(b'*')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')');

/// Whether a text means the same in URLs, forms, cookies and JSON, and is written the same.
fn is_plain(text: &str) -> bool {
    const PLAIN: [bool; 256] = {
        let mut plain = [false; 256];
        let mut byte = 0;
        while byte < 256 {
            plain[byte] = (byte as u8).is_ascii_alphanumeric() || matches!(byte as u8, b'-' | b'_' | b'.');
            byte += 1;
        }
        plain
    };
    text.bytes().all(|byte| PLAIN[usize::from(byte)])
}

/// Appends what encodeURIComponent makes of `text`.
pub(crate) fn push_component(out: &mut String, text: &str) {
    if is_plain(text) {
        out.push_str(text); // most ids
    } else {
        out.extend(utf8_percent_encode(text, COMPONENT));
    }
}

/// Name of the visitor cookie of an organization: `AMCV_` and its id.
pub fn visitor_cookie_name(organization_id: &str) -> String {
    format!("AMCV_{organization_id}")
}

/// decodeURIComponent: `None` where that throws.
pub(crate) fn decode_component(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('%') {
        return Some(Cow::Borrowed(text));
    }
    let mut rest = text;
    while let Some((_, after)) = rest.split_once('%') {
        let digits = after.as_bytes().get(..2)?;
        if !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        rest = after.get(2..)?;
    }
    percent_decode_str(text).decode_utf8().ok()
}

/// What is of use in an mbox cookie.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct TargetCookie<'a> {
    /// Session id.
    pub session: Option<Cow<'a, str>>,
    /// Device id, that is the visitor's tntId.
    pub device: Option<Cow<'a, str>>,
}

impl<'a> TargetCookie<'a> {
    /// Reads the cookie's value. Parts that are expired, malformed or of another name are left out.
    ///
    /// All SDKs' ways of writing are understood: escaped, partly escaped, plain, with and without a bar at the end.
    pub fn parse(value: &'a str, now_ms: i64) -> TargetCookie<'a> {
        let now = seconds(now_ms);
        let mut cookie = TargetCookie::default();
        for part in value.split('|').filter(|part| !part.is_empty()) {
            let mut fields = part.split('#');
            let (Some(name), Some(id), Some(expiry)) = (fields.next(), fields.next(), fields.next()) else {
                ignored("not three fields");
                continue;
            };
            match is_over(expiry.trim(), now) {
                Some(false) => {}
                Some(true) => continue,
                None => {
                    ignored("its expiry is not a number");
                    continue;
                }
            }
            let place = match decode_component(name).as_deref() {
                Some("session") => &mut cookie.session,
                Some("PC") => &mut cookie.device,
                _ => continue,
            };
            match decode_component(id) {
                Some(id) if id.contains(|c: char| c.is_ascii_control()) => ignored("it has control characters"),
                Some(id) => *place = Some(id).filter(|id| !id.is_empty()),
                None => ignored("it has a malformed % sequence"),
            }
        }
        cookie
    }
}

/// Whether the time has passed; `None` if it is no number.
fn is_over(expiry: &str, now: i64) -> Option<bool> {
    if let Ok(expiry) = expiry.parse::<i64>() {
        return Some(expiry < now);
    }
    expiry.parse::<f64>().ok().filter(|expiry| expiry.is_finite()).map(|expiry| expiry < now as f64)
}

fn ignored(why: &str) {
    log::warn!(target: "target_sdk::cookies", "a part of the mbox cookie is ignored: {why}");
}

/// Seconds since the epoch, rounded up.
fn seconds(now_ms: i64) -> i64 {
    now_ms.div_euclid(1000) + i64::from(now_ms.rem_euclid(1000) > 0)
}

/// Appends the mbox cookie as `{"name","value","maxAge"}`.
pub fn write_target_cookie(out: &mut String, session_id: &str, tnt_id: Option<&str>, now_ms: i64) {
    let now = seconds(now_ms);
    let mut last = now.saturating_add(SESSION_SECONDS);
    out.push_str("{\"name\":\"mbox\",\"value\":\"");
    write_part(out, "session", session_id, last);
    if let Some(tnt_id) = tnt_id {
        out.push('|');
        last = now.saturating_add(DEVICE_SECONDS);
        write_part(out, "PC", tnt_id, last);
    }
    out.push_str("\",\"maxAge\":");
    let age_ms = i128::from(last) * 1000 - i128::from(now_ms);
    let age = age_ms.unsigned_abs().div_ceil(1000);
    json::write_int(out, i64::try_from(age).unwrap_or(i64::MAX));
    out.push('}');
}

/// Escaped text needs no JSON escapes: nothing of what encodeURIComponent leaves has a meaning in a JSON string.
fn write_part(out: &mut String, name: &str, id: &str, expiry: i64) {
    out.push_str(name);
    out.push('#');
    push_component(out, id);
    out.push('#');
    json::write_int(out, expiry);
}

/// Appends the location hint cookie as `{"name","value","maxAge"}`.
pub fn write_location_hint_cookie(out: &mut String, cluster: &str) {
    out.push_str("{\"name\":\"mboxEdgeCluster\",\"value\":");
    json::write_str(out, cluster);
    out.push_str(",\"maxAge\":");
    json::write_int(out, SESSION_SECONDS);
    out.push('}');
}

/// Whether `text` may stand in the host name `mboxedge….tt.omtrdc.net`.
pub fn is_cluster(text: &str) -> bool {
    // "mboxedge" and the cluster are one DNS label, of at most 63 characters
    (1..=55).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// The cluster in a tntId such as `338e3c1e51f7416a8e1ccba4f81acea0.28_0`.
pub fn cluster_from_tnt_id(tnt_id: &str) -> Option<&str> {
    let (_, profile) = tnt_id.split_once('.')?;
    let (cluster, node) = profile.split_once('_')?;
    (!profile.contains('.') && !node.contains('_') && is_cluster(cluster)).then_some(cluster)
}

/// The cluster in an edge host such as `mboxedge28.tt.omtrdc.net`.
pub fn cluster_from_host(host: &str) -> Option<&str> {
    let (label, domain) = host.split_once('.')?;
    let cluster = label.strip_prefix("mboxedge")?;
    (domain.split('.').count() == 3 && is_cluster(cluster)).then_some(cluster)
}

crate::opaque::opaque_debug! { TargetCookie<'a> {} }

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_000_000;

    fn parse(value: &str) -> (Option<String>, Option<String>) {
        let cookie = TargetCookie::parse(value, NOW);
        (cookie.session.map(Cow::into_owned), cookie.device.map(Cow::into_owned))
    }

    #[test]
    fn reads_every_sdks_cookie_and_ignores_bad_parts() {
        let both = (Some("s1".to_owned()), Some("d.28_0".to_owned()));
        let session = (Some("s1".to_owned()), None);
        for (value, expected) in [
            ("session#s1#1700001860|PC#d.28_0#1763244800", both.clone()),
            ("PC#d.28_0#1763244800|session#s1#1700001860|", both.clone()),
            ("|session#s1#1700001860#more||check#true#1700001860|PC#d%2E28_0#1763244800", both.clone()),
            ("session#s1#1700000000", session.clone()),
            ("session#s1#1699999999", (None, None)),
            ("session#s1#1.7e9", session.clone()),
            ("session#s1#1700001860|PC#d%2#1763244800", session.clone()),
            ("session#s1#1700001860|PC#d%zz#1763244800", session.clone()),
            ("session#s1#1700001860|PC#%ff#1763244800", session.clone()),
            ("session#s1#1700001860|PC#d#soon", session.clone()),
            ("session#s1#1700001860|PC#d#NaN", session.clone()),
            ("session#s1#1700001860|PC#d#inf", session.clone()),
            ("session#s1#1700001860|PC#d", session.clone()),
            ("session#s1#1700001860|PC##1763244800", session.clone()),
            ("session#a%0d%0ab#1700001860|PC#d.28_0#1763244800", (None, Some("d.28_0".to_owned()))),
            ("session#s0#1700001860|session#s1#1700001860", session.clone()),
            ("session#s1#1700001860|session#s2#1", session),
            ("a%20%26%7C#b", (None, None)),
            ("", (None, None)),
        ] {
            assert_eq!(parse(value), expected, "{value}");
        }
        assert_eq!(parse("session#a%20%C3%A9%7C%23#1700001860").0.as_deref(), Some("a é|#"));
    }

    #[test]
    fn writes_the_node_cookie() {
        let write = |session, tnt_id, now| {
            let mut out = String::new();
            write_target_cookie(&mut out, session, tnt_id, now);
            out
        };
        assert_eq!(write("s", None, NOW), r#"{"name":"mbox","value":"session#s#1700001860","maxAge":1860}"#);
        assert_eq!(
            write("a|b#\"é(!)", Some("T.28_0"), NOW),
            r#"{"name":"mbox","value":"session#a%7Cb%23%22%C3%A9(!)#1700001860|PC#T.28_0#1763244800","maxAge":63244800}"#
        );
        // the second is rounded up, and so is the age
        assert_eq!(
            write("s", Some("T"), NOW + 1),
            r#"{"name":"mbox","value":"session#s#1700001861|PC#T#1763244801","maxAge":63244801}"#
        );
        assert_eq!(write("s", None, -1500), r#"{"name":"mbox","value":"session#s#1859","maxAge":1861}"#);
        assert!(write("s", Some("T"), i64::MAX).contains("PC#T#"));
        let mut out = String::new();
        write_location_hint_cookie(&mut out, "28");
        assert_eq!(out, r#"{"name":"mboxEdgeCluster","value":"28","maxAge":1860}"#);
    }

    #[test]
    fn clusters() {
        for (tnt_id, cluster) in [
            ("abc.28_0", Some("28")),
            (".28_0", Some("28")),
            ("abc.28_", Some("28")),
            ("abc", None),
            ("abc.28", None),
            ("abc._0", None),
            ("abc.28_0_1", None),
            ("abc.28_0.x", None),
            ("a.b.28_0", None),
            ("abc.evil/x_0", None),
            ("abc.2 8_0", None),
            ("", None),
        ] {
            assert_eq!(cluster_from_tnt_id(tnt_id), cluster, "{tnt_id}");
        }
        for (host, cluster) in [
            ("mboxedge28.tt.omtrdc.net", Some("28")),
            ("mboxedge28.tt.omtrdc.net.", None),
            ("mboxedge.tt.omtrdc.net", None),
            ("acme.tt.omtrdc.net", None),
            ("mboxedge28.omtrdc.net", None),
            ("mboxedge28", None),
            ("mboxedge2@8.tt.omtrdc.net", None),
            ("", None),
        ] {
            assert_eq!(cluster_from_host(host), cluster, "{host}");
        }
        assert!(is_cluster(&"9".repeat(55)) && !is_cluster(&"9".repeat(56)));
    }

    #[test]
    fn names() {
        assert_eq!(visitor_cookie_name("ABC@AdobeOrg"), "AMCV_ABC@AdobeOrg");
    }
}
