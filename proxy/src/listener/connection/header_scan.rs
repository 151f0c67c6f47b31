//! Where a request's header section ends, found without looking at any byte twice.
//!
//! hyper parses a header from its first byte again at every read, so a client that sends it byte by
//! byte would cost the square of its length. It is given the section in one piece, once this scan has
//! seen its empty line; and what is over a budget, can be no HTTP/1.1, or is framed in a way that two readers
//! could read differently (RFC 9112, 11.2) never comes to it: hyper drops a Content-Length that came with
//! Transfer-Encoding or a second time, and takes a bare line feed for the end of a line.

use http::HeaderName;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};

/// How large a header section may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Budget {
    /// Bytes, the empty line with them.
    pub(super) size: usize,
    /// Field lines.
    pub(super) count: usize,
}

/// Why a header is not read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flaw {
    /// More bytes than the budget.
    TooLarge,
    /// More fields than the budget.
    TooMany,
    /// The first line is no request line.
    RequestLine,
    /// A line ends without a carriage return.
    BareLineFeed,
    /// Content-Length and Transfer-Encoding, both; or one of them twice.
    TwoLengths,
    /// No HTTP/1.1, whatever comes after it.
    Malformed,
}

/// A header section as far as it was seen.
#[derive(Debug, Default)]
pub(super) struct HeaderScan {
    /// Bytes that were looked at.
    seen: usize,
    /// Where the line begins that was not seen to its end.
    line: usize,
    /// Lines that are not empty, the request line first.
    lines: usize,
    /// Whether a field has told how long the body is.
    has_length: bool,
}

impl HeaderScan {
    /// Goes on over `bytes`, which begin with all that was given before.
    ///
    /// Empty lines in front of the request line are passed over (RFC 9112, 2.2), within the budget.
    ///
    /// # Errors
    /// What cannot become a header within `budget`, as soon as it shows.
    ///
    /// The length of the section, its empty line with it, when it is complete; `None` until then.
    pub(super) fn advance(&mut self, bytes: &[u8], budget: Budget) -> Result<Option<usize>, Flaw> {
        let within = &bytes[..bytes.len().min(budget.size)];
        while let Some(found) = within[self.seen..].iter().position(|byte| is_control(*byte)) {
            let at = self.seen + found;
            let after_cr = at > self.line && bytes[at - 1] == b'\r';
            match bytes[at] {
                b'\n' if self.end_line(&bytes[self.line..at], budget)? => return Ok(Some(at + 1)),
                b'\n' => self.line = at + 1,
                b'\r' if !after_cr && within.get(at + 1).is_none_or(|next| *next == b'\n') => {}
                _ => return Err(Flaw::Malformed),
            }
            self.seen = at + 1;
        }
        // What follows a carriage return is looked at together with it.
        self.seen = within.len() - usize::from(within.ends_with(b"\r"));
        if bytes.len() > budget.size {
            return Err(if self.lines == 0 && self.line == budget.size { Flaw::Malformed } else { Flaw::TooLarge });
        }
        Ok(None)
    }

    /// Takes the line before a line feed, and tells whether it ends the section.
    fn end_line(&mut self, line: &[u8], budget: Budget) -> Result<bool, Flaw> {
        let line = line.strip_suffix(b"\r").ok_or(Flaw::BareLineFeed)?;
        if line.is_empty() {
            return Ok(self.lines > 0);
        }
        if self.lines == 0 && !is_request_line(line) {
            return Err(Flaw::RequestLine);
        }
        if self.lines > budget.count {
            return Err(Flaw::TooMany);
        }
        self.lines += 1;
        if is_field(line, CONTENT_LENGTH) || is_field(line, TRANSFER_ENCODING) {
            if self.has_length {
                return Err(Flaw::TwoLengths);
            }
            self.has_length = true;
        }
        Ok(false)
    }
}

/// Whether a line is a field of this name, blanks before the colon or not.
fn is_field(line: &[u8], name: HeaderName) -> bool {
    let name = name.as_str().as_bytes();
    let Some((start, rest)) = line.split_at_checked(name.len()) else { return false };
    start.eq_ignore_ascii_case(name) && rest.trim_ascii_start().starts_with(b":")
}

/// Whether it is a request line (RFC 9112, 3) to the byte: three parts that nobody can split in another way.
///
/// hyper cuts off a fragment, and afterwards it does not show.
fn is_request_line(line: &[u8]) -> bool {
    let is_graphic = |part: &[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_graphic);
    let mut parts = line.split(|&byte| byte == b' ');
    let (Some(method), Some(target), Some(version), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    is_graphic(method) && is_graphic(target) && !target.contains(&b'#') && matches!(version, b"HTTP/1.1" | b"HTTP/1.0")
}

/// Control characters: the end of a line, or what neither a request line nor a field may hold (RFC 9110, 5.5).
fn is_control(byte: u8) -> bool {
    byte.is_ascii_control() && byte != b'\t'
}

/// Whether all of these bytes, or those up to an empty line, would go on to hyper.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn passes(bytes: &[u8]) -> bool {
    let budget = Budget { size: usize::MAX, count: usize::MAX };
    matches!(HeaderScan::default().advance(bytes, budget), Ok(Some(_)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BUDGET: Budget = Budget { size: 1024, count: 4 };

    fn scan(text: impl AsRef<[u8]>) -> Result<Option<usize>, Flaw> {
        HeaderScan::default().advance(text.as_ref(), BUDGET)
    }

    #[test]
    fn a_header_ends_with_its_empty_line_and_not_before() {
        let header = "GET /v2/ HTTP/1.1\r\nHost: r\r\n\r\n";
        assert_eq!(scan(header), Ok(Some(header.len())));
        assert_eq!(scan(format!("{header}{header}")), Ok(Some(header.len())));
        assert_eq!(scan(format!("\r\n\r\n{header}")), Ok(Some(header.len() + 4)));
        assert_eq!(scan(&header[..header.len() - 1]), Ok(None));
        assert_eq!(scan("\r\n"), Ok(None));
    }

    #[test]
    fn what_can_be_no_header_is_refused_at_once() {
        for text in ["\0", "GET /\x16\x03", "GET /\ra", "\r\r"] {
            assert_eq!(scan(text), Err(Flaw::Malformed), "{text:?}");
        }
    }

    #[test]
    fn what_two_readers_could_read_in_two_ways_is_refused() {
        for text in [
            "GET / HTTP/1.1\nHost: r\n\n",
            "GET / HTTP/1.1\r\nX: y\n\r\n",
            "GET / HTTP/1.1\r\n\n",
            "\nGET / HTTP/1.1\r\n\r\n",
        ] {
            assert_eq!(scan(text), Err(Flaw::BareLineFeed), "{text:?}");
        }
        let post = "POST / HTTP/1.1\r\n";
        for fields in [
            "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
            "transfer-encoding : chunked\r\ncontent-length\t: 4\r\n",
            "Content-Length: 4\r\nContent-Length: 4\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        ] {
            assert_eq!(scan(format!("{post}{fields}\r\n")), Err(Flaw::TwoLengths), "{fields:?}");
        }
        assert!(matches!(scan(format!("{post}Content-Lengths: 4\r\nTransfer-Encoding: chunked\r\n\r\n")), Ok(Some(_))));
    }

    #[test]
    fn a_request_line_has_three_parts_and_no_other_byte() {
        for line in [
            "GET /v2/",
            "PRI * HTTP/2.0",
            " GET / HTTP/1.1",
            "GET  / HTTP/1.1",
            "GET / HTTP/1.1 ",
            "GET / a HTTP/1.1",
            "GET /?a b HTTP/1.1",
            "GET /?a  HTTP/1.1",
            "GET /?a\tb HTTP/1.1",
            "GET\t/ HTTP/1.1",
            "GET /\u{e9} HTTP/1.1",
            "GET  HTTP/1.1",
            "GET / HTTP/2.0",
            "GET /#a HTTP/1.1",
            "GET /?#a HTTP/1.1",
        ] {
            assert_eq!(scan(format!("{line}\r\n")), Err(Flaw::RequestLine), "{line:?}");
        }
        assert!(matches!(scan("\r\n\r\nGET /?a=b HTTP/1.0\r\nHost: r\r\n\r\n"), Ok(Some(_))));
    }

    #[test]
    fn fields_are_counted_and_the_request_line_is_none() {
        let header = |fields: usize| format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(fields));
        assert_eq!(scan(header(BUDGET.count)), Ok(Some(header(BUDGET.count).len())));
        assert_eq!(scan(header(BUDGET.count + 1)), Err(Flaw::TooMany));
    }

    #[test]
    fn bytes_are_counted_to_the_last() {
        let header = |size: usize| format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "a".repeat(size - 23));
        assert_eq!(scan(header(BUDGET.size)), Ok(Some(BUDGET.size)));
        assert_eq!(scan(header(BUDGET.size + 1)), Err(Flaw::TooLarge));
        assert_eq!(scan("a".repeat(BUDGET.size + 1)), Err(Flaw::TooLarge));
        let ends_with_cr = format!("{}b", header(BUDGET.size + 3).trim_end_matches("\n\r\n"));
        assert_eq!((ends_with_cr.as_bytes()[BUDGET.size - 1], scan(&ends_with_cr)), (b'\r', Err(Flaw::TooLarge)));
        assert_eq!(scan("\r\n".repeat(BUDGET.size)), Err(Flaw::Malformed));
    }

    proptest! {
        #[test]
        fn however_it_is_cut_the_verdict_is_the_same(
            text in "(\r\n){0,2}(GET|P|\u{1})? ?/[a-z]{0,8} HTTP/[12]\\.[01]\r?\n(X: [a-z]{0,300}(\r[a-z\r])?\r?\n){0,6}\r?\n?[a-z]{0,9}",
            cuts in proptest::collection::vec(1_usize..40, 0..200),
        ) {
            let bytes = text.as_bytes();
            let mut pieces = HeaderScan::default();
            let mut so_far = 0;
            let mut verdict = Ok(None);
            for cut in cuts.into_iter().chain([bytes.len()]) {
                so_far = (so_far + cut).min(bytes.len());
                verdict = pieces.advance(&bytes[..so_far], BUDGET);
                if verdict != Ok(None) {
                    break;
                }
            }
            prop_assert_eq!(verdict, scan(bytes));
        }
    }
}
