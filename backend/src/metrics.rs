//! What is counted as it goes. One of each a process: what counts need not know who asks.

use std::sync::LazyLock;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::admin::labels::{Answered, Of, durations};

pub(crate) static METRICS: LazyLock<Metrics> = LazyLock::new(Metrics::default);

pub(crate) struct Metrics {
    pub(crate) requests: Family<Answered, Counter>,
    pub(crate) durations: Family<Of, Histogram, fn() -> Histogram>,
    pub(crate) received: Counter,
    pub(crate) sent: Counter,
    pub(crate) connections: Gauge,
    pub(crate) accepted: Counter,
    pub(crate) failures: Counter,
    pub(crate) bucket_requests: Family<BucketRequest, Counter>,
    pub(crate) uploads: Gauge,
    pub(crate) runs: Family<Ended, Counter>,
    pub(crate) collected: Counter,
    pub(crate) freed: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            requests: Family::default(),
            durations: Family::new_with_constructor(durations),
            received: Counter::default(),
            sent: Counter::default(),
            connections: Gauge::default(),
            accepted: Counter::default(),
            failures: Counter::default(),
            bucket_requests: Family::default(),
            uploads: Gauge::default(),
            runs: Family::default(),
            collected: Counter::default(),
            freed: Counter::default(),
        }
    }
}

/// A request to the server of a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct BucketRequest {
    pub(crate) method: &'static str,
    /// The first digit of its status, as in `2xx`, or `none` where no answer came.
    pub(crate) status: &'static str,
}

/// How a run of the collector ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Ended {
    pub(crate) result: &'static str,
}

/// An upload that is counted among those that are open, until it is dropped.
pub(crate) struct OpenUpload(());

impl Drop for OpenUpload {
    fn drop(&mut self) {
        METRICS.uploads.dec();
    }
}

impl Metrics {
    /// Counts an upload as open.
    pub(crate) fn upload(&self) -> OpenUpload {
        self.uploads.inc();
        OpenUpload(())
    }

    /// Counts how a run of the collector ended.
    /// `removed`: how many objects, and how many bytes they had; `None` where it failed.
    pub(crate) fn collected(&self, removed: Option<(u64, u64)>) {
        let result = if removed.is_some() { "done" } else { "failed" };
        self.runs.get_or_create(&Ended { result }).inc();
        let (objects, bytes) = removed.unwrap_or_default();
        self.collected.inc_by(objects);
        self.freed.inc_by(bytes);
    }

    /// Has those told that are about requests over HTTP.
    pub(crate) fn tell_of_requests(&self, metrics: &mut Registry) {
        let metrics = metrics.sub_registry_with_prefix("lockgate_backend");
        metrics.register("requests", "Requests, by how they were answered", self.requests.clone());
        let took = "How long requests took, from their header to the last byte of their answer";
        metrics.register_with_unit("request_duration", took, Unit::Seconds, self.durations.clone());
        metrics.register_with_unit("received", "Content that came", Unit::Bytes, self.received.clone());
        metrics.register_with_unit("sent", "Content that was sent", Unit::Bytes, self.sent.clone());
        metrics.register("connections", "Connections that are open", self.connections.clone());
        metrics.register("accepted_connections", "Connections that came", self.accepted.clone());
    }

    /// Has those told that are about what is kept.
    pub(crate) fn tell_of_storage(&self, metrics: &mut Registry) {
        let metrics = metrics.sub_registry_with_prefix("lockgate_storage");
        metrics.register("failures", "Requests that failed for a fault of the storage", self.failures.clone());
        let asked = "Requests to the server of the bucket, each attempt for itself";
        metrics.register("bucket_requests", asked, self.bucket_requests.clone());
        metrics.register("uploads", "Requests that are sending parts of blobs at the moment", self.uploads.clone());
        metrics.register("collect_runs", "Runs of the collector that this process has made", self.runs.clone());
        let removed = "Objects that the collector has removed in this process";
        metrics.register("collected_objects", removed, self.collected.clone());
        let freed = "What the collector has freed in this process";
        metrics.register_with_unit("collected", freed, Unit::Bytes, self.freed.clone());
        // They are there from the start, so that a rate knows where they began.
        drop(self.bucket_requests.get_or_create(&BucketRequest { method: "GET", status: "2xx" }));
        for result in ["done", "failed"] {
            drop(self.runs.get_or_create(&Ended { result }));
        }
    }
}
