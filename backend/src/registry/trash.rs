//! The trash: a record of everything that is deleted or replaced, written before that is done.
//!
//! A record is about links. As long as it is there, the collector takes it for a root, so that the bytes of what it names
//! stay, and what it names is restored by putting it again.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::{FutureExt as _, TryStreamExt as _};
use lockgate_oci::{Digest, RepositoryName, TrashId};
use uuid::Uuid;

use super::keys;
use super::node::{Node, all};
use crate::hasher::digest_of;
use crate::objects::{self, Entry};
use crate::store::{Deleted, Result, StoreError, Trashed};

/// A record that is being written: again under the same name, as what it says becomes more.
pub(super) struct Record(Option<String>);

impl Record {
    /// Of something in this repository, where there is a trash.
    pub(super) fn new(node: &Node, repository: &RepositoryName) -> Self {
        let has_trash = !node.ages().trash.is_zero();
        Self(has_trash.then(|| keys::trashed(repository, &TrashId::new(SystemTime::now(), Uuid::new_v4().as_u128()))))
    }

    pub(super) async fn write(&self, node: &Node, deleted: &Deleted) -> objects::Result<()> {
        let Some(key) = &self.0 else { return Ok(()) };
        let bytes = serde_json::to_vec(deleted).expect("texts are written as JSON");
        node.objects.put(key, bytes.into(), None).await
    }

    /// Removes it: what it says was not done.
    pub(super) async fn forget(self, node: &Node) -> objects::Result<()> {
        match self.0 {
            Some(key) => node.objects.remove(&key).await,
            None => Ok(()),
        }
    }
}

/// The records of a repository, or of all, the newest first.
pub(super) async fn list(node: &Node, repository: Option<&RepositoryName>) -> Result<Vec<Trashed>> {
    let prefix = repository.map_or(keys::TRASH.to_owned(), keys::trash);
    let entries: Vec<Entry> = node.objects.scan(&prefix).try_collect().await?;
    // What has no name of a record is somebody else's.
    let named: Vec<_> = entries.iter().filter_map(|entry| keys::record(&entry.key)).collect();
    let records = named.iter().map(|(repository, id)| read(node, repository, id).boxed());
    let mut records: Vec<Trashed> = all(records.collect()).await?.into_iter().flatten().collect();
    records.sort_by_key(|record| record.id);
    Ok(records)
}

/// One record.
pub(super) async fn read(node: &Node, repository: &RepositoryName, id: &TrashId) -> Result<Option<Trashed>> {
    let key = keys::trashed(repository, id);
    let Some(object) = node.objects.get(&key).await? else { return Ok(None) };
    let deleted = serde_json::from_slice(&object.bytes);
    let deleted = deleted.map_err(|error| StoreError::Corrupt(format!("{key} is no record of the trash: {error}")))?;
    Ok(Some(Trashed { repository: repository.clone(), id: *id, deleted }))
}

/// The bytes of a manifest, be it in a repository or not; `None` when they are gone or others.
pub(super) async fn manifest(node: &Node, digest: &Digest) -> Result<Option<Bytes>> {
    let object = node.objects.get(&keys::blob(digest)).await?;
    Ok(object.map(|object| object.bytes).filter(|bytes| digest_of(digest.algorithm(), bytes) == *digest))
}

/// Removes the records that are older than this. Returns how many.
pub(super) async fn empty(node: &Node, older_than: Duration) -> Result<usize> {
    let now = node.now().await?;
    let records: Vec<Entry> = node.objects.scan(keys::TRASH).try_collect().await?;
    let is_old = |entry: &&Entry| now.duration_since(entry.modified).is_ok_and(|age| age >= older_than);
    let old = records.iter().filter(|entry| keys::record(&entry.key).is_some()).filter(is_old);
    let removed = all(old.map(|entry| node.objects.remove(&entry.key).boxed()).collect()).await?;
    Ok(removed.len())
}
