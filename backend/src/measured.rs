//! An answer that is counted once it has gone.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Buf as _;
use http::{Response, StatusCode};
use hyper::body::{Body, Frame, SizeHint};

use crate::admin::labels::{Answered, Asked, Of};
use crate::metrics::METRICS;

/// A request that is on its way. It is counted when it is dropped, answered or not.
pub(crate) struct Measured {
    asked: Asked,
    began: Instant,
    status: Option<StatusCode>,
    sent: u64,
}

impl Measured {
    /// A request whose header has come.
    pub(crate) fn of(asked: Asked) -> Self {
        Self { asked, began: Instant::now(), status: None, sent: 0 }
    }

    /// Goes with its answer.
    pub(crate) fn answered<B>(mut self, answer: Response<B>) -> Response<MeasuredBody<B>> {
        self.status = Some(answer.status());
        answer.map(|body| MeasuredBody { body, request: self })
    }
}

impl Drop for Measured {
    fn drop(&mut self) {
        METRICS.requests.get_or_create(&Answered::of(self.asked, self.status)).inc();
        METRICS.durations.get_or_create(&Of { action: self.asked.action }).observe(self.began.elapsed().as_secs_f64());
        METRICS.sent.inc_by(self.sent);
    }
}

/// A connection that is counted among those that are open, until it is dropped.
pub(crate) struct OpenConnection(());

impl OpenConnection {
    pub(crate) fn new() -> Self {
        METRICS.accepted.inc();
        METRICS.connections.inc();
        Self(())
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        METRICS.connections.dec();
    }
}

/// The content of an answer that is counted.
pub(crate) struct MeasuredBody<B> {
    body: B,
    request: Measured,
}

impl<B: Body + Unpin> Body for MeasuredBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if let Some(Ok(frame)) = &frame {
            self.request.sent += frame.data_ref().map_or(0, |data| data.remaining() as u64);
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
