//! What a client is answered: words of the gate's own, or what the upstream sends.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{ALLOW, CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WARNING, WWW_AUTHENTICATE};
use http::{Response, StatusCode};
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

/// A refusal, as an answer. To HEAD its words go by `Warning` (RFC 7234, 5.5), which podman and skopeo show.
pub(super) fn refusal(refusal: &Refusal, is_head: bool) -> Response<Answer> {
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
    if is_head && refusal.error.status() == StatusCode::FORBIDDEN {
        let words = refusal.error.message().replace(['"', '\\'], "'");
        if let Ok(warning) = HeaderValue::try_from(format!("299 - \"{words}\"")) {
            headers.insert(WARNING, warning);
        }
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

impl Body for Answer {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        match self.get_mut() {
            Self::Own(words) => Pin::new(words).poll_frame(cx).map_err(|never| match never {}),
            Self::Upstream(body) => Pin::new(body).poll_frame(cx),
            Self::Registry(body) => Pin::new(body).poll_frame(cx).map_err(|error| Failure::BrokeOff(error.to_string())),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Own(words) => words.is_end_stream(),
            Self::Upstream(body) => body.is_end_stream(),
            Self::Registry(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Own(words) => words.size_hint(),
            Self::Upstream(body) => body.size_hint(),
            Self::Registry(body) => body.size_hint(),
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        let Self { answer, passage } = self.get_mut();
        let frame = ready!(Pin::new(answer).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => passage.sends(frame.data_ref().map_or(0, Bytes::len)),
            // The status is sent long since: all that is left is to break off.
            Some(Err(failure)) => tracing::warn!(reason = %failure, "an answer broke off"),
            None => {}
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.answer.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.answer.size_hint()
    }
}
