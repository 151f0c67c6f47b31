//! What a client is answered: words of the gate's own, or what the upstream sends.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::Response;
use http::header::{ALLOW, CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use http_body_util::Full;
use hyper::body::{Body, Frame, SizeHint};
use lockgate_backend::ReplyBody;
use lockgate_oci::OciError;

use super::passage::Passage;
use crate::refusal::Refusal;
use crate::upstream::{Failure, ResponseBody};

/// Where the bytes of an answer come from.
pub(super) enum Answer {
    /// The gate itself.
    Own(Full<Bytes>),
    /// The upstream.
    Upstream(ResponseBody),
    /// The registry within the process.
    Registry(ReplyBody),
}

/// A refusal, as an answer.
pub(super) fn refusal(refusal: &Refusal) -> Response<Answer> {
    let mut response = Response::new(Answer::Own(refusal.error.to_json().into()));
    *response.status_mut() = refusal.error.status();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(OciError::CONTENT_TYPE));
    if let Some(challenge) = &refusal.challenge {
        headers.insert(WWW_AUTHENTICATE, challenge.clone());
    }
    if let Some(seconds) = refusal.retry_after {
        headers.insert(RETRY_AFTER, seconds.into());
    }
    if let Some(methods) = &refusal.allow {
        headers.insert(ALLOW, methods.clone());
    }
    if refusal.hang_up {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// An answer's body, on which its request's line in the access log waits.
pub(crate) struct AnswerBody {
    answer: Answer,
    passage: Passage,
}

impl AnswerBody {
    pub(super) fn new(answer: Answer, passage: Passage) -> Self {
        Self { answer, passage }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        let Self { answer, passage } = self.get_mut();
        let frame = match answer {
            Answer::Own(words) => {
                ready!(Pin::new(words).poll_frame(cx)).map(|frame| frame.map_err(|never| match never {}))
            }
            Answer::Upstream(body) => ready!(Pin::new(body).poll_frame(cx)),
            Answer::Registry(body) => ready!(Pin::new(body).poll_frame(cx))
                .map(|frame| frame.map_err(|error| Failure::BrokeOff(error.to_string()))),
        };
        match &frame {
            Some(Ok(frame)) => passage.sends(frame.data_ref().map_or(0, Bytes::len)),
            // The status is sent long since: all that is left is to break off.
            Some(Err(failure)) => tracing::warn!(reason = %failure, "an answer broke off"),
            None => {}
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.answer {
            Answer::Own(words) => words.is_end_stream(),
            Answer::Upstream(body) => body.is_end_stream(),
            Answer::Registry(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.answer {
            Answer::Own(words) => words.size_hint(),
            Answer::Upstream(body) => body.size_hint(),
            Answer::Registry(body) => body.size_hint(),
        }
    }
}
