//! `[auth]`: who may come in.

use std::num::NonZeroU32;
use std::path::PathBuf;

use lockgate_settings::{Period, PeriodWithin, Within};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use smart_default::SmartDefault;

use super::{PublicUrl, Quotable};
use crate::auth::{self, FailureLimit, Policy};

/// `[auth]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema, SmartDefault)]
#[serde(default, deny_unknown_fields)]
pub struct Auth {
    /// The users: a file as `lockgate htpasswd` or Apache's htpasswd writes it, with bcrypt, SHA-crypt, apr1 or {SHA}
    /// hashes. A change is noticed and used without a restart; a file that is not usable is reported, and the old users
    /// stay.
    #[serde(with = "lockgate_settings::path")]
    #[schemars(schema_with = "lockgate_settings::path::schema")]
    #[default("conf/htpasswd".into())]
    pub htpasswd: PathBuf,
    /// What a client shows to the person whom it asks for a password. Printable ASCII without " and \.
    #[default(Quotable::of("Registry Realm"))]
    pub realm: Quotable,
    /// Who may do what: a file of grants, as docs/rights.md has them. A change is noticed and used within two seconds; a
    /// file that is not usable is reported, and the old grants stay. Empty: every user may do everything.
    #[serde(with = "lockgate_settings::path::if_any")]
    #[schemars(schema_with = "lockgate_settings::path::schema")]
    pub access: Option<PathBuf>,
    /// The groups that grants speak of: a file as Apache's AuthGroupFile, read again as the grants are. Empty: none.
    #[serde(with = "lockgate_settings::path::if_any")]
    #[schemars(schema_with = "lockgate_settings::path::schema")]
    pub groups: Option<PathBuf>,
    /// Tokens for machines: a file as `lockgate token create` writes it, read again as the users are. Empty: none.
    #[serde(with = "lockgate_settings::path::if_any")]
    #[schemars(schema_with = "lockgate_settings::path::schema")]
    pub tokens: Option<PathBuf>,
    /// The keys that tokens for a session are signed with: a file as `lockgate token-key` makes it, the same for all gates
    /// of one name, read again as the users are. Empty: there is no /token, and clients are asked for a password each time.
    #[serde(with = "lockgate_settings::path::if_any")]
    #[schemars(schema_with = "lockgate_settings::path::schema")]
    pub token_key: Option<PathBuf>,
    /// How long a token for a session is good. Clients get a new one by themselves.
    #[default(const { PeriodWithin::of(900) })]
    pub token_lifetime: PeriodWithin<60, 86_400>,
    /// How clients are asked to log in. "auto": by Bearer where there are grants, which lets those without a password pull
    /// what is granted to anyone, and by Basic where there are none. "basic": by Basic.
    pub challenge: Challenge,
    /// The name under which tokens are issued; the same for all gates that share a key. Printable ASCII without " and \.
    #[default(Quotable::of("lockgate"))]
    pub service: Quotable,
    /// How clients reach this gate, as in `https://registry.example.com`, where something in front of it rewrites Host.
    /// Empty: as the client's Host says.
    pub public_url: PublicUrl,
    /// The highest bcrypt cost that is accepted from the file. Each step doubles the time that a login takes:
    /// cost 14 is about a second.
    #[default(const { Within::of(14) })]
    pub max_bcrypt_cost: Within<4, 31>,
    /// The most rounds of SHA-crypt ($5$, $6$) that are accepted from the file. 1,000,000 take a little less than
    /// bcrypt with cost 12, and eight times as long for a password of 1,024 bytes. Ansible and passlib write 656,000.
    #[default(const { Within::of(1_000_000) })]
    pub max_sha_crypt_rounds: Within<1000, 999_999_999>,
    /// Threads that compute password hashes, at a low priority. 0: half of the cores, so that a flood of wrong
    /// passwords leaves the other half to those who are known.
    #[default(const { Within::of(0) })]
    pub hash_threads: Within<0, 1024>,
    /// Passwords that may wait for these threads. Client addresses take turns; what does not fit gets 429.
    #[default(const { Within::of(128) })]
    pub hash_queue: Within<1, 65_536>,
    /// How many wrong passwords of one user are looked at from one client address (of IPv6: one /64) before the next
    /// one gets 429. A password that was right before always passes, and so does one from another
    /// address.
    #[default(const { Within::of(10) })]
    pub failures: Within<1, 1_000_000>,
    /// After which time one of them is forgiven.
    #[default(Period::from_secs(10))]
    pub failure_interval: Period,
    /// The same for all users together, against an address that tries many names. Raise it where many
    /// users come from one address, as behind a company's NAT or a load balancer.
    #[default(const { Within::of(50) })]
    pub address_failures: Within<1, 1_000_000>,
    /// After which time one of them is forgiven.
    #[default(Period::from_secs(2))]
    pub address_failure_interval: Period,
    /// How many users and addresses with wrong passwords are remembered, in 48 bytes each. Where
    /// there are more, those with the fewest are forgotten first.
    #[default(const { Within::of(16_384) })]
    pub failure_memory: Within<1024, 16_777_216>,
}

/// How clients are asked to log in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Challenge {
    /// As it is needed: Bearer (the distribution token specification) where there are grants.
    #[default]
    Auto,
    /// Always Basic (RFC 7617).
    Basic,
}

impl Auth {
    /// Whether clients are sent to `/token`: with grants, so that one host serves those who log in and those who do not.
    pub fn is_bearer(&self) -> bool {
        self.challenge == Challenge::Auto && self.access.is_some()
    }

    /// Which hashes of the users' file are accepted.
    pub fn policy(&self) -> Policy {
        Policy { max_bcrypt_cost: self.max_bcrypt_cost.into(), max_sha_crypt_rounds: self.max_sha_crypt_rounds.into() }
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
