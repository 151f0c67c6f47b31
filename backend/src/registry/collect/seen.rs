//! By what a survey judges, and what it finds.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, SystemTime};

use lockgate_oci::RepositoryName;

use super::compact::Compact;
use super::pulls::Pulls;
use crate::config::Retention;
use crate::store::{Candidate, Counts, Links, Taken};

/// Candidates that are named, at most; the next survey finds the others.
pub(super) const MOST: usize = 100_000;

/// By what it is judged.
#[derive(Debug)]
pub(super) struct Terms {
    /// By the clock of the store.
    pub(super) now: SystemTime,
    /// What came later is not counted among what repositories take.
    pub(super) counted: SystemTime,
    /// How much the times of objects are rounded down.
    pub(super) margin: Duration,
    /// What is younger stays.
    pub(super) grace: Duration,
    /// Records that are older are no roots.
    pub(super) trash: Duration,
    /// What is kept; of several rules the first that is about a repository.
    pub(super) retention: Vec<Retention>,
    /// Since when no tag leads to these manifests, as the last run has it.
    pub(super) untagged: BTreeMap<String, u64>,
    pub(super) pulls: Pulls,
}

/// What nobody needs.
#[derive(Default)]
pub(super) struct Found {
    /// Tags that no rule keeps.
    pub(super) tags: Vec<Candidate>,
    /// Manifests that no tag leads to, for so long that a rule takes them.
    pub(super) manifests: Vec<Candidate>,
    /// Links and bytes that nobody needs. In the order in which they are to go, after the manifests.
    pub(super) candidates: Vec<Candidate>,
    pub(super) usage: HashMap<RepositoryName, Taken>,
    /// Since when no tag leads to manifests for which a rule says how long they stay.
    pub(super) untagged: BTreeMap<String, u64>,
    pub(super) counts: Counts,
}

/// A link to a blob or a manifest. There are millions.
pub(super) struct Link {
    /// Of which repository, by its turn.
    pub(super) of: u32,
    pub(super) kind: Links,
    pub(super) digest: Compact,
    pub(super) is_young: bool,
}
