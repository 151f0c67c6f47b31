//! How many connections may be open, in all and from one address.
//!
//! When all places are taken nothing more is accepted: the next client waits in the system's queue,
//! which costs nothing and ends well when the rush is short. So that idle clients cannot hold the places
//! of active ones, the one that has been idle for the longest is asked to leave. Beyond its address's
//! share a connection is closed at once, before TLS costs anything.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};

use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::open_files;
use crate::config::Limits;
use crate::lock::lock;
use crate::metrics::{METRICS, OpenConnection};
use crate::network::Network;
use crate::rate_limited::RateLimitedWarning;

/// How long a connection must have waited for a request before its place can be given to another.
const IDLE_AFTER: Duration = Duration::from_secs(1);

/// Places for connections.
#[derive(Debug)]
pub(super) struct Admission {
    places: Arc<Semaphore>,
    in_all: usize,
    make_room: Notify,
    per_address: Option<NonZeroUsize>,
    taken: Arc<Taken>,
    full: RateLimitedWarning,
    crowded: RateLimitedWarning,
}

/// Places by address; an address without a connection is none of them.
#[derive(Debug, Default)]
struct Taken(Mutex<HashMap<Network, usize>>);

/// A place that was free when a connection was awaited.
#[derive(Debug)]
pub(super) struct Room(OwnedSemaphorePermit);

/// A connection's place, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    _permit: OwnedSemaphorePermit,
    /// Whose share it is of; none for one whose clients are many.
    network: Option<Network>,
    taken: Arc<Taken>,
    _open: OpenConnection,
}

impl Admission {
    /// Room for as many as `limits` or the limit of open files says.
    pub(super) fn new(limits: &Limits) -> Self {
        let in_all = open_files::room_for_connections(limits.connections.non_zero()).min(Semaphore::MAX_PERMITS);
        Self {
            places: Arc::new(Semaphore::new(in_all)),
            in_all,
            make_room: Notify::new(),
            per_address: limits.connections_per_address.non_zero(),
            taken: Arc::default(),
            full: RateLimitedWarning::default(),
            crowded: RateLimitedWarning::default(),
        }
    }

    /// Waits until there is room for one more.
    pub(super) async fn room(&self) -> Room {
        if let Ok(free) = self.places.clone().try_acquire_owned() {
            return Room(free);
        }
        METRICS.limit("limits.connections");
        if let Some(times) = self.full.count() {
            let limit = self.in_all;
            tracing::warn!(limit, times, "all connections are taken (limits.connections); new clients wait");
        }
        self.ask_for_room();
        Room(self.places.clone().acquire_owned().await.expect("nobody closes it"))
    }

    /// Asks the connection that has been idle for the longest to leave, or else the next one that
    /// becomes idle.
    pub(super) fn ask_for_room(&self) {
        self.make_room.notify_one();
    }

    /// Resolves for a connection that is idle, not just between two requests, when its place is needed. Who waits
    /// first is asked first.
    pub(super) async fn idle_place_is_needed(&self) {
        tokio::time::sleep(IDLE_AFTER).await;
        self.make_room.notified().await;
    }

    /// A place that counts for no address yet.
    pub(super) fn place(&self, room: Room) -> Place {
        Place { _permit: room.0, network: None, taken: self.taken.clone(), _open: METRICS.connection() }
    }

    /// Has a place count for `client`. False when its address has its share.
    pub(super) fn count(&self, place: &mut Place, client: SocketAddr) -> bool {
        let network = Network::from(client.ip());
        if let Some(limit) = self.per_address.filter(|limit| self.taken.by(network) >= limit.get()) {
            METRICS.limit("limits.connections_per_address");
            if let Some(refused) = self.crowded.count() {
                tracing::warn!(
                    client = %network, limit, refused,
                    "connections beyond an address's share are closed (limits.connections_per_address)"
                );
            }
            return false;
        }
        *lock(&self.taken.0).entry(network).or_default() += 1;
        place.network = Some(network);
        true
    }
}

impl Taken {
    fn by(&self, network: Network) -> usize {
        lock(&self.0).get(&network).copied().unwrap_or(0)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(network) = self.network
            && let Entry::Occupied(mut taken) = lock(&self.taken.0).entry(network)
        {
            *taken.get_mut() -= 1;
            if *taken.get() == 0 {
                taken.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use lockgate_settings::Within;

    fn admission(in_all: u32, per_address: u32) -> Admission {
        let (connections, connections_per_address) = (Within::of(in_all), Within::of(per_address));
        Admission::new(&Limits { connections, connections_per_address, ..Config::default().limits })
    }

    async fn enter(admission: &Admission, peer: &str) -> Option<Place> {
        let mut place = admission.place(admission.room().await);
        admission.count(&mut place, peer.parse().expect("an address")).then_some(place)
    }

    #[tokio::test]
    async fn an_address_has_its_share_and_no_other_address_is_touched() {
        let admission = admission(100, 2);
        let first = enter(&admission, "192.0.2.1:1").await.expect("a place");
        let _second = enter(&admission, "[::ffff:192.0.2.1]:2").await.expect("a place");
        assert!(enter(&admission, "192.0.2.1:3").await.is_none());
        assert!(enter(&admission, "192.0.2.2:3").await.is_some());
        drop(first);
        assert!(enter(&admission, "192.0.2.1:4").await.is_some());
    }

    #[tokio::test]
    async fn a_whole_ipv6_network_is_one_address() {
        let admission = admission(100, 1);
        let place = enter(&admission, "[2001:db8:0:1::1]:1").await.expect("a place");
        assert!(enter(&admission, "[2001:db8:0:1:ffff::2]:1").await.is_none());
        assert!(enter(&admission, "[2001:db8:0:2::1]:1").await.is_some());
        drop(place);
        assert!(lock(&admission.taken.0).is_empty(), "an address without connections is forgotten");
    }

    #[tokio::test]
    async fn a_refused_connection_takes_no_place() {
        let admission = admission(2, 1);
        let _place = enter(&admission, "192.0.2.1:1").await.expect("a place");
        for _ in 0..10 {
            assert!(enter(&admission, "192.0.2.1:2").await.is_none());
        }
        assert!(enter(&admission, "192.0.2.2:1").await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn when_all_places_are_taken_the_longest_idle_is_asked_to_leave_and_the_next_client_gets_in() {
        let admission = Arc::new(admission(2, 0));
        let places = [enter(&admission, "192.0.2.1:1").await, enter(&admission, "192.0.2.1:2").await];
        let mut idle = places.into_iter().enumerate().map(|(number, place)| {
            let admission = admission.clone();
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_secs(number as u64)).await;
                admission.idle_place_is_needed().await;
                drop(place);
            })
        });
        let (longest, other) = (idle.next().expect("two"), idle.next().expect("two"));
        tokio::time::sleep(Duration::from_secs(5)).await;
        enter(&admission, "192.0.2.3:1").await.expect("a place");
        assert!(longest.is_finished() && !other.is_finished());
        other.abort();
    }
}
