//! What runs beside answering.

use std::sync::Arc;
use std::time::Duration;

use crate::registry::Registry;
use crate::space::{answer_commands, collect_sometimes};
use crate::store::Store;
use crate::sweep::sweep_uploads;

/// From one attempt to list what another program wrote to the next.
const INDEX_PAUSE: Duration = Duration::from_secs(30);

/// How often it is written which manifests were pulled, and how much was pushed.
const NOTES_INTERVAL: Duration = Duration::from_secs(10 * 60);

/// How often it is looked what is taken of the quotas, and told to other nodes, where there are any.
const QUOTAS_INTERVAL: Duration = Duration::from_secs(10);

impl Registry {
    /// What must run beside a registry as long as it answers: what listings need is made, stale uploads are removed, what
    /// nobody needs is collected, quotas are kept, and commands are answered. It never ends, and may be dropped at any time.
    pub fn background(&self) -> impl Future<Output = ()> + Send + use<> {
        let registry = self.clone();
        async move {
            let (store, age) = (Arc::clone(&registry.store), registry.storage.upload_age.duration());
            tokio::join!(
                index(Arc::clone(&store)),
                write_notes(&registry),
                keep_quotas(&registry),
                sweep_uploads(Arc::clone(&store), age),
                collect_sometimes(registry.clone()),
                answer_commands(registry.clone()),
            );
        }
    }
}

async fn write_notes(registry: &Registry) {
    loop {
        tokio::time::sleep(NOTES_INTERVAL).await;
        registry.finish().await;
    }
}

async fn keep_quotas(registry: &Registry) {
    loop {
        registry.refresh_quotas().await;
        tokio::time::sleep(QUOTAS_INTERVAL).await;
    }
}

/// Makes what listings are made of, once.
async fn index(store: Arc<dyn Store>) {
    while let Err(error) = store.index().await {
        tracing::warn!(%error, pause = ?INDEX_PAUSE, "cannot list what is in the bucket; this is tried again");
        tokio::time::sleep(INDEX_PAUSE).await;
    }
}
