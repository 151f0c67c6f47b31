//! Connections to the upstream that wait for the next request.

use std::sync::Mutex;
use std::time::Duration;

use pingora::protocols::l4::socket::SocketAddr;
use tokio::time::Instant;

use super::connection::Connection;
use crate::lock::lock;
use crate::metrics::METRICS;

/// A bounded number of connections, the one that was used last at the end.
pub(super) struct IdlePool {
    most: usize,
    idle_timeout: Duration,
    waiting: Mutex<Vec<Waiting>>,
}

struct Waiting {
    since: Instant,
    connection: Box<Connection>,
    _counted: Counted,
}

/// Counted among those that wait, until it is dropped.
struct Counted(());

impl Counted {
    fn new() -> Self {
        METRICS.idle.inc();
        Self(())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        METRICS.idle.dec();
    }
}

impl IdlePool {
    /// One for `most` connections, each of which waits for `idle_timeout` at most.
    pub(super) fn new(most: usize, idle_timeout: Duration) -> Self {
        Self { most, idle_timeout, waiting: Mutex::default() }
    }

    /// Keeps a connection, if its exchange is over; in place of the oldest, if there are too many.
    pub(super) fn keep(&self, mut connection: Box<Connection>) {
        if !connection.is_over() {
            return;
        }
        // It is closed when the lock is free: what is declared first is dropped last.
        let _oldest;
        let mut waiting = lock(&self.waiting);
        _oldest = (waiting.len() >= self.most).then(|| waiting.remove(0));
        waiting.push(Waiting { since: Instant::now(), connection, _counted: Counted::new() });
    }

    /// The one that was used last, of those to an address that `is_wanted`. Its other side may have closed it.
    pub(super) fn take(&self, is_wanted: impl Fn(&SocketAddr) -> bool) -> Option<Box<Connection>> {
        loop {
            let Waiting { since, connection, .. } = {
                let mut waiting = lock(&self.waiting);
                let at = waiting.iter().rposition(|each| is_wanted(each.connection.address()))?;
                waiting.remove(at)
            };
            if since.elapsed() < self.idle_timeout {
                return Some(connection);
            }
        }
    }

    /// Closes what waited for too long, what the other side has closed, and what leads to no address that `is_ready`.
    pub(super) fn close_unusable(&self, is_ready: impl Fn(&SocketAddr) -> bool) {
        let waiting = std::mem::take(&mut *lock(&self.waiting));
        let is_usable = |mut each: Waiting| {
            let is_fresh = each.since.elapsed() < self.idle_timeout;
            (is_fresh && is_ready(each.connection.address()) && each.connection.is_usable()).then_some(each)
        };
        let mut usable: Vec<_> = waiting.into_iter().filter_map(is_usable).collect();
        let mut waiting = lock(&self.waiting);
        usable.append(&mut waiting);
        *waiting = usable;
    }
}
