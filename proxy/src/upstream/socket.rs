//! A socket to the upstream, which counts what moves.

use std::io::{self, IoSlice};
use std::os::fd::AsFd;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};

use pingora::protocols::l4::socket::SocketAddr;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// What is known of a socket that hyper owns.
#[derive(Debug, Default)]
pub(super) struct Meter {
    moved: AtomicU64,
    is_write_blocked: AtomicBool,
    look: AtomicBool,
}

impl Meter {
    /// Bytes that were read and written so far.
    pub(super) fn moved(&self) -> u64 {
        self.moved.load(Ordering::Relaxed)
    }

    /// Whether the other side takes nothing now.
    pub(super) fn is_write_blocked(&self) -> bool {
        self.is_write_blocked.load(Ordering::Relaxed)
    }

    /// Has the next read ask the system itself whether the connection still stands and is silent: what the runtime
    /// knows of the socket may be older.
    pub(super) fn look(&self) {
        self.look.store(true, Ordering::Relaxed);
    }

    fn count<T>(&self, moved: Poll<io::Result<T>>, bytes: impl Fn(&T) -> usize) -> Poll<io::Result<T>> {
        if let Poll::Ready(Ok(done)) = &moved {
            self.moved.fetch_add(bytes(done) as u64, Ordering::Relaxed);
        }
        moved
    }

    fn count_written(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        self.is_write_blocked.store(written.is_pending(), Ordering::Relaxed);
        self.count(written, |written| *written)
    }
}

/// A connected socket.
#[derive(Debug)]
pub(super) struct Socket {
    kind: Kind,
    meter: Arc<Meter>,
}

#[derive(Debug)]
enum Kind {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// `$call` on the stream of whatever kind.
macro_rules! on_stream {
    ($socket:expr, $stream:ident => $call:expr) => {
        match &mut $socket.kind {
            Kind::Tcp($stream) => $call,
            Kind::Unix($stream) => $call,
        }
    };
}

impl Socket {
    /// Connects.
    ///
    /// # Errors
    /// The system's.
    pub(super) async fn connect(address: &SocketAddr) -> io::Result<Self> {
        let kind = match address {
            SocketAddr::Inet(address) => {
                let stream = TcpStream::connect(address).await?;
                // A request is a header and a body: the second must not wait for the first's acknowledgement.
                // Refusal costs only speed.
                let _ = stream.set_nodelay(true);
                Kind::Tcp(stream)
            }
            SocketAddr::Unix(address) => {
                let path = address.as_pathname().ok_or(io::ErrorKind::AddrNotAvailable)?;
                Kind::Unix(UnixStream::connect(path).await?)
            }
        };
        Ok(Self { kind, meter: Arc::default() })
    }

    /// What it counts.
    pub(super) fn meter(&self) -> Arc<Meter> {
        self.meter.clone()
    }
}

/// Whether there is neither a byte nor an end nor an error.
fn is_silent(socket: &impl AsFd) -> bool {
    let mut byte = [std::mem::MaybeUninit::uninit()];
    SockRef::from(socket).peek(&mut byte).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let meter = self.meter.clone();
        if meter.look.swap(false, Ordering::Relaxed) && !on_stream!(self, stream => is_silent(stream)) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let before = buf.filled().len();
        let read = on_stream!(self, stream => Pin::new(stream).poll_read(cx, buf));
        meter.count(read, |()| buf.filled().len() - before)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = on_stream!(self, stream => Pin::new(stream).poll_write(cx, bytes));
        self.meter.count_written(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = on_stream!(self, stream => Pin::new(stream).poll_write_vectored(cx, pieces));
        self.meter.count_written(written)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_stream!(self, stream => Pin::new(stream).poll_shutdown(cx))
    }
}
