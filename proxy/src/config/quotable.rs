//! Texts that stand between quotes in a challenge (RFC 9110, 11.2): the realm of Basic, the service of Bearer.

use std::fmt;
use std::str::FromStr;

use http::HeaderValue;

/// Printable ASCII that needs no escape in a quoted string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quotable(Box<str>);

/// Why a text is not [`Quotable`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QuotableError {
    /// A person would be asked for the password of nothing.
    #[error("it must not be empty; write what people shall see when they are asked for a password")]
    Empty,
    /// It goes into a header, between quotes.
    #[error("it is made of printable ASCII characters other than \" and \\")]
    Unprintable,
}

impl Quotable {
    /// One that is written in the program.
    pub(super) fn of(text: &'static str) -> Self {
        text.parse().expect("it was written with care")
    }

    /// The value of `WWW-Authenticate` that asks for a password in this realm (RFC 7617, 2).
    pub fn challenge(&self) -> HeaderValue {
        HeaderValue::try_from(format!("Basic realm=\"{self}\"")).expect("it is printable ASCII")
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Quotable {
    type Err = QuotableError;

    fn from_str(text: &str) -> Result<Self, QuotableError> {
        if text.is_empty() {
            Err(QuotableError::Empty)
        } else if text.bytes().all(|b| matches!(b, b' '..=b'~') && !matches!(b, b'"' | b'\\')) {
            Ok(Self(text.into()))
        } else {
            Err(QuotableError::Unprintable)
        }
    }
}

impl fmt::Display for Quotable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

lockgate_settings::written_as_text!(Quotable, "a text");

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_challenge_is_the_one_that_the_guides_show() {
        assert_eq!(Quotable::of("Registry Realm").challenge(), "Basic realm=\"Registry Realm\"");
    }

    #[test]
    fn a_realm_cannot_end_its_own_quotes() {
        for bad in ["a\"", "a\\", "a\r\nSet-Cookie: b", "a\0", "\u{7f}", "Bücherei"] {
            assert_eq!(bad.parse::<Quotable>(), Err(QuotableError::Unprintable), "{bad:?}");
        }
        assert_eq!("".parse::<Quotable>(), Err(QuotableError::Empty));
    }

    proptest! {
        #[test]
        fn every_realm_that_parses_is_a_header_with_two_quotes(text in "[ -~]{1,20}|\\PC{1,20}|.{0,20}") {
            if let Ok(realm) = text.parse::<Quotable>() {
                let challenge = realm.challenge();
                prop_assert_eq!(challenge.as_bytes().iter().filter(|b| **b == b'"').count(), 2);
                prop_assert_eq!(realm.to_string(), text);
            }
        }
    }
}
