//! Collecting from time to time.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};

use super::report;
use crate::registry::Registry;

/// How often it is looked whether a collector has died while it removed something.
const WATCH: Duration = Duration::from_secs(30);

/// Collects every `collect.interval`, if at all, and ends what a collector has left that died. Never ends.
pub(crate) async fn collect_sometimes(registry: Registry) {
    tokio::join!(collect(&registry), watch(&registry));
}

async fn collect(registry: &Registry) {
    let Some(interval) = registry.collect.interval.period() else { return };
    let interval = interval.duration();
    let mut ticks = tokio::time::interval_at(Instant::now() + interval, interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let collected = async { registry.store.collect(&registry.collect_options().await?, None).await };
        match collected.await {
            Ok(collected) => {
                tracing::info!("{}; {}", report::looked_at(&collected.counts), report::collected(&collected));
                // What it has made room for can be pushed at once.
                registry.refresh_quotas().await;
            }
            Err(error) => tracing::warn!(%error, "nothing is collected; this is tried again after collect.interval"),
        }
    }
}

async fn watch(registry: &Registry) {
    let mut ticks = tokio::time::interval(WATCH);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Err(error) = registry.store.clean_up_after_collector().await {
            tracing::warn!(%error, "it cannot be seen whether a collector has left something");
        }
    }
}
