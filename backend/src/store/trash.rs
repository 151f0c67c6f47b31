//! What was deleted and can be brought back.

use std::fmt;

use lockgate_oci::{Digest, RepositoryName, Tag, TrashId};
use serde::{Deserialize, Serialize};

/// Who has something deleted, where that is known, and why, where it is not that somebody asked for it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cause {
    /// The name of a user.
    pub by: Option<String>,
    /// The rest of "deleted, since ...".
    pub why: Option<String>,
}

/// A kind of what is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A tag: it was deleted, or points elsewhere now.
    Tag,
    /// A manifest, with the tags that pointed at it.
    Manifest,
    /// A blob.
    Blob,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Tag => "tag",
            Self::Manifest => "manifest",
            Self::Blob => "blob",
        })
    }
}

/// What a record of the trash says. As long as it is there, nothing goes that is needed to restore it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deleted {
    /// What was deleted.
    pub what: Kind,
    /// Of the manifest or blob; a tag's is what it pointed at.
    pub digest: Digest,
    /// Tags that pointed at it and do not any more.
    #[serde(default)]
    pub tags: Vec<Tag>,
    /// Who asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Why, where it is not that somebody asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// A record of the trash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trashed {
    /// Where it was.
    pub repository: RepositoryName,
    /// Names it among those of its repository.
    pub id: TrashId,
    /// What it was.
    pub deleted: Deleted,
}
