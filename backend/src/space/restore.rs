//! From the trash back into a repository: what is restored is put again, byte for byte.

use lockgate_oci::{Digest, Reference, Tag};

use crate::manifest::Manifest;
use crate::registry::Registry;
use crate::store::{Expected, Kind, NewManifest, Precondition, Requirement, StoreError, Trashed};

/// What became of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Restored {
    /// The tags that point at it again.
    pub(crate) tags: Vec<Tag>,
    /// Tags that point elsewhere by now, and stay there.
    pub(crate) taken: Vec<Tag>,
}

/// Why something cannot be restored. Nothing has changed then that anybody sees.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RestoreError {
    #[error(
        "{} of it are gone, {first} first of all: another program has removed them (registry:2's garbage-collect does), so that it must be pushed again",
        .0.len(), first = .0.first().map(ToString::to_string).unwrap_or_default()
    )]
    Gone(Vec<Digest>),
    #[error("the tag {0} is another image by now: delete it first, or restore this one by its digest")]
    Taken(Tag),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Brings back what a record names, with these tags of it, where they are free. `must_be_free`: with all or not at all.
pub(crate) async fn restore(
    registry: &Registry,
    trashed: &Trashed,
    tags: &[Tag],
    must_be_free: bool,
    by: Option<String>,
) -> Result<Restored, RestoreError> {
    let (store, repository, digest) = (&registry.store, &trashed.repository, &trashed.deleted.digest);
    if trashed.deleted.what == Kind::Blob {
        if !store.relink_blob(repository, digest).await? {
            return Err(RestoreError::Gone(vec![digest.clone()]));
        }
        store.forget(trashed).await?;
        return Ok(Restored { tags: Vec::new(), taken: Vec::new() });
    }
    let content = store.manifest_bytes(digest).await?.ok_or_else(|| RestoreError::Gone(vec![digest.clone()]))?;
    let (mut free, mut taken) = (Vec::new(), Vec::new());
    for tag in tags {
        let current = store.manifest(repository, &Reference::Tag(tag.clone())).await?;
        let is_free = current.is_none_or(|current| current.digest == *digest);
        if is_free { free.push(tag.clone()) } else { taken.push(tag.clone()) }
    }
    if let Some(tag) = taken.first().filter(|_| must_be_free) {
        return Err(RestoreError::Taken(tag.clone()));
    }
    // What cannot be read names nothing that is known here, and was taken as it is.
    let manifest = Manifest::stored(&content).ok();
    let subject = manifest.as_ref().and_then(Manifest::subject).cloned();
    let requires = manifest.filter(|_| !registry.storage.sparse).map(|manifest| manifest.requires());
    let requires = requires.unwrap_or_default();
    let mut gone = Vec::new();
    for requirement in &requires {
        // Its link may be gone as well, deleted after it or collected.
        if let Requirement::Blob(blob) = requirement
            && !store.relink_blob(repository, blob).await?
        {
            gone.push(blob.clone());
        }
    }
    if !gone.is_empty() {
        return Err(RestoreError::Gone(gone));
    }
    let put = |tag: Option<&Tag>| {
        let new = Precondition { one_of: None, none_of: Some(Expected::Any) };
        store.put_manifest(
            repository,
            NewManifest {
                digest: digest.clone(),
                content: content.clone(),
                tags: tag.cloned().into_iter().collect(),
                subject: subject.clone(),
                requires: requires.clone(),
                precondition: tag.map(|tag| (Reference::Tag(tag.clone()), new)),
                by: by.clone(),
            },
        )
    };
    put(None).await.map_err(|error| match error {
        StoreError::Missing(digests) => RestoreError::Gone(digests),
        error => RestoreError::Store(error),
    })?;
    let mut restored = Vec::new();
    for tag in free {
        match put(Some(&tag)).await {
            Ok(()) => restored.push(tag),
            Err(StoreError::PreconditionFailed) if store.tag(repository, &tag).await?.as_ref() == Some(digest) => {
                restored.push(tag);
            }
            Err(StoreError::PreconditionFailed) if must_be_free => return Err(RestoreError::Taken(tag)),
            Err(StoreError::PreconditionFailed) => taken.push(tag),
            Err(error) => return Err(error.into()),
        }
    }
    // Of what was asked for in part, the rest can still be.
    if trashed.deleted.tags.iter().all(|tag| restored.contains(tag)) || tags.is_empty() {
        store.forget(trashed).await?;
    }
    Ok(Restored { tags: restored, taken })
}
