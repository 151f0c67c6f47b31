//! HTTP/1.1: the requests of a connection, one after the other.

use std::future::{Future as _, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use futures_util::TryFutureExt as _;
use http::header::{CONNECTION, HeaderValue};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt as _;

use super::admission::Admission;
use super::service::{RequestBody, Service};
use super::stopping::Stopping;
use super::{ClientConnection, http1_body};
use crate::config::Limits;

/// Fields for which hyper has room without asking for memory.
const HYPER_FIELDS: usize = 100;

/// What hyper buffers of what it reads, at most: pieces of a layer are this long. A header that our own budget
/// allows must fit as well.
const READ_BUFFER: usize = 64 * 1024;

/// Answers requests until the connection ends. hyper is there while they follow each other closely.
pub(super) async fn serve<S: Service>(
    service: &Arc<S>,
    admission: &Admission,
    limits: &Limits,
    mut connection: Box<ClientConnection>,
    stopping: &Stopping,
) {
    while next_header(&mut connection, admission, stopping).await {
        // Boxed, so that an idle connection has no room for it.
        let Some(kept) = Box::pin(serve_requests(service, limits, connection, stopping)).await else { return };
        connection = kept;
        if !connection.finish_body().await {
            return;
        }
    }
}

/// Whether a request came before the connection had to end. One that has begun is a request on its way,
/// and is heard also by a process that stops.
async fn next_header(connection: &mut ClientConnection, admission: &Admission, stopping: &Stopping) -> bool {
    let began = tokio::select! {
        began = connection.next_request() => began,
        () = admission.idle_place_is_needed() => false,
        () = stopping.silence() => false,
    };
    began && connection.header().await
}

/// The request whose header is there, and those that follow it closely. The connection comes back where another one
/// may come later.
async fn serve_requests<S: Service>(
    service: &Arc<S>,
    limits: &Limits,
    connection: Box<ClientConnection>,
    stopping: &Stopping,
) -> Option<Box<ClientConnection>> {
    let (client, exchange) = (connection.client().clone(), connection.exchange());
    let answer = service_fn(|request: http::Request<Incoming>| {
        let in_hand = exchange.begin(request.headers());
        let asks_to_close = asks_to_close(&request);
        let answer = service.clone().answer(
            request.map(|body| RequestBody::Http1(http1_body::RequestBody::new(body, exchange.clone()))),
            client.clone(),
        );
        let exchange = &exchange;
        // An async block would keep room for the answer in the making twice, and hyper moves what it is given.
        answer.map_ok(move |mut response| {
            if asks_to_close || stopping.is_told() || exchange.awaits_100() {
                // The client is not to send its next request into the close.
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            if response.headers().contains_key(CONNECTION) {
                exchange.set_last();
            }
            response.map(|body| in_hand.answer(body))
        })
    });
    let mut builder = http1::Builder::new();
    builder.max_buf_size(READ_BUFFER.max(2 * limits.header_size.get())).title_case_headers(true);
    if limits.header_count.get() > HYPER_FIELDS {
        builder.max_headers(limits.header_count.get());
    }
    let mut served = builder.serve_connection(TokioIo::new(connection), answer);
    let goes_on = poll_fn(|cx| match Pin::new(&mut served).poll(cx) {
        Poll::Ready(Ok(())) => Poll::Ready(Some(false)),
        Poll::Ready(Err(error)) => {
            tracing::debug!(client = client.as_str(), %error, "a connection ended early");
            Poll::Ready(None)
        }
        Poll::Pending if exchange.is_left() => Poll::Ready(Some(!exchange.is_last())),
        Poll::Pending => Poll::Pending,
    });
    let goes_on = goes_on.await?;
    let mut connection = served.into_parts().io.into_inner();
    if !goes_on {
        // hyper leaves it out where it takes a request for an upgrade. The client may be gone already.
        let _ = connection.shutdown().await;
    }
    goes_on.then_some(connection)
}

/// Whether a client wants the connection to end with this request (RFC 9112, 9.3).
fn asks_to_close(request: &http::Request<Incoming>) -> bool {
    let mut options =
        request.headers().get_all(CONNECTION).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    let mut has = |option: &[u8]| options.any(|named| named.trim_ascii().eq_ignore_ascii_case(option));
    if request.version() == http::Version::HTTP_11 { has(b"close") } else { !has(b"keep-alive") }
}
