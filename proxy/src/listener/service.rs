//! What the listener serves, whatever it is: a request comes in, an answer goes out.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::{Body, Frame, SizeHint};

use super::body_error::BodyError;
use super::http1_body;
use super::http2::request_body;
use crate::client::Client;

/// Answers requests.
pub(crate) trait Service: Send + Sync + 'static {
    /// What an answer's body is read from. An error breaks the answer off.
    type Body: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send + Unpin>
        + Send
        + Unpin
        + 'static;

    /// Answers one request of this client. It is dropped when the client leaves.
    ///
    /// # Errors
    /// There is nobody to answer: the client is gone.
    fn answer(
        self: Arc<Self>,
        request: Request<RequestBody>,
        client: Client,
    ) -> impl Future<Output = Result<Response<Self::Body>, Gone>> + Send;
}

/// The client left before it was answered.
#[derive(Debug, thiserror::Error)]
#[error("the client left")]
pub(crate) struct Gone;

/// A request's body, by whatever version of HTTP it comes.
#[derive(Debug)]
pub(crate) enum RequestBody {
    /// By HTTP/1.1.
    Http1(http1_body::RequestBody),
    /// By HTTP/2.
    Http2(request_body::RequestBody),
    /// By no connection any more: it was read to its end.
    Bytes(http_body_util::Full<Bytes>),
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Http1(body) => Pin::new(body).poll_frame(cx),
            Self::Http2(body) => Pin::new(body).poll_frame(cx),
            Self::Bytes(body) => Pin::new(body).poll_frame(cx).map_err(|never| match never {}),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Http1(body) => body.is_end_stream(),
            Self::Http2(body) => body.is_end_stream(),
            Self::Bytes(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Http1(body) => body.size_hint(),
            Self::Http2(body) => body.size_hint(),
            Self::Bytes(body) => body.size_hint(),
        }
    }
}
