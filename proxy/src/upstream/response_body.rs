//! An answer's body on its way from the upstream.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};

use super::connection::Connection;
use super::failure::Failure;
use super::idle_pool::IdlePool;

/// What is still to come of it, with the connection that brings it. Read to its end it gives the connection back;
/// dropped before, it closes it.
pub(crate) struct ResponseBody {
    incoming: Incoming,
    /// Until it is given back.
    connection: Option<Box<Connection>>,
    pool: Arc<IdlePool>,
    has_ended: bool,
}

impl ResponseBody {
    pub(super) fn new(incoming: Incoming, connection: Box<Connection>, pool: Arc<IdlePool>) -> Self {
        let mut body = Self { incoming, connection: Some(connection), pool, has_ended: false };
        body.give_back_at_end();
        body
    }

    fn give_back_at_end(&mut self) {
        if self.is_end_stream()
            && let Some(connection) = self.connection.take()
        {
            self.pool.keep(connection);
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        let this = self.get_mut();
        let Some(connection) = &mut this.connection else { return Poll::Ready(None) };
        let frame = std::task::ready!(connection.poll_body(&mut this.incoming, cx));
        this.has_ended = frame.is_none();
        this.give_back_at_end();
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.has_ended || self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
