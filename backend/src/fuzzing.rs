//! The parsers that are not part of the API, and what must hold for whatever they accept: for the
//! targets in `fuzz/`. Each panics where something does not hold.

use crate::http::{Part, PieceRange, requested};
use crate::manifest::Manifest;

/// What a `Range` asks of a blob of `size` bytes lies in the blob, and is no more than it.
pub fn range(header: &str, size: u64) {
    let ranges = match requested(header, size) {
        Part::Bytes(range) => vec![range],
        Part::Several(ranges) => ranges,
        Part::Whole | Part::Unsatisfiable | Part::Backwards => return,
    };
    assert!(ranges.iter().all(|range| range.start < range.end && range.end <= size), "{ranges:?} of {size}");
    assert!(ranges.iter().map(|range| range.end - range.start).sum::<u64>() <= size, "{ranges:?} are more than {size}");
}

/// A `Content-Range` is written as it was read, and its end is a number.
pub fn content_range(header: &str) {
    if let Some(PieceRange { first, length }) = PieceRange::parse(header) {
        let last = first.checked_add(length - 1).expect("its last byte has a number");
        assert!(header.starts_with(['0', '1', '2', '3', '4', '5', '6', '7', '8', '9']) && last >= first);
    }
}

/// A manifest that is accepted can be read again, and is then served with the type it came with.
pub fn manifest(content: &[u8], content_type: Option<&str>) {
    let stored = Manifest::stored(content);
    let Ok(pushed) = Manifest::pushed(content, content_type) else { return };
    let stored = stored.expect("what was accepted can be read");
    assert_eq!(stored.media_type(), pushed.media_type());
    assert_eq!(stored.subject(), pushed.subject());
    assert_eq!(stored.requires(), pushed.requires());
    assert!(stored.children().count() <= stored.requires().len());
}
