//! Bodies that the gate reads itself: small ones, and those that it must know before it decides.

use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use crate::listener::{BodyError, RequestBody};

/// Why a body is not there as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotWhole {
    /// It is longer than it may be.
    TooLong,
    /// It did not come to its end.
    Broken(BodyError),
}

/// Reads a body of at most `limit` bytes.
///
/// # Errors
/// Any [`NotWhole`].
pub(super) async fn read(body: RequestBody, limit: usize) -> Result<Bytes, NotWhole> {
    match Limited::new(body, limit).collect().await {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(NotWhole::TooLong),
        Err(error) => Err(NotWhole::Broken(error.downcast_ref().copied().unwrap_or(BodyError::Gone))),
    }
}
