//! Bytes that are not what their name says. Nothing that was pushed here is lost so; but distribution does not sync what
//! it writes, and disks fail.

use std::collections::HashSet;
use std::io::Read as _;
use std::sync::Mutex;

use lockgate_oci::{Digest, RepositoryName};

use super::Inner;
use super::buffer_pool::BUFFER;
use super::errors::at;
use crate::hasher::Hasher;
use crate::store::Result;
use crate::store::lock::held;

/// Blobs that are remembered as looked at, at most.
const REMEMBERED: usize = 10_000;

/// The blobs that were looked at since the start, and the size that they had. Who pushes manifests with wrong sizes
/// shall not have a blob read each time.
#[derive(Default)]
pub(super) struct LookedAt(Mutex<HashSet<(Digest, u64)>>);

impl LookedAt {
    /// Whether a blob of this size is looked at for the first time.
    fn is_first(&self, digest: &Digest, size: u64) -> bool {
        let mut seen = held(self.0.lock());
        if seen.len() == REMEMBERED {
            seen.clear();
        }
        seen.insert((digest.clone(), size))
    }

    /// What comes in the place of a blob that is removed was not looked at.
    fn forget(&self, digest: &Digest, size: u64) {
        held(self.0.lock()).remove(&(digest.clone(), size));
    }
}

/// Forgets a blob's bytes when they have another digest than the one they are kept under: from then on it is missing.
/// One that was looked at is not looked at again while it has the same size.
pub(super) fn forget_if_corrupt(inner: &Inner, repository: &RepositoryName, digest: &Digest) -> Result<()> {
    let Some(target) = inner.link(&inner.layout.layer_link(repository, digest))? else { return Ok(()) };
    let Some(blob) = inner.open_blob(repository, digest)? else { return Ok(()) };
    if !inner.looked_at.is_first(&target, blob.size) {
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
    if found != target {
        tracing::error!(path = %path.display(), size = blob.size, %found,
            "this file is not what its name says, and is removed: the blob counts as missing until it is pushed again");
        inner.looked_at.forget(&target, blob.size);
        inner.durable.remove_opened(&path, &blob.file)?;
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
            fs::File::options().write(true).open(&data).unwrap().set_len(5).unwrap();
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
        let old = fs::File::open(&path).unwrap();
        inner.durable.write(&path, b"new").unwrap();
        inner.durable.remove_opened(&path, &old).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        inner.durable.remove_opened(&path, &fs::File::open(&path).unwrap()).unwrap();
        assert!(!path.exists());
    }
}
