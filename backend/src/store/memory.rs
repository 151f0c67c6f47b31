//! A store in memory, for tests: the least that keeps the contract.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream;
use lockgate_oci::{Algorithm, Digest, Reference, RepositoryName, Tag};
use uuid::Uuid;

use super::lock::held;
use super::{
    Blob, ByteStream, NewManifest, Precondition, Requirement, Result, Store, StoreError, StoredManifest, Upload,
};
use crate::hasher::digest_of;

/// A store that is gone with its process. Its clones are the same store.
#[derive(Clone, Default)]
pub struct MemoryStore(Arc<Mutex<Content>>);

#[derive(Default)]
struct Content {
    blobs: HashMap<Digest, Bytes>,
    repositories: BTreeMap<String, Repository>,
}

#[derive(Default)]
struct Repository {
    layers: BTreeSet<Digest>,
    manifests: BTreeSet<Digest>,
    tags: BTreeMap<String, Digest>,
    referrers: BTreeSet<(Digest, Digest)>,
    uploads: HashMap<Uuid, Session>,
    /// Whether it has ever held something: an upload alone makes no repository.
    exists: bool,
}

struct Session {
    /// `None` while somebody writes to it.
    bytes: Option<Vec<u8>>,
    last_used: SystemTime,
}

impl Session {
    fn resting(bytes: Vec<u8>) -> Self {
        Self { bytes: Some(bytes), last_used: SystemTime::now() }
    }
}

impl Repository {
    fn holds(&self, requirement: &Requirement) -> bool {
        let digest = requirement.digest();
        let as_manifest = matches!(requirement, Requirement::Manifest(_)) && self.manifests.contains(digest);
        as_manifest || self.layers.contains(digest)
    }

    /// The manifest that has this name.
    fn find<'a>(&'a self, reference: &'a Reference) -> Option<&'a Digest> {
        let digest = match reference {
            Reference::Digest(digest) => Some(digest),
            Reference::Tag(tag) => self.tags.get(tag.as_str()),
        };
        digest.filter(|digest| self.manifests.contains(digest))
    }

    fn check(&self, reference: &Reference, precondition: &Precondition) -> Result<()> {
        if precondition.holds(self.find(reference)) { Ok(()) } else { Err(StoreError::PreconditionFailed) }
    }

    fn upload(&mut self, id: Uuid) -> Result<&mut Session> {
        self.uploads.get_mut(&id).ok_or(StoreError::UploadUnknown)
    }
}

impl Content {
    fn repository(&mut self, name: &RepositoryName) -> &mut Repository {
        self.repositories.entry(name.as_str().to_owned()).or_default()
    }

    fn link_layer(&mut self, name: &RepositoryName, digest: &Digest) {
        let repository = self.repository(name);
        repository.exists = true;
        repository.layers.insert(digest.clone());
    }
}

impl MemoryStore {
    /// A store with nothing in it.
    pub fn new() -> Self {
        Self::default()
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        held(self.0.lock())
    }
}

fn page<'a, T: FromStr>(names: impl Iterator<Item = &'a String>, after: &str, limit: usize) -> Vec<T> {
    names.filter(|name| name.as_str() > after).take(limit).filter_map(|name| name.parse().ok()).collect()
}

#[async_trait]
impl Store for MemoryStore {
    async fn blob(&self, repository: &RepositoryName, digest: &Digest) -> Result<Option<Box<dyn Blob>>> {
        let mut content = self.content();
        if !content.repository(repository).layers.contains(digest) {
            return Ok(None);
        }
        Ok(content.blobs.get(digest).map(|bytes| Box::new(MemoryBlob(bytes.clone())) as Box<dyn Blob>))
    }

    async fn mount_blob(&self, repository: &RepositoryName, from: &RepositoryName, digest: &Digest) -> Result<bool> {
        let mut content = self.content();
        let held = content.repository(from).layers.contains(digest);
        if held {
            content.link_layer(repository, digest);
        }
        Ok(held)
    }

    async fn delete_blob(&self, repository: &RepositoryName, digest: &Digest) -> Result<bool> {
        Ok(self.content().repository(repository).layers.remove(digest))
    }

    async fn begin_upload(&self, repository: &RepositoryName, _algorithm: Algorithm) -> Result<Uuid> {
        let id = Uuid::new_v4();
        self.content().repository(repository).uploads.insert(id, Session::resting(Vec::new()));
        Ok(id)
    }

    async fn upload_size(&self, repository: &RepositoryName, id: Uuid) -> Result<u64> {
        let mut content = self.content();
        let upload = content.repository(repository).upload(id)?;
        Ok(upload.bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }

    async fn resume_upload(&self, repository: &RepositoryName, id: Uuid) -> Result<Box<dyn Upload>> {
        let bytes = self.content().repository(repository).upload(id)?.bytes.take().ok_or(StoreError::UploadBusy)?;
        let taken_at = bytes.len();
        Ok(Box::new(MemoryUpload { store: self.clone(), repository: repository.clone(), id, bytes, taken_at }))
    }

    async fn cancel_upload(&self, repository: &RepositoryName, id: Uuid) -> Result<()> {
        let mut content = self.content();
        let repository = content.repository(repository);
        repository.upload(id)?.bytes.as_ref().ok_or(StoreError::UploadBusy)?;
        repository.uploads.remove(&id);
        Ok(())
    }

    async fn remove_stale_uploads(&self, deadline: SystemTime) -> Result<usize> {
        let mut removed = 0;
        for repository in self.content().repositories.values_mut() {
            let before = repository.uploads.len();
            repository.uploads.retain(|_, session| session.bytes.is_none() || session.last_used >= deadline);
            removed += before - repository.uploads.len();
        }
        Ok(removed)
    }

    async fn manifest(&self, repository: &RepositoryName, reference: &Reference) -> Result<Option<StoredManifest>> {
        let mut content = self.content();
        let kept = content.repository(repository);
        let digest = kept.find(reference).cloned();
        Ok(digest.and_then(|digest| {
            let content = content.blobs.get(&digest)?.clone();
            Some(StoredManifest { digest, content })
        }))
    }

    async fn put_manifest(&self, repository: &RepositoryName, manifest: NewManifest) -> Result<()> {
        let mut content = self.content();
        let kept = content.repository(repository);
        let missing = manifest.requires.iter().filter(|r| !kept.holds(r));
        let missing: Vec<_> = missing.map(|r| r.digest().clone()).collect();
        if !missing.is_empty() {
            return Err(StoreError::Missing(missing));
        }
        if let Some((reference, precondition)) = &manifest.precondition {
            kept.check(reference, precondition)?;
        }
        kept.exists = true;
        kept.manifests.insert(manifest.digest.clone());
        kept.referrers.extend(manifest.subject.map(|subject| (subject, manifest.digest.clone())));
        kept.tags.extend(manifest.tags.iter().map(|tag| (tag.as_str().to_owned(), manifest.digest.clone())));
        content.blobs.insert(manifest.digest, manifest.content);
        Ok(())
    }

    async fn delete_manifest(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        _subject: Option<&Digest>,
    ) -> Result<bool> {
        let mut content = self.content();
        let repository = content.repository(repository);
        repository.tags.retain(|_, current| current != digest);
        repository.referrers.retain(|(_, referrer)| referrer != digest);
        Ok(repository.manifests.remove(digest))
    }

    async fn delete_tag(&self, repository: &RepositoryName, tag: &Tag, precondition: &Precondition) -> Result<bool> {
        let mut content = self.content();
        let repository = content.repository(repository);
        if repository.tags.contains_key(tag.as_str()) {
            repository.check(&Reference::Tag(tag.clone()), precondition)?;
        }
        Ok(repository.tags.remove(tag.as_str()).is_some())
    }

    async fn tags(&self, repository: &RepositoryName, after: &str, limit: usize) -> Result<Option<Vec<Tag>>> {
        let mut content = self.content();
        let repository = content.repository(repository);
        Ok(repository.exists.then(|| page(repository.tags.keys(), after, limit)))
    }

    async fn repositories(&self, after: &str, limit: usize) -> Result<Vec<RepositoryName>> {
        let content = self.content();
        let existing = content.repositories.iter().filter(|(_, repository)| repository.exists);
        Ok(page(existing.map(|(name, _)| name), after, limit))
    }

    async fn referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        after: &str,
        limit: usize,
    ) -> Result<Vec<Digest>> {
        let mut content = self.content();
        let referrers = content.repository(repository).referrers.iter().filter(|(of, _)| of == subject);
        let referrers = referrers.map(|(_, referrer)| referrer).filter(|referrer| referrer.as_str() > after);
        Ok(referrers.take(limit).cloned().collect())
    }
}

struct MemoryBlob(Bytes);

impl Blob for MemoryBlob {
    fn size(&self) -> u64 {
        self.0.len() as u64
    }

    fn read(&self, range: Range<u64>) -> ByteStream {
        let at = |offset: u64| usize::try_from(offset).expect("a range lies within the blob, which is in memory");
        let piece = self.0.slice(at(range.start)..at(range.end));
        Box::pin(stream::iter((!piece.is_empty()).then_some(Ok(piece))))
    }
}

struct MemoryUpload {
    store: MemoryStore,
    repository: RepositoryName,
    id: Uuid,
    bytes: Vec<u8>,
    /// How many it held when it was taken.
    taken_at: usize,
}

#[async_trait]
impl Upload for MemoryUpload {
    fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    async fn append(&mut self, bytes: Bytes) -> Result<()> {
        self.bytes.extend_from_slice(&bytes);
        Ok(())
    }

    async fn suspend(self: Box<Self>) -> Result<u64> {
        Ok(self.size())
    }

    async fn commit(mut self: Box<Self>, digest: &Digest) -> Result<()> {
        let mut bytes = Bytes::from(std::mem::take(&mut self.bytes));
        let mut content = self.store.content();
        content.repository(&self.repository).uploads.remove(&self.id);
        let found = digest_of(digest.algorithm(), &bytes);
        if found != *digest {
            bytes = bytes.split_off(self.taken_at);
            if bytes.is_empty() || digest_of(digest.algorithm(), &bytes) != *digest {
                return Err(StoreError::DigestMismatch(found));
            }
        }
        content.blobs.insert(digest.clone(), bytes);
        content.link_layer(&self.repository, digest);
        drop(content);
        Ok(())
    }
}

impl Drop for MemoryUpload {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        if let Ok(upload) = self.store.content().repository(&self.repository).upload(self.id) {
            *upload = Session::resting(bytes);
        }
    }
}
