//! Redirects: never followed by calls; by artifact downloads three times within their host.

use super::{ARTIFACT, HTTP, Net, OK, Row, row};
use crate::server::Then;
use crate::tls::Kind;

/// `location` is made of the server's port.
fn redirects(name: &'static str, what: &'static str, status: u16, location: fn(u16) -> String) -> Row {
    row("redirects", name, what)
        .on_request(move |x| {
            let headers = format!("location: {}\r\n", location(x.server.port));
            x.answer(&format!("{status} Elsewhere"), &headers, b"")?;
            Ok(Then::Serve)
        })
        .calls(HTTP, 1)
        .http(status)
        .artifact(ARTIFACT, 1)
}

pub(super) fn rows() -> Vec<Row> {
    let once = |name: &'static str, what: &'static str, status: u16, location: fn(u16) -> String| {
        row("redirects", name, what)
            .on_request(move |x| {
                if x.request.target.contains("/moved") {
                    let body = x.body();
                    x.answer("200 OK", "", &body)?;
                } else {
                    let headers = format!("location: {}\r\n", location(x.server.port));
                    x.answer(&format!("{status} Elsewhere"), &headers, b"")?;
                }
                Ok(Then::Serve)
            })
            .calls(HTTP, 1)
            .http(status)
            .artifact(OK, 2)
    };
    vec![
        once("redirect-relative", "Redirects (302) to a path of its own", 302, |_| "/moved/rules.json".to_owned()),
        once("redirect-permanent", "Redirects (308) to a full URL of its own", 308, |port| {
            format!("http://127.0.0.1:{port}/moved/rules.json")
        }),
        Row {
            seen: None,
            ..redirects("redirect-loop", "Redirects (302) to itself for ever", 302, |_| "rules.json".to_owned())
        }
        .artifact(ARTIFACT, 4),
        redirects("redirect-to-http", "Redirects (301) from https to http", 301, |port| {
            format!("http://127.0.0.1:{port}/rules.json")
        })
        .net(Net::Tls(Kind::Good)),
        redirects("redirect-other-host", "Redirects (307) to another host", 307, |_| {
            "http://other.test/rules.json".to_owned()
        }),
        redirects("redirect-metadata", "Redirects (307) to the metadata service of a cloud", 307, |_| {
            "http://169.254.169.254/latest/meta-data".to_owned()
        }),
        redirects("redirect-file", "Redirects (301) to a local file", 301, |_| "file:///etc/passwd".to_owned()),
        redirects("redirect-user-info", "Redirects (302) to a URL with a password", 302, |port| {
            format!("http://canary:canary@127.0.0.1:{port}/rules.json")
        }),
        redirects("redirect-garbage", "Redirects (302) to something that is no URL", 302, |_| "http://[".to_owned()),
        row("redirects", "redirect-nowhere", "Redirects (302) without saying where")
            .on_request(|x| {
                x.answer("302 Found", "", b"")?;
                Ok(Then::Serve)
            })
            .calls(HTTP, 1)
            .http(302)
            .artifact(ARTIFACT, 1),
    ]
}
