//! What every store keeps to, told once and run over each.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt as _;
use lockgate_oci::{Algorithm, Digest, Reference, RepositoryName, Tag};
use uuid::Uuid;

use super::{DiskStore, MemoryStore, NewManifest, Requirement, Store, StoreError};
use crate::hasher::digest_of;

/// Runs each promise over each store: one line a store.
macro_rules! contract {
    ($($promise:ident)*) => {
        mod disk {
            $(#[tokio::test]
            async fn $promise() {
                let directory = tempfile::tempdir().unwrap();
                super::$promise(super::Arc::new(super::DiskStore::open(directory.path()).unwrap())).await;
            })*
        }
        mod memory {
            $(#[tokio::test]
            async fn $promise() {
                super::$promise(super::Arc::new(super::MemoryStore::new())).await;
            })*
        }
    };
}

contract! {
    a_committed_blob_is_read_back_byte_for_byte
    a_blob_belongs_to_its_repository_only
    content_with_another_digest_never_becomes_a_blob
    a_session_may_be_finished_in_an_algorithm_that_it_was_not_begun_with
    an_upload_goes_on_where_it_was_left
    what_was_appended_is_kept_when_an_upload_is_dropped_between_two_writes
    one_session_has_one_writer
    a_cancelled_session_is_gone
    a_session_is_unknown_in_another_repository
    a_mounted_blob_outlives_the_one_it_was_mounted_from
    a_deleted_blob_is_gone_at_once_and_can_be_pushed_again
    a_blob_opened_before_it_was_deleted_is_read_to_its_end
    many_push_one_blob_at_once
    a_manifest_is_found_by_digest_and_by_tag
    a_manifest_that_lacks_something_is_not_kept_in_any_part
    an_index_may_have_a_blob_for_a_child
    a_tag_moves_and_its_old_manifest_stays
    a_deleted_tag_leaves_its_manifest
    a_deleted_manifest_takes_its_tags_and_no_others
    a_manifest_put_while_its_blob_is_deleted_is_there_or_is_not
    tags_are_listed_in_pages_by_the_order_of_their_bytes
    a_long_list_of_tags_is_right_while_tags_come_and_go
    an_upload_alone_makes_no_repository
    repositories_are_listed_in_pages_by_the_order_of_their_bytes
    referrers_are_those_that_are_there
}

type AnyStore = Arc<dyn Store>;

fn name(text: &str) -> RepositoryName {
    text.parse().unwrap()
}

fn tag(text: &str) -> Tag {
    text.parse().unwrap()
}

fn sha256(content: &[u8]) -> Digest {
    digest_of(Algorithm::Sha256, content)
}

async fn push(store: &AnyStore, repository: &str, content: &[u8]) -> Digest {
    let (repository, digest) = (name(repository), sha256(content));
    let id = store.begin_upload(&repository, Algorithm::Sha256).await.unwrap();
    let mut upload = store.resume_upload(&repository, id).await.unwrap();
    upload.append(Bytes::copy_from_slice(content)).await.unwrap();
    upload.commit(&digest).await.unwrap();
    digest
}

async fn read(store: &AnyStore, repository: &str, digest: &Digest) -> Option<Vec<u8>> {
    let blob = store.blob(&name(repository), digest).await.unwrap()?;
    let size = blob.size();
    let pieces: Vec<io::Result<Bytes>> = blob.read(0..size).collect().await;
    let content = pieces.into_iter().collect::<io::Result<Vec<Bytes>>>().unwrap().concat();
    assert_eq!(content.len() as u64, size);
    Some(content)
}

fn manifest(content: &str) -> NewManifest {
    let content = Bytes::copy_from_slice(content.as_bytes());
    NewManifest { digest: sha256(&content), content, tags: Vec::new(), subject: None, requires: Vec::new() }
}

/// Puts a manifest under tags.
async fn put(store: &AnyStore, repository: &str, content: &str, tags: &[&str]) -> Digest {
    let new = NewManifest { tags: tags.iter().map(|text| tag(text)).collect(), ..manifest(content) };
    let digest = new.digest.clone();
    store.put_manifest(&name(repository), new).await.unwrap();
    digest
}

/// The content of a manifest.
async fn by_digest(store: &AnyStore, repository: &str, digest: &Digest) -> Option<Bytes> {
    let reference = Reference::Digest(digest.clone());
    let stored = store.manifest(&name(repository), &reference).await.unwrap()?;
    assert_eq!(stored.digest, *digest);
    Some(stored.content)
}

/// The digest of the manifest that a tag points at.
async fn by_tag(store: &AnyStore, repository: &str, text: &str) -> Option<Digest> {
    let stored = store.manifest(&name(repository), &Reference::Tag(tag(text))).await.unwrap()?;
    assert_eq!(stored.digest, sha256(&stored.content));
    Some(stored.digest)
}

async fn tags(store: &AnyStore, repository: &str, after: &str, limit: usize) -> Option<Vec<String>> {
    let tags = store.tags(&name(repository), after, limit).await.unwrap()?;
    Some(tags.iter().map(ToString::to_string).collect())
}

async fn repositories(store: &AnyStore, after: &str, limit: usize) -> Vec<String> {
    store.repositories(after, limit).await.unwrap().iter().map(ToString::to_string).collect()
}

/// Content longer than any buffer, and no two of its pieces alike.
fn long_content() -> Vec<u8> {
    (0..700_001_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

async fn a_committed_blob_is_read_back_byte_for_byte(store: AnyStore) {
    for content in [Vec::new(), vec![7], long_content()] {
        let digest = push(&store, "a/b", &content).await;
        assert!(read(&store, "a/b", &digest).await.unwrap() == content, "{} bytes", content.len());
    }
    let digest = sha256(&long_content());
    let blob = store.blob(&name("a/b"), &digest).await.unwrap().unwrap();
    let pieces: Vec<_> = blob.read(300_000..300_010).map(Result::unwrap).collect().await;
    assert_eq!(pieces.concat(), long_content()[300_000..300_010]);
}

async fn a_blob_belongs_to_its_repository_only(store: AnyStore) {
    let digest = push(&store, "a", b"x").await;
    assert_eq!(read(&store, "b", &digest).await, None);
    assert_eq!(read(&store, "a", &sha256(b"y")).await, None);
}

async fn content_with_another_digest_never_becomes_a_blob(store: AnyStore) {
    let (repository, wanted) = (name("a"), sha256(b"wanted"));
    let id = store.begin_upload(&repository, Algorithm::Sha256).await.unwrap();
    let mut upload = store.resume_upload(&repository, id).await.unwrap();
    upload.append(Bytes::from_static(b"other")).await.unwrap();
    let error = upload.commit(&wanted).await.unwrap_err();
    assert!(matches!(error, StoreError::DigestMismatch(found) if found == sha256(b"other")));
    assert_eq!(read(&store, "a", &wanted).await, None);
    assert_eq!(read(&store, "a", &sha256(b"other")).await, None);
    assert!(matches!(store.upload_size(&repository, id).await, Err(StoreError::UploadUnknown)));
}

async fn a_session_may_be_finished_in_an_algorithm_that_it_was_not_begun_with(store: AnyStore) {
    let (repository, content) = (name("a"), long_content());
    let digest = digest_of(Algorithm::Sha512, &content);
    let id = store.begin_upload(&repository, Algorithm::Sha256).await.unwrap();
    let mut upload = store.resume_upload(&repository, id).await.unwrap();
    upload.append(content.clone().into()).await.unwrap();
    upload.commit(&digest).await.unwrap();
    assert!(read(&store, "a", &digest).await.unwrap() == content);
    assert_eq!(read(&store, "a", &sha256(&content)).await, None);
}

async fn an_upload_goes_on_where_it_was_left(store: AnyStore) {
    let (repository, content) = (name("a"), long_content());
    let id = store.begin_upload(&repository, Algorithm::Sha256).await.unwrap();
    assert_eq!(store.upload_size(&repository, id).await.unwrap(), 0);
    let mut sent = 0;
    for piece in content.chunks(150_001) {
        let mut upload = store.resume_upload(&repository, id).await.unwrap();
        assert_eq!(upload.size(), sent);
        upload.append(Bytes::copy_from_slice(piece)).await.unwrap();
        sent += piece.len() as u64;
        assert_eq!(upload.size(), sent);
        assert_eq!(upload.suspend().await.unwrap(), sent);
        assert_eq!(store.upload_size(&repository, id).await.unwrap(), sent);
    }
    let upload = store.resume_upload(&repository, id).await.unwrap();
    upload.commit(&sha256(&content)).await.unwrap();
    assert!(read(&store, "a", &sha256(&content)).await.unwrap() == content);
    assert!(matches!(store.upload_size(&repository, id).await, Err(StoreError::UploadUnknown)));
}

async fn what_was_appended_is_kept_when_an_upload_is_dropped_between_two_writes(store: AnyStore) {
    let (repository, content) = (name("a"), long_content());
    let id = store.begin_upload(&repository, Algorithm::Sha256).await.unwrap();
    let mut upload = store.resume_upload(&repository, id).await.unwrap();
    upload.append(content.clone().into()).await.unwrap();
    drop(upload);
    // A writer that was cut off may still be at its last piece.
    let mut upload = until_free(&store, &repository, id).await;
    let kept = upload.size() as usize;
    assert!(kept <= content.len());
    upload.append(Bytes::copy_from_slice(&content[kept..])).await.unwrap();
    upload.commit(&sha256(&content)).await.unwrap();
    assert!(read(&store, "a", &sha256(&content)).await.unwrap() == content);
}

async fn until_free(store: &AnyStore, repository: &RepositoryName, id: Uuid) -> Box<dyn super::Upload> {
    let free = async {
        loop {
            match store.resume_upload(repository, id).await {
                Err(StoreError::UploadBusy) => tokio::task::yield_now().await,
                upload => return upload.unwrap(),
            }
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), free).await.unwrap()
}

async fn one_session_has_one_writer(store: AnyStore) {
    let repository = name("a");
    let id = store.begin_upload(&repository, Algorithm::Sha256).await.unwrap();
    let upload = store.resume_upload(&repository, id).await.unwrap();
    assert!(matches!(store.resume_upload(&repository, id).await, Err(StoreError::UploadBusy)));
    assert!(matches!(store.cancel_upload(&repository, id).await, Err(StoreError::UploadBusy)));
    upload.suspend().await.unwrap();
    store.resume_upload(&repository, id).await.unwrap();
}

async fn a_cancelled_session_is_gone(store: AnyStore) {
    let repository = name("a");
    let id = store.begin_upload(&repository, Algorithm::Sha256).await.unwrap();
    store.cancel_upload(&repository, id).await.unwrap();
    assert!(matches!(store.cancel_upload(&repository, id).await, Err(StoreError::UploadUnknown)));
    assert!(matches!(store.resume_upload(&repository, id).await, Err(StoreError::UploadUnknown)));
    assert!(matches!(store.upload_size(&repository, id).await, Err(StoreError::UploadUnknown)));
}

async fn a_session_is_unknown_in_another_repository(store: AnyStore) {
    let id = store.begin_upload(&name("a"), Algorithm::Sha256).await.unwrap();
    let other = name("b");
    assert!(matches!(store.resume_upload(&other, id).await, Err(StoreError::UploadUnknown)));
    assert!(matches!(store.upload_size(&other, id).await, Err(StoreError::UploadUnknown)));
    assert!(matches!(store.cancel_upload(&other, id).await, Err(StoreError::UploadUnknown)));
    assert_eq!(store.upload_size(&name("a"), id).await.unwrap(), 0);
}

async fn a_mounted_blob_outlives_the_one_it_was_mounted_from(store: AnyStore) {
    let digest = push(&store, "a", b"x").await;
    assert!(!store.mount_blob(&name("b"), &name("c"), &digest).await.unwrap());
    assert_eq!(read(&store, "b", &digest).await, None);
    assert!(store.mount_blob(&name("b"), &name("a"), &digest).await.unwrap());
    assert!(store.delete_blob(&name("a"), &digest).await.unwrap());
    assert_eq!(read(&store, "b", &digest).await.as_deref(), Some(&b"x"[..]));
}

async fn a_deleted_blob_is_gone_at_once_and_can_be_pushed_again(store: AnyStore) {
    let digest = push(&store, "a", b"x").await;
    assert!(store.delete_blob(&name("a"), &digest).await.unwrap());
    assert_eq!(read(&store, "a", &digest).await, None);
    assert!(!store.delete_blob(&name("a"), &digest).await.unwrap());
    assert!(!store.mount_blob(&name("b"), &name("a"), &digest).await.unwrap());
    push(&store, "a", b"x").await;
    assert!(read(&store, "a", &digest).await.is_some());
}

async fn a_blob_opened_before_it_was_deleted_is_read_to_its_end(store: AnyStore) {
    let digest = push(&store, "a", &long_content()).await;
    let blob = store.blob(&name("a"), &digest).await.unwrap().unwrap();
    store.delete_blob(&name("a"), &digest).await.unwrap();
    let size = blob.size();
    let pieces: Vec<_> = blob.read(0..size).map(Result::unwrap).collect().await;
    assert!(pieces.concat() == long_content());
}

async fn many_push_one_blob_at_once(store: AnyStore) {
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

async fn a_manifest_is_found_by_digest_and_by_tag(store: AnyStore) {
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

async fn a_manifest_that_lacks_something_is_not_kept_in_any_part(store: AnyStore) {
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

async fn an_index_may_have_a_blob_for_a_child(store: AnyStore) {
    let (layer, child) = (push(&store, "a", b"layer").await, put(&store, "a", "child", &[]).await);
    let requires = vec![Requirement::Manifest(layer), Requirement::Manifest(child.clone())];
    store.put_manifest(&name("a"), NewManifest { requires, ..manifest("cache") }).await.unwrap();
    let requires = vec![Requirement::Blob(child)];
    let image = NewManifest { requires, ..manifest("an image whose layer is a manifest") };
    assert!(matches!(store.put_manifest(&name("a"), image).await, Err(StoreError::Missing(_))));
}

async fn a_tag_moves_and_its_old_manifest_stays(store: AnyStore) {
    let old = put(&store, "a", "old", &["v1"]).await;
    let new = put(&store, "a", "new", &["v1"]).await;
    assert_eq!(by_tag(&store, "a", "v1").await, Some(new));
    assert!(by_digest(&store, "a", &old).await.is_some());
}

async fn a_deleted_tag_leaves_its_manifest(store: AnyStore) {
    let digest = put(&store, "a", "m", &["v1"]).await;
    assert!(store.delete_tag(&name("a"), &tag("v1")).await.unwrap());
    assert!(!store.delete_tag(&name("a"), &tag("v1")).await.unwrap());
    assert_eq!(by_tag(&store, "a", "v1").await, None);
    assert!(by_digest(&store, "a", &digest).await.is_some());
    assert_eq!(tags(&store, "a", "", 9).await, Some(vec![]));
}

async fn a_deleted_manifest_takes_its_tags_and_no_others(store: AnyStore) {
    let digest = put(&store, "a", "m", &["v1", "v2"]).await;
    put(&store, "a", "other", &["v3"]).await;
    assert!(store.delete_manifest(&name("a"), &digest, None).await.unwrap());
    assert!(!store.delete_manifest(&name("a"), &digest, None).await.unwrap());
    assert_eq!(by_digest(&store, "a", &digest).await, None);
    assert_eq!(tags(&store, "a", "", 9).await.unwrap(), ["v3"]);
    put(&store, "a", "m", &["v1"]).await;
    assert!(by_digest(&store, "a", &digest).await.is_some());
}

async fn a_manifest_put_while_its_blob_is_deleted_is_there_or_is_not(store: AnyStore) {
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

async fn tags_are_listed_in_pages_by_the_order_of_their_bytes(store: AnyStore) {
    assert_eq!(tags(&store, "a", "", 9).await, None);
    put(&store, "a", "m", &["b", "a", "_x", "B", "1.0", "10", "2"]).await;
    let all = ["1.0", "10", "2", "B", "_x", "a", "b"];
    assert_eq!(tags(&store, "a", "", usize::MAX).await.unwrap(), all);
    assert_eq!(tags(&store, "a", "", 2).await.unwrap(), all[..2]);
    assert_eq!(tags(&store, "a", "10", 3).await.unwrap(), all[2..5]);
    assert_eq!(tags(&store, "a", "9 is no tag here", 9).await.unwrap(), all[3..]);
    assert_eq!(tags(&store, "a", "b", 9).await, Some(vec![]));
    assert_eq!(tags(&store, "a", "", 0).await, Some(vec![]));
}

async fn a_long_list_of_tags_is_right_while_tags_come_and_go(store: AnyStore) {
    let kept: Vec<String> = (0..300).map(|i| format!("kept-{i:03}")).collect();
    put(&store, "a", "m", &kept.iter().map(String::as_str).collect::<Vec<_>>()).await;
    assert_eq!(tags(&store, "a", "", 400).await.unwrap(), kept);
    let writers = (0..4).map(|writer| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            for i in 0..8 {
                let text = format!("came-{writer}-{i}");
                put(&store, "a", "m", &[&text]).await;
                assert!(tags(&store, "a", "", 100).await.unwrap().contains(&text), "a tag is listed once it is put");
                if i % 2 == 0 {
                    assert!(store.delete_tag(&name("a"), &tag(&text)).await.unwrap());
                    assert!(!tags(&store, "a", "", 100).await.unwrap().contains(&text), "nor when it is deleted");
                }
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    let came = (0..4).flat_map(|writer| [1, 3, 5, 7].map(|i| format!("came-{writer}-{i}")));
    assert_eq!(tags(&store, "a", "", 400).await.unwrap(), came.chain(kept).collect::<Vec<_>>());
}

async fn an_upload_alone_makes_no_repository(store: AnyStore) {
    store.begin_upload(&name("a"), Algorithm::Sha256).await.unwrap();
    assert_eq!(tags(&store, "a", "", 9).await, None);
    assert!(repositories(&store, "", 9).await.is_empty());
    push(&store, "a", b"x").await;
    assert_eq!(tags(&store, "a", "", 9).await, Some(vec![]));
    assert_eq!(repositories(&store, "", 9).await, ["a"]);
}

async fn repositories_are_listed_in_pages_by_the_order_of_their_bytes(store: AnyStore) {
    let all = ["a", "a-b", "a-b/c", "a/b", "a/b/c", "a0", "b"];
    for repository in all.iter().rev() {
        put(&store, repository, "m", &[]).await;
    }
    assert_eq!(repositories(&store, "", 99).await, all);
    assert_eq!(repositories(&store, "", 3).await, all[..3]);
    assert_eq!(repositories(&store, "a-b/c", 2).await, all[3..5]);
    assert_eq!(repositories(&store, "a/b", 99).await, all[4..]);
    assert!(repositories(&store, "b", 99).await.is_empty());
    assert!(repositories(&store, "", 0).await.is_empty());
}

async fn referrers_are_those_that_are_there(store: AnyStore) {
    let subject = sha256(b"not pushed");
    let mut digests = Vec::new();
    for content in ["signature", "bill of materials"] {
        let new = NewManifest { subject: Some(subject.clone()), ..manifest(content) };
        digests.push(new.digest.clone());
        store.put_manifest(&name("a"), new).await.unwrap();
    }
    digests.sort();
    assert_eq!(store.referrers(&name("a"), &subject).await.unwrap(), digests);
    assert!(store.referrers(&name("b"), &subject).await.unwrap().is_empty());
    store.delete_manifest(&name("a"), &digests[0], Some(&subject)).await.unwrap();
    assert_eq!(store.referrers(&name("a"), &subject).await.unwrap(), digests[1..]);
}
