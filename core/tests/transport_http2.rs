//! The transport over HTTP/2: streams that are refused or reset, connections that end or die.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod transport_support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use target_sdk_core::error::{ErrorKind, Phase};
use target_sdk_core::transport::{Request, Transport};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::server::TlsStream;
use transport_support::tls::*;
use transport_support::*;

type Connection = h2::server::Connection<TlsStream<TcpStream>, bytes::Bytes>;

/// A server that speaks nothing but HTTP/2, and a transport that trusts it. `serve` has each connection, and how many there
/// were before it.
async fn speaking_http2<F, S>(serve: F) -> (Server, Transport)
where
    F: Fn(usize, Connection) -> S + Clone + Send + Sync + 'static,
    S: Future<Output = ()> + Send + 'static,
{
    let authority = Authority::new();
    let acceptor = authority.acceptor("localhost", &["h2"], None);
    let server = Server::start(move |number, stream| {
        let (acceptor, serve) = (acceptor.clone(), serve.clone());
        async move {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            serve(number, h2::server::handshake(stream).await.unwrap()).await;
        }
    })
    .await;
    (server, Transport::new(&trusting(&authority)).unwrap())
}

fn answer(respond: &mut h2::server::SendResponse<bytes::Bytes>) {
    let mut body = respond.send_response(http::Response::new(()), false).unwrap();
    body.send_data("{}".into(), true).unwrap();
}

/// What the server says it has not looked at is sent again.
#[tokio::test]
async fn refused_streams_are_sent_again() {
    let seen = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&seen);
    let (server, transport) = speaking_http2(move |_, mut connection| {
        let counter = Arc::clone(&counter);
        async move {
            while let Some(Ok((_, mut respond))) = connection.accept().await {
                if counter.fetch_add(1, Ordering::SeqCst) == 0 {
                    respond.send_reset(h2::Reason::REFUSED_STREAM);
                } else {
                    answer(&mut respond);
                }
            }
        }
    })
    .await;
    let response = transport.send(retrying(1, post(https(&server)))).await.unwrap();
    assert_eq!(response.body, b"{}");
    assert_eq!(seen.load(Ordering::SeqCst), 2);
}

/// Any other reset may come after the work was done.
#[tokio::test]
async fn reset_streams_are_not_sent_again() {
    let seen = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&seen);
    let (server, transport) = speaking_http2(move |_, mut connection| {
        let counter = Arc::clone(&counter);
        async move {
            while let Some(Ok((_, mut respond))) = connection.accept().await {
                counter.fetch_add(1, Ordering::SeqCst);
                respond.send_reset(h2::Reason::INTERNAL_ERROR);
            }
        }
    })
    .await;
    // The second call finds the connection in the pool: that is no licence either.
    for nth in 1..=2 {
        let error = transport.send(retrying(1, post(https(&server)))).await.map(|_| ()).unwrap_err();
        assert_eq!((error.kind(), error.attempts()), (ErrorKind::Network, Some(1)), "{error:?}");
        assert_eq!(seen.load(Ordering::SeqCst), nth);
    }
}

/// A connection that dies without a word costs the call that finds out, and no other.
#[tokio::test]
async fn a_dead_connection_is_given_up() {
    let (server, transport) = speaking_http2(|number, mut connection| async move {
        let mut kept = Vec::new();
        while let Some(Ok((_, mut respond))) = connection.accept().await {
            if number == 0 && !kept.is_empty() {
                // No bytes in either direction from now on; the sockets stay open.
                std::future::pending::<()>().await;
            }
            answer(&mut respond);
            kept.push(respond);
        }
    })
    .await;
    transport.send(post(https(&server))).await.unwrap();
    let error = transport.send(within(1_200, post(https(&server)))).await.map(|_| ()).unwrap_err();
    assert_eq!((error.kind(), error.phase()), (ErrorKind::Timeout, Some(Phase::Wait)));
    for _ in 0..3 {
        transport.send(within(10_000, post(https(&server)))).await.unwrap();
    }
    assert_eq!(server.connections(), 2);
}

/// A call that is slow alone says nothing about the connection that others are answered over.
#[tokio::test]
async fn a_slow_call_does_not_cost_the_connection() {
    let (server, transport) = speaking_http2(|_, mut connection| async move {
        let mut kept = Vec::new();
        while let Some(Ok((request, mut respond))) = connection.accept().await {
            if request.uri().path() == "/slow" {
                kept.push(respond);
                continue;
            }
            answer(&mut respond);
        }
    })
    .await;
    transport.send(post(https(&server))).await.unwrap();
    let slow = transport.send(within(1_300, post(https(&server).replace("/x", "/slow"))));
    let others = async {
        let until = Instant::now() + Duration::from_millis(1_400);
        while Instant::now() < until {
            transport.send(post(https(&server))).await.unwrap();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let (slow, ()) = tokio::join!(slow, others);
    assert_eq!(slow.map(|_| ()).unwrap_err().kind(), ErrorKind::Timeout);
    transport.send(post(https(&server))).await.unwrap();
    assert_eq!(server.connections(), 1);
}

/// A server that goes away in good order (GOAWAY) loses no call.
#[tokio::test]
async fn a_server_that_goes_away_loses_no_call() {
    let (server, transport) = speaking_http2(|_, mut connection| async move {
        let mut served = 0;
        while let Some(Ok((_, mut respond))) = connection.accept().await {
            answer(&mut respond);
            served += 1;
            if served == 3 {
                connection.graceful_shutdown();
            }
        }
    })
    .await;
    for nth in 0..30 {
        let request: Request = retrying(1, post(https(&server)));
        transport.send(request).await.unwrap_or_else(|error| panic!("call {nth}: {error:?}"));
    }
    assert!(server.connections() >= 10, "{}", server.connections());
}
