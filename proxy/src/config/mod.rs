//! The configuration: a TOML file and the environment, checked once.
//!
//! A file a section, with one struct that has the shape of what may be written: the comments of its fields
//! are the reference of the keys, their types refuse what is wrong, with its line and column, and its
//! `Default` holds where nothing is written. So nothing downstream checks a value again.

mod auth;
mod clients;
mod destination;
mod hsts;
mod limits;
mod listen;
mod origin;
mod realm;
mod shutdown;
mod tls;
mod upstream;
mod values;

#[cfg(test)]
mod tests;

use std::fmt;
use std::path::Path;

use lockgate_settings::{Prefix, Problems};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

pub use auth::Auth;
pub use clients::ClientRule;
use destination::Second;
pub use destination::{Destination, Storage};
pub use hsts::{Hsts, HstsError};
pub use limits::Limits;
pub use listen::Listen;
pub use lockgate_settings::{Log, LogFormat, LogLevel};
pub use origin::Origin;
pub use realm::Realm;
pub use shutdown::Shutdown;
pub use tls::Tls;
pub use upstream::Upstream;
pub use values::{SizeWithin, Within};

/// Every key `key` of `[section]` can be overridden by `LOCKGATE_<SECTION>_<KEY>`.
const ENV_PREFIX: Prefix = Prefix::new("LOCKGATE").except(&["LOCKGATE_BACKEND"]);

/// All sections.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Config {
    /// `[listen]`
    pub listen: Listen,
    /// `[tls]`
    pub tls: Tls,
    /// `[auth]`
    pub auth: Auth,
    /// `[upstream]` or `[storage]`
    pub destination: Destination,
    /// `[clients]`
    pub clients: ClientRule,
    /// `[limits]`
    pub limits: Limits,
    /// `[log]`
    pub log: Log,
    /// `[shutdown]`
    pub shutdown: Shutdown,
}

impl Config {
    /// Reads `file`, with the overrides of the environment.
    ///
    /// # Errors
    ///
    /// Everything that is wrong in the file and the environment at once. The files that it names are
    /// not looked at.
    pub fn load(file: &Path) -> Result<Self, Problems> {
        lockgate_settings::load(file, ENV_PREFIX)
    }

    /// Reads a text, without an environment; `file` only names it in problems.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn parse(text: &str, file: &Path) -> Result<Self, Problems> {
        lockgate_settings::parse(text, file, ENV_PREFIX, [])
    }

    /// Reads `file` as [`Config::load`] does, with everything that is wrong beside what could be read:
    /// a mistaken key has its default.
    pub fn survey(file: &Path) -> (Option<Self>, Problems) {
        lockgate_settings::survey(file, ENV_PREFIX)
    }

    /// The defaults, with the overrides of the environment: a configuration without a file.
    ///
    /// # Errors
    ///
    /// Everything that is wrong in the environment at once.
    pub fn from_environment() -> Result<Self, Problems> {
        lockgate_settings::from_environment(ENV_PREFIX)
    }
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "lowercase")]
enum Section {
    Listen,
    Tls,
    Auth,
    Upstream,
    Storage,
    Clients,
    Limits,
    Log,
    Shutdown,
}

/// Written by hand for the two sections of which one makes [`Config::destination`].
impl<'de> Deserialize<'de> for Config {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Sections;

        impl<'de> Visitor<'de> for Sections {
            type Value = Config;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("sections")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Config, A::Error> {
                let mut config = Config::default();
                let mut destination = None;
                while let Some(section) = map.next_key()? {
                    match section {
                        Section::Listen => config.listen = map.next_value()?,
                        Section::Tls => config.tls = map.next_value()?,
                        Section::Auth => config.auth = map.next_value()?,
                        Section::Upstream | Section::Storage if destination.is_some() => {
                            match map.next_value::<Second>()? {}
                        }
                        Section::Upstream => destination = Some(Destination::Upstream(map.next_value()?)),
                        Section::Storage => destination = Some(Destination::Storage(map.next_value()?)),
                        Section::Clients => config.clients = map.next_value()?,
                        Section::Limits => config.limits = map.next_value()?,
                        Section::Log => config.log = map.next_value()?,
                        Section::Shutdown => config.shutdown = map.next_value()?,
                    }
                }
                config.destination = destination.unwrap_or_default();
                Ok(config)
            }
        }

        deserializer.deserialize_map(Sections)
    }
}
