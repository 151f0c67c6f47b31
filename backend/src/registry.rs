//! A store with the rules of the API around it.

use std::sync::Arc;
use std::time::Duration;

use crate::store::Store;
use crate::sweep::sweep_uploads;

/// How a registry behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Whether manifests, tags and blobs may be deleted.
    pub delete: bool,
    /// The largest manifest that is accepted, in bytes.
    pub manifest_size: u64,
    /// Whether a manifest is accepted that names content which is not in its repository.
    pub sparse: bool,
    /// How long an upload that nobody goes on with is kept.
    pub upload_age: Duration,
    /// How long a connection may stay without a request.
    pub idle_timeout: Duration,
    /// How long a client may be silent within a request's body.
    pub body_timeout: Duration,
    /// How long requests may go on after the shutdown has begun.
    pub grace: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            delete: true,
            manifest_size: 4 * 1024 * 1024,
            sparse: false,
            upload_age: Duration::from_secs(7 * 24 * 60 * 60),
            idle_timeout: Duration::from_secs(120),
            body_timeout: Duration::from_secs(300),
            grace: Duration::from_secs(30),
        }
    }
}

/// A registry that answers requests, from wherever they come: [`serve`](crate::serve) calls it for those of a
/// socket, another program may call it for its own.
pub struct Registry {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) options: Options,
}

impl Registry {
    /// A registry over this store. Of `options`, those of connections and the shutdown are the server's.
    pub fn new(store: Arc<dyn Store>, options: Options) -> Self {
        Self { store, options }
    }

    /// What must run beside a registry as long as it answers: the removal of stale uploads. It never ends, and
    /// may be dropped at any time.
    pub fn background(&self) -> impl Future<Output = ()> + Send + use<> {
        sweep_uploads(Arc::clone(&self.store), self.options.upload_age)
    }
}
