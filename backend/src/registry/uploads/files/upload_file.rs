//! The file of an upload session, and the hash of what is in it: `progress` says which of both is next.

use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard};

use lockgate_oci::{Algorithm, Digest, RepositoryName};
use uuid::Uuid;

use super::buffer_pool::BUFFER;
use super::progress::{Full, Progress, Step};
use super::session::{self, size};
use super::store::{FileStore, Lease, upload_data};
use crate::hasher::Hasher;
use crate::lock::held;
use crate::objects::disk::at;
use crate::registry::keys;
use crate::store::{Result, StoreError};

/// Bytes in a write. For larger ones Linux takes larger pages, which no processor keeps at hand: on a
/// virtual machine whose free memory goes back to its host, 512 MiB cost 0.13 s so, and 0.49 s in writes of
/// 128 KiB; on memory in use, those would have saved three hundredths.
const WRITE: usize = 32 * 1024;

/// A session's file, taken. When it is dropped, the hash rests if it is that of all bytes in the file.
pub(super) struct UploadFile {
    directory: PathBuf,
    file: File,
    progress: Mutex<Progress>,
    lease: Lease,
    /// How many bytes it held when it was taken.
    taken_at: u64,
}

/// Which bytes of a session have the digest that was asked for.
pub(super) enum Proven {
    /// All of them.
    Whole,
    /// Those that came since it was taken: a client that was cut off has sent all of it again.
    SentAgain,
}

impl UploadFile {
    pub(super) fn open(files: &FileStore, repository: &RepositoryName, id: Uuid) -> Result<Self> {
        // The session is looked for first: an id that does not exist is no busy one.
        size(files, repository, id)?;
        let lease = files.sessions.take(id).ok_or(StoreError::UploadBusy)?;
        let written = size(files, repository, id)?;
        let directory = files.upload(repository, id);
        let data = upload_data(&directory);
        let options = File::options().read(true).write(true).create(true).truncate(false).clone();
        let file = options.open(&data).map_err(at(&data))?;
        let progress = Progress::new(written, session::hasher(&lease, written));
        Ok(Self { directory, file, progress: Mutex::new(progress), lease, taken_at: written })
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        held(self.progress.lock())
    }

    /// Takes a buffer to be written and hashed; whether a worker, one of at most so many, is to
    /// [`work`](Self::work) for it.
    pub(super) fn enqueue(&self, full: Full, workers: usize) -> io::Result<bool> {
        self.progress().enqueue(full, workers)
    }

    /// Writes and hashes until nothing is left that no other worker does.
    pub(super) fn work(&self) {
        let mut progress = self.progress();
        while let Some(step) = progress.next() {
            drop(progress);
            match step {
                Step::Write(full, end) => {
                    let outcome = self.write(&full.bytes, end);
                    progress = self.progress();
                    progress.written(full, outcome);
                }
                Step::Hash(full, mut hasher, hashed) => {
                    hasher.update(&full.bytes);
                    let hashed = hashed + full.bytes.len() as u64;
                    full.slot.put_back(full.bytes);
                    progress = self.progress();
                    progress.hashed(hasher, hashed);
                }
            }
        }
        progress.leave();
    }

    fn write(&self, bytes: &[u8], end: u64) -> io::Result<()> {
        let mut offset = end;
        for piece in bytes.chunks(WRITE) {
            if let Err(error) = self.file.write_all_at(piece, offset) {
                // The session ends where it was whole; should this fail too, its hash is computed anew.
                let _ = self.file.set_len(end);
                return Err(at(&upload_data(&self.directory))(error));
            }
            offset += piece.len() as u64;
        }
        Ok(())
    }

    /// How many bytes are in the file, when all workers have ended.
    pub(super) fn settled(&self) -> io::Result<u64> {
        self.progress().settled()
    }

    /// Syncs what has been written by now. The session stays taken until that is done: when it fails
    /// the kernel forgets what did not reach the disk, so that the next sync would succeed and nobody
    /// may go on with these bytes.
    pub(super) fn sync_ahead(&self, files: &FileStore) -> io::Result<()> {
        let synced = self.file.sync_data().map_err(at(&upload_data(&self.directory)));
        if synced.is_err() {
            let _ = files.directory.durable.remove_tree(&self.directory);
        }
        synced
    }

    /// Looks which bytes of the session, settled, have this digest, and makes them durable. Where none have, the session
    /// is ended.
    pub(super) fn prove(&self, files: &FileStore, digest: &Digest) -> Result<Proven> {
        let data = upload_data(&self.directory);
        let size = self.settled()?;
        let hash = self.progress().take_hash();
        let found = match hash {
            Some((hasher, _)) if hasher.algorithm() == digest.algorithm() => hasher.finish(),
            _ => self.hash_file(0..size, digest.algorithm()).map_err(at(&data))?,
        };
        let (durable, key) = (&files.directory.durable, keys::blob(digest));
        if found == *digest {
            files.directory.record_size(&self.file, &key, size);
            if let Err(error) = self.file.sync_all() {
                // What did not reach the disk is forgotten by the kernel, and a second sync would succeed:
                // so these bytes must not be tried again.
                let _ = durable.remove_tree(&self.directory);
                return Err(at(&data)(error).into());
            }
            Ok(Proven::Whole)
        } else if self.was_sent_again(size, digest).map_err(at(&data))? {
            Ok(Proven::SentAgain)
        } else {
            durable.remove_tree(&self.directory)?;
            Err(StoreError::DigestMismatch(found))
        }
    }

    /// Keeps the bytes that have this digest.
    pub(super) fn keep(&self, files: &FileStore, digest: &Digest, proven: &Proven) -> Result<()> {
        let (durable, blob) = (&files.directory.durable, files.directory.path(&keys::blob(digest)));
        match proven {
            Proven::Whole => durable.rename(&upload_data(&self.directory), &blob)?,
            Proven::SentAgain => durable.copy(&self.file, self.taken_at, &blob)?,
        }
        Ok(())
    }

    /// Ends the session, whose bytes are kept, whether or not the rest of its directory goes.
    pub(super) fn end(&self) {
        let _ = fs::remove_dir_all(&self.directory);
    }

    /// Whether the bytes that came since the session was taken have the digest alone: those before them are of a
    /// request that was cut off.
    fn was_sent_again(&self, size: u64, digest: &Digest) -> io::Result<bool> {
        let is_part = 0 < self.taken_at && self.taken_at < size;
        Ok(is_part && self.hash_file(self.taken_at..size, digest.algorithm())? == *digest)
    }

    fn hash_file(&self, range: Range<u64>, algorithm: Algorithm) -> io::Result<Digest> {
        let mut hasher = Hasher::new(algorithm);
        let mut buffer = vec![0; BUFFER];
        let mut offset = range.start;
        while offset < range.end {
            let length = usize::try_from(range.end - offset).map_or(BUFFER, |left| left.min(BUFFER));
            self.file.read_exact_at(&mut buffer[..length], offset)?;
            hasher.update(&buffer[..length]);
            offset += length as u64;
        }
        Ok(hasher.finish())
    }
}

impl Drop for UploadFile {
    fn drop(&mut self) {
        let progress = held(self.progress.get_mut());
        if let Some((hasher, hashed)) = progress.take_hash() {
            session::rest(&self.lease, hasher, hashed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;
    use std::path::Path;
    use std::sync::Arc;

    use super::super::session::{begin, cancel};
    use super::*;
    use crate::hasher::digest_of;

    struct Session {
        files: Arc<FileStore>,
        repository: RepositoryName,
        id: Uuid,
    }

    impl Session {
        fn begin(directory: &Path) -> Self {
            let repository: RepositoryName = "a".parse().unwrap();
            let files = FileStore::open(directory);
            let id = begin(&files, &repository, Algorithm::Sha256).unwrap();
            Self { files, repository, id }
        }

        fn open(&self) -> UploadFile {
            UploadFile::open(&self.files, &self.repository, self.id).unwrap()
        }

        async fn full(&self, bytes: &[u8]) -> Full {
            Full { bytes: bytes.to_vec(), slot: self.files.buffers.take().await }
        }

        /// The size of the file that the session's hash is known for.
        fn rested(&self) -> Option<u64> {
            let size = size(&self.files, &self.repository, self.id).unwrap();
            session::hasher(&self.files.sessions.take(self.id).unwrap(), size).map(|_| size)
        }
    }

    impl UploadFile {
        /// From here on it can be read and not written to: as on a disk that is full.
        pub(in super::super) fn break_off(&mut self) {
            self.file = File::open(upload_data(&self.directory)).unwrap();
        }
    }

    #[tokio::test]
    async fn two_workers_keep_the_order_of_the_buffers() {
        let directory = tempfile::tempdir().unwrap();
        let session = Session::begin(directory.path());
        let file = session.open();
        let mut content = Vec::new();
        for round in 0..200_u32 {
            for part in 0..2_u32 {
                let bytes = [(2 * round + part) as u8].repeat(64 * 1024);
                content.extend_from_slice(&bytes);
                assert!(file.enqueue(session.full(&bytes).await, 2).unwrap());
            }
            std::thread::scope(|scope| {
                scope.spawn(|| file.work());
                file.work();
            });
        }
        assert_eq!(file.settled().unwrap(), content.len() as u64);
        let digest = digest_of(Algorithm::Sha256, &content);
        assert_eq!(file.hash_file(0..content.len() as u64, Algorithm::Sha256).unwrap(), digest, "written in order");
        let proven = file.prove(&session.files, &digest).unwrap();
        file.keep(&session.files, &digest, &proven).unwrap();
    }

    #[tokio::test]
    async fn who_hashes_lets_another_write_where_there_is_a_processor_for_each() {
        let directory = tempfile::tempdir().unwrap();
        let session = Session::begin(directory.path());
        let file = session.open();
        assert!(file.enqueue(session.full(b"one").await, 2).unwrap(), "nobody works");
        let Some(Step::Write(full, 0)) = file.progress().next() else { panic!("it is written first") };
        assert!(!file.enqueue(session.full(b"two").await, 2).unwrap(), "the one who writes comes to it");
        file.progress().written(full, Ok(()));
        let Some(Step::Hash(..)) = file.progress().next() else { panic!("and hashed while it is in the cache") };
        assert!(!file.enqueue(session.full(b"three").await, 1).unwrap(), "only one processor");
        assert!(file.enqueue(session.full(b"four").await, 2).unwrap());
    }

    #[tokio::test]
    async fn a_failed_write_leaves_the_hash_of_what_is_in_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let session = Session::begin(directory.path());
        let mut file = session.open();
        assert!(file.enqueue(session.full(b"one").await, 1).unwrap());
        file.work();
        file.break_off();
        assert!(file.enqueue(session.full(b"two").await, 1).unwrap());
        assert!(!file.enqueue(session.full(b"three").await, 1).unwrap());
        file.work();
        file.settled().unwrap_err();
        assert!(file.enqueue(session.full(b"four").await, 1).is_err(), "nothing is written after a gap");
        drop(file);
        assert_eq!(session.rested(), Some(3));
        assert_eq!(session.files.buffers.take().await.buffer(), b"", "no slot is lost");
    }

    #[tokio::test]
    async fn a_session_left_in_the_middle_keeps_no_hash_of_other_bytes_than_it_holds() {
        let directory = tempfile::tempdir().unwrap();
        let session = Session::begin(directory.path());
        let file = session.open();
        file.enqueue(session.full(b"one").await, 1).unwrap();
        let Some(Step::Write(full, end)) = file.progress().next() else { panic!("it is written first") };
        let written = file.write(&full.bytes, end);
        file.progress().written(full, written);
        file.settled().unwrap_err();
        drop(file);
        assert_eq!(session.rested(), None, "it was written and not hashed");
    }

    #[test]
    fn bytes_that_could_not_be_synced_are_forgotten_before_anybody_can_go_on_with_them() {
        let directory = tempfile::tempdir().unwrap();
        let session = Session::begin(directory.path());
        let mut file = session.open();
        // A pipe cannot be synced, as a broken disk cannot.
        let (_reader, pipe) = io::pipe().unwrap();
        file.file = File::from(OwnedFd::from(pipe));
        let cancelled = cancel(&session.files, &session.repository, session.id);
        assert!(matches!(cancelled, Err(StoreError::UploadBusy)), "the one who syncs still has it");
        file.sync_ahead(&session.files).unwrap_err();
        drop(file);
        let size = size(&session.files, &session.repository, session.id);
        assert!(matches!(size, Err(StoreError::UploadUnknown)));
        assert!(session.files.sessions.take(session.id).is_some());
    }
}
