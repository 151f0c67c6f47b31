//! What the listener serves, whatever it is: a request comes in, an answer goes out.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::{Body, Frame, Incoming, SizeHint};

use super::http2;

/// Answers requests.
pub(crate) trait Service: Send + Sync + 'static {
    /// What an answer's body is read from. An error breaks the answer off.
    type Body: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send + Unpin>
        + Send
        + Unpin
        + 'static;

    /// Answers one request of the client at this address. It is dropped when the client leaves.
    ///
    /// # Errors
    /// There is nobody to answer: the client is gone.
    fn answer(
        self: Arc<Self>,
        request: Request<RequestBody>,
        client: SocketAddr,
    ) -> impl Future<Output = Result<Response<Self::Body>, Gone>> + Send;
}

/// The client left before it was answered.
#[derive(Debug, thiserror::Error)]
#[error("the client left")]
pub(crate) struct Gone;

/// Why a request's body did not come to its end. All of them are the client's doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BodyError {
    /// Not a byte came within `limits.body_timeout`.
    #[error("the request's body stopped arriving")]
    Stalled,
    /// Bytes came slower than `limits.min_body_rate`.
    #[error("the request's body arrives too slowly")]
    TooSlow,
    /// They are no chunked body.
    #[error("the request's chunks are malformed")]
    Malformed,
    /// The client left, or reset its stream.
    #[error("the client left within the request's body")]
    Gone,
}

impl From<BodyError> for io::Error {
    fn from(error: BodyError) -> Self {
        Self::other(error)
    }
}

impl BodyError {
    /// What a connection gave up reading for, which hyper hands on as the cause of its own error; or hyper's own
    /// bounds on chunks and trailers.
    fn from_hyper(error: &hyper::Error) -> Self {
        let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<io::Error>());
        let ours = cause.and_then(io::Error::get_ref).and_then(|cause| cause.downcast_ref::<Self>());
        match (ours, cause.map(io::Error::kind)) {
            (Some(ours), _) => *ours,
            (None, Some(io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput)) => Self::Malformed,
            (None, _) => Self::Gone,
        }
    }
}

/// A request's body, by whatever version of HTTP it comes.
#[derive(Debug)]
pub(crate) enum RequestBody {
    /// By HTTP/1.1.
    Http1(Incoming),
    /// By HTTP/2.
    Http2(http2::RequestBody),
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Http1(body) => Pin::new(body).poll_frame(cx).map_err(|error| BodyError::from_hyper(&error)),
            Self::Http2(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Http1(body) => body.is_end_stream(),
            Self::Http2(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Http1(body) => body.size_hint(),
            Self::Http2(body) => body.size_hint(),
        }
    }
}
