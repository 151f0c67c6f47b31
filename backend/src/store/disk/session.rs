//! Upload sessions: a directory each; and in this process who has taken one, and the hash of those that rest.
//!
//! What a session *is* stands on disk; the table has only what would be costly to find out again. After a
//! restart it is empty, and a session goes on with its hash computed from its file.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::SystemTime;

use lockgate_oci::{Algorithm, RepositoryName};
use uuid::Uuid;

use super::Inner;
use super::errors::{at, if_there};
use crate::hasher::Hasher;
use crate::store::lock::held;
use crate::store::paths::{upload_data, upload_started_at};
use crate::store::{Result, StoreError};

/// Resting hashes that are kept. Clients abandon sessions, and then nobody asks for the hash again.
const MAX_RESTING: usize = 4096;

/// The sessions of one store.
#[derive(Clone, Default)]
pub(super) struct Sessions(Arc<Mutex<Table>>);

#[derive(Default)]
struct Table {
    taken: HashSet<Uuid>,
    resting: HashMap<Uuid, Resting>,
    rested: u64,
}

struct Resting {
    hasher: Hasher,
    size: u64,
    /// Counts up: the lowest has rested longest.
    since: u64,
}

impl Sessions {
    /// Takes a session until the lease is dropped; `None` when it is taken.
    pub(super) fn take(&self, id: Uuid) -> Option<Lease> {
        self.table().taken.insert(id).then(|| Lease { sessions: self.clone(), id })
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        held(self.0.lock())
    }
}

/// A session that nobody else can take.
pub(super) struct Lease {
    sessions: Sessions,
    id: Uuid,
}

impl Lease {
    /// The hash of the session's first `size` bytes, if it is known.
    pub(super) fn hasher(&self, size: u64) -> Option<Hasher> {
        let resting = self.sessions.table().resting.remove(&self.id)?;
        (resting.size == size).then_some(resting.hasher)
    }

    /// Keeps the hash of the session's first `size` bytes for whoever takes it next.
    pub(super) fn rest(&self, hasher: Hasher, size: u64) {
        let mut table = self.sessions.table();
        if table.resting.len() >= MAX_RESTING {
            let oldest = table.resting.iter().min_by_key(|(_, resting)| resting.since).map(|(id, _)| *id);
            oldest.map(|id| table.resting.remove(&id));
        }
        table.rested += 1;
        let since = table.rested;
        table.resting.insert(self.id, Resting { hasher, size, since });
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.sessions.table().taken.remove(&self.id);
    }
}

/// Makes a new session, and the hash that it will go on with.
pub(super) fn begin(inner: &Inner, repository: &RepositoryName, algorithm: Algorithm) -> Result<Uuid> {
    let id = Uuid::new_v4();
    let lease = inner.sessions.take(id).ok_or(StoreError::UploadBusy)?;
    inner.durable.make_directory(&inner.layout.uploads(repository))?;
    let directory = inner.layout.upload(repository, id);
    let started_at = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
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

#[cfg(test)]
mod tests {
    use super::*;
    use lockgate_oci::Algorithm;

    #[test]
    fn a_session_is_taken_by_one_at_a_time() {
        let (sessions, id) = (Sessions::default(), Uuid::new_v4());
        let lease = sessions.take(id).unwrap();
        assert!(sessions.take(id).is_none());
        assert!(sessions.take(Uuid::new_v4()).is_some());
        drop(lease);
        assert!(sessions.take(id).is_some());
    }

    #[test]
    fn a_hash_is_given_back_only_for_the_bytes_that_it_covers() {
        let (sessions, id) = (Sessions::default(), Uuid::new_v4());
        let lease = sessions.take(id).unwrap();
        assert!(lease.hasher(0).is_none());
        lease.rest(Hasher::new(Algorithm::Sha256), 5);
        assert!(lease.hasher(4).is_none(), "the file is shorter than what was hashed");
        lease.rest(Hasher::new(Algorithm::Sha512), 5);
        assert_eq!(lease.hasher(5).unwrap().algorithm(), Algorithm::Sha512);
        assert!(lease.hasher(5).is_none(), "it was taken");
    }

    #[test]
    fn abandoned_sessions_do_not_pile_up() {
        let sessions = Sessions::default();
        let first = Uuid::new_v4();
        sessions.take(first).unwrap().rest(Hasher::new(Algorithm::Sha256), 0);
        for _ in 0..MAX_RESTING {
            sessions.take(Uuid::new_v4()).unwrap().rest(Hasher::new(Algorithm::Sha256), 0);
        }
        assert_eq!(sessions.table().resting.len(), MAX_RESTING);
        assert!(sessions.take(first).unwrap().hasher(0).is_none(), "the oldest went");
    }
}
