//! A store in a directory, laid out as distribution does (`paths.rs` draws the tree).
//!
//! A file appears by a rename, after it was synced; an answer is given after its directory was. So a
//! reader needs no lock, and a crash leaves nothing that is half there. Everything here blocks, and
//! runs on tokio's blocking threads.

mod blob;
mod directories;
mod durable;
mod listing;
mod names;
mod session;
mod sweep;
mod upload;
mod upload_file;

use std::fs::{self, File};
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use async_trait::async_trait;
use lockgate_oci::{Algorithm, Digest, Reference, RepositoryName, Tag};
use uuid::Uuid;

use self::blob::FileBlob;
use self::durable::{Durable, at, if_there};
use self::session::Sessions;
use self::upload::Desks;
use super::paths::{Layout, is_repository};
use super::{Blob, NewManifest, Requirement, Result, Store, StoreError, StoredManifest, Upload};
use crate::hasher::digest_of;

/// Locks for repositories: one is chosen by the name's hash.
const LOCKS: usize = 64;

/// A store on disk.
#[derive(Clone)]
pub struct DiskStore(Arc<Inner>);

struct Inner {
    layout: Layout,
    durable: Durable,
    sessions: Sessions,
    desks: Desks,
    /// Shared by those who add links, held alone by those who remove some: so no manifest is accepted
    /// whose blob is being deleted, and no directory vanishes under a link. Never held while a body
    /// is received, hashed, synced or sent.
    links: [RwLock<()>; LOCKS],
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
    /// what is missing. Blocks.
    ///
    /// # Errors
    /// The directory cannot be made, or cannot be written to; the message names it.
    pub fn open(data: &Path) -> io::Result<Self> {
        fs::create_dir_all(data).map_err(at(data))?;
        // A path from the root: what is synced on the way up must have a name.
        let data = fs::canonicalize(data).map_err(at(data))?;
        let layout = Layout::new(&data);
        let durable = Durable::new(layout.staging())?;
        durable.make_directory(layout.blobs())?;
        durable.make_directory(layout.repositories())?;
        let links = std::array::from_fn(|_| RwLock::new(()));
        Ok(Self(Arc::new(Inner { layout, durable, sessions: Sessions::default(), desks: Desks::new(), links })))
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce(&Arc<Inner>) -> Result<T> + Send + 'static) -> Result<T> {
        let inner = Arc::clone(&self.0);
        blocking(move || work(&inner)).await
    }
}

impl Inner {
    fn lock_of(&self, repository: &RepositoryName) -> &RwLock<()> {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(repository);
        &self.links[(hash % LOCKS as u64) as usize]
    }

    /// While links of a repository are added.
    fn adding<T>(&self, repository: &RepositoryName, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let _shared = self.lock_of(repository).read().unwrap_or_else(PoisonError::into_inner);
        work()
    }

    /// While links of a repository are removed.
    fn removing<T>(&self, repository: &RepositoryName, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let _alone = self.lock_of(repository).write().unwrap_or_else(PoisonError::into_inner);
        work()
    }

    fn write_link(&self, path: &Path, digest: &Digest) -> Result<()> {
        Ok(self.durable.write(path, digest.as_str().as_bytes())?)
    }

    fn link_layer(&self, repository: &RepositoryName, digest: &Digest) -> Result<()> {
        self.adding(repository, || self.write_link(&self.layout.layer_link(repository, digest), digest))
    }

    /// What a link points at. One that holds no digest is as good as none: distribution does not sync
    /// what it writes, so that a crash leaves empty links, and what is not there is pushed again.
    fn link(&self, path: &Path) -> Result<Option<Digest>> {
        let Some(text) = if_there(fs::read(path)).map_err(at(path))? else { return Ok(None) };
        let digest = std::str::from_utf8(&text).ok().and_then(|text| text.trim_end().parse().ok());
        if digest.is_none() {
            tracing::warn!(path = %path.display(), "this link holds no digest: what it is for counts as missing");
        }
        Ok(digest)
    }

    /// Opens what has a digest; `None` when it is not there, or is empty and should not be.
    fn open_content(&self, digest: &Digest) -> Result<Option<FileBlob>> {
        let path = self.layout.blob_data(digest);
        let Some(file) = if_there(File::open(&path)).map_err(at(&path))? else { return Ok(None) };
        let metadata = file.metadata().map_err(at(&path))?;
        if !metadata.is_file() {
            return Err(StoreError::Corrupt(format!("{} is no file", path.display())));
        }
        let size = metadata.len();
        let lost = size == 0 && digest_of(digest.algorithm(), b"") != *digest;
        if lost {
            tracing::warn!(path = %path.display(), "this file is empty and should not be: it counts as missing");
        }
        Ok((!lost).then_some(FileBlob { file, size }))
    }

    /// Distribution's link of a sha512 points at what it keeps under the sha256.
    fn open_blob(&self, repository: &RepositoryName, digest: &Digest) -> Result<Option<FileBlob>> {
        match self.link(&self.layout.layer_link(repository, digest))? {
            Some(target) => self.open_content(&target),
            None => Ok(None),
        }
    }

    fn open_manifest(&self, repository: &RepositoryName, digest: &Digest) -> Result<Option<FileBlob>> {
        match self.link(&self.layout.revision_link(repository, digest))? {
            Some(target) => self.open_content(&target),
            None => Ok(None),
        }
    }

    fn holds_blob(&self, repository: &RepositoryName, digest: &Digest) -> bool {
        matches!(self.open_blob(repository, digest), Ok(Some(_)))
    }

    fn holds_manifest(&self, repository: &RepositoryName, digest: &Digest) -> bool {
        matches!(self.open_manifest(repository, digest), Ok(Some(_)))
    }

    fn holds(&self, repository: &RepositoryName, requirement: &Requirement) -> bool {
        match requirement {
            Requirement::Blob(digest) => self.holds_blob(repository, digest),
            Requirement::Manifest(digest) => {
                self.holds_manifest(repository, digest) || self.holds_blob(repository, digest)
            }
        }
    }

    fn manifest(&self, repository: &RepositoryName, reference: &Reference) -> Result<Option<StoredManifest>> {
        let digest = match reference {
            Reference::Digest(digest) => digest.clone(),
            Reference::Tag(tag) => match self.tag(repository, tag)? {
                Some(digest) => digest,
                None => return Ok(None),
            },
        };
        let Some(mut stored) = self.open_manifest(repository, &digest)? else { return Ok(None) };
        let path = self.layout.blob_data(&digest);
        let mut content = Vec::with_capacity(usize::try_from(stored.size).unwrap_or_default());
        stored.file.read_to_end(&mut content).map_err(at(&path))?;
        if digest_of(digest.algorithm(), &content) != digest {
            return Err(StoreError::Corrupt(format!("{} has another digest than its name", path.display())));
        }
        Ok(Some(StoredManifest { digest, content: content.into() }))
    }

    fn put_manifest(&self, repository: &RepositoryName, manifest: &NewManifest) -> Result<()> {
        let (layout, digest) = (&self.layout, &manifest.digest);
        self.adding(repository, || {
            let missing = manifest.requires.iter().filter(|r| !self.holds(repository, r));
            let missing: Vec<_> = missing.map(|r| r.digest().clone()).collect();
            if !missing.is_empty() {
                return Err(StoreError::Missing(missing));
            }
            self.durable.write(&layout.blob_data(digest), &manifest.content)?;
            self.write_link(&layout.revision_link(repository, digest), digest)?;
            if let Some(subject) = &manifest.subject {
                self.write_link(&layout.referrer_link(repository, subject, digest), digest)?;
            }
            for tag in &manifest.tags {
                self.write_link(&layout.tag_index_link(repository, tag, digest), digest)?;
                self.write_link(&layout.tag_current_link(repository, tag), digest)?;
            }
            Ok(())
        })
    }

    fn delete_manifest(&self, repository: &RepositoryName, digest: &Digest, subject: Option<&Digest>) -> Result<bool> {
        let layout = &self.layout;
        self.removing(repository, || {
            let link = layout.revision_link(repository, digest);
            if !link.is_file() {
                return Ok(false);
            }
            // The tags first: at no moment does one point at a manifest that is gone.
            for tag in
                listing::tags(&self.durable.directories, &layout.tags(repository), "", usize::MAX)?.unwrap_or_default()
            {
                if self.tag(repository, &tag).is_ok_and(|current| current.as_ref() == Some(digest)) {
                    self.durable.remove_tree(&layout.tag(repository, &tag))?;
                }
            }
            if let Some(subject) = subject {
                let referrers = layout.referrers(repository, subject);
                self.durable.remove_file(&layout.referrer_link(repository, subject, digest), &referrers)?;
            }
            let revisions = layout.repository(repository).join("_manifests/revisions");
            Ok(self.durable.remove_file(&link, &revisions)?)
        })
    }

    fn tag(&self, repository: &RepositoryName, tag: &Tag) -> Result<Option<Digest>> {
        self.link(&self.layout.tag_current_link(repository, tag))
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
            let layers = inner.layout.repository(&repository).join("_layers");
            let link = inner.layout.layer_link(&repository, &digest);
            inner.removing(&repository, || Ok(inner.durable.remove_file(&link, &layers)?))
        })
        .await
    }

    async fn begin_upload(&self, repository: &RepositoryName, algorithm: Algorithm) -> Result<Uuid> {
        let repository = repository.clone();
        self.run(move |inner| upload::begin(inner, &repository, algorithm)).await
    }

    async fn upload_size(&self, repository: &RepositoryName, id: Uuid) -> Result<u64> {
        let repository = repository.clone();
        self.run(move |inner| upload::size(inner, &repository, id)).await
    }

    async fn resume_upload(&self, repository: &RepositoryName, id: Uuid) -> Result<Box<dyn Upload>> {
        let repository = repository.clone();
        self.run(move |inner| Ok(Box::new(upload::DiskUpload::open(inner, &repository, id)?) as Box<dyn Upload>)).await
    }

    async fn cancel_upload(&self, repository: &RepositoryName, id: Uuid) -> Result<()> {
        let repository = repository.clone();
        self.run(move |inner| upload::cancel(inner, &repository, id)).await
    }

    async fn remove_stale_uploads(&self, deadline: SystemTime) -> Result<usize> {
        self.run(move |inner| Ok(sweep::sweep(inner, deadline))).await
    }

    async fn manifest(&self, repository: &RepositoryName, reference: &Reference) -> Result<Option<StoredManifest>> {
        let (repository, reference) = (repository.clone(), reference.clone());
        self.run(move |inner| inner.manifest(&repository, &reference)).await
    }

    async fn put_manifest(&self, repository: &RepositoryName, manifest: NewManifest) -> Result<()> {
        let repository = repository.clone();
        self.run(move |inner| inner.put_manifest(&repository, &manifest)).await
    }

    async fn delete_manifest(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        subject: Option<&Digest>,
    ) -> Result<bool> {
        let (repository, digest, subject) = (repository.clone(), digest.clone(), subject.cloned());
        self.run(move |inner| inner.delete_manifest(&repository, &digest, subject.as_ref())).await
    }

    async fn delete_tag(&self, repository: &RepositoryName, tag: &Tag) -> Result<bool> {
        let (repository, tag) = (repository.clone(), tag.clone());
        self.run(move |inner| {
            let directory = inner.layout.tag(&repository, &tag);
            inner.removing(&repository, || Ok(inner.durable.remove_tree(&directory)?))
        })
        .await
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

    async fn referrers(&self, repository: &RepositoryName, subject: &Digest) -> Result<Vec<Digest>> {
        let (repository, subject) = (repository.clone(), subject.clone());
        self.run(move |inner| {
            let mut digests =
                listing::digests(&inner.durable.directories, &inner.layout.referrers(&repository, &subject))?;
            // Distribution deletes manifests without knowing of referrers.
            digests.retain(|digest| inner.holds_manifest(&repository, digest));
            Ok(digests)
        })
        .await
    }
}
