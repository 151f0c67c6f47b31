//! Upload sessions: how a blob's bytes gather until they are whole.

pub(super) mod files;
pub(super) mod parts;

use std::time::SystemTime;

use async_trait::async_trait;
use lockgate_oci::{Algorithm, RepositoryName};
use uuid::Uuid;

use crate::store::{Result, Upload};

/// Where upload sessions are, as [`Store`](crate::Store) tells of them: in a directory a file each, which one process writes
/// to; in a bucket an object each and parts, with which any node may go on.
#[async_trait]
pub(super) trait Uploads: Send + Sync {
    async fn begin(&self, repository: &RepositoryName, algorithm: Algorithm) -> Result<Uuid>;
    async fn size(&self, repository: &RepositoryName, id: Uuid) -> Result<u64>;
    async fn resume(&self, repository: &RepositoryName, id: Uuid) -> Result<Box<dyn Upload>>;
    async fn take_to_commit(&self, repository: &RepositoryName, id: Uuid) -> Result<Box<dyn Upload>> {
        self.resume(repository, id).await
    }
    async fn cancel(&self, repository: &RepositoryName, id: Uuid) -> Result<()>;
    async fn remove_stale(&self, deadline: SystemTime) -> Result<usize>;
}
