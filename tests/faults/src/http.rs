//! HTTP/1.1 as a server reads it, and the healthy answer.

use std::io::{self, Read};

use crate::server::{Conn, Shared};

#[derive(Default)]
pub struct Request {
    pub method: String,
    pub target: String,
    /// Head as it came.
    pub head: String,
    pub body: Vec<u8>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// The head of the next request; `None` when the client has closed.
pub fn read_head(conn: &mut Conn) -> io::Result<Option<Request>> {
    let mut piece = [0; 8192];
    let end = loop {
        if let Some(at) = conn.ahead.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        let read = conn.stream.read(&mut piece)?;
        if read == 0 {
            return Ok(None);
        }
        conn.ahead.extend_from_slice(&piece[..read]);
    };
    let rest = conn.ahead.split_off(end);
    let head = String::from_utf8_lossy(&std::mem::replace(&mut conn.ahead, rest)).into_owned();
    let mut words = head.split(' ');
    let (method, target) = (words.next().unwrap_or("").to_owned(), words.next().unwrap_or("").to_owned());
    Ok(Some(Request { method, target, head, body: Vec::new() }))
}

/// The next request, body included.
pub fn read(conn: &mut Conn) -> io::Result<Option<Request>> {
    let Some(mut request) = read_head(conn)? else { return Ok(None) };
    let length = request.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    let mut piece = [0; 8192];
    while conn.ahead.len() < length {
        let read = conn.stream.read(&mut piece)?;
        if read == 0 {
            return Ok(None);
        }
        conn.ahead.extend_from_slice(&piece[..read]);
    }
    let rest = conn.ahead.split_off(length);
    request.body = std::mem::replace(&mut conn.ahead, rest);
    Ok(Some(request))
}

/// What a server in good health answers.
pub fn healthy(shared: &Shared, conn: &mut Conn, request: &Request) -> io::Result<()> {
    let body = shared.subject.body("healthy");
    let etag = "\"healthy\"";
    if request.header("if-none-match") == Some(etag) {
        return conn.send(format!("HTTP/1.1 304 Not Modified\r\netag: {etag}\r\n\r\n"));
    }
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\netag: {etag}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    conn.send([head.as_bytes(), &body].concat())
}
