//! Which tags: tags with wildcards.

use std::fmt;
use std::str::FromStr;

use super::glob::Glob;
use crate::reference::{Tag, TagError};

/// A pattern of tags, in which `*` is anything.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TagPattern {
    text: Box<str>,
    glob: Glob,
}

/// Why a text is no pattern of tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no tag can match it: the one wildcard is *, and {TagError}")]
pub struct TagPatternError;

impl TagPattern {
    /// Whether a tag is meant.
    pub fn matches(&self, tag: &Tag) -> bool {
        self.glob.matches(tag.as_str(), "")
    }
}

impl FromStr for TagPattern {
    type Err = TagPatternError;

    fn from_str(text: &str) -> Result<Self, TagPatternError> {
        // The shortest text that it matches: nothing in the place of each wildcard, but a letter where a tag cannot begin.
        let shortest = text.replace('*', "");
        let is_tag = |text: &str| text.parse::<Tag>().is_ok();
        let is_pattern = is_tag(&shortest) || text.starts_with('*') && is_tag(&format!("a{shortest}"));
        if is_pattern { Ok(Self { text: text.into(), glob: Glob::new(text) }) } else { Err(TagPatternError) }
    }
}

impl fmt::Display for TagPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_anything() {
        for (text, yes, no) in [
            ("latest", &["latest"][..], &["latest1", "Latest"][..]),
            ("*", &["latest", "V1.0"], &[]),
            ("dev-*", &["dev-1", "dev-"], &["dev", "adev-1"]),
            ("sha256-*.sig", &["sha256-ab.sig"], &["sha256-ab.sbom"]),
        ] {
            let pattern: TagPattern = text.parse().unwrap();
            let matches = |tag: &&str| pattern.matches(&tag.parse().unwrap());
            assert!(yes.iter().all(matches), "{text}");
            assert!(!no.iter().any(matches), "{text}");
        }
    }

    #[test]
    fn what_no_tag_can_match_is_no_pattern() {
        for text in ["", "-*", ".x", "a/b", "v?", "${user}", "a:b", "é", &"t".repeat(129)] {
            assert!(text.parse::<TagPattern>().is_err(), "{text}");
        }
        assert!(format!("{}*", "t".repeat(128)).parse::<TagPattern>().is_ok());
    }
}
