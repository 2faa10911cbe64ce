//! The host process of a case, as the one who gives it orders sees it.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::Value;

pub struct Host {
    process: Child,
    orders: Option<ChildStdin>,
    answers: Receiver<String>,
    /// Every line that it said.
    pub said: Vec<String>,
}

impl Host {
    /// `preload`: a library that its process begins with.
    pub fn start(preload: Option<&Path>) -> Host {
        let mut command = Command::new(std::env::current_exe().expect("path of this program"));
        command.arg("host").stdin(Stdio::piped()).stdout(Stdio::piped());
        if let Some(library) = preload {
            command.env("LD_PRELOAD", library);
        }
        let mut process = command.spawn().expect("a process");
        let out = BufReader::new(process.stdout.take().expect("a pipe"));
        let (sender, answers) = channel();
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Host { orders: process.stdin.take(), process, answers, said: Vec::new() }
    }

    /// Gives an order and waits for the answer.
    pub fn ask(&mut self, order: &Value) -> Result<Value, String> {
        self.tell(order)?;
        self.answer(order)
    }

    pub fn tell(&mut self, order: &Value) -> Result<(), String> {
        let orders = self.orders.as_mut().ok_or("the host has been dismissed")?;
        writeln!(orders, "{order}").map_err(|error| format!("the host is gone: {error}"))
    }

    pub fn answer(&mut self, order: &Value) -> Result<Value, String> {
        match self.answers.recv_timeout(Duration::from_secs(120)) {
            Ok(line) => {
                let answer = serde_json::from_str(&line).map_err(|_| format!("the host said {line:?}"))?;
                self.said.push(line);
                Ok(answer)
            }
            Err(error) => {
                let op = order["op"].as_str().unwrap_or("?").to_owned();
                let ended = self.process.try_wait().ok().flatten();
                Err(format!("the host did not answer {op}: {error}, {ended:?}"))
            }
        }
    }

    /// Ends it; whether it ended well.
    pub fn dismiss(mut self) -> Result<(), String> {
        self.orders = None;
        let ended = crate::process::eventually(Duration::from_secs(20), || {
            self.process.try_wait().is_ok_and(|status| status.is_some())
        });
        if !ended {
            return Err("the host does not end".to_owned());
        }
        match self.process.wait() {
            Ok(status) if status.success() => Ok(()),
            other => Err(format!("the host ended with {other:?}")),
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
