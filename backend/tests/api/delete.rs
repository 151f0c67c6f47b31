use serde_json::json;

use crate::harness::{TestRegistry, sha256};

#[tokio::test]
async fn a_blob_is_gone_at_once_and_only_where_it_was_deleted() {
    let registry = TestRegistry::start().await;
    let digest = registry.push_blob("a", "x").await;
    registry.call("POST", &format!("/v2/b/blobs/uploads/?mount={digest}&from=a")).await.expect(201);
    let path = format!("/v2/a/blobs/{digest}");
    registry.call("DELETE", &path).await.expect(202);
    registry.get(&path).await.expect_error(404, "BLOB_UNKNOWN");
    registry.call("DELETE", &path).await.expect_error(404, "BLOB_UNKNOWN");
    registry.get(&format!("/v2/b/blobs/{digest}")).await.expect(200);
}

#[tokio::test]
async fn a_manifest_takes_its_tags_along_and_a_tag_leaves_its_manifest() {
    let registry = TestRegistry::start().await;
    let digest = registry.push_image("a", "v1", "layer").await;
    registry.push_image("a", "v2", "layer").await;
    registry.push_image("a", "other", "other").await;
    let by_digest = format!("/v2/a/manifests/{digest}");

    registry.call("DELETE", "/v2/a/manifests/v1").await.expect(202);
    registry.call("DELETE", "/v2/a/manifests/v1").await.expect_error(404, "MANIFEST_UNKNOWN");
    registry.get(&by_digest).await.expect(200);

    registry.call("DELETE", &by_digest).await.expect(202);
    registry.call("DELETE", &by_digest).await.expect_error(404, "MANIFEST_UNKNOWN");
    registry.get(&by_digest).await.expect(404);
    registry.get("/v2/a/manifests/v2").await.expect(404);
    assert_eq!(registry.get("/v2/a/tags/list").await.json()["tags"], json!(["other"]));
    registry.get(&format!("/v2/a/blobs/{}", sha256(b"layer"))).await.expect(200);
}

#[tokio::test]
async fn nothing_is_deleted_where_nothing_is() {
    let registry = TestRegistry::start().await;
    let nothing = sha256(b"nothing");
    registry.call("DELETE", &format!("/v2/none/blobs/{nothing}")).await.expect_error(404, "BLOB_UNKNOWN");
    registry.call("DELETE", &format!("/v2/none/manifests/{nothing}")).await.expect_error(404, "MANIFEST_UNKNOWN");
    registry.call("DELETE", "/v2/none/manifests/v1").await.expect_error(404, "MANIFEST_UNKNOWN");
    assert!(registry.files().is_empty());
}
