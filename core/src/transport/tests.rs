//! The transport with look-ups that the tests decide.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket};
use tokio::time::Instant;

use super::dns::LookUp;
use super::pool::Pool;
use super::{Method, Purpose, Request, Transport, send};
use crate::config::{TlsRoots, TransportConfig};
use crate::error::{ErrorKind, Phase};

fn transport(connect_timeout: Duration, look_up: LookUp) -> Transport {
    let config = TransportConfig {
        connect_timeout,
        pool_idle_timeout: Duration::from_secs(20),
        max_idle_per_host: 8,
        proxy: None,
        tls_roots: TlsRoots::Bundled,
        tls_identity: None,
    };
    Transport(Arc::new(send::Inner::with(Pool::with_look_up(&config, look_up))))
}

fn get(url: String, deadline: Duration) -> Request<'static> {
    Request {
        purpose: Purpose::Artifact,
        method: Method::Get,
        url: url.into(),
        common: None,
        headers: Vec::new(),
        body: None,
        deadline: Instant::now() + deadline,
        max_retries: 0,
        max_body_bytes: 1 << 20,
        private_addresses_allowed: true,
    }
}

/// Answers `{}` at an address of this host; says how many connections came.
async fn serve(address: &str) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind(address).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let connections = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&connections);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            counter.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move {
                let mut request = [0; 4096];
                while matches!(stream.read(&mut request).await, Ok(n) if n > 0) {
                    // The client may have gone.
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await;
                }
            });
        }
    });
    (port, connections)
}

#[tokio::test]
async fn a_stalled_look_up_ends_at_the_deadline_or_the_connect_timeout() {
    let stalled: LookUp = |_| {
        std::thread::sleep(Duration::from_secs(2));
        Ok(Vec::new())
    };
    let began = Instant::now();
    let error = transport(Duration::from_secs(60), stalled)
        .send(get("http://stalled.example/".to_owned(), Duration::from_millis(100)))
        .await
        .unwrap_err();
    assert_eq!((error.kind(), error.phase()), (ErrorKind::Timeout, Some(Phase::Dns)), "{error}");
    let error = transport(Duration::from_millis(100), stalled)
        .send(get("http://stalled.example/".to_owned(), Duration::from_secs(60)))
        .await
        .unwrap_err();
    assert_eq!((error.kind(), error.phase()), (ErrorKind::Network, Some(Phase::Dns)), "{error}");
    assert!(error.message().contains("not looked up within the connect timeout"), "{error}");
    assert!(began.elapsed() < Duration::from_secs(2), "neither waited for the resolver");
}

#[tokio::test]
async fn the_next_address_is_tried_when_one_is_dead() {
    // Nobody listens at the first two.
    let look_up: LookUp = |_| Ok(["127.0.0.3", "127.0.0.2", "127.0.0.1"].map(|text| text.parse().unwrap()).to_vec());
    let (port, connections) = serve("127.0.0.1:0").await;
    let transport = transport(Duration::from_secs(5), look_up);
    let response = transport.send(get(format!("http://many.example:{port}/"), Duration::from_secs(10))).await.unwrap();
    assert_eq!((response.attempts, connections.load(Ordering::SeqCst)), (1, 1));
}

/// A listener whose queue is full: connecting to it hangs, as behind a firewall that drops packets.
async fn black_hole(address: &str) -> (u16, Vec<tokio::task::JoinHandle<()>>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(address.parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut fillers = Vec::new();
    for _ in 0..8 {
        fillers.push(tokio::spawn(async move {
            let _connection = tokio::net::TcpStream::connect(address).await;
            std::future::pending::<()>().await;
        }));
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    fillers.push(tokio::spawn(async move {
        let _listener = listener;
        std::future::pending::<()>().await;
    }));
    (address.port(), fillers)
}

#[tokio::test]
async fn a_black_hole_ends_at_the_deadline_or_the_connect_timeout() {
    let (port, _fillers) = black_hole("127.0.0.1:0").await;
    let look_up: LookUp = |_| Ok(vec![IpAddr::from([127, 0, 0, 1])]);
    for (connect, deadline, kind) in [(60_000, 150, ErrorKind::Timeout), (150, 60_000, ErrorKind::Network)] {
        let began = Instant::now();
        let error = transport(Duration::from_millis(connect), look_up)
            .send(get(format!("http://hole.example:{port}/"), Duration::from_millis(deadline)))
            .await
            .unwrap_err();
        assert_eq!((error.kind(), error.phase()), (kind, Some(Phase::Connect)), "{error}");
        assert!(began.elapsed() >= Duration::from_millis(150) && began.elapsed() < Duration::from_secs(10));
    }
}

/// Names of a hostile resolver: a look-up decides for the connection that follows it, and for no other.
#[tokio::test]
async fn rebinding_leads_nowhere() {
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    let (port, connections) = serve("127.0.0.1:0").await;
    let look_up: LookUp = |_| {
        let nth = ASKED.fetch_add(1, Ordering::SeqCst);
        let private: IpAddr = ["127.0.0.1", "::ffff:127.0.0.1", "::1", "169.254.169.254"][nth % 4].parse().unwrap();
        Ok(if nth.is_multiple_of(2) { vec![private] } else { vec![private, "10.0.0.1".parse().unwrap()] })
    };
    for nth in 0..8 {
        let transport = transport(Duration::from_millis(200), look_up);
        // A name of its own each time: answers are remembered for a minute.
        let url = format!("http://rebind{nth}.example:{port}/");
        let error = transport
            .send(Request { private_addresses_allowed: false, ..get(url, Duration::from_secs(5)) })
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Network, "{error}");
        assert!(error.message().contains("refused here"), "{error}");
        assert!(!error.retryable());
    }
    assert_eq!((ASKED.load(Ordering::SeqCst), connections.load(Ordering::SeqCst)), (8, 0));
}
