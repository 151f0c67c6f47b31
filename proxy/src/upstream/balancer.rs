//! Which address: found, checked and chosen by `pingora-load-balancing`, with one upstream as with several.
//!
//! A name is resolved in the background, every `upstream.resolve_interval`, and at once when a connect failed, since
//! a recreated container has a new address. The last good answer is kept meanwhile.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::net::IpAddr;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use http::Extensions;
use pingora::protocols::l4::socket::SocketAddr;
use pingora::{Error, ErrorType};
use pingora_load_balancing::discovery::ServiceDiscovery;
use pingora_load_balancing::health_check::HealthCheck;
use pingora_load_balancing::selection::RoundRobin;
use pingora_load_balancing::{Backend, Backends, LoadBalancer};

use super::read_ahead::ReadAheadBudget;
use super::socket::Socket;
use crate::config::{self, Origin};
use crate::lock::lock;

/// How many addresses are looked at to find a healthy one.
const MAX_LOOKS: usize = 256;

/// The addresses of the upstream, and whose turn it is.
pub(super) struct Balancer {
    origin: Origin,
    resolve_interval: Duration,
    addresses: LoadBalancer<RoundRobin>,
}

impl Balancer {
    /// One that knows no address yet.
    pub(super) fn new(config: &config::Upstream) -> Self {
        let names =
            Names { origin: config.url.clone(), timeout: config.connect_timeout.duration(), last: Mutex::default() };
        let mut addresses = LoadBalancer::from_backends(Backends::new(Box::new(names)));
        addresses.set_health_check(Box::new(ConnectCheck { timeout: config.connect_timeout.duration() }));
        Self { origin: config.url.clone(), resolve_interval: config.resolve_interval.duration(), addresses }
    }

    /// Resolves and checks again and again, says when that begins to fail and when it heals, and calls `each` on the
    /// way.
    pub(super) async fn keep_current(&self, each: impl Fn()) {
        let mut failing = false;
        loop {
            match self.addresses.update().await {
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
            each();
            tokio::time::sleep(self.resolve_interval).await;
            // Of one address there is nothing to choose: it is asked whatever a check says.
            if self.addresses.backends().get_backend().len() > 1 {
                self.addresses.backends().run_health_check(true).await;
            }
        }
    }

    /// Whether the upstream still has this address.
    pub(super) fn is_current(&self, address: &SocketAddr) -> bool {
        self.addresses.backends().get_backend().iter().any(|backend| backend.addr == *address)
    }

    /// The address whose turn it is: a healthy one, if there is one, and not the one that was tried just now and
    /// `failed`, if there is another. After that, and where none is known, the name is resolved anew first. `None`
    /// while it has no address.
    pub(super) async fn choose(&self, failed: Option<&SocketAddr>) -> Option<SocketAddr> {
        let choose = |accept: &dyn Fn(&Backend, bool) -> bool| self.addresses.select_with(b"", MAX_LOOKS, accept);
        let is_other = |backend: &Backend| failed.is_none_or(|failed| backend.addr != *failed);
        if failed.is_none()
            && let Some(backend) = choose(&|_, healthy| healthy)
        {
            return Some(backend.addr);
        }
        // The warning is given by `keep_current`; here the last good answer has to do.
        let _ = self.addresses.update().await;
        let chosen = choose(&|backend, healthy| healthy && is_other(backend))
            .or_else(|| choose(&|backend, _| is_other(backend)))
            .or_else(|| choose(&|_, _| true));
        chosen.map(|backend| backend.addr)
    }
}

/// Finds the addresses of the configured origin.
struct Names {
    origin: Origin,
    timeout: Duration,
    /// What was said in the log.
    last: Mutex<BTreeSet<std::net::SocketAddr>>,
}

impl Names {
    async fn addresses(&self) -> io::Result<BTreeSet<SocketAddr>> {
        let (host, port) = match &self.origin {
            Origin::Unix(path) => {
                let address = std::os::unix::net::SocketAddr::from_pathname(path)?;
                return Ok(BTreeSet::from([SocketAddr::Unix(address)]));
            }
            Origin::Tcp { host, port } => (host, *port),
        };
        let lookup = tokio::net::lookup_host((host.as_str(), port));
        let found: BTreeSet<_> = tokio::time::timeout(self.timeout, lookup).await??.collect();
        if found.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
        }
        // An address is no name that anybody resolved.
        if host.parse::<IpAddr>().is_err() {
            self.tell(&found);
        }
        Ok(found.into_iter().map(SocketAddr::Inet).collect())
    }

    fn tell(&self, found: &BTreeSet<std::net::SocketAddr>) {
        let mut last = lock(&self.last);
        if *last != *found {
            tracing::info!(upstream = %self.origin, addresses = ?found, "resolved");
            last.clone_from(found);
        }
    }
}

#[async_trait]
impl ServiceDiscovery for Names {
    async fn discover(&self) -> pingora::Result<(BTreeSet<Backend>, HashMap<u64, bool>)> {
        let found = self.addresses().await;
        let found = found.map_err(|why| Error::because(ErrorType::ConnectNoRoute, "no address", why))?;
        let backend = |addr| Backend { addr, weight: 1, ext: Extensions::new() };
        Ok((found.into_iter().map(backend).collect(), HashMap::new()))
    }
}

/// An address is healthy while it can be connected to. pingora's own check would start a thread for its timers that
/// wakes a hundred times a second for ever.
struct ConnectCheck {
    timeout: Duration,
}

#[async_trait]
impl HealthCheck for ConnectCheck {
    async fn check(&self, target: &Backend) -> pingora::Result<()> {
        match tokio::time::timeout(self.timeout, Socket::connect(&target.addr, &ReadAheadBudget::new(0))).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(why)) => Err(Error::because(ErrorType::ConnectError, "it cannot be connected to", why)),
            Err(late) => Err(Error::because(ErrorType::ConnectTimedout, "it cannot be connected to", late)),
        }
    }

    fn health_threshold(&self, _: bool) -> usize {
        1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn balancer(host: &str) -> Balancer {
        let origin = Origin::Tcp { host: host.to_owned(), port: 5000 };
        let balancer = Balancer::new(&config::Upstream { url: origin, ..config::Upstream::default() });
        let _ = balancer.addresses.update().await;
        balancer
    }

    #[tokio::test]
    async fn the_only_address_is_chosen_though_it_failed() {
        let balancer = balancer("192.0.2.1").await;
        let first = balancer.choose(None).await.expect("an address");
        assert_eq!(first.to_string(), "192.0.2.1:5000");
        assert_eq!(balancer.choose(Some(&first)).await, Some(first));
    }

    #[tokio::test]
    async fn a_socket_is_an_address_like_any_other() {
        let origin = Origin::Unix("/run/registry.sock".into());
        let balancer = Balancer::new(&config::Upstream { url: origin, ..config::Upstream::default() });
        let address = balancer.choose(None).await.expect("an address");
        assert!(balancer.is_current(&address));
        assert!(matches!(address, SocketAddr::Unix(_)));
    }
}
