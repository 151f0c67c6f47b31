//! References: a tag or a digest ([spec.md, "Pulling manifests"]: the grammar of `<reference>`).
//!
//! [spec.md, "Pulling manifests"]: https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pulling-manifests

use std::fmt;
use std::str::FromStr;

use crate::{AnyDigest, Digest, DigestError};

/// A tag: a name that points at one manifest of its repository.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(Box<str>);

/// Why a text is no tag: it does not match `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a tag has 1 to {} letters, digits, underscores, dots and dashes, and starts with none of the last two",
    Tag::MAX_LEN
)]
pub struct TagError;

impl Tag {
    /// As many bytes as its grammar allows.
    pub const MAX_LEN: usize = 128;

    /// The tag as it stands in a URL.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Tag {
    type Err = TagError;

    fn from_str(text: &str) -> Result<Self, TagError> {
        let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        let bytes = text.as_bytes();
        let first_is_word = bytes.first().is_some_and(|b| word(*b));
        let rest_is_tag = bytes.iter().all(|b| word(*b) || *b == b'.' || *b == b'-');
        if first_is_word && rest_is_tag && bytes.len() <= Self::MAX_LEN { Ok(Self(text.into())) } else { Err(TagError) }
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A manifest's name in a URL.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Reference<D = Digest> {
    /// By tag.
    Tag(Tag),
    /// By digest.
    Digest(D),
}

impl Reference<AnyDigest> {
    /// The reference, where a digest's algorithm is one of the two that registries must know.
    ///
    /// # Errors
    /// [`DigestError::Algorithm`].
    pub fn known(self) -> Result<Reference, DigestError> {
        Ok(match self {
            Self::Tag(tag) => Reference::Tag(tag),
            Self::Digest(digest) => Reference::Digest(digest.known()?),
        })
    }
}

/// Why a text is neither tag nor digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// It has no colon, so it was to be a tag.
    #[error(transparent)]
    Tag(#[from] TagError),
    /// It has a colon, so it was to be a digest.
    #[error(transparent)]
    Digest(#[from] DigestError),
}

impl<D: FromStr<Err = DigestError>> FromStr for Reference<D> {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        // A tag has no colon, a digest always has one.
        if text.contains(':') { Ok(Self::Digest(text.parse()?)) } else { Ok(Self::Tag(text.parse()?)) }
    }
}

impl<D: fmt::Display> fmt::Display for Reference<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => tag.fmt(f),
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn tags_follow_the_grammar_of_the_spec() {
        for good in ["latest", "_x", "1.0-rc.1", "V2", &"t".repeat(128)] {
            assert!(good.parse::<Tag>().is_ok(), "{good}");
        }
        for bad in ["", ".", "..", ".a", "-a", "a/b", "a b", "a%2e", "é", &"t".repeat(129)] {
            assert_eq!(bad.parse::<Tag>(), Err(TagError), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_reference_is_printed_as_it_was_read(text in "[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}|sha256:[0-9a-f]{64}") {
            prop_assert_eq!(text.parse::<Reference>().expect("it is in the grammar").to_string(), text);
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in ".{0,40}") {
            let _ = text.parse::<Reference>();
        }
    }
}
