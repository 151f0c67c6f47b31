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
#[cfg(all(test, feature = "s3"))]
mod costs;
mod deletion;
mod keys;
mod links;
mod manifests;
mod names;
mod node;
mod published;
mod pulls;
mod removal;
mod rules;
mod space;
mod store;
mod trash;
mod uploads;
mod verify;

use std::io;
use std::sync::Arc;

use crate::config::{Collect, Limits, Storage};
use crate::store::{Store, StoreError, Terms};

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
    rules: Arc<Rules>,
}

impl Registry {
    /// A registry over this store. Of `limits`, that of idle connections is the server's.
    pub fn new(store: Arc<dyn Store>, storage: Storage, limits: Limits) -> Self {
        Self { store, storage, limits, collect: Collect::default(), rules: Arc::new(Rules::fixed(Vec::new())) }
    }

    /// The same that collects otherwise.
    pub fn collecting(self, collect: Collect) -> Self {
        Self { collect, ..self }
    }

    /// The same that keeps what these rules say.
    pub fn retaining(self, rules: Rules) -> Self {
        Self { rules: Arc::new(rules), ..self }
    }

    /// How it collects, by the rules as they are now.
    pub(crate) async fn terms(&self) -> Result<Terms, StoreError> {
        let rules = Arc::clone(&self.rules);
        let retention = tokio::task::spawn_blocking(move || rules.current()).await.map_err(io::Error::other)?;
        Ok(Terms { max_delete: self.collect.max_delete.of_one(), rate: self.collect.rate.of_one(), retention })
    }

    /// Writes what would else be forgotten at the end: which manifests were pulled lately.
    pub async fn finish(&self) {
        if let Err(error) = self.store.write_pulls().await {
            tracing::warn!(%error, "it cannot be written which manifests were pulled lately");
        }
    }
}
