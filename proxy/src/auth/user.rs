//! User names: what a Basic header, an htpasswd file and the command line agree on.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// A name that can stand before the colon of an htpasswd line. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserName(Arc<str>);

/// Why a text is no user name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UserNameError {
    /// There is nothing.
    #[error("a user name must not be empty")]
    Empty,
    /// It has a colon, which ends the name in a header and in a file.
    #[error("a user name must not contain a colon")]
    Colon,
    /// It has a control character ([RFC 7617, section 2](https://www.rfc-editor.org/rfc/rfc7617#section-2)), or a
    /// byte order mark, which does not survive at the beginning of a file.
    #[error("a user name must not contain control characters or a byte order mark")]
    Control,
    /// It is longer than [`UserName::MAX_LEN`].
    #[error("a user name has at most {} bytes", UserName::MAX_LEN)]
    Long,
    /// It starts with `#`: in the file the line would be a comment.
    #[error("a user name must not start with #: the line would be a comment")]
    Comment,
    /// It starts or ends with white space, which does not survive in the file.
    #[error("a user name must not start or end with white space")]
    Space,
}

impl UserName {
    /// Bytes, as in Apache's tool.
    pub const MAX_LEN: usize = 255;

    /// A name that someone wants to write into a file, where more is forbidden than in a header.
    ///
    /// # Errors
    /// Any [`UserNameError`].
    pub fn for_file(text: &str) -> Result<Self, UserNameError> {
        if text.starts_with('#') {
            return Err(UserNameError::Comment);
        }
        if text.trim() != text {
            return Err(UserNameError::Space);
        }
        text.parse()
    }

    /// A name that stands in no file: for what holds of whoever has one.
    pub(crate) fn of_nobody() -> Self {
        Self(" ".into())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for UserName {
    type Err = UserNameError;

    fn from_str(text: &str) -> Result<Self, UserNameError> {
        if text.is_empty() {
            return Err(UserNameError::Empty);
        }
        if text.len() > Self::MAX_LEN {
            return Err(UserNameError::Long);
        }
        if text.contains(':') {
            return Err(UserNameError::Colon);
        }
        if text.contains(|c: char| c.is_control() || c == '\u{feff}') {
            return Err(UserNameError::Control);
        }
        Ok(Self(text.into()))
    }
}

/// So that a map of users is searched without making a `UserName`.
impl Borrow<str> for UserName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_a_file_or_a_log_line_could_not_hold_is_refused() {
        let long = "x".repeat(256);
        let bad = [
            ("", UserNameError::Empty),
            ("a:b", UserNameError::Colon),
            ("alice\r\nFAKE 200 GET /", UserNameError::Control),
            ("a\0b", UserNameError::Control),
            ("a\u{7f}", UserNameError::Control),
            (&long, UserNameError::Long),
        ];
        for (text, why) in bad {
            assert_eq!(text.parse::<UserName>(), Err(why), "{text:?}");
        }
        assert_eq!("jürg".parse::<UserName>().unwrap().as_str(), "jürg");
    }

    #[test]
    fn a_name_that_would_read_back_as_something_else_is_not_written_to_a_file() {
        assert_eq!(UserName::for_file("#carol"), Err(UserNameError::Comment));
        assert_eq!(UserName::for_file(" carol"), Err(UserNameError::Space));
        assert_eq!(UserName::for_file("carol "), Err(UserNameError::Space));
        assert!(UserName::for_file("carol smith").is_ok());
    }
}
