//! What arrived, so that tests can compare it byte by byte.

use std::collections::VecDeque;
use std::time::{SystemTime, UNIX_EPOCH};

use hyper::HeaderMap;
use hyper::body::Bytes;
use serde_json::{Map, Value, json};

/// Requests kept, and the bytes of their bodies: a long run must not eat the memory.
const MAX_REQUESTS: usize = 10_000;
const MAX_BYTES: usize = 256 << 20;

/// One request as it arrived.
pub(crate) struct Received {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) protocol: String,
    pub(crate) connection: u64,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) at: u64,
}

impl Received {
    fn to_json(&self) -> Value {
        let mut headers = Map::new();
        for name in self.headers.keys() {
            let values: Vec<_> =
                self.headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
            headers.insert(name.as_str().to_owned(), Value::String(values.join(", ")));
        }
        let mut entry = json!({
            "method": self.method,
            "path": self.path,
            "query": self.query,
            "headers": headers,
            "body": String::from_utf8_lossy(&self.body),
            "at": self.at,
            "protocol": self.protocol,
            "connection": self.connection,
        });
        // The text of such a body is not what arrived.
        if std::str::from_utf8(&self.body).is_err()
            && let Some(entry) = entry.as_object_mut()
        {
            entry.insert("bodyIsUtf8".to_owned(), Value::Bool(false));
        }
        entry
    }
}

/// The latest requests, oldest first.
#[derive(Default)]
pub(crate) struct Record {
    entries: VecDeque<Received>,
    bytes: usize,
}

impl Record {
    pub(crate) fn push(&mut self, received: Received) {
        self.bytes += received.body.len();
        self.entries.push_back(received);
        while self.entries.len() > MAX_REQUESTS || self.bytes > MAX_BYTES {
            match self.entries.pop_front() {
                Some(oldest) => self.bytes -= oldest.body.len(),
                None => break,
            }
        }
    }

    pub(crate) fn clear(&mut self) {
        *self = Record::default();
    }

    /// All entries, or those of one path.
    pub(crate) fn to_json(&self, path: Option<&str>) -> Value {
        let wanted = self.entries.iter().filter(|entry| path.is_none_or(|path| entry.path == path));
        Value::Array(wanted.map(Received::to_json).collect())
    }
}

/// Milliseconds since 1970.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(path: &str, body: &'static [u8]) -> Received {
        Received {
            method: "POST".to_owned(),
            path: path.to_owned(),
            query: "a=b".to_owned(),
            protocol: "HTTP/1.1".to_owned(),
            connection: 1,
            headers: HeaderMap::new(),
            body: Bytes::from_static(body),
            at: now(),
        }
    }

    #[test]
    fn the_ring_is_bounded() {
        let mut record = Record::default();
        record.push(received("/first", b"x"));
        for _ in 0..MAX_REQUESTS {
            record.push(received("/next", b"xy"));
        }
        assert_eq!(record.entries.len(), MAX_REQUESTS);
        assert_eq!(record.bytes, 2 * MAX_REQUESTS);
        assert_eq!(record.to_json(Some("/first")), json!([]));
        record.clear();
        assert_eq!(record.to_json(None), json!([]));
    }

    #[test]
    fn bodies_that_are_no_text_are_marked() {
        let mut record = Record::default();
        record.push(received("/a", b"{ \"k\" :1}"));
        record.push(received("/b", b"\xff"));
        let shown = record.to_json(None);
        assert_eq!(shown[0]["body"], "{ \"k\" :1}");
        assert_eq!(shown[0].get("bodyIsUtf8"), None);
        assert_eq!(shown[1]["bodyIsUtf8"], false);
    }
}
