//! One connection, and how a request takes it away from the HTTP engine to misbehave below HTTP.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Notify;

/// One byte of a slow answer.
pub(crate) const SLOW_BYTE: Duration = Duration::from_millis(500);
/// How long the edge reads on after its own FIN.
const DRAIN: Duration = Duration::from_secs(30);

/// What is done to a connection after the HTTP engine has let go of it. At the end it is closed.
#[derive(Debug)]
pub(crate) enum Step {
    /// Write these bytes.
    Write(Bytes),
    /// Write these bytes one by one.
    Trickle(Bytes),
    /// Close the sending side only.
    Fin,
    /// Read until the other side closes.
    Drain,
}

/// The connection a request came in on.
pub(crate) struct Connection {
    pub(crate) id: u64,
    pub(crate) peer: std::net::SocketAddr,
    pub(crate) http2: bool,
    takeover: Mutex<Vec<Step>>,
    wake: Notify,
    reset: Arc<AtomicBool>,
}

impl Connection {
    pub(crate) fn new(id: u64, peer: std::net::SocketAddr, http2: bool, reset: Arc<AtomicBool>) -> Connection {
        Connection { id, peer, http2, takeover: Mutex::default(), wake: Notify::new(), reset }
    }

    /// Ends the HTTP conversation and does this instead. Whoever serves a request must not answer afterwards.
    pub(crate) fn take_over(&self, steps: Vec<Step>) {
        *self.takeover.lock().unwrap_or_else(PoisonError::into_inner) = steps;
        self.wake.notify_one();
    }

    /// Ends the connection with a TCP reset.
    pub(crate) fn reset(&self) {
        self.reset.store(true, Ordering::Release);
        self.take_over(Vec::new());
    }

    /// Waits for a takeover.
    pub(crate) async fn taken_over(&self) -> Vec<Step> {
        self.wake.notified().await;
        std::mem::take(&mut *self.takeover.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Does the steps. An error means that the other side has left, which ends the game.
pub(crate) async fn perform<S: AsyncRead + AsyncWrite + Unpin>(mut io: S, steps: Vec<Step>) -> io::Result<()> {
    for step in steps {
        match step {
            Step::Write(bytes) => {
                io.write_all(&bytes).await?;
                io.flush().await?;
            }
            Step::Trickle(bytes) => {
                for byte in bytes {
                    io.write_all(&[byte]).await?;
                    io.flush().await?;
                    tokio::time::sleep(SLOW_BYTE).await;
                }
            }
            Step::Fin => io.shutdown().await?,
            Step::Drain => {
                let mut buffer = [0; 1024];
                let drain = async { while io.read(&mut buffer).await.is_ok_and(|count| count > 0) {} };
                // A peer that never closes is given up like one that did.
                let _ = tokio::time::timeout(DRAIN, drain).await;
            }
        }
    }
    Ok(())
}

/// A TCP stream that can end with a reset, also below TLS, and counts as open as long as it exists.
pub(crate) struct Socket {
    tcp: TcpStream,
    reset: Arc<AtomicBool>,
    open: Arc<AtomicU64>,
}

impl Socket {
    pub(crate) fn new(tcp: TcpStream, open: Arc<AtomicU64>) -> Socket {
        open.fetch_add(1, Ordering::Relaxed);
        Socket { tcp, reset: Arc::default(), open }
    }

    /// Set it, and the connection will end with a reset.
    pub(crate) fn reset_switch(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.reset)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
        if self.reset.load(Ordering::Acquire) {
            // It fails only on a socket that is gone already.
            let _ = self.tcp.set_zero_linger();
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_read(cx, buf)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}
