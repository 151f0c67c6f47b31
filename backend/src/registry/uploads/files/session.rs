//! Upload sessions: a directory each; and in this process who has taken one, and the hash of those that rest.
//!
//! What a session *is* stands on disk; the table has only what would be costly to find out again. After a
//! restart it is empty, and a session goes on with its hash computed from its file.

use std::fs::{self, File};
use std::time::SystemTime;

use lockgate_oci::{Algorithm, RepositoryName};
use uuid::Uuid;

use super::store::{FileStore, Hashed, Lease, upload_data, upload_started_at};
use crate::hasher::Hasher;
use crate::objects::disk::{at, if_there};
use crate::store::{Result, StoreError};

/// The hash of the session's first `size` bytes, if it is known.
pub(super) fn hasher(lease: &Lease, size: u64) -> Option<Hasher> {
    lease.wake().filter(|hashed| hashed.size == size).map(|hashed| hashed.hasher)
}

/// Keeps the hash of the session's first `size` bytes for whoever takes it next.
pub(super) fn rest(lease: &Lease, hasher: Hasher, size: u64) {
    lease.rest(Hashed { hasher, size }, 1);
}

/// Makes a new session, and the hash that it will go on with.
pub(super) fn begin(files: &FileStore, repository: &RepositoryName, algorithm: Algorithm) -> Result<Uuid> {
    let id = Uuid::new_v4();
    let lease = files.sessions.take(id).ok_or(StoreError::UploadBusy)?;
    files.directory.durable.make_directory(&files.uploads(repository))?;
    let directory = files.upload(repository, id);
    let started_at = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    // Nothing was acknowledged yet that must survive a loss of power: no syncing here.
    fs::create_dir(&directory)
        .and_then(|()| fs::write(upload_started_at(&directory), started_at))
        .and_then(|()| File::create_new(upload_data(&directory)).map(drop))
        .map_err(at(&directory))?;
    rest(&lease, Hasher::new(algorithm), 0);
    Ok(id)
}

/// How many bytes a session holds on disk. Distribution makes the data's file with the first byte.
pub(super) fn size(files: &FileStore, repository: &RepositoryName, id: Uuid) -> Result<u64> {
    let directory = files.upload(repository, id);
    let data = upload_data(&directory);
    if let Some(metadata) = if_there(fs::metadata(&data)).map_err(at(&data))? {
        return Ok(metadata.len());
    }
    let started_at = upload_started_at(&directory);
    if started_at.is_file() { Ok(0) } else { Err(StoreError::UploadUnknown) }
}

/// Ends a session that nobody writes to.
pub(super) fn cancel(files: &FileStore, repository: &RepositoryName, id: Uuid) -> Result<()> {
    let lease = files.sessions.take(id).ok_or(StoreError::UploadBusy)?;
    size(files, repository, id)?;
    drop(lease.wake());
    files.directory.durable.remove_tree(&files.upload(repository, id))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sessions::Sessions;
    use lockgate_oci::Algorithm;

    #[test]
    fn a_hash_is_given_back_only_for_the_bytes_that_it_covers() {
        let lease = Sessions::new(1).take(Uuid::new_v4()).unwrap();
        assert!(hasher(&lease, 0).is_none());
        rest(&lease, Hasher::new(Algorithm::Sha256), 5);
        assert!(hasher(&lease, 4).is_none(), "the file is shorter than what was hashed");
        rest(&lease, Hasher::new(Algorithm::Sha512), 5);
        assert_eq!(hasher(&lease, 5).unwrap().algorithm(), Algorithm::Sha512);
        assert!(hasher(&lease, 5).is_none(), "it was taken");
    }
}
