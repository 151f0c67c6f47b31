//! Short writes, which go out together with those that follow.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;

/// Bytes that are kept at most. Longer ones go out as they are: copying them would cost more than it saves.
const MOST: usize = 4 * 1024;

/// What was taken from the writer and not written yet.
#[derive(Debug, Default)]
pub(super) struct WriteBuffer(Vec<u8>);

impl WriteBuffer {
    /// Takes some of `bufs`: keeps them, or writes them behind what is kept.
    pub(super) fn poll_write_vectored<W: AsyncWrite + Unpin>(
        &mut self,
        io: &mut W,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let length: usize = bufs.iter().map(|buf| buf.len()).sum();
        if self.0.len() + length <= MOST {
            bufs.iter().for_each(|buf| self.0.extend_from_slice(buf));
            return Poll::Ready(Ok(length));
        }
        self.poll_write_at_once(io, cx, bufs)
    }

    /// Writes some of `bufs` behind what is kept.
    pub(super) fn poll_write_at_once<W: AsyncWrite + Unpin>(
        &mut self,
        io: &mut W,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        while !self.0.is_empty() {
            let all: Vec<_> = std::iter::once(IoSlice::new(&self.0)).chain(bufs.iter().copied()).collect();
            let written = ready!(Pin::new(&mut *io).poll_write_vectored(cx, &all))?;
            if let Some(of_bufs @ 1..) = self.written(written)? {
                return Poll::Ready(Ok(of_bufs));
            }
        }
        Pin::new(io).poll_write_vectored(cx, bufs)
    }

    /// Writes what is kept.
    pub(super) fn poll_release<W: AsyncWrite + Unpin>(
        &mut self,
        io: &mut W,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !self.0.is_empty() {
            let written = ready!(Pin::new(&mut *io).poll_write(cx, &self.0))?;
            self.written(written)?;
        }
        Poll::Ready(Ok(()))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is kept, when nobody will poll any more.
    pub(super) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.0)
    }

    /// So much was written; how much of it was not kept here, once nothing is.
    fn written(&mut self, bytes: usize) -> io::Result<Option<usize>> {
        if bytes == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        if bytes < self.0.len() {
            self.0.drain(..bytes);
            return Ok(None);
        }
        // An idle connection keeps no room for it.
        Ok(Some(bytes - std::mem::take(&mut self.0).len()))
    }
}
