//! A socket to the upstream, which counts what moves.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use pingora::protocols::l4::socket::SocketAddr;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use super::read_ahead::{ReadAheadBudget, Slot};

/// What may be read at once without a slot.
const SMALL_READ: usize = 32 * 1024;

/// What is known of a socket that hyper owns.
#[derive(Debug, Default)]
pub(super) struct Meter {
    read: AtomicU64,
    written: AtomicU64,
    is_write_blocked: AtomicBool,
    look: AtomicBool,
}

impl Meter {
    /// Bytes that were read so far.
    pub(super) fn read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// Bytes that were read and written so far.
    pub(super) fn moved(&self) -> u64 {
        self.read() + self.written.load(Ordering::Relaxed)
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

    fn count_written(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        self.is_write_blocked.store(written.is_pending(), Ordering::Relaxed);
        if let Poll::Ready(Ok(n)) = &written {
            self.written.fetch_add(*n as u64, Ordering::Relaxed);
        }
        written
    }
}

/// A connected socket.
#[derive(Debug)]
pub(super) struct Socket {
    kind: Kind,
    meter: Arc<Meter>,
    budget: ReadAheadBudget,
    slot: Option<Slot>,
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
    pub(super) async fn connect(address: &SocketAddr, budget: &ReadAheadBudget) -> io::Result<Self> {
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
        Ok(Self { kind, meter: Arc::default(), budget: budget.clone(), slot: None })
    }

    /// What it counts.
    pub(super) fn meter(&self) -> Arc<Meter> {
        self.meter.clone()
    }
}

impl Socket {
    /// hyper asks for more the more came before: for much there has to be memory.
    fn may_read_all_of(&mut self, buf: &ReadBuf<'_>) -> bool {
        if buf.remaining() > SMALL_READ && self.slot.is_none() {
            self.slot = self.budget.slot();
        }
        buf.remaining() <= SMALL_READ || self.slot.is_some()
    }

    fn poll_read_little(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut space = [MaybeUninit::uninit(); SMALL_READ];
        let mut little = ReadBuf::uninit(&mut space);
        ready!(on_stream!(self, stream => Pin::new(stream).poll_read(cx, &mut little)))?;
        buf.put_slice(little.filled());
        Poll::Ready(Ok(()))
    }
}

/// Whether there is neither a byte nor an end nor an error.
fn is_silent(socket: &impl AsFd) -> bool {
    let mut byte = [MaybeUninit::uninit()];
    SockRef::from(socket).peek(&mut byte).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let meter = self.meter.clone();
        if meter.look.swap(false, Ordering::Relaxed) && !on_stream!(self, stream => is_silent(stream)) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let before = buf.filled().len();
        let read = if self.may_read_all_of(buf) {
            on_stream!(self, stream => Pin::new(stream).poll_read(cx, buf))
        } else {
            self.poll_read_little(cx, buf)
        };
        let n = buf.filled().len() - before;
        if n < SMALL_READ {
            // Nothing large is coming, for now.
            self.slot = None;
        }
        meter.read.fetch_add(n as u64, Ordering::Relaxed);
        read
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
