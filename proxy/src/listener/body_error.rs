//! Why a request's body does not come to its end.

use std::io;

/// All of it is the client's doing.
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
    pub(super) fn from_hyper(error: &hyper::Error) -> Self {
        let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<io::Error>());
        let ours = cause.and_then(io::Error::get_ref).and_then(|cause| cause.downcast_ref::<Self>());
        match (ours, cause.map(io::Error::kind)) {
            (Some(ours), _) => *ours,
            (None, Some(io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput)) => Self::Malformed,
            (None, _) => Self::Gone,
        }
    }
}
