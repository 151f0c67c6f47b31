//! How much of each quota is taken, as far as this process knows.

use std::collections::BTreeMap;
use std::sync::Mutex;

use lockgate_oci::RepositoryName;

use crate::config::Quota;
use crate::lock::held;
use crate::store::Usage;

/// The quotas, and what is taken of each.
#[derive(Debug, Default)]
pub(crate) struct Quotas(Mutex<Vec<Bound>>);

#[derive(Debug, Clone)]
struct Bound {
    quota: Quota,
    /// What was taken at the last look, in bytes, and which look that was.
    counted: u64,
    look: u64,
    /// What was pushed here and was not there at a look, by the last that it was not there at.
    since: BTreeMap<u64, u64>,
}

impl Bound {
    fn taken(&self) -> u64 {
        self.since.values().fold(self.counted, |sum, bytes| sum.saturating_add(*bytes))
    }
}

/// A quota that something does not fit into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Exceeded {
    pub(crate) quota: Quota,
    /// In bytes.
    pub(crate) taken: u64,
}

impl Quotas {
    /// Whether any is for this repository.
    pub(crate) fn are_for(&self, repository: &RepositoryName) -> bool {
        held(self.0.lock()).iter().any(|bound| bound.quota.repositories.have(repository))
    }

    /// What is taken of those that are for this repository, in bytes, in the order of the configuration.
    pub(crate) fn taken(&self, repository: &RepositoryName) -> Vec<(Quota, u64)> {
        let bounds = held(self.0.lock());
        let meant = bounds.iter().filter(|bound| bound.quota.repositories.have(repository));
        meant.map(|bound| (bound.quota.clone(), bound.taken())).collect()
    }

    /// Of each its repositories, what they may have and what is taken, in bytes.
    pub(super) fn all(&self) -> Vec<(String, u64, u64)> {
        let bounds = held(self.0.lock());
        let told = |bound: &Bound| (bound.quota.repositories.patterns(), bound.quota.bytes.bytes(), bound.taken());
        bounds.iter().map(told).collect()
    }

    /// The first quota that so many more bytes of this repository do not fit into.
    pub(crate) fn exceeded(&self, repository: &RepositoryName, more: u64) -> Option<Exceeded> {
        let taken = self.taken(repository).into_iter();
        let mut over = taken.filter(|(quota, taken)| taken.saturating_add(more) > quota.bytes.bytes());
        over.next().map(|(quota, taken)| Exceeded { quota, taken })
    }

    /// Notes that so many bytes were pushed, which this look was the last not to have ([`Space::note_push`]).
    ///
    /// [`Space::note_push`]: crate::store::Space::note_push
    pub(crate) fn note(&self, repository: &RepositoryName, bytes: u64, look: u64) {
        let mut bounds = held(self.0.lock());
        let meant = |bound: &&mut Bound| bound.look <= look && bound.quota.repositories.have(repository);
        for bound in bounds.iter_mut().filter(meant) {
            let since = bound.since.entry(look).or_default();
            *since = since.saturating_add(bytes);
        }
    }

    /// Takes over the quotas of the configuration, of which those that are not new go on.
    pub(super) fn replace(&self, quotas: Vec<Quota>) {
        let mut bounds = held(self.0.lock());
        let fresh = |quota| Bound { quota, counted: 0, look: 0, since: BTreeMap::new() };
        let known = |quota: &Quota| bounds.iter().find(|bound| bound.quota == *quota).cloned();
        *bounds = quotas.into_iter().map(|quota| known(&quota).unwrap_or_else(|| fresh(quota))).collect();
    }

    /// Takes over what was seen at a look.
    pub(super) fn count(&self, usage: &Usage) {
        // Not under the lock, for which pushes wait: there may be many repositories.
        let quotas: Vec<Quota> = held(self.0.lock()).iter().map(|bound| bound.quota.clone()).collect();
        let sum = |quota: &Quota| usage.sum(|repository| quota.repositories.have(repository));
        let sums: Vec<(Quota, u64)> = quotas.into_iter().map(|quota| (quota.clone(), sum(&quota))).collect();
        let mut bounds = held(self.0.lock());
        for bound in bounds.iter_mut().filter(|bound| bound.look < usage.look) {
            // One that has come meanwhile is counted the next time.
            let Some((_, sum)) = sums.iter().find(|(quota, _)| *quota == bound.quota) else { continue };
            (bound.counted, bound.look, bound.since) = (*sum, usage.look, bound.since.split_off(&usage.look));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::path::Path;
    use std::sync::Arc;

    use lockgate_settings::Configuration as _;

    use super::*;
    use crate::config::Config;
    use crate::store::Taken;

    fn quotas(text: &str) -> Vec<Quota> {
        Config::parse(text, Path::new("backend.toml"), []).expect("it can be read").quota
    }

    fn named(name: &str) -> RepositoryName {
        name.parse().expect("it is a name")
    }

    #[test]
    fn a_repository_is_bound_by_each_quota_that_names_it_for_all_of_its_repositories_together() {
        let quotas_of_two =
            "[[quota]]\nrepositories = 'team/**'\nbytes = 100\n[[quota]]\nrepositories = '**'\nbytes = 120\n";
        let quotas_of_two = quotas(quotas_of_two);
        let known = Quotas::default();
        let taken = HashMap::from([
            (named("team/a"), Taken { own: 20, shared: 10 }),
            (named("b"), Taken { own: 5, shared: 0 }),
        ]);
        let usage = Usage {
            taken: Arc::new(taken),
            pushed: HashMap::from([(named("team/c"), 20)]),
            look: 1,
            ..Usage::default()
        };
        known.replace(quotas_of_two.clone());
        known.count(&usage);
        let bytes = |name: &str| known.taken(&named(name)).iter().map(|(_, taken)| *taken).collect::<Vec<_>>();
        assert_eq!((bytes("team/new"), bytes("b")), (vec![50, 55], vec![55]));
        assert_eq!(known.exceeded(&named("team/a"), 50), None);
        let over = known.exceeded(&named("team/a"), 51).expect("it does not fit");
        assert_eq!((over.quota, over.taken), (quotas_of_two[0].clone(), 50));
        known.note(&named("b"), 60, 1);
        assert_eq!((bytes("team/a"), bytes("b")), (vec![50, 115], vec![115]));
        assert!(known.exceeded(&named("team/a"), 6).is_some_and(|over| over.quota == quotas_of_two[1]));
        assert_eq!(known.exceeded(&named("b"), 5), None);
    }

    #[test]
    fn what_is_pushed_while_it_is_looked_what_is_taken_counts_once() {
        let known = Quotas::default();
        known.replace(quotas("[[quota]]\nrepositories = '**'\nbytes = 100\n"));
        known.note(&named("a"), 10, 0);
        known.note(&named("a"), 7, 1);
        known.count(&Usage { pushed: HashMap::from([(named("a"), 13)]), look: 1, ..Usage::default() });
        // The look has had them, though they are noted only now.
        known.note(&named("a"), 3, 0);
        assert_eq!(known.taken(&named("a"))[0].1, 20);
        // One that comes too late is older than what is known.
        known.count(&Usage { look: 1, ..Usage::default() });
        assert_eq!(known.taken(&named("a"))[0].1, 20);
        known.replace(Vec::new());
        assert!(!known.are_for(&named("a")));
    }
}
