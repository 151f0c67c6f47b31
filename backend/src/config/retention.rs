//! `[[retention]]`: which tags are kept, and for how long what no tag leads to.

use std::fmt;

use lockgate_oci::{RepositoryName, TagPattern};
use lockgate_settings::{List, Period, Within};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::repositories::Repositories;

/// A block of rules. Of several the first counts whose patterns match a repository; where none does, everything is kept.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// For which repositories: patterns, in which * is anything between two slashes and ** one segment or more.
    pub repositories: Repositories,
    /// How long a manifest stays that no tag leads to, nor an index, nor what can be restored; a signature or another
    /// referrer stays as long as what it is about. It counts from when the collector first finds it so, not from the push.
    /// Without it such manifests stay: who runs an image by its digest needs no tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Period")]
    pub untagged: Option<Period>,
    /// Which tags stay: those that any of these entries keeps. In one entry all of its keys must hold: tags, patterns of
    /// names; newest, how many of those with such names, by when they were set; pushed, for how long after that; pulled, for
    /// how long after the last GET of the manifest at any node (HEAD does not count), once that has been recorded for as
    /// long. A tag that no entry keeps is deleted, and can be restored for as long as anything that was (storage.trash_age).
    /// One that names a manifest, as in sha256-HEX.sig, stays as long as that. Without entries every tag stays.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keep: Vec<Keep>,
}

/// An entry of `keep`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(try_from = "Written", deny_unknown_fields)]
#[schemars(!try_from)]
pub struct Keep {
    /// Tags that one of these patterns matches; any, where there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<List<TagPattern>>,
    /// So many of them, those that were set last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub newest: Option<Within<1, 1_000_000>>,
    /// Those that were set so short a time ago.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pushed: Option<Period>,
    /// Those whose manifest was pulled so short a time ago; all, until pulls have been recorded for that long.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pulled: Option<Period>,
}

impl Retention {
    /// Whether it is about this repository.
    pub fn is_about(&self, repository: &RepositoryName) -> bool {
        self.repositories.have(repository)
    }

    /// What can be written, for a file that shows it.
    pub fn examples() -> Vec<Self> {
        vec![Self::example()]
    }

    fn example() -> Self {
        let parsed = |text: &str| text.parse().expect("it is a pattern of tags");
        let tags = Keep { tags: Some(List(vec![parsed("latest"), parsed("v*")])), ..Keep::default() };
        let newest = Keep { newest: Some(const { Within::of(10) }), ..Keep::default() };
        let pushed = Keep { pushed: Some(const { Period::from_secs(30 * DAY) }), ..Keep::default() };
        let pulled = Keep { pulled: Some(const { Period::from_secs(90 * DAY) }), ..Keep::default() };
        Self {
            repositories: Repositories::example(),
            untagged: Some(const { Period::from_secs(7 * DAY) }),
            keep: vec![tags, newest, pushed, pulled],
        }
    }
}

/// In seconds.
const DAY: u64 = 24 * 60 * 60;

/// As in a file.
impl fmt::Display for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted = |period: &Period| format!("{:?}", period.to_string());
        let keys = [
            self.tags.as_ref().map(|tags| ("tags", tags.to_string())),
            self.newest.map(|newest| ("newest", newest.get().to_string())),
            self.pushed.as_ref().map(|period| ("pushed", quoted(period))),
            self.pulled.as_ref().map(|period| ("pulled", quoted(period))),
        ];
        let keys: Vec<_> = keys.into_iter().flatten().map(|(key, value)| format!("{key} = {value}")).collect();
        write!(f, "{{ {} }}", keys.join(", "))
    }
}

/// An entry of `keep` before it is known to say something.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Written {
    tags: Option<List<TagPattern>>,
    newest: Option<Within<1, 1_000_000>>,
    pushed: Option<Period>,
    pulled: Option<Period>,
}

impl TryFrom<Written> for Keep {
    type Error = &'static str;

    fn try_from(Written { tags, newest, pushed, pulled }: Written) -> Result<Self, &'static str> {
        let keep = Self { tags, newest, pushed, pulled };
        if keep == Self::default() {
            return Err("say what is kept: tags, newest, pushed or pulled; who keeps every tag leaves out keep");
        }
        Ok(keep)
    }
}
