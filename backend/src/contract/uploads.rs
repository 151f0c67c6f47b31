//! What every store keeps to about upload sessions.

use bytes::Bytes;
use lockgate_oci::{Algorithm, RepositoryName};
use uuid::Uuid;

use super::{AnyStore, long_content, name, read, sha256};
use crate::hasher::digest_of;
use crate::store::{StoreError, Upload};

pub(super) async fn content_with_another_digest_never_becomes_a_blob(store: AnyStore) {
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

pub(super) async fn a_session_may_be_finished_in_an_algorithm_that_it_was_not_begun_with(store: AnyStore) {
    let (repository, content) = (name("a"), long_content());
    let digest = digest_of(Algorithm::Sha512, &content);
    let id = store.begin_upload(&repository, Algorithm::Sha256).await.unwrap();
    let mut upload = store.resume_upload(&repository, id).await.unwrap();
    upload.append(content.clone().into()).await.unwrap();
    upload.commit(&digest).await.unwrap();
    assert!(read(&store, "a", &digest).await.unwrap() == content);
    assert_eq!(read(&store, "a", &sha256(&content)).await, None);
}

pub(super) async fn an_upload_goes_on_where_it_was_left(store: AnyStore) {
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

pub(super) async fn an_upload_in_many_small_requests_is_what_was_sent(store: AnyStore) {
    let (repository, content) = (name("a"), long_content().repeat(5));
    let id = store.begin_upload(&repository, Algorithm::Sha256).await.unwrap();
    for piece in content.chunks(70_001) {
        let mut upload = store.resume_upload(&repository, id).await.unwrap();
        upload.append(Bytes::copy_from_slice(piece)).await.unwrap();
        upload.suspend().await.unwrap();
    }
    let upload = store.resume_upload(&repository, id).await.unwrap();
    upload.commit(&sha256(&content)).await.unwrap();
    assert!(read(&store, "a", &sha256(&content)).await.unwrap() == content);
}

pub(super) async fn what_was_appended_is_kept_when_an_upload_is_dropped_between_two_writes(store: AnyStore) {
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

async fn until_free(store: &AnyStore, repository: &RepositoryName, id: Uuid) -> Box<dyn Upload> {
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

pub(super) async fn one_session_has_one_writer(store: AnyStore) {
    let repository = name("a");
    let id = store.begin_upload(&repository, Algorithm::Sha256).await.unwrap();
    let upload = store.resume_upload(&repository, id).await.unwrap();
    assert!(matches!(store.resume_upload(&repository, id).await, Err(StoreError::UploadBusy)));
    assert!(matches!(store.cancel_upload(&repository, id).await, Err(StoreError::UploadBusy)));
    upload.suspend().await.unwrap();
    store.resume_upload(&repository, id).await.unwrap();
}

pub(super) async fn a_cancelled_session_is_gone(store: AnyStore) {
    let repository = name("a");
    let id = store.begin_upload(&repository, Algorithm::Sha256).await.unwrap();
    store.cancel_upload(&repository, id).await.unwrap();
    assert!(matches!(store.cancel_upload(&repository, id).await, Err(StoreError::UploadUnknown)));
    assert!(matches!(store.resume_upload(&repository, id).await, Err(StoreError::UploadUnknown)));
    assert!(matches!(store.upload_size(&repository, id).await, Err(StoreError::UploadUnknown)));
}

pub(super) async fn a_session_is_unknown_in_another_repository(store: AnyStore) {
    let id = store.begin_upload(&name("a"), Algorithm::Sha256).await.unwrap();
    let other = name("b");
    assert!(matches!(store.resume_upload(&other, id).await, Err(StoreError::UploadUnknown)));
    assert!(matches!(store.upload_size(&other, id).await, Err(StoreError::UploadUnknown)));
    assert!(matches!(store.cancel_upload(&other, id).await, Err(StoreError::UploadUnknown)));
    assert_eq!(store.upload_size(&name("a"), id).await.unwrap(), 0);
}

pub(super) async fn a_whole_upload_that_was_cut_off_may_be_sent_again(store: AnyStore) {
    let (repository, content) = (name("a"), long_content());
    for (algorithm, cuts) in [(Algorithm::Sha256, &[1][..]), (Algorithm::Sha512, &[0, 300_000, 600_001])] {
        let digest = digest_of(algorithm, &content);
        let id = store.begin_upload(&repository, Algorithm::Sha256).await.unwrap();
        for cut in cuts {
            let mut upload = store.resume_upload(&repository, id).await.unwrap();
            upload.append(Bytes::copy_from_slice(&content[..*cut])).await.unwrap();
            upload.suspend().await.unwrap();
        }
        let mut upload = store.resume_upload(&repository, id).await.unwrap();
        upload.append(content.clone().into()).await.unwrap();
        upload.commit(&digest).await.unwrap();
        assert!(read(&store, "a", &digest).await.unwrap() == content);
        assert!(matches!(store.upload_size(&repository, id).await, Err(StoreError::UploadUnknown)));
    }
}

pub(super) async fn nothing_sent_again_makes_no_blob_of_a_wrong_session(store: AnyStore) {
    let (repository, nothing) = (name("a"), sha256(b""));
    let id = store.begin_upload(&repository, Algorithm::Sha256).await.unwrap();
    let mut upload = store.resume_upload(&repository, id).await.unwrap();
    upload.append(Bytes::from_static(b"something")).await.unwrap();
    upload.suspend().await.unwrap();
    let upload = store.resume_upload(&repository, id).await.unwrap();
    let error = upload.commit(&nothing).await.unwrap_err();
    assert!(matches!(error, StoreError::DigestMismatch(found) if found == sha256(b"something")));
    assert_eq!(read(&store, "a", &nothing).await, None);
}
