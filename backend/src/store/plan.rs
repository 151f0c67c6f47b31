//! What a collection removes.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use lockgate_oci::{Digest, RepositoryName, Tag};
use serde::{Deserialize, Serialize};

use crate::config::Retention;
use crate::objects::Version;
use crate::store::usage::{Counts, Taken};

/// One thing that goes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Item {
    /// A tag, if it is this manifest.
    Tag(RepositoryName, Tag, Digest),
    /// A manifest of a repository.
    Manifest(RepositoryName, Digest),
    /// That a blob is one of a repository's.
    Link(RepositoryName, Digest),
    /// The bytes of a blob or a manifest.
    Blob(Digest),
}

/// A text is no [`Item`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "this names nothing that a collection removes: a line of a plan is tag REPOSITORY:TAG@DIGEST, manifest REPOSITORY@DIGEST, link REPOSITORY@DIGEST or blob DIGEST, whatever stands behind"
)]
pub struct ItemError;

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(repository, tag, digest) => write!(f, "tag {repository}:{tag}@{digest}"),
            Self::Manifest(repository, digest) => write!(f, "manifest {repository}@{digest}"),
            Self::Link(repository, digest) => write!(f, "link {repository}@{digest}"),
            Self::Blob(digest) => write!(f, "blob {digest}"),
        }
    }
}

impl FromStr for Item {
    type Err = ItemError;

    fn from_str(text: &str) -> Result<Self, ItemError> {
        let (kind, name) = text.split_once(' ').ok_or(ItemError)?;
        if kind == "blob" {
            return Ok(Self::Blob(name.parse().map_err(|_| ItemError)?));
        }
        let (name, digest) = name.split_once('@').ok_or(ItemError)?;
        let digest = digest.parse().map_err(|_| ItemError)?;
        let repository = |name: &str| name.parse().map_err(|_| ItemError);
        match kind {
            "tag" => {
                let (name, tag) = name.rsplit_once(':').ok_or(ItemError)?;
                Ok(Self::Tag(repository(name)?, tag.parse().map_err(|_| ItemError)?, digest))
            }
            "manifest" => Ok(Self::Manifest(repository(name)?, digest)),
            "link" => Ok(Self::Link(repository(name)?, digest)),
            _ => Err(ItemError),
        }
    }
}

/// Something that could go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// What.
    pub item: Item,
    /// What it frees, in bytes.
    pub bytes: u64,
    /// Why, in words.
    pub why: String,
}

/// What a collection would remove.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// In the order in which they would go.
    pub candidates: Vec<Candidate>,
    /// What each repository takes.
    pub usage: HashMap<RepositoryName, Taken>,
    /// Among what.
    pub counts: Counts,
}

/// Something of which it is asked why it stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Thing {
    /// A tag.
    Tag(RepositoryName, Tag),
    /// A manifest or a blob of a repository.
    Linked(RepositoryName, Digest),
    /// The bytes of a manifest or a blob.
    Bytes(Digest),
}

/// A text is no [`Thing`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("say what it is about: REPOSITORY:TAG, REPOSITORY@DIGEST or DIGEST")]
pub struct ThingError;

impl fmt::Display for Thing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(repository, tag) => write!(f, "{repository}:{tag}"),
            Self::Linked(repository, digest) => write!(f, "{repository}@{digest}"),
            Self::Bytes(digest) => digest.fmt(f),
        }
    }
}

impl FromStr for Thing {
    type Err = ThingError;

    fn from_str(text: &str) -> Result<Self, ThingError> {
        if let Ok(digest) = text.parse() {
            return Ok(Self::Bytes(digest));
        }
        let thing = |(name, rest): (&str, &str), is_tag| {
            let name = name.parse().ok()?;
            Some(if is_tag { Self::Tag(name, rest.parse().ok()?) } else { Self::Linked(name, rest.parse().ok()?) })
        };
        let at = text.split_once('@').map(|parts| (parts, false));
        at.or_else(|| text.rsplit_once(':').map(|parts| (parts, true)))
            .and_then(|(parts, is_tag)| thing(parts, is_tag))
            .ok_or(ThingError)
    }
}

/// Why something stays, or goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Explained {
    /// Whether there is any such thing.
    pub is_there: bool,
    /// What of it goes, and why.
    pub goes: Vec<Candidate>,
    /// Why the rest stays, in words.
    pub stays: Vec<String>,
}

/// What a run of the collector has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Collected {
    /// Tags that it removed, since no rule keeps them.
    pub tags: u64,
    /// Objects that it removed.
    pub removed: u64,
    /// How many bytes they had.
    pub freed: u64,
    /// Objects that it found unneeded, for the next run to remove.
    pub condemned: u64,
    /// What it looked at.
    pub counts: Counts,
}

/// A blob whose bytes are not what its name says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// Its name.
    pub digest: Digest,
    /// What is there, in words.
    pub found: String,
    pub(crate) version: Version,
}

/// An image that is not whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// Where it is.
    pub repository: RepositoryName,
    /// Which.
    pub manifest: Digest,
    /// The tags that point at it.
    pub tags: Vec<Tag>,
    /// What of it is damaged, or not there.
    pub lacks: Vec<Digest>,
}

/// How a collection is made.
#[derive(Debug, Clone, PartialEq)]
pub struct CollectOptions {
    /// The share of all objects that one run removes, at most.
    pub max_delete: f64,
    /// The share of the time that it works.
    pub rate: f64,
    /// What is kept; of several rules the first that is about a repository.
    pub retention: Vec<Retention>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hasher::digest_of;
    use lockgate_oci::Algorithm;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_item_is_read_as_it_was_written(
            name in "[a-z]{1,5}(/[a-z]{1,5}){0,2}", tag in "[a-zA-Z0-9_][a-zA-Z0-9._-]{0,9}", content in any::<u8>(),
        ) {
            let (name, tag): (RepositoryName, Tag) = (name.parse().unwrap(), tag.parse().unwrap());
            let digest = digest_of(Algorithm::Sha512, &[content]);
            for item in [
                Item::Tag(name.clone(), tag, digest.clone()),
                Item::Manifest(name.clone(), digest.clone()),
                Item::Link(name, digest.clone()),
                Item::Blob(digest),
            ] {
                prop_assert_eq!(item.to_string().parse(), Ok(item));
            }
        }

        #[test]
        fn a_thing_is_read_as_it_was_written(
            name in "[a-z]{1,5}(/[a-z]{1,5}){0,2}", tag in "[a-zA-Z0-9_][a-zA-Z0-9._-]{0,9}", content in any::<u8>(),
        ) {
            let (name, tag): (RepositoryName, Tag) = (name.parse().unwrap(), tag.parse().unwrap());
            let digest = digest_of(Algorithm::Sha256, &[content]);
            for thing in [Thing::Tag(name.clone(), tag), Thing::Linked(name, digest.clone()), Thing::Bytes(digest)] {
                prop_assert_eq!(thing.to_string().parse(), Ok(thing));
            }
        }

        #[test]
        fn what_names_nothing_is_none(text in "(tag|manifest|link|blob|x)? ?[a-z:@]{0,20}") {
            prop_assert_eq!(text.parse::<Item>(), Err(ItemError));
        }
    }
}
