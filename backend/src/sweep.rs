//! Removing stale uploads, beside answering requests.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::{Instant, MissedTickBehavior};

use crate::store::Store;

/// How long after the start it is looked for the first time: the first requests find the disk's cache cold,
/// and have it to themselves.
const FIRST: Duration = Duration::from_secs(60);

/// From one look to the next. The store works at it in small pieces, so that it takes long in a large
/// registry and is felt in none.
const LONGEST_PAUSE: Duration = Duration::from_secs(6 * 60 * 60);
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);

/// Removes the uploads that nobody has gone on with for `age`: soon, and from time to time. Never ends.
pub(crate) async fn sweep_uploads(store: Arc<dyn Store>, age: Duration) {
    let pause = (age / 4).clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
    let mut pause = tokio::time::interval_at(Instant::now() + FIRST.min(pause), pause);
    pause.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        pause.tick().await;
        let Some(deadline) = SystemTime::now().checked_sub(age) else { continue };
        match store.remove_stale_uploads(deadline).await {
            Ok(0) => {}
            Ok(removed) => tracing::info!(removed, ?age, "removed uploads that nobody went on with"),
            Err(error) => tracing::warn!(%error, "cannot look for stale uploads"),
        }
    }
}
