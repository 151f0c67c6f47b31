//! The body of a request that comes over HTTP/1.1.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};

use super::body_error::BodyError;
use super::exchange::Exchange;

/// What hyper reads. Dropped before its end it is left to the connection, which reads it away behind the answer: the
/// client's next request comes behind it.
#[derive(Debug)]
pub(crate) struct RequestBody {
    /// `None` once it has ended or failed.
    incoming: Option<Incoming>,
    exchange: Arc<Exchange>,
}

impl RequestBody {
    pub(super) fn new(incoming: Incoming, exchange: Arc<Exchange>) -> Self {
        Self { incoming: Some(incoming).filter(|incoming| !incoming.is_end_stream()), exchange }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Self { incoming, exchange } = self.get_mut();
        let Some(body) = incoming else { return Poll::Ready(None) };
        exchange.body_is_asked_for();
        let frame = ready!(Pin::new(&mut *body).poll_frame(cx))
            .map(|frame| frame.map_err(|error| BodyError::from_hyper(&error)));
        if matches!(frame, None | Some(Err(_))) || body.is_end_stream() {
            *incoming = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if let Some(incoming) = self.incoming.take() {
            self.exchange.leave_unread(incoming);
        }
    }
}
