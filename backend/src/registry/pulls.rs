//! Which manifests are pulled. It is kept in memory, and written from time to time as one object of this node, which the
//! collector merges with what it knows.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;

use lockgate_oci::{Digest, RepositoryName};
use serde::{Deserialize, Serialize};

use crate::lock::held;

/// How many manifests are remembered until they are written.
const MOST: usize = 100_000;

/// Manifests that were pulled since the last batch.
#[derive(Debug, Default)]
pub(super) struct RecentPulls(Mutex<Recent>);

#[derive(Debug, Default)]
struct Recent {
    batch: Batch,
    /// How many manifests there are in it.
    count: usize,
}

/// What a node writes. When these manifests were pulled is told by the time of the object, by the store's clock.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(super) struct Batch {
    pub(super) pulled: HashMap<RepositoryName, HashSet<Digest>>,
    /// Whether there were others, too.
    #[serde(default)]
    pub(super) is_incomplete: bool,
}

impl RecentPulls {
    /// Notes a pull. What was pulled since the last batch already costs no memory.
    pub(super) fn note(&self, repository: &RepositoryName, digest: &Digest) {
        let mut recent = held(self.0.lock());
        let known = recent.batch.pulled.get(repository);
        if known.is_some_and(|digests| digests.contains(digest)) {
            return;
        }
        if recent.count >= MOST {
            recent.batch.is_incomplete = true;
            return;
        }
        recent.count += 1;
        match recent.batch.pulled.get_mut(repository) {
            Some(digests) => drop(digests.insert(digest.clone())),
            None => drop(recent.batch.pulled.insert(repository.clone(), HashSet::from([digest.clone()]))),
        }
    }

    pub(super) fn take(&self) -> Option<Batch> {
        let recent = std::mem::take(&mut *held(self.0.lock()));
        (recent.count > 0).then_some(recent.batch)
    }

    /// Notes again what could not be written.
    pub(super) fn put_back(&self, batch: &Batch) {
        let pulls = batch.pulled.iter().flat_map(|(name, digests)| digests.iter().map(move |digest| (name, digest)));
        pulls.for_each(|(name, digest)| self.note(name, digest));
        held(self.0.lock()).batch.is_incomplete |= batch.is_incomplete;
    }
}

#[cfg(test)]
mod tests {
    use lockgate_oci::Algorithm;

    use super::*;
    use crate::hasher::digest_of;

    #[test]
    fn what_is_too_much_is_said_to_be_missing_and_takes_no_memory() {
        let (pulls, name) = (RecentPulls::default(), "a".parse().unwrap());
        for number in 0..=MOST {
            pulls.note(&name, &digest_of(Algorithm::Sha256, &number.to_le_bytes()));
        }
        let batch = pulls.take().expect("there were pulls");
        assert!(batch.is_incomplete && batch.pulled[&name].len() == MOST);
        assert!(pulls.take().is_none());
        pulls.put_back(&batch);
        assert!(pulls.take().is_some_and(|again| again.is_incomplete && again.pulled == batch.pulled));
    }
}
