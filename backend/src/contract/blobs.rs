//! What every store keeps to about blobs.

use std::sync::Arc;

use futures_util::StreamExt as _;

use crate::store::Cause;

use super::{AnyStore, long_content, name, push, read, sha256};

pub(super) async fn a_committed_blob_is_read_back_byte_for_byte(store: AnyStore) {
    for content in [Vec::new(), vec![7], long_content()] {
        let digest = push(&store, "a/b", &content).await;
        assert!(read(&store, "a/b", &digest).await.unwrap() == content, "{} bytes", content.len());
    }
    let digest = sha256(&long_content());
    let blob = store.blob(&name("a/b"), &digest).await.unwrap().unwrap();
    let pieces: Vec<_> = blob.read(300_000..300_010).map(Result::unwrap).collect().await;
    assert_eq!(pieces.concat(), long_content()[300_000..300_010]);
}

pub(super) async fn a_blob_belongs_to_its_repository_only(store: AnyStore) {
    let digest = push(&store, "a", b"x").await;
    assert_eq!(read(&store, "b", &digest).await, None);
    assert_eq!(read(&store, "a", &sha256(b"y")).await, None);
}

pub(super) async fn a_mounted_blob_outlives_the_one_it_was_mounted_from(store: AnyStore) {
    let digest = push(&store, "a", b"x").await;
    assert!(!store.mount_blob(&name("b"), &name("c"), &digest).await.unwrap());
    assert_eq!(read(&store, "b", &digest).await, None);
    assert!(store.mount_blob(&name("b"), &name("a"), &digest).await.unwrap());
    assert!(store.delete_blob(&name("a"), &digest, &Cause::default()).await.unwrap());
    assert_eq!(read(&store, "b", &digest).await.as_deref(), Some(&b"x"[..]));
}

pub(super) async fn a_deleted_blob_is_gone_at_once_and_can_be_pushed_again(store: AnyStore) {
    let digest = push(&store, "a", b"x").await;
    assert!(store.delete_blob(&name("a"), &digest, &Cause::default()).await.unwrap());
    assert_eq!(read(&store, "a", &digest).await, None);
    assert!(!store.delete_blob(&name("a"), &digest, &Cause::default()).await.unwrap());
    assert!(!store.mount_blob(&name("b"), &name("a"), &digest).await.unwrap());
    push(&store, "a", b"x").await;
    assert!(read(&store, "a", &digest).await.is_some());
}

pub(super) async fn a_blob_opened_before_it_was_deleted_is_read_to_its_end(store: AnyStore) {
    let digest = push(&store, "a", &long_content()).await;
    let blob = store.blob(&name("a"), &digest).await.unwrap().unwrap();
    store.delete_blob(&name("a"), &digest, &Cause::default()).await.unwrap();
    let size = blob.size();
    let pieces: Vec<_> = blob.read(0..size).map(Result::unwrap).collect().await;
    assert!(pieces.concat() == long_content());
}

pub(super) async fn many_push_one_blob_at_once(store: AnyStore) {
    let content = long_content();
    let pushes = (0..32).map(|_| {
        let (store, content) = (Arc::clone(&store), content.clone());
        tokio::spawn(async move { push(&store, "a/b", &content).await })
    });
    for push in pushes.collect::<Vec<_>>() {
        assert_eq!(push.await.unwrap(), sha256(&content));
    }
    assert!(read(&store, "a/b", &sha256(&content)).await.unwrap() == content);
}
