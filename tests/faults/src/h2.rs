//! HTTP/2 written by hand, frame by frame: enough of it to answer, and to answer wrongly.

use std::io::{self, Read};
use std::sync::atomic::Ordering::SeqCst;

use crate::server::{Conn, Shared, Then};
use crate::table::Fault;

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PUSH_PROMISE: u8 = 5;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const ACK: u8 = 1;
pub const END_HEADERS: u8 = 4;

pub const PROTOCOL_ERROR: u32 = 1;
pub const NO_ERROR: u32 = 0;
pub const INTERNAL_ERROR: u32 = 2;
pub const REFUSED_STREAM: u32 = 7;
pub const CANCEL: u32 = 8;
pub const ENHANCE_YOUR_CALM: u32 = 11;

pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

pub struct Connection {
    pub conn: Conn,
    /// Requests answered on this connection.
    pub served: u32,
}

impl Connection {
    pub fn new(conn: Conn) -> Connection {
        Connection { conn, served: 0 }
    }

    pub fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> io::Result<()> {
        self.conn.send(frame(kind, flags, stream, payload))
    }

    pub fn read(&mut self) -> io::Result<Frame> {
        let mut head = [0; 9];
        self.conn.stream.read_exact(&mut head)?;
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let mut payload = vec![0; length];
        self.conn.stream.read_exact(&mut payload)?;
        let stream = u32::from_be_bytes([head[5] & 0x7f, head[6], head[7], head[8]]);
        Ok(Frame { kind: head[3], flags: head[4], stream, payload })
    }

    /// A head and a body.
    pub fn respond(&mut self, stream: u32, status: u16, body: &[u8]) -> io::Result<()> {
        self.frame(HEADERS, END_HEADERS, stream, &head(status, &[("content-type", "application/json")]))?;
        for piece in body.chunks(16_000) {
            self.frame(DATA, 0, stream, piece)?;
        }
        self.frame(DATA, END_STREAM, stream, b"")
    }

    pub fn goaway(&mut self, last: u32, code: u32) -> io::Result<()> {
        self.frame(GOAWAY, 0, 0, &[last.to_be_bytes(), code.to_be_bytes()].concat())
    }

    pub fn reset(&mut self, stream: u32, code: u32) -> io::Result<()> {
        self.frame(RST_STREAM, 0, stream, &code.to_be_bytes())
    }
}

pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    let mut out = vec![length[1], length[2], length[3], kind, flags];
    out.extend(stream.to_be_bytes());
    out.extend(payload);
    out
}

/// A header block: nothing compressed, nothing remembered.
pub fn head(status: u16, headers: &[(&str, &str)]) -> Vec<u8> {
    let mut out = vec![0x08, 3];
    out.extend(status.to_string().as_bytes());
    out.extend(fields(headers));
    out
}

pub fn fields(headers: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in headers {
        out.push(0);
        for text in [name, value] {
            text_length(&mut out, text.len());
            out.extend(text.as_bytes());
        }
    }
    out
}

fn text_length(out: &mut Vec<u8>, length: usize) {
    if length < 127 {
        out.push(length as u8);
        return;
    }
    out.push(127);
    let mut rest = length - 127;
    while rest >= 128 {
        out.push((rest % 128) as u8 | 0x80);
        rest /= 128;
    }
    out.push(rest as u8);
}

/// Serves a connection until its end.
pub fn serve(shared: &Shared, h2: &mut Connection) -> io::Result<()> {
    let mut preface = [0; 24];
    h2.conn.stream.read_exact(&mut preface)?;
    if shared.is_broken()
        && let Fault::OnPreface(script) = &shared.row.fault
    {
        shared.met.fetch_add(1, SeqCst);
        script(shared, h2)?;
    } else {
        h2.frame(SETTINGS, 0, 0, b"")?;
    }
    loop {
        let frame = h2.read()?;
        match frame.kind {
            SETTINGS if frame.flags & ACK == 0 => h2.frame(SETTINGS, ACK, 0, b"")?,
            PING if frame.flags & ACK == 0 => h2.frame(PING, ACK, 0, &frame.payload)?,
            HEADERS | DATA if frame.flags & END_STREAM != 0 && !request(shared, h2, frame.stream)? => return Ok(()),
            _ => {}
        }
    }
}

/// Answers the request that came in on a stream; whether the connection goes on.
fn request(shared: &Shared, h2: &mut Connection, stream: u32) -> io::Result<bool> {
    let fault = match &shared.row.fault {
        Fault::OnStream(script) if shared.is_broken() => script,
        _ => {
            let word = if shared.is_broken() { "good" } else { "healthy" };
            h2.served += 1;
            // Before the answer: whoever has read that knows, and sends no request meanwhile.
            if let Some(spoil) = shared.row.with_answer
                && !shared.spoilt.swap(true, SeqCst)
            {
                spoil(h2)?;
            }
            h2.respond(stream, 200, &shared.subject.body(word))?;
            return Ok(true);
        }
    };
    let nth = shared.met.fetch_add(1, SeqCst) + 1;
    match fault(shared, h2, stream, nth)? {
        Then::Serve => Ok(true),
        Then::Close | Then::Truncate => {
            h2.conn.stream.close_notify();
            let _ = h2.conn.tcp.shutdown(std::net::Shutdown::Write);
            let _ = h2.conn.hold();
            Ok(false)
        }
        Then::Reset => {
            crate::server::reset(&h2.conn.tcp);
            Ok(false)
        }
    }
}
