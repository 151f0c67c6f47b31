//! Repository names ([spec.md, "Pulling manifests"]: the grammar of `<name>`).
//!
//! [spec.md, "Pulling manifests"]: https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pulling-manifests

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

/// A repository's name: lower-case path components joined by `/`, as in `library/busybox`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RepositoryName(Box<str>);

/// Why a text is no repository name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RepositoryNameError {
    /// Over [`RepositoryName::MAX_LEN`] bytes.
    #[error("a repository name has at most {} bytes", RepositoryName::MAX_LEN)]
    TooLong,
    /// Outside the grammar.
    #[error(
        "a repository name is made of lower-case letters, digits and single separators (., _, __, -) between them, its parts joined by /"
    )]
    Grammar,
}

impl RepositoryName {
    /// Bytes, as distribution limits it.
    pub const MAX_LEN: usize = 255;

    /// The name as it stands in a URL.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// So that a sorted set of names is searched by a text.
impl Borrow<str> for RepositoryName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_component(text: &str) -> bool {
    let alphanumeric = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else { return false };
    alphanumeric(first)
        && alphanumeric(last)
        && bytes
            .split(alphanumeric)
            .all(|separator| matches!(separator, b"" | b"." | b"_" | b"__") || separator.iter().all(|b| *b == b'-'))
}

impl FromStr for RepositoryName {
    type Err = RepositoryNameError;

    fn from_str(text: &str) -> Result<Self, RepositoryNameError> {
        if text.len() > Self::MAX_LEN {
            Err(RepositoryNameError::TooLong)
        } else if text.split('/').all(is_component) {
            Ok(Self(text.into()))
        } else {
            Err(RepositoryNameError::Grammar)
        }
    }
}

impl fmt::Display for RepositoryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_follow_the_grammar_of_the_spec() {
        for good in ["a", "library/busybox", "a.b_c__d-e---f/0", "foo/bar/baz9", &"a".repeat(255)] {
            assert!(good.parse::<RepositoryName>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "/",
            "a/",
            "/a",
            "a//b",
            "A",
            ".a",
            "a.",
            "a..b",
            "a___b",
            "a._b",
            "_uploads",
            "a/_layers",
            "é",
            "a b",
            "..",
            "a/../b",
        ] {
            assert_eq!(bad.parse::<RepositoryName>(), Err(RepositoryNameError::Grammar), "{bad}");
        }
        assert_eq!("a".repeat(256).parse::<RepositoryName>(), Err(RepositoryNameError::TooLong));
    }

    proptest! {
        #[test]
        fn no_name_that_parses_can_leave_its_directory(text in "[a-z0-9./_-]{0,12}") {
            if let Ok(name) = text.parse::<RepositoryName>() {
                for part in name.as_str().split('/') {
                    prop_assert!(!part.is_empty() && part != "." && part != ".." && !part.starts_with('_'));
                }
            }
        }

        #[test]
        fn every_name_of_the_grammar_parses(text in "[a-z0-9]{1,3}((\\.|_|__|-{1,3})[a-z0-9]{1,3}){0,3}(/[a-z0-9]{1,3}((\\.|_|__|-{1,3})[a-z0-9]{1,3}){0,3}){0,3}") {
            prop_assert!(text.parse::<RepositoryName>().is_ok(), "{}", text);
        }
    }
}
