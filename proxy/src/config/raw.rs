//! The shape of `conf/lockgate.toml`: what may be written, what it means, and what holds where
//! nothing is written. A file a section.

mod auth;
mod clients;
mod limits;
mod listen;
mod log;
mod shutdown;
mod tls;
mod upstream;

use serde::Deserialize;

pub(super) use self::auth::Auth;
pub(super) use self::clients::Clients;
pub(super) use self::limits::Limits;
pub(super) use self::listen::Listen;
pub(super) use self::log::Log;
pub use self::log::LogFormat;
pub(super) use self::shutdown::Shutdown;
pub(super) use self::tls::Tls;
pub(super) use self::upstream::Upstream;

/// The whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Config {
    pub(super) listen: Listen,
    pub(super) tls: Tls,
    pub(super) auth: Auth,
    pub(super) upstream: Upstream,
    pub(super) clients: Clients,
    pub(super) limits: Limits,
    pub(super) log: Log,
    pub(super) shutdown: Shutdown,
}
