//! What a registry tells of itself: whether its storage answers, and how full it is.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

use super::Registry;
use crate::admin::{Admin, Part};
use crate::lock::held;
use crate::metrics::METRICS;
use crate::store::{Counts, StoreError};

/// A registry that is watched.
struct Watched {
    registry: Registry,
    seen: Seen,
}

/// What was seen last.
#[derive(Debug, Clone, Default)]
struct Seen(Arc<Mutex<Sight>>);

#[derive(Debug, Clone, Default)]
struct Sight {
    /// `None`: as in a bucket.
    free: Option<u64>,
    least_free: u64,
    counted: Option<(SystemTime, Counts)>,
    /// In seconds; 0 where nothing is collected by itself.
    interval: u64,
    /// Of each quota its repositories, what they may have and what is taken.
    quotas: Vec<(String, u64, u64)>,
}

impl Registry {
    /// Has a program tell of this registry.
    pub fn tell(&self, admin: &mut Admin) {
        let seen = Seen::default();
        METRICS.tell_of_storage(&mut admin.metrics);
        admin.metrics.register_collector(Box::new(seen.clone()));
        admin.health.watch(Watched { registry: self.clone(), seen });
    }

    async fn look(&self) -> Result<Sight, StoreError> {
        let (free, usage) = (self.store.free().await?, self.store.usage().await?);
        let interval = self.collect.interval.period().map_or(0, |period| period.duration().as_secs());
        Ok(Sight {
            free,
            least_free: self.storage.min_free.bytes(),
            counted: usage.counted.zip(usage.counts),
            interval,
            quotas: self.quotas.all(),
        })
    }
}

#[async_trait]
impl Part for Watched {
    fn name(&self) -> &'static str {
        "storage"
    }

    async fn check(&self) -> Result<String, String> {
        let Sight { free, least_free, .. } = self.registry.look().await.map_err(|error| error.to_string())?;
        Ok(match free {
            // Pulls and deletes go on, so that nobody is sent elsewhere.
            Some(free) if free < least_free => {
                format!("{free} bytes are free, less than storage.min_free: no upload is taken until there is room")
            }
            Some(free) => format!("{free} bytes are free"),
            None => "the bucket answers".to_owned(),
        })
    }

    async fn refresh(&self) {
        match self.registry.look().await {
            Ok(sight) => *held(self.seen.0.lock()) = sight,
            Err(error) => tracing::debug!(%error, "metrics tell what was seen last of the storage"),
        }
    }
}

impl Collector for Seen {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Sight { free, least_free, counted, interval, quotas } = held(self.0.lock()).clone();
        let mut tell = |name: &str, help: &str, value: u64| {
            let name = format!("lockgate_storage_{name}");
            // Beyond 2^63 no store is.
            let value = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            value.encode(encoder.encode_descriptor(&name, help, None, MetricType::Gauge)?)
        };
        tell("collect_interval_seconds", "How often the collector runs; 0 is only by command", interval)?;
        tell("least_free_bytes", "How much stays free on the disk: with less, uploads are refused", least_free)?;
        if let Some(free) = free {
            tell("free_bytes", "How much is free on the disk", free)?;
        }
        if let Some((when, Counts { repositories, manifests, blobs, bytes, deleted, .. })) = counted {
            let when = when.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
            tell(
                "counted_timestamp_seconds",
                "When everything was counted last, which each run of the collector does",
                when,
            )?;
            tell("repositories", "Repositories, as they were counted last", repositories)?;
            tell("manifests", "Manifests, as they were counted last", manifests)?;
            tell("blobs", "Blobs and manifests by their bytes, as they were counted last", blobs)?;
            tell("blob_bytes", "How many bytes these have", bytes)?;
            tell("trash_records", "What can be restored, as it was counted last", deleted)?;
        }
        if quotas.is_empty() {
            return Ok(());
        }
        type Column = fn(&(String, u64, u64)) -> u64;
        let columns: [(&str, &str, Column); 2] = [
            ("quota_bytes", "How much the repositories of a quota may have", |(_, bytes, _)| *bytes),
            ("quota_taken_bytes", "How much they have", |(.., taken)| *taken),
        ];
        for (name, help, column) in columns {
            let name = format!("lockgate_storage_{name}");
            let mut family = encoder.encode_descriptor(&name, help, None, MetricType::Gauge)?;
            for quota in &quotas {
                let labels = [("repositories", quota.0.as_str())];
                let value = ConstGauge::new(i64::try_from(column(quota)).unwrap_or(i64::MAX));
                value.encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}
