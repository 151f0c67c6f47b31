//! Upload sessions in a directory: each is a directory of distribution's layout with a file of bytes, which one process
//! writes to.
//!
//! ```text
//! sweep      removes what nobody comes back for
//! upload       bytes gather, and are written and hashed off the async threads
//!   upload_file  the file, and the hash of what is in it
//!     progress     in which order both go on
//!     session      what stands on disk, and what would be costly to find out again
//!       store        what all sessions share; buffer_pool: how many buffers, over all
//! ```

mod buffer_pool;
mod progress;
mod session;
mod store;
mod sweep;
mod upload;
mod upload_file;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use lockgate_oci::{Algorithm, RepositoryName};
use uuid::Uuid;

pub(in crate::registry) use self::store::FileStore;
use self::sweep::Sweep;
use self::upload::FileUpload;
use super::Uploads;
use crate::objects::disk::blocking;
use crate::store::{Result, Upload};

/// How long the sweep for stale uploads works at a time, and rests after it: it takes a tenth of one
/// processor and of the disk's patience at most, and requests go between. Through 100,000 repositories it
/// takes some ten seconds instead of one.
const SLICE: Duration = Duration::from_millis(5);
const REST: Duration = Duration::from_millis(45);

/// Runs what blocks off the async threads.
async fn run<T: Send + 'static>(
    files: &Arc<FileStore>,
    repository: &RepositoryName,
    work: impl FnOnce(&Arc<FileStore>, &RepositoryName) -> Result<T> + Send + 'static,
) -> Result<T> {
    let (files, repository) = (Arc::clone(files), repository.clone());
    blocking(move || work(&files, &repository)).await
}

#[async_trait]
impl Uploads for Arc<FileStore> {
    async fn begin(&self, repository: &RepositoryName, algorithm: Algorithm) -> Result<Uuid> {
        run(self, repository, move |files, repository| session::begin(files, repository, algorithm)).await
    }

    async fn size(&self, repository: &RepositoryName, id: Uuid) -> Result<u64> {
        run(self, repository, move |files, repository| session::size(files, repository, id)).await
    }

    async fn resume(&self, repository: &RepositoryName, id: Uuid) -> Result<Box<dyn Upload>> {
        run(self, repository, move |files, repository| {
            Ok(Box::new(FileUpload::open(files, repository, id)?) as Box<dyn Upload>)
        })
        .await
    }

    async fn cancel(&self, repository: &RepositoryName, id: Uuid) -> Result<()> {
        run(self, repository, move |files, repository| session::cancel(files, repository, id)).await
    }

    async fn remove_stale(&self, deadline: SystemTime) -> Result<usize> {
        let files = Arc::clone(self);
        let mut sweep = blocking(move || Ok::<_, std::io::Error>(Sweep::begin(&files, deadline))).await?;
        loop {
            let (swept, ended) = blocking(move || Ok::<_, std::io::Error>(sweep.go_on(SLICE))).await?;
            if ended {
                return Ok(swept.removed());
            }
            sweep = swept;
            tokio::time::sleep(REST).await;
        }
    }
}
