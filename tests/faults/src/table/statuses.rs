//! Statuses, and what `Retry-After` makes of them.

use super::{ARTIFACT, HTTP, NOT_READY, OK, Row, row};
use crate::payload::SERVER_ID;
use crate::server::Then;

fn page() -> String {
    format!("{{\"status\":400,\"message\":\"no\",\"tntId\":\"{SERVER_ID}.28_0\"}}")
}

fn answers(name: String, what: String, status: u16, headers: &'static str) -> Row {
    row("statuses", name, what)
        .on_request(move |x| {
            x.answer(&format!("{status} Status"), headers, page().as_bytes())?;
            Ok(Then::Serve)
        })
        .calls(HTTP, 1)
        .http(status)
        .artifact(ARTIFACT, 1)
}

pub(super) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for status in [400, 401, 403, 404, 408, 409, 410, 413, 415, 418, 421, 425, 431, 451, 501, 505, 599] {
        rows.push(answers(format!("status-{status}"), format!("Answers {status}"), status, ""));
    }
    rows.push(answers("status-500".to_owned(), "Answers 500".to_owned(), 500, "").artifact(NOT_READY, 4));
    for status in [429, 502, 503, 504] {
        let row = answers(format!("status-{status}"), format!("Answers {status}"), status, "");
        rows.push(row.calls(HTTP, 2).http(status).artifact(NOT_READY, 4));
    }
    rows.push(answers("status-407".to_owned(), "Answers 407 though it is no proxy".to_owned(), 407, ""));
    for (name, what, headers) in [
        ("retry-after-zero", "`Retry-After: 0`", "retry-after: 0\r\n"),
        ("retry-after-one", "`Retry-After: 1`", "retry-after: 1\r\n"),
        (
            "retry-after-past",
            "`Retry-After` with a date that has passed",
            "retry-after: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
        ),
        ("retry-after-negative", "`Retry-After: -5`, which means nothing", "retry-after: -5\r\n"),
        ("retry-after-garbage", "`Retry-After: soon`, which means nothing", "retry-after: soon\r\n"),
    ] {
        let row = answers(name.to_owned(), format!("Answers 503 with {what}"), 503, headers);
        rows.push(row.calls(HTTP, 2).http(503).artifact(NOT_READY, 4));
    }
    rows.push(
        answers(
            "retry-after-date".to_owned(),
            "Answers 429 with a `Retry-After` a second after its own `Date`".to_owned(),
            429,
            "date: Sun, 06 Nov 1994 08:49:37 GMT\r\nretry-after: Sun, 06 Nov 1994 08:49:38 GMT\r\n",
        )
        .calls(HTTP, 2)
        .http(429)
        .artifact(NOT_READY, 4),
    );
    for (name, what, headers) in [
        ("retry-after-beyond", "`Retry-After: 20`, which is later than the deadline", "retry-after: 20\r\n"),
        ("retry-after-huge", "`Retry-After` of nineteen digits", "retry-after: 1000000000000000000\r\n"),
    ] {
        let what = format!("Answers 429 with {what}. Later calls keep to it: `CIRCUIT_OPEN` at once, 0 attempts");
        let row = answers(name.to_owned(), what, 429, headers).calls(HTTP, 1).http(429);
        rows.push(Row { rests: true, artifact: None, ..row }); // downloads would take as long
    }
    rows.push(
        row("statuses", "burst-then-well", "Answers 503 once, then well")
            .on_request(|x| {
                let body = x.body();
                let status = if x.nth == 1 { "503 Service Unavailable" } else { "200 OK" };
                x.answer(status, "", &body)?;
                Ok(Then::Serve)
            })
            .calls(OK, 2)
            .artifact(OK, 2),
    );
    rows.push(
        row(
            "statuses",
            "breaks-then-503",
            "Resets the first request, answers 503 to the next: only downloads are asked again",
        )
        .on_request(|x| {
            if x.nth == 1 {
                return Ok(Then::Reset);
            }
            x.answer("503 Service Unavailable", "", b"")?;
            Ok(Then::Serve)
        })
        .calls(super::NETWORK, 1)
        .artifact(NOT_READY, 4),
    );
    rows.push(
        row("statuses", "empty-500", "Answers 500 without a body and closes")
            .on_request(|x| {
                x.send("HTTP/1.1 500 Internal Server Error\r\nconnection: close\r\n\r\n")?;
                Ok(Then::Close)
            })
            .calls(HTTP, 1)
            .http(500)
            .artifact(NOT_READY, 4),
    );
    rows
}
