//! How much of each quota is taken, as far as this process knows.

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
    /// In bytes, as they were counted.
    counted: u64,
    /// What was pushed here, before and since.
    noted: u64,
    /// How much of that was among what was counted.
    is_counted: u64,
}

impl Bound {
    fn taken(&self) -> u64 {
        self.counted.saturating_add(self.noted.saturating_sub(self.is_counted))
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

    /// The first quota that so many more bytes of this repository do not fit into.
    pub(crate) fn exceeded(&self, repository: &RepositoryName, more: u64) -> Option<Exceeded> {
        let taken = self.taken(repository).into_iter();
        let mut over = taken.filter(|(quota, taken)| taken.saturating_add(more) > quota.bytes.bytes());
        over.next().map(|(quota, taken)| Exceeded { quota, taken })
    }

    /// Notes that so many bytes were pushed.
    pub(crate) fn note(&self, repository: &RepositoryName, bytes: u64) {
        let mut bounds = held(self.0.lock());
        for bound in bounds.iter_mut().filter(|bound| bound.quota.repositories.have(repository)) {
            bound.noted = bound.noted.saturating_add(bytes);
        }
    }

    /// Takes over the quotas of the configuration, of which those that are not new go on. What is counted between this and
    /// [`Counting::end`] has all that was noted before.
    pub(super) fn count(&self, quotas: Vec<Quota>) -> Counting<'_> {
        let mut bounds = held(self.0.lock());
        let fresh = |quota| Bound { quota, counted: 0, noted: 0, is_counted: 0 };
        let known = |quota: &Quota| bounds.iter().find(|bound| bound.quota == *quota).cloned();
        let now: Vec<Bound> = quotas.into_iter().map(|quota| known(&quota).unwrap_or_else(|| fresh(quota))).collect();
        let noted = now.iter().map(|bound| (bound.quota.clone(), bound.noted)).collect();
        *bounds = now;
        Counting { quotas: self, noted }
    }
}

/// While it is counted what is taken.
pub(super) struct Counting<'a> {
    quotas: &'a Quotas,
    /// Of each, what was noted when it began.
    noted: Vec<(Quota, u64)>,
}

impl Counting<'_> {
    /// Takes over what was counted.
    pub(super) fn end(self, usage: &Usage) {
        // Not under the lock, for which pushes wait: there may be many repositories.
        let counted = self.noted.into_iter().map(|(quota, noted)| {
            let sum = usage.sum(|repository| quota.repositories.have(repository));
            (quota, noted, sum)
        });
        let counted: Vec<(Quota, u64, u64)> = counted.collect();
        let mut bounds = held(self.quotas.0.lock());
        for (quota, noted, sum) in counted {
            // One that has gone meanwhile binds nobody.
            let Some(bound) = bounds.iter_mut().find(|bound| bound.quota == quota) else { continue };
            (bound.counted, bound.is_counted) = (sum, noted);
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
        let usage =
            Usage { taken: Arc::new(taken), pushed: HashMap::from([(named("team/c"), 20)]), ..Usage::default() };
        known.count(quotas_of_two.clone()).end(&usage);
        let bytes = |name: &str| known.taken(&named(name)).iter().map(|(_, taken)| *taken).collect::<Vec<_>>();
        assert_eq!((bytes("team/new"), bytes("b")), (vec![50, 55], vec![55]));
        assert_eq!(known.exceeded(&named("team/a"), 50), None);
        let over = known.exceeded(&named("team/a"), 51).expect("it does not fit");
        assert_eq!((over.quota, over.taken), (quotas_of_two[0].clone(), 50));
        known.note(&named("b"), 60);
        assert_eq!((bytes("team/a"), bytes("b")), (vec![50, 115], vec![115]));
        assert!(known.exceeded(&named("team/a"), 6).is_some_and(|over| over.quota == quotas_of_two[1]));
        assert_eq!(known.exceeded(&named("b"), 5), None);
    }

    #[test]
    fn what_is_pushed_while_it_is_counted_is_not_forgotten() {
        let (known, quotas) = (Quotas::default(), quotas("[[quota]]\nrepositories = '**'\nbytes = 100\n"));
        known.count(quotas.clone()).end(&Usage::default());
        known.note(&named("a"), 10);
        let counting = known.count(quotas);
        known.note(&named("a"), 7);
        counting.end(&Usage { pushed: HashMap::from([(named("a"), 10)]), ..Usage::default() });
        assert_eq!(known.taken(&named("a"))[0].1, 17);
        known.count(Vec::new()).end(&Usage::default());
        assert!(!known.are_for(&named("a")));
    }
}
