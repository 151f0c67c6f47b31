//! What is counted for as long as it lasts: a request, and a connection.

use std::time::Instant;

use http::StatusCode;

use crate::admin::labels::{Answered, Asked, Of};
use crate::metrics::METRICS;

/// A request that is on its way. It is counted when it is dropped, answered or not.
pub(crate) struct Measured {
    asked: Asked,
    began: Instant,
    status: Option<StatusCode>,
    sent: u64,
}

impl Measured {
    /// A request whose header has come.
    pub(crate) fn of(asked: Asked) -> Self {
        Self { asked, began: Instant::now(), status: None, sent: 0 }
    }

    /// It is being answered.
    pub(crate) fn answered(&mut self, status: StatusCode) {
        self.status = Some(status);
    }

    /// So many bytes of the answer's content go to the client.
    pub(crate) fn sends(&mut self, bytes: usize) {
        self.sent += bytes as u64;
    }
}

impl Drop for Measured {
    fn drop(&mut self) {
        METRICS.requests.get_or_create(&Answered::of(self.asked, self.status)).inc();
        METRICS.durations.get_or_create(&Of { action: self.asked.action }).observe(self.began.elapsed().as_secs_f64());
        METRICS.sent.inc_by(self.sent);
    }
}

/// A connection that is counted among those that are open, until it is dropped.
pub(crate) struct OpenConnection(());

impl OpenConnection {
    pub(crate) fn new() -> Self {
        METRICS.accepted.inc();
        METRICS.connections.inc();
        Self(())
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        METRICS.connections.dec();
    }
}
