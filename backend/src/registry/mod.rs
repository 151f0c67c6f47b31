//! A registry: what the API's handlers ask, and its rules over objects.
//!
//! ```text
//! store          the store whose bytes are objects
//!   uploads        how a blob's bytes gather: in a directory files, in a bucket parts
//!   removal        deleting manifests and tags
//!     manifests      manifests and their tags
//!       deletion       what is being deleted while others write
//!       links          who holds what, and relies on it
//!         collection     what a collector is about to delete
//!           node           what this process shares between them
//!             names          lists: in a directory itself, in a bucket markers
//!               keys           under which key everything is
//! ```
//!
//! The nodes of a bucket are coordinated by nothing but the objects' conditions. A link is written first, then the
//! collector's list is looked at, then the bytes are written; so whatever is written is safe from a collector that runs
//! beside, on any node.

mod collect;
mod collection;
mod deletion;
mod keys;
mod links;
mod manifests;
mod names;
mod node;
mod removal;
mod space;
mod store;
mod trash;
mod uploads;

use std::sync::Arc;
use std::time::Duration;

use crate::config::{Collect, Limits, Storage};
use crate::space::{answer_commands, collect_sometimes};
use crate::store::{Store, Terms};
use crate::sweep::sweep_uploads;

pub use node::Ages;
pub use store::ObjectStore;

/// From one attempt to list what another program wrote to the next.
const INDEX_PAUSE: Duration = Duration::from_secs(30);

/// A registry that answers requests, from wherever they come: [`serve`](crate::serve) calls it for those of a
/// socket, another program may call it for its own.
#[derive(Clone)]
pub struct Registry {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) storage: Storage,
    pub(crate) limits: Limits,
    pub(crate) collect: Collect,
}

impl Registry {
    /// A registry over this store. Of `limits`, that of idle connections is the server's.
    pub fn new(store: Arc<dyn Store>, storage: Storage, limits: Limits) -> Self {
        Self { store, storage, limits, collect: Collect::default() }
    }

    /// The same that collects otherwise.
    pub fn collecting(self, collect: Collect) -> Self {
        Self { collect, ..self }
    }

    /// How it collects.
    pub(crate) fn terms(&self) -> Terms {
        Terms { max_delete: self.collect.max_delete.of_one(), rate: self.collect.rate.of_one() }
    }

    /// What must run beside a registry as long as it answers: what listings need is made, stale uploads are removed, what
    /// nobody needs is collected, and commands are answered.
    /// It never ends, and may be dropped at any time.
    pub fn background(&self) -> impl Future<Output = ()> + Send + use<> {
        let (store, age, registry) = (Arc::clone(&self.store), self.storage.upload_age.duration(), self.clone());
        async move {
            let space = async { tokio::join!(collect_sometimes(registry.clone()), answer_commands(registry.clone())) };
            tokio::join!(index(Arc::clone(&store)), sweep_uploads(store, age), space);
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
