//! What an action needs. The table of docs/rights.md is made of it.

use lockgate_oci::{Action, Reference, RepositoryName};

use crate::auth::Scope;
use crate::rights::{Right, Wish};

/// What a caller must have for an action.
pub(super) enum Need<'a> {
    /// Credentials, whatever they give.
    Login,
    /// Something to pull, anywhere.
    AnyPull,
    /// These rights in every repository.
    Everywhere(&'static [Right]),
    /// This in one repository.
    In(&'a RepositoryName, Wish<'a>),
}

impl<'a> Need<'a> {
    /// What an action needs first. Tags that a manifest is to have, the repository that a mount is from, and that who lists
    /// the trash may pull, come on top.
    pub(super) fn of(action: &'a Action) -> Self {
        match action {
            Action::Base => Self::Login,
            Action::Catalog(_) => Self::AnyPull,
            Action::Extension => Self::Everywhere(&[Right::Pull]),
            Action::ChangeExtension => Self::Everywhere(&[Right::Push, Right::Delete]),
            Action::Tags(repository, _)
            | Action::PullManifest(repository, _)
            | Action::PullBlob(repository, _)
            | Action::Referrers { repository, .. }
            | Action::Usage(repository) => Self::In(repository, Wish::Pull),
            Action::PushManifest { repository, .. }
            | Action::BeginUpload { repository, .. }
            | Action::Mount { repository, .. }
            | Action::PushBlob { repository, .. }
            | Action::UploadStatus(repository, _)
            | Action::AppendUpload(repository, _)
            | Action::FinishUpload { repository, .. }
            | Action::CancelUpload(repository, _)
            | Action::Restore { repository, .. } => Self::In(repository, Wish::Create),
            Action::DeleteManifest(repository, Reference::Tag(tag)) => Self::In(repository, Wish::DeleteTag(tag)),
            // A manifest takes all its tags along.
            Action::DeleteManifest(repository, Reference::Digest(_))
            | Action::DeleteBlob(repository, _)
            | Action::Trash(repository) => Self::In(repository, Wish::Delete),
        }
    }

    /// The scope that a token needs for it.
    pub(super) fn scope(&self) -> Scope {
        match self {
            Self::Login => Scope::default(),
            Self::AnyPull | Self::Everywhere(_) => Scope::of_the_catalog(),
            Self::In(repository, wish) => Scope::needed([(wish.right(), *repository)]),
        }
    }
}

#[cfg(test)]
mod tests;
