//! What the gate counts as it goes. One of each a process: what counts need not know who asks.

use std::sync::LazyLock;
use std::time::Duration;

use http::StatusCode;
use lockgate_backend::admin::labels::{Answered, Asked, Of, durations};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

pub(crate) static METRICS: LazyLock<Metrics> = LazyLock::new(Metrics::default);

type Durations = Family<Of, Histogram, fn() -> Histogram>;

pub(crate) struct Metrics {
    requests: Family<Answered, Counter>,
    durations: Durations,
    upstream_durations: Durations,
    received: Counter,
    sent: Counter,
    connections: Gauge,
    accepted: Counter,
    handshakes: Family<Handshake, Counter>,
    logins: Family<Login, Counter>,
    hashes: Counter,
    pub(crate) hashes_waiting: Gauge,
    denied: Family<Of, Counter>,
    pub(crate) tokens: Counter,
    connects: Family<Done, Counter>,
    pub(crate) retries: Counter,
    pub(crate) idle: Gauge,
    reloads: Family<Reload, Counter>,
    limits: Family<Limit, Counter>,
    pub(crate) audit_lost: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            requests: Family::default(),
            durations: Family::new_with_constructor(durations),
            upstream_durations: Family::new_with_constructor(durations),
            received: Counter::default(),
            sent: Counter::default(),
            connections: Gauge::default(),
            accepted: Counter::default(),
            handshakes: Family::default(),
            logins: Family::default(),
            hashes: Counter::default(),
            hashes_waiting: Gauge::default(),
            denied: Family::default(),
            tokens: Counter::default(),
            connects: Family::default(),
            retries: Counter::default(),
            idle: Gauge::default(),
            reloads: Family::default(),
            limits: Family::default(),
            audit_lost: Counter::default(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Handshake {
    /// The version of TLS, or why there is none: `failed`, `timeout`, `plain_http`.
    result: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Login {
    scheme: &'static str,
    result: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Done {
    result: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reload {
    what: &'static str,
    result: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Limit {
    limit: &'static str,
}

/// A request that is over.
pub(crate) struct Request {
    pub(crate) asked: Asked,
    /// `None` where it was not answered.
    pub(crate) status: Option<StatusCode>,
    pub(crate) duration: Duration,
    /// Until the header of the upstream's answer.
    pub(crate) upstream_time: Option<Duration>,
    pub(crate) received: u64,
    pub(crate) sent: u64,
}

/// A connection that is counted among those that are open, until it is dropped.
#[derive(Debug)]
pub(crate) struct OpenConnection(());

impl Drop for OpenConnection {
    fn drop(&mut self) {
        METRICS.connections.dec();
    }
}

fn done(is_done: bool) -> &'static str {
    if is_done { "done" } else { "failed" }
}

impl Metrics {
    pub(crate) fn request(&self, request: &Request) {
        let Request { asked, status, duration, upstream_time, received, sent } = request;
        let of = Of { action: asked.action };
        self.requests.get_or_create(&Answered::of(*asked, *status)).inc();
        self.durations.get_or_create(&of).observe(duration.as_secs_f64());
        if let Some(time) = upstream_time {
            self.upstream_durations.get_or_create(&of).observe(time.as_secs_f64());
        }
        self.received.inc_by(*received);
        self.sent.inc_by(*sent);
    }

    pub(crate) fn connection(&self) -> OpenConnection {
        self.accepted.inc();
        self.connections.inc();
        OpenConnection(())
    }

    pub(crate) fn handshake(&self, result: &'static str) {
        self.handshakes.get_or_create(&Handshake { result }).inc();
    }

    pub(crate) fn login(&self, scheme: &'static str, result: &'static str) {
        self.logins.get_or_create(&Login { scheme, result }).inc();
    }

    pub(crate) fn hash(&self) {
        self.hashes.inc();
    }

    pub(crate) fn denied(&self, action: &'static str) {
        self.denied.get_or_create(&Of { action }).inc();
    }

    pub(crate) fn connect(&self, is_done: bool) {
        self.connects.get_or_create(&Done { result: done(is_done) }).inc();
    }

    pub(crate) fn reload(&self, what: &'static str, is_done: bool) {
        self.reloads.get_or_create(&Reload { what, result: done(is_done) }).inc();
    }

    /// Something was refused, or had to wait, for a limit of the configuration.
    pub(crate) fn limit(&self, limit: &'static str) {
        self.limits.get_or_create(&Limit { limit }).inc();
    }

    /// Has them told.
    pub(crate) fn tell(&self, metrics: &mut Registry) {
        let metrics = metrics.sub_registry_with_prefix("lockgate");
        metrics.register("requests", "Requests, by how they were answered", self.requests.clone());
        let took = "How long requests took, from their header to the last byte of their answer";
        metrics.register_with_unit("request_duration", took, Unit::Seconds, self.durations.clone());
        let waited = "How long the upstream was waited for, until the header of its answer";
        metrics.register_with_unit("upstream_duration", waited, Unit::Seconds, self.upstream_durations.clone());
        metrics.register_with_unit("received", "Content that was forwarded", Unit::Bytes, self.received.clone());
        metrics.register_with_unit("sent", "Content that was sent to clients", Unit::Bytes, self.sent.clone());
        metrics.register("connections", "Connections that are open", self.connections.clone());
        metrics.register("accepted_connections", "Connections that came", self.accepted.clone());
        let shaken = "TLS handshakes, by their version, or why there was none";
        metrics.register("handshakes", shaken, self.handshakes.clone());
        metrics.register("logins", "Credentials that were shown, by what came of it", self.logins.clone());
        metrics.register("hashes", "Hashes of passwords that were computed", self.hashes.clone());
        metrics.register("hashes_waiting", "Passwords that wait to be hashed", self.hashes_waiting.clone());
        metrics.register("denied", "Requests of known callers that they have no right to", self.denied.clone());
        metrics.register("tokens", "Tokens for sessions that were issued", self.tokens.clone());
        metrics.register("upstream_connects", "Connections to the upstream", self.connects.clone());
        metrics.register("upstream_retries", "Requests that were sent a second time", self.retries.clone());
        let idle = "Connections to the upstream that wait for a request";
        metrics.register("upstream_idle_connections", idle, self.idle.clone());
        metrics.register("reloads", "Files that were read again since they changed", self.reloads.clone());
        metrics.register("limits_reached", "What was refused or had to wait for a limit", self.limits.clone());
        metrics.register("audit_lost_lines", "Lines that the audit log lost", self.audit_lost.clone());
        // Those that alerts stand on are there from the start, so that a rate knows where they began.
        for result in [true, false] {
            drop(self.connects.get_or_create(&Done { result: done(result) }));
        }
        for what in ["certificates", "users"] {
            for result in [true, false] {
                drop(self.reloads.get_or_create(&Reload { what, result: done(result) }));
            }
        }
        for action in ["pull_manifest", "push_manifest", "delete_manifest"] {
            drop(self.denied.get_or_create(&Of { action }));
        }
        for limit in ["auth.hash_queue", "limits.connections", "limits.connections_per_address"] {
            drop(self.limits.get_or_create(&Limit { limit }));
        }
    }
}
