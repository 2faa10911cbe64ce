//! The listener: accepts, speaks TLS and HTTP, and gives connections away to faults.

use std::convert::Infallible;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::connection::{Connection, Socket, perform};
use crate::decider::Decider;
use crate::dispatch::dispatch;
use crate::options::Options;
use crate::state::{State, count};
use crate::tls;

/// Connections waiting to be accepted: a test opens a thousand at once.
const BACKLOG: u32 = 4096;
const HANDSHAKE: Duration = Duration::from_secs(10);

/// A running edge. It stops, with all its connections, when this is dropped.
pub struct Edge {
    address: SocketAddr,
    authority_pem: Option<String>,
    stop: watch::Sender<bool>,
    accept: JoinHandle<()>,
}

impl Edge {
    /// Listens on 127.0.0.1 and serves on the current runtime, which needs I/O and time enabled.
    pub async fn start(options: Options) -> Result<Edge, String> {
        Edge::start_with(options, None).await
    }

    /// Like [`Edge::start`], with a decider in place of the offers file.
    pub async fn start_with(options: Options, decider: Option<Arc<dyn Decider>>) -> Result<Edge, String> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, options.port));
        let (acceptor, authority_pem) = if options.tls {
            let (config, pem) = tls::configure()?;
            if let Some(path) = &options.tls_cert_out {
                write_pem(path, &pem)?;
            }
            (Some(TlsAcceptor::from(config)), Some(pem))
        } else {
            (None, None)
        };
        let state = Arc::new(State::new(options, decider)?);
        let failed = |error: io::Error| format!("cannot listen on {address}: {error}");
        let listener = listen(address).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let (stop, stopped) = watch::channel(false);
        let accept = tokio::spawn(accept(listener, state, acceptor, stopped));
        Ok(Edge { address, authority_pem, stop, accept })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL, without a slash at the end.
    pub fn url(&self) -> String {
        let scheme = if self.authority_pem.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// The certificate authority to trust, with `--tls`.
    pub fn authority_pem(&self) -> Option<&str> {
        self.authority_pem.as_deref()
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        // Nobody listens to this when all connections are closed already.
        let _ = self.stop.send(true);
        self.accept.abort();
    }
}

/// Says on standard error what went wrong, as a server without a log does.
pub(crate) fn complain(message: &str) {
    // There is no other place to complain to.
    let _ = writeln!(io::stderr(), "target-edge: {message}");
}

fn write_pem(path: &Path, pem: &str) -> Result<(), String> {
    std::fs::write(path, pem).map_err(|error| format!("{}: {error}", path.display()))
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    // Started again at once on a fixed port, while old connections are in TIME_WAIT.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

async fn accept(
    listener: TcpListener,
    state: Arc<State>,
    acceptor: Option<TlsAcceptor>,
    stopped: watch::Receiver<bool>,
) {
    loop {
        match listener.accept().await {
            Ok((tcp, peer)) => {
                let serving = serve(tcp, peer, Arc::clone(&state), acceptor.clone());
                let mut stopped = stopped.clone();
                tokio::spawn(async move {
                    tokio::select! {
                        () = serving => {}
                        // Also when the sender is gone.
                        _ = stopped.wait_for(|stop| *stop) => {}
                    }
                });
            }
            Err(error) => {
                // Out of file descriptors, as a rule: connections will close again.
                complain(&format!("accept: {error}"));
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
}

async fn serve(tcp: TcpStream, peer: SocketAddr, state: Arc<State>, acceptor: Option<TlsAcceptor>) {
    let id = count(&state.stats.connections);
    // Matters only for speed.
    let _ = tcp.set_nodelay(true);
    let socket = Socket::new(tcp, Arc::clone(&state.stats.open));
    let reset = socket.reset_switch();
    let Some(acceptor) = acceptor else {
        let connection = Arc::new(Connection::new(id, peer, false, reset));
        return converse(socket, connection, state).await;
    };
    match tokio::time::timeout(HANDSHAKE, acceptor.accept(socket)).await {
        Ok(Ok(stream)) => {
            let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            let connection = Arc::new(Connection::new(id, peer, http2, reset));
            converse(stream, connection, state).await;
        }
        Ok(Err(_)) | Err(_) => {
            count(&state.stats.tls_failures);
        }
    }
}

/// Speaks HTTP until the other side leaves or a fault takes the connection over.
async fn converse<S>(io: S, connection: Arc<Connection>, state: Arc<State>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let of_service = Arc::clone(&connection);
    let service = service_fn(move |request| {
        let (state, connection) = (Arc::clone(&state), Arc::clone(&of_service));
        async move { Ok::<_, Infallible>(dispatch(state, connection, request).await) }
    });
    let io = TokioIo::new(io);
    if connection.http2 {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        let conversation = builder.timer(TokioTimer::new()).serve_connection(io, service);
        tokio::select! {
            // How it ended is the other side's business.
            _ = conversation => {}
            // What a fault does over HTTP/2 is done in frames; here the connection only ends.
            _ = connection.taken_over() => {}
        }
        return;
    }
    let mut conversation = http1::Builder::new().timer(TokioTimer::new()).serve_connection(io, service);
    let steps = tokio::select! {
        _ = &mut conversation => return,
        steps = connection.taken_over() => steps,
    };
    let io = conversation.into_parts().io.into_inner();
    // The other side may leave in the middle of it.
    let _ = perform(io, steps).await;
}
