//! Bytes that are not what their name says. Nothing that was pushed here is lost so; but distribution does not sync what
//! it writes, and disks fail.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::{Arc, Mutex};

use lockgate_oci::Digest;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::durable::Durable;
use super::errors::at;
use super::file::OpenedFile;
use super::size;
use crate::hasher::Hasher;
use crate::lock::held;

/// Bytes that are read and hashed at a time.
const BUFFER: usize = 128 * 1024;

/// Objects that are remembered as looked at, at most.
const REMEMBERED: usize = 10_000;

/// What was found of the objects that were looked at since the start and whose size could not be recorded: who asks for
/// them shall not have them read each time. One is read after the other, whoever asks.
pub(super) struct LookedAt {
    /// Of an object with the size that it had, whether it was whole.
    found: Mutex<HashMap<(String, u64), bool>>,
    turns: Arc<Semaphore>,
}

impl Default for LookedAt {
    fn default() -> Self {
        Self { found: Mutex::default(), turns: Arc::new(Semaphore::new(1)) }
    }
}

impl LookedAt {
    /// The turn to look at an object.
    pub(super) async fn turn(&self) -> OwnedSemaphorePermit {
        Arc::clone(&self.turns).acquire_owned().await.expect("it is never closed")
    }

    fn found(&self, key: &str, size: u64) -> Option<bool> {
        held(self.found.lock()).get(&(key.to_owned(), size)).copied()
    }

    fn note(&self, key: &str, size: u64, is_whole: bool) {
        let mut found = held(self.found.lock());
        if found.len() == REMEMBERED {
            found.clear();
        }
        found.insert((key.to_owned(), size), is_whole);
    }

    /// What comes in the place of an object that is removed was not looked at.
    fn forget(&self, key: &str, size: u64) {
        held(self.found.lock()).remove(&(key.to_owned(), size));
    }

    /// Records the size of a file whose bytes have the digest that its key says.
    pub(super) fn record_size(&self, file: &File, key: &str, size: u64) {
        if !size::record(file, size) {
            self.note(key, size, true);
        }
    }

    /// Whether a file of this size is whole, if that is known.
    pub(super) fn is_whole(&self, file: &File, path: &Path, key: &str, size: u64) -> Option<bool> {
        let Some(recorded) = size::recorded(file) else { return self.found(key, size) };
        if recorded != size {
            tracing::error!(path = %path.display(), size, recorded,
                "this file has another size than it had: it counts as missing until it is pushed again");
        }
        Some(recorded == size)
    }

    /// Forgets an object when its bytes have another digest than this: from then on it is missing. Otherwise its size is
    /// recorded. One that was looked at is not looked at again while it has the same size.
    pub(super) fn forget_if_corrupt(
        &self,
        durable: &Durable,
        path: &Path,
        key: &str,
        opened: &OpenedFile,
        digest: &Digest,
    ) -> io::Result<()> {
        if opened.is_recorded {
            return Ok(());
        }
        let mut hasher = Hasher::new(digest.algorithm());
        let mut buffer = vec![0; BUFFER];
        loop {
            let read = (&*opened.file).read(&mut buffer).map_err(at(path))?;
            if read == 0 {
                break;
            }
            hasher.update(&buffer[..read]);
        }
        let found = hasher.finish();
        if found == *digest {
            self.record_size(&opened.file, key, opened.size);
        } else {
            tracing::error!(path = %path.display(), size = opened.size, %found,
                "this file is not what its name says, and is removed: the blob counts as missing until it is pushed again");
            self.note(key, opened.size, false);
            durable.remove_opened(path, &opened.file)?;
            self.forget(key, opened.size);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::ObjectStore;
    use crate::store::Store as _;
    use bytes::Bytes;
    use lockgate_oci::{Algorithm, RepositoryName};
    use std::fs;

    #[tokio::test]
    async fn bytes_with_another_digest_than_their_name_are_forgotten_and_others_stay() {
        let directory = tempfile::tempdir().unwrap();
        let store = ObjectStore::in_directory(directory.path()).unwrap();
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
        let data = directory.path().join(format!(
            "docker/registry/v2/blobs/sha256/{}/{}/data",
            &digest.hex()[..2],
            digest.hex()
        ));
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
        let durable = Durable::new(&directory.path().join("staging")).unwrap();
        let path = directory.path().join("data");
        fs::write(&path, "old").unwrap();
        let old = File::open(&path).unwrap();
        durable.write(&path, b"new", std::time::SystemTime::now()).unwrap();
        durable.remove_opened(&path, &old).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        durable.remove_opened(&path, &File::open(&path).unwrap()).unwrap();
        assert!(!path.exists());
    }
}
