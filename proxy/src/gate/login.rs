//! From a request's header to a caller, or to the words with which it is refused.
//!
//! Whoever is refused is told nothing of who exists: unknown users, refused entries and wrong passwords
//! get the same bytes, and so do those that were not looked at.

use std::net::IpAddr;
use std::sync::Arc;

use http::header::{AUTHORIZATION, HeaderMap};
use lockgate_oci::{Action, ErrorCode, OciError};

use crate::auth::{Authenticator, Caller, Credentials, CredentialsError, InvalidToken, Refused, Throttled};
use crate::metrics::METRICS;
use crate::rate_limited::RateLimitedWarning;

/// What a client waits before it asks again when too many passwords are being checked, in seconds.
const BUSY_RETRY_AFTER: u32 = 1;

/// Who a request comes from.
pub(super) struct Login {
    authenticator: Arc<Authenticator>,
    unchecked: RateLimitedWarning,
}

/// Why it is not known who a request comes from.
#[derive(Debug)]
pub(super) enum NotKnown {
    /// The header can be read in more than one way: 400.
    Ambiguous(OciError),
    /// It holds no credentials, or wrong ones: 401.
    Wrong(String),
    /// It holds a token that is none, or none any more: 401.
    Token(InvalidToken),
    /// The password was not looked at: 429, and after so many seconds it may be.
    Later(u32, String),
}

impl Login {
    pub(super) fn new(authenticator: Arc<Authenticator>) -> Self {
        Self { authenticator, unchecked: RateLimitedWarning::default() }
    }

    /// Who sent this header, to do this. Without credentials it is nobody.
    ///
    /// # Errors
    /// Any [`NotKnown`].
    pub(super) async fn identify(
        &self,
        header: &HeaderMap,
        client: IpAddr,
        action: Option<&Action>,
    ) -> Result<Caller, NotKnown> {
        let Some(value) = only_one(header)? else { return Ok(Caller::nobody()) };
        if let Some(token) = bearer_token(value)
            && self.authenticator.has_sessions()
        {
            let goes_on = matches!(
                action,
                Some(Action::AppendUpload(..) | Action::FinishUpload { .. } | Action::UploadStatus(..))
            );
            let known = self.authenticator.by_session(token, client, goes_on).map_err(NotKnown::Token);
            METRICS.login("bearer", if known.is_ok() { "good" } else { "wrong" });
            return known;
        }
        match Credentials::parse(value) {
            Ok(credentials) => self.by_password(&credentials, client).await,
            Err(CredentialsError::Nobody) => Ok(Caller::nobody()),
            Err(error) => {
                METRICS.login("basic", "wrong");
                Err(NotKnown::Wrong(error.to_string()))
            }
        }
    }

    /// Whose password it is.
    ///
    /// # Errors
    /// It is nobody's, or was not looked at.
    pub(super) async fn by_password(&self, credentials: &Credentials, client: IpAddr) -> Result<Caller, NotKnown> {
        let known = self.authenticator.by_password(credentials, client).await;
        METRICS.login(
            "basic",
            match &known {
                Ok(_) => "good",
                Err(Refused::Wrong) => "wrong",
                Err(Refused::Busy) => "busy",
                Err(Refused::Throttled(_)) => "throttled",
            },
        );
        known.map_err(|refused| match refused {
            Refused::Wrong => NotKnown::Wrong("the user name or the password is wrong".to_owned()),
            Refused::Busy => {
                self.warn("auth.hash_queue", credentials, client);
                NotKnown::Later(BUSY_RETRY_AFTER, "too many passwords are being checked; try again shortly".to_owned())
            }
            Refused::Throttled(throttled) => {
                self.warn(throttled.key(), credentials, client);
                NotKnown::Later(throttled.retry_after(), too_many_failures(&throttled))
            }
        })
    }

    /// Strangers' names are not logged: people type passwords where the name belongs.
    fn warn(&self, limit: &'static str, credentials: &Credentials, client: IpAddr) {
        METRICS.limit(limit);
        if let Some(refused) = self.unchecked.count() {
            let user = if self.authenticator.knows(credentials.user()) { credentials.user().as_str() } else { "-" };
            let client = client.to_canonical();
            tracing::warn!(%client, user, limit, refused, "passwords were refused unchecked; the last came from this client");
        }
    }
}

/// The value of `Authorization`.
///
/// # Errors
/// It stands more than once.
fn only_one(header: &HeaderMap) -> Result<Option<&[u8]>, NotKnown> {
    let mut values = header.get_all(AUTHORIZATION).iter();
    match (values.next(), values.next()) {
        (value, None) => Ok(value.map(|value| value.as_bytes())),
        (_, Some(_)) => {
            let error = OciError::new(ErrorCode::Unauthorized, "Authorization stands more than once");
            Err(NotKnown::Ambiguous(error.with_status(http::StatusCode::BAD_REQUEST)))
        }
    }
}

/// What stands behind `Bearer` (RFC 6750, 2.1). What is no text is no token either.
fn bearer_token(value: &[u8]) -> Option<&str> {
    let (scheme, token) = value.split_at(value.iter().position(|byte| *byte == b' ').unwrap_or(value.len()));
    scheme.eq_ignore_ascii_case(b"bearer").then(|| str::from_utf8(token.trim_ascii_start()).unwrap_or_default())
}

fn too_many_failures(throttled: &Throttled) -> String {
    let seconds = throttled.retry_after();
    format!("too many wrong passwords; check yours, and try again in {seconds} s")
}
