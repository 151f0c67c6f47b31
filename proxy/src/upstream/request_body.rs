//! A request's body on its way to the upstream.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use super::socket::Meter;
use crate::listener::{self, BodyError};

/// How far a body was read from its client, for whoever does not own it.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    received: AtomicU64,
    is_over: AtomicBool,
    error: OnceLock<BodyError>,
}

impl Progress {
    /// Bytes that have come.
    pub(crate) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Whether nothing more is awaited of the client.
    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    /// Why it did not come to its end, if it did not.
    pub(crate) fn error(&self) -> Option<BodyError> {
        self.error.get().copied()
    }
}

/// The body of a request that is forwarded. Trailers go no further: no registry knows any.
#[derive(Debug)]
pub(crate) struct RequestBody {
    body: Option<listener::RequestBody>,
    progress: Arc<Progress>,
    /// Of the connection that it is sent over.
    meter: Option<Arc<Meter>>,
}

impl RequestBody {
    /// What a client sends.
    pub(crate) fn new(body: listener::RequestBody) -> Self {
        let is_over = AtomicBool::new(body.is_end_stream());
        let progress = Progress { is_over, ..Progress::default() };
        Self { body: Some(body), progress: Arc::new(progress), meter: None }
    }

    /// None at all.
    pub(crate) fn empty() -> Self {
        let progress = Progress { is_over: AtomicBool::new(true), ..Progress::default() };
        Self { body: None, progress: Arc::new(progress), meter: None }
    }

    /// It is sent over the connection with this meter.
    pub(super) fn goes_over(&mut self, meter: Arc<Meter>) {
        self.meter = Some(meter);
    }

    /// What can be known of it while it is on its way.
    pub(crate) fn progress(&self) -> Arc<Progress> {
        self.progress.clone()
    }
}

impl Drop for RequestBody {
    /// hyper drops a body that it does not send, as that of a GET without a length: nothing more is awaited of it.
    fn drop(&mut self) {
        self.progress.is_over.store(true, Ordering::Relaxed);
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Self { body: Some(body), progress, meter } = self.get_mut() else { return Poll::Ready(None) };
        if meter.as_ref().is_some_and(|meter| meter.is_write_blocked()) {
            // hyper would gather half a megabyte for an upstream that takes nothing. It asks again when the socket, of
            // which it waits to be writable, has taken what there is.
            return Poll::Pending;
        }
        let frame = ready!(Pin::new(&mut *body).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                progress.received.fetch_add(bytes as u64, Ordering::Relaxed);
                progress.is_over.store(body.is_end_stream(), Ordering::Relaxed);
                if frame.is_trailers() {
                    return Poll::Ready(None);
                }
            }
            // Only the first is told.
            Some(Err(error)) => drop(progress.error.set(*error)),
            None => progress.is_over.store(true, Ordering::Relaxed),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}
