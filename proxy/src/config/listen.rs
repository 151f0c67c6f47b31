//! `[listen]`: where clients come in.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::thread::available_parallelism;

use lockgate_settings::Endpoint;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::Within;
use crate::files;

/// The section.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Listen {
    /// The IP address and port where TLS connections are accepted. Port 0 lets the system choose one.
    /// Not used where the socket is given by systemd (LISTEN_FDS) or taken over from a running process.
    #[serde(deserialize_with = "tcp_address")]
    pub https: SocketAddr,
    /// A Unix socket by which a new process takes over from the one that runs; empty for none. Both are
    /// of the same user. Its directory must exist.
    #[serde(deserialize_with = "files::path_if_any")]
    pub handover: Option<PathBuf>,
    /// Whether HTTP/2 is offered beside HTTP/1.1. docker, podman and skopeo do not ask for it, and it
    /// is slower for large layers.
    pub http2: bool,
    /// Threads that move bytes; 0 for one a core.
    pub threads: Within<0, 1024>,
}

impl Listen {
    /// Threads that move bytes. The cores are those that this process may use, as its cgroup says.
    pub fn threads(&self) -> NonZeroUsize {
        self.threads.non_zero().unwrap_or_else(|| available_parallelism().unwrap_or(NonZeroUsize::MIN))
    }
}

impl Default for Listen {
    fn default() -> Self {
        Self {
            https: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 5043)),
            handover: None,
            http2: false,
            threads: const { Within::of(0) },
        }
    }
}

fn tcp_address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    match Endpoint::deserialize(deserializer)? {
        Endpoint::Tcp(address) => Ok(address),
        Endpoint::Unix(_) => Err(D::Error::custom("TLS is served on an IP address and a port, as in \"0.0.0.0:5043\"")),
    }
}
