//! One request of an HTTP/2 connection, from its header to the last frame of its answer.

use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::header::CONNECTION;
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Body;
use tokio::time::{Instant, timeout_at};

use super::request_body::RequestBody;
use crate::client::Client;
use crate::listener::service::{self, Service};

/// What of an answer has to be taken within `limits.send_timeout`. A larger piece is sent in such ones, so that the
/// time does not depend on how the upstream sends.
const PIECE: usize = 64 * 1024;

/// Serves it. A client that resets it ends the work on it.
pub(super) async fn serve<S: Service>(
    service: Arc<S>,
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    client: Client,
    send_timeout: Duration,
) {
    let is_head = request.method() == Method::HEAD;
    let (parts, stream) = request.into_parts();
    let body = RequestBody::new(stream, &parts.headers);
    let wanted = body.wanted();
    let request = Request::from_parts(parts, service::RequestBody::Http2(body));
    let mut answer = pin!(service.answer(request, client));
    let answered = poll_fn(|cx| {
        if respond.poll_reset(cx).is_ready() {
            return Poll::Ready(None);
        }
        let answered = answer.as_mut().poll(cx);
        if answered.is_pending() && wanted.as_ref().is_some_and(|wanted| wanted.swap(false, Ordering::Relaxed)) {
            let mut go_on = Response::new(());
            *go_on.status_mut() = StatusCode::CONTINUE;
            // A stream that is gone is seen to by the next poll.
            let _ = respond.send_informational(go_on);
        }
        answered.map(Some)
    });
    let response = match answered.await {
        Some(Ok(response)) => response,
        Some(Err(_)) => return respond.send_reset(Reason::CANCEL),
        None => return,
    };
    let (mut parts, mut body) = response.into_parts();
    // HTTP/2 has none (RFC 9113, 8.2.2).
    parts.headers.remove(CONNECTION);
    let is_all = is_head || body.is_end_stream();
    let Ok(mut stream) = respond.send_response(Response::from_parts(parts, ()), is_all) else { return };
    if !is_all && let Err(reason) = send(&mut body, &mut stream, send_timeout).await {
        stream.send_reset(reason);
    }
}

/// Sends an answer's body.
///
/// # Errors
/// The reason to reset the stream: the client does not take it, or it broke off.
async fn send<B>(body: &mut B, stream: &mut SendStream<Bytes>, patience: Duration) -> Result<(), Reason>
where
    B: Body<Data = Bytes, Error: Send> + Unpin + Send,
{
    loop {
        let frame = tokio::select! {
            biased;
            _ = poll_fn(|cx| stream.poll_reset(cx)) => return Err(Reason::CANCEL),
            frame = body.frame() => frame,
        };
        // Why it broke off was said where it did.
        match frame.map(Result::ok) {
            Some(Some(frame)) => {
                let is_last = body.is_end_stream();
                let mut data = frame.into_data().unwrap_or_default();
                if is_last && data.is_empty() {
                    return stream.send_data(data, true).map_err(|_| Reason::CANCEL);
                }
                while !data.is_empty() {
                    let piece = data.split_to(data.len().min(PIECE));
                    send_piece(piece, is_last && data.is_empty(), stream, patience).await?;
                }
                if is_last {
                    return Ok(());
                }
            }
            Some(None) => return Err(Reason::INTERNAL_ERROR),
            None => return stream.send_data(Bytes::new(), true).map_err(|_| Reason::CANCEL),
        }
    }
}

/// Sends a piece as the client's window opens.
async fn send_piece(
    mut piece: Bytes,
    is_last: bool,
    stream: &mut SendStream<Bytes>,
    patience: Duration,
) -> Result<(), Reason> {
    let deadline = Instant::now() + patience;
    while !piece.is_empty() {
        stream.reserve_capacity(piece.len());
        let capacity = match timeout_at(deadline, poll_fn(|cx| stream.poll_capacity(cx))).await {
            Ok(Some(Ok(capacity))) => capacity.min(piece.len()),
            _ => return Err(Reason::CANCEL),
        };
        let part = piece.split_to(capacity);
        stream.send_data(part, is_last && piece.is_empty()).map_err(|_| Reason::CANCEL)?;
    }
    Ok(())
}
