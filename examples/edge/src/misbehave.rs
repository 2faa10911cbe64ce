//! Faults put into practice. HTTP/1 faults below HTTP are written to the socket by hand; over HTTP/2 the nearest
//! thing its frames can say is done.

use std::convert::Infallible;
use std::future::{Future, pending};
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::StatusCode;
use hyper::body::{Bytes, Frame};
use hyper::header::{CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, HeaderValue, LOCATION, RETRY_AFTER};

use crate::connection::{Connection, SLOW_BYTE, Step};
use crate::fault::Fault;
use crate::http::{Answer, Body, JSON, answer, error, full};

/// Time for what was written before to leave, when an HTTP/2 connection is about to be cut.
const FLUSH: Duration = Duration::from_millis(50);
const OVERSIZE: usize = 96 << 20;

/// Serves a request the wrong way. `correct` makes the answer it would have got.
pub(crate) async fn misbehave(
    fault: Fault,
    connection: &Arc<Connection>,
    correct: impl Future<Output = Answer>,
) -> Answer {
    match fault {
        Fault::Stall => pending().await,
        Fault::Reset => {
            connection.reset();
            pending().await
        }
        Fault::Close => {
            connection.take_over(Vec::new());
            pending().await
        }
        Fault::Oversize => oversize(),
        Fault::NotJson => answer(StatusCode::OK, JSON, "{\"status\":200,\"requestId\":<not json>"),
        Fault::Html => answer(
            StatusCode::OK,
            "text/html;charset=UTF-8",
            "<!DOCTYPE html><html><head><title>Sign in</title></head><body>Please sign in to the network.</body></html>",
        ),
        Fault::Empty => answer(StatusCode::OK, JSON, Bytes::new()),
        Fault::GzipCorrupt => gzip_corrupt(),
        Fault::Status(code) => with_status(code),
        Fault::RetryAfter(seconds) => {
            let mut answer = error(StatusCode::SERVICE_UNAVAILABLE, "try again later");
            answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
            answer
        }
        Fault::Redirect(url) => {
            let mut answer = error(StatusCode::TEMPORARY_REDIRECT, "elsewhere");
            // Printable ASCII by construction.
            if let Ok(url) = HeaderValue::from_str(&url) {
                answer.headers_mut().insert(LOCATION, url);
            }
            answer
        }
        // The plan has turned it into a status or nothing.
        Fault::Flap => correct.await,
        Fault::Slow
        | Fault::Truncate
        | Fault::WrongLength
        | Fault::HalfClose
        | Fault::DropAfterHead
        | Fault::DisconnectKeepalive => {
            let (parts, body) = correct.await.into_parts();
            let body = body.collect().await.map_or_else(|never| match never {}, |body| body.to_bytes());
            let correct = Answer::from_parts(parts, full(Bytes::new()));
            if connection.http2 {
                over_http2(&fault, connection, correct, body)
            } else {
                connection.take_over(over_http1(&fault, &correct, &body));
                drop(correct);
                pending().await
            }
        }
    }
}

/// An answer of this status: Target's error body unless it is a success.
pub(crate) fn with_status(code: u16) -> Answer {
    let status = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    match status {
        StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED => {
            let mut answer = Answer::new(full(Bytes::new()));
            *answer.status_mut() = status;
            answer
        }
        _ => error(status, &format!("status {code} as asked for")),
    }
}

fn over_http1(fault: &Fault, correct: &Answer, body: &Bytes) -> Vec<Step> {
    let half = body.len() / 2;
    let whole = head(correct, body.len());
    let joined = |head: &[u8], body: &[u8]| Bytes::from([head, body].concat());
    let (sent, _) = body.split_at(half);
    match fault {
        Fault::Slow => vec![Step::Trickle(joined(&whole, body))],
        Fault::Truncate => vec![Step::Write(joined(&whole, sent))],
        Fault::WrongLength => vec![Step::Write(joined(&head(correct, half), body)), Step::Drain],
        Fault::HalfClose => vec![Step::Write(joined(&whole, sent)), Step::Fin, Step::Drain],
        Fault::DropAfterHead => vec![Step::Write(Bytes::from(whole))],
        _ => vec![Step::Write(joined(&whole, body))],
    }
}

/// The head of an HTTP/1.1 answer that promises `length` bytes.
fn head(answer: &Answer, length: usize) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {}\r\n", answer.status()).into_bytes();
    for (name, value) in answer.headers() {
        if *name != CONTENT_LENGTH && *name != CONNECTION {
            head.extend_from_slice(name.as_str().as_bytes());
            head.extend_from_slice(b": ");
            head.extend_from_slice(value.as_bytes());
            head.extend_from_slice(b"\r\n");
        }
    }
    head.extend_from_slice(format!("content-length: {length}\r\n\r\n").as_bytes());
    head
}

fn over_http2(fault: &Fault, connection: &Arc<Connection>, correct: Answer, body: Bytes) -> Answer {
    let half = body.len() / 2;
    let (promised, sent, cut) = match fault {
        Fault::Truncate => (body.len(), body.slice(..half), false),
        Fault::WrongLength => (half, body.clone(), false),
        Fault::HalfClose => (body.len(), body.slice(..half), true),
        Fault::DropAfterHead => (body.len(), Bytes::new(), true),
        _ => (body.len(), body.clone(), false),
    };
    let frames = match fault {
        Fault::Slow => trickle(sent),
        _ if cut => then_cut(sent, Arc::clone(connection)),
        _ => full(sent),
    };
    if *fault == Fault::DisconnectKeepalive {
        let connection = Arc::clone(connection);
        tokio::spawn(async move {
            tokio::time::sleep(FLUSH).await;
            connection.take_over(Vec::new());
        });
    }
    let (mut parts, _) = correct.into_parts();
    parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(promised));
    Answer::from_parts(parts, frames)
}

fn data(bytes: Bytes) -> Result<Frame<Bytes>, Infallible> {
    Ok(Frame::data(bytes))
}

fn trickle(bytes: Bytes) -> Body {
    let frames = stream::unfold(bytes, |mut rest| async move {
        if rest.is_empty() {
            return None;
        }
        tokio::time::sleep(SLOW_BYTE).await;
        Some((data(rest.split_to(1)), rest))
    });
    StreamBody::new(frames).boxed_unsync()
}

fn then_cut(bytes: Bytes, connection: Arc<Connection>) -> Body {
    let frames = stream::unfold(Some(bytes), move |rest| {
        let connection = Arc::clone(&connection);
        async move {
            match rest {
                Some(bytes) if !bytes.is_empty() => Some((data(bytes), None)),
                _ => {
                    tokio::time::sleep(FLUSH).await;
                    connection.take_over(Vec::new());
                    pending().await
                }
            }
        }
    });
    StreamBody::new(frames).boxed_unsync()
}

/// Valid JSON up to its end, in chunks, without a length that would give it away.
fn oversize() -> Answer {
    let blanks = Bytes::from(vec![b' '; 64 << 10]);
    let frames = stream::unfold(0, move |sent| {
        let blanks = blanks.clone();
        async move {
            match sent {
                0 => Some((data(Bytes::from_static(b"{\"status\":200,\"padding\":\"")), 1)),
                sent if sent < OVERSIZE => {
                    let next = sent + blanks.len();
                    Some((data(blanks), next))
                }
                usize::MAX => None,
                _ => Some((data(Bytes::from_static(b"\"}")), usize::MAX)),
            }
        }
    });
    let (parts, _) = answer(StatusCode::OK, JSON, Bytes::new()).into_parts();
    Answer::from_parts(parts, StreamBody::new(frames).boxed_unsync())
}

fn gzip_corrupt() -> Answer {
    // A correct gzip header, then a deflate block of the reserved type.
    let mut body = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
    body.extend_from_slice(&[0xff; 64]);
    let mut answer = answer(StatusCode::OK, JSON, body);
    answer.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    answer
}
