//! Connections for blobs, from which is read in large pieces.
//!
//! Whatever a read brings, it costs a call of the system, an acknowledgement and often a wake of the other side.
//! pingora reads 64 KiB. Here a megabyte is read at once and handed on in such pieces, which is a fifth of a pull's
//! processor time (docs/performance.md); without memory for it a pull goes on in small ones. pingora knows such a
//! connection by no descriptor and cannot keep it for another request, so that each serves one.

use std::future::Future as _;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use async_trait::async_trait;
use bytes::{Buf as _, BytesMut};
use pingora::Result;
use pingora::connectors::l4::Connect;
use pingora::protocols::l4::ext::{connect, connect_uds};
use pingora::protocols::l4::socket::SocketAddr;
use pingora::protocols::l4::stream::Stream;
use pingora::protocols::l4::virt::{VirtualSockOpt, VirtualSocket, VirtualSocketStream};
use pingora::{Error, ErrorType};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};

use super::memory::{LARGE_READ, Memory, Share};

/// Bytes after which an answer is taken for a layer. Less is hardly worth a large buffer.
const FROM: usize = 256 * 1024;

/// Connects, for pingora.
#[derive(Debug)]
pub(super) struct OwnConnection(pub(super) Memory);

#[async_trait]
impl Connect for OwnConnection {
    async fn connect(&self, address: &SocketAddr) -> Result<Stream> {
        match address {
            SocketAddr::Inet(address) => {
                let socket = connect(address, None).await?;
                // Refusal costs only speed.
                let _ = socket.set_nodelay(true);
                Ok(self.stream(socket))
            }
            SocketAddr::Unix(address) => match address.as_pathname() {
                Some(path) => Ok(self.stream(connect_uds(path).await?)),
                None => Error::e_explain(ErrorType::ConnectNoRoute, "the upstream's socket has no path"),
            },
        }
    }
}

impl OwnConnection {
    fn stream<S: Socket>(&self, socket: S) -> Stream {
        VirtualSocketStream::new(Box::new(Alone::from(socket, self.0.clone()))).into()
    }
}

/// TCP, or a Unix socket.
trait Socket: AsyncRead + AsyncWrite + Unpin + Send + Sync + std::fmt::Debug + 'static {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + Sync + std::fmt::Debug + 'static> Socket for S {}

/// A connection that brings one answer.
#[derive(Debug)]
struct Alone<S> {
    socket: S,
    /// What it brought until it had a share.
    brought: usize,
    ahead: BytesMut,
    memory: Memory,
    share: Option<Share>,
}

impl<S: Socket> Alone<S> {
    fn from(socket: S, memory: Memory) -> Self {
        Self { socket, brought: 0, ahead: BytesMut::new(), memory, share: None }
    }

    /// Whether it may read in large pieces from here on.
    fn is_large(&mut self) -> bool {
        if self.share.is_none() && self.brought >= FROM {
            self.share = self.memory.share();
        }
        self.share.is_some()
    }

    fn poll_small(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.socket).poll_read(cx, buf))?;
        self.brought = self.brought.saturating_add(buf.filled().len() - before);
        Poll::Ready(Ok(()))
    }
}

impl<S: Socket> AsyncRead for Alone<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.ahead.is_empty() {
            if !this.is_large() {
                return this.poll_small(cx, buf);
            }
            this.ahead.reserve(LARGE_READ);
            // `read_buf` has no state of its own between two polls.
            ready!(pin!(this.socket.read_buf(&mut this.ahead)).poll(cx))?;
        }
        let n = this.ahead.len().min(buf.remaining());
        buf.put_slice(&this.ahead[..n]);
        this.ahead.advance(n);
        Poll::Ready(Ok(()))
    }
}

impl<S: Socket> AsyncWrite for Alone<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

impl<S: Socket> VirtualSocket for Alone<S> {
    /// What is wanted of it is set where it is connected.
    fn set_socket_option(&self, _: VirtualSockOpt) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
