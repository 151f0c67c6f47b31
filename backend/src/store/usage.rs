//! How much repositories take.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use lockgate_oci::RepositoryName;
use serde::{Deserialize, Serialize};

/// How much a repository takes, in bytes: every blob and manifest counts once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Taken {
    /// What no other repository has.
    pub own: u64,
    /// What others have, too.
    pub shared: u64,
}

impl Taken {
    /// Both.
    pub fn bytes(self) -> u64 {
        self.own.saturating_add(self.shared)
    }
}

/// What was looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct Counts {
    /// Repositories with a link, or a record of the trash.
    pub repositories: u64,
    /// Manifests that were read.
    pub manifests: u64,
    /// Manifests that are linked and whose bytes are not there.
    pub absent: u64,
    /// Blobs and manifests, by their bytes.
    pub blobs: u64,
    /// How many bytes all of them have.
    pub bytes: u64,
    /// What can be restored.
    pub deleted: u64,
}

/// How much each repository takes.
#[derive(Debug, Clone, Default)]
pub struct Usage {
    /// When it was counted last, by the store's clock; `None` where it never was.
    pub counted: Option<SystemTime>,
    /// Among what.
    pub counts: Option<Counts>,
    /// What was counted then.
    pub taken: Arc<HashMap<RepositoryName, Taken>>,
    /// How many bytes were pushed since; some of them were counted already, perhaps.
    pub pushed: HashMap<RepositoryName, u64>,
    /// Which look at all of this it is of this process, from 1: it has every push that was noted before, and no other one.
    pub look: u64,
}

impl Usage {
    /// How much these repositories take, all together.
    pub fn sum(&self, are_meant: impl Fn(&RepositoryName) -> bool) -> u64 {
        let taken = self.taken.iter().filter(|(repository, _)| are_meant(repository)).map(|(_, taken)| taken.bytes());
        let pushed = self.pushed.iter().filter(|(repository, _)| are_meant(repository)).map(|(_, bytes)| *bytes);
        taken.chain(pushed).fold(0, u64::saturating_add)
    }
}
