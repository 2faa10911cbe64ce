//! HTTP/2, frame by frame.

use super::{Fault, HTTP, NETWORK, NOT_READY, Net, OK, Row, row};
use crate::h2::{
    self, CANCEL, CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, HEADERS, INTERNAL_ERROR, NO_ERROR,
    PING, PROTOCOL_ERROR, PUSH_PROMISE, REFUSED_STREAM, SETTINGS, WINDOW_UPDATE,
};
use crate::server::Then;

const GROUP: &str = "http2";
const JSON: [(&str, &str); 1] = [("content-type", "application/json")];

fn setting(name: u16, value: u32) -> Vec<u8> {
    [&name.to_be_bytes()[..], &value.to_be_bytes()].concat()
}

pub(super) fn rows() -> Vec<Row> {
    let mut rows = going_away();
    rows.extend(streams());
    rows.extend(connections());
    rows.extend(frames());
    rows
}

fn going_away() -> Vec<Row> {
    vec![
        row(GROUP, "h2-goaway-at-once", "Says GOAWAY to each new connection: nothing was processed, asked once more")
            .on_preface(|_, h2| {
                h2.frame(SETTINGS, 0, 0, b"")?;
                h2.goaway(0, NO_ERROR)?;
                h2.conn.stream.close_notify();
                h2.conn.tcp.shutdown(std::net::Shutdown::Write)?;
                // Closing with something unread would reset, and the client might not get to see the GOAWAY.
                h2.conn.hold()?;
                Err(std::io::Error::other("closed"))
            })
            .calls(NETWORK, 2)
            .artifact(NOT_READY, 4),
        row(GROUP, "h2-goaway-unprocessed", "Says GOAWAY in place of an answer, and that it has processed nothing")
            .on_stream(|_, h2, _, _| {
                h2.goaway(0, NO_ERROR)?;
                Ok(Then::Close)
            })
            .calls(NETWORK, 2)
            .artifact(NOT_READY, 4),
        row(GROUP, "h2-goaway-unprocessed-once", "Says GOAWAY in place of an answer, once")
            .on_stream(|shared, h2, stream, nth| {
                if nth == 1 {
                    h2.goaway(0, NO_ERROR)?;
                    return Ok(Then::Close);
                }
                h2.respond(stream, 200, &shared.subject.body("good"))?;
                Ok(Then::Serve)
            })
            .succeeds(2),
        row(GROUP, "h2-goaway-processed", "Says GOAWAY and closes in place of an answer, having processed the request")
            .on_stream(|_, h2, stream, _| {
                h2.goaway(stream, NO_ERROR)?;
                Ok(Then::Close)
            })
            .calls(NETWORK, 1)
            .artifact(NOT_READY, 4),
        row(GROUP, "h2-goaway-graceful", "Says GOAWAY and finishes its answer")
            .on_stream(|shared, h2, stream, _| {
                h2.goaway(stream, NO_ERROR)?;
                h2.respond(stream, 200, &shared.subject.body("good"))?;
                Ok(Then::Close)
            })
            .succeeds(1),
        row(GROUP, "h2-goaway-in-body", "Says GOAWAY and closes in the middle of the body")
            .on_stream(|_, h2, stream, _| {
                h2.frame(HEADERS, END_HEADERS, stream, &h2::head(200, &JSON))?;
                h2.frame(DATA, 0, stream, b"{\"status\"")?;
                h2.goaway(stream, NO_ERROR)?;
                Ok(Then::Close)
            })
            .calls(NETWORK, 1)
            .phase("read")
            .artifact(NOT_READY, 4),
        row(GROUP, "h2-goaway-calm", "Says GOAWAY because of too many requests (ENHANCE_YOUR_CALM)")
            .on_stream(|_, h2, stream, _| {
                h2.goaway(stream, ENHANCE_YOUR_CALM)?;
                Ok(Then::Close)
            })
            .calls(NETWORK, 1)
            .artifact(NOT_READY, 4),
    ]
}

fn streams() -> Vec<Row> {
    let reset = |name: &'static str, what: &'static str, code: u32| {
        row(GROUP, name, what)
            .on_stream(move |_, h2, stream, _| {
                h2.reset(stream, code)?;
                Ok(Then::Serve)
            })
            .calls(NETWORK, 1)
            .artifact(NOT_READY, 4)
    };
    vec![
        reset(
            "h2-refused-stream",
            "Refuses the stream (REFUSED_STREAM): nothing was processed, asked once more",
            REFUSED_STREAM,
        )
        .calls(NETWORK, 2),
        row(GROUP, "h2-refused-stream-once", "Refuses the stream once")
            .on_stream(|shared, h2, stream, nth| {
                if nth == 1 {
                    h2.reset(stream, REFUSED_STREAM)?;
                } else {
                    h2.respond(stream, 200, &shared.subject.body("good"))?;
                }
                Ok(Then::Serve)
            })
            .succeeds(2),
        reset("h2-reset-internal", "Resets the stream (INTERNAL_ERROR)", INTERNAL_ERROR),
        reset("h2-reset-cancel", "Resets the stream (CANCEL)", CANCEL),
        reset("h2-reset-protocol", "Resets the stream (PROTOCOL_ERROR)", PROTOCOL_ERROR),
        row(GROUP, "h2-reset-in-body", "Resets the stream in the middle of the body")
            .on_stream(|_, h2, stream, _| {
                h2.frame(HEADERS, END_HEADERS, stream, &h2::head(200, &JSON))?;
                h2.frame(DATA, 0, stream, b"{\"status\"")?;
                h2.reset(stream, INTERNAL_ERROR)?;
                Ok(Then::Serve)
            })
            .calls(NETWORK, 1)
            .phase("read")
            .artifact(NOT_READY, 4),
        row(GROUP, "h2-body-too-short", "Announces more than it sends, and ends the stream")
            .on_stream(|_, h2, stream, _| {
                h2.frame(HEADERS, END_HEADERS, stream, &h2::head(200, &[("content-length", "100")]))?;
                h2.frame(DATA, END_STREAM, stream, b"{}")?;
                Ok(Then::Serve)
            })
            .calls(NETWORK, 1)
            .phase("read")
            .artifact(NOT_READY, 4),
        row(GROUP, "h2-body-too-long", "Sends more than it announced")
            .on_stream(|shared, h2, stream, _| {
                h2.frame(HEADERS, END_HEADERS, stream, &h2::head(200, &[("content-length", "2")]))?;
                h2.frame(DATA, END_STREAM, stream, &shared.subject.body("good"))?;
                Ok(Then::Serve)
            })
            .calls(NETWORK, 1)
            .phase("read")
            .artifact(NOT_READY, 4),
        row(GROUP, "h2-trailers", "Sends trailers")
            .on_stream(|shared, h2, stream, _| {
                h2.frame(HEADERS, END_HEADERS, stream, &h2::head(200, &JSON))?;
                h2.frame(DATA, 0, stream, &shared.subject.body("good"))?;
                h2.frame(HEADERS, END_HEADERS | END_STREAM, stream, &h2::fields(&[("x-checksum", "1")]))?;
                Ok(Then::Serve)
            })
            .succeeds(1),
        row(GROUP, "h2-early-hints", "Sends `103 Early Hints` a hundred times before the answer")
            .on_stream(|shared, h2, stream, _| {
                for _ in 0..100 {
                    h2.frame(HEADERS, END_HEADERS, stream, &h2::head(103, &[("link", "</a.css>")]))?;
                }
                h2.respond(stream, 200, &shared.subject.body("good"))?;
                Ok(Then::Serve)
            })
            .succeeds(1),
        row(GROUP, "h2-503", "Answers 503")
            .on_stream(|_, h2, stream, _| {
                h2.respond(stream, 503, b"{}")?;
                Ok(Then::Serve)
            })
            .calls(HTTP, 2)
            .http(503)
            .artifact(NOT_READY, 4),
        row(GROUP, "h2-no-answer", "Reads the request and never answers")
            .on_stream(|_, _, _, _| Ok(Then::Serve))
            .times_out(2000, "wait", 1)
            .artifact(NOT_READY, 1),
        row(GROUP, "h2-head-then-stall", "Sends the head of the answer, then nothing")
            .on_stream(|_, h2, stream, _| {
                h2.frame(HEADERS, END_HEADERS, stream, &h2::head(200, &JSON))?;
                Ok(Then::Serve)
            })
            .times_out(2500, "read", 1)
            .artifact(NOT_READY, 1),
        row(GROUP, "h2-window-ignored", "Sends far more than the window allows")
            .on_stream(|_, h2, stream, _| {
                h2.frame(HEADERS, END_HEADERS, stream, &h2::head(200, &JSON))?;
                for _ in 0..200 {
                    // 3 MB, whether they are wanted or not.
                    h2.frame(DATA, 0, stream, &[b' '; 16_000])?;
                }
                Ok(Then::Serve)
            })
            .calls(NETWORK, 1)
            .phase("read")
            .artifact(NOT_READY, 4),
    ]
}

fn connections() -> Vec<Row> {
    vec![
        Row {
            warm: true,
            net: Net::H2,
            with_answer: Some(|h2| h2.frame(SETTINGS, 0, 0, &setting(3, 0))),
            ..row(GROUP, "h2-no-streams", "Allows no more streams on a kept connection (MAX_CONCURRENT_STREAMS 0)")
                .times_out(3000, "wait", 1)
                .unseen()
        },
        row(GROUP, "h2-one-stream", "Allows one stream at a time")
            .on_preface(|_, h2| h2.frame(SETTINGS, 0, 0, &setting(3, 1)))
            .succeeds(1),
        Row {
            warm: true,
            net: Net::H2,
            with_answer: Some(|h2| h2.frame(SETTINGS, 0, 0, &setting(4, 0))),
            ..row(GROUP, "h2-no-window", "Allows no request body on a kept connection (window of 0)")
                .times_out(3000, "wait", 1)
                .unseen()
        },
        row(GROUP, "h2-window-zero-update", "Widens the window by 0, which is an error")
            .on_preface(|_, h2| {
                h2.frame(SETTINGS, 0, 0, b"")?;
                h2.frame(WINDOW_UPDATE, 0, 0, &[0; 4])
            })
            .calls(NETWORK, 1)
            .up_to(2)
            .artifact(NOT_READY, 4),
        row(GROUP, "h2-window-overflow", "Widens the window beyond its limit")
            .on_preface(|_, h2| {
                h2.frame(SETTINGS, 0, 0, b"")?;
                h2.frame(WINDOW_UPDATE, 0, 0, &0x7fff_ffff_u32.to_be_bytes())?;
                h2.frame(WINDOW_UPDATE, 0, 0, &0x7fff_ffff_u32.to_be_bytes())
            })
            .calls(NETWORK, 1)
            .up_to(2)
            .artifact(NOT_READY, 4),
        row(GROUP, "h2-ping-flood", "Sends ten thousand PINGs before it answers")
            .on_stream(|shared, h2, stream, _| {
                for _ in 0..10_000 {
                    h2.frame(PING, 0, 0, &[1; 8])?;
                }
                h2.respond(stream, 200, &shared.subject.body("good"))?;
                Ok(Then::Serve)
            })
            .succeeds(1),
        row(GROUP, "h2-settings-flood", "Sends a thousand SETTINGS before it answers")
            .on_stream(|shared, h2, stream, _| {
                for _ in 0..1000 {
                    h2.frame(SETTINGS, 0, 0, &setting(3, 100))?;
                }
                h2.respond(stream, 200, &shared.subject.body("good"))?;
                Ok(Then::Serve)
            })
            .succeeds(1),
        Row {
            warm: true,
            ..row(GROUP, "h2-silent-death", "Dies silently on a kept connection: the next call goes over a new one")
                .on_stream(|_, h2, _, _| {
                    h2.conn.hold()?;
                    Ok(Then::Close)
                })
                .times_out(3000, "wait", 1)
                .artifact(NOT_READY, 1)
        },
        Row {
            warm: true,
            fault: Fault::IdleClosed,
            net: Net::H2,
            ..row(GROUP, "h2-kept-closed-idle", "Closes a kept connection just before the next request")
                .calls(OK, 1)
                .up_to(2)
                .word(None)
                .unseen()
        },
    ]
}

fn frames() -> Vec<Row> {
    let bad = |name: &'static str, what: &'static str, make: fn(u32) -> Vec<u8>| {
        row(GROUP, name, what)
            .on_stream(move |_, h2, stream, _| {
                h2.conn.send(make(stream))?;
                h2.conn.hold()?;
                Ok(Then::Close)
            })
            .calls(NETWORK, 1)
            .artifact(NOT_READY, 4)
    };
    vec![
        bad("h2-header-block-garbage", "Sends a head that cannot be decompressed", |stream| {
            h2::frame(HEADERS, END_HEADERS, stream, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff])
        }),
        row(GROUP, "h2-status-missing", "Sends a head without a status")
            .on_stream(|_, h2, stream, _| {
                h2.frame(HEADERS, END_HEADERS | END_STREAM, stream, &h2::fields(&JSON))?;
                Ok(Then::Serve)
            })
            .calls(NETWORK, 1)
            .artifact(NOT_READY, 4),
        bad("h2-head-1-mib", "Sends a head of a megabyte", |stream| {
            let value = "y".repeat(10_000);
            let mut out = h2::frame(HEADERS, 0, stream, &h2::head(200, &JSON));
            for _ in 0..100 {
                out.extend(h2::frame(CONTINUATION, 0, stream, &h2::fields(&[("x", &value)])));
            }
            out.extend(h2::frame(CONTINUATION, END_HEADERS, stream, b""));
            out
        }),
        bad("h2-continuation-flood", "Sends ten thousand empty CONTINUATION frames", |stream| {
            let mut out = h2::frame(HEADERS, 0, stream, &h2::head(200, &JSON));
            for _ in 0..10_000 {
                out.extend(h2::frame(CONTINUATION, 0, stream, b""));
            }
            out
        }),
        bad("h2-frame-too-large", "Announces a frame of 16 MB", |stream| {
            let mut out = vec![0xff, 0xff, 0xff, DATA, 0];
            out.extend(stream.to_be_bytes());
            out
        }),
        bad("h2-data-of-unknown-stream", "Sends data on a stream that was never opened", |_| {
            h2::frame(DATA, 0, 99, b"stale")
        }),
        bad("h2-data-before-head", "Sends data before the head", |stream| h2::frame(DATA, END_STREAM, stream, b"{}")),
        bad("h2-push", "Pushes an answer that nobody asked for", |stream| {
            h2::frame(PUSH_PROMISE, END_HEADERS, stream, &[0, 0, 0, 2, 0x82])
        }),
        bad("h2-garbage", "Sends bytes that are no frames", |_| b"GARBAGE GARBAGE GARBAGE GARBAGE".to_vec()),
        row(GROUP, "h2-no-settings", "Begins with something else than SETTINGS: tolerated")
            .on_preface(|_, h2| h2.frame(PING, 0, 0, &[0; 8]))
            .succeeds(1),
        row(GROUP, "h2-closed-before-settings", "Closes each new connection after the handshake")
            .on_preface(|_, _| Err(std::io::Error::other("closed")))
            .calls(NETWORK, 1)
            .up_to(2)
            .artifact(NOT_READY, 4),
    ]
}
