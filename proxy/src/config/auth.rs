//! `[auth]`: who may come in.

use std::num::NonZeroU32;
use std::path::PathBuf;

use lockgate_settings::Period;
use serde::Deserialize;

use super::{Realm, Within};
use crate::auth::{self, FailureLimit, Policy};
use crate::files;

/// The section.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Auth {
    /// The users, as `lockgate htpasswd` or Apache's `htpasswd` writes them. A change is noticed and
    /// used without a restart.
    #[serde(deserialize_with = "files::path")]
    pub htpasswd: PathBuf,
    /// The words with which a client asks a person for a password.
    #[serde(deserialize_with = "lockgate_settings::parsed")]
    pub realm: Realm,
    /// The highest cost of a bcrypt hash that is accepted from the file; each step doubles the time
    /// that one login takes.
    pub max_bcrypt_cost: Within<4, 31>,
    /// Threads that compute password hashes; 0 for half of the cores.
    pub hash_threads: Within<0, 1024>,
    /// Passwords that may wait for these threads. Client addresses take turns, and one more is 429.
    pub hash_queue: Within<1, 65_536>,
    /// How many wrong passwords of one user are looked at from one client address (of IPv6: from one
    /// /64) before the next gets 429. A password that was right before always passes.
    pub failures: Within<1, 1_000_000>,
    /// After which time one of them is forgiven.
    pub failure_interval: Period,
    /// The same for all users together from one client address, against one that tries many names.
    pub address_failures: Within<1, 1_000_000>,
    /// After which time one of them is forgiven.
    pub address_failure_interval: Period,
    /// How many users and addresses with failures are remembered, and how many wrong passwords, as a
    /// keyed hash; 48 bytes in all. Where there are more, those with the fewest failures and the oldest
    /// passwords are forgotten first.
    pub failure_memory: Within<1024, 16_777_216>,
}

impl Auth {
    /// Which hashes of the users' file are accepted.
    pub fn policy(&self) -> Policy {
        Policy { max_bcrypt_cost: self.max_bcrypt_cost.into(), ..Policy::default() }
    }

    /// How much hashing goes on, and for whom.
    pub fn limits(&self) -> auth::VerifierLimits {
        auth::VerifierLimits {
            threads: self.hash_threads.non_zero().unwrap_or_else(auth::VerifierLimits::half_of_the_processors),
            queue: self.hash_queue.get(),
            per_user: failure_limit(self.failures, self.failure_interval),
            per_address: failure_limit(self.address_failures, self.address_failure_interval),
            memory: self.failure_memory.get(),
        }
    }
}

fn failure_limit(failures: Within<1, 1_000_000>, interval: Period) -> FailureLimit {
    let failures = NonZeroU32::new(failures.into()).expect("it is at least 1");
    FailureLimit { failures, interval: interval.duration() }
}

impl Default for Auth {
    fn default() -> Self {
        Self {
            htpasswd: "conf/htpasswd".into(),
            realm: Realm::default(),
            max_bcrypt_cost: const { Within::of(14) },
            hash_threads: const { Within::of(0) },
            hash_queue: const { Within::of(128) },
            failures: const { Within::of(10) },
            failure_interval: Period::from_secs(10),
            address_failures: const { Within::of(50) },
            address_failure_interval: Period::from_secs(2),
            failure_memory: const { Within::of(16_384) },
        }
    }
}
