//! Which address: found, checked and chosen by `pingora-load-balancing`, with one upstream as with several.
//!
//! Names are resolved in the background, every `upstream.resolve_interval`, and at once when a connect failed, since a
//! recreated container has a new address. Of several addresses, one that is away gets no requests: since a connect
//! failed, until it answers a check, or since it failed `upstream.health_failures` checks.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pingora::protocols::l4::socket::SocketAddr;
use pingora_load_balancing::selection::RoundRobin;
use pingora_load_balancing::{Backend, Backends, LoadBalancer};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::failure::Failure;
use super::health::{AnswerCheck, Outcomes};
use super::names::Names;
use crate::config;
use crate::lock::lock;

/// How many addresses are looked at to find a healthy one.
const MAX_LOOKS: usize = 256;

/// The addresses of the upstreams, and whose turn it is.
pub(super) struct Balancer {
    resolve_interval: Duration,
    health_interval: Duration,
    addresses: LoadBalancer<RoundRobin>,
    is_several: AtomicBool,
    /// When the names were resolved last. Held meanwhile: pingora wants one update at a time.
    resolved: tokio::sync::Mutex<Option<Instant>>,
    outcomes: Outcomes,
    /// Those of which the log says that they are away.
    away: Mutex<BTreeSet<SocketAddr>>,
    /// A connect failed.
    failed: Notify,
    /// All were checked.
    checked: Notify,
}

impl Balancer {
    /// One that knows no address yet.
    pub(super) fn new(config: &config::Upstream) -> Self {
        let outcomes = Outcomes::default();
        let names = Names::new(&config.url, config.connect_timeout.duration());
        let mut addresses = LoadBalancer::from_backends(Backends::new(Box::new(names)));
        addresses.set_health_check(Box::new(AnswerCheck::new(config, outcomes.clone())));
        Self {
            resolve_interval: config.resolve_interval.duration(),
            health_interval: config.health_interval.duration(),
            addresses,
            is_several: AtomicBool::new(false),
            resolved: tokio::sync::Mutex::default(),
            outcomes,
            away: Mutex::default(),
            failed: Notify::new(),
            checked: Notify::new(),
        }
    }

    /// Resolves and checks again and again, and calls `each` after it.
    pub(super) async fn keep_current(&self, each: impl Fn()) {
        let resolving = async {
            loop {
                self.resolve().await;
                each();
                self.pause(self.resolve_interval).await;
            }
        };
        let checking = async {
            loop {
                self.pause(self.health_interval).await;
                // Of one address there is nothing to choose: it is asked whatever a check says.
                if self.is_several() || !lock(&self.away).is_empty() {
                    self.check().await;
                    each();
                }
            }
        };
        tokio::join!(resolving, checking);
    }

    async fn pause(&self, interval: Duration) {
        let _ = tokio::time::timeout(interval, self.failed.notified()).await;
    }

    /// Resolves the names, unless somebody else did after this was asked for.
    async fn resolve(&self) {
        let asked = Instant::now();
        let mut resolved = self.resolved.lock().await;
        if resolved.is_none_or(|at| at <= asked) {
            *resolved = Some(Instant::now());
            // Each name says in the log what is wrong, and keeps its last good answer.
            let _ = self.addresses.update().await;
            self.is_several.store(self.addresses.backends().get_backend().len() > 1, Ordering::Relaxed);
        }
    }

    async fn check(&self) {
        let backends = self.addresses.backends();
        backends.run_health_check(true).await;
        for backend in backends.get_backend().iter() {
            if matches!(lock(&self.outcomes).get(&backend.addr), Some(None)) {
                backends.set_enable(backend, true);
            }
        }
        self.tell();
        self.checked.notify_waiters();
    }

    /// Says who goes and who comes back.
    fn tell(&self) {
        let current = self.addresses.backends().get_backend();
        let mut away = lock(&self.away);
        away.retain(|address| current.iter().any(|backend| backend.addr == *address));
        for Backend { addr, .. } in current.iter() {
            if self.is_ready(addr) {
                if away.remove(addr) {
                    tracing::info!(upstream = %addr, "the upstream is back");
                }
            } else if away.insert(addr.clone()) {
                let why = lock(&self.outcomes).get(addr).cloned().flatten().unwrap_or_default();
                tracing::warn!(upstream = %addr, why, "the upstream is away; the others are asked");
            }
        }
    }

    /// Whether there is a choice.
    pub(super) fn is_several(&self) -> bool {
        self.is_several.load(Ordering::Relaxed)
    }

    /// Whether the upstream still has this address.
    pub(super) fn is_current(&self, address: &SocketAddr) -> bool {
        self.addresses.backends().get_backend().iter().any(|backend| backend.addr == *address)
    }

    /// Whether it is one of the upstream's, and gets requests.
    pub(super) fn is_ready(&self, address: &SocketAddr) -> bool {
        let backends = self.addresses.backends();
        backends.get_backend().iter().any(|backend| backend.addr == *address && backends.ready(backend))
    }

    /// How many get requests, and how many do not.
    pub(super) fn counts(&self) -> (usize, usize) {
        let backends = self.addresses.backends();
        let current = backends.get_backend();
        let ready = current.iter().filter(|backend| backends.ready(backend)).count();
        (ready, current.len() - ready)
    }

    /// Whether another one than this gets requests.
    pub(super) fn has_other(&self, address: &SocketAddr) -> bool {
        let backends = self.addresses.backends();
        self.is_several()
            && backends.get_backend().iter().any(|backend| backend.addr != *address && backends.ready(backend))
    }

    /// An address could not be connected to: the others get its requests until it answers a check.
    pub(super) fn failed(&self, address: &SocketAddr, why: &Failure) {
        if self.is_several() && self.is_ready(address) {
            let backends = self.addresses.backends();
            let current = backends.get_backend();
            lock(&self.outcomes).insert(address.clone(), Some(why.to_string()));
            current.iter().filter(|each| each.addr == *address).for_each(|each| backends.set_enable(each, false));
            self.tell();
            self.failed.notify_waiters();
        }
    }

    /// Ready when an address turns out, by a check, to be away.
    pub(super) async fn gone(&self, address: &SocketAddr) {
        loop {
            self.checked.notified().await;
            let is_failing = lock(&self.outcomes).get(address).is_some_and(Option::is_some);
            if is_failing && !self.is_ready(address) {
                return;
            }
        }
    }

    /// The healthy one whose turn it is; `None` where there are none or no choice.
    pub(super) fn next_of_several(&self) -> Option<SocketAddr> {
        if self.is_several() { self.select(|_, ready| ready) } else { None }
    }

    /// The address whose turn it is: a healthy one, if there is one, and not `failed`, which was tried just now, if there
    /// is another. Where there is none such the names are resolved anew first. `None` while there is no address.
    pub(super) async fn choose(&self, failed: Option<&SocketAddr>) -> Option<SocketAddr> {
        let is_other = |address: &SocketAddr| failed != Some(address);
        if let Some(address) = self.select(|address, ready| ready && is_other(address)) {
            return Some(address);
        }
        self.resolve().await;
        let chosen = self.select(|address, ready| ready && is_other(address));
        let chosen = chosen.or_else(|| self.select(|_, ready| ready));
        chosen.or_else(|| self.select(|address, _| is_other(address))).or_else(|| self.select(|_, _| true))
    }

    fn select(&self, accept: impl Fn(&SocketAddr, bool) -> bool) -> Option<SocketAddr> {
        let accept = |backend: &Backend, ready| accept(&backend.addr, ready);
        self.addresses.select_with(b"", MAX_LOOKS, accept).map(|backend| backend.addr)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Origin, Origins};

    fn balancer(origins: Vec<Origin>) -> Balancer {
        let url = Origins::try_from(origins).expect("a list");
        Balancer::new(&config::Upstream { url, ..config::Upstream::default() })
    }

    fn tcp(host: &str) -> Origin {
        Origin::Tcp { host: host.to_owned(), port: 5000 }
    }

    #[tokio::test]
    async fn the_only_address_is_chosen_though_it_failed() {
        let balancer = balancer(vec![tcp("192.0.2.1")]);
        let first = balancer.choose(None).await.expect("an address");
        assert_eq!(first.to_string(), "192.0.2.1:5000");
        balancer.failed(&first, &Failure::Silent);
        assert!(balancer.is_ready(&first));
        assert_eq!(balancer.choose(Some(&first)).await, Some(first));
    }

    #[tokio::test]
    async fn a_socket_is_an_address_like_any_other() {
        let balancer = balancer(vec![Origin::Unix("/run/registry.sock".into())]);
        let address = balancer.choose(None).await.expect("an address");
        assert!(balancer.is_current(&address));
        assert!(matches!(address, SocketAddr::Unix(_)));
    }

    #[tokio::test]
    async fn one_that_failed_is_passed_over_and_asked_only_where_all_did() {
        let balancer = balancer(vec![tcp("192.0.2.1"), tcp("192.0.2.2")]);
        let first = balancer.choose(None).await.expect("an address");
        let second = balancer.choose(None).await.expect("an address");
        assert_ne!(first, second, "each in turn");
        balancer.failed(&first, &Failure::Silent);
        for _ in 0..4 {
            assert_eq!(balancer.next_of_several(), Some(second.clone()));
            assert_eq!(balancer.choose(Some(&second)).await, Some(second.clone()), "the other one is away");
        }
        balancer.failed(&second, &Failure::Silent);
        assert_eq!(balancer.next_of_several(), None);
        assert_eq!(balancer.choose(Some(&second)).await, Some(first));
    }
}
