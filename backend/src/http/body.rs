//! The body of a request, read piece by piece.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use lockgate_oci::{ErrorCode, OciError};

/// A body that was not read is read on and thrown away, up to here, so that a client which is still
/// sending gets to see its answer.
const MAX_DRAIN: u64 = 64 * 1024 * 1024;
/// And at most so long.
const DRAIN_TIME: Duration = Duration::from_secs(10);

/// A request's body.
pub(crate) struct RequestBody {
    incoming: Incoming,
    /// How long the client may be silent.
    patience: Duration,
    announced: Option<u64>,
    received: u64,
    /// The client sends nothing until it is told to go on, which the first reading does.
    waits: bool,
}

fn cut_off() -> OciError {
    let message = "the request's body ended early: ask where the upload stands with GET, and go on from there";
    OciError::new(ErrorCode::BlobUploadInvalid, message)
}

impl RequestBody {
    pub(crate) fn new(incoming: Incoming, patience: Duration, expects_continue: bool) -> Self {
        let announced = incoming.size_hint().exact();
        Self { incoming, patience, announced, received: 0, waits: expects_continue }
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
        self.waits = false;
        loop {
            let Ok(frame) = tokio::time::timeout(self.patience, self.incoming.frame()).await else {
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
                Some(Err(_)) => return Err(cut_off()),
                None if self.announced.is_some_and(|announced| announced != self.received) => return Err(cut_off()),
                None => return Ok(None),
            }
        }
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

    /// Lets go of what was not read. The connection lives on, if the client comes to an end soon.
    pub(crate) fn discard(mut self) {
        if self.incoming.is_end_stream() || self.waits {
            return;
        }
        let drain = async move {
            let limit = self.received + MAX_DRAIN;
            while self.received < limit && matches!(self.next().await, Ok(Some(_))) {}
        };
        tokio::spawn(tokio::time::timeout(DRAIN_TIME, drain));
    }
}
