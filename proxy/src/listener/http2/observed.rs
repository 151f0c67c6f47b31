//! The bytes of an HTTP/2 connection on their way to the h2 crate and from it, read along by [`Conduct`], and
//! gathered on their way out.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use async_trait::async_trait;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, IO, Peek, Shutdown, SocketDigest, Ssl, TimingDigest, UniqueID,
    UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::conduct::Conduct;
use super::gathering::Gathering;

/// A connection, observed.
#[derive(Debug)]
pub(super) struct Observed<S> {
    io: S,
    gathering: Gathering,
    conduct: Conduct,
}

impl<S: IO + 'static> Observed<S> {
    pub(super) fn new(io: S, conduct: Conduct) -> Self {
        Self { io, gathering: Gathering::default(), conduct }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Observed<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        // Whoever serves the connection was told already, and says the last word.
        if self.conduct.is_flooding() {
            return Poll::Pending;
        }
        let before = buf.filled().len();
        let read = Pin::new(&mut self.io).poll_read(cx, buf);
        self.conduct.received(&buf.filled()[before..]);
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Observed<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[io::IoSlice::new(buf)])
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { io, gathering, .. } = &mut *self;
        gathering.poll_flush(io, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.as_mut().poll_flush(cx))?;
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let Self { io, gathering, conduct } = &mut *self;
        let mut left = ready!(gathering.poll_take(io, cx, bufs))?;
        let taken = left;
        for buf in bufs {
            let n = left.min(buf.len());
            conduct.sent(&buf[..n]);
            left -= n;
        }
        Poll::Ready(Ok(taken))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }
}

#[async_trait]
impl<S: IO> Shutdown for Observed<S> {
    async fn shutdown(&mut self) {
        self.io.shutdown().await;
    }
}

impl<S: IO> UniqueID for Observed<S> {
    fn id(&self) -> UniqueIDType {
        self.io.id()
    }
}

impl<S: IO> GetSocketDigest for Observed<S> {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.io.get_socket_digest()
    }
}

impl<S: IO> GetTimingDigest for Observed<S> {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        self.io.get_timing_digest()
    }
}

impl<S: IO> GetProxyDigest for Observed<S> {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.io.get_proxy_digest()
    }
}

// The digest of the whole connection was taken before it was observed.
impl<S: IO> Ssl for Observed<S> {}
impl<S: IO> Peek for Observed<S> {}
