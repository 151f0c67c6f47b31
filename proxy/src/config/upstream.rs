//! `[upstream]`: the registry behind the gate.

use lockgate_settings::{ByteSize, Period};
use serde::Deserialize;

use super::{Origin, Within};

/// The section.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Upstream {
    /// The registry behind the gate, which speaks plain HTTP on a private network: `"http://host:port"`, or
    /// "unix:/path" of its socket.
    #[serde(deserialize_with = "lockgate_settings::parsed")]
    pub url: Origin,
    /// How long a connection to it may take to stand. It is tried twice; then the client gets 504.
    pub connect_timeout: Period,
    /// How long it may be silent while its answer is awaited or read. After that the client gets 504.
    pub read_timeout: Period,
    /// How long it may take nothing of what is sent to it.
    pub write_timeout: Period,
    /// How long an unused connection to it is kept for the next request. Choose less than the registry's own limit.
    pub idle_timeout: Period,
    /// How many unused connections to it are kept, 1 to 65536.
    pub keepalive_connections: Within<1, 65_536>,
    /// Memory in which layers are read ahead of the clients that pull them, 1MiB for each pull. Those that get none of
    /// it cost more processor time. Less than 1MiB is none at all.
    pub read_ahead: ByteSize,
    /// How often its name is resolved again, since a container that is made anew has another address. A connection that
    /// fails resolves it at once.
    pub resolve_interval: Period,
    /// Whether the Authorization header goes on to it. Only for a registry that asks for the same passwords.
    pub forward_authorization: bool,
}

impl Default for Upstream {
    fn default() -> Self {
        Self {
            url: Origin::Tcp { host: "registry".to_owned(), port: 5000 },
            connect_timeout: Period::from_secs(10),
            read_timeout: Period::from_secs(900),
            write_timeout: Period::from_secs(900),
            idle_timeout: Period::from_secs(60),
            keepalive_connections: const { Within::of(128) },
            read_ahead: ByteSize::from_mib(32),
            resolve_interval: Period::from_secs(5),
            forward_authorization: false,
        }
    }
}
