//! A store with the rules of the API around it.

use std::sync::Arc;

use crate::config::{Limits, Storage};
use crate::store::Store;
use crate::sweep::sweep_uploads;

/// A registry that answers requests, from wherever they come: [`serve`](crate::serve) calls it for those of a
/// socket, another program may call it for its own.
pub struct Registry {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) storage: Storage,
    pub(crate) limits: Limits,
}

impl Registry {
    /// A registry over this store. Of `limits`, that of idle connections is the server's.
    pub fn new(store: Arc<dyn Store>, storage: Storage, limits: Limits) -> Self {
        Self { store, storage, limits }
    }

    /// What must run beside a registry as long as it answers: the removal of stale uploads. It never ends, and
    /// may be dropped at any time.
    pub fn background(&self) -> impl Future<Output = ()> + Send + use<> {
        sweep_uploads(Arc::clone(&self.store), self.storage.upload_age.duration())
    }
}
