//! A client's connection, as hyper reads and writes it.
//!
//! What hyper cannot parse it answers by itself, with a status and nothing else: no handler hears of it.
//! Here those words are replaced by a refusal that says what to do. They are told from answers by when
//! they come: an answer is owed from the moment that a handler gets the request until the last of it is
//! flushed, and what is written while none is owed is hyper's own.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use http::StatusCode;
use hyper::body::{Body, Frame, SizeHint};
use hyper::rt::{Read, ReadBuf, ReadBufCursor, Write};
use lockgate_oci::{ErrorCode, OciError};

use crate::measured::Measured;

/// Bytes that are read and thrown away after a refusal, at most: to close a connection over bytes that
/// have come would reset it, and the refusal with it.
const MAX_WASTE: usize = 1024 * 1024;

/// Whether a connection owes its client an answer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Debt(Arc<Outstanding>);

#[derive(Debug, Default)]
struct Outstanding {
    /// Requests whose answer's body is not yet at its end.
    in_hand: AtomicUsize,
    /// Whether bytes of an answer may not be written yet.
    owed: AtomicBool,
}

impl Debt {
    /// A handler has got a request.
    pub(crate) fn request(&self) -> InHand {
        self.0.in_hand.fetch_add(1, Ordering::Relaxed);
        self.0.owed.store(true, Ordering::Relaxed);
        InHand(Arc::clone(&self.0))
    }

    /// Everything that hyper had is written.
    fn flushed(&self) {
        if self.0.in_hand.load(Ordering::Relaxed) == 0 {
            self.0.owed.store(false, Ordering::Relaxed);
        }
    }

    fn is_owed(&self) -> bool {
        self.0.owed.load(Ordering::Relaxed)
    }
}

/// A request that is not answered to the end.
#[derive(Debug)]
pub(crate) struct InHand(Arc<Outstanding>);

impl InHand {
    /// The body of its answer.
    pub(crate) fn answer<B>(self, body: B, measured: Measured) -> Answer<B> {
        Answer { body, measured, _request: self }
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        self.0.in_hand.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An answer's body, which keeps its request in hand, and is counted.
pub(crate) struct Answer<B> {
    body: B,
    measured: Measured,
    _request: InHand,
}

impl<B: Body + Unpin> Body for Answer<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if let Some(Ok(frame)) = &frame {
            self.measured.sends(frame.data_ref().map_or(0, |data| data.remaining()));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The bytes of a connection.
pub(crate) struct Connection<I> {
    io: I,
    debt: Debt,
    /// The rest of the refusal that is written in place of hyper's words.
    refusal: Option<Bytes>,
}

impl<I: Read + Write + Unpin> Connection<I> {
    pub(crate) fn new(io: I, debt: Debt) -> Self {
        Self { io, debt, refusal: None }
    }

    /// Whether hyper writes something of its own. It has its last word then, and what that is does not
    /// matter beyond its status.
    fn is_replaced(&mut self, words: &[u8]) -> bool {
        if self.refusal.is_none() && !self.debt.is_owed() {
            self.refusal = Some(in_place_of(words).on_the_wire(false, &[]).into());
        }
        self.refusal.is_some()
    }

    fn poll_refuse(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(words) = self.refusal.as_mut().filter(|words| words.has_remaining()) {
            let written = ready!(Pin::new(&mut self.io).poll_write(context, words))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            words.advance(written);
        }
        Poll::Ready(Ok(()))
    }

    /// Throws away what has come already.
    fn waste(&mut self, context: &mut Context<'_>) {
        let mut space = [MaybeUninit::uninit(); 8 * 1024];
        let mut wasted = 0;
        while wasted < MAX_WASTE {
            let mut buffer = ReadBuf::uninit(&mut space);
            match Pin::new(&mut self.io).poll_read(context, buffer.unfilled()) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => wasted += buffer.filled().len(),
                _ => return,
            }
        }
    }
}

impl<I: Read + Unpin> Read for Connection<I> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(context, into)
    }
}

impl<I: Read + Write + Unpin> Write for Connection<I> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.is_replaced(bytes) {
            return Poll::Ready(Ok(bytes.len()));
        }
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let first = pieces.iter().find(|piece| !piece.is_empty()).map_or(&[][..], |piece| piece);
        if self.is_replaced(first) {
            return Poll::Ready(Ok(pieces.iter().map(|piece| piece.len()).sum()));
        }
        Pin::new(&mut self.io).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_refuse(context))?;
        // hyper flushes when it has nothing left to write.
        self.debt.flushed();
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_refuse(context))?;
        if self.refusal.is_some() {
            self.waste(context);
        }
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

/// The refusal in place of a page that hyper made, by its status line.
fn in_place_of(page: &[u8]) -> OciError {
    let status = page.get(9..12).and_then(|code| StatusCode::from_bytes(code).ok());
    let message = match status {
        Some(StatusCode::URI_TOO_LONG) => "the request's target is too long: no name, digest and query need so much",
        Some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE) => {
            "the request's header is too large: send fewer header fields, or shorter ones"
        }
        _ => "the request is not well-formed HTTP/1.1; if it comes from a container client, update it",
    };
    OciError::new(ErrorCode::Unsupported, message).with_status(status.unwrap_or(StatusCode::BAD_REQUEST))
}
