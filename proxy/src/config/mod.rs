//! The configuration: a TOML file and the environment, checked once.
//!
//! A file a section, with one struct that has the shape of what may be written. A key is a field of it: its comment is
//! its text in every document, its type refuses what is wrong, with its line and column, and `#[default]` holds where
//! nothing is written. So nothing downstream checks a value again, and `make conf` writes the files and pages that tell
//! of the keys.

mod audit;
mod auth;
mod clients;
mod hsts;
mod limits;
mod listen;
mod origin;
mod origins;
mod public_url;
mod quotable;
mod shutdown;
mod tls;
mod upstream;
mod user_header;

#[cfg(test)]
mod tests;

use lockgate_settings::{Configuration, Either, Prefix};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use audit::{Audit, AuditLevel, OnFull};
pub use auth::{Auth, Challenge};
pub use clients::ClientRule;
pub use hsts::{Hsts, HstsError};
pub use limits::Limits;
pub use listen::Listen;
use lockgate_backend::config::Blocks;
pub use lockgate_backend::config::{Collect, Data, Quota, Retention, S3, Storage};
pub use lockgate_settings::{Admin, Log};
pub use origin::Origin;
pub use origins::Origins;
pub use public_url::PublicUrl;
pub use quotable::Quotable;
pub use shutdown::Shutdown;
pub use tls::Tls;
pub use upstream::Upstream;
pub use user_header::UserHeader;

/// All sections, in the order in which `conf/lockgate.toml` has them.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where clients come in.
    pub listen: Listen,
    /// The certificates, and how they are spoken with.
    pub tls: Tls,
    /// Who may come in.
    pub auth: Auth,
    /// Who did what, and who was refused it.
    pub audit: Audit,
    /// The registry behind the gate.
    pub upstream: Upstream,
    /// The registry within: this process is gate and registry at once, over a directory or a bucket. In the place of `[upstream]` and
    /// all of its keys, which then have to go.
    #[schemars(with = "Storage")]
    pub storage: Option<Storage>,
    /// The server of a bucket, where `storage.data` names one.
    pub s3: S3,
    /// How what nobody needs any more is removed, with `[storage]`.
    pub collect: Collect,
    /// Which tags are kept, with `[storage]`; as many blocks as you like. A change counts from the next run of the
    /// collector on, without a restart.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub retention: Vec<Retention>,
    /// How much repositories may have, with `[storage]`; as many blocks as you like. A change counts within ten seconds,
    /// without a restart.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub quota: Vec<Quota>,
    /// Clients too old for the registry API.
    pub clients: ClientRule,
    /// What one client can take from the others. No limit concerns the size of an image.
    pub limits: Limits,
    /// Where whoever runs this asks how it is.
    pub admin: Admin,
    /// What is written to standard error.
    pub log: Log,
    /// What SIGTERM and SIGINT begin, and a hand-over for the process that was there before.
    pub shutdown: Shutdown,
}

impl Config {
    /// The blocks that are read again while a registry is served within.
    pub fn blocks(&self) -> Blocks {
        Blocks { retention: self.retention.clone(), quota: self.quota.clone() }
    }

    /// What may be meant otherwise.
    pub fn warnings(&self) -> Vec<String> {
        self.listen.warnings().into_iter().chain(self.admin.warning()).collect()
    }

    /// Keys that cannot hold beside each other: the one to change, and why.
    pub fn contradictions(&self) -> Vec<(&'static str, &'static str)> {
        let is_bearer = self.auth.is_bearer();
        let mut found = Vec::new();
        if is_bearer && self.auth.token_key.is_none() {
            found.push((
                "auth.token_key",
                "with auth.access clients are sent for tokens, which need a key: make one with `lockgate token-key conf/token.key` and name it here, or have auth.challenge = \"basic\"",
            ));
        }
        let has_tokens = self.auth.token_key.is_some() || self.auth.tokens.is_some();
        if (self.auth.access.is_some() || has_tokens) && self.storage.is_none() && self.upstream.forward_authorization {
            found.push((
                "upstream.forward_authorization",
                "the registry behind would be shown tokens that it does not know, and asked without a password for what the gate has to know by itself, as which tags there are: switch off its own passwords and remove this, or have neither auth.access, auth.token_key nor auth.tokens",
            ));
        }
        found
    }
}

impl Configuration for Config {
    const PREFIX: Prefix = Prefix::new("LOCKGATE").except(&["LOCKGATE_BACKEND"]);
    const EITHER: &'static [Either] = &[Either {
        one: "upstream",
        other: "storage",
        advice: "keep [upstream] for a registry behind the gate, or [storage] for the one within",
    }];

    fn example() -> Self {
        Self {
            storage: Some(Storage::default()),
            retention: Retention::examples(),
            quota: Quota::examples(),
            ..Self::default()
        }
    }
}
