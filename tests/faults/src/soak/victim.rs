//! A server that is killed in the middle of an answer, over and over. Its listening socket is its standard input, so that
//! the next one listens on the same port.

use std::fs::File;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::fd::FromRawFd;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use serde_json::Value;

use crate::http;
use crate::server::Conn;

/// `record`: where ids of notifications go before they are acknowledged; the request `fatal` is answered by half.
pub fn run(record: &str, fatal: u64) -> ExitCode {
    // SAFETY: standard input is the listening socket.
    let listener = unsafe { TcpListener::from_raw_fd(0) };
    let record = Mutex::new(File::options().create(true).append(true).open(record).expect("the record"));
    let count = AtomicU64::new(0);
    std::thread::scope(|scope| {
        while let Ok((tcp, _)) = listener.accept() {
            scope.spawn(|| serve(tcp, &record, &count, fatal));
        }
    });
    ExitCode::SUCCESS
}

fn serve(tcp: TcpStream, record: &Mutex<File>, count: &AtomicU64, fatal: u64) -> std::io::Result<()> {
    let mut conn = Conn::new(tcp.try_clone()?, Box::new(tcp));
    while let Some(request) = http::read(&mut conn)? {
        let Ok(body) = serde_json::from_slice::<Value>(&request.body) else { return Ok(()) };
        let mut lines = String::new();
        for notification in body["notifications"].as_array().into_iter().flatten() {
            let (id, impression) = (&notification["id"], &notification["impressionId"]);
            lines.push_str(&format!("{id} {} {impression}\n", body["requestId"]));
        }
        // One write: a line is there as a whole or not at all.
        record.lock().expect("no panics").write_all(lines.as_bytes())?;
        let answer = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 35\r\n\r\n\
            {\"status\":200,\"client\":\"demo\"     }";
        if count.fetch_add(1, SeqCst) + 1 == fatal {
            conn.send(&answer[..answer.len() - 20])?;
            println!("half");
            loop {
                std::thread::park();
            }
        }
        conn.send(answer)?;
    }
    Ok(())
}
