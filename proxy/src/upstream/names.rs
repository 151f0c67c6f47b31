//! Discovery: the addresses of the configured upstreams.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::net::IpAddr;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use http::Extensions;
use pingora::protocols::l4::socket::SocketAddr;
use pingora::{Error, ErrorType};
use pingora_load_balancing::Backend;
use pingora_load_balancing::discovery::ServiceDiscovery;

use crate::config::{Origin, Origins};
use crate::lock::lock;

/// Finds the addresses of all upstreams. A name that cannot be resolved keeps those that it had, and hinders no other.
pub(super) struct Names {
    names: Vec<Name>,
    timeout: Duration,
}

struct Name {
    origin: Origin,
    known: Mutex<Known>,
}

/// What was said of a name in the log.
#[derive(Default)]
struct Known {
    addresses: BTreeSet<SocketAddr>,
    is_failing: bool,
}

impl Names {
    /// Those of `origins`; an answer of the resolver is awaited for `timeout`.
    pub(super) fn new(origins: &Origins, timeout: Duration) -> Self {
        let names = origins.iter().map(|origin| Name { origin: origin.clone(), known: Mutex::default() });
        Self { names: names.collect(), timeout }
    }
}

#[async_trait]
impl ServiceDiscovery for Names {
    async fn discover(&self) -> pingora::Result<(BTreeSet<Backend>, HashMap<u64, bool>)> {
        let looked_up = self.names.iter().map(|name| name.resolve(self.timeout));
        let found: BTreeSet<_> = futures_util::future::join_all(looked_up).await.into_iter().flatten().collect();
        if found.is_empty() {
            return Err(Error::explain(ErrorType::ConnectNoRoute, "no address"));
        }
        let backend = |addr| Backend { addr, weight: 1, ext: Extensions::new() };
        Ok((found.into_iter().map(backend).collect(), HashMap::new()))
    }
}

impl Name {
    /// The addresses of now, or else of before. Says when that begins to fail and when it heals.
    async fn resolve(&self, timeout: Duration) -> BTreeSet<SocketAddr> {
        let found = look_up(&self.origin, timeout).await;
        let mut known = lock(&self.known);
        match found {
            Ok(found) => {
                if std::mem::take(&mut known.is_failing) {
                    tracing::info!(upstream = %self.origin, "the upstream's name resolves again");
                }
                if self.is_name() && known.addresses != found {
                    tracing::info!(upstream = %self.origin, addresses = ?found, "resolved");
                }
                known.addresses = found;
            }
            Err(error) => {
                if !std::mem::replace(&mut known.is_failing, true) {
                    tracing::warn!(upstream = %self.origin, %error, "cannot resolve the upstream's name; trying on");
                }
            }
        }
        known.addresses.clone()
    }

    /// An address is no name that anybody resolved.
    fn is_name(&self) -> bool {
        matches!(&self.origin, Origin::Tcp { host, .. } if host.parse::<IpAddr>().is_err())
    }
}

async fn look_up(origin: &Origin, timeout: Duration) -> io::Result<BTreeSet<SocketAddr>> {
    match origin {
        Origin::Unix(path) => {
            let address = std::os::unix::net::SocketAddr::from_pathname(path)?;
            Ok(BTreeSet::from([SocketAddr::Unix(address)]))
        }
        Origin::Tcp { host, port } => {
            let lookup = tokio::net::lookup_host((host.as_str(), *port));
            let found: BTreeSet<_> = tokio::time::timeout(timeout, lookup).await??.map(SocketAddr::Inet).collect();
            if found.is_empty() {
                return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
            }
            Ok(found)
        }
    }
}
