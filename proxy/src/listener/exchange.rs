//! What a connection and the service that answers on it tell each other about the request in hand.
//!
//! hyper owns the connection while it serves a request, and says neither where the request's body ends nor when the
//! last byte of an answer is out. The service's side knows the one from the header and the other from the end of
//! the answer's body, which hyper drops then.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use http::HeaderMap;
use http::header::EXPECT;
use hyper::body::{Body, Frame, Incoming, SizeHint};

use super::connection::remaining_body::RemainingBody;
use crate::lock::lock;

/// The request in hand. Both sides run in one task: nothing here is waited for.
#[derive(Debug, Default)]
pub(super) struct Exchange {
    begun: Mutex<Option<RemainingBody>>,
    /// A body that nobody reads on. hyper would end the connection if it were dropped.
    unread: Mutex<Option<Incoming>>,
    /// The client waits for a 100 before it sends its body.
    awaits_100: AtomicBool,
    in_hand: AtomicBool,
    /// The connection is taken from hyper.
    is_left: AtomicBool,
    /// The connection ends with it.
    is_last: AtomicBool,
}

impl Exchange {
    /// The service has a request with this header.
    pub(super) fn begin(self: &Arc<Self>, header: &HeaderMap) -> InHand {
        let body = RemainingBody::of(header);
        let awaits_100 = header.contains_key(EXPECT) && !body.is_over();
        *lock(&self.begun) = Some(body);
        *lock(&self.unread) = None;
        for (state, now) in
            [(&self.awaits_100, awaits_100), (&self.in_hand, true), (&self.is_left, false), (&self.is_last, false)]
        {
            state.store(now, Ordering::Relaxed);
        }
        InHand(self.clone())
    }

    /// The body of a request that began since the last look.
    pub(super) fn begun(&self) -> Option<RemainingBody> {
        lock(&self.begun).take()
    }

    /// The body is asked for: hyper gives the client its 100.
    pub(super) fn body_is_asked_for(&self) {
        self.awaits_100.store(false, Ordering::Relaxed);
    }

    /// Whether the client was not told to send its body, and may send it or its next request.
    pub(super) fn awaits_100(&self) -> bool {
        self.awaits_100.load(Ordering::Relaxed)
    }

    /// Nobody reads this body on.
    pub(super) fn leave_unread(&self, body: Incoming) {
        if !self.is_last.load(Ordering::Relaxed) {
            *lock(&self.unread) = Some(body);
        }
    }

    /// Whether what is left of the body is nobody's.
    pub(super) fn is_left_unread(&self) -> bool {
        lock(&self.unread).is_some()
    }

    /// Whether hyper has all of the answer.
    pub(super) fn is_answered(&self) -> bool {
        !self.in_hand.load(Ordering::Relaxed)
    }

    /// Whoever serves the connection takes it from hyper.
    pub(super) fn leave(&self) {
        self.is_left.store(true, Ordering::Relaxed);
    }

    /// Whether it is to be taken from hyper.
    pub(super) fn is_left(&self) -> bool {
        self.is_left.load(Ordering::Relaxed)
    }

    /// No other request follows on the connection.
    pub(super) fn set_last(&self) {
        self.is_last.store(true, Ordering::Relaxed);
        *lock(&self.unread) = None;
    }

    /// Whether no other request follows.
    pub(super) fn is_last(&self) -> bool {
        self.is_last.load(Ordering::Relaxed)
    }

    /// hyper is not there any more to mind what becomes of a body.
    pub(super) fn forget_body(&self) {
        *lock(&self.unread) = None;
    }
}

/// A request that is not answered to the end.
#[derive(Debug)]
pub(super) struct InHand(Arc<Exchange>);

impl InHand {
    /// The body of its answer.
    pub(super) fn answer<B: Body>(self, body: B) -> AnswerBody<B> {
        AnswerBody { body, error: None, _request: self }
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        self.0.in_hand.store(false, Ordering::Relaxed);
    }
}

/// An answer's body, which keeps its request in hand.
pub(super) struct AnswerBody<B: Body> {
    body: B,
    /// Why it broke off, until what was said before is out: hyper throws that away with the connection.
    error: Option<B::Error>,
    _request: InHand,
}

impl<B: Body<Error: Unpin> + Unpin> Body for AnswerBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        if let Some(error) = self.error.take() {
            return Poll::Ready(Some(Err(error)));
        }
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(Some(Err(error))) => {
                self.error = Some(error);
                // hyper flushes when there is nothing more to write for now.
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            frame => frame,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
