//! Names, addresses, and the machine that the host runs on. Names of the form `*.test` are resolved by the preloaded shim.

use serde_json::json;

use super::{NETWORK, NOT_READY, Net, OK, Row, row};
use crate::server::Then;

/// Values of `fault_dns` in the shim.
const NXDOMAIN: i64 = 1;
const SERVFAIL: i64 = 2;
const STUCK: i64 = 3;
const HUNDRED: i64 = 4;
const IPV6_BROKEN: i64 = 5;
const IPV6_ONLY: i64 = 6;
const NOTHING: i64 = 7;
const PRIVATE: i64 = 8;

fn name(name: &'static str, what: &'static str, dns: i64) -> Row {
    Row { host: Some("edge.test"), shim: Some(("dns", dns)), ..row("names", name, what) }
}

fn well(body: &[u8]) -> Vec<u8> {
    [format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len()).as_bytes(), body].concat()
}

pub(super) fn rows() -> Vec<Row> {
    let mut rows = names();
    rows.extend(machine());
    rows
}

fn names() -> Vec<Row> {
    vec![
        name("name-unknown", "The name does not exist (remembered for five seconds)", NXDOMAIN)
            .calls(NETWORK, 2)
            .phase("dns")
            .artifact(NOT_READY, 4)
            .unseen(),
        name("name-server-failure", "The name server fails", SERVFAIL)
            .calls(NETWORK, 2)
            .phase("dns")
            .artifact(NOT_READY, 4)
            .unseen(),
        name("name-without-address", "The name has no address", NOTHING)
            .calls(NETWORK, 2)
            .phase("dns")
            .artifact(NOT_READY, 4)
            .unseen(),
        name("look-up-stuck", "The look-up never returns, and the deadline is first", STUCK)
            .config(json!({"connectTimeout": 60_000}))
            .times_out(2000, "dns", 1)
            .artifact(NOT_READY, 1)
            .unseen(),
        name("look-up-stuck-connect-timeout", "The look-up never returns, and `connectTimeout` passes", STUCK)
            .config(json!({"connectTimeout": 300}))
            .calls(NETWORK, 2)
            .phase("dns")
            .artifact(NOT_READY, 4)
            .unseen(),
        name("hundred-addresses", "The name has a hundred addresses, of which only the last one answers", HUNDRED)
            .answers(well)
            .succeeds(1),
        name("ipv6-broken", "The name has an IPv6 address that nobody listens at, and an IPv4 address", IPV6_BROKEN)
            .answers(well)
            .succeeds(1),
        name("ipv6-only", "The name has an IPv6 address only", IPV6_ONLY).net(Net::Ipv6).answers(well).succeeds(1),
        Row {
            delivery: None,
            notifications: None,
            incurable: true,
            ..name(
                "artifact-at-metadata-address",
                "The artifact's host resolves to the metadata service of a cloud: refused",
                PRIVATE,
            )
            .net(Net::Tls(crate::tls::Kind::Good))
            .config(json!({"secure": true}))
            .artifact(super::ARTIFACT, 1)
            .unseen()
        },
        row(
            "names",
            "edge-host-elsewhere",
            "Answers with an `edgeHost` of its own; `pinServerDomain` keeps the client where it is",
        )
        .on_request(|x| {
            let body = String::from_utf8_lossy(&x.body()).replace("mboxedge28.tt.omtrdc.net", "evil.test");
            x.answer("200 OK", "", body.as_bytes())?;
            Ok(Then::Serve)
        })
        .calls(OK, 1),
    ]
}

fn machine() -> Vec<Row> {
    let group = "machine";
    let clock = |name: &'static str, what: &'static str, seconds: i64| {
        Row { shim: Some(("clock", seconds)), ..row(group, name, what) }
            .on_request(|x| {
                x.hold()?;
                Ok(Then::Close)
            })
            .times_out(2500, "wait", 1)
    };
    vec![
        clock("clock-forward", "The wall clock jumps a day ahead, and the server does not answer", 86_400),
        clock("clock-back", "The wall clock jumps ten years back, and the server does not answer", -315_360_000),
        Row {
            no_descriptors: true,
            ..row(group, "no-descriptors", "The process has no descriptors left: no socket can be opened")
                .calls(NETWORK, 2)
                .phase("connect")
                .unseen()
        },
    ]
}
