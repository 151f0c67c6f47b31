//! What every store keeps to about manifests and their tags.

use std::sync::Arc;

use super::{AnyStore, by_digest, by_tag, manifest, name, push, put, read, sha256, tag, tags};
use crate::store::{NewManifest, Requirement, StoreError};

pub(super) async fn a_manifest_is_found_by_digest_and_by_tag(store: AnyStore) {
    let digest = put(&store, "a", "m", &["v1", "latest"]).await;
    assert_eq!(by_digest(&store, "a", &digest).await.as_deref(), Some(&b"m"[..]));
    for text in ["v1", "latest"] {
        assert_eq!(by_tag(&store, "a", text).await, Some(digest.clone()));
    }
    assert_eq!(by_digest(&store, "b", &digest).await, None);
    assert_eq!(by_tag(&store, "b", "v1").await, None);
    assert_eq!(by_tag(&store, "a", "v2").await, None);
    assert_eq!(read(&store, "a", &digest).await, None, "a manifest is no blob");
}

pub(super) async fn a_manifest_that_lacks_something_is_not_kept_in_any_part(store: AnyStore) {
    let (here, elsewhere) = (push(&store, "a", b"here").await, push(&store, "b", b"elsewhere").await);
    let child = put(&store, "b", "child", &[]).await;
    let requires =
        [Requirement::Blob(here), Requirement::Blob(elsewhere.clone()), Requirement::Manifest(child.clone())];
    let new = NewManifest { tags: vec![tag("v1")], requires: requires.into(), ..manifest("m") };
    let error = store.put_manifest(&name("a"), new).await.unwrap_err();
    assert!(matches!(error, StoreError::Missing(missing) if missing == [elsewhere, child]));
    assert_eq!(by_tag(&store, "a", "v1").await, None);
    assert_eq!(by_digest(&store, "a", &sha256(b"m")).await, None);
}

pub(super) async fn an_index_may_have_a_blob_for_a_child(store: AnyStore) {
    let (layer, child) = (push(&store, "a", b"layer").await, put(&store, "a", "child", &[]).await);
    let requires = vec![Requirement::Manifest(layer), Requirement::Manifest(child.clone())];
    store.put_manifest(&name("a"), NewManifest { requires, ..manifest("cache") }).await.unwrap();
    let requires = vec![Requirement::Blob(child)];
    let image = NewManifest { requires, ..manifest("an image whose layer is a manifest") };
    assert!(matches!(store.put_manifest(&name("a"), image).await, Err(StoreError::Missing(_))));
}

pub(super) async fn a_tag_moves_and_its_old_manifest_stays(store: AnyStore) {
    let old = put(&store, "a", "old", &["v1"]).await;
    let new = put(&store, "a", "new", &["v1"]).await;
    assert_eq!(by_tag(&store, "a", "v1").await, Some(new));
    assert!(by_digest(&store, "a", &old).await.is_some());
}

pub(super) async fn a_deleted_tag_leaves_its_manifest(store: AnyStore) {
    let digest = put(&store, "a", "m", &["v1"]).await;
    assert!(store.delete_tag(&name("a"), &tag("v1")).await.unwrap());
    assert!(!store.delete_tag(&name("a"), &tag("v1")).await.unwrap());
    assert_eq!(by_tag(&store, "a", "v1").await, None);
    assert!(by_digest(&store, "a", &digest).await.is_some());
    assert_eq!(tags(&store, "a", "", 9).await, Some(vec![]));
}

pub(super) async fn a_deleted_manifest_takes_its_tags_and_no_others(store: AnyStore) {
    let digest = put(&store, "a", "m", &["v1", "v2"]).await;
    put(&store, "a", "other", &["v3"]).await;
    assert!(store.delete_manifest(&name("a"), &digest, None).await.unwrap());
    assert!(!store.delete_manifest(&name("a"), &digest, None).await.unwrap());
    assert_eq!(by_digest(&store, "a", &digest).await, None);
    assert_eq!(tags(&store, "a", "", 9).await.unwrap(), ["v3"]);
    put(&store, "a", "m", &["v1"]).await;
    assert!(by_digest(&store, "a", &digest).await.is_some());
}

pub(super) async fn a_manifest_put_while_its_blob_is_deleted_is_there_or_is_not(store: AnyStore) {
    for round in 0..20 {
        let layer = push(&store, "a", format!("layer {round}").as_bytes()).await;
        let requires = vec![Requirement::Blob(layer.clone())];
        let image = NewManifest { requires, ..manifest(&format!("image {round}")) };
        let digest = image.digest.clone();
        let putting = {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.put_manifest(&name("a"), image).await })
        };
        let deleted = store.delete_blob(&name("a"), &layer).await.unwrap();
        let put = putting.await.unwrap();
        // Whichever came first: a manifest that was accepted may lose its blob afterwards.
        assert!(deleted && matches!(put, Ok(()) | Err(StoreError::Missing(_))));
        let kept = by_digest(&store, "a", &digest).await;
        assert_eq!(kept.is_some(), put.is_ok());
        let again = NewManifest { requires: vec![Requirement::Blob(layer)], ..manifest("again") };
        assert!(matches!(store.put_manifest(&name("a"), again).await, Err(StoreError::Missing(_))));
    }
}
