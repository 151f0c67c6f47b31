//! Answers: their headers, their bodies, and the one place where an error becomes a response.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, LOCATION};
use http::{Response, StatusCode};
use hyper::body::{Body, Frame, SizeHint};
use lockgate_oci::{Digest, ErrorCode, NoAction, OciError, set_common_headers};

use crate::store::{ByteStream, StoreError};

const DOCKER_CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// A header's value made of what was parsed: names, digests, numbers.
pub(crate) fn header_value(text: impl TryInto<HeaderValue>) -> HeaderValue {
    text.try_into().unwrap_or_else(|_| unreachable!("what was parsed has no control characters"))
}

/// The body of an answer.
pub enum ReplyBody {
    /// All of it, at hand.
    Bytes(Bytes),
    /// Bytes as they come.
    Stream {
        /// What is still to come.
        pieces: ByteStream,
        /// How many bytes that are, where it is known.
        left: Option<u64>,
    },
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match self.get_mut() {
            Self::Bytes(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Bytes(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::Stream { pieces, left } => {
                let piece = ready!(pieces.as_mut().poll_next(context));
                match &piece {
                    Some(Ok(bytes)) => *left = left.map(|left| left.saturating_sub(bytes.len() as u64)),
                    // The status is sent long since: all that is left is to break off.
                    Some(Err(error)) => tracing::error!(%error, "an answer could not be read to its end"),
                    None => {}
                }
                Poll::Ready(piece.map(|piece| piece.map(Frame::data)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.size_hint().exact() == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Bytes(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Stream { left, .. } => left.map_or_else(SizeHint::default, SizeHint::with_exact),
        }
    }
}

/// An answer in the making.
pub(crate) struct Reply(Response<ReplyBody>);

impl Reply {
    /// An answer without a body.
    pub(crate) fn new(status: StatusCode) -> Self {
        let mut response = Response::new(ReplyBody::Bytes(Bytes::new()));
        *response.status_mut() = status;
        // A blob's answer has a dozen: the table need not grow under it.
        response.headers_mut().reserve(12);
        set_common_headers(response.headers_mut());
        Self(response)
    }

    /// Sets a header.
    pub(crate) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers_mut().insert(name, value);
        self
    }

    /// Adds a header beside others of its name.
    pub(crate) fn also(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers_mut().append(name, value);
        self
    }

    /// Names the content that the answer is about.
    pub(crate) fn digest(self, digest: &Digest) -> Self {
        self.header(DOCKER_CONTENT_DIGEST, header_value(digest.as_str()))
    }

    /// Names the content that the answer holds, for conditional requests.
    pub(crate) fn entity(self, digest: &Digest) -> Self {
        self.digest(digest).header(ETAG, header_value(entity_tag(digest)))
    }

    /// Says where to go, relative to the registry: only who asked knows by what name it is reached.
    pub(crate) fn location(self, path: String) -> Self {
        self.header(LOCATION, header_value(path))
    }

    /// Says how long a body is, or would be.
    pub(crate) fn length(self, bytes: u64) -> Self {
        self.header(CONTENT_LENGTH, bytes.into())
    }

    /// A body at hand.
    pub(crate) fn bytes(mut self, content_type: HeaderValue, bytes: impl Into<Bytes>) -> Self {
        *self.0.body_mut() = ReplyBody::Bytes(bytes.into());
        self.header(CONTENT_TYPE, content_type)
    }

    /// A body that is read while it is sent.
    pub(crate) fn stream(mut self, pieces: ByteStream, length: u64) -> Self {
        *self.0.body_mut() = ReplyBody::Stream { pieces, left: Some(length) };
        self
    }

    /// A body whose length shows when it ends.
    pub(crate) fn open_stream(mut self, content_type: HeaderValue, pieces: ByteStream) -> Self {
        *self.0.body_mut() = ReplyBody::Stream { pieces, left: None };
        self.header(CONTENT_TYPE, content_type)
    }

    /// The answer as HEAD gets it: how long its content is, and not the content.
    pub(crate) fn without_content(mut self) -> Self {
        let content = std::mem::replace(self.0.body_mut(), ReplyBody::Bytes(Bytes::new()));
        match content.size_hint().exact() {
            Some(length) if !self.0.headers().contains_key(CONTENT_LENGTH) => self.length(length),
            _ => self,
        }
    }

    /// The answer's status.
    pub(crate) fn status(&self) -> StatusCode {
        self.0.status()
    }

    /// The answer.
    pub(crate) fn into_response(self) -> Response<ReplyBody> {
        self.0
    }
}

/// The entity tag of some content: its digest, quoted.
pub(crate) fn entity_tag(digest: &Digest) -> String {
    format!("\"{digest}\"")
}

/// A refusal: what the client reads, headers of its own, and what only the log says.
#[derive(Debug)]
pub(crate) struct Refusal {
    error: OciError,
    headers: Vec<(HeaderName, HeaderValue)>,
    cause: Option<Box<str>>,
}

impl Refusal {
    /// Adds a header to the answer.
    pub(crate) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The status that the answer will have.
    pub(crate) fn status(&self) -> StatusCode {
        self.error.status()
    }

    /// What went wrong inside, in words for whoever runs the registry.
    pub(crate) fn cause(&self) -> Option<&str> {
        self.cause.as_deref()
    }

    fn internal(error: OciError, cause: &StoreError) -> Self {
        Self { error, headers: Vec::new(), cause: Some(cause.to_string().into()) }
    }

    /// The answer.
    pub(crate) fn into_reply(self) -> Reply {
        let content_type = HeaderValue::from_static(OciError::CONTENT_TYPE);
        let reply = Reply::new(self.error.status()).bytes(content_type, self.error.to_json());
        self.headers.into_iter().fold(reply, |reply, (name, value)| reply.header(name, value))
    }
}

impl From<OciError> for Refusal {
    fn from(error: OciError) -> Self {
        Self { error, headers: Vec::new(), cause: None }
    }
}

impl From<NoAction> for Refusal {
    fn from(NoAction { error, allow }: NoAction) -> Self {
        let refusal = Self::from(error);
        match allow {
            Some(methods) => refusal.with_header(ALLOW, methods),
            None => refusal,
        }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::UploadUnknown => upload_unknown().into(),
            StoreError::UploadBusy => {
                let message = "another request is writing to this upload: wait for its answer, or begin a new upload";
                OciError::new(ErrorCode::BlobUploadInvalid, message).with_status(StatusCode::CONFLICT).into()
            }
            StoreError::DigestMismatch(found) => {
                let message =
                    "the content that arrived has another digest: it was changed or cut on its way; push it again";
                OciError::new(ErrorCode::DigestInvalid, message).with_detail(found.as_str()).into()
            }
            StoreError::Missing(digests) => {
                let message = "the manifest names content that is not in this repository: push or mount it first";
                let digests: Vec<_> = digests.iter().map(Digest::as_str).collect();
                OciError::new(ErrorCode::ManifestBlobUnknown, message).with_detail(digests).into()
            }
            StoreError::PreconditionFailed => {
                let message =
                    "what is there is not what If-Match or If-None-Match requires: look at it, and decide anew";
                OciError::new(ErrorCode::PreconditionFailed, message).into()
            }
            StoreError::Io(ref cause) if is_full(cause) => {
                let message = "the registry's storage is full: ask whoever runs it to make space, then push again";
                let full = OciError::new(ErrorCode::Unknown, message).with_status(StatusCode::INSUFFICIENT_STORAGE);
                Self::internal(full, &error)
            }
            StoreError::Io(ref cause) if cause.kind() == io::ErrorKind::ReadOnlyFilesystem => {
                let message = "the registry's storage is read-only: what is there can be pulled, and nothing pushed or \
                               deleted; ask whoever runs it";
                Self::internal(OciError::new(ErrorCode::Denied, message), &error)
            }
            StoreError::Objects(_) => {
                let message = "the registry's storage does not answer as it should: try again in half a minute, or tell \
                               whoever runs it (its log says why)";
                Self::internal(OciError::new(ErrorCode::Unavailable, message), &error)
            }
            StoreError::TooLarge(most) => {
                let message = format!("a blob has at most {most} bytes in this registry (s3.part_size)");
                OciError::new(ErrorCode::SizeInvalid, message).with_status(StatusCode::PAYLOAD_TOO_LARGE).into()
            }
            StoreError::Corrupt(_) | StoreError::Io(_) => {
                let message = "the registry's storage failed: its log says where; try again, or tell whoever runs it";
                Self::internal(OciError::new(ErrorCode::Unknown, message), &error)
            }
        }
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// The refusal of an upload session that the repository does not have.
pub(crate) fn upload_unknown() -> OciError {
    OciError::new(ErrorCode::BlobUploadUnknown, "there is no such upload here: it has ended, or was begun elsewhere")
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockgate_oci::API_VERSION;

    #[test]
    fn every_answer_says_that_it_comes_from_a_registry() {
        let response = Reply::new(StatusCode::OK).into_response();
        assert_eq!(response.headers()["docker-distribution-api-version"], API_VERSION);
    }

    #[test]
    fn a_full_disk_and_a_read_only_one_are_told_apart_and_their_path_stays_in_the_log() {
        for (kind, status, said) in [
            (io::ErrorKind::StorageFull, StatusCode::INSUFFICIENT_STORAGE, "is full"),
            (io::ErrorKind::QuotaExceeded, StatusCode::INSUFFICIENT_STORAGE, "is full"),
            (io::ErrorKind::ReadOnlyFilesystem, StatusCode::FORBIDDEN, "is read-only"),
            (io::ErrorKind::Other, StatusCode::INTERNAL_SERVER_ERROR, "failed"),
        ] {
            let refusal = Refusal::from(StoreError::Io(io::Error::new(kind, "/secret/path: why")));
            assert_eq!(refusal.cause(), Some("/secret/path: why"));
            assert_eq!(refusal.error.status(), status);
            let message = refusal.error.message();
            assert!(message.contains(said) && !message.contains("/secret"), "{message}");
        }
    }
}
