//! An edge in the test's own process, and a client that shows the bytes as they are.
#![allow(dead_code, unreachable_pub, reason = "each test file is a crate of its own and uses a part of it")]

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;
use target_edge::Edge;
use target_edge::options::{Command, parse};
use tokio::runtime::Runtime;

pub const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/data");
pub const DELIVERY: &str = "/rest/v1/delivery?imsOrgId=O%40AdobeOrg&sessionId=s1";
pub const HERO: &str = r#"{"context":{"channel":"web"},"execute":{"mboxes":[{"index":0,"name":"homepage-hero"}]}}"#;
const PATIENCE: Duration = Duration::from_secs(10);

/// A running edge and the runtime it lives on.
pub struct Running {
    pub edge: Edge,
    pub runtime: Runtime,
}

/// Starts an edge as the command line would, on a port of the system's choice.
pub fn start(line: &str) -> Running {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let arguments = format!("--port 0 {line}");
    let Ok(Command::Run(options)) = parse(arguments.split_whitespace().map(str::to_owned)) else {
        panic!("wrong arguments: {line}");
    };
    let edge = runtime.block_on(Edge::start(*options)).unwrap();
    Running { edge, runtime }
}

/// An edge with the demo's offers and artifact.
pub fn demo(line: &str) -> Running {
    start(&format!("--offers {DATA}/offers.json --artifact {DATA}/artifact.json {line}"))
}

impl Running {
    pub fn address(&self) -> SocketAddr {
        self.edge.address()
    }

    pub fn connect(&self) -> Client {
        Client::connect(self.address())
    }

    /// One request on a connection of its own.
    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        self.connect().send(method, path, headers, body).unwrap()
    }

    pub fn get(&self, path: &str) -> Reply {
        self.send("GET", path, &[], "")
    }

    pub fn deliver(&self, body: &str) -> Reply {
        self.send("POST", DELIVERY, &[("content-type", "application/json")], body)
    }

    /// Adds a fault at run time.
    pub fn fault(&self, rule: &str) {
        let reply = self.send("POST", "/debug/fault", &[], rule);
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
}

#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: HashMap<String, String>,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// An HTTP/1.1 connection.
pub struct Client {
    pub stream: TcpStream,
}

impl Client {
    pub fn connect(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Client { stream }
    }

    pub fn write(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) {
        let mut request = format!("{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: {}\r\n", body.len());
        for (name, value) in headers {
            request += &format!("{name}: {value}\r\n");
        }
        request += "\r\n";
        request += body;
        self.stream.write_all(request.as_bytes()).unwrap();
    }

    pub fn deliver(&mut self, body: &str) -> io::Result<Reply> {
        self.send("POST", DELIVERY, &[], body)
    }

    pub fn send(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> io::Result<Reply> {
        self.write(method, path, headers, body);
        self.read()
    }

    /// One whole reply with a Content-Length or none.
    pub fn read(&mut self) -> io::Result<Reply> {
        let (status, headers) = self.read_head()?;
        let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok(Reply { status, headers, body })
    }

    pub fn read_head(&mut self) -> io::Result<(u16, HashMap<String, String>)> {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            self.stream.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect();
        Ok((status, headers))
    }

    /// Everything until the other side closes.
    pub fn read_rest(&mut self) -> io::Result<Vec<u8>> {
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest).map(|_| rest)
    }
}
