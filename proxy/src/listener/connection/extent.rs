//! How far a request's body reaches, so that no byte of the next request goes to this one.
//!
//! pingora reads a body in large pieces, and beyond its end when a client sends requests one after the
//! other without waiting. What it has then of the next header counts in none of our budgets. So the
//! connection hands over a body to its last byte and keeps the rest.
//!
//! pingora alone decides what a body is. Should it and this module ever differ, a request ends early
//! and times out, or pingora finds bytes too many and closes: neither takes one request for another.

use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use pingora::http::RequestHeader;

/// What is still to come of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Extent {
    /// So many bytes.
    Length(u64),
    /// Chunks (RFC 9112, 7.1).
    Chunked(Chunks),
    /// Nobody can tell: the request is refused, or the connection speaks HTTP/2.
    Unknown,
}

/// Where in a chunked body a byte stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Chunks {
    /// In a chunk's size, the digits so far.
    Size(u64),
    /// In an extension, before the end of the line; the size goes with it.
    Extension(u64),
    /// In a chunk's data or its line end.
    Data(u64),
    /// In the trailer section, in a line that holds something or not.
    Trailer { empty: bool },
    /// Behind the last byte.
    Over,
}

impl Extent {
    /// The body that a request announces.
    pub(crate) fn of(request: &RequestHeader) -> Self {
        if request.headers.contains_key(TRANSFER_ENCODING) {
            return Self::Chunked(Chunks::Size(0));
        }
        let Some(length) = request.headers.get(CONTENT_LENGTH) else { return Self::Length(0) };
        let length = length.to_str().ok().and_then(|text| text.parse().ok());
        length.map_or(Self::Unknown, Self::Length)
    }

    /// Whether all of the body was taken.
    pub(super) fn is_over(&self) -> bool {
        matches!(self, Self::Length(0) | Self::Chunked(Chunks::Over))
    }

    /// How many of `bytes`, which come next, belong to the body.
    pub(super) fn take(&mut self, bytes: &[u8]) -> usize {
        match self {
            Self::Length(left) => {
                let n = usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
                *left -= n as u64;
                n
            }
            Self::Chunked(chunks) => chunks.take(bytes),
            Self::Unknown => bytes.len(),
        }
    }
}

impl Chunks {
    fn take(&mut self, bytes: &[u8]) -> usize {
        let mut taken = 0;
        while taken < bytes.len() && *self != Self::Over {
            if let Self::Data(left) = self {
                let n = usize::try_from(*left).map_or(bytes.len() - taken, |left| left.min(bytes.len() - taken));
                *left -= n as u64;
                taken += n;
                if *left == 0 {
                    *self = Self::Size(0);
                }
            } else {
                self.step(bytes[taken]);
                taken += 1;
            }
        }
        taken
    }

    /// Takes a byte outside a chunk's data.
    fn step(&mut self, byte: u8) {
        *self = match (&*self, byte) {
            (Self::Size(0) | Self::Extension(0), b'\n') => Self::Trailer { empty: true },
            (Self::Size(size) | Self::Extension(size), b'\n') => Self::Data(size.saturating_add(2)),
            (Self::Size(size), digit) => match char::from(digit).to_digit(16) {
                Some(digit) => Self::Size(size.saturating_mul(16).saturating_add(digit.into())),
                None => Self::Extension(*size),
            },
            (Self::Extension(size), _) => Self::Extension(*size),
            (Self::Trailer { empty: true }, b'\n') => Self::Over,
            (Self::Trailer { .. }, b'\n') => Self::Trailer { empty: true },
            (Self::Trailer { empty }, byte) => Self::Trailer { empty: *empty && byte == b'\r' },
            (Self::Data(_) | Self::Over, _) => unreachable!("taken in one piece, or not at all"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What of `bytes`, cut anywhere, is taken.
    fn taken(mut extent: Extent, bytes: &[u8], cut: usize) -> usize {
        let cut = cut.min(bytes.len());
        let first = extent.take(&bytes[..cut]);
        if first < cut {
            return first;
        }
        first + extent.take(&bytes[cut..])
    }

    fn extent(name: &'static str, value: &str) -> Extent {
        let mut request = RequestHeader::build("PUT", b"/", None).expect("a request");
        request.append_header(name, value).expect("a header");
        Extent::of(&request)
    }

    #[test]
    fn a_request_that_announces_no_body_is_over_with_its_header() {
        assert!(extent("Host", "r").is_over());
        assert!(extent("Content-Length", "0").is_over());
        assert_eq!(extent("Content-Length", "7"), Extent::Length(7));
        assert_eq!(extent("Content-Length", "7, 7"), Extent::Unknown);
        assert_eq!(extent("Transfer-Encoding", "chunked"), Extent::Chunked(Chunks::Size(0)));
    }

    #[test]
    fn extensions_and_trailers_belong_to_the_body() {
        let body = b"5;name=\"0\"\r\nhello\r\n0a \r\n0123456789\r\n000\r\nA: b\r\nC: d\r\n\r\n";
        let all = [&body[..], b"GET / HTTP/1.1\r\n\r\n"].concat();
        for cut in 0..all.len() {
            assert_eq!(taken(Extent::Chunked(Chunks::Size(0)), &all, cut), body.len(), "{cut}");
        }
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
            prop_assert_eq!(taken(Extent::Chunked(Chunks::Size(0)), &all, cut), body.len());
            prop_assert_eq!(taken(Extent::Length(body.len() as u64), &all, cut), body.len());
        }

        #[test]
        fn anything_at_all_is_taken_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(Extent::Chunked(Chunks::Size(0)).take(&bytes) <= bytes.len());
        }
    }
}
