//! Where to: the registry behind the gate, by address.
//!
//! pingora resolves a name by a blocking call for every request, and panics when that fails. Here a
//! name is resolved in the background, every `upstream.resolve_interval`, and at once when a connect
//! failed, since a recreated container has a new address. The last good answer is kept meanwhile.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use pingora::Result;
use pingora::upstreams::peer::{HttpPeer, HttpUpstreamRequestPolicy, PeerOptions};

use crate::access::Permit;
use crate::config::{self, Origin};

/// The upstream with the addresses it has now.
#[derive(Debug)]
pub(crate) struct Upstream {
    origin: Origin,
    options: PeerOptions,
    connect_timeout: Duration,
    resolve_interval: Duration,
    /// As the resolver gave them. Empty until the name was resolved once.
    addresses: RwLock<Arc<[SocketAddr]>>,
    /// Which of them is asked: the next one, after a failed connect.
    preferred: AtomicUsize,
}

impl Upstream {
    /// An upstream whose name was not resolved yet.
    pub(crate) fn new(config: &config::Upstream) -> Self {
        let mut options = PeerOptions::new();
        options.connection_timeout = Some(config.connect_timeout);
        options.total_connection_timeout = Some(config.connect_timeout);
        options.read_timeout = Some(config.read_timeout);
        options.write_timeout = Some(config.write_timeout);
        options.idle_timeout = Some(config.idle_timeout);
        options.http_upstream_request_policy = HttpUpstreamRequestPolicy::deny_upgrades();
        Self {
            origin: config.origin.clone(),
            options,
            connect_timeout: config.connect_timeout,
            resolve_interval: config.resolve_interval,
            addresses: RwLock::new(Arc::from([])),
            preferred: AtomicUsize::new(0),
        }
    }

    /// Asks the resolver once.
    pub(crate) async fn resolve(&self) -> io::Result<()> {
        let Origin::Tcp { host, port } = &self.origin else { return Ok(()) };
        let lookup = tokio::net::lookup_host((host.as_str(), *port));
        let found: Arc<[SocketAddr]> = tokio::time::timeout(self.connect_timeout, lookup).await??.collect();
        if found.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
        }
        let mut addresses = self.addresses.write().expect("no code panics while it holds this lock");
        if *addresses != found {
            tracing::info!(upstream = %self.origin, addresses = ?found, "resolved");
            *addresses = found;
            self.preferred.store(0, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Asks the resolver again and again, and says when it begins to fail and when it heals.
    pub(crate) async fn keep_resolved(self: Arc<Self>) {
        let mut failing = false;
        loop {
            match self.resolve().await {
                Ok(()) => failing = false,
                Err(error) if !failing => {
                    failing = true;
                    tracing::warn!(upstream = %self.origin, %error, "cannot resolve the upstream's name; trying on");
                }
                Err(_) => {}
            }
            tokio::time::sleep(self.resolve_interval).await;
        }
    }

    /// The peer for a permitted request. After `failed_connects` the name is resolved anew first.
    /// `None` while the name has no address.
    pub(crate) async fn peer(&self, _permit: &Permit, failed_connects: usize) -> Result<Option<Box<HttpPeer>>> {
        if failed_connects > 0 {
            // The warning is given by `keep_resolved`; here the last good answer has to do.
            let _ = self.resolve().await;
            self.preferred.fetch_add(1, Ordering::Relaxed);
        }
        let mut peer = match &self.origin {
            Origin::Unix(path) => HttpPeer::new_uds(&path.to_string_lossy(), false, String::new())?,
            Origin::Tcp { .. } => match self.address() {
                Some(address) => HttpPeer::new(address, false, String::new()),
                None => return Ok(None),
            },
        };
        peer.options = self.options.clone();
        Ok(Some(Box::new(peer)))
    }

    fn address(&self) -> Option<SocketAddr> {
        let addresses = self.addresses.read().expect("no code panics while it holds this lock").clone();
        let at = self.preferred.load(Ordering::Relaxed).checked_rem(addresses.len())?;
        addresses.get(at).copied()
    }
}
