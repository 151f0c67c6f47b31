//! Bytes that are not what their name says. Nothing that was pushed here is lost so; but distribution does not sync what
//! it writes, and disks fail.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read as _;
use std::sync::{Arc, Mutex};

use lockgate_oci::{Digest, RepositoryName};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Inner;
use super::buffer_pool::BUFFER;
use super::errors::at;
use super::size;
use crate::hasher::Hasher;
use crate::store::Result;
use crate::store::lock::held;

/// Blobs that are remembered as looked at, at most.
const REMEMBERED: usize = 10_000;

/// What was found of the blobs that were looked at since the start and whose size could not be recorded: who asks for
/// them shall not have them read each time. One blob is read after the other, whoever asks.
pub(super) struct LookedAt {
    /// Of a blob with the size that it had, whether it was whole.
    found: Mutex<HashMap<(Digest, u64), bool>>,
    turns: Arc<Semaphore>,
}

impl Default for LookedAt {
    fn default() -> Self {
        Self { found: Mutex::default(), turns: Arc::new(Semaphore::new(1)) }
    }
}

impl LookedAt {
    /// The turn to look at a blob.
    pub(super) async fn turn(&self) -> OwnedSemaphorePermit {
        Arc::clone(&self.turns).acquire_owned().await.expect("it is never closed")
    }

    fn is_whole(&self, digest: &Digest, size: u64) -> Option<bool> {
        held(self.found.lock()).get(&(digest.clone(), size)).copied()
    }

    fn note(&self, digest: &Digest, size: u64, is_whole: bool) {
        let mut found = held(self.found.lock());
        if found.len() == REMEMBERED {
            found.clear();
        }
        found.insert((digest.clone(), size), is_whole);
    }

    /// What comes in the place of a blob that is removed was not looked at.
    fn forget(&self, digest: &Digest, size: u64) {
        held(self.found.lock()).remove(&(digest.clone(), size));
    }
}

impl Inner {
    /// Records the size of a file whose bytes have this digest.
    pub(super) fn record_size(&self, file: &File, digest: &Digest, size: u64) {
        if !size::record(file, size) {
            self.looked_at.note(digest, size, true);
        }
    }

    /// Whether a file of this size is whole, if that is known.
    pub(super) fn is_whole(&self, file: &File, digest: &Digest, size: u64) -> Option<bool> {
        let Some(recorded) = size::recorded(file) else { return self.looked_at.is_whole(digest, size) };
        if recorded != size {
            let path = self.layout.blob_data(digest);
            tracing::error!(path = %path.display(), size, recorded,
                "this file has another size than it had: it counts as missing until it is pushed again");
        }
        Some(recorded == size)
    }
}

/// Forgets a blob's bytes when they have another digest than the one they are kept under: from then on it is missing.
/// Otherwise its size is recorded. One that was looked at is not looked at again while it has the same size.
pub(super) fn forget_if_corrupt(inner: &Inner, repository: &RepositoryName, digest: &Digest) -> Result<()> {
    let Some(target) = inner.link(&inner.layout.layer_link(repository, digest))? else { return Ok(()) };
    let Some(blob) = inner.open_blob(repository, digest)? else { return Ok(()) };
    if blob.is_recorded {
        return Ok(());
    }
    let path = inner.layout.blob_data(&target);
    let mut hasher = Hasher::new(target.algorithm());
    let mut buffer = vec![0; BUFFER];
    loop {
        let read = (&*blob.file).read(&mut buffer).map_err(at(&path))?;
        if read == 0 {
            break;
        }
        hasher.update(&buffer[..read]);
    }
    let found = hasher.finish();
    if found == target {
        inner.record_size(&blob.file, &target, blob.size);
    } else {
        tracing::error!(path = %path.display(), size = blob.size, %found,
            "this file is not what its name says, and is removed: the blob counts as missing until it is pushed again");
        inner.looked_at.note(&target, blob.size, false);
        inner.durable.remove_opened(&path, &blob.file)?;
        inner.looked_at.forget(&target, blob.size);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{DiskStore, Store as _};
    use bytes::Bytes;
    use lockgate_oci::Algorithm;
    use std::fs;

    #[tokio::test]
    async fn bytes_with_another_digest_than_their_name_are_forgotten_and_others_stay() {
        let directory = tempfile::tempdir().unwrap();
        let store = DiskStore::open(directory.path()).unwrap();
        let repository: RepositoryName = "a".parse().unwrap();
        let content = Bytes::from(vec![7; 3 * BUFFER]);
        let digest = crate::hasher::digest_of(Algorithm::Sha256, &content);
        let push = async || {
            let id = store.begin_upload(&repository, Algorithm::Sha256).await.unwrap();
            let mut upload = store.resume_upload(&repository, id).await.unwrap();
            upload.append(content.clone()).await.unwrap();
            upload.commit(&digest).await.unwrap();
        };
        let is_there = async || store.blob(&repository, &digest).await.unwrap().is_some();
        push().await;
        store.forget_if_corrupt(&repository, &digest).await.unwrap();
        assert!(is_there().await);
        let data = store.0.layout.blob_data(&digest);
        for _ in 0..2 {
            File::options().write(true).open(&data).unwrap().set_len(5).unwrap();
            store.forget_if_corrupt(&repository, &digest).await.unwrap();
            assert!(!is_there().await);
            store.forget_if_corrupt(&repository, &digest).await.unwrap();
            push().await;
            assert!(is_there().await);
        }
    }

    #[test]
    fn what_has_come_in_the_place_of_a_removed_file_stays() {
        let directory = tempfile::tempdir().unwrap();
        let inner = DiskStore::open(directory.path()).unwrap().0;
        let path = directory.path().join("data");
        fs::write(&path, "old").unwrap();
        let old = File::open(&path).unwrap();
        inner.durable.write(&path, b"new").unwrap();
        inner.durable.remove_opened(&path, &old).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        inner.durable.remove_opened(&path, &File::open(&path).unwrap()).unwrap();
        assert!(!path.exists());
    }
}
