//! What only artifacts can have wrong.

use serde_json::json;

use super::{ARTIFACT, OK, Row, row};
use crate::server::Then;

fn answers(name: &'static str, what: &'static str, headers: &'static str, make: fn(&[u8]) -> Vec<u8>) -> Row {
    row("artifacts", name, what)
        .on_request(move |x| {
            let body = make(&x.body());
            x.answer("200 OK", headers, &body)?;
            Ok(Then::Serve)
        })
        .artifact(ARTIFACT, 1)
}

fn replace(body: &[u8], from: &str, to: &str) -> Vec<u8> {
    let text = String::from_utf8_lossy(body);
    assert!(text.contains(from), "{from} is not in the artifact");
    text.replace(from, to).into_bytes()
}

pub(super) fn rows() -> Vec<Row> {
    vec![
        answers("artifact-version-2", "Is of major version 2", "", |body| replace(body, "\"1.0.0\"", "\"2.0.0\"")),
        answers("artifact-without-version", "Has no version", "", |body| replace(body, "\"version\"", "\"edition\"")),
        answers("artifact-without-rules", "Has no rules: nothing is decided by it", "", |body| {
            replace(body, "\"rules\"", "\"laws\"")
        })
        .artifact(OK, 1)
        .word(None),
        answers("artifact-rules-of-wrong-type", "Has text in place of the rules of an mbox", "", |body| {
            let mut value: serde_json::Value = serde_json::from_slice(body).expect("JSON");
            value["rules"]["mboxes"]["m"] = json!("none");
            value.to_string().into_bytes()
        }),
        answers("artifact-no-mboxes", "Has no activities: valid, and decides nothing", "", |body| {
            let mut value: serde_json::Value = serde_json::from_slice(body).expect("JSON");
            value["rules"]["mboxes"] = json!({});
            value.to_string().into_bytes()
        })
        .artifact(OK, 1)
        .word(None),
        answers(
            "artifact-other-etag",
            "Is the same with a new entity tag each time",
            "etag: \"changing\"\r\n",
            <[u8]>::to_vec,
        )
        .artifact(OK, 1),
        answers("artifact-etag-garbage", "Has an entity tag that is not ASCII", "etag: \"\u{e9}\"\r\n", <[u8]>::to_vec)
            .artifact(OK, 1),
        answers("artifact-etag-huge", "Has an entity tag of 20,000 bytes", "", <[u8]>::to_vec)
            .on_request(|x| {
                let body = x.body();
                let headers = format!("etag: \"{}\"\r\n", "e".repeat(20_000));
                x.answer("200 OK", &headers, &body)?;
                Ok(Then::Serve)
            })
            .artifact(OK, 1),
        Row {
            later: "artifactNotModified",
            ..row("artifacts", "artifact-not-modified-for-ever", "Answers 304 though there has never been an artifact")
                .on_request(|x| {
                    x.send("HTTP/1.1 304 Not Modified\r\netag: \"never\"\r\n\r\n")?;
                    Ok(Then::Serve)
                })
                .artifact(ARTIFACT, 1)
        },
        answers("artifact-206", "Is partial content (206)", "", <[u8]>::to_vec)
            .on_request(|x| {
                let body = x.body();
                x.answer("206 Partial Content", "content-range: bytes 0-9/100\r\n", &body)?;
                Ok(Then::Serve)
            })
            .artifact(ARTIFACT, 1),
        answers("artifact-too-large", "Is larger than `maxArtifactBytes`", "", |body| {
            [body, &b" ".repeat(2 << 20)].concat()
        }),
        Row {
            incurable: true,
            ..answers("artifact-bin-garbage", "Is no obfuscated artifact, where one is expected", "", <[u8]>::to_vec)
                .config(json!({"artifactFormat": "bin"}))
        },
    ]
}
