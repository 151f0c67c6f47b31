//! `[listen]`: where clients come in.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde::Deserialize;

use crate::config::values::{Within, path_if_any, tcp_address};

/// The section.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Listen {
    /// The IP address and port where TLS connections are accepted. Port 0 lets the system choose one.
    /// Not used where the socket is given by systemd (LISTEN_FDS) or taken over from a running process.
    #[serde(deserialize_with = "tcp_address")]
    pub(in crate::config) https: SocketAddr,
    /// A Unix socket by which a new process takes over from the one that runs; empty for none. Both are
    /// of the same user. Its directory must exist.
    #[serde(deserialize_with = "path_if_any")]
    pub(in crate::config) handover: Option<PathBuf>,
    /// Whether HTTP/2 is offered beside HTTP/1.1. docker, podman and skopeo do not ask for it, and it
    /// is slower for large layers.
    pub(in crate::config) http2: bool,
    /// Threads that move bytes; 0 for one a core.
    pub(in crate::config) threads: Within<0, 1024>,
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
