//! What a node remembers of how much repositories take: what was pushed since that was counted, and what was counted.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use lockgate_oci::RepositoryName;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex as AsyncMutex;

use crate::lock::held;
use crate::objects::Version;
use crate::store::{Counts, Taken};

/// What was counted last.
pub(super) struct LastCount {
    /// Which state of its object that is.
    pub(super) version: Version,
    /// When it began, by the store's clock.
    pub(super) when: SystemTime,
    pub(super) counts: Counts,
    pub(super) taken: Arc<HashMap<RepositoryName, Taken>>,
}

/// What was pushed at this node and not counted since. It is written from time to time to an object of this node, until a
/// collection counts what is there and takes that object in.
#[derive(Default)]
pub(super) struct RecentPushes {
    noted: Mutex<Noted>,
    /// Held by whoever moves what was noted to an object, or adds up both.
    pub(super) written: AsyncMutex<Option<Written>>,
}

#[derive(Default)]
struct Noted {
    /// In bytes.
    pushed: HashMap<RepositoryName, u64>,
    /// How often it was looked at.
    looks: u64,
}

/// The object that a node writes to.
pub(super) struct Written {
    pub(super) key: String,
    pub(super) version: Version,
    pub(super) batch: Batch,
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

    pub(super) fn add(&mut self, pushed: &HashMap<RepositoryName, u64>) {
        for (repository, bytes) in pushed {
            let sum = self.pushed.entry(repository.clone()).or_default();
            *sum = sum.saturating_add(*bytes);
        }
    }
}

impl RecentPushes {
    /// Returns the last look that was before it.
    pub(super) fn note(&self, repository: &RepositoryName, bytes: u64) -> u64 {
        let mut noted = held(self.noted.lock());
        match noted.pushed.get_mut(repository) {
            Some(sum) => *sum = sum.saturating_add(bytes),
            None => drop(noted.pushed.insert(repository.clone(), bytes)),
        }
        noted.looks
    }

    /// What was noted and is not written yet, and which look at it this is.
    pub(super) fn look(&self) -> (HashMap<RepositoryName, u64>, u64) {
        let mut noted = held(self.noted.lock());
        noted.looks += 1;
        (noted.pushed.clone(), noted.looks)
    }

    /// What was noted, which the caller is to write from here on.
    pub(super) fn take(&self) -> HashMap<RepositoryName, u64> {
        std::mem::take(&mut held(self.noted.lock()).pushed)
    }
}
