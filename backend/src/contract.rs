//! What every store keeps to, told once and run over each.

mod blobs;
mod listings;
mod manifests;
mod uploads;

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt as _;
use lockgate_oci::{Algorithm, Digest, Reference, RepositoryName, Tag};

use crate::hasher::digest_of;
use crate::objects::MemoryObjects;
use crate::registry::ObjectStore;
use crate::store::{NewManifest, Store};

/// Runs each promise over each store: one line a store.
macro_rules! contract {
    ($($subject:ident: $($promise:ident)*;)*) => {
        mod disk {
            $($(#[tokio::test]
            async fn $promise() {
                let directory = tempfile::tempdir().unwrap();
                let store = super::ObjectStore::in_directory(directory.path()).unwrap();
                super::$subject::$promise(super::Arc::new(store)).await;
            })*)*
        }
        mod memory {
            $($(#[tokio::test]
            async fn $promise() {
                super::$subject::$promise(super::Arc::new(super::ObjectStore::in_memory())).await;
            })*)*
        }
        /// A store that keeps no conditions, with one process over it.
        mod one_node {
            $($(#[tokio::test]
            async fn $promise() {
                let objects = super::Arc::new(super::MemoryObjects::forgetting(crate::objects::Forgotten::Create));
                let store = super::ObjectStore::alone_over(objects, 100_000, 2).await.unwrap();
                super::$subject::$promise(super::Arc::new(store)).await;
            })*)*
        }
        #[cfg(feature = "s3")]
        mod bucket {
            $($(#[tokio::test(flavor = "multi_thread")]
            async fn $promise() {
                let objects = crate::objects::in_a_bucket().await;
                super::$subject::$promise(super::Arc::new(super::ObjectStore::over(objects, 5 << 20, 2))).await;
            })*)*
        }
        /// What is one blob elsewhere are many parts here.
        mod small_parts {
            $($(#[tokio::test]
            async fn $promise() {
                let objects = super::Arc::new(super::MemoryObjects::default());
                super::$subject::$promise(super::Arc::new(super::ObjectStore::over(objects, 100_000, 2))).await;
            })*)*
        }
    };
}

contract! {
    blobs:
        a_committed_blob_is_read_back_byte_for_byte
        a_blob_belongs_to_its_repository_only
        a_mounted_blob_outlives_the_one_it_was_mounted_from
        a_deleted_blob_is_gone_at_once_and_can_be_pushed_again
        a_blob_opened_before_it_was_deleted_is_read_to_its_end
        many_push_one_blob_at_once;
    uploads:
        content_with_another_digest_never_becomes_a_blob
        a_session_may_be_finished_in_an_algorithm_that_it_was_not_begun_with
        an_upload_goes_on_where_it_was_left
        a_whole_upload_that_was_cut_off_may_be_sent_again
        nothing_sent_again_makes_no_blob_of_a_wrong_session
        an_upload_in_many_small_requests_is_what_was_sent
        what_was_appended_is_kept_when_an_upload_is_dropped_between_two_writes
        one_session_has_one_writer
        a_cancelled_session_is_gone
        a_session_is_unknown_in_another_repository;
    manifests:
        a_manifest_is_found_by_digest_and_by_tag
        a_manifest_that_lacks_something_is_not_kept_in_any_part
        an_index_may_have_a_blob_for_a_child
        a_tag_moves_and_its_old_manifest_stays
        a_deleted_tag_leaves_its_manifest
        a_deleted_manifest_takes_its_tags_and_no_others
        a_precondition_is_about_what_is_there_at_the_write
        what_is_missing_is_told_before_a_precondition
        of_many_who_want_a_tag_to_be_new_one_wins
        of_many_who_move_a_tag_from_one_state_one_wins
        a_tag_is_deleted_only_as_what_it_is_expected_to_be
        a_manifest_put_while_its_blob_is_deleted_is_there_or_is_not;
    listings:
        tags_are_listed_in_pages_by_the_order_of_their_bytes
        a_long_list_of_tags_is_right_while_tags_come_and_go
        an_upload_alone_makes_no_repository
        repositories_are_listed_in_pages_by_the_order_of_their_bytes
        referrers_are_those_that_are_there
        referrers_are_listed_in_pages_by_the_order_of_their_bytes
        everything_is_listed_for_who_copies_it;
}

pub(crate) type AnyStore = Arc<dyn Store>;

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

pub(crate) async fn read(store: &AnyStore, repository: &str, digest: &Digest) -> Option<Vec<u8>> {
    let blob = store.blob(&name(repository), digest).await.unwrap()?;
    let size = blob.size();
    let pieces: Vec<io::Result<Bytes>> = blob.read(0..size).collect().await;
    let content = pieces.into_iter().collect::<io::Result<Vec<Bytes>>>().unwrap().concat();
    assert_eq!(content.len() as u64, size);
    Some(content)
}

fn manifest(content: &str) -> NewManifest {
    let content = Bytes::copy_from_slice(content.as_bytes());
    NewManifest {
        digest: sha256(&content),
        content,
        tags: Vec::new(),
        subject: None,
        requires: Vec::new(),
        precondition: None,
        by: None,
    }
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

async fn referrers(store: &AnyStore, repository: &str, subject: &Digest, after: &str, limit: usize) -> Vec<Digest> {
    store.referrers(&name(repository), subject, after, limit).await.unwrap()
}

/// Content longer than any buffer, and no two of its pieces alike.
fn long_content() -> Vec<u8> {
    (0..700_001_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}
