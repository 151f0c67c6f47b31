//! The name that clients know a gate by.

use std::fmt;
use std::str::FromStr;

use http::Uri;

/// `https://HOST[:PORT]`, or nothing. Never http: a realm on it would have passwords sent in clear.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PublicUrl(Option<Box<str>>);

/// Why a text is no [`PublicUrl`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "it is written as in \"https://registry.example.com\" or \"https://registry.example.com:5043\", without a path"
)]
pub struct PublicUrlError;

impl PublicUrl {
    /// `HOST[:PORT]`, where it is given.
    pub fn authority(&self) -> Option<&str> {
        self.0.as_deref()
    }
}

impl FromStr for PublicUrl {
    type Err = PublicUrlError;

    fn from_str(text: &str) -> Result<Self, PublicUrlError> {
        if text.is_empty() {
            return Ok(Self(None));
        }
        let url = text.parse::<Uri>().map_err(|_| PublicUrlError)?;
        let authority =
            url.authority().filter(|authority| !authority.host().is_empty()).ok_or(PublicUrlError)?.as_str();
        let is_plain = url.scheme_str() == Some("https") && matches!(url.path(), "" | "/") && url.query().is_none();
        if is_plain && !authority.contains(['@', '"', '\\']) && !text.contains('#') {
            Ok(Self(Some(authority.into())))
        } else {
            Err(PublicUrlError)
        }
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_ref().map_or(Ok(()), |authority| write!(f, "https://{authority}"))
    }
}

lockgate_settings::written_as_text!(PublicUrl, "an https URL without a path");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_host_behind_https_and_nothing_more() {
        for (text, authority) in [
            ("", None),
            ("https://registry.example.com", Some("registry.example.com")),
            ("https://registry.example.com:5043/", Some("registry.example.com:5043")),
            ("https://[::1]:5043", Some("[::1]:5043")),
        ] {
            assert_eq!(text.parse::<PublicUrl>().expect(text).authority(), authority);
        }
        for text in [
            "http://a.example",
            "a.example",
            "https://",
            "https://u@a.example",
            "https://a.example/x",
            "https://a\"b",
            "https://a?x",
            "https://a#x",
        ] {
            assert_eq!(text.parse::<PublicUrl>(), Err(PublicUrlError), "{text}");
        }
    }
}
