//! Certificates and handshakes.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::json;

use super::{NETWORK, NOT_READY, Net, Row, TLS, row};
use crate::server::{Shared, Then, reset};
use crate::tls::Kind;

const GROUP: &str = "tls";

/// A certificate does not get better: asked once.
fn certificate(kind: Kind, name: &'static str, what: &'static str) -> Row {
    row(GROUP, name, what).net(Net::Tls(kind)).calls(TLS, 1).phase("tls").artifact(super::ARTIFACT, 1)
}

/// Does something to the raw connection when the ClientHello is there.
fn handshake(
    name: &'static str,
    what: &'static str,
    script: impl Fn(&Shared, TcpStream) -> std::io::Result<()> + Send + Sync + 'static,
) -> Row {
    row(GROUP, name, what)
        .net(Net::Tls(Kind::Good))
        .on_accept(move |shared, mut tcp| {
            let mut hello = [0; 4096];
            let _ = tcp.read(&mut hello)?;
            script(shared, tcp)
        })
        .calls(TLS, 2)
        .phase("tls")
        .artifact(NOT_READY, 4)
}

fn record(kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![kind, 3, 3];
    out.extend((payload.len() as u16).to_be_bytes());
    out.extend(payload);
    out
}

fn until_closed(mut tcp: TcpStream) -> std::io::Result<()> {
    let mut waste = [0; 1024];
    while tcp.read(&mut waste)? > 0 {}
    Ok(())
}

/// A ServerHello of TLS 1.1.
fn old_server_hello() -> Vec<u8> {
    let mut hello = vec![3, 2];
    hello.extend([7; 32]); // random
    hello.push(0); // no session
    hello.extend([0x00, 0x2f]); // TLS_RSA_WITH_AES_128_CBC_SHA
    hello.push(0); // no compression
    let mut message = vec![2, 0];
    message.extend((hello.len() as u16).to_be_bytes());
    message.extend(hello);
    record(22, &message)
}

pub(super) fn rows() -> Vec<Row> {
    let mut rows = vec![
        certificate(Kind::Expired, "certificate-expired", "Its certificate has expired"),
        certificate(Kind::NotYetValid, "certificate-not-yet-valid", "Its certificate is not valid yet"),
        certificate(Kind::WrongHost, "certificate-wrong-host", "Its certificate is for another host"),
        certificate(Kind::SelfSigned, "certificate-self-signed", "Its certificate is signed by itself"),
        certificate(
            Kind::UnknownCa,
            "certificate-unknown-authority",
            "Its certificate is signed by an authority that is not trusted",
        ),
        certificate(
            Kind::MissingIntermediate,
            "certificate-missing-intermediate",
            "It does not send the intermediate certificate",
        ),
        certificate(
            Kind::ClientCertificate,
            "client-certificate-required",
            "It wants a client certificate, and there is none",
        ),
        certificate(Kind::StrangeAlpn, "alpn-mismatch", "It speaks neither HTTP/2 nor HTTP/1.1 (ALPN)"),
        row(GROUP, "certificate-chain-huge", "It sends 120 KB of certificates")
            .net(Net::Tls(Kind::HugeChain))
            .calls(TLS, 2)
            .phase("tls")
            .artifact(NOT_READY, 4),
        row(GROUP, "certificate-intermediate", "It sends the intermediate certificate, too")
            .net(Net::Tls(Kind::Intermediate))
            .answers(well)
            .succeeds(1),
        row(GROUP, "tls-1-2", "It speaks TLS 1.2 only").net(Net::Tls(Kind::Tls12)).answers(well).succeeds(1),
        row(GROUP, "small-records", "It sends TLS records of 32 bytes")
            .net(Net::Tls(Kind::SmallRecords))
            .answers(well)
            .succeeds(1),
        row(GROUP, "one-byte-records", "It sends its handshake in TLS records of one byte")
            .net(Net::Tls(Kind::OneByteRecords))
            .answers(well)
            .succeeds(1),
        row(GROUP, "no-close-notify-complete", "It closes without `close_notify` after a complete answer")
            .net(Net::Tls(Kind::Good))
            .on_request(|x| {
                let body = x.body();
                x.answer("200 OK", "", &body)?;
                Ok(Then::Truncate)
            })
            .succeeds(1),
        row(
            GROUP,
            "no-close-notify-truncated",
            "It closes without `close_notify` where only the end of the connection ends the answer: \
            somebody may have cut it off",
        )
        .net(Net::Tls(Kind::Good))
        .on_request(|x| {
            let body = x.body();
            x.send([b"HTTP/1.1 200 OK\r\n\r\n", &body[..]].concat())?;
            Ok(Then::Truncate)
        })
        .calls(NETWORK, 1)
        .phase("read")
        .artifact(NOT_READY, 4),
        row(GROUP, "false-h2", "It agrees to HTTP/2 and speaks HTTP/1.1")
            .net(Net::Tls(Kind::FalseH2))
            .on_head(|x| {
                x.send("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")?;
                Ok(Then::Close)
            })
            .calls(NETWORK, 1)
            .up_to(2)
            .artifact(NOT_READY, 4),
    ];
    rows.extend(handshakes());
    rows
}

fn well(body: &[u8]) -> Vec<u8> {
    [format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len()).as_bytes(), body].concat()
}

fn handshakes() -> Vec<Row> {
    let alert = |level: u8, code: u8| record(21, &[level, code]);
    vec![
        handshake("tls-1-1", "It speaks TLS 1.1 only, and answers with that", |_, mut tcp| {
            tcp.write_all(&old_server_hello())?;
            until_closed(tcp)
        })
        .calls(TLS, 1)
        .artifact(super::ARTIFACT, 1),
        handshake("alert-protocol-version", "It refuses the version of TLS", move |_, mut tcp| {
            tcp.write_all(&alert(2, 70))?;
            until_closed(tcp)
        })
        .calls(TLS, 1)
        .artifact(super::ARTIFACT, 1),
        handshake("alert-handshake-failure", "It refuses the handshake", move |_, mut tcp| {
            tcp.write_all(&alert(2, 40))?;
            until_closed(tcp)
        })
        .calls(TLS, 1)
        .artifact(super::ARTIFACT, 1),
        handshake(
            "alert-internal-error",
            "It breaks off the handshake because of a fault of its own",
            move |_, mut tcp| {
                tcp.write_all(&alert(2, 80))?;
                until_closed(tcp)
            },
        )
        .calls(TLS, 1)
        .artifact(super::ARTIFACT, 1),
        handshake("handshake-closed", "It closes after the ClientHello", |_, tcp| {
            drop(tcp);
            Ok(())
        }),
        handshake("handshake-reset", "It resets after the ClientHello", |_, tcp| {
            reset(&tcp);
            Ok(())
        }),
        handshake("handshake-half-record", "It closes in the middle of a TLS record", |_, mut tcp| {
            tcp.write_all(&[22, 3, 3, 0, 100, 2, 0])?;
            Ok(())
        }),
        handshake("handshake-garbage", "It answers the ClientHello with plain HTTP", |_, mut tcp| {
            tcp.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")?;
            until_closed(tcp)
        }),
        handshake("handshake-huge-record", "It announces a TLS record that is larger than allowed", |_, mut tcp| {
            tcp.write_all(&[22, 3, 3, 0xff, 0xff])?;
            tcp.write_all(&[0; 4096])?;
            until_closed(tcp)
        }),
        handshake("handshake-stall", "It never answers the ClientHello: `connectTimeout` passes", |_, tcp| {
            until_closed(tcp)
        })
        .config(json!({"connectTimeout": 400})),
        handshake(
            "handshake-stall-deadline",
            "It never answers the ClientHello, and the deadline is first",
            |_, tcp| until_closed(tcp),
        )
        .config(json!({"connectTimeout": 60_000}))
        .times_out(2000, "tls", 1)
        .artifact(NOT_READY, 1),
        handshake(
            "handshake-drip",
            "It sends TLS records at one byte every 50 ms: `connectTimeout` passes",
            |shared, mut tcp| {
                tcp.write_all(&[22, 3, 3, 0x10, 0])?;
                while shared.is_broken() && !shared.is_stopping() {
                    tcp.write_all(&[2])?;
                    std::thread::sleep(Duration::from_millis(50));
                }
                Ok(())
            },
        )
        .config(json!({"connectTimeout": 400})),
    ]
}
