//! The last byte of an upload goes on only when its end is certain.
//!
//! In HTTP/2 a body ends with a frame that says so, whatever length its header declared. When more
//! follows what was declared the request is malformed (RFC 9113, 8.1.1), and by then the upstream, to
//! which HTTP/1.1 tells the length alone, would have taken the upload for complete.

use bytes::Bytes;

/// A body of declared length on its way to an upstream that counts its bytes.
#[derive(Debug)]
pub(super) struct LastByte {
    left: u64,
    withheld: Bytes,
}

impl LastByte {
    /// For a body of `length` bytes.
    pub(super) fn of(length: u64) -> Self {
        Self { left: length, withheld: Bytes::new() }
    }

    /// What of a piece goes on. `is_last`: the sender said that it is.
    pub(super) fn pass(&mut self, mut piece: Bytes, is_last: bool) -> Bytes {
        self.left = self.left.saturating_sub(piece.len() as u64);
        if is_last {
            // Nothing can follow the byte that completes the body.
            return if self.withheld.is_empty() { piece } else { std::mem::take(&mut self.withheld) };
        }
        if self.left == 0 && !piece.is_empty() {
            self.withheld = piece.split_off(piece.len() - 1);
        }
        piece
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn before_the_end_is_certain_the_body_is_a_byte_short() {
        let mut body = LastByte::of(5);
        assert_eq!(body.pass("hel".into(), false), "hel");
        assert_eq!(body.pass("lo".into(), false), "l");
        assert_eq!(body.pass(Bytes::new(), false), "");
        assert_eq!(body.pass(Bytes::new(), true), "o");
    }

    #[test]
    fn a_last_piece_goes_on_at_once() {
        let mut body = LastByte::of(5);
        assert_eq!(body.pass("hello".into(), true), "hello");
    }

    proptest! {
        #[test]
        fn however_a_body_is_cut_it_arrives_whole(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..9), 0..9),
            ends_empty: bool,
        ) {
            let all = pieces.concat();
            let mut body = LastByte::of(all.len() as u64);
            let mut arrived = Vec::new();
            for (at, piece) in pieces.iter().enumerate() {
                let is_last = !ends_empty && at + 1 == pieces.len();
                arrived.extend(body.pass(piece.clone().into(), is_last));
                prop_assert!(is_last || all.is_empty() || arrived.len() < all.len());
            }
            if ends_empty {
                arrived.extend(body.pass(Bytes::new(), true));
            }
            prop_assert!(arrived == all || pieces.is_empty());
        }
    }
}
