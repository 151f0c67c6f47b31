//! Several ranges in one answer: `multipart/byteranges` ([RFC 9110, section 14.6]). Lazy pulls (eStargz,
//! zstd:chunked) fetch what they need of a layer so.
//!
//! [RFC 9110, section 14.6]: https://www.rfc-editor.org/rfc/rfc9110#section-14.6

use std::future::ready;
use std::ops::Range;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::{iter, once};
use http::header::HeaderValue;
use uuid::Uuid;

use super::reply::header_value;
use crate::store::{Blob, ByteStream};

/// Parts of a blob, each with a header of its own.
pub(crate) struct Multipart {
    /// Random, so that no content can hold it.
    boundary: String,
    ranges: Vec<Range<u64>>,
    size: u64,
    content_type: &'static str,
}

impl Multipart {
    /// These ranges of a blob of `size` bytes.
    pub(crate) fn new(ranges: Vec<Range<u64>>, size: u64, content_type: &'static str) -> Self {
        Self { boundary: Uuid::new_v4().simple().to_string(), ranges, size, content_type }
    }

    /// The type of the whole.
    pub(crate) fn content_type(&self) -> HeaderValue {
        header_value(format!("multipart/byteranges; boundary={}", self.boundary))
    }

    /// How long the whole is.
    pub(crate) fn length(&self) -> u64 {
        let parts = self.ranges.iter().map(|range| self.head(range).len() as u64 + (range.end - range.start));
        parts.sum::<u64>() + self.end().len() as u64
    }

    /// The whole, read while it is sent: of one range after the other.
    pub(crate) fn read(self, blob: Box<dyn Blob>) -> ByteStream {
        let end = self.end();
        let ranges = self.ranges.clone();
        let parts = iter(ranges).flat_map(move |range| once(ready(Ok(self.head(&range)))).chain(blob.read(range)));
        Box::pin(parts.chain(once(ready(Ok(end)))))
    }

    fn head(&self, range: &Range<u64>) -> Bytes {
        let Self { boundary, size, content_type, .. } = self;
        let Range { start, end } = range;
        let last = end - 1;
        format!(
            "\r\n--{boundary}\r\nContent-Type: {content_type}\r\nContent-Range: bytes {start}-{last}/{size}\r\n\r\n"
        )
        .into()
    }

    fn end(&self) -> Bytes {
        format!("\r\n--{}--\r\n", self.boundary).into()
    }
}
