//! When manifests were pulled last: what the nodes have written of it, merged.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::{FutureExt as _, TryStreamExt as _};
use lockgate_oci::{Digest, RepositoryName};
use lockgate_settings::Period;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::objects::{self, Entry, ReadOnly, Version};
use crate::registry::keys;
use crate::registry::node::{Node, all};
use crate::registry::pulls::Batch;
use crate::store::Result;

/// What is known of pulls.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
pub(super) struct Pulls {
    /// Since when they are recorded, in seconds since 1970; 0 where they are not.
    since: u64,
    /// When each manifest was pulled last, as far as it was since then.
    pulled: HashMap<RepositoryName, HashMap<Digest, u64>>,
}

/// What was merged, and of what.
struct Merged {
    pulls: Pulls,
    /// Of the object that has what was merged before, where there is one.
    version: Option<Version>,
    batches: Vec<Entry>,
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

impl Pulls {
    /// Since when pulls are recorded.
    pub(super) fn recorded(&self) -> Option<SystemTime> {
        (self.since > 0).then(|| UNIX_EPOCH + Duration::from_secs(self.since))
    }

    /// When a manifest was pulled last since then.
    pub(super) fn last(&self, name: &RepositoryName, digest: &Digest) -> Option<SystemTime> {
        Some(UNIX_EPOCH + Duration::from_secs(*self.pulled.get(name)?.get(digest)?))
    }

    /// What is known without changing anything.
    pub(super) async fn known(node: &Node, now: SystemTime) -> Result<Self> {
        Ok(merged(&ReadOnly::new(&node.objects), now).await?.pulls)
    }

    /// What is known, of which all but the sum is removed.
    pub(super) async fn merge(node: &Node, now: SystemTime) -> Result<Self> {
        write(node).await?;
        let Merged { mut pulls, version, batches } = merged(&ReadOnly::new(&node.objects), now).await?;
        if pulls.since == 0 {
            pulls.since = seconds(now);
        } else if batches.is_empty() {
            return Ok(pulls);
        }
        // No rule looks back so far.
        let oldest = seconds(now).saturating_sub(Period::MAX.as_secs());
        pulls.pulled.retain(|_, digests| {
            digests.retain(|_, time| *time >= oldest);
            !digests.is_empty()
        });
        let bytes = serde_json::to_vec(&pulls).expect("names, digests and numbers are written as JSON").into();
        let written = match version {
            Some(version) => node.objects.swap(keys::PULLED, &version, bytes).await?,
            None => node.objects.create(keys::PULLED, bytes).await?,
        };
        // Otherwise another run has begun, and merges them.
        if written.is_some() {
            all(batches.iter().map(|batch| node.objects.remove(&batch.key).boxed()).collect()).await?;
        }
        Ok(pulls)
    }

    fn add(&mut self, batch: Batch, time: u64) {
        for (name, digests) in batch.pulled {
            let known = self.pulled.entry(name).or_default();
            for digest in digests {
                let last = known.entry(digest).or_default();
                *last = time.max(*last);
            }
        }
    }
}

async fn merged(objects: &ReadOnly, now: SystemTime) -> Result<Merged> {
    let before = objects.get(keys::PULLED).await?;
    let version = before.as_ref().map(|object| object.stat.version.clone());
    // What cannot be read begins anew, and what cannot be told keeps.
    let pulls = before.and_then(|object| serde_json::from_slice::<Pulls>(&object.bytes).ok());
    let mut pulls = pulls.unwrap_or_default();
    let batches: Vec<Entry> = objects.scan(keys::PULLS).try_collect().await?;
    for entry in &batches {
        let Some(object) = objects.get(&entry.key).await? else { continue };
        let batch = serde_json::from_slice(&object.bytes).unwrap_or(Batch { is_incomplete: true, ..Batch::default() });
        if batch.is_incomplete {
            pulls.since = seconds(now);
        }
        // The next whole second, so that nothing counts as older than it is.
        pulls.add(batch, seconds(object.stat.modified) + 1);
    }
    Ok(Merged { pulls, version, batches })
}

/// Writes which manifests were pulled at this node, if any were.
pub(in crate::registry) async fn write(node: &Node) -> objects::Result<()> {
    let Some(batch) = node.pulls.take() else { return Ok(()) };
    let bytes = serde_json::to_vec(&batch).expect("names and digests are written as JSON").into();
    let written = node.objects.put(&keys::batch_of_pulls(Uuid::new_v4()), bytes, None).await;
    if written.is_err() {
        node.pulls.put_back(&batch);
    }
    written
}
