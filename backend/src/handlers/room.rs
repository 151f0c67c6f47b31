//! Whether there is room for what is pushed: on the disk, and in the quotas.

use http::StatusCode;
use lockgate_oci::{Digest, ErrorCode, OciError, Reference, RepositoryName};

use crate::http::Refusal;
use crate::registry::{Exceeded, Registry};
use crate::store::StoreError;

/// What is there already when it is pushed takes no room.
#[derive(Debug, Clone, Copy)]
pub(super) enum Pushed<'a> {
    Blob(&'a Digest),
    Manifest(&'a Digest),
}

/// Room for something in a repository. Once it is there, it is to be [`taken`](Room::take).
#[must_use]
pub(super) struct Room<'a> {
    registry: &'a Registry,
    repository: &'a RepositoryName,
    bytes: u64,
}

impl<'a> Room<'a> {
    /// Room for something of so many bytes.
    ///
    /// # Errors
    /// 403 where it does not fit into a quota.
    pub(super) async fn of(
        registry: &'a Registry,
        repository: &'a RepositoryName,
        what: Pushed<'_>,
        bytes: u64,
    ) -> Result<Self, Refusal> {
        // Where nobody counts exactly, nobody looks.
        let is_there = registry.quotas.are_for(repository) && is_there(registry, repository, what).await?;
        let bytes = if is_there { 0 } else { bytes };
        look_in_quotas(registry, repository, Some(bytes))?;
        Ok(Self { registry, repository, bytes })
    }

    /// Notes that it is there now.
    pub(super) fn take(self) {
        if self.bytes > 0 {
            let look = self.registry.store.note_push(self.repository, self.bytes);
            self.registry.quotas.note(self.repository, self.bytes, look);
        }
    }
}

async fn is_there(registry: &Registry, repository: &RepositoryName, what: Pushed<'_>) -> Result<bool, StoreError> {
    match what {
        Pushed::Blob(digest) => Ok(registry.store.blob_if_there(repository, digest).await?.is_some()),
        Pushed::Manifest(digest) => {
            Ok(registry.store.manifest(repository, &Reference::Digest(digest.clone())).await?.is_some())
        }
    }
}

/// Refuses so many more bytes for a repository whose quota they do not fit into; or any, where nobody knows yet how many
/// there will be.
pub(super) fn look_in_quotas(registry: &Registry, name: &RepositoryName, bytes: Option<u64>) -> Result<(), Refusal> {
    let exceeded = match bytes {
        Some(0) => None,
        bytes => registry.quotas.exceeded(name, bytes.unwrap_or(1)),
    };
    let Some(Exceeded { quota, taken }) = exceeded else { return Ok(()) };
    let bytes = bytes.map_or_else(|| "any".to_owned(), |bytes| bytes.to_string());
    let message = format!(
        "{bytes} bytes more do not fit: of the {} bytes that {} may have together, {taken} are taken. Delete images that are \
         not needed; whoever runs the registry makes that room at once with lockgate-backend trash empty and then collect, \
         or raises the [[quota]]",
        quota.bytes.bytes(),
        quota.repositories,
    );
    Err(OciError::new(ErrorCode::Denied, message).into())
}

/// Refuses what would take the room that deleting needs, which frees more.
pub(super) async fn look_on_disk(registry: &Registry) -> Result<(), Refusal> {
    let (free, least) = (registry.store.free().await?, registry.storage.min_free);
    if free.is_none_or(|free| free >= least.bytes()) {
        return Ok(());
    }
    let message = format!(
        "the registry's disk is nearly full (less than storage.min_free, {least}, is free), and takes no uploads until \
         there is room: whoever runs it makes some with lockgate-backend collect, or trash empty before that"
    );
    Err(OciError::new(ErrorCode::Unknown, message).with_status(StatusCode::INSUFFICIENT_STORAGE).into())
}
