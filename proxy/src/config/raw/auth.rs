//! `[auth]`: who may come in.

use lockgate_settings::Period;
use serde::Deserialize;

use crate::config::Realm;
use crate::config::values::{FilePath, Within};

/// The section.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Auth {
    /// The users, as `lockgate htpasswd` or Apache's `htpasswd` writes them. A change is noticed and
    /// used without a restart.
    pub(in crate::config) htpasswd: FilePath,
    /// What a client shows to the person who is asked for a password.
    #[serde(deserialize_with = "lockgate_settings::parsed")]
    pub(in crate::config) realm: Realm,
    /// The highest cost of a bcrypt hash that is accepted from the file; each step doubles the time
    /// that one login takes.
    pub(in crate::config) max_bcrypt_cost: Within<4, 31>,
    /// Threads that compute password hashes; 0 for half of the cores.
    pub(in crate::config) hash_threads: Within<0, 1024>,
    /// Passwords that may wait for these threads. Client addresses take turns, and one more is 429.
    pub(in crate::config) hash_queue: Within<1, 65_536>,
    /// How many wrong passwords of one user are looked at from one client address (of IPv6: from one
    /// /64) before the next gets 429. A password that was right before always passes.
    pub(in crate::config) failures: Within<1, 1_000_000>,
    /// After which time one of them is forgiven.
    pub(in crate::config) failure_interval: Period,
    /// The same for all users together from one client address, against one that tries many names.
    pub(in crate::config) address_failures: Within<1, 1_000_000>,
    /// After which time one of them is forgiven.
    pub(in crate::config) address_failure_interval: Period,
    /// How many users and addresses with failures are remembered, and how many wrong passwords, as a
    /// keyed hash; 48 bytes in all. Where there are more, those with the fewest failures and the oldest
    /// passwords are forgotten first.
    pub(in crate::config) failure_memory: Within<1024, 16_777_216>,
}

impl Default for Auth {
    fn default() -> Self {
        Self {
            htpasswd: "conf/htpasswd".parse().expect("it is a path"),
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
