//! Writing to an upload session: bytes gather in a buffer, and when it is full they are written and
//! hashed off the async threads while the next ones gather. Who appends faster than the disk and the
//! hash can follow waits.
//!
//! Hashing takes a processor, so that more threads than there are processors would only take memory: all uploads
//! share the few slots of a [pool](super::buffer_pool). One that has a slot leaves its full buffer there and goes on
//! with an empty one; an upload that waits holds one buffer and no thread.
//!
//! After every [`STRETCH`] the file is synced beside the writing, so that the sync at the end, which the
//! client waits for, finds little left to do.

use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use lockgate_oci::{Digest, RepositoryName};
use tokio::task::{JoinHandle, spawn_blocking};
use uuid::Uuid;

use super::buffer_pool::BUFFER;
use super::progress::Full;
use super::store::FileStore;
use super::upload_file::UploadFile;
use crate::store::{Result, Upload};

/// Bytes after which an upload's file is synced, and then again.
const STRETCH: u64 = 32 * 1024 * 1024;

/// A session, taken.
pub(super) struct FileUpload {
    files: Arc<FileStore>,
    repository: RepositoryName,
    gathering: Vec<u8>,
    file: Arc<UploadFile>,
    /// Those that write and hash.
    workers: Vec<JoinHandle<()>>,
    syncing: Option<JoinHandle<io::Result<()>>>,
    /// Bytes handed over since the file was last synced.
    unsynced: u64,
    /// Bytes of the session, those that are still gathering included.
    size: u64,
}

impl FileUpload {
    pub(super) fn open(files: &Arc<FileStore>, repository: &RepositoryName, id: Uuid) -> Result<Self> {
        let file = UploadFile::open(files, repository, id)?;
        Ok(Self {
            files: Arc::clone(files),
            repository: repository.clone(),
            gathering: Vec::new(),
            size: file.settled()?,
            file: Arc::new(file),
            workers: Vec::new(),
            syncing: None,
            unsynced: 0,
        })
    }

    /// Has what has gathered written and hashed, when there is a slot for it. When that fails nobody works
    /// on the session any more: who is told so can end it.
    async fn hand_over(&mut self) -> Result<()> {
        let handed_over = self.take_slot().await;
        if handed_over.is_err() {
            let _ = self.rest().await;
        }
        handed_over
    }

    async fn take_slot(&mut self) -> Result<()> {
        if self.unsynced >= STRETCH && self.syncing.as_ref().is_none_or(JoinHandle::is_finished) {
            self.synced().await?;
            self.unsynced = 0;
            let (file, files) = (Arc::clone(&self.file), Arc::clone(&self.files));
            self.syncing = Some(spawn_blocking(move || file.sync_ahead(&files)));
        }
        let slot = self.files.buffers.take().await;
        let bytes = std::mem::replace(&mut self.gathering, slot.buffer());
        self.unsynced += bytes.len() as u64;
        if self.file.enqueue(Full { bytes, slot }, self.files.buffers.workers_of_one())? {
            self.workers.retain(|worker| !worker.is_finished());
            let file = Arc::clone(&self.file);
            self.workers.push(spawn_blocking(move || file.work()));
        }
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
    async fn finish(&mut self) -> Result<u64> {
        if !self.gathering.is_empty() {
            self.hand_over().await?;
        }
        self.rest().await?;
        Ok(self.file.settled()?)
    }

    /// Waits until nobody works on the session.
    async fn rest(&mut self) -> Result<()> {
        let synced = self.synced().await;
        for worker in self.workers.drain(..) {
            worker.await.map_err(io::Error::other)?;
        }
        synced
    }
}

#[async_trait]
impl Upload for FileUpload {
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

    async fn suspend(mut self: Box<Self>) -> Result<u64> {
        self.finish().await
    }

    async fn commit(mut self: Box<Self>, digest: &Digest) -> Result<()> {
        self.finish().await?;
        let (rules, digest) = (Arc::clone(&self.files.rules), digest.clone());
        rules
            .run(|rules| async move {
                let proven = self.file.prove(&self.files, &digest)?;
                rules.link_layer(&self.repository, &digest).await?;
                self.file.keep(&self.files, &digest, &proven)?;
                self.file.end();
                Ok(())
            })
            .await
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::hasher::digest_of;
    use crate::registry::uploads::Uploads as _;
    use crate::registry::uploads::files::store::upload_data;
    use crate::store::StoreError;
    use lockgate_oci::Algorithm;

    /// Writes bytes to a session, leaves it, and puts others of the same length in their place: who
    /// reads them again finds another digest.
    async fn left_and_swapped(files: &Arc<FileStore>, repository: &RepositoryName) -> Uuid {
        let id = files.begin(repository, Algorithm::Sha256).await.unwrap();
        let mut upload = files.resume(repository, id).await.unwrap();
        upload.append(Bytes::from_static(b"one, ")).await.unwrap();
        upload.suspend().await.unwrap();
        let data = upload_data(&files.upload(repository, id));
        assert_eq!(fs::read(&data).unwrap(), b"one, ");
        fs::write(data, b"xxxxx").unwrap();
        id
    }

    async fn finish(files: &Arc<FileStore>, repository: &RepositoryName, id: Uuid, digest: &Digest) -> Result<()> {
        let mut upload = files.resume(repository, id).await.unwrap();
        upload.append(Bytes::from_static(b"two")).await.unwrap();
        upload.commit(digest).await
    }

    #[tokio::test]
    async fn a_long_upload_is_synced_while_it_is_written() {
        let directory = tempfile::tempdir().unwrap();
        let repository: RepositoryName = "a".parse().unwrap();
        let files = FileStore::open(directory.path());
        let id = files.begin(&repository, Algorithm::Sha256).await.unwrap();
        let mut upload = Box::new(FileUpload::open(&files, &repository, id).unwrap());
        let content = Bytes::from(vec![7; STRETCH as usize + 3 * BUFFER]);
        upload.append(content.slice(..BUFFER)).await.unwrap();
        assert!(upload.syncing.is_none(), "a short one is synced once, at its end");
        upload.append(content.slice(BUFFER..)).await.unwrap();
        assert!(upload.syncing.is_some());
        let digest = digest_of(Algorithm::Sha256, &content);
        upload.commit(&digest).await.unwrap();
        let kept = files.rules.rely(&repository, &digest).await.unwrap().expect("it is there");
        assert_eq!(kept.content.size(), content.len() as u64);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn who_is_told_that_a_write_failed_can_end_the_session_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let repository: RepositoryName = "a".parse().unwrap();
        let files = FileStore::open(directory.path());
        for _ in 0..100 {
            let id = files.begin(&repository, Algorithm::Sha256).await.unwrap();
            let mut upload = Box::new(FileUpload::open(&files, &repository, id).unwrap());
            upload.append(Bytes::from(vec![7; 3 * BUFFER])).await.unwrap();
            upload.rest().await.unwrap();
            Arc::get_mut(&mut upload.file).unwrap().break_off();
            upload.append(Bytes::from(vec![7; 64 * BUFFER])).await.unwrap_err();
            drop(upload);
            files.cancel(&repository, id).await.unwrap();
        }
    }

    #[tokio::test]
    async fn bytes_are_hashed_as_they_come_and_read_again_only_after_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let repository: RepositoryName = "a".parse().unwrap();
        let files = FileStore::open(directory.path());
        let id = left_and_swapped(&files, &repository).await;
        finish(&files, &repository, id, &digest_of(Algorithm::Sha256, b"one, two")).await.unwrap();

        let id = left_and_swapped(&files, &repository).await;
        drop(files);
        let restarted = FileStore::open(directory.path());
        let found = digest_of(Algorithm::Sha256, b"xxxxxtwo");
        let error = finish(&restarted, &repository, id, &digest_of(Algorithm::Sha256, b"one, two")).await.unwrap_err();
        assert!(matches!(error, StoreError::DigestMismatch(digest) if digest == found));
    }
}
