//! For which repositories a block is.

use std::fmt;

use lockgate_oci::{Pattern, RepositoryName};
use lockgate_settings::List;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Patterns of repositories, in which `*` is anything between two slashes and `**` one segment or more. None has the name of
/// a user in it, since nobody asks here.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(try_from = "List<Pattern>")]
#[schemars(!try_from)]
pub struct Repositories(List<Pattern>);

impl Repositories {
    /// Whether this repository is one of them.
    pub fn have(&self, repository: &RepositoryName) -> bool {
        self.0.0.iter().any(|pattern| pattern.matches(repository, None))
    }

    /// One after the other: `a, b`.
    pub(crate) fn patterns(&self) -> String {
        self.0.0.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }

    pub(super) fn example() -> Self {
        Self(List(vec!["team/**".parse().expect("it is a pattern of repositories")]))
    }
}

impl TryFrom<List<Pattern>> for Repositories {
    type Error = String;

    fn try_from(list: List<Pattern>) -> Result<Self, String> {
        match list.0.iter().find(|pattern| pattern.names_user()) {
            Some(pattern) => Err(format!("{pattern}: nobody asks here, so that there is no name of a user")),
            None => Ok(Self(list)),
        }
    }
}

/// `["a", "b"]`
impl fmt::Display for Repositories {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
