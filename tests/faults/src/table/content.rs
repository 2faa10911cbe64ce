//! Bodies and their encodings.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;

use super::{ARTIFACT, DECODE, OK, Row, row};
use crate::payload::Subject;
use crate::server::Then;

pub(super) fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text).and_then(|()| encoder.finish()).expect("memory")
}

pub(super) fn rows() -> Vec<Row> {
    let mut rows = bodies();
    rows.extend(compressed());
    rows
}

fn of(headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\n{headers}content-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// With a member that is that deep.
fn nested(body: &[u8], depth: usize) -> Vec<u8> {
    let mut out = body[..body.len() - 1].to_vec();
    out.extend(b",\"deep\":");
    out.extend(vec![b'['; depth]);
    out.extend(vec![b']'; depth]);
    out.push(b'}');
    out
}

fn bodies() -> Vec<Row> {
    let group = "bodies";
    let labelled = "content-type: application/json\r\n";
    let refused = |name: &'static str, what: &'static str, make: fn(&[u8]) -> Vec<u8>| {
        row(group, name, what).answers(move |body| of(labelled, &make(body))).calls(DECODE, 1).artifact(ARTIFACT, 1)
    };
    let accepted = |name: &'static str, what: &'static str, make: fn(&[u8]) -> Vec<u8>| {
        row(group, name, what).answers(move |body| of(labelled, &make(body))).succeeds(1)
    };
    vec![
        refused("empty", "Answers 200 with nothing", |_| Vec::new()),
        refused("html", "Answers 200 with a sign-in page", |_| {
            b"<!doctype html><html><body>Sign in</body></html>".to_vec()
        }),
        refused("array", "Answers with a JSON array", |_| b"[1,2,3]".to_vec()),
        refused("null", "Answers `null`", |_| b"null".to_vec()),
        refused("half-json", "Answers with half of the JSON, and says that it is all", |body| {
            body[..body.len() / 2].to_vec()
        }),
        refused("text-after-json", "Answers with text behind the JSON", |body| [body, b" trailing"].concat()),
        refused("two-documents", "Answers with the JSON twice", |body| [body, body].concat()),
        refused("nul-in-json", "Answers with a NUL in the JSON", |body| {
            let mut body = body.to_vec();
            body[1] = 0;
            body
        }),
        refused("invalid-utf8", "Answers with text that is not UTF-8", |body| {
            let at = body.windows(4).position(|four| four == b"good").expect("the word");
            let mut body = body.to_vec();
            body[at] = 0xff;
            body
        }),
        refused("utf16", "Answers in UTF-16", |body| {
            String::from_utf8_lossy(body).encode_utf16().flat_map(u16::to_le_bytes).collect()
        }),
        accepted("nested-60", "Answers with 60 nested arrays in a member that nobody knows", |body| nested(body, 60)),
        row(group, "nested-100000", "Answers with 100,000 nested arrays in a member that nobody knows")
            .answers(move |body| of(labelled, &nested(body, 100_000)))
            .calls(OK, 1)
            .word(None),
        accepted("byte-order-mark", "Answers with a byte order mark", |body| ["\u{feff}".as_bytes(), body].concat()),
        accepted("white-space", "Answers with white space around the JSON", |body| {
            [b"\r\n  ", body, b"\r\n\t "].concat()
        }),
        row(group, "charset-latin-1", "Names the character set latin-1, and sends ASCII")
            .answers(|body| of("content-type: application/json; charset=iso-8859-1\r\n", body))
            .succeeds(1),
        row(group, "text-plain", "Calls its JSON plain text")
            .answers(|body| of("content-type: text/plain\r\n", body))
            .succeeds(1),
        row(group, "empty-object", "Answers `{}`: nothing asked for is there")
            .answers(move |_| of(labelled, b"{}"))
            .calls(OK, 1)
            .word(None)
            .artifact(ARTIFACT, 1),
        row(group, "endless", "Never stops sending")
            .on_request(|x| {
                let body = x.body();
                x.send([b"HTTP/1.1 200 OK\r\n\r\n", &body[..]].concat())?;
                loop {
                    x.send([b' '; 16_384])?;
                }
            })
            .calls(DECODE, 1)
            .artifact(ARTIFACT, 1),
        row(group, "endless-chunks", "Never stops sending chunks")
            .on_request(|x| {
                x.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")?;
                let chunk = [b"4000\r\n".to_vec(), vec![b' '; 0x4000], b"\r\n".to_vec()].concat();
                loop {
                    x.send(&chunk)?;
                }
            })
            .calls(DECODE, 1)
            .artifact(ARTIFACT, 1),
        row(group, "endless-error-page", "Answers 400 and never stops sending the page: the status counts")
            .on_request(|x| {
                x.send("HTTP/1.1 400 Bad Request\r\n\r\nno such thing ")?;
                loop {
                    x.send([b'.'; 16_384])?;
                }
            })
            .calls(super::HTTP, 1)
            .http(400)
            .artifact(ARTIFACT, 1),
    ]
}

fn compressed() -> Vec<Row> {
    let group = "compression";
    let labelled = |name: &'static str, what: &'static str, encoding: &'static str, make: fn(&[u8]) -> Vec<u8>| {
        row(group, name, what).answers(move |body| of(&format!("content-encoding: {encoding}\r\n"), &make(body)))
    };
    let refused = |name: &'static str, what: &'static str, encoding: &'static str, make: fn(&[u8]) -> Vec<u8>| {
        labelled(name, what, encoding, make).calls(DECODE, 1).artifact(ARTIFACT, 1)
    };
    vec![
        labelled("gzip", "Compresses with gzip", "gzip", gzip).succeeds(1),
        labelled("gzip-members", "Compresses with gzip in two members", "GZIP", |body| {
            let (one, two) = body.split_at(body.len() / 2);
            [gzip(one), gzip(two)].concat()
        })
        .succeeds(1),
        labelled("identity", "Names the encoding `identity`", "identity", <[u8]>::to_vec).succeeds(1),
        refused("gzip-corrupt", "Damages its gzip", "gzip", |body| {
            let mut packed = gzip(body);
            let middle = packed.len() / 2;
            packed[middle] ^= 0xff;
            packed
        }),
        refused("gzip-truncated", "Sends half of its gzip, and says that it is all", "gzip", |body| {
            let packed = gzip(body);
            packed[..packed.len() / 2].to_vec()
        }),
        refused("gzip-not", "Says gzip and sends text", "gzip", <[u8]>::to_vec),
        refused("gzip-trailing-garbage", "Sends bytes behind its gzip", "gzip", |body| {
            [gzip(body), b"garbage".to_vec()].concat()
        }),
        refused("gzip-twice", "Compresses twice", "gzip, gzip", |body| gzip(&gzip(body))),
        refused("gzip-bomb", "Sends a kilobyte of gzip for every megabyte", "gzip", |body| {
            gzip(&[body, &vec![b' '; 8 << 20]].concat())
        })
        .config(json!({"maxResponseBytes": 64 << 20, "maxArtifactBytes": 64 << 20})),
        refused("gzip-too-large", "Sends gzip that expands beyond the limit", "gzip", |body| {
            gzip(&[body, &vec![b' '; 2 << 20]].concat())
        }),
        refused("brotli-unasked", "Names the encoding `br`, which was not asked for", "br", <[u8]>::to_vec),
        refused("zstd-unasked", "Names the encoding `zstd`", "zstd", <[u8]>::to_vec),
        refused("encoding-unknown", "Names an encoding that nobody knows", "rot13", <[u8]>::to_vec),
        row(group, "gzip-unlabelled", "Compresses without saying so")
            .on_request(|x| {
                let body = gzip(&x.body());
                x.answer("200 OK", "", &body)?;
                Ok(Then::Serve)
            })
            .calls(DECODE, 1)
            .artifact(ARTIFACT, 1),
        row(group, "gzip-error-page", "Answers 400 with a damaged gzip page: the status counts")
            .on_request(|x| {
                let mut page = gzip(&Subject::Delivery.body("bad"));
                page.truncate(20);
                x.answer("400 Bad Request", "content-encoding: gzip\r\n", &page)?;
                Ok(Then::Serve)
            })
            .calls(super::HTTP, 1)
            .http(400)
            .artifact(ARTIFACT, 1),
    ]
}
