//! The body of a request that came over a connection.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::runtime::Handle;

/// A body that was not read is read on and thrown away, up to so many bytes, so that a client which is still
/// sending gets to see its answer.
const MAX_DRAIN: usize = 64 * 1024 * 1024;
/// And at most so long.
const DRAIN_TIME: Duration = Duration::from_secs(10);

/// A body whose connection lives on when it is dropped before its end, if the client comes to an end soon.
pub(crate) struct Lingering {
    /// It is taken when this is dropped.
    incoming: Option<Incoming>,
    /// The client sends nothing until it is told to go on, which the first reading does.
    waits: bool,
}

impl Lingering {
    pub(crate) fn new(incoming: Incoming, expects_continue: bool) -> Self {
        Self { incoming: Some(incoming), waits: expects_continue }
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        let unread = self.incoming.take().filter(|incoming| !self.waits && !incoming.is_end_stream());
        // Where no runtime is left, neither is the connection.
        if let (Some(unread), Ok(runtime)) = (unread, Handle::try_current()) {
            runtime.spawn(tokio::time::timeout(DRAIN_TIME, drain(unread)));
        }
    }
}

async fn drain(mut unread: Incoming) {
    let mut drained = 0;
    while drained < MAX_DRAIN
        && let Some(Ok(frame)) = unread.frame().await
    {
        drained += frame.data_ref().map_or(0, Bytes::len);
    }
}

impl Body for Lingering {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        self.waits = false;
        match &mut self.incoming {
            Some(incoming) => Pin::new(incoming).poll_frame(context),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.as_ref().map_or_else(SizeHint::default, Body::size_hint)
    }
}
