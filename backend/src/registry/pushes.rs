//! How much is pushed. It is kept in memory, and written from time to time to an object of this node, until a collection
//! counts what is there and takes that object in.

use std::collections::HashMap;
use std::sync::Mutex;

use lockgate_oci::RepositoryName;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex as AsyncMutex;
use uuid::Uuid;

use super::keys;
use super::node::Node;
use crate::lock::held;
use crate::objects::{self, Version};

/// What was pushed at this node and not counted since.
#[derive(Default)]
pub(super) struct RecentPushes {
    noted: Mutex<HashMap<RepositoryName, u64>>,
    /// Held by whoever moves what was noted to an object, or adds up both.
    pub(super) written: AsyncMutex<Option<Written>>,
}

/// The object that a node writes to.
pub(super) struct Written {
    key: String,
    version: Version,
    batch: Batch,
}

/// What a node writes.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
pub(super) struct Batch {
    /// In bytes.
    pub(super) pushed: HashMap<RepositoryName, u64>,
    /// Whether a collection counts it at the moment, so that the node writes to it no more.
    pub(super) is_closed: bool,
}

impl Batch {
    pub(super) fn bytes(&self) -> bytes::Bytes {
        serde_json::to_vec(self).expect("names and numbers are written as JSON").into()
    }

    fn add(&mut self, pushed: &HashMap<RepositoryName, u64>) {
        for (repository, bytes) in pushed {
            let sum = self.pushed.entry(repository.clone()).or_default();
            *sum = sum.saturating_add(*bytes);
        }
    }
}

impl RecentPushes {
    pub(super) fn note(&self, repository: &RepositoryName, bytes: u64) {
        let mut noted = held(self.noted.lock());
        match noted.get_mut(repository) {
            Some(sum) => *sum = sum.saturating_add(bytes),
            None => drop(noted.insert(repository.clone(), bytes)),
        }
    }

    /// What was noted and is not written yet.
    pub(super) fn noted(&self) -> HashMap<RepositoryName, u64> {
        held(self.noted.lock()).clone()
    }
}

/// Writes how much was pushed at this node, if anything was.
pub(super) async fn write(node: &Node) -> objects::Result<()> {
    let mut written = node.pushes.written.lock().await;
    let noted = std::mem::take(&mut *held(node.pushes.noted.lock()));
    if noted.is_empty() {
        return Ok(());
    }
    let done = add(node, written.take(), &noted).await;
    match done {
        Ok(now) => {
            *written = now;
            Ok(())
        }
        Err(error) => {
            noted.iter().for_each(|(repository, bytes)| node.pushes.note(repository, *bytes));
            Err(error)
        }
    }
}

/// Adds to the object that is written to, or begins another, where a collection has closed it.
async fn add(
    node: &Node,
    written: Option<Written>,
    noted: &HashMap<RepositoryName, u64>,
) -> objects::Result<Option<Written>> {
    if let Some(Written { key, version, mut batch }) = written {
        batch.add(noted);
        if let Some(version) = node.objects.swap(&key, &version, batch.bytes()).await? {
            return Ok(Some(Written { key, version, batch }));
        }
    }
    let (key, mut batch) = (keys::batch_of_pushes(Uuid::new_v4()), Batch::default());
    batch.add(noted);
    let created = node.objects.create(&key, batch.bytes()).await?;
    Ok(created.map(|version| Written { key, version, batch }))
}
