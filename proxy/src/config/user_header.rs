//! The header that tells the registry behind who asks.

use std::fmt;
use std::str::FromStr;

use http::HeaderName;

/// The name of a header of ours, or nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserHeader(Option<HeaderName>);

/// Why a text is no [`UserHeader`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is the name of a header that nothing else uses, as X-Forwarded-User")]
pub struct UserHeaderError;

impl UserHeader {
    /// Its name, where it is to be sent.
    pub fn name(&self) -> Option<&HeaderName> {
        self.0.as_ref()
    }
}

impl FromStr for UserHeader {
    type Err = UserHeaderError;

    /// It has `user` in it, so that it is none that HTTP or registries have a meaning for.
    fn from_str(text: &str) -> Result<Self, UserHeaderError> {
        if text.is_empty() {
            return Ok(Self(None));
        }
        let name = text.parse::<HeaderName>().map_err(|_| UserHeaderError)?;
        let is_ours = name.as_str().contains("user") && name != http::header::USER_AGENT && !text.contains('_');
        if is_ours { Ok(Self(Some(name))) } else { Err(UserHeaderError) }
    }
}

impl fmt::Display for UserHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_ref().map_or("", HeaderName::as_str))
    }
}

lockgate_settings::written_as_text!(UserHeader, "the name of a header");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_header_that_speaks_of_a_user_and_of_nothing_else() {
        for text in ["", "X-Forwarded-User", "Remote-User", "x-user"] {
            assert_eq!(text.parse::<UserHeader>().expect(text).to_string(), text.to_lowercase());
        }
        for text in ["Host", "Authorization", "X-Real-IP", "User-Agent", "X_User", "x user", "Content-Type"] {
            assert_eq!(text.parse::<UserHeader>(), Err(UserHeaderError), "{text}");
        }
    }
}
