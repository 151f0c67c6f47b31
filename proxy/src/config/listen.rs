//! `[listen]`: where clients come in.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::thread::available_parallelism;

use lockgate_settings::{Endpoint, Within};
use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use smart_default::SmartDefault;

/// `[listen]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema, SmartDefault)]
#[serde(default, deny_unknown_fields)]
pub struct Listen {
    /// The address for clients: 0.0.0.0 is every IPv4 interface, `[::]` IPv6 too. Where systemd
    /// gives a socket (LISTEN_FDS), or a running process hands its own over, that one is used whatever stands here.
    #[serde(deserialize_with = "tcp_address")]
    #[schemars(with = "String", extend("title" = "an IP address and a port"))]
    #[default(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 5043)))]
    pub https: SocketAddr,
    /// A Unix socket by which a new process takes over from the one that runs, without a lost request: start the new
    /// one with the same configuration. Its directory must exist and be this user's alone. Empty: none.
    #[serde(with = "lockgate_settings::path::if_any")]
    #[schemars(schema_with = "lockgate_settings::path::schema")]
    pub handover: Option<PathBuf>,
    /// Whether HTTP/2 is offered beside HTTP/1.1. docker, podman and skopeo do not use it, and it is slower for large
    /// layers.
    pub http2: bool,
    /// Threads that move bytes. 0: one a core.
    #[default(const { Within::of(0) })]
    pub threads: Within<0, 1024>,
}

impl Listen {
    /// Threads that move bytes. The cores are those that this process may use, as its cgroup says.
    pub fn threads(&self) -> NonZeroUsize {
        self.threads.non_zero().unwrap_or_else(|| available_parallelism().unwrap_or(NonZeroUsize::MIN))
    }
}

fn tcp_address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    match Endpoint::deserialize(deserializer)? {
        Endpoint::Tcp(address) => Ok(address),
        Endpoint::Unix(_) => Err(D::Error::custom("TLS is served on an IP address and a port, as in \"0.0.0.0:5043\"")),
    }
}
