//! From a request's header to an identity, or to the words with which it is refused.
//!
//! Whoever is refused is told nothing of who exists: unknown users, refused entries and wrong passwords
//! get the same bytes, and so do those that were not looked at.

use std::net::IpAddr;
use std::sync::Arc;

use http::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use lockgate_oci::{ErrorCode, OciError};

use crate::auth::{Credentials, CredentialsError, Identity, Refused, Throttled, Verifier};
use crate::config::Quotable;
use crate::rate_limited::RateLimitedWarning;
use crate::refusal::Refusal;

/// What a client waits before it asks again when too many passwords are being checked, in seconds.
const BUSY_RETRY_AFTER: u32 = 1;

/// Who a request comes from.
pub(crate) struct Login {
    verifier: Arc<Verifier>,
    /// `Basic realm="..."`
    challenge: HeaderValue,
    unchecked: RateLimitedWarning,
}

impl Login {
    pub(crate) fn new(verifier: Arc<Verifier>, realm: &Quotable) -> Self {
        Self { verifier, challenge: realm.challenge(), unchecked: RateLimitedWarning::default() }
    }

    /// Who sent this header.
    ///
    /// # Errors
    /// 401; 429 for a password that was not looked at; 400 where the header cannot be read in one way only.
    pub(crate) async fn identify(&self, header: &HeaderMap, client: IpAddr) -> Result<Identity, Refusal> {
        let mut values = header.get_all(AUTHORIZATION).iter();
        let value = match (values.next(), values.next()) {
            (Some(value), None) => value,
            (None, _) => return Err(self.unauthorized(&CredentialsError::Nobody.to_string())),
            (Some(_), Some(_)) => {
                let error = OciError::new(ErrorCode::Unauthorized, "Authorization stands more than once");
                return Err(Refusal::hanging_up(error.with_status(http::StatusCode::BAD_REQUEST)));
            }
        };
        let credentials =
            Credentials::parse(value.as_bytes()).map_err(|error| self.unauthorized(&error.to_string()))?;
        self.verifier.verify(&credentials, client).await.map_err(|refused| self.refusal(refused, &credentials, client))
    }

    fn refusal(&self, refused: Refused, credentials: &Credentials, client: IpAddr) -> Refusal {
        match refused {
            Refused::Wrong => self.unauthorized("the user name or the password is wrong"),
            Refused::Busy => {
                self.warn("auth.hash_queue", credentials, client);
                Refusal::too_many(BUSY_RETRY_AFTER, "too many passwords are being checked; try again shortly")
            }
            Refused::Throttled(throttled) => {
                self.warn(throttled.key(), credentials, client);
                Refusal::too_many(throttled.retry_after(), too_many_failures(&throttled))
            }
        }
    }

    fn unauthorized(&self, message: &str) -> Refusal {
        Refusal::unauthorized(self.challenge.clone(), message)
    }

    /// Strangers' names are not logged: people type passwords where the name belongs.
    fn warn(&self, limit: &str, credentials: &Credentials, client: IpAddr) {
        if let Some(refused) = self.unchecked.count() {
            let user = if self.verifier.knows(credentials.user()) { credentials.user().as_str() } else { "-" };
            let client = client.to_canonical();
            tracing::warn!(%client, user, limit, refused, "passwords were refused unchecked; the last came from this client");
        }
    }
}

fn too_many_failures(throttled: &Throttled) -> String {
    let seconds = throttled.retry_after();
    format!("too many wrong passwords; check yours, and try again in {seconds} s")
}
