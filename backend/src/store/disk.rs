//! A store in a directory, laid out as distribution does (`paths.rs` draws the tree).
//!
//! A file appears by a rename, after it was synced; an answer is given after its directory was. So a
//! reader needs no lock, and a crash leaves nothing that is half there. Everything here blocks, and
//! runs on tokio's blocking threads.

mod blob;
mod buffer_pool;
mod contents;
mod corrupt;
mod directories;
mod durable;
mod errors;
mod exclusive;
mod links;
mod listing;
mod manifests;
mod names;
mod progress;
mod session;
mod size;
mod sweep;
mod tagged;
mod upload;
mod upload_file;
mod volume;

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use lockgate_oci::{Algorithm, Digest, Reference, RepositoryName, Tag};
use uuid::Uuid;

use self::buffer_pool::BufferPool;
use self::corrupt::LookedAt;
use self::durable::Durable;
use self::errors::at;
use self::links::Locks;
use self::session::{Hashed, MAX_RESTING};
use self::sweep::Sweep;
pub use self::volume::StorageProblem;
use super::paths::{Layout, is_repository};
use super::sessions::Sessions;
use super::{Blob, Links, NewManifest, Precondition, Result, Store, StoreError, StoredManifest, Upload};

/// How long the sweep for stale uploads works at a time, and rests after it: it takes a tenth of one
/// processor and of the disk's patience at most, and requests go between. Through 100,000 repositories it
/// takes some ten seconds instead of one.
const SLICE: Duration = Duration::from_millis(5);
const REST: Duration = Duration::from_millis(45);

/// A store on disk.
#[derive(Clone)]
pub struct DiskStore(Arc<Inner>);

struct Inner {
    layout: Layout,
    durable: Durable,
    sessions: Sessions<Hashed>,
    buffers: BufferPool,
    locks: Locks,
    looked_at: LookedAt,
}

/// Runs what blocks off the async threads.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(error) => Err(StoreError::Io(io::Error::other(error))),
        },
    }
}

impl DiskStore {
    /// Opens the store in `data`, the directory that `registry:2` calls its `rootdirectory`, and makes
    /// what is missing. No other process can open it until this one ends. What of it cannot be written, or all of
    /// it on a read-only file system, is logged: the rest is of use without. Blocks.
    ///
    /// # Errors
    /// The directory cannot be made, cannot be written to, or is another process's; the message names it.
    pub fn open(data: &Path) -> io::Result<Self> {
        if data.exists() && !data.is_dir() {
            return Err(at(data)(io::Error::new(io::ErrorKind::NotADirectory, "it is not a directory")));
        }
        fs::create_dir_all(data).map_err(at(data))?;
        // A path from the root: what is synced on the way up must have a name.
        let data = fs::canonicalize(data).map_err(at(data))?;
        for problem in volume::problems(&data) {
            tracing::warn!("storage.data: {problem}");
        }
        let layout = Layout::new(&data);
        let durable = match Durable::new(layout.staging()) {
            Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem && layout.repositories().is_dir() => {
                Durable::read_only(layout.staging())
            }
            durable => {
                let durable = durable?;
                durable.make_directory(layout.blobs())?;
                durable.make_directory(layout.repositories())?;
                durable
            }
        };
        Ok(Self::over(layout, durable))
    }

    /// Opens a store for reading alone, whoever else uses it meanwhile. Changes nothing. Blocks.
    ///
    /// # Errors
    /// There is none, or not all of it may be read.
    pub fn open_to_read(data: &Path) -> io::Result<Self> {
        let layout = Layout::new(&fs::canonicalize(data).map_err(at(data))?);
        if !layout.repositories().is_dir() {
            let message = "there is no registry in it, which has a directory docker/registry/v2/repositories";
            return Err(at(data)(io::Error::new(io::ErrorKind::NotFound, message)));
        }
        if let Some(problem) = volume::unreadable(data) {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, problem));
        }
        let durable = Durable::read_only(layout.staging());
        Ok(Self::over(layout, durable))
    }

    fn over(layout: Layout, durable: Durable) -> Self {
        let (sessions, buffers, locks) = (Sessions::new(MAX_RESTING), BufferPool::new(), Locks::default());
        let looked_at = LookedAt::default();
        Self(Arc::new(Inner { layout, durable, sessions, buffers, locks, looked_at }))
    }

    /// What is wrong with a directory that is to be opened. Changes nothing. Blocks.
    pub fn problems(data: &Path) -> Vec<StorageProblem> {
        volume::problems(data)
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce(&Arc<Inner>) -> Result<T> + Send + 'static) -> Result<T> {
        let inner = Arc::clone(&self.0);
        blocking(move || work(&inner)).await
    }
}

#[async_trait]
impl Store for DiskStore {
    async fn blob(&self, repository: &RepositoryName, digest: &Digest) -> Result<Option<Box<dyn Blob>>> {
        let (repository, digest) = (repository.clone(), digest.clone());
        self.run(move |inner| {
            let blob = inner.open_blob(&repository, &digest)?;
            Ok(blob.map(|blob| Box::new(blob) as Box<dyn Blob>))
        })
        .await
    }

    async fn mount_blob(&self, repository: &RepositoryName, from: &RepositoryName, digest: &Digest) -> Result<bool> {
        let (repository, from, digest) = (repository.clone(), from.clone(), digest.clone());
        self.run(move |inner| {
            if !inner.holds_blob(&from, &digest) {
                return Ok(false);
            }
            let Some(target) = inner.link(&inner.layout.layer_link(&from, &digest))? else { return Ok(false) };
            let link = inner.layout.layer_link(&repository, &digest);
            inner.adding(&repository, || inner.write_link(&link, &target))?;
            Ok(true)
        })
        .await
    }

    async fn delete_blob(&self, repository: &RepositoryName, digest: &Digest) -> Result<bool> {
        let (repository, digest) = (repository.clone(), digest.clone());
        self.run(move |inner| {
            let layers = inner.layout.links(&repository, Links::Blobs);
            let link = inner.layout.layer_link(&repository, &digest);
            inner.alone(&repository, || Ok(inner.durable.remove_file(&link, &layers)?))
        })
        .await
    }

    async fn forget_if_corrupt(&self, repository: &RepositoryName, digest: &Digest) -> Result<()> {
        let (repository, digest) = (repository.clone(), digest.clone());
        let turn = self.0.looked_at.turn().await;
        self.run(move |inner| {
            let _turn = turn;
            corrupt::forget_if_corrupt(inner, &repository, &digest)
        })
        .await
    }

    async fn begin_upload(&self, repository: &RepositoryName, algorithm: Algorithm) -> Result<Uuid> {
        let repository = repository.clone();
        self.run(move |inner| session::begin(inner, &repository, algorithm)).await
    }

    async fn upload_size(&self, repository: &RepositoryName, id: Uuid) -> Result<u64> {
        let repository = repository.clone();
        self.run(move |inner| session::size(inner, &repository, id)).await
    }

    async fn resume_upload(&self, repository: &RepositoryName, id: Uuid) -> Result<Box<dyn Upload>> {
        let repository = repository.clone();
        self.run(move |inner| Ok(Box::new(upload::DiskUpload::open(inner, &repository, id)?) as Box<dyn Upload>)).await
    }

    async fn cancel_upload(&self, repository: &RepositoryName, id: Uuid) -> Result<()> {
        let repository = repository.clone();
        self.run(move |inner| session::cancel(inner, &repository, id)).await
    }

    async fn remove_stale_uploads(&self, deadline: SystemTime) -> Result<usize> {
        let mut sweep = self.run(move |inner| Ok(Sweep::begin(inner, deadline))).await?;
        loop {
            let (swept, ended) = blocking(move || Ok(sweep.go_on(SLICE))).await?;
            if ended {
                return Ok(swept.removed());
            }
            sweep = swept;
            tokio::time::sleep(REST).await;
        }
    }

    async fn manifest(&self, repository: &RepositoryName, reference: &Reference) -> Result<Option<StoredManifest>> {
        let (repository, reference) = (repository.clone(), reference.clone());
        self.run(move |inner| manifests::read(inner, &repository, &reference)).await
    }

    async fn put_manifest(&self, repository: &RepositoryName, manifest: NewManifest) -> Result<()> {
        let repository = repository.clone();
        self.run(move |inner| manifests::put(inner, &repository, &manifest)).await
    }

    async fn delete_manifest(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        subject: Option<&Digest>,
    ) -> Result<bool> {
        let (repository, digest, subject) = (repository.clone(), digest.clone(), subject.cloned());
        self.run(move |inner| manifests::delete(inner, &repository, &digest, subject.as_ref())).await
    }

    async fn delete_tag(&self, repository: &RepositoryName, tag: &Tag, precondition: &Precondition) -> Result<bool> {
        let (repository, tag, precondition) = (repository.clone(), tag.clone(), precondition.clone());
        self.run(move |inner| manifests::delete_tag(inner, &repository, &tag, &precondition)).await
    }

    async fn tags(&self, repository: &RepositoryName, after: &str, limit: usize) -> Result<Option<Vec<Tag>>> {
        let (repository, after) = (repository.clone(), after.to_owned());
        self.run(move |inner| {
            match listing::tags(&inner.durable.directories, &inner.layout.tags(&repository), &after, limit)? {
                None if is_repository(&inner.layout.repository(&repository)) => Ok(Some(Vec::new())),
                tags => Ok(tags),
            }
        })
        .await
    }

    async fn repositories(&self, after: &str, limit: usize) -> Result<Vec<RepositoryName>> {
        let after = after.to_owned();
        self.run(move |inner| {
            Ok(listing::repositories(&inner.durable.directories, inner.layout.repositories(), &after, limit)?)
        })
        .await
    }

    async fn referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        after: &str,
        limit: usize,
    ) -> Result<Vec<Digest>> {
        let (repository, subject, after) = (repository.clone(), subject.clone(), after.to_owned());
        self.run(move |inner| {
            let links = inner.layout.referrers(&repository, &subject);
            // Distribution deletes manifests without knowing of referrers.
            let is_held = |digest: &Digest| inner.holds_manifest(&repository, digest);
            Ok(listing::digests(&inner.durable.directories, &links, &after, limit, is_held)?)
        })
        .await
    }

    async fn tag(&self, repository: &RepositoryName, tag: &Tag) -> Result<Option<Digest>> {
        let (repository, tag) = (repository.clone(), tag.clone());
        self.run(move |inner| manifests::current(inner, &repository, &tag)).await
    }

    async fn linked(&self, repository: &RepositoryName, links: Links) -> Result<Vec<Digest>> {
        let repository = repository.clone();
        self.run(move |inner| {
            let links = inner.layout.links(&repository, links);
            Ok(listing::digests(&inner.durable.directories, &links, "", usize::MAX, |_| true)?)
        })
        .await
    }

    fn contents(&self) -> BoxStream<'static, Result<(Digest, u64)>> {
        contents::contents(self.0.layout.blobs().to_owned())
    }
}
