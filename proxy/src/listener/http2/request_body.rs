//! The body of a request that comes over HTTP/2.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::RecvStream;
use http::HeaderMap;
use http::header::{CONTENT_LENGTH, EXPECT};
use hyper::body::{Body, Frame, SizeHint};

use super::last_byte::LastByte;
use crate::listener::body_error::BodyError;

/// DATA frames as they come. What is taken opens the client's window again.
#[derive(Debug)]
pub(crate) struct RequestBody {
    stream: RecvStream,
    /// The bytes to come, where the header declared them.
    left: Option<u64>,
    last_byte: Option<LastByte>,
    is_over: bool,
    /// Told when the body is first asked for, where the client waits for that (RFC 9110, 10.1.1).
    wanted: Option<Arc<AtomicBool>>,
}

impl RequestBody {
    /// The body of a request with this header.
    pub(super) fn new(stream: RecvStream, header: &HeaderMap) -> Self {
        // The h2 crate has seen that it is a number.
        let declared = header.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        let is_over = stream.is_end_stream();
        let waits =
            header.get(EXPECT).is_some_and(|expected| expected.as_bytes().eq_ignore_ascii_case(b"100-continue"));
        let wanted = (waits && !is_over).then(Arc::default);
        Self { stream, left: declared, last_byte: declared.map(LastByte::of), is_over, wanted }
    }

    /// Tells that the body is asked for by a service that admitted the request; `None` where the client does not
    /// wait for that.
    pub(super) fn wanted(&self) -> Option<Arc<AtomicBool>> {
        self.wanted.clone()
    }

    /// What of a piece goes on.
    fn pass(&mut self, piece: Bytes) -> Bytes {
        let piece = match &mut self.last_byte {
            Some(last_byte) => last_byte.pass(piece, self.is_over),
            None => piece,
        };
        self.left = self.left.map(|left| left.saturating_sub(piece.len() as u64));
        piece
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        if let Some(wanted) = this.wanted.take() {
            wanted.store(true, Ordering::Relaxed);
        }
        while !this.is_over {
            let piece = match ready!(this.stream.poll_data(cx)) {
                Some(Ok(piece)) => {
                    // It fails where the stream is gone, which the next look at it tells.
                    let _ = this.stream.flow_control().release_capacity(piece.len());
                    this.is_over = this.stream.is_end_stream();
                    piece
                }
                Some(Err(_)) => return Poll::Ready(Some(Err(BodyError::Gone))),
                // Trailers may follow, of which no registry knows any.
                None => {
                    this.is_over = true;
                    Bytes::new()
                }
            };
            let piece = this.pass(piece);
            if !piece.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(piece))));
            }
        }
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        self.is_over
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
