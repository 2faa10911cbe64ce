//! Proxies. Behind them is a healthy server, which is the same process.

use std::io::Read;

use serde_json::json;

use super::{NETWORK, NOT_READY, Net, OK, Row, row};
use crate::server::Then;

fn proxy(name: &'static str, what: &'static str, https: bool) -> Row {
    Row { host: Some("edge.test"), ..row("proxies", name, what).net(Net::Proxy { https }) }
}

pub(super) fn rows() -> Vec<Row> {
    let tunnel = |name: &'static str, what: &'static str, answer: &'static str| {
        proxy(name, what, true)
            .on_request(move |x| {
                x.send(answer)?;
                Ok(Then::Close)
            })
            .calls(NETWORK, 2)
            .phase("connect")
            .artifact(NOT_READY, 4)
    };
    vec![
        tunnel(
            "proxy-407",
            "The proxy wants another password (407): asked once",
            "HTTP/1.1 407 Proxy Authentication Required\r\n\
            proxy-authenticate: Basic realm=\"x\"\r\ncontent-length: 0\r\n\r\n",
        )
        .calls(NETWORK, 1)
        .http(407)
        .artifact(super::ARTIFACT, 1),
        tunnel("proxy-502", "The proxy makes no tunnel (502)", "HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n"),
        tunnel("proxy-403", "The proxy makes no tunnel (403)", "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n"),
        tunnel("proxy-garbage", "The proxy answers something that is not HTTP", "SSH-2.0-OpenSSH_9.6\r\n"),
        tunnel("proxy-closes", "The proxy closes in place of an answer", ""),
        proxy("proxy-stall", "The proxy never answers: `connectTimeout` passes", true)
            .on_request(|x| {
                x.hold()?;
                Ok(Then::Close)
            })
            .config(json!({"connectTimeout": 400}))
            .calls(NETWORK, 2)
            .phase("connect")
            .artifact(NOT_READY, 4),
        proxy("proxy-tunnel-then-garbage", "The proxy makes a tunnel, and what comes through it is not TLS", true)
            .on_request(|x| {
                x.send("HTTP/1.1 200 OK\r\n\r\n")?;
                let mut hello = [0; 4096];
                let _ = x.conn.stream.read(&mut hello)?;
                x.send("hello, this is no handshake")?;
                x.hold()?;
                Ok(Then::Close)
            })
            .calls(super::TLS, 2)
            .phase("tls")
            .artifact(NOT_READY, 4),
        proxy("proxy-tunnel-then-close", "The proxy makes a tunnel and closes it", true)
            .on_request(|x| {
                x.send("HTTP/1.1 200 OK\r\n\r\n")?;
                Ok(Then::Close)
            })
            .calls(super::TLS, 2)
            .phase("tls")
            .artifact(NOT_READY, 4),
        proxy("proxy-endless-head", "The proxy never stops sending the head of its answer", true)
            .on_request(|x| {
                x.send("HTTP/1.1 200 OK\r\n")?;
                loop {
                    x.send("x: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n")?;
                }
            })
            .calls(NETWORK, 2)
            .phase("connect")
            .artifact(NOT_READY, 4),
        proxy("proxy-refused", "Nobody listens at the proxy's address", true)
            .net(Net::DeadProxy)
            .calls(NETWORK, 2)
            .phase("connect")
            .artifact(NOT_READY, 4)
            .unseen(),
        proxy("proxy-plain-407", "A proxy for http wants another password (407): asked once", false)
            .on_request(|x| {
                x.answer("407 Proxy Authentication Required", "proxy-authenticate: Basic realm=\"x\"\r\n", b"")?;
                Ok(Then::Serve)
            })
            .calls(NETWORK, 1)
            .http(407)
            .artifact(super::ARTIFACT, 1),
        proxy("proxy-plain-502", "A proxy for http cannot reach the server (502)", false)
            .on_request(|x| {
                x.answer("502 Bad Gateway", "", b"")?;
                Ok(Then::Serve)
            })
            .calls(super::HTTP, 2)
            .http(502)
            .artifact(NOT_READY, 4),
        proxy("proxy-plain-well", "A proxy for http does what it should", false)
            .on_request(|x| {
                let absolute = x.request.target.starts_with("http://edge.test/");
                let signed_on =
                    x.request.header("proxy-authorization").is_some_and(|value| value.starts_with("Basic "));
                let body = if absolute && signed_on { x.body() } else { b"{\"wrong\":1}".to_vec() };
                x.answer("200 OK", "", &body)?;
                Ok(Then::Serve)
            })
            .calls(OK, 1)
            .artifact(OK, 1),
        Row {
            host: Some("edge.test"),
            ..row("proxies", "proxy-over-tls-502", "A proxy that is reached over TLS makes no tunnel (502)")
                .net(Net::TlsProxy)
                .on_request(|x| {
                    x.answer("502 Bad Gateway", "", b"")?;
                    Ok(Then::Close)
                })
                .calls(NETWORK, 2)
                .phase("connect")
                .artifact(NOT_READY, 4)
        },
    ]
}
