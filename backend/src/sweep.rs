//! Removing stale uploads, beside answering requests.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::store::Store;

/// Looking through 100,000 repositories takes a second: rarely enough for that not to matter.
const LONGEST_PAUSE: Duration = Duration::from_secs(6 * 60 * 60);
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);

/// Removes the uploads that nobody has gone on with for `age`: now, and from time to time. Never ends.
pub(crate) async fn sweep_uploads(store: Arc<dyn Store>, age: Duration) {
    let mut pause = tokio::time::interval((age / 4).clamp(SHORTEST_PAUSE, LONGEST_PAUSE));
    pause.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
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
