//! The body of a request, read piece by piece.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http_body_util::BodyExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Body, Frame};
use lockgate_oci::{ErrorCode, OciError};
use tokio::time::{Instant, Sleep, sleep_until};

/// A request's body.
pub(crate) struct RequestBody {
    /// None where there never was one, as of most requests: they need no box.
    incoming: Option<UnsyncBoxBody<Bytes, Failed>>,
    silence: Silence,
    announced: Option<u64>,
    received: u64,
}

/// The body broke off; why is for whoever carries it to say.
struct Failed;

/// How long a client has been silent.
///
/// A body has many thousand frames. A timer for each would wake the runtime for each, so there is one,
/// which when it rings is set to when it should have been by then.
struct Silence {
    /// How long the client may be.
    patience: Duration,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Silence {
    /// Ready when nothing has come since `since` for too long.
    fn poll_too_long(&mut self, since: Instant, context: &mut Context<'_>) -> Poll<()> {
        let end = since + self.patience;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(end)));
        loop {
            ready!(timer.as_mut().poll(context));
            if timer.deadline() >= end {
                return Poll::Ready(());
            }
            timer.as_mut().reset(end);
        }
    }
}

fn cut_off() -> OciError {
    let message = "the request's body ended early: ask where the upload stands with GET, and go on from there";
    OciError::new(ErrorCode::BlobUploadInvalid, message)
}

impl RequestBody {
    /// `patience` is how long the client may be silent within it.
    pub(crate) fn new<B: Body<Data = Bytes> + Send + 'static>(body: B, patience: Duration) -> Self {
        let announced = body.size_hint().exact();
        let incoming = (!body.is_end_stream()).then(|| body.map_err(|_| Failed).boxed_unsync());
        Self { incoming, silence: Silence { patience, timer: None }, announced, received: 0 }
    }

    /// Its length, where the client said it ahead.
    pub(crate) fn announced(&self) -> Option<u64> {
        self.announced
    }

    /// How much of it has come.
    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    /// The next piece; `None` at its end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, OciError> {
        loop {
            let Some(frame) = self.frame().await else {
                let message = "nothing came of the request's body for too long: push again";
                let error = OciError::new(ErrorCode::BlobUploadInvalid, message);
                return Err(error.with_status(StatusCode::REQUEST_TIMEOUT));
            };
            match frame {
                Some(Ok(frame)) => {
                    // Trailers mean nothing here.
                    let Ok(bytes) = frame.into_data() else { continue };
                    self.received += bytes.len() as u64;
                    return Ok(Some(bytes));
                }
                Some(Err(Failed)) => return Err(cut_off()),
                None if self.announced.is_some_and(|announced| announced != self.received) => return Err(cut_off()),
                None => return Ok(None),
            }
        }
    }

    /// The next frame, if there is one; `None` when the client is silent for too long.
    async fn frame(&mut self) -> Option<Option<Result<Frame<Bytes>, Failed>>> {
        let Some(incoming) = &mut self.incoming else { return Some(None) };
        let silence = &mut self.silence;
        let mut since = None;
        poll_fn(|context| match Pin::new(&mut *incoming).poll_frame(context) {
            Poll::Ready(frame) => Poll::Ready(Some(frame)),
            Poll::Pending => silence.poll_too_long(*since.get_or_insert_with(Instant::now), context).map(|()| None),
        })
        .await
    }

    /// All of it, if it is at most `limit` bytes.
    pub(crate) async fn collect(&mut self, limit: u64) -> Result<Option<Bytes>, OciError> {
        if self.announced.is_some_and(|announced| announced > limit) {
            return Ok(None);
        }
        let mut content = BytesMut::new();
        while let Some(bytes) = self.next().await? {
            if self.received > limit {
                return Ok(None);
            }
            content.extend_from_slice(&bytes);
        }
        Ok(Some(content.freeze()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;

    #[tokio::test]
    async fn silence_begins_anew_with_each_piece() {
        let mut silence = Silence { patience: Duration::from_millis(50), timer: None };
        let began = Instant::now();
        let mut context = Context::from_waker(Waker::noop());
        assert!(silence.poll_too_long(began, &mut context).is_pending());
        let piece_came = began + Duration::from_millis(30);
        poll_fn(|context| silence.poll_too_long(piece_came, context)).await;
        assert!(began.elapsed() >= Duration::from_millis(80), "it ended with the first piece's timer");
    }
}
