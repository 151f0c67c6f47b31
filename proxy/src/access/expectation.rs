//! What is expected of the grants, in the file of them.

use std::net::IpAddr;
use std::str::FromStr;
use std::time::SystemTime;

use lockgate_oci::{RepositoryName, RepositoryNameError, Tag, TagError};

use super::grants::{Grants, Question};
use crate::auth::{UserName, UserNameError};
use crate::rights::Right;

/// What an `[[expect]]` says. What may be is expected from every address and for every tag where none is given, and
/// what may not be from none and for none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expectation {
    /// The line of the file.
    pub line: usize,
    pub(super) who: Who,
    pub(super) may: Vec<Right>,
    pub(super) may_not: Vec<Right>,
    pub(super) repository: RepositoryName,
    pub(super) tag: Option<Tag>,
    pub(super) address: Option<IpAddr>,
}

/// Of whom something is expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Who {
    Anyone,
    Authenticated,
    User(UserName),
}

/// A repository, and a tag of it where one is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The repository.
    pub repository: RepositoryName,
    /// The tag.
    pub tag: Option<Tag>,
}

/// Why a text is no [`Place`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    /// What stands before the colon.
    #[error(transparent)]
    Repository(#[from] RepositoryNameError),
    /// What stands behind it.
    #[error(transparent)]
    Tag(#[from] TagError),
}

impl Expectation {
    /// What is otherwise, if anything is.
    pub fn disappointments(&self, grants: &Grants, now: SystemTime) -> Vec<String> {
        let nobody = UserName::of_nobody();
        let user = match &self.who {
            Who::Anyone => None,
            Who::Authenticated => Some(&nobody),
            Who::User(user) => Some(user),
        };
        let Self { repository, tag, address, .. } = self;
        let asked = |right| Question { user, right, repository, tag: tag.as_ref(), address: *address, now };
        let (who, place) = (self.who.as_str(), self.place());
        let refused = self.may.iter().filter(|right| grants.answer(asked(**right)).gives().is_none());
        let refused = refused.map(|right| format!("{who} may not {right} {place}, and is expected to"));
        let given = self.may_not.iter().filter_map(|right| Some((right, grants.answer(asked(*right)).may_give()?)));
        let given = given.map(|(right, grant)| format!("{who} may {right} {place} by {grant}, and is expected not to"));
        refused.chain(given).collect()
    }

    fn place(&self) -> String {
        match &self.tag {
            Some(tag) => format!("{}:{tag}", self.repository),
            None => self.repository.to_string(),
        }
    }
}

impl Who {
    fn as_str(&self) -> &str {
        match self {
            Self::Anyone => "anyone",
            Self::Authenticated => "authenticated",
            Self::User(user) => user.as_str(),
        }
    }
}

/// A name is a user's.
impl FromStr for Who {
    type Err = UserNameError;

    fn from_str(text: &str) -> Result<Self, UserNameError> {
        match text {
            "anyone" => Ok(Self::Anyone),
            "authenticated" => Ok(Self::Authenticated),
            _ => Ok(Self::User(UserName::for_file(text.strip_prefix("user:").unwrap_or(text))?)),
        }
    }
}

/// `REPOSITORY` or `REPOSITORY:TAG`.
impl FromStr for Place {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, PlaceError> {
        let (repository, tag) = text.split_once(':').map_or((text, None), |(name, tag)| (name, Some(tag)));
        Ok(Self { repository: repository.parse()?, tag: tag.map(str::parse).transpose()? })
    }
}
