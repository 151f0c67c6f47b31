//! The value of an `Authorization` header that speaks Basic ([RFC 7617]).
//!
//! One spelling is accepted: base64 of the standard alphabet with its padding, as every client
//! writes it, and UTF-8 inside. What is accepted by one reader and not by another is where
//! gates get bypassed, so nothing is repaired here.
//!
//! [RFC 7617]: https://www.rfc-editor.org/rfc/rfc7617

use std::fmt;
use std::str;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::token::MachineSecret;
use super::{UserName, UserNameError};

/// A client's claim: a user name and the password that should prove it. Nothing is verified yet.
#[derive(Debug)]
pub struct Credentials {
    user: UserName,
    /// Shared, so that a queued verification needs no second copy of the secret.
    password: Arc<Password>,
}

/// A password in clear. Its memory is overwritten when it goes, and `Debug` does not show it.
pub struct Password(Zeroizing<Box<str>>);

/// Why a header value holds no credentials. Never quotes the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CredentialsError {
    /// Neither a user name nor a password, which is what podman sends for somebody who did not log in.
    #[error("log in first: docker login HOST:PORT")]
    Nobody,
    /// The scheme is another one, such as Bearer.
    #[error("the Authorization scheme must be Basic")]
    Scheme,
    /// More than any user name and password can be.
    #[error("the credentials are too long")]
    Long,
    /// Not base64 of the standard alphabet with padding.
    #[error("the credentials are not valid base64")]
    Base64,
    /// Not UTF-8.
    #[error("the credentials are not UTF-8")]
    Utf8,
    /// Nothing separates the user name from the password.
    #[error("the credentials have no colon between user name and password")]
    Colon,
    /// The user name is none.
    #[error(transparent)]
    User(#[from] UserNameError),
    /// The password has a control character: NUL would end it early for some hashes.
    #[error("a password must not contain control characters")]
    Control,
}

impl Credentials {
    /// The longest value after the scheme: base64 of the longest name, a colon and the longest password.
    const MAX_TOKEN: usize = (UserName::MAX_LEN + 1 + Password::MAX_LEN).div_ceil(3) * 4;

    /// Reads the value of one `Authorization` header. That there is one only is the caller's check.
    ///
    /// # Errors
    /// Any [`CredentialsError`]; all of them deserve the same 401.
    pub fn parse(value: &[u8]) -> Result<Self, CredentialsError> {
        let token = basic_token(value)?;
        if token.len() > Self::MAX_TOKEN {
            return Err(CredentialsError::Long);
        }
        let decoded = Zeroizing::new(STANDARD.decode(token).map_err(|_| CredentialsError::Base64)?);
        let text = str::from_utf8(&decoded).map_err(|_| CredentialsError::Utf8)?;
        let (user, password) = text.split_once(':').ok_or(CredentialsError::Colon)?;
        if user.is_empty() && password.is_empty() {
            return Err(CredentialsError::Nobody);
        }
        Self::new(user.parse()?, password)
    }

    /// Credentials that came by another way than a header.
    ///
    /// # Errors
    /// [`CredentialsError::Control`] and [`CredentialsError::Long`], about the password.
    pub fn new(user: UserName, password: &str) -> Result<Self, CredentialsError> {
        if password.len() > Password::MAX_LEN {
            return Err(CredentialsError::Long);
        }
        if password.contains(char::is_control) {
            return Err(CredentialsError::Control);
        }
        Ok(Self { user, password: Arc::new(Password(Zeroizing::new(password.into()))) })
    }

    /// The user name, which nobody has checked yet.
    pub fn user(&self) -> &UserName {
        &self.user
    }

    /// The token for machines that stands in the place of the password, if one does.
    pub(super) fn machine_secret(&self) -> Option<MachineSecret> {
        MachineSecret::parse(self.password.expose())
    }

    /// `USER:PASSWORD`.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn in_clear(&self) -> String {
        format!("{}:{}", self.user, self.password.expose())
    }

    pub(super) fn password(&self) -> &Arc<Password> {
        &self.password
    }
}

impl Password {
    /// Bytes. The work of SHA-crypt grows with the length of what a stranger sends, so there is an end to it.
    pub const MAX_LEN: usize = 1024;

    pub(super) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// The token after `Basic` and at least one space.
fn basic_token(value: &[u8]) -> Result<&[u8], CredentialsError> {
    let end = value.iter().position(|b| *b == b' ').unwrap_or(value.len());
    let (scheme, mut token) = value.split_at(end);
    if !scheme.eq_ignore_ascii_case(b"basic") {
        return Err(CredentialsError::Scheme);
    }
    while let [b' ', rest @ ..] = token {
        token = rest;
    }
    Ok(token)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn basic(clear: &[u8]) -> Vec<u8> {
        format!("Basic {}", STANDARD.encode(clear)).into_bytes()
    }

    fn parse(clear: &[u8]) -> Result<Credentials, CredentialsError> {
        Credentials::parse(&basic(clear))
    }

    #[test]
    fn the_first_colon_ends_the_user_name() {
        let credentials = parse(b"colon:a:b").unwrap();
        assert_eq!((credentials.user().as_str(), credentials.password().expose()), ("colon", "a:b"));
    }

    #[test]
    fn the_scheme_is_read_without_case_and_other_schemes_are_refused() {
        for scheme in ["basic", "BASIC", "BaSiC  "] {
            let value = format!("{scheme} {}", STANDARD.encode("alice:x"));
            assert_eq!(Credentials::parse(value.as_bytes()).unwrap().user().as_str(), "alice");
        }
        for value in [&b"Bearer abc"[..], b"", b"Basics YTpi", b"Basic\tYTpi", b" Basic YTpi"] {
            assert_eq!(Credentials::parse(value).unwrap_err(), CredentialsError::Scheme);
        }
    }

    #[test]
    fn names_and_passwords_are_utf_8() {
        let credentials = parse("jürg:été".as_bytes()).unwrap();
        assert_eq!((credentials.user().as_str(), credentials.password().expose()), ("jürg", "été"));
        assert_eq!(parse(b"j\xfcrg:\xe9t\xe9").unwrap_err(), CredentialsError::Utf8);
    }

    #[test]
    fn anything_but_plain_padded_base64_is_refused() {
        for token in ["!!!!", "YWxpY2U6eA", "YWxpY2U6eA==, x", "YWxpY2U6eA== ", "YWxpY2U6-_8=", "YWxpY2U6eB==", "="] {
            let value = format!("Basic {token}");
            assert_eq!(Credentials::parse(value.as_bytes()).unwrap_err(), CredentialsError::Base64, "{token}");
        }
    }

    #[test]
    fn credentials_without_a_user_or_a_colon_are_refused() {
        assert_eq!(parse(b":correct-horse").unwrap_err(), CredentialsError::User(UserNameError::Empty));
        assert_eq!(parse(b":").unwrap_err(), CredentialsError::Nobody);
        assert_eq!(parse(b"alice").unwrap_err(), CredentialsError::Colon);
        assert_eq!(Credentials::parse(b"Basic").unwrap_err(), CredentialsError::Colon);
    }

    #[test]
    fn control_characters_are_refused_on_both_sides_of_the_colon() {
        let name = CredentialsError::User(UserNameError::Control);
        assert_eq!(parse(b"alice\r\nFAKE 200 GET /:x").unwrap_err(), name);
        assert_eq!(parse(b"alice\0:x").unwrap_err(), name);
        assert_eq!(parse(b"alice:correct-horse\0junk").unwrap_err(), CredentialsError::Control);
        assert_eq!(parse(b"alice:a\nb").unwrap_err(), CredentialsError::Control);
    }

    #[test]
    fn there_is_an_end_to_what_a_stranger_may_have_hashed() {
        let longest = format!("{}:{}", "u".repeat(UserName::MAX_LEN), "p".repeat(Password::MAX_LEN));
        assert!(parse(longest.as_bytes()).is_ok());
        let password = format!("alice:{}", "p".repeat(Password::MAX_LEN + 1));
        assert_eq!(parse(password.as_bytes()).unwrap_err(), CredentialsError::Long);
        assert_eq!(parse(&[b'a'; 30_000]).unwrap_err(), CredentialsError::Long);
    }

    #[test]
    fn a_password_is_not_in_the_debug_output_or_in_an_error() {
        let credentials = parse(b"alice:correct-horse").unwrap();
        assert!(!format!("{credentials:?}").contains("correct-horse"));
        let error = parse(b"alice:correct-horse\0").unwrap_err();
        assert!(!format!("{error:?} {error}").contains("correct"));
    }

    proptest! {
        #[test]
        fn no_header_value_makes_it_panic(value in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = Credentials::parse(&value);
            let _ = Credentials::parse(&basic(&value));
        }

        #[test]
        fn what_a_client_encodes_is_what_is_read(user in "[^:\\pC]{1,40}", password in "[^\\pC]{0,60}") {
            let credentials = parse(format!("{user}:{password}").as_bytes()).unwrap();
            prop_assert_eq!(credentials.user().as_str(), user);
            prop_assert_eq!(credentials.password().expose(), password);
        }
    }
}
