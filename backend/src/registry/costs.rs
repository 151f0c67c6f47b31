//! What a push costs in requests to the store.

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use lockgate_oci::{Algorithm, Digest, RepositoryName};
use uuid::Uuid;

use super::ObjectStore;
use crate::hasher::digest_of;
use crate::objects::counted;
use crate::store::{Result, Store};

/// Begins an upload, and sends all of it, at nodes.
async fn sent(name: &RepositoryName, content: &'static [u8], begins: &dyn Store, adds: &dyn Store) -> Result<Uuid> {
    let id = begins.begin_upload(name, Algorithm::Sha256).await?;
    let mut upload = adds.resume_upload(name, id).await?;
    upload.append(Bytes::from_static(content)).await?;
    upload.suspend().await?;
    Ok(id)
}

async fn commit(name: &RepositoryName, id: Uuid, digest: &Digest, at: &dyn Store) -> Result<()> {
    at.take_upload_to_commit(name, id).await?.commit(digest).await
}

#[tokio::test]
async fn a_small_blob_costs_eight_requests_at_one_node_and_one_more_at_another() {
    let (nodes, requests) = counted().await;
    let [one, other] = nodes.map(|objects| ObjectStore::over(objects, 16 << 20, 2));
    let name = "a".parse().unwrap();
    // What is asked once for all is not of a blob.
    for (node, content) in [(&one, &b"first"[..]), (&other, b"first of another")] {
        let id = sent(&name, content, node, node).await.unwrap();
        commit(&name, id, &digest_of(Algorithm::Sha256, content), node).await.unwrap();
    }
    requests();
    let cost = |operation: &str, expected: &[&str]| {
        let requests = requests();
        let methods: Vec<&str> = requests.iter().filter_map(|request| request.split(' ').next()).collect();
        assert_eq!(methods, expected, "{operation}: {requests:?}");
    };
    let (digest, elsewhere) = (digest_of(Algorithm::Sha256, b"second"), digest_of(Algorithm::Sha256, b"third"));
    assert!(one.blob_if_there(&name, &digest).await.unwrap().is_none());
    cost("whether it is there", &["GET"]);
    let id = sent(&name, b"second", &one, &one).await.unwrap();
    cost("its session and its bytes", &["PUT", "GET", "PUT"]);
    commit(&name, id, &digest, &one).await.unwrap();
    cost("the link, the collector's list, the bytes, the session", &["PUT", "GET", "PUT", "PUT"]);
    assert!(one.blob_if_there(&name, &digest).await.unwrap().is_some());
    cost("whether it is there, and it is", &["GET", "GET"]);
    let id = sent(&name, b"third", &one, &other).await.unwrap();
    cost("its session and its bytes at another node", &["PUT", "GET", "PUT"]);
    commit(&name, id, &elsewhere, &one).await.unwrap();
    cost("the same, where the session must be read", &["GET", "PUT", "GET", "PUT", "PUT"]);
}

#[tokio::test]
async fn what_follows_the_parts_of_a_blob_is_copied_once_as_they_are() {
    let ([objects, _], requests) = counted().await;
    let store = ObjectStore::over(objects, 5 << 20, 2);
    let (name, content) = ("a".parse().unwrap(), vec![7; 6 << 20].leak());
    let digest = digest_of(Algorithm::Sha256, content);
    let id = sent(&name, content, &store, &store).await.unwrap();
    requests();
    commit(&name, id, &digest, &store).await.unwrap();
    let requests = requests();
    let key = |request: &&String| !request.contains("/.lockgate/names/");
    let methods: Vec<&str> = requests.iter().filter(key).filter_map(|request| request.split(' ').next()).collect();
    // The session; the collector's list, which this node does not know yet, the link, the list, the parts; then what these
    // and the tail become; the session, and both go.
    let expected = ["PUT", "GET", "PUT", "GET", "POST", "POST", "PUT", "PUT", "POST", "PUT", "DELETE", "DELETE"];
    assert_eq!(methods, expected, "{requests:?}");
    let blob = store.blob(&name, &digest).await.unwrap().expect("it is there");
    let bytes: Vec<Bytes> = blob.read(0..content.len() as u64).try_collect().await.unwrap();
    assert!(bytes.concat() == *content, "it has other bytes");
}
