//! One grant: to whom, for which repositories, what, and within which bounds.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use lockgate_oci::{RepositoryName, Tag};
use lockgate_settings::nearest;

use super::groups::{GroupName, GroupNameError};
use crate::address_range::AddressRange;
use crate::auth::{UserName, UserNameError};
use crate::rights::{Pattern, Right, Rights, TagPattern, Wish};

/// What a `[[grant]]` of the file says. Grants add up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The place among the grants, from 1.
    pub number: usize,
    /// The line of the file.
    pub line: usize,
    /// For which repositories.
    pub repositories: Vec<Pattern>,
    /// To whom.
    pub to: Vec<Subject>,
    /// What.
    pub rights: Rights,
    /// The only tags that may be written or removed by it; none: all.
    pub tags: Vec<TagPattern>,
    /// The only addresses of clients; none: all.
    pub from: Vec<AddressRange>,
    /// When it ends.
    pub until: Option<Until>,
}

/// To whom something is granted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Subject {
    /// Everybody, with a password or without.
    Anyone,
    /// Everybody with a password, or with a token.
    Authenticated,
    /// One user.
    User(UserName),
    /// The users of a group.
    Group(GroupName),
}

/// Why a text names nobody.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubjectError {
    /// It is nearly a word.
    #[error("{0:?} is nobody; did you mean {1:?}?")]
    Nearly(String, String),
    /// It is a name only.
    #[error("{0:?} is nobody: write \"user:{0}\", \"group:{0}\", \"authenticated\" or \"anyone\"")]
    Bare(String),
    /// The user's name is none.
    #[error(transparent)]
    User(#[from] UserNameError),
    /// The group's name is none.
    #[error(transparent)]
    Group(#[from] GroupNameError),
}

/// When a grant ends: a day, to its end, or a moment, both in UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Until {
    text: Box<str>,
    end: SystemTime,
}

/// Why a text is no end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a day, as in 2027-03-01, which is over at its end, or a moment in UTC, as in 2027-03-01T12:00:00Z")]
pub struct UntilError;

/// What is asked of a grant, where subject and repository fit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Need<'a> {
    pub(super) right: Right,
    pub(super) tags: Tags<'a>,
}

/// The tags that are written or removed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Tags<'a> {
    None,
    One(&'a Tag),
    All,
}

/// Why a grant for this subject and this repository does not give what is asked, the gravest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lack {
    Right,
    Ended,
    /// It is for other addresses.
    Address,
    /// It is for other tags.
    Tag,
    /// It is for some addresses, and none is known.
    SomeAddresses,
    /// It is for some tags, and all are meant.
    SomeTags,
}

impl Grant {
    /// What is missing, where subject and repository fit.
    pub(super) fn lacks(&self, need: Need<'_>, address: Option<IpAddr>, now: SystemTime) -> Option<Lack> {
        let is_from = |address: IpAddr| self.from.iter().any(|range| range.holds(address));
        let holds_tag = |tag: &Tag| self.tags.iter().any(|pattern| pattern.matches(tag));
        let has_address = self.from.is_empty() || address.is_some_and(is_from);
        let has_tags = self.tags.is_empty()
            || match need.tags {
                Tags::None => true,
                Tags::One(tag) => holds_tag(tag),
                Tags::All => false,
            };
        if !self.rights.holds(need.right) {
            Some(Lack::Right)
        } else if self.has_ended(now) {
            Some(Lack::Ended)
        } else if !has_address && address.is_some() {
            Some(Lack::Address)
        } else if !has_tags && matches!(need.tags, Tags::One(_)) {
            Some(Lack::Tag)
        } else if !has_address {
            Some(Lack::SomeAddresses)
        } else if !has_tags {
            Some(Lack::SomeTags)
        } else {
            None
        }
    }

    /// Whether its end has come.
    pub(super) fn has_ended(&self, now: SystemTime) -> bool {
        self.until.as_ref().is_some_and(|until| until.end <= now)
    }

    /// Whether one of its patterns matches.
    pub(super) fn is_for(&self, repository: &RepositoryName, user: Option<&UserName>) -> bool {
        self.repositories.iter().any(|pattern| pattern.matches(repository, user.map(UserName::as_str)))
    }
}

impl<'a> From<Wish<'a>> for Need<'a> {
    fn from(wish: Wish<'a>) -> Self {
        let tags = match wish {
            Wish::Pull | Wish::Create => Tags::None,
            Wish::CreateTag(tag) | Wish::MoveTag(tag) | Wish::DeleteTag(tag) => Tags::One(tag),
            Wish::Delete => Tags::All,
        };
        Self { right: wish.right(), tags }
    }
}

/// As in `grant 3 (line 12)`.
impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "grant {} (line {})", self.number, self.line)
    }
}

impl FromStr for Subject {
    type Err = SubjectError;

    fn from_str(text: &str) -> Result<Self, SubjectError> {
        const WORDS: [&str; 2] = ["anyone", "authenticated"];
        const ELSEWHERE: [(&str, &str); 7] = [
            ("everyone", "anyone"),
            ("everybody", "anyone"),
            ("anonymous", "anyone"),
            ("public", "anyone"),
            ("*", "anyone"),
            ("all", "anyone"),
            ("users", "authenticated"),
        ];
        let nearly = |near: &str| Err(SubjectError::Nearly(text.to_owned(), near.to_owned()));
        match (text, text.split_once(':')) {
            ("anyone", _) => Ok(Self::Anyone),
            ("authenticated", _) => Ok(Self::Authenticated),
            (_, Some(("user", name))) => Ok(Self::User(UserName::for_file(name)?)),
            (_, Some(("group", name))) => Ok(Self::Group(name.parse()?)),
            (_, Some((kind, name))) => match nearest(kind, &["user", "group"]) {
                Some(near) => nearly(&format!("{near}:{}", name.trim())),
                None => Err(SubjectError::Bare(text.to_owned())),
            },
            (_, None) => {
                let elsewhere = ELSEWHERE.iter().find(|(other, _)| *other == text.to_lowercase());
                match elsewhere.map(|(_, ours)| *ours).or_else(|| nearest(text, &WORDS)) {
                    Some(near) => nearly(near),
                    None => Err(SubjectError::Bare(text.to_owned())),
                }
            }
        }
    }
}

/// As it is written in the file.
impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anyone => f.write_str("anyone"),
            Self::Authenticated => f.write_str("authenticated"),
            Self::User(name) => write!(f, "user:{name}"),
            Self::Group(name) => write!(f, "group:{name}"),
        }
    }
}

impl FromStr for Until {
    type Err = UntilError;

    fn from_str(text: &str) -> Result<Self, UntilError> {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        let moment = |text: &str| humantime::parse_rfc3339(text).map_err(|_| UntilError);
        let is_day = text.len() == "2027-03-01".len();
        let end = if is_day { moment(&format!("{text}T00:00:00Z"))? + DAY } else { moment(text)? };
        Ok(Self { text: text.into(), end })
    }
}

/// As it is written in the file.
impl fmt::Display for Until {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_nobody_is_told_with_who_was_meant() {
        for good in ["anyone", "authenticated", "user:alice", "group:team", "user:carol x"] {
            assert_eq!(good.parse::<Subject>().unwrap().to_string(), good);
        }
        for (bad, said) in [
            ("everyone", r#""everyone" is nobody; did you mean "anyone"?"#),
            ("Anyone", r#""Anyone" is nobody; did you mean "anyone"?"#),
            ("authentcated", r#""authentcated" is nobody; did you mean "authenticated"?"#),
            ("users:alice", r#""users:alice" is nobody; did you mean "user:alice"?"#),
            ("alice", r#""alice" is nobody: write "user:alice", "group:alice", "authenticated" or "anyone""#),
            ("user:", "a user name must not be empty"),
            ("user: alice", "a user name must not start or end with white space"),
            ("group:", "a group's name must not be empty, nor have a colon, a control character, or spaces around it"),
        ] {
            assert_eq!(bad.parse::<Subject>().expect_err(bad).to_string(), said);
        }
    }

    #[test]
    fn a_day_is_over_at_its_end_and_a_moment_at_once() {
        let moment = |text: &str| humantime::parse_rfc3339(text).unwrap();
        for (text, end) in [
            ("2027-03-01", "2027-03-02T00:00:00Z"),
            ("2027-12-31", "2028-01-01T00:00:00Z"),
            ("2027-03-01T12:00:00Z", "2027-03-01T12:00:00Z"),
        ] {
            let until: Until = text.parse().unwrap();
            assert_eq!((until.end, until.to_string().as_str()), (moment(end), text));
        }
        for bad in ["", "2027", "2027-13-01", "2027-03-01T12:00:00", "2027-03-01T12:00:00+02:00", "tomorrow", "ééééé"]
        {
            assert!(bad.parse::<Until>().is_err(), "{bad}");
        }
    }
}
