//! Names in keys that have no directories.
//!
//! Stores list in different orders where a directory's name begins another's: AWS sorts whole keys, others name by
//! name. Therefore names are listed in a bucket from markers that are flat, in which `/` sorts as it does in a repository's
//! name: `-` is written `!`, `.` is written `-`, and `/` is written `.`.

use lockgate_oci::Digest;

/// A repository's name such that it sorts among others as it should, in a key without directories.
pub(super) fn sorted(name: &str) -> String {
    let written = |byte| match byte {
        '-' => '!',
        '.' => '-',
        '/' => '.',
        other => other,
    };
    name.chars().map(written).collect()
}

/// The name that [`sorted`] made this of.
pub(super) fn unsorted(sorted: &str) -> String {
    let read = |byte| match byte {
        '!' => '-',
        '-' => '.',
        '.' => '/',
        other => other,
    };
    sorted.chars().map(read).collect()
}

/// A digest in a key: none has a colon.
pub(super) fn flat(digest: &str) -> String {
    digest.replacen(':', "-", 1)
}

/// The digest that [`flat`] made this of.
pub(super) fn unflat(flat: &str) -> Option<Digest> {
    flat.replacen('-', ":", 1).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockgate_oci::Algorithm;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn repositories_sort_by_their_markers_as_by_their_names(
            one in "[a-c0]([._/-][a-c0]){0,4}", other in "[a-c0]([._/-][a-c0]){0,4}",
        ) {
            prop_assert_eq!(sorted(&one).cmp(&sorted(&other)), one.cmp(&other));
            prop_assert_eq!(unsorted(&sorted(&one)), one.clone());
            prop_assert!(!sorted(&one).contains('/'));
        }
    }

    #[test]
    fn a_flat_digest_is_still_that_digest() {
        let digest = crate::hasher::digest_of(Algorithm::Sha512, b"x");
        assert_eq!(unflat(&flat(digest.as_str())), Some(digest));
    }
}
