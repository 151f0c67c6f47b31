//! The realm of Basic authentication (RFC 7617, section 2).

use std::fmt;
use std::str::FromStr;

use http::HeaderValue;

/// The words with which a client asks a person for a password: printable ASCII that needs no
/// escape in a quoted string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Realm(Box<str>);

/// Why a text is no [`Realm`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RealmError {
    /// A person would be asked for the password of nothing.
    #[error("a realm is not empty; write what people shall see when they are asked for a password")]
    Empty,
    /// It goes into a header, between quotes.
    #[error("a realm is made of printable ASCII characters other than \" and \\")]
    Unprintable,
}

impl Realm {
    /// The value of `WWW-Authenticate`.
    pub fn challenge(&self) -> HeaderValue {
        HeaderValue::try_from(format!("Basic realm=\"{self}\"")).expect("a realm is printable ASCII")
    }
}

impl Default for Realm {
    fn default() -> Self {
        Self("Registry Realm".into())
    }
}

impl FromStr for Realm {
    type Err = RealmError;

    fn from_str(text: &str) -> Result<Self, RealmError> {
        if text.is_empty() {
            Err(RealmError::Empty)
        } else if text.bytes().all(|b| matches!(b, b' '..=b'~') && !matches!(b, b'"' | b'\\')) {
            Ok(Self(text.into()))
        } else {
            Err(RealmError::Unprintable)
        }
    }
}

impl fmt::Display for Realm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

lockgate_settings::written_as_text!(Realm, "a text");

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_challenge_is_the_one_that_the_guides_show() {
        assert_eq!(Realm::default().challenge(), "Basic realm=\"Registry Realm\"");
    }

    #[test]
    fn a_realm_cannot_end_its_own_quotes() {
        for bad in ["a\"", "a\\", "a\r\nSet-Cookie: b", "a\0", "\u{7f}", "Bücherei"] {
            assert_eq!(bad.parse::<Realm>(), Err(RealmError::Unprintable), "{bad:?}");
        }
        assert_eq!("".parse::<Realm>(), Err(RealmError::Empty));
    }

    proptest! {
        #[test]
        fn every_realm_that_parses_is_a_header_with_two_quotes(text in "[ -~]{1,20}|\\PC{1,20}|.{0,20}") {
            if let Ok(realm) = text.parse::<Realm>() {
                let challenge = realm.challenge();
                prop_assert_eq!(challenge.as_bytes().iter().filter(|b| **b == b'"').count(), 2);
                prop_assert_eq!(realm.to_string(), text);
            }
        }
    }
}
