//! The local edge as a child process, and what it is told.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

pub struct Edge {
    process: Child,
    pub address: String,
}

impl Edge {
    pub fn start() -> Edge {
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/edge/data");
        let program = std::env::current_exe().expect("path of this program").with_file_name("target-edge");
        let mut process = Command::new(program)
            .args(["--port", "0", "--exit-with-parent", "--offers"])
            .arg(data.join("offers.json"))
            .arg("--artifact")
            .arg(data.join("artifact.json"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("target-edge: build the workspace first");
        let mut line = String::new();
        BufReader::new(process.stdout.take().expect("a pipe")).read_line(&mut line).expect("its address");
        let address = line.trim().rsplit("http://").next().unwrap_or_default().to_owned();
        assert!(address.contains(':'), "unexpected greeting of the edge: {line}");
        Edge { process, address }
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> Option<String> {
        let mut stream = TcpStream::connect(&self.address).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
        write!(stream, "{method} {path} HTTP/1.0\r\nhost: edge\r\ncontent-length: {}\r\n\r\n{body}", body.len())
            .ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned())
    }

    pub fn fault(&self, target: &str, name: &str, times: u32, delay: u32) {
        let mut fault = json!({"target": target, "times": times});
        if !name.is_empty() {
            fault["name"] = json!(name);
        }
        if delay > 0 {
            fault["delayMs"] = json!(delay);
        }
        self.ask("POST", "/debug/fault", &fault.to_string());
    }

    pub fn behave(&self) {
        self.ask("DELETE", "/debug/fault", "");
    }

    pub fn stats(&self) -> Value {
        self.ask("GET", "/debug/stats", "").and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
