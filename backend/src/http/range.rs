//! Ranges: of a blob to be read ([RFC 9110, section 14]), and of an upload's piece, which the
//! distribution specification writes in a form of its own.
//!
//! [RFC 9110, section 14]: https://www.rfc-editor.org/rfc/rfc9110#section-14

use std::ops::Range;

/// The part of a blob that a `Range` header asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// All of it: the header is not understood, or asks for more than the whole would be, and may be ignored.
    Whole,
    /// These bytes, at least one.
    Bytes(Range<u64>),
    /// These parts, at least two, in the order in which they were asked for; each has a byte at least.
    Several(Vec<Range<u64>>),
    /// Nothing that the blob has.
    Unsatisfiable,
    /// One of the ranges ends before it begins, so that the header is invalid (RFC 9110, 14.1.1).
    Backwards,
}

/// Ranges that one request asks for, at most: as many as podman does.
const MAX_RANGES: usize = 1024;

/// A number in digits; one that is too large for 64 bits is as good as the largest.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

/// Reads the value of a `Range` header for a blob of `size` bytes.
pub(crate) fn requested(header: &str, size: u64) -> Part {
    let Some((unit, ranges)) = header.split_once('=') else { return Part::Whole };
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return Part::Whole;
    }
    // A list may have empty elements (RFC 9110, 5.6.1.2).
    let listed = ranges.split(',').map(str::trim).filter(|range| !range.is_empty());
    let Some(mut ranges) = listed.take(MAX_RANGES + 1).map(|range| within(range, size)).collect::<Option<Vec<_>>>()
    else {
        return Part::Whole;
    };
    if ranges.is_empty() || ranges.len() > MAX_RANGES {
        return Part::Whole;
    }
    // RFC 9110, 14.2 lets it be ignored or refused; a refusal tells of the mistake.
    if ranges.iter().any(|range| range.start > range.end) {
        return Part::Backwards;
    }
    ranges.retain(|range| !range.is_empty());
    match ranges.as_slice() {
        [] => Part::Unsatisfiable,
        [range] => Part::Bytes(range.clone()),
        // Ranges that overlap so much are no use to anybody (RFC 9110, 14.2).
        ranges if ranges.iter().fold(0_u64, |sum, range| sum.saturating_add(range.end - range.start)) > size => {
            Part::Whole
        }
        _ => Part::Several(ranges),
    }
}

/// The bytes that one range of a header has of `size`; `None` where it is none, an empty one where it has none, and
/// one whose end lies before its start where it was written so.
fn within(range: &str, size: u64) -> Option<Range<u64>> {
    let (first, last) = range.split_once('-')?;
    match (number(first), number(last)) {
        (None, Some(suffix)) if first.is_empty() => Some(size.saturating_sub(suffix)..size),
        (Some(first), None) if last.is_empty() => Some(first.min(size)..size),
        (Some(first), Some(last)) if first > last => Some(Range { start: first, end: last }),
        (Some(first), Some(last)) => Some(first.min(size)..size.min(last.saturating_add(1))),
        _ => None,
    }
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
            ("bytes=5-2", Part::Backwards),
            ("bytes=0-1,30-40", Part::Bytes(0..2)),
            ("bytes=,0-1 ,", Part::Bytes(0..2)),
            ("bytes=10-,11-12", Part::Unsatisfiable),
            ("bytes=0-1,5-2", Part::Backwards),
            ("bytes=0-1,x", Part::Whole),
            ("bytes=,", Part::Whole),
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
    fn several_ranges_are_parts_in_the_order_asked_for_and_never_more_than_the_whole() {
        let table = [
            ("bytes=0-1,3-4", vec![0..2, 3..5]),
            ("bytes=8-,0-0", vec![8..10, 0..1]),
            ("bytes= 0-0 ,\t-1, 99-, 3-3", vec![0..1, 9..10, 3..4]),
            ("bytes=0-4,0-4", vec![0..5, 0..5]),
        ];
        for (header, ranges) in table {
            assert_eq!(requested(header, 10), Part::Several(ranges), "{header}");
        }
        for header in ["bytes=0-4,0-5", "bytes=0-,0-,0-", "bytes=-10,-1"] {
            assert_eq!(requested(header, 10), Part::Whole, "{header}");
        }
        let many = |count: usize| format!("bytes={}", vec!["0-0"; count].join(","));
        assert_eq!(requested(&many(MAX_RANGES), 9999), Part::Several(vec![0..1; MAX_RANGES]));
        assert_eq!(requested(&many(MAX_RANGES + 1), 9999), Part::Whole);
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
        fn no_header_reaches_beyond_the_blob(
            header in "bytes=[0-9]{0,21}-[0-9]{0,21}|bytes=([0-9]{0,2}-[0-9]{0,2},){1,5}|.{0,20}",
            size in prop_oneof![0_u64..100, any::<u64>()],
        ) {
            let ranges = match requested(&header, size) {
                Part::Bytes(range) => vec![range],
                Part::Several(ranges) => ranges,
                Part::Whole | Part::Unsatisfiable | Part::Backwards => Vec::new(),
            };
            prop_assert!(ranges.iter().all(|range| range.start < range.end && range.end <= size));
            let sum = ranges.iter().map(|range| u128::from(range.end - range.start)).sum::<u128>();
            prop_assert!(sum <= u128::from(size));
            let _ = PieceRange::parse(&header);
        }
    }
}
