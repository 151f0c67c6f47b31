//! How far an answer has come, by the bytes that were handed on.

use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use httparse::{EMPTY_HEADER, Header, Response, Status};

/// Bytes of a header at most; a longer one is handed on, and not understood.
const MOST_HEADER: usize = 16 * 1024;

/// Fields of a header at most.
const MOST_FIELDS: usize = 64;

/// Where the one answer stands that a connection is bringing.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// In its header, which begins like this.
    Header(Vec<u8>),
    /// In its content, of which so many bytes are to come; never none.
    Content { left: u64 },
    /// At its end: not a byte was missing or too many.
    Over,
    /// Nobody here knows: it has no length, or is none that a blob is brought by.
    Unknown,
}

impl Answer {
    pub(crate) fn awaited() -> Self {
        Self::Header(Vec::new())
    }

    /// These bytes of it came next.
    pub(crate) fn came(&mut self, bytes: &[u8]) {
        match self {
            Self::Header(begun) => {
                begun.extend_from_slice(bytes);
                if let Some(known) = Self::read(begun) {
                    *self = known;
                }
            }
            Self::Content { left } => *self = Self::after(*left, bytes.len()),
            // After its end comes nothing.
            Self::Over | Self::Unknown => *self = Self::Unknown,
        }
    }

    /// What follows from what came so far; `None` while the header is not whole.
    fn read(begun: &[u8]) -> Option<Self> {
        let mut fields = [EMPTY_HEADER; MOST_FIELDS];
        let mut response = Response::new(&mut fields);
        match response.parse(begun) {
            Ok(Status::Complete(length)) => {
                let content = content_length(&response);
                Some(content.map_or(Self::Unknown, |content| Self::after(content, begun.len() - length)))
            }
            Ok(Status::Partial) if begun.len() < MOST_HEADER => None,
            Ok(Status::Partial) | Err(_) => Some(Self::Unknown),
        }
    }

    /// When `came` bytes have come of `left`.
    fn after(left: u64, came: usize) -> Self {
        match left.checked_sub(came as u64) {
            None => Self::Unknown,
            Some(0) => Self::Over,
            Some(left) => Self::Content { left },
        }
    }
}

/// The length of a blob that is brought whole over a connection that goes on after it; `None` where anything is in
/// doubt.
fn content_length(response: &Response<'_, '_>) -> Option<u64> {
    let is = |field: &Header<'_>, name: &http::HeaderName| field.name.eq_ignore_ascii_case(name.as_str());
    let goes_on = |field: &Header<'_>| !is(field, &CONNECTION) || field.value.eq_ignore_ascii_case(b"keep-alive");
    let mut lengths = response.headers.iter().filter(|field| is(field, &CONTENT_LENGTH));
    let (length, another) = (lengths.next()?, lengths.next());
    let is_plain = (response.version, response.code) == (Some(1), Some(200))
        && another.is_none()
        && length.value.iter().all(u8::is_ascii_digit)
        && response.headers.iter().all(|field| goes_on(field) && !is(field, &TRANSFER_ENCODING));
    is_plain.then(|| std::str::from_utf8(length.value).ok()?.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn after(bytes: &[u8]) -> Answer {
        let mut answer = Answer::awaited();
        answer.came(bytes);
        answer
    }

    const HEADER: &str = "HTTP/1.1 200 OK\r\ncontent-Length: 5\r\nConnection: keep-alive\r\n\r\n";

    #[test]
    fn an_answer_is_over_at_its_last_byte_and_neither_before_nor_behind() {
        assert_eq!(after(HEADER.as_bytes()), Answer::Content { left: 5 });
        assert_eq!(after(format!("{HEADER}1234").as_bytes()), Answer::Content { left: 1 });
        assert_eq!(after(format!("{HEADER}12345").as_bytes()), Answer::Over);
        assert_eq!(after(format!("{HEADER}123456").as_bytes()), Answer::Unknown);
        assert_eq!(after(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), Answer::Over);
        assert!(matches!(after(b"HTTP/1.1 200 OK\r\nContent-"), Answer::Header(_)));
        let mut over = after(format!("{HEADER}12345").as_bytes());
        over.came(b"H");
        assert_eq!(over, Answer::Unknown);
    }

    #[test]
    fn what_is_in_any_doubt_is_unknown() {
        for header in [
            "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n",
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
            "HTTP/1.1 206 Partial Content\r\nContent-Length: 5\r\n\r\n",
            "HTTP/1.1 100 Continue\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive, upgrade\r\n\r\n",
            "SSH-2.0-OpenSSH_9.2p1\r\n\r\n",
        ] {
            assert_eq!(after(header.as_bytes()), Answer::Unknown, "{header:?}");
        }
        let many: String = (0..MOST_FIELDS).map(|n| format!("X-{n}: a\r\n")).collect();
        assert_eq!(after(format!("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n{many}\r\n").as_bytes()), Answer::Unknown);
        let long = "a".repeat(MOST_HEADER);
        assert_eq!(after(format!("HTTP/1.1 200 OK\r\nX: {long}").as_bytes()), Answer::Unknown);
    }

    proptest! {
        /// It makes no difference in which pieces an answer comes.
        #[test]
        fn pieces_make_no_difference(
            length in 0_u64..40,
            sent in 0_usize..50,
            cuts in prop::collection::vec(0_usize..90, 0..8),
        ) {
            let header = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
            let bytes = [header.as_bytes(), &vec![b'x'; sent]].concat();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|at| at.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            cuts.dedup();
            let mut answer = Answer::awaited();
            for piece in cuts.windows(2) {
                answer.came(&bytes[piece[0]..piece[1]]);
            }
            prop_assert_eq!(answer, after(&bytes));
        }
    }
}
