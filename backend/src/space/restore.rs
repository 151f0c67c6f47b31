//! From the trash back into a repository: what is restored is put again, byte for byte.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use lockgate_oci::{Digest, Reference, RepositoryName, Tag};

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
    let (mut free, mut taken) = (Vec::new(), Vec::new());
    for tag in tags {
        let current = store.manifest(repository, &Reference::Tag(tag.clone())).await?;
        let is_free = current.is_none_or(|current| current.digest == *digest);
        if is_free { free.push(tag.clone()) } else { taken.push(tag.clone()) }
    }
    if let Some(tag) = taken.first().filter(|_| must_be_free) {
        return Err(RestoreError::Taken(tag.clone()));
    }
    let manifest = put_again(registry, repository, digest, by).await?;
    let mut restored = Vec::new();
    for tag in free {
        let new = Precondition { one_of: None, none_of: Some(Expected::Any) };
        let precondition = Some((Reference::Tag(tag.clone()), new));
        let tagged = NewManifest { tags: vec![tag.clone()], precondition, ..manifest.clone() };
        match store.put_manifest(repository, tagged).await {
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

/// Puts a manifest again, without tags, and first what it names.
fn put_again<'a>(
    registry: &'a Registry,
    repository: &'a RepositoryName,
    digest: &'a Digest,
    by: Option<String>,
) -> BoxFuture<'a, Result<NewManifest, RestoreError>> {
    async move {
        let store = &registry.store;
        let content = store.manifest_bytes(digest).await?.ok_or_else(|| RestoreError::Gone(vec![digest.clone()]))?;
        // What cannot be read names nothing that is known here, and was taken as it is.
        let manifest = Manifest::stored(&content).ok();
        let subject = manifest.as_ref().and_then(Manifest::subject).cloned();
        let requires = manifest.filter(|_| !registry.storage.sparse).map(|manifest| manifest.requires());
        let requires = requires.unwrap_or_default();
        let mut gone = Vec::new();
        for requirement in &requires {
            // It may be gone as well: deleted after what names it, or its link collected.
            match requirement {
                Requirement::Blob(blob) if !store.relink_blob(repository, blob).await? => gone.push(blob.clone()),
                Requirement::Blob(_) => {}
                Requirement::Manifest(child) => put_child_again(registry, repository, child, by.clone()).await?,
            }
        }
        if !gone.is_empty() {
            return Err(RestoreError::Gone(gone));
        }
        let (digest, tags, precondition) = (digest.clone(), Vec::new(), None);
        let manifest = NewManifest { digest, content, tags, subject, requires, precondition, by };
        store.put_manifest(repository, manifest.clone()).await.map_err(|error| match error {
            StoreError::Missing(digests) => RestoreError::Gone(digests),
            error => RestoreError::Store(error),
        })?;
        Ok(manifest)
    }
    .boxed()
}

/// Brings back what an index names, if that was deleted too. Its record stays, which has its tags.
async fn put_child_again(
    registry: &Registry,
    repository: &RepositoryName,
    child: &Digest,
    by: Option<String>,
) -> Result<(), RestoreError> {
    let (store, reference) = (&registry.store, Reference::Digest(child.clone()));
    if store.manifest(repository, &reference).await?.is_some() {
        return Ok(());
    }
    let records = store.trash(Some(repository)).await?;
    match records.iter().find(|record| record.deleted.digest == *child).map(|record| record.deleted.what) {
        Some(Kind::Manifest | Kind::Tag) => drop(put_again(registry, repository, child, by).await?),
        Some(Kind::Blob) => drop(store.relink_blob(repository, child).await?),
        // It may be a blob, or was never here: the index that is put next tells.
        None => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use lockgate_oci::Algorithm;

    use super::*;
    use crate::config::{Limits, Storage};
    use crate::hasher::digest_of;
    use crate::registry::ObjectStore;
    use crate::store::Cause;

    const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
    const INDEX: &str = "application/vnd.oci.image.index.v1+json";

    #[tokio::test]
    async fn an_index_comes_back_with_the_images_that_it_names_and_that_were_deleted_too() {
        let registry = Registry::new(Arc::new(ObjectStore::in_memory()), Storage::default(), Limits::default());
        let (store, name) = (&registry.store, "a".parse::<RepositoryName>().unwrap());
        let layer = digest_of(Algorithm::Sha256, b"layer");
        let id = store.begin_upload(&name, Algorithm::Sha256).await.unwrap();
        let mut upload = store.resume_upload(&name, id).await.unwrap();
        upload.append(Bytes::from_static(b"layer")).await.unwrap();
        upload.commit(&layer).await.unwrap();
        let image = format!(
            r#"{{"schemaVersion":2,"mediaType":"{IMAGE}","config":{{"mediaType":"x/x","digest":"{layer}","size":5}},"layers":[]}}"#
        );
        let image_digest = digest_of(Algorithm::Sha256, image.as_bytes());
        let index = format!(
            r#"{{"schemaVersion":2,"mediaType":"{INDEX}","manifests":[{{"mediaType":"{IMAGE}","digest":"{image_digest}","size":{}}}]}}"#,
            image.len()
        );
        let index_digest = digest_of(Algorithm::Sha256, index.as_bytes());
        for (digest, content, tag, requirement) in [
            (&image_digest, &image, "arm", Requirement::Blob(layer.clone())),
            (&index_digest, &index, "latest", Requirement::Manifest(image_digest.clone())),
        ] {
            let manifest = NewManifest {
                digest: digest.clone(),
                content: content.clone().into(),
                tags: vec![tag.parse().unwrap()],
                subject: None,
                requires: vec![requirement],
                precondition: None,
                by: None,
            };
            store.put_manifest(&name, manifest).await.unwrap();
        }
        for digest in [&index_digest, &image_digest] {
            assert!(store.delete_manifest(&name, digest, None, &Cause::default()).await.unwrap());
        }
        assert!(store.delete_blob(&name, &layer, &Cause::default()).await.unwrap());
        let records = store.trash(Some(&name)).await.unwrap();
        let record = records.iter().find(|record| record.deleted.digest == index_digest).expect("it has a record");
        let restored = restore(&registry, record, &record.deleted.tags, false, None).await.unwrap();
        assert_eq!(restored, Restored { tags: vec!["latest".parse().unwrap()], taken: Vec::new() });
        for digest in [&index_digest, &image_digest] {
            assert!(store.manifest(&name, &Reference::Digest(digest.clone())).await.unwrap().is_some());
        }
        assert!(store.blob(&name, &layer).await.unwrap().is_some());
        // Its tag has not come back, and can.
        assert_eq!(store.tag(&name, &"arm".parse().unwrap()).await.unwrap(), None);
        let left = store.trash(Some(&name)).await.unwrap();
        assert!(left.iter().any(|record| record.deleted.digest == image_digest));
    }
}
