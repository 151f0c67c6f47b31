//! Connections for blobs, from which is read in large pieces.
//!
//! Whatever a read brings, it costs a call of the system, an acknowledgement and often a wake of the other side.
//! pingora reads 64 KiB. Of a layer a megabyte is read here at once and handed on in such pieces, which saves a fifth
//! of a pull's processor time (docs/performance.md); without memory for it a pull goes on in small ones.
//!
//! pingora knows such a connection by no descriptor, and its pool cannot keep it. What it would have kept is kept
//! here ([`Kept`]).

use std::fmt::Debug;
use std::future::Future as _;
use std::io;
use std::os::fd::AsFd;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use async_trait::async_trait;
use bytes::{Buf as _, BytesMut};
use pingora::connectors::l4::Connect;
use pingora::protocols::l4::ext::{connect, connect_uds};
use pingora::protocols::l4::socket::SocketAddr;
use pingora::protocols::l4::stream::Stream;
use pingora::protocols::l4::virt::{VirtualSockOpt, VirtualSocket, VirtualSocketStream};
use pingora::{Error, ErrorType, Result};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use super::answer::Answer;
use super::kept::{Address, Bounds, Kept};
use super::memory::{LARGE_READ, Memory, Share};

/// What a blob still has to bring to be worth a large buffer.
const LAYER: u64 = 2 * LARGE_READ as u64;

/// What the connections for blobs have in common.
#[derive(Debug)]
pub(super) struct BlobConnections {
    memory: Memory,
    tcp: Arc<Kept<TcpStream>>,
    unix: Arc<Kept<UnixStream>>,
}

impl BlobConnections {
    pub(super) fn new(memory: Memory, bounds: Bounds) -> Self {
        Self { memory, tcp: Arc::new(Kept::new(bounds)), unix: Arc::new(Kept::new(bounds)) }
    }

    /// Closes what is of no use any more.
    pub(super) fn forget(&self) {
        self.tcp.forget();
        self.unix.forget();
    }

    fn stream<S: Socket>(&self, socket: S, address: Address, kept: &Arc<Kept<S>>) -> Stream {
        let connection = BlobConnection::new(socket, address, kept.clone(), self.memory.clone());
        VirtualSocketStream::new(Box::new(connection)).into()
    }
}

/// Whether the connection for a blob is one that was kept. Its other end may have closed it since.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reuse(Arc<AtomicBool>);

impl Reuse {
    pub(crate) fn was_kept(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Connects for one blob, or hands out what is kept.
#[derive(Debug)]
pub(super) struct ForBlob {
    pub(super) connections: Arc<BlobConnections>,
    pub(super) reuse: Reuse,
}

impl ForBlob {
    /// A kept socket, if there is one.
    fn take<S: Socket>(&self, kept: &Kept<S>, address: Address) -> Option<S> {
        let socket = kept.take(address);
        self.reuse.0.store(socket.is_some(), Ordering::Relaxed);
        socket
    }
}

#[async_trait]
impl Connect for ForBlob {
    async fn connect(&self, address: &SocketAddr) -> Result<Stream> {
        let BlobConnections { tcp, unix, .. } = &*self.connections;
        match address {
            SocketAddr::Inet(address) => {
                let kept = self.take(tcp, Some(*address));
                let socket = match kept {
                    Some(socket) => socket,
                    None => {
                        let socket = connect(address, None).await?;
                        // Refusal costs only speed.
                        let _ = socket.set_nodelay(true);
                        socket
                    }
                };
                Ok(self.connections.stream(socket, Some(*address), tcp))
            }
            SocketAddr::Unix(address) => {
                let kept = self.take(unix, None);
                let socket = match (kept, address.as_pathname()) {
                    (Some(socket), _) => socket,
                    (None, Some(path)) => connect_uds(path).await?,
                    (None, None) => {
                        return Error::e_explain(ErrorType::ConnectNoRoute, "the upstream's socket has no path");
                    }
                };
                Ok(self.connections.stream(socket, None, unix))
            }
        }
    }
}

/// TCP, or a Unix socket.
trait Socket: AsyncRead + AsyncWrite + AsFd + Unpin + Send + Sync + Debug + 'static {}

impl<S: AsyncRead + AsyncWrite + AsFd + Unpin + Send + Sync + Debug + 'static> Socket for S {}

/// A connection while it brings one answer.
#[derive(Debug)]
struct BlobConnection<S: Socket> {
    /// Until it is kept for the next one.
    socket: Option<S>,
    address: Address,
    kept: Arc<Kept<S>>,
    answer: Answer,
    /// Whether pingora would keep it, too: it then asks whether anything comes after the answer.
    may_be_kept: bool,
    ahead: BytesMut,
    memory: Memory,
    share: Option<Share>,
}

impl<S: Socket> BlobConnection<S> {
    fn new(socket: S, address: Address, kept: Arc<Kept<S>>, memory: Memory) -> Self {
        Self {
            socket: Some(socket),
            address,
            kept,
            answer: Answer::awaited(),
            may_be_kept: false,
            ahead: BytesMut::new(),
            memory,
            share: None,
        }
    }

    fn socket(&mut self) -> Pin<&mut S> {
        Pin::new(self.socket.as_mut().expect("it is taken only when this is dropped"))
    }

    /// How much is read at once, if it is worth a buffer and there is memory for one.
    fn large_read(&mut self) -> Option<usize> {
        let Answer::Content { left } = self.answer else { return None };
        if self.share.is_none() && left >= LAYER {
            self.share = self.memory.share();
        }
        self.share.is_some().then(|| usize::try_from(left).map_or(LARGE_READ, |left| left.min(LARGE_READ)))
    }

    /// Reads into `buf` itself.
    fn poll_small(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(self.socket().poll_read(cx, buf))?;
        self.answer.came(&buf.filled()[before..]);
        Poll::Ready(Ok(()))
    }

    fn poll_large(&mut self, length: usize, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let Self { socket: Some(socket), ahead, .. } = self else { return Poll::Ready(Ok(0)) };
        ahead.reserve(length);
        // `read_buf` has no state of its own between two polls.
        pin!(socket.read_buf(ahead)).poll(cx)
    }
}

impl<S: Socket> AsyncRead for BlobConnection<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.answer == Answer::Over {
            // To pingora's pool, which is the only one to ask, this is a connection that was closed.
            this.may_be_kept = true;
            return Poll::Ready(Ok(()));
        }
        if this.ahead.is_empty() {
            let Some(length) = this.large_read() else { return this.poll_small(cx, buf) };
            ready!(this.poll_large(length, cx))?;
        }
        let n = this.ahead.len().min(buf.remaining());
        buf.put_slice(&this.ahead[..n]);
        this.answer.came(&this.ahead[..n]);
        this.ahead.advance(n);
        Poll::Ready(Ok(()))
    }
}

impl<S: Socket> AsyncWrite for BlobConnection<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.socket().poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.answer = Answer::Unknown;
        self.socket().poll_shutdown(cx)
    }
}

impl<S: Socket> VirtualSocket for BlobConnection<S> {
    /// What is wanted of it is set where it is connected.
    fn set_socket_option(&self, _: VirtualSockOpt) -> io::Result<()> {
        Ok(())
    }
}

impl<S: Socket> Drop for BlobConnection<S> {
    fn drop(&mut self) {
        let is_over = self.answer == Answer::Over && self.ahead.is_empty() && self.may_be_kept;
        if let (true, Some(socket)) = (is_over, self.socket.take()) {
            self.kept.keep(self.address, socket);
        }
    }
}

#[cfg(test)]
mod tests;
