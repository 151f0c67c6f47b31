//! Bodies that the gate reads itself: small ones, and those that it must know before it decides.

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;

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
pub(super) async fn read(mut body: RequestBody, limit: usize) -> Result<Bytes, NotWhole> {
    let mut whole = BytesMut::new();
    if read_on(&mut body, &mut whole, limit).await? { Ok(whole.freeze()) } else { Err(NotWhole::TooLong) }
}

/// Reads a body to its end, or until more than `limit` bytes of it are there; whether it has come to its end.
///
/// # Errors
/// [`NotWhole::Broken`].
pub(super) async fn read_on(body: &mut RequestBody, read: &mut BytesMut, limit: usize) -> Result<bool, NotWhole> {
    while read.len() <= limit {
        let Some(frame) = body.frame().await else { return Ok(true) };
        if let Ok(piece) = frame.map_err(NotWhole::Broken)?.into_data() {
            read.extend_from_slice(&piece);
        }
    }
    Ok(false)
}
