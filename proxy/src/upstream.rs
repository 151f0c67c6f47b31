//! Where to: the registry behind the gate, by address.
//!
//! pingora resolves a name by a blocking call for every request, and panics when that fails. Here a
//! name is resolved in the background, every `upstream.resolve_interval`, and at once when a connect
//! failed, since a recreated container has a new address. The last good answer is kept meanwhile.

mod answer;
mod blob_connection;
mod kept;
mod memory;

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use http::Method;
use http::header::RANGE;
use lockgate_oci::Route;
use pingora::Result;
use pingora::http::RequestHeader;
use pingora::upstreams::peer::{HttpPeer, HttpUpstreamRequestPolicy, Peer as _, PeerOptions};

use crate::access::Permit;
use crate::config::{self, Origin};

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use answer::Answer;
pub(crate) use blob_connection::Reuse;
use blob_connection::{BlobConnections, ForBlob};
use kept::Bounds;
use memory::Memory;

/// pingora looks for a kept connection under this key, and finds none: those under 0 are for all other requests.
const BLOBS: u64 = 1;

/// The upstream with the addresses it has now.
#[derive(Debug)]
pub(crate) struct Upstream {
    origin: Origin,
    options: PeerOptions,
    /// How it is connected to for a blob, if there is memory to read it ahead.
    blob_connections: Option<Arc<BlobConnections>>,
    connect_timeout: Duration,
    resolve_interval: Duration,
    /// As the resolver gave them. Empty until the name was resolved once.
    addresses: RwLock<Arc<[SocketAddr]>>,
    /// Which of them is asked: the next one, after it could not be connected to.
    preferred: AtomicUsize,
}

impl Upstream {
    /// An upstream whose name was not resolved yet.
    pub(crate) fn new(config: &config::Upstream) -> Self {
        let mut options = PeerOptions::new();
        options.connection_timeout = Some(config.connect_timeout.duration());
        options.total_connection_timeout = Some(config.connect_timeout.duration());
        options.read_timeout = Some(config.read_timeout.duration());
        options.write_timeout = Some(config.write_timeout.duration());
        options.idle_timeout = Some(config.idle_timeout.duration());
        options.http_upstream_request_policy = HttpUpstreamRequestPolicy::deny_upgrades();
        let idle_timeout = config.idle_timeout.duration();
        let bounds = Bounds { connections: config.keepalive_connections.get(), idle_timeout };
        Self {
            origin: config.url.clone(),
            options,
            blob_connections: Memory::of(config.read_ahead.bytes())
                .map(|memory| Arc::new(BlobConnections::new(memory, bounds))),
            connect_timeout: config.connect_timeout.duration(),
            resolve_interval: config.resolve_interval.duration(),
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
        self.learn(found);
        Ok(())
    }

    /// Takes what the resolver found. One that answers in turns says nothing new.
    fn learn(&self, found: Arc<[SocketAddr]>) {
        let mut addresses = self.addresses.write().expect("no code panics while it holds this lock");
        let is_known = addresses.len() == found.len() && found.iter().all(|address| addresses.contains(address));
        if !is_known {
            tracing::info!(upstream = %self.origin, addresses = ?found, "resolved");
            *addresses = found;
            self.preferred.store(0, Ordering::Relaxed);
        }
    }

    /// Asks the resolver again and again, and says when it begins to fail and when it heals. Closes old connections
    /// on the way.
    pub(crate) async fn keep_resolved(self: Arc<Self>) {
        let mut failing = false;
        loop {
            match self.resolve().await {
                Ok(()) if failing => {
                    failing = false;
                    tracing::info!(upstream = %self.origin, "the upstream's name resolves again");
                }
                Ok(()) => {}
                Err(error) if !failing => {
                    failing = true;
                    tracing::warn!(upstream = %self.origin, %error, "cannot resolve the upstream's name; trying on");
                }
                Err(_) => {}
            }
            if let Some(connections) = &self.blob_connections {
                connections.forget();
            }
            tokio::time::sleep(self.resolve_interval).await;
        }
    }

    /// For a permitted request without a body: what will be known of its connection, if it is for a whole blob,
    /// which may be a layer. Parts of blobs are small.
    pub(crate) fn for_a_blob(&self, permit: &Permit, request: &RequestHeader) -> Option<Reuse> {
        let is_whole = request.method == Method::GET && !request.headers.contains_key(RANGE);
        let is_blob = matches!(permit.route(), Route::Blob(..));
        (is_whole && is_blob && self.blob_connections.is_some()).then(Reuse::default)
    }

    /// The peer for a permitted request; `blob` as [`Upstream::for_a_blob`] says. After `failed_connects`, and where
    /// no address is known, the name is resolved anew first. `None` while the name has no address.
    pub(crate) async fn peer(
        &self,
        _permit: &Permit,
        blob: Option<&Reuse>,
        failed_connects: usize,
    ) -> Result<Option<Box<HttpPeer>>> {
        if failed_connects > 0 || self.address().is_none() {
            // The warning is given by `keep_resolved`; here the last good answer has to do.
            let _ = self.resolve().await;
        }
        let mut peer = match &self.origin {
            Origin::Unix(path) => HttpPeer::new_uds(&path.to_string_lossy(), false, String::new())?,
            Origin::Tcp { .. } => match self.address() {
                Some(address) => HttpPeer::new(address, false, String::new()),
                None => return Ok(None),
            },
        };
        peer.options = self.options.clone();
        if let (Some(reuse), Some(connections)) = (blob, &self.blob_connections) {
            let (connections, reuse) = (connections.clone(), reuse.clone());
            peer.options.custom_l4 = Some(Arc::new(ForBlob { connections, reuse }));
            peer.group_key = BLOBS;
        }
        Ok(Some(Box::new(peer)))
    }

    /// Turns to the next address because this peer could not be connected to; once, however many
    /// requests find that out together.
    pub(crate) fn avoid(&self, peer: &HttpPeer) {
        let preferred = self.preferred.load(Ordering::Relaxed);
        if self.address().as_ref() == peer.address().as_inet() {
            let next = preferred.wrapping_add(1);
            // Who lost the race saw another do it.
            let _ = self.preferred.compare_exchange(preferred, next, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    fn address(&self) -> Option<SocketAddr> {
        let addresses = self.addresses.read().expect("no code panics while it holds this lock").clone();
        let at = self.preferred.load(Ordering::Relaxed).checked_rem(addresses.len())?;
        addresses.get(at).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = "192.0.2.1:5000";
    const SECOND: &str = "192.0.2.2:5000";

    fn addresses(texts: &[&str]) -> Arc<[SocketAddr]> {
        texts.iter().map(|text| text.parse::<SocketAddr>().expect("an address")).collect()
    }

    fn upstream() -> Upstream {
        let upstream = Upstream::new(&config::Upstream::default());
        upstream.learn(addresses(&[FIRST, SECOND]));
        upstream
    }

    fn asked(upstream: &Upstream) -> String {
        upstream.address().expect("an address").to_string()
    }

    #[test]
    fn however_many_requests_find_an_address_dead_together_the_next_one_is_asked() {
        let upstream = upstream();
        let dead = HttpPeer::new(FIRST, false, String::new());
        for _ in 0..4 {
            upstream.avoid(&dead);
            assert_eq!(asked(&upstream), SECOND);
        }
        upstream.avoid(&HttpPeer::new(SECOND, false, String::new()));
        assert_eq!(asked(&upstream), FIRST);
    }

    #[test]
    fn a_resolver_that_answers_in_turns_does_not_lead_back_to_a_dead_address() {
        let upstream = upstream();
        upstream.avoid(&HttpPeer::new(FIRST, false, String::new()));
        upstream.learn(addresses(&[SECOND, FIRST]));
        upstream.learn(addresses(&[FIRST, SECOND]));
        assert_eq!(asked(&upstream), SECOND);
        upstream.learn(addresses(&[FIRST]));
        assert_eq!(asked(&upstream), FIRST);
    }
}
