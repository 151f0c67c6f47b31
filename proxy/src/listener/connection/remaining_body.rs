//! How far a request's body reaches, so that no byte of the next request goes to this one.
//!
//! hyper reads a body in large pieces, and beyond its end when a client sends requests one after the
//! other without waiting. What it has then of the next header counts in none of our budgets. So the
//! connection hands over a body to its last byte and keeps the rest.
//!
//! hyper too decides what a body is. Should it and this module ever differ, a request ends early and
//! times out, or hyper finds bytes too many and closes: neither takes one request for another.

use http::HeaderMap;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};

use super::chunks::{Chunks, Malformed};

/// What is still to come of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RemainingBody {
    /// So many bytes.
    Length(u64),
    /// Chunks (RFC 9112, 7.1).
    Chunked(Chunks),
    /// Nobody can tell: the request is refused, or the connection speaks HTTP/2.
    Unknown,
}

impl RemainingBody {
    /// The body that a request announces.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        if headers.contains_key(TRANSFER_ENCODING) {
            return Self::Chunked(Chunks::begin());
        }
        let Some(length) = headers.get(CONTENT_LENGTH) else { return Self::Length(0) };
        let length = length.to_str().ok().and_then(|text| text.parse().ok());
        length.map_or(Self::Unknown, Self::Length)
    }

    /// Whether all of the body was taken.
    pub(in crate::listener) fn is_over(&self) -> bool {
        match self {
            Self::Length(left) => *left == 0,
            Self::Chunked(chunks) => chunks.ended(),
            Self::Unknown => false,
        }
    }

    /// How many of `bytes`, which come next, belong to the body.
    ///
    /// # Errors
    /// They are no chunked body.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Result<usize, Malformed> {
        match self {
            Self::Length(left) => {
                let n = usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
                *left -= n as u64;
                Ok(n)
            }
            Self::Chunked(chunks) => chunks.follow(bytes),
            Self::Unknown => Ok(bytes.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What of `bytes`, cut anywhere, is taken.
    fn taken(mut body: RemainingBody, bytes: &[u8], cut: usize) -> Result<usize, Malformed> {
        let cut = cut.min(bytes.len());
        let first = body.take(&bytes[..cut])?;
        if first < cut {
            return Ok(first);
        }
        Ok(first + body.take(&bytes[cut..])?)
    }

    fn body(name: &str, value: &str) -> RemainingBody {
        RemainingBody::of(&HeaderMap::from_iter([(
            http::HeaderName::from_bytes(name.as_bytes()).expect("a name"),
            value.parse().expect("a value"),
        )]))
    }

    #[test]
    fn a_request_that_announces_no_body_is_over_with_its_header() {
        assert!(body("Host", "r").is_over());
        assert!(body("Content-Length", "0").is_over());
        assert_eq!(body("Content-Length", "7"), RemainingBody::Length(7));
        assert_eq!(body("Content-Length", "7, 7"), RemainingBody::Unknown);
        assert_eq!(body("Transfer-Encoding", "chunked"), RemainingBody::Chunked(Chunks::begin()));
    }

    proptest! {
        #[test]
        fn a_body_is_taken_to_its_last_byte_wherever_it_is_cut(
            chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..50), 0..8),
            next in proptest::collection::vec(any::<u8>(), 0..50),
            cut in 0_usize..500,
        ) {
            let mut body = Vec::new();
            for chunk in &chunks {
                body.extend(format!("{:x}\r\n", chunk.len()).bytes());
                body.extend(chunk);
                body.extend(b"\r\n");
            }
            body.extend(b"0\r\n\r\n");
            let all = [&body[..], &next].concat();
            prop_assert_eq!(taken(RemainingBody::Chunked(Chunks::begin()), &all, cut), Ok(body.len()));
            prop_assert_eq!(taken(RemainingBody::Length(body.len() as u64), &all, cut), Ok(body.len()));
        }
    }
}
