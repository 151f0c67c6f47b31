//! What is asked for within one repository.

use lockgate_oci::Tag;

use super::Right;

/// What a request wants to do within one repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish<'a> {
    /// Read.
    Pull,
    /// Write blobs, uploads, and manifests by digest.
    Create,
    /// Let a tag that is not there point at a manifest.
    CreateTag(&'a Tag),
    /// Let a tag that is there point at another manifest.
    MoveTag(&'a Tag),
    /// Remove a tag.
    DeleteTag(&'a Tag),
    /// Remove a blob, or by digest a manifest, which takes all of its tags along.
    Delete,
}

impl Wish<'_> {
    /// The least right that it needs.
    pub fn right(self) -> Right {
        match self {
            Self::Pull => Right::Pull,
            Self::Create | Self::CreateTag(_) => Right::Create,
            Self::MoveTag(_) => Right::Push,
            Self::DeleteTag(_) | Self::Delete => Right::Delete,
        }
    }
}
