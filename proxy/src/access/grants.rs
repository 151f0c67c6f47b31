//! All grants, and which of them gives something.
//!
//! A request looks only at the grants to its caller whose patterns begin as its repository's name does: they are found by
//! the literal segments at the beginning of a pattern, and by subject.

use std::collections::HashMap;
use std::iter::once;
use std::net::IpAddr;
use std::time::SystemTime;

use lockgate_oci::{RepositoryName, Tag};

use super::grant::{Grant, Lack, Need, Subject, Tags};
use super::groups::Groups;
use crate::auth::UserName;
use crate::rights::{Right, Wish};

/// The grants of a file, with the groups that they name.
#[derive(Debug, Default)]
pub struct Grants {
    grants: Vec<Grant>,
    /// The subjects of grants that a user is, but for `anyone` and `authenticated`.
    subjects: HashMap<UserName, Vec<SubjectId>>,
    by_start: HashMap<Box<str>, HashMap<SubjectId, Vec<Entry>>>,
    by_subject: HashMap<SubjectId, Vec<usize>>,
}

/// Who asks, from where, and when.
#[derive(Debug, Clone, Copy)]
pub struct Asker<'a> {
    /// Who; `None` for who has not logged in.
    pub user: Option<&'a UserName>,
    /// The client's address.
    pub address: IpAddr,
    /// The time of the request.
    pub now: SystemTime,
}

/// What a person asks about the grants, who may leave open what a request never does.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// Who would ask.
    pub user: Option<&'a UserName>,
    /// For what.
    pub right: Right,
    /// For which repository.
    pub repository: &'a RepositoryName,
    /// For which tag; all, where it is left open.
    pub tag: Option<&'a Tag>,
    /// From which address; any, where it is left open.
    pub address: Option<IpAddr>,
    /// When.
    pub now: SystemTime,
}

/// There are more pairs of a pattern and a subject than can be looked through at each change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the lists of repositories, each times the names in its \"to\", are over {MAX_ENTRIES}: grant to groups")]
pub struct TooMany;

/// Of the pairs of a pattern and a subject.
const MAX_ENTRIES: usize = 1_000_000;

/// How many segments of a pattern's beginning are looked at. All are compared in the end.
const MAX_START: usize = 4;

type SubjectId = usize;
const ANYONE: SubjectId = 0;
const AUTHENTICATED: SubjectId = 1;

/// One pattern of one grant.
#[derive(Debug, Clone, Copy)]
struct Entry {
    grant: usize,
    pattern: usize,
}

impl Grants {
    /// Those that are written, where a group is who is in it. A group that is not there has nobody.
    ///
    /// # Errors
    /// [`TooMany`].
    pub fn new(grants: Vec<Grant>, groups: &Groups) -> Result<Self, TooMany> {
        if grants.iter().map(|grant| grant.repositories.len() * grant.to.len()).sum::<usize>() > MAX_ENTRIES {
            return Err(TooMany);
        }
        let mut ids = HashMap::from([(&Subject::Anyone, ANYONE), (&Subject::Authenticated, AUTHENTICATED)]);
        let mut made = Self::default();
        for (grant, written) in grants.iter().enumerate() {
            for subject in &written.to {
                let next = ids.len();
                let id = *ids.entry(subject).or_insert_with(|| {
                    made.name(subject, next, groups);
                    next
                });
                made.by_subject.entry(id).or_default().push(grant);
                for (pattern, repositories) in written.repositories.iter().enumerate() {
                    let start = repositories.literal_start().take(MAX_START).collect::<Vec<_>>().join("/");
                    let of_start = made.by_start.entry(start.into()).or_default();
                    of_start.entry(id).or_default().push(Entry { grant, pattern });
                }
            }
        }
        Ok(Self { grants, ..made })
    }

    /// Notes which users a subject is.
    fn name(&mut self, subject: &Subject, id: SubjectId, groups: &Groups) {
        let mut note = |user: &UserName| self.subjects.entry(user.clone()).or_default().push(id);
        match subject {
            Subject::Anyone | Subject::Authenticated => {}
            Subject::User(user) => note(user),
            Subject::Group(group) => groups.members(group).into_iter().flatten().for_each(note),
        }
    }

    /// A grant that gives this wish, if there is one.
    pub fn permits(&self, asker: &Asker<'_>, wish: Wish<'_>, repository: &RepositoryName) -> Option<&Grant> {
        let user = asker.user.map(UserName::as_str);
        starts_of(repository)
            .filter_map(|start| self.by_start.get(start))
            .flat_map(|of_start| self.subjects_of(asker.user).filter_map(|subject| of_start.get(&subject)))
            .flatten()
            .find(|entry| {
                let grant = &self.grants[entry.grant];
                grant.lacks(wish.into(), Some(asker.address), asker.now).is_none()
                    && grant.repositories[entry.pattern].matches(repository, user)
            })
            .map(|entry| &self.grants[entry.grant])
    }

    /// Whether there is anything that they may pull, as far as grants tell.
    pub fn pulls_anything(&self, asker: &Asker<'_>) -> bool {
        let user = asker.user.map(UserName::as_str);
        let pulls = |grant: &Grant| {
            grant.lacks(Wish::Pull.into(), Some(asker.address), asker.now).is_none()
                && grant.repositories.iter().any(|pattern| pattern.concerns(user))
        };
        let mut grants = self.subjects_of(asker.user).filter_map(|subject| self.by_subject.get(&subject)).flatten();
        grants.any(|grant| pulls(&self.grants[*grant]))
    }

    /// A grant that gives this right on every repository and for every tag, if there is one. What is made of several
    /// grants is not looked for.
    pub fn permits_everywhere(&self, asker: &Asker<'_>, right: Right) -> Option<&Grant> {
        let tags = if right == Right::Pull { Tags::None } else { Tags::All };
        let of_start = self.by_start.get("")?;
        self.subjects_of(asker.user)
            .filter_map(|subject| of_start.get(&subject))
            .flatten()
            .find(|entry| {
                let grant = &self.grants[entry.grant];
                grant.lacks(Need { right, tags }, Some(asker.address), asker.now).is_none()
                    && grant.repositories[entry.pattern].is_everything()
            })
            .map(|entry| &self.grants[entry.grant])
    }

    /// All of them, as they are written.
    pub fn as_slice(&self) -> &[Grant] {
        &self.grants
    }

    /// The users that grants name, or groups to which something is granted have.
    pub fn users(&self) -> impl Iterator<Item = &UserName> {
        self.subjects.keys()
    }

    /// Each grant to this caller for this repository, with what is missing in it.
    pub(super) fn concerning(&self, asked: Question<'_>) -> Vec<(&Grant, Option<Lack>)> {
        let tags = match (asked.right, asked.tag) {
            (Right::Pull, _) => Tags::None,
            (_, Some(tag)) => Tags::One(tag),
            (_, None) => Tags::All,
        };
        let need = Need { right: asked.right, tags };
        let mut to_them: Vec<_> =
            self.subjects_of(asked.user).filter_map(|subject| self.by_subject.get(&subject)).flatten().collect();
        to_them.sort_unstable();
        to_them.dedup();
        let grants = to_them.into_iter().map(|grant| &self.grants[*grant]);
        let for_it = grants.filter(|grant| grant.is_for(asked.repository, asked.user));
        for_it.map(|grant| (grant, grant.lacks(need, asked.address, asked.now))).collect()
    }

    fn subjects_of(&self, user: Option<&UserName>) -> impl Iterator<Item = SubjectId> {
        let own = user.and_then(|user| self.subjects.get(user));
        once(ANYONE).chain(user.map(|_| AUTHENTICATED)).chain(own.into_iter().flatten().copied())
    }
}

/// Each beginning of a name that patterns are found by: of no segment, of one, and so on.
fn starts_of(repository: &RepositoryName) -> impl Iterator<Item = &str> {
    let name = repository.as_str();
    let ends = name.match_indices('/').map(|(end, _)| end).chain(once(name.len()));
    once("").chain(ends.take(MAX_START).map(|end| &name[..end]))
}

#[cfg(test)]
mod tests;
