//! Answers of the grants for a person: with every grant that was looked at, not only the first that gives.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::time::SystemTime;

use lockgate_oci::RepositoryName;

use super::grant::{Grant, Lack};
use super::grants::{Grants, Question};
use crate::auth::UserName;
use crate::rights::Right;

/// What the grants say to a [`Question`].
#[derive(Debug)]
pub struct Answer<'a>(Vec<(&'a Grant, Option<Lack>)>);

/// Somebody who may do something in a repository, and by which grant.
#[derive(Debug)]
pub struct Holder<'a> {
    /// Who: `anyone`, `authenticated`, or a user.
    pub who: String,
    /// The user, where it is one.
    pub user: Option<&'a UserName>,
    /// A grant to them.
    pub grant: &'a Grant,
}

impl Grants {
    /// Answers a question.
    pub fn answer(&self, asked: Question<'_>) -> Answer<'_> {
        Answer(self.concerning(asked))
    }

    /// Everybody who may do something in a repository, with each grant to them that has not ended. Among `users`, each
    /// has what all of them have, which is not repeated.
    pub fn holders<'a>(
        &'a self,
        repository: &RepositoryName,
        users: &'a BTreeSet<UserName>,
        now: SystemTime,
    ) -> Vec<Holder<'a>> {
        let of = |user: Option<&UserName>, but: &[usize]| -> Vec<&Grant> {
            let asked = Question { user, right: Right::Pull, repository, tag: None, address: None, now };
            let found = self.concerning(asked).into_iter().filter(|(_, lack)| *lack != Some(Lack::Ended));
            found.map(|(grant, _)| grant).filter(|grant| !but.contains(&grant.number)).collect()
        };
        let numbers = |grants: &[&Grant]| grants.iter().map(|grant| grant.number).collect::<Vec<_>>();
        let anyone = of(None, &[]);
        let authenticated = of(Some(&UserName::of_nobody()), &numbers(&anyone));
        let common = [numbers(&anyone), numbers(&authenticated)].concat();
        let own = users.iter().map(|user| (user.to_string(), Some(user), of(Some(user), &common)));
        let common = [("anyone".to_owned(), None, anyone), ("authenticated".to_owned(), None, authenticated)];
        let holders = common.into_iter().chain(own).flat_map(|(who, user, grants)| {
            grants.into_iter().map(move |grant| Holder { who: who.clone(), user, grant })
        });
        holders.collect()
    }
}

impl<'a> Answer<'a> {
    /// The grant that gives it, for every address and every tag that the question leaves open.
    pub fn gives(&self) -> Option<&'a Grant> {
        self.first(|lack| lack.is_none())
    }

    /// A grant that gives it for some of the addresses and tags that the question leaves open.
    pub fn may_give(&self) -> Option<&'a Grant> {
        self.first(|lack| matches!(lack, None | Some(Lack::SomeAddresses | Lack::SomeTags)))
    }

    /// Of each grant to this caller for this repository, why it does not give it.
    pub fn reasons(&self) -> impl Iterator<Item = String> {
        self.0.iter().filter_map(|(grant, lack)| {
            Some(match lack.as_ref()? {
                Lack::Right => format!("{grant} gives {} only", grant.rights),
                Lack::Ended => format!("{grant} has ended: until {}", grant.until.as_ref()?),
                Lack::Address => format!("{grant} is for clients in {} only", joined(&grant.from)),
                Lack::Tag => format!("{grant} is for the tags {} only", joined(&grant.tags)),
                Lack::SomeAddresses => format!("{grant} gives it to clients in {}", joined(&grant.from)),
                Lack::SomeTags => format!("{grant} gives it for the tags {}", joined(&grant.tags)),
            })
        })
    }

    fn first(&self, fits: impl Fn(&Option<Lack>) -> bool) -> Option<&'a Grant> {
        self.0.iter().find(|(_, lack)| fits(lack)).map(|(grant, _)| *grant)
    }
}

impl Holder<'_> {
    /// The bounds of the grant, as in `tags latest, dev-*; until 2027-03-01`.
    pub fn bounds(&self) -> String {
        let Grant { tags, from, until, .. } = self.grant;
        let tags = (!tags.is_empty()).then(|| format!("tags {}", joined(tags)));
        let from = (!from.is_empty()).then(|| format!("from {}", joined(from)));
        let until = until.as_ref().map(|until| format!("until {until}"));
        [tags, from, until].into_iter().flatten().collect::<Vec<_>>().join("; ")
    }
}

fn joined<T: Display>(items: &[T]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
