//! The bytes of an HTTP/2 connection on their way to the h2 crate and from it, read along by [`Guard`], and
//! gathered on their way out.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::frame_buffer::FrameBuffer;
use super::guard::Guard;

/// A connection, guarded.
#[derive(Debug)]
pub(super) struct GuardedStream<S> {
    io: S,
    frames: FrameBuffer,
    guard: Guard,
}

impl<S> GuardedStream<S> {
    pub(super) fn new(io: S, guard: Guard) -> Self {
        Self { io, frames: FrameBuffer::default(), guard }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for GuardedStream<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        // Whoever serves the connection was told already, and says the last word.
        if self.guard.is_flooding() {
            return Poll::Pending;
        }
        let before = buf.filled().len();
        let read = Pin::new(&mut self.io).poll_read(cx, buf);
        self.guard.received(&buf.filled()[before..]);
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for GuardedStream<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[io::IoSlice::new(buf)])
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { io, frames, .. } = &mut *self;
        frames.poll_flush(io, cx)
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
        let Self { io, frames, guard } = &mut *self;
        let mut left = ready!(frames.poll_take(io, cx, bufs))?;
        let taken = left;
        for buf in bufs {
            let n = left.min(buf.len());
            guard.sent(&buf[..n]);
            left -= n;
        }
        Poll::Ready(Ok(taken))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }
}
