//! Servers made of raw sockets, and requests for them.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod tls;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use target_sdk_core::config::{TlsRoots, TransportConfig};
use target_sdk_core::transport::{Method, Purpose, Request, Transport};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

/// A listening server. Its tasks end with the test's runtime.
pub struct Server {
    pub port: u16,
    connections: Arc<AtomicUsize>,
}

impl Server {
    /// Runs `serve` for each connection, with the number of that connection.
    pub async fn start<F, S>(serve: F) -> Server
    where
        F: Fn(usize, TcpStream) -> S + Send + 'static,
        S: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&connections);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let number = counter.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(number, stream));
            }
        });
        Server { port, connections }
    }

    /// Answers the n-th request (over all connections) with the n-th answer, the last one for ever.
    pub async fn answering(answers: &'static [&'static str]) -> (Server, Arc<AtomicUsize>) {
        let served = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&served);
        let server = Server::start(move |_, mut stream| {
            let counter = Arc::clone(&counter);
            async move {
                while read_request(&mut stream).await.is_some() {
                    let number = counter.fetch_add(1, Ordering::SeqCst);
                    let answer = answers[number.min(answers.len() - 1)];
                    if stream.write_all(answer.as_bytes()).await.is_err() {
                        return;
                    }
                }
            }
        })
        .await;
        (server, served)
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/x?sessionId=secret", self.port)
    }
}

/// Reads one request with its body; `None` at the end of the connection.
pub async fn read_request<S: AsyncRead + Unpin>(stream: &mut S) -> Option<String> {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).await.ok()? == 0 {
            return None;
        }
        request.push(byte[0]);
    }
    let head = String::from_utf8(request).unwrap();
    let length = head
        .lines()
        .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ").map(|n| n.parse().unwrap()))
        .unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(head + &String::from_utf8(body).unwrap())
}

/// Writes an answer with `extra` header lines (each ended by CRLF).
pub async fn answer<S: AsyncWrite + Unpin>(stream: &mut S, status: &str, extra: &str, body: &[u8]) {
    let head = format!("HTTP/1.1 {status}\r\n{extra}content-length: {}\r\n\r\n", body.len());
    // The client may have gone already: some tests want that.
    let _ = stream.write_all(head.as_bytes()).await;
    let _ = stream.write_all(body).await;
    let _ = stream.flush().await;
}

/// Waits until the client closes the connection.
pub async fn until_closed<S: AsyncRead + Unpin>(stream: &mut S) {
    let mut buffer = [0; 1024];
    while matches!(stream.read(&mut buffer).await, Ok(n) if n > 0) {}
}

pub fn config() -> TransportConfig {
    TransportConfig {
        connect_timeout: Duration::from_secs(1),
        pool_idle_timeout: Duration::from_secs(20),
        max_idle_per_host: 8,
        proxy: None,
        tls_roots: TlsRoots::Auto,
        tls_identity: None,
    }
}

pub fn transport() -> Transport {
    Transport::new(&config()).unwrap()
}

pub fn post(url: impl Into<String>) -> Request<'static> {
    Request {
        purpose: Purpose::Delivery,
        method: Method::Post,
        url: url.into().into(),
        common: None,
        headers: vec![("x-request-id", "r1".into())],
        body: Some("{\"requestId\":\"r1\"}".into()),
        deadline: Instant::now() + Duration::from_secs(5),
        max_retries: 0,
        max_body_bytes: 1 << 20,
        private_addresses_allowed: true,
    }
}

pub fn get(url: impl Into<String>) -> Request<'static> {
    Request { purpose: Purpose::Artifact, method: Method::Get, body: None, ..post(url) }
}

pub fn within(ms: u64, request: Request<'_>) -> Request<'_> {
    Request { deadline: Instant::now() + Duration::from_millis(ms), ..request }
}

pub fn retrying(max_retries: u32, request: Request<'_>) -> Request<'_> {
    Request { max_retries, ..request }
}
