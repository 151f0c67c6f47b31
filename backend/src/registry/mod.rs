//! A registry: what the API's handlers ask, and its rules over objects.
//!
//! ```text
//! watching       what it tells whoever runs it
//! quotas         what is taken of each, as far as this process knows; rules: the blocks that are read again
//! space          what keeps it from growing for ever: collect, trash, verify, and usage: what repositories take
//! store          the store whose bytes are objects
//!   uploads        how a blob's bytes gather: in a directory files, in a bucket parts
//!   removal        deleting manifests and tags
//!     manifests      manifests and their tags
//!       deletion       what is being deleted while others write
//!       links          who holds what, and relies on it
//!         collection     what a collector is about to delete
//!           node           what this process shares between them
//!             names          lists: in a directory itself, in a bucket markers
//!               keys           under which key everything is; flat: names in keys without directories
//! ```
//!
//! The nodes of a bucket are coordinated by nothing but the objects' conditions. A link is written first, then the
//! collector's list is looked at, then the bytes are written; so whatever is written is safe from a collector that runs
//! beside, on any node.

mod collect;
mod collection;
#[cfg(all(test, feature = "s3"))]
mod costs;
mod deletion;
mod flat;
mod keys;
mod links;
mod manifests;
mod names;
mod node;
mod published;
mod pulls;
mod pushes;
mod quotas;
mod removal;
mod rules;
mod space;
mod store;
mod trash;
mod uploads;
mod usage;
mod verify;
mod watching;

use std::io;
use std::sync::Arc;

use crate::config::{Blocks, Collect, Limits, S3Server, Storage};
use crate::store::{CollectOptions, Store, StoreError};

pub(crate) use quotas::Exceeded;
use quotas::Quotas;

pub use node::Ages;
pub use rules::Rules;
pub use store::ObjectStore;

/// A registry that answers requests, from wherever they come: [`serve`](crate::serve) calls it for those of a
/// socket, another program may call it for its own.
#[derive(Clone)]
pub struct Registry {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) storage: Storage,
    pub(crate) limits: Limits,
    pub(crate) collect: Collect,
    /// Of which server the bucket is, where it is one.
    pub(crate) endpoint: S3Server,
    pub(crate) quotas: Arc<Quotas>,
    rules: Arc<Rules>,
}

impl Registry {
    /// A registry over this store. Of `limits`, that of idle connections is the server's.
    pub fn new(store: Arc<dyn Store>, storage: Storage, limits: Limits) -> Self {
        let (collect, rules) = (Collect::default(), Arc::new(Rules::fixed(Blocks::default())));
        Self { store, storage, limits, collect, endpoint: S3Server::default(), quotas: Arc::default(), rules }
    }

    /// The same that collects otherwise.
    pub fn collecting(self, collect: Collect) -> Self {
        Self { collect, ..self }
    }

    /// The same whose bucket is this server's.
    pub fn at(self, endpoint: S3Server) -> Self {
        Self { endpoint, ..self }
    }

    /// The same that keeps what these rules say, and as much as they allow.
    pub fn ruled_by(self, rules: Rules) -> Self {
        // They hold from the first request on; what was pushed before is added as soon as it is known.
        self.quotas.replace(rules.last().quota);
        Self { rules: Arc::new(rules), ..self }
    }

    async fn blocks(&self) -> Result<Blocks, StoreError> {
        let rules = Arc::clone(&self.rules);
        Ok(tokio::task::spawn_blocking(move || rules.current()).await.map_err(io::Error::other)?)
    }

    /// How it collects, by the rules as they are now.
    pub(crate) async fn collect_options(&self) -> Result<CollectOptions, StoreError> {
        let Blocks { retention, .. } = self.blocks().await?;
        let (max_delete, rate) = (self.collect.max_delete.of_one(), self.collect.rate.of_one());
        Ok(CollectOptions { max_delete, rate, retention })
    }

    /// Brings up to date which quotas there are, and what is taken of each; and what other nodes must know for that. Where
    /// nobody has counted yet, it is counted. What cannot be learnt is logged, and stays as it was.
    pub(crate) async fn refresh_quotas(&self) {
        if let Err(error) = self.try_to_refresh_quotas().await {
            tracing::warn!(%error, "it cannot be seen what is taken of the quotas; this is tried again");
        }
    }

    async fn try_to_refresh_quotas(&self) -> Result<(), StoreError> {
        let Blocks { quota, .. } = self.blocks().await?;
        let are_none = quota.is_empty();
        self.quotas.replace(quota);
        if are_none {
            return Ok(());
        }
        self.store.write_pushes().await?;
        let mut usage = self.store.usage().await?;
        if usage.counted.is_none() {
            self.store.count(&self.collect_options().await?).await?;
            usage = self.store.usage().await?;
        }
        self.quotas.count(&usage);
        Ok(())
    }

    /// Writes what would else be forgotten at the end: which manifests were pulled lately, and how much was pushed.
    pub async fn finish(&self) {
        if let Err(error) = self.store.write_pulls().await {
            tracing::warn!(%error, "it cannot be written which manifests were pulled lately");
        }
        if let Err(error) = self.store.write_pushes().await {
            tracing::warn!(%error, "it cannot be written how much was pushed lately");
        }
    }
}
