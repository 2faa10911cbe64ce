//! Lengths, chunks, and where a message ends.

use super::{DECODE, NETWORK, NOT_READY, OK, Row, row};
use crate::server::Then;

fn with(head: &str, body: &[u8]) -> Vec<u8> {
    [format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{head}\r\n").as_bytes(), body].concat()
}

/// In chunks of that size.
fn chunked(body: &[u8], size: usize, extension: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for piece in body.chunks(size) {
        out.extend(format!("{:x}{extension}\r\n", piece.len()).as_bytes());
        out.extend(piece);
        out.extend(b"\r\n");
    }
    out
}

const CHUNKED: &str = "transfer-encoding: chunked\r\n";

pub(super) fn rows() -> Vec<Row> {
    let mut rows = lengths();
    rows.extend(chunks());
    rows
}

fn lengths() -> Vec<Row> {
    let group = "framing";
    let mut rows = vec![
        row(group, "body-too-short", "Announces more than it sends, and closes")
            .on_request(|x| {
                let body = x.body();
                x.send(with(&format!("content-length: {}\r\n", body.len() + 10), &body))?;
                Ok(Then::Close)
            })
            .calls(NETWORK, 1)
            .phase("read")
            .artifact(NOT_READY, 4),
        row(group, "extra-bytes", "Sends more than it announced: the answer counts, the connection is not used again")
            .answers(|body| {
                let extra = b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n\"stale\"";
                with(&format!("content-length: {}\r\n", body.len()), &[body, extra].concat())
            })
            .succeeds(1),
        row(group, "length-cuts-json", "Announces half of the JSON that it sends")
            .answers(|body| with(&format!("content-length: {}\r\n", body.len() / 2), body))
            .calls(DECODE, 1)
            .artifact(super::ARTIFACT, 1),
        row(group, "two-lengths", "Announces two different lengths")
            .answers(|body| with(&format!("content-length: {}\r\ncontent-length: 3\r\n", body.len()), body))
            .calls(DECODE, 1)
            .artifact(super::ARTIFACT, 1),
        row(group, "same-length-twice", "Announces the same length twice")
            .answers(|body| {
                let line = format!("content-length: {}\r\n", body.len());
                with(&line.repeat(2), body)
            })
            .succeeds(1),
        row(group, "length-and-chunks", "Announces a length and sends chunks: the chunks count")
            .answers(|body| {
                with(
                    &format!("content-length: 3\r\n{CHUNKED}"),
                    &[chunked(body, 50, ""), b"0\r\n\r\n".to_vec()].concat(),
                )
            })
            .succeeds(1),
        row(group, "close-delimited", "Announces no length: the body ends with the connection")
            .on_request(|x| {
                let body = x.body();
                x.send(with("", &body))?;
                Ok(Then::Close)
            })
            .succeeds(1),
        row(group, "close-delimited-reset", "Announces no length, and resets in place of an end")
            .on_request(|x| {
                let body = x.body();
                x.send(with("", &body))?;
                std::thread::sleep(std::time::Duration::from_millis(50));
                Ok(Then::Reset)
            })
            .calls(NETWORK, 1)
            .phase("read")
            .artifact(NOT_READY, 4),
        row(group, "http10-close", "Answers in HTTP/1.0, the body ends with the connection")
            .on_request(|x| {
                let body = x.body();
                x.send([&b"HTTP/1.0 200 OK\r\n\r\n"[..], &body].concat())?;
                Ok(Then::Close)
            })
            .succeeds(1),
        row(group, "http10-keep-alive", "Answers in HTTP/1.0 with keep-alive and a length")
            .on_request(|x| {
                let body = x.body();
                let head =
                    format!("HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: {}\r\n\r\n", body.len());
                x.send([head.as_bytes(), &body].concat())?;
                Ok(Then::Serve)
            })
            .succeeds(1),
    ];
    for (name, what, value) in [
        ("length-negative", "a negative length", "-5"),
        ("length-garbage", "a length that is no number", "many"),
        ("length-huge", "a length of 31 digits", "1000000000000000000000000000000"),
        ("length-plus", "a length with a sign", "+5"),
    ] {
        rows.push(
            row(group, name, format!("Announces {what}"))
                .answers(move |body| with(&format!("content-length: {value}\r\n"), body))
                .calls(DECODE, 1)
                .artifact(super::ARTIFACT, 1),
        );
    }
    rows.push(
        row(group, "length-over-the-cap", "Announces a gigabyte: refused without reading it")
            .answers(|body| with("content-length: 1073741824\r\n", body))
            .calls(DECODE, 1)
            .artifact(super::ARTIFACT, 1),
    );
    rows
}

fn chunks() -> Vec<Row> {
    let group = "framing";
    vec![
        row(group, "tiny-chunks", "Sends the body in chunks of one byte")
            .answers(|body| with(CHUNKED, &[chunked(body, 1, ""), b"0\r\n\r\n".to_vec()].concat()))
            .succeeds(1),
        row(group, "very-many-tiny-chunks", "Sends 30,000 chunks of one byte")
            .answers(|body| {
                let body = [body, &b" ".repeat(30_000)].concat();
                with(CHUNKED, &[chunked(&body, 1, ""), b"0\r\n\r\n".to_vec()].concat())
            })
            .succeeds(1),
        row(group, "chunk-extensions", "Sends chunks with extensions")
            .answers(|body| with(CHUNKED, &[chunked(body, 100, ";a=b"), b"0\r\n\r\n".to_vec()].concat()))
            .succeeds(1),
        row(group, "chunk-extension-1-mib", "Sends a chunk with an extension of a megabyte")
            .answers(|body| {
                let extension = format!(";a={}", "b".repeat(1 << 20));
                with(CHUNKED, &[chunked(body, 10_000, &extension), b"0\r\n\r\n".to_vec()].concat())
            })
            .calls(DECODE, 1)
            .artifact(super::ARTIFACT, 1),
        row(group, "bad-chunk-size", "Sends a chunk whose size is no number")
            .answers(|body| with(CHUNKED, &[b"zz\r\n", body].concat()))
            .calls(DECODE, 1)
            .artifact(super::ARTIFACT, 1),
        row(group, "chunk-size-overflow", "Sends a chunk whose size needs more than 64 bits")
            .answers(|body| with(CHUNKED, &[b"fffffffffffffffff\r\n", body].concat()))
            .calls(DECODE, 1)
            .artifact(super::ARTIFACT, 1),
        row(group, "no-last-chunk", "Closes before the last chunk")
            .on_request(|x| {
                let body = x.body();
                x.send(with(CHUNKED, &chunked(&body, 50, "")))?;
                Ok(Then::Close)
            })
            .calls(NETWORK, 1)
            .phase("read")
            .artifact(NOT_READY, 4),
        row(group, "fin-in-chunk", "Closes in the middle of a chunk")
            .on_request(|x| {
                let body = x.body();
                let chunks = chunked(&body, 10_000, "");
                x.send(with(CHUNKED, &chunks[..chunks.len() / 2]))?;
                Ok(Then::Close)
            })
            .calls(NETWORK, 1)
            .phase("read")
            .artifact(NOT_READY, 4),
        row(group, "trailers", "Sends trailers after the chunks: not read as anything")
            .answers(|body| with(CHUNKED, &[chunked(body, 50, ""), b"0\r\nx-checksum: 1\r\n\r\n".to_vec()].concat()))
            .succeeds(1),
        row(group, "forbidden-trailers", "Sends trailers that must not be there, such as content-length")
            .answers(|body| {
                let trailers = b"0\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\nhost: evil.test\r\n\r\n";
                with(CHUNKED, &[chunked(body, 50, ""), trailers.to_vec()].concat())
            })
            .succeeds(1),
        row(group, "huge-trailers", "Sends a megabyte of trailers")
            .answers(|body| {
                let trailers =
                    format!("0\r\n{}\r\n", "x: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n".repeat(20_000));
                with(CHUNKED, &[chunked(body, 50, ""), trailers.into_bytes()].concat())
            })
            .calls(DECODE, 1)
            .artifact(super::ARTIFACT, 1),
        row(group, "two-answers", "Answers the request twice: the second is not taken for the next request's")
            .answers(|body| {
                let one = with(&format!("content-length: {}\r\n", body.len()), body);
                [one.clone(), one].concat()
            })
            .calls(OK, 1)
            .artifact(OK, 1),
    ]
}
