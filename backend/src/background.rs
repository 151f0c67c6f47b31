//! What runs beside answering.

use std::sync::Arc;
use std::time::Duration;

use crate::registry::Registry;
use crate::space::{answer_commands, collect_sometimes};
use crate::store::Store;
use crate::sweep::sweep_uploads;

/// From one attempt to list what another program wrote to the next.
const INDEX_PAUSE: Duration = Duration::from_secs(30);

/// How often it is written which manifests were pulled.
const PULLS_INTERVAL: Duration = Duration::from_secs(10 * 60);

impl Registry {
    /// What must run beside a registry as long as it answers: what listings need is made, stale uploads are removed, what
    /// nobody needs is collected, and commands are answered. It never ends, and may be dropped at any time.
    pub fn background(&self) -> impl Future<Output = ()> + Send + use<> {
        let registry = self.clone();
        async move {
            let (store, age) = (Arc::clone(&registry.store), registry.storage.upload_age.duration());
            tokio::join!(
                index(Arc::clone(&store)),
                write_pulls(&*store),
                sweep_uploads(Arc::clone(&store), age),
                collect_sometimes(registry.clone()),
                answer_commands(registry),
            );
        }
    }
}

/// Writes from time to time which manifests were pulled.
async fn write_pulls(store: &dyn Store) {
    loop {
        tokio::time::sleep(PULLS_INTERVAL).await;
        if let Err(error) = store.write_pulls().await {
            tracing::warn!(%error, "it cannot be written which manifests were pulled; this is tried again");
        }
    }
}

/// Makes what listings are made of, once.
async fn index(store: Arc<dyn Store>) {
    while let Err(error) = store.index().await {
        tracing::warn!(%error, pause = ?INDEX_PAUSE, "cannot list what is in the bucket; this is tried again");
        tokio::time::sleep(INDEX_PAUSE).await;
    }
}
