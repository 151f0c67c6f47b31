//! Writing to an upload session: bytes gather in a buffer, and when it is full they are written and
//! hashed off the async threads while the next ones gather. Who appends faster than the disk and the
//! hash can follow waits.
//!
//! Hashing takes a processor, so that more threads than there are processors would only take memory:
//! all uploads share a few [desks](super::desks). One that has a desk leaves its full buffer there and goes on with
//! the desk's empty one; an upload that waits holds one buffer and no thread.
//!
//! After every [`STRETCH`] the file is synced beside the writing, so that the sync at the end, which the
//! client waits for, finds little left to do.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use lockgate_oci::{Algorithm, Digest, RepositoryName};
use tokio::task::{JoinHandle, spawn_blocking};
use uuid::Uuid;

use super::durable::{at, if_there};
use super::session::Lease;
use super::{Inner, blocking};
use crate::hasher::Hasher;
use crate::store::paths::{upload_data, upload_started_at};
use crate::store::{Result, StoreError, Upload};

/// Bytes in a buffer: long enough that handing it over costs little beside hashing it, and short enough
/// that it is still in the processor's cache when it is hashed after it was written.
const BUFFER: usize = 128 * 1024;

/// Bytes in a write. For larger ones Linux takes larger pages, which no processor keeps at hand: on a
/// virtual machine whose free memory goes back to its host, 512 MiB cost 0.13 s so, and 0.49 s in writes of
/// 128 KiB; on memory in use, those would have saved three hundredths.
const WRITE: usize = 32 * 1024;

/// Bytes after which an upload's file is synced, and then again.
const STRETCH: u64 = 32 * 1024 * 1024;

/// A session, taken.
pub(super) struct DiskUpload {
    inner: Arc<Inner>,
    repository: RepositoryName,
    gathering: Vec<u8>,
    work: Work,
    syncing: Option<JoinHandle<io::Result<()>>>,
    /// Bytes of the session, those that are still gathering included.
    size: u64,
}

enum Work {
    Idle(Box<Writer>),
    Writing(JoinHandle<(Box<Writer>, io::Result<()>)>),
    /// A write failed, or the runtime is going down: the session was given back as it was before.
    Failed,
}

impl DiskUpload {
    pub(super) fn open(inner: &Arc<Inner>, repository: &RepositoryName, id: Uuid) -> Result<Self> {
        let writer = Writer::open(inner, repository, id)?;
        let size = writer.size;
        Ok(Self {
            inner: Arc::clone(inner),
            repository: repository.clone(),
            gathering: Vec::new(),
            work: Work::Idle(Box::new(writer)),
            syncing: None,
            size,
        })
    }

    /// Waits for the writing that goes on.
    async fn settle(&mut self) -> Result<Box<Writer>> {
        match std::mem::replace(&mut self.work, Work::Failed) {
            Work::Idle(writer) => Ok(writer),
            Work::Writing(job) => {
                let (writer, written) = job.await.map_err(io::Error::other)?;
                written?;
                Ok(writer)
            }
            Work::Failed => Err(StoreError::Io(io::Error::other("writing to the upload session failed before"))),
        }
    }

    /// Begins to write what has gathered.
    async fn hand_over(&mut self) -> Result<()> {
        let mut writer = self.settle().await?;
        if writer.unsynced >= STRETCH && self.syncing.as_ref().is_none_or(JoinHandle::is_finished) {
            self.synced().await?;
            self.syncing = Some(spawn_blocking(writer.sync_ahead(&self.inner)));
        }
        let desk = self.inner.desks.take().await;
        let full = std::mem::replace(&mut self.gathering, desk.buffer());
        self.work = Work::Writing(spawn_blocking(move || {
            let written = writer.write(&full);
            desk.put_back(full);
            (writer, written)
        }));
        Ok(())
    }

    /// Waits for the syncing that goes on.
    async fn synced(&mut self) -> Result<()> {
        match self.syncing.take() {
            Some(job) => Ok(job.await.map_err(io::Error::other)??),
            None => Ok(()),
        }
    }

    /// Waits until all that was appended is written.
    async fn finish(mut self: Box<Self>) -> Result<(Box<Writer>, Arc<Inner>, RepositoryName)> {
        if !self.gathering.is_empty() {
            self.hand_over().await?;
        }
        self.synced().await?;
        let writer = self.settle().await?;
        Ok((writer, self.inner, self.repository))
    }
}

#[async_trait]
impl Upload for DiskUpload {
    fn size(&self) -> u64 {
        self.size
    }

    async fn append(&mut self, mut bytes: Bytes) -> Result<()> {
        self.size += bytes.len() as u64;
        while !bytes.is_empty() {
            let fits = bytes.len().min(BUFFER - self.gathering.len());
            if !self.gathering.is_empty() {
                // A small blob has one piece; for what has more, growing step by step would copy and scatter.
                self.gathering.reserve_exact(BUFFER - self.gathering.len());
            }
            self.gathering.extend_from_slice(&bytes.split_to(fits));
            if self.gathering.len() == BUFFER {
                self.hand_over().await?;
            }
        }
        Ok(())
    }

    async fn suspend(self: Box<Self>) -> Result<u64> {
        let (writer, ..) = self.finish().await?;
        Ok(writer.size)
    }

    async fn commit(self: Box<Self>, digest: &Digest) -> Result<()> {
        let (writer, inner, repository) = self.finish().await?;
        let digest = digest.clone();
        blocking(move || writer.commit(&inner, &repository, &digest)).await
    }
}

/// Makes a new session, and the hash that it will go on with.
pub(super) fn begin(inner: &Inner, repository: &RepositoryName, algorithm: Algorithm) -> Result<Uuid> {
    let id = Uuid::new_v4();
    let lease = inner.sessions.take(id).ok_or(StoreError::UploadBusy)?;
    inner.durable.make_directory(&inner.layout.uploads(repository))?;
    let directory = inner.layout.upload(repository, id);
    let started_at = humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string();
    // Nothing was acknowledged yet that must survive a loss of power: no syncing here.
    fs::create_dir(&directory)
        .and_then(|()| fs::write(upload_started_at(&directory), started_at))
        .and_then(|()| File::create_new(upload_data(&directory)).map(drop))
        .map_err(at(&directory))?;
    lease.rest(Hasher::new(algorithm), 0);
    Ok(id)
}

/// How many bytes a session holds on disk. Distribution makes the data's file with the first byte.
pub(super) fn size(inner: &Inner, repository: &RepositoryName, id: Uuid) -> Result<u64> {
    let directory = inner.layout.upload(repository, id);
    let data = upload_data(&directory);
    if let Some(metadata) = if_there(fs::metadata(&data)).map_err(at(&data))? {
        return Ok(metadata.len());
    }
    let started_at = upload_started_at(&directory);
    if started_at.is_file() { Ok(0) } else { Err(StoreError::UploadUnknown) }
}

/// Ends a session that nobody writes to.
pub(super) fn cancel(inner: &Inner, repository: &RepositoryName, id: Uuid) -> Result<()> {
    let lease = inner.sessions.take(id).ok_or(StoreError::UploadBusy)?;
    let size = size(inner, repository, id)?;
    drop(lease.hasher(size));
    inner.durable.remove_tree(&inner.layout.upload(repository, id))?;
    Ok(())
}

/// The file of a session and the hash of what is in it.
struct Writer {
    directory: PathBuf,
    file: Arc<File>,
    size: u64,
    /// Bytes written since the file was last synced.
    unsynced: u64,
    /// `None` where the hash of the bytes before these is not known: it is computed at the end.
    hasher: Option<Hasher>,
    lease: Arc<Lease>,
}

impl Writer {
    fn open(inner: &Inner, repository: &RepositoryName, id: Uuid) -> Result<Self> {
        // The session is looked for first: an id that does not exist is no busy one.
        size(inner, repository, id)?;
        let lease = inner.sessions.take(id).ok_or(StoreError::UploadBusy)?;
        let size = size(inner, repository, id)?;
        let directory = inner.layout.upload(repository, id);
        let data = upload_data(&directory);
        let options = File::options().read(true).write(true).create(true).truncate(false).clone();
        let file = options.open(&data).map_err(at(&data))?;
        let hasher = lease.hasher(size);
        Ok(Self { directory, file: Arc::new(file), size, unsynced: 0, hasher, lease: Arc::new(lease) })
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        for bytes in bytes.chunks(WRITE) {
            if let Err(error) = self.file.write_all_at(bytes, self.size) {
                // The session ends where it was whole; should this fail too, its hash is computed anew.
                let _ = self.file.set_len(self.size);
                return Err(at(&upload_data(&self.directory))(error));
            }
            if let Some(hasher) = &mut self.hasher {
                hasher.update(bytes);
            }
            self.size += bytes.len() as u64;
            self.unsynced += bytes.len() as u64;
        }
        Ok(())
    }

    /// Syncs what has been written by now. The session stays taken until that is done: when it fails
    /// the kernel forgets what did not reach the disk, so that the next sync would succeed and nobody
    /// may go on with these bytes.
    fn sync_ahead(&mut self, inner: &Arc<Inner>) -> impl FnOnce() -> io::Result<()> + use<> {
        self.unsynced = 0;
        let (inner, directory) = (Arc::clone(inner), self.directory.clone());
        let (file, lease) = (Arc::clone(&self.file), Arc::clone(&self.lease));
        move || {
            let synced = file.sync_data().map_err(at(&upload_data(&directory)));
            if synced.is_err() {
                let _ = inner.durable.remove_tree(&directory);
            }
            drop(lease);
            synced
        }
    }

    /// Makes the session a blob of the repository.
    fn commit(mut self, inner: &Inner, repository: &RepositoryName, digest: &Digest) -> Result<()> {
        let data = upload_data(&self.directory);
        let found = match self.hasher.take() {
            Some(hasher) if hasher.algorithm() == digest.algorithm() => hasher.finish(),
            _ => self.hash_file(digest.algorithm()).map_err(at(&data))?,
        };
        if found != *digest {
            inner.durable.remove_tree(&self.directory)?;
            return Err(StoreError::DigestMismatch(found));
        }
        if let Err(error) = self.file.sync_all() {
            // What did not reach the disk is forgotten by the kernel, and a second sync would succeed:
            // so these bytes must not be tried again.
            let _ = inner.durable.remove_tree(&self.directory);
            return Err(at(&data)(error).into());
        }
        inner.durable.rename(&data, &inner.layout.blob_data(digest))?;
        let linked = inner.link_layer(repository, digest);
        // The session's bytes are a blob now, whether or not the rest of its directory goes.
        let _ = fs::remove_dir_all(&self.directory);
        linked
    }

    fn hash_file(&self, algorithm: Algorithm) -> io::Result<Digest> {
        let mut hasher = Hasher::new(algorithm);
        let mut buffer = vec![0; BUFFER];
        let mut offset = 0;
        while offset < self.size {
            let length = usize::try_from(self.size - offset).map_or(BUFFER, |left| left.min(BUFFER));
            self.file.read_exact_at(&mut buffer[..length], offset)?;
            hasher.update(&buffer[..length]);
            offset += length as u64;
        }
        Ok(hasher.finish())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Some(hasher) = self.hasher.take() {
            self.lease.rest(hasher, self.size);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hasher::digest_of;
    use crate::store::{DiskStore, Store as _};

    /// Writes bytes to a session, leaves it, and puts others of the same length in their place: who
    /// reads them again finds another digest.
    async fn left_and_swapped(store: &DiskStore, repository: &RepositoryName) -> Uuid {
        let id = store.begin_upload(repository, Algorithm::Sha256).await.unwrap();
        let mut upload = store.resume_upload(repository, id).await.unwrap();
        upload.append(Bytes::from_static(b"one, ")).await.unwrap();
        upload.suspend().await.unwrap();
        let data = upload_data(&store.0.layout.upload(repository, id));
        assert_eq!(fs::read(&data).unwrap(), b"one, ");
        fs::write(data, b"xxxxx").unwrap();
        id
    }

    async fn finish(store: &DiskStore, repository: &RepositoryName, id: Uuid, digest: &Digest) -> Result<()> {
        let mut upload = store.resume_upload(repository, id).await.unwrap();
        upload.append(Bytes::from_static(b"two")).await.unwrap();
        upload.commit(digest).await
    }

    #[tokio::test]
    async fn a_long_upload_is_synced_while_it_is_written() {
        let directory = tempfile::tempdir().unwrap();
        let repository: RepositoryName = "a".parse().unwrap();
        let store = DiskStore::open(directory.path()).unwrap();
        let id = store.begin_upload(&repository, Algorithm::Sha256).await.unwrap();
        let mut upload = Box::new(DiskUpload::open(&store.0, &repository, id).unwrap());
        let content = Bytes::from(vec![7; STRETCH as usize + 3 * BUFFER]);
        upload.append(content.slice(..BUFFER)).await.unwrap();
        assert!(upload.syncing.is_none(), "a short one is synced once, at its end");
        upload.append(content.slice(BUFFER..)).await.unwrap();
        assert!(upload.syncing.is_some());
        let digest = digest_of(Algorithm::Sha256, &content);
        upload.commit(&digest).await.unwrap();
        assert_eq!(store.blob(&repository, &digest).await.unwrap().unwrap().size(), content.len() as u64);
    }

    #[test]
    fn bytes_that_could_not_be_synced_are_forgotten_before_anybody_can_go_on_with_them() {
        let directory = tempfile::tempdir().unwrap();
        let repository: RepositoryName = "a".parse().unwrap();
        let inner = DiskStore::open(directory.path()).unwrap().0;
        let id = begin(&inner, &repository, Algorithm::Sha256).unwrap();
        let mut writer = Writer::open(&inner, &repository, id).unwrap();
        // A pipe cannot be synced, as a broken disk cannot.
        let (_reader, pipe) = io::pipe().unwrap();
        writer.file = Arc::new(File::from(std::os::fd::OwnedFd::from(pipe)));
        let sync = writer.sync_ahead(&inner);
        drop(writer);
        assert!(inner.sessions.take(id).is_none(), "the sync still has it");
        sync().unwrap_err();
        assert!(matches!(size(&inner, &repository, id), Err(StoreError::UploadUnknown)));
        assert!(inner.sessions.take(id).is_some());
    }

    #[tokio::test]
    async fn bytes_are_hashed_as_they_come_and_read_again_only_after_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let repository: RepositoryName = "a".parse().unwrap();
        let store = DiskStore::open(directory.path()).unwrap();
        let id = left_and_swapped(&store, &repository).await;
        finish(&store, &repository, id, &digest_of(Algorithm::Sha256, b"one, two")).await.unwrap();

        let id = left_and_swapped(&store, &repository).await;
        let restarted = DiskStore::open(directory.path()).unwrap();
        let found = digest_of(Algorithm::Sha256, b"xxxxxtwo");
        let error = finish(&restarted, &repository, id, &digest_of(Algorithm::Sha256, b"one, two")).await.unwrap_err();
        assert!(matches!(error, StoreError::DigestMismatch(digest) if digest == found));
    }
}
