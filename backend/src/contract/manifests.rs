//! What every store keeps to about manifests and their tags.

use std::sync::Arc;

use lockgate_oci::{Digest, Reference};

use super::{AnyStore, by_digest, by_tag, manifest, name, push, put, read, sha256, tag, tags};
use crate::store::{Cause, Expected, NewManifest, Precondition, Requirement, StoreError};

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
    assert!(store.delete_tag(&name("a"), &tag("v1"), &Precondition::default(), &Cause::default()).await.unwrap());
    assert!(!store.delete_tag(&name("a"), &tag("v1"), &Precondition::default(), &Cause::default()).await.unwrap());
    assert_eq!(by_tag(&store, "a", "v1").await, None);
    assert!(by_digest(&store, "a", &digest).await.is_some());
    assert_eq!(tags(&store, "a", "", 9).await, Some(vec![]));
}

pub(super) async fn a_deleted_manifest_takes_its_tags_and_no_others(store: AnyStore) {
    let digest = put(&store, "a", "m", &["v1", "v2"]).await;
    put(&store, "a", "other", &["v3"]).await;
    assert!(store.delete_manifest(&name("a"), &digest, None, &Cause::default()).await.unwrap());
    assert!(!store.delete_manifest(&name("a"), &digest, None, &Cause::default()).await.unwrap());
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
        let deleted = store.delete_blob(&name("a"), &layer, &Cause::default()).await.unwrap();
        let put = putting.await.unwrap();
        // Whichever came first: a manifest that was accepted may lose its blob afterwards.
        assert!(deleted && matches!(put, Ok(()) | Err(StoreError::Missing(_))));
        let kept = by_digest(&store, "a", &digest).await;
        assert_eq!(kept.is_some(), put.is_ok());
        let again = NewManifest { requires: vec![Requirement::Blob(layer)], ..manifest("again") };
        assert!(matches!(store.put_manifest(&name("a"), again).await, Err(StoreError::Missing(_))));
    }
}

/// The one manifest that is expected.
fn this(digest: &Digest) -> Option<Expected> {
    Some(Expected::These(vec![digest.clone()]))
}

fn absent() -> Precondition {
    Precondition { one_of: None, none_of: Some(Expected::Any) }
}

fn present() -> Precondition {
    Precondition { one_of: Some(Expected::Any), none_of: None }
}

/// Puts a manifest under a tag; whether the precondition held of the tag.
async fn put_if(store: &AnyStore, content: &str, text: &str, precondition: Precondition) -> bool {
    let precondition = Some((Reference::Tag(tag(text)), precondition));
    let new = NewManifest { tags: vec![tag(text)], precondition, ..manifest(content) };
    match store.put_manifest(&name("a"), new).await {
        Ok(()) => true,
        Err(StoreError::PreconditionFailed) => false,
        Err(error) => panic!("{error}"),
    }
}

pub(super) async fn a_precondition_is_about_what_is_there_at_the_write(store: AnyStore) {
    assert!(!put_if(&store, "one", "v1", present()).await, "there is none");
    assert!(put_if(&store, "one", "v1", absent()).await);
    assert!(!put_if(&store, "two", "v1", absent()).await);
    let (one, two) = (sha256(b"one"), sha256(b"two"));
    assert_eq!((by_tag(&store, "a", "v1").await, by_digest(&store, "a", &two).await), (Some(one.clone()), None));
    assert!(!put_if(&store, "two", "v1", Precondition { one_of: this(&two), none_of: None }).await);
    assert!(!put_if(&store, "two", "v1", Precondition { one_of: this(&one), none_of: this(&one) }).await);
    assert!(put_if(&store, "two", "v1", Precondition { one_of: this(&one), none_of: this(&two) }).await);
    assert_eq!(by_tag(&store, "a", "v1").await, Some(two.clone()));

    let by_name = |precondition| NewManifest {
        precondition: Some((Reference::Digest(two.clone()), precondition)),
        tags: vec![tag("v2")],
        ..manifest("two")
    };
    let error = store.put_manifest(&name("a"), by_name(absent())).await.unwrap_err();
    assert!(matches!(error, StoreError::PreconditionFailed));
    assert_eq!(by_tag(&store, "a", "v2").await, None);
    store.put_manifest(&name("a"), by_name(present())).await.unwrap();
    store.put_manifest(&name("b"), by_name(absent())).await.unwrap();
}

pub(super) async fn what_is_missing_is_told_before_a_precondition(store: AnyStore) {
    put(&store, "a", "m", &["v1"]).await;
    let requires = vec![Requirement::Blob(sha256(b"never pushed"))];
    let precondition = Some((Reference::Tag(tag("v1")), absent()));
    let new = NewManifest { tags: vec![tag("v1")], requires, precondition, ..manifest("other") };
    assert!(matches!(store.put_manifest(&name("a"), new).await, Err(StoreError::Missing(_))));
}

/// How many of sixteen who put a manifest of their own under a tag, all at once, are told that they did.
async fn winners(store: &AnyStore, text: &str, precondition: Precondition) -> usize {
    let putting = (0..16).map(|i| {
        let (store, text, precondition) = (Arc::clone(store), text.to_owned(), precondition.clone());
        tokio::spawn(async move { put_if(&store, &format!("{text} {i}"), &text, precondition).await })
    });
    let mut winners = 0;
    for put in putting.collect::<Vec<_>>() {
        winners += usize::from(put.await.unwrap());
    }
    winners
}

pub(super) async fn of_many_who_want_a_tag_to_be_new_one_wins(store: AnyStore) {
    for round in 0..10 {
        assert_eq!(winners(&store, &format!("new{round}"), absent()).await, 1);
    }
}

pub(super) async fn of_many_who_move_a_tag_from_one_state_one_wins(store: AnyStore) {
    for round in 0..10 {
        let text = format!("v{round}");
        let state = put(&store, "a", "state", &[&text]).await;
        assert_eq!(winners(&store, &text, Precondition { one_of: this(&state), none_of: None }).await, 1);
    }
}

pub(super) async fn a_tag_is_deleted_only_as_what_it_is_expected_to_be(store: AnyStore) {
    let (old, new) = (put(&store, "a", "old", &["v1"]).await, put(&store, "a", "new", &["v1"]).await);
    let delete = async |precondition| store.delete_tag(&name("a"), &tag("v1"), &precondition, &Cause::default()).await;
    for wrong in [absent(), Precondition { one_of: this(&old), none_of: None }] {
        assert!(matches!(delete(wrong).await, Err(StoreError::PreconditionFailed)));
    }
    assert_eq!(by_tag(&store, "a", "v1").await, Some(new.clone()));
    assert!(delete(Precondition { one_of: this(&new), none_of: None }).await.unwrap());
    assert!(!delete(present()).await.unwrap(), "there is none");
}
