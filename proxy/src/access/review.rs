//! What somebody should look at in grants that hold.

use std::collections::BTreeSet;
use std::time::SystemTime;

use lockgate_settings::listed;

use super::file::Access;
use super::grant::{Grant, Subject};
use super::groups::GroupName;
use crate::auth::UserName;
use crate::rights::{Pattern, Right};

/// Something in grants that is hardly meant. A grant is named as in `grant 3 (line 12)`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Warning {
    /// The file has comments only, or expectations.
    #[error("there is no grant, so everything is refused")]
    NoGrant,
    /// Whoever reaches the registry may write.
    #[error(
        "{grant} GIVES ANYONE, WITHOUT A PASSWORD, {rights}: whoever reaches the registry may write to it; \
         \"authenticated\" is who has a password"
    )]
    AnyoneWrites {
        /// The grant.
        grant: String,
        /// What it gives, as in `pull, create`.
        rights: String,
    },
    /// Its end has come.
    #[error("{grant} gives nothing: it has ended, until {until}")]
    Ended {
        /// The grant.
        grant: String,
        /// When.
        until: String,
    },
    /// None of those to whom something is granted is there.
    #[error("{grant} gives nothing: {missing}")]
    GivesNothing {
        /// The grant.
        grant: String,
        /// Why.
        missing: String,
    },
    /// Some of those to whom something is granted are not there.
    #[error("{grant}: {missing}")]
    Missing {
        /// The grant.
        grant: String,
        /// Who.
        missing: String,
    },
    /// Tags limit what nobody may do by it.
    #[error("{grant}: its tags limit nothing, since it gives pull only")]
    TagsOfPull {
        /// The grant.
        grant: String,
    },
    /// A tag that is removed can be written anew.
    #[error("{grant}: who may delete and create may move tags as with push: delete one, and create it anew")]
    DeleteAndCreate {
        /// The grant.
        grant: String,
    },
    /// Users of a group who are no users.
    #[error("group {group}: {missing}")]
    MissingMembers {
        /// The group.
        group: GroupName,
        /// Who.
        missing: String,
    },
    /// Names that match nothing.
    #[error(
        "{grant}: {pattern} is no repository for {users}: a name with capitals, an @ or blanks can be no part of a \
         repository's name"
    )]
    NoSegment {
        /// The grant.
        grant: String,
        /// The pattern with the caller's name in it.
        pattern: String,
        /// Their names.
        users: String,
    },
    /// Everything is read only.
    #[error("no grant lets anybody push")]
    NobodyPushes,
}

/// More names than these are counted, not named.
const MAX_NAMES: usize = 5;

impl Access {
    /// What the files alone tell.
    pub fn warnings(&self, now: SystemTime) -> Vec<Warning> {
        self.warnings_beside(None, now)
    }

    /// What they tell beside the users who can log in.
    pub fn review(&self, users: &BTreeSet<UserName>, now: SystemTime) -> Vec<Warning> {
        let mut warnings = self.warnings_beside(Some(users), now);
        for (group, members) in self.groups.iter() {
            let missing: Vec<_> = members.difference(users).collect();
            if !missing.is_empty() {
                let missing = format!("no user {}", named(&missing));
                warnings.push(Warning::MissingMembers { group: group.clone(), missing });
            }
        }
        let grants = self.grants.as_slice();
        warnings.extend(grants.iter().flat_map(|grant| self.no_segments(grant, users)));
        let pushes = |grant: &Grant| {
            let is_somebody = |to: &Subject| self.missing(to, Some(users)).is_none();
            grant.rights.holds(Right::Push) && !grant.has_ended(now) && grant.to.iter().any(is_somebody)
        };
        if !grants.is_empty() && !grants.iter().any(pushes) {
            warnings.push(Warning::NobodyPushes);
        }
        warnings
    }

    /// What each pattern does not match, though one may think so: `team/** does not hold team`.
    pub fn limits_of_patterns(&self) -> Vec<String> {
        let mut seen = BTreeSet::new();
        let patterns = self.grants.as_slice().iter().flat_map(|grant| &grant.repositories).map(Pattern::to_string);
        patterns.filter(|pattern| seen.insert(pattern.clone())).filter_map(|pattern| limit_of(&pattern)).collect()
    }

    fn warnings_beside(&self, users: Option<&BTreeSet<UserName>>, now: SystemTime) -> Vec<Warning> {
        let grants = self.grants.as_slice();
        if grants.is_empty() {
            return vec![Warning::NoGrant];
        }
        grants.iter().flat_map(|grant| self.warnings_of(grant, users, now)).collect()
    }

    fn warnings_of(&self, written: &Grant, users: Option<&BTreeSet<UserName>>, now: SystemTime) -> Vec<Warning> {
        let Grant { rights, to, until, tags, .. } = written;
        let grant = || written.to_string();
        if let Some(until) = until.as_ref().filter(|_| written.has_ended(now)) {
            return vec![Warning::Ended { grant: grant(), until: until.to_string() }];
        }
        let mut warnings = Vec::new();
        let (creates, deletes) = (rights.holds(Right::Create), rights.holds(Right::Delete));
        if to.contains(&Subject::Anyone) && (creates || deletes) {
            warnings.push(Warning::AnyoneWrites { grant: grant(), rights: rights.to_string().to_uppercase() });
        }
        if creates && deletes && !rights.holds(Right::Push) {
            warnings.push(Warning::DeleteAndCreate { grant: grant() });
        }
        if !tags.is_empty() && !creates && !deletes {
            warnings.push(Warning::TagsOfPull { grant: grant() });
        }
        let missing: Vec<_> = to.iter().filter_map(|subject| self.missing(subject, users)).collect();
        let (grant, all, missing) = (grant(), missing.len() == to.len(), missing.join(", "));
        if all {
            warnings.push(Warning::GivesNothing { grant, missing });
        } else if !missing.is_empty() {
            warnings.push(Warning::Missing { grant, missing });
        }
        warnings
    }

    /// Why a subject is nobody, if it is.
    fn missing(&self, subject: &Subject, users: Option<&BTreeSet<UserName>>) -> Option<String> {
        let is_user = |user: &UserName| users.is_none_or(|users| users.contains(user));
        match subject {
            Subject::Anyone | Subject::Authenticated => None,
            Subject::User(user) => (!is_user(user)).then(|| format!("there is no user {user}")),
            Subject::Group(group) => match self.groups.members(group) {
                None => Some(format!("there is no group {group}")),
                Some(members) => (!members.iter().any(is_user)).then(|| format!("nobody is in group {group}")),
            },
        }
    }

    /// The patterns with a caller's name in which the names of some are none.
    fn no_segments(&self, grant: &Grant, users: &BTreeSet<UserName>) -> Vec<Warning> {
        let is_to = |user: &&UserName| grant.to.iter().any(|to| self.is(user, to));
        let to: Vec<_> = users.iter().filter(is_to).collect();
        let patterns = grant.repositories.iter().filter(|pattern| pattern.names_user());
        let warning = |pattern: &Pattern| {
            let none: Vec<_> = to.iter().copied().filter(|user| !pattern.concerns(Some(user.as_str()))).collect();
            (!none.is_empty()).then(|| Warning::NoSegment {
                grant: grant.to_string(),
                pattern: pattern.to_string(),
                users: named(&none),
            })
        };
        patterns.filter_map(warning).collect()
    }

    fn is(&self, user: &UserName, subject: &Subject) -> bool {
        match subject {
            Subject::Anyone | Subject::Authenticated => true,
            Subject::User(name) => name == user,
            Subject::Group(group) => self.groups.members(group).is_some_and(|members| members.contains(user)),
        }
    }
}

fn named(users: &[&UserName]) -> String {
    let mut names: Vec<_> = users.iter().take(MAX_NAMES).map(ToString::to_string).collect();
    if users.len() > MAX_NAMES {
        names.push(format!("{} others", users.len() - MAX_NAMES));
    }
    listed(names.into_iter())
}

fn limit_of(pattern: &str) -> Option<String> {
    let beyond = if let Some(parent) = pattern.strip_suffix("/**") {
        parent.to_owned()
    } else if let Some(rest) = pattern.strip_prefix("**/") {
        rest.to_owned()
    } else if pattern != "**" && (pattern.ends_with('*') || !pattern.contains('/')) {
        format!("{}/b", pattern.replace("**", "a").replace('*', "a"))
    } else {
        return None;
    };
    Some(format!("{pattern} does not hold {beyond}"))
}
