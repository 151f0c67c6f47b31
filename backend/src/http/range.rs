//! Ranges: of a blob to be read ([RFC 9110, section 14]), and of an upload's piece, which the
//! distribution specification writes in a form of its own.
//!
//! [RFC 9110, section 14]: https://www.rfc-editor.org/rfc/rfc9110#section-14

use std::ops::Range;

/// The part of a blob that a `Range` header asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// All of it: the header is not understood, or asks for several ranges, and may be ignored.
    Whole,
    /// These bytes, at least one.
    Bytes(Range<u64>),
    /// Nothing that the blob has.
    Unsatisfiable,
}

/// A number in digits; one that is too large for 64 bits is as good as the largest.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

/// Reads the value of a `Range` header for a blob of `size` bytes.
pub(crate) fn requested(header: &str, size: u64) -> Part {
    let Some((unit, range)) = header.split_once('=') else { return Part::Whole };
    let Some((first, last)) = range.trim().split_once('-') else { return Part::Whole };
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return Part::Whole;
    }
    let range = match (number(first), number(last)) {
        (None, Some(suffix)) if first.is_empty() => size.saturating_sub(suffix)..size,
        (Some(first), None) if last.is_empty() => first..size,
        // It runs backwards. RFC 9110 lets that be ignored or refused; a refusal tells of the mistake.
        (Some(first), Some(last)) if first > last => return Part::Unsatisfiable,
        (Some(first), Some(last)) => first..size.min(last.saturating_add(1)),
        _ => return Part::Whole,
    };
    if range.is_empty() { Part::Unsatisfiable } else { Part::Bytes(range) }
}

/// Where an upload's piece belongs, by its `Content-Range: <first>-<last>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PieceRange {
    pub(crate) first: u64,
    /// Bytes, at least one.
    pub(crate) length: u64,
}

impl PieceRange {
    /// Reads `^\d+-\d+$`.
    pub(crate) fn parse(header: &str) -> Option<Self> {
        let (first, last) = header.split_once('-')?;
        let (first, last) = (number(first)?, number(last)?);
        let length = last.checked_sub(first)?.checked_add(1)?;
        Some(Self { first, length })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_single_range_is_cut_to_what_there_is() {
        let table = [
            ("bytes=0-3", Part::Bytes(0..4)),
            ("bytes=4-", Part::Bytes(4..10)),
            ("bytes=9-9", Part::Bytes(9..10)),
            ("bytes=-1", Part::Bytes(9..10)),
            ("bytes=-99", Part::Bytes(0..10)),
            ("bytes=5-18446744073709551615", Part::Bytes(5..10)),
            ("bytes=-18446744073709551616", Part::Bytes(0..10)),
            ("Bytes=0-0", Part::Bytes(0..1)),
            ("bytes=10-", Part::Unsatisfiable),
            ("bytes=99999999999999999999-", Part::Unsatisfiable),
            ("bytes=-0", Part::Unsatisfiable),
            ("bytes=5-2", Part::Unsatisfiable),
            ("bytes=0-1,3-4", Part::Whole),
            ("bytes=", Part::Whole),
            ("bytes=-", Part::Whole),
            ("bytes=+1-2", Part::Whole),
            ("lines=0-1", Part::Whole),
            ("0-1", Part::Whole),
        ];
        for (header, part) in table {
            assert_eq!(requested(header, 10), part, "{header}");
        }
        assert_eq!(requested("bytes=0-", 0), Part::Unsatisfiable);
    }

    #[test]
    fn a_piece_has_two_numbers_and_no_unit() {
        assert_eq!(PieceRange::parse("0-0"), Some(PieceRange { first: 0, length: 1 }));
        assert_eq!(PieceRange::parse("10-19"), Some(PieceRange { first: 10, length: 10 }));
        for bad in ["", "-", "1-", "-1", "2-1", "bytes 0-1", "bytes=0-1", "0-1/2", "0--1", "0-18446744073709551615"] {
            assert_eq!(PieceRange::parse(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_header_reaches_beyond_the_blob(header in "bytes=[0-9]{0,21}-[0-9]{0,21}|.{0,20}", size in any::<u64>()) {
            if let Part::Bytes(range) = requested(&header, size) {
                prop_assert!(range.start < range.end && range.end <= size);
            }
            let _ = PieceRange::parse(&header);
        }
    }
}
