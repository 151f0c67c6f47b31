use lockgate_settings::SizeWithin;
use serde_json::{Value, json};

use crate::harness::{OCI_IMAGE, OCI_INDEX, TestRegistry, sha256, sha512};

fn push(image: &mut Value, layer: Value) {
    image["layers"].as_array_mut().unwrap().push(layer);
}

#[tokio::test]
async fn a_manifest_is_served_as_it_was_pushed() {
    let registry = TestRegistry::start().await;
    let image = registry.image_of("a", "layer").await;
    // Bytes that no serialiser would write again.
    let pushed = serde_json::to_string_pretty(&image).unwrap() + "\n\n";
    let headers = [("content-type", "application/vnd.oci.image.manifest.v1+json; charset=utf-8")];
    let answer = registry.call_with("PUT", "/v2/a/manifests/v1", &headers, pushed.clone()).await.expect(201);
    let digest = sha256(pushed.as_bytes());
    assert_eq!(answer.header("docker-content-digest"), digest);
    assert_eq!(answer.header("location"), format!("/v2/a/manifests/{digest}"));
    for reference in ["v1", &digest] {
        for method in ["GET", "HEAD"] {
            let answer = registry.call(method, &format!("/v2/a/manifests/{reference}")).await.expect(200);
            assert_eq!(answer.header("content-type"), OCI_IMAGE);
            assert_eq!(answer.header("content-length"), pushed.len().to_string());
            assert_eq!(answer.header("docker-content-digest"), digest);
            assert_eq!(answer.body, if method == "GET" { pushed.as_str() } else { "" });
        }
    }
}

#[tokio::test]
async fn a_manifest_pushed_by_digest_must_have_it() {
    let registry = TestRegistry::start().await;
    let image = registry.image_of("a", "layer").await;
    for digest in [sha256(image.to_string().as_bytes()), sha512(image.to_string().as_bytes())] {
        let answer = registry.put_manifest("a", &digest, &image).await.expect(201);
        assert_eq!(answer.header("docker-content-digest"), digest);
        let path = format!("/v2/a/manifests/{digest}");
        assert_eq!(registry.get(&path).await.expect(200).header("docker-content-digest"), digest);
    }
    registry.put_manifest("a", &sha256(b"other"), &image).await.expect_error(400, "DIGEST_INVALID");
    registry.get(&format!("/v2/a/manifests/{}", sha256(b"other"))).await.expect(404);
}

#[tokio::test]
async fn a_push_by_digest_may_set_many_tags() {
    let registry = TestRegistry::start().await;
    let image = registry.image_of("a", "layer").await;
    let digest = sha256(image.to_string().as_bytes());
    let tags: Vec<String> = (0..12).map(|i| format!("t{i:02}")).collect();
    let query: Vec<String> = tags.iter().map(|tag| format!("tag={tag}")).collect();
    let answer = registry.put_manifest("a", &format!("{digest}?{}", query.join("&")), &image).await.expect(201);
    let taken: Vec<_> = answer.headers.get_all("oci-tag").iter().map(|tag| tag.to_str().unwrap()).collect();
    assert_eq!(taken, tags);
    for tag in tags {
        assert_eq!(registry.get(&format!("/v2/a/manifests/{tag}")).await.header("docker-content-digest"), digest);
    }
    let bad = format!("{digest}?tag=.bad");
    registry.put_manifest("a", &bad, &image).await.expect_error(400, "TAG_INVALID");
}

#[tokio::test]
async fn as_many_tags_are_set_as_any_client_can_read_back_and_one_more_is_refused() {
    let registry = TestRegistry::start().await;
    let mut image = registry.image_of("a", "layer").await;
    image["subject"] = json!({ "mediaType": OCI_IMAGE, "digest": sha256(b"subject"), "size": 1 });
    let digest = sha512(image.to_string().as_bytes());
    let longest = |i: usize| format!("tag={i:0>128}");
    let query: Vec<String> = (0..51).map(longest).collect();
    let answer = registry.put_manifest("a", &format!("{digest}?{}", query.join("&")), &image).await;
    answer.expect_error(400, "TAG_INVALID");
    assert_eq!(registry.get("/v2/a/tags/list").await.expect(200).json()["tags"], json!([]));

    let answer = registry.put_manifest("a", &format!("{digest}?{}", query[..50].join("&")), &image).await.expect(201);
    assert_eq!(answer.headers.get_all("oci-tag").iter().count(), 50);
    let bytes: usize = answer.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    assert!(answer.headers.len() <= 90 && bytes < 8000, "{} headers of {bytes} bytes", answer.headers.len());
}

#[tokio::test]
async fn a_tag_moves_to_what_was_pushed_last() {
    let registry = TestRegistry::start().await;
    let first = registry.push_image("a", "v1", "one").await;
    let second = registry.push_image("a", "v1", "two").await;
    assert_eq!(registry.get("/v2/a/manifests/v1").await.header("docker-content-digest"), second);
    registry.get(&format!("/v2/a/manifests/{first}")).await.expect(200);
}

#[tokio::test]
async fn a_manifest_whose_content_is_missing_is_refused_with_its_names() {
    let registry = TestRegistry::start().await;
    let mut image = registry.image_of("a", "layer").await;
    let missing = sha256(b"not pushed");
    push(&mut image, json!({ "mediaType": "x", "digest": missing, "size": 1 }));
    let answer = registry.put_manifest("a", "v1", &image).await.expect_error(404, "MANIFEST_BLOB_UNKNOWN");
    assert_eq!(answer.json()["errors"][0]["detail"], json!([missing]));
    // It is in another repository only: that does not count either.
    let elsewhere = registry.image_of("b", "elsewhere").await;
    registry.put_manifest("a", "v1", &elsewhere).await.expect_error(404, "MANIFEST_BLOB_UNKNOWN");
    registry.get("/v2/a/manifests/v1").await.expect(404);
}

#[tokio::test]
async fn layers_that_are_fetched_from_elsewhere_need_not_be_pushed() {
    let registry = TestRegistry::start().await;
    let mut image = registry.image_of("a", "layer").await;
    let nondistributable = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip";
    push(&mut image, json!({ "mediaType": nondistributable, "digest": sha256(b"1"), "size": 1 }));
    push(&mut image, json!({ "mediaType": "x", "digest": sha256(b"2"), "size": 1, "urls": ["https://x/"] }));
    registry.put_manifest("a", "v1", &image).await.expect(201);
}

#[tokio::test]
async fn an_index_needs_its_manifests_unless_sparse_ones_are_accepted() {
    let child = sha256(b"of another platform");
    let index = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX,
        "manifests": [{ "mediaType": OCI_IMAGE, "digest": child, "size": 1 }] });
    let registry = TestRegistry::start().await;
    registry.put_manifest("a", "all", &index).await.expect_error(404, "MANIFEST_BLOB_UNKNOWN");
    let here = registry.push_image("a", "one", "layer").await;
    let mut whole = index.clone();
    whole["manifests"][0]["digest"] = here.into();
    registry.put_manifest("a", "all", &whole).await.expect(201);
    assert_eq!(registry.get("/v2/a/manifests/all").await.expect(200).header("content-type"), OCI_INDEX);

    let sparse = TestRegistry::start_with(|config| config.storage.sparse = true).await;
    sparse.put_manifest("a", "all", &index).await.expect(201);
}

#[tokio::test]
async fn four_mebibytes_are_a_manifest_and_one_byte_more_is_too_large() {
    let registry = TestRegistry::start().await;
    let mut image = registry.image_of("a", "layer").await;
    image["annotations"] = json!({ "fill": "" });
    let limit = 4 * 1024 * 1024;
    let fill = limit - image.to_string().len();
    image["annotations"]["fill"] = "x".repeat(fill).into();
    registry.put_manifest("a", "v1", &image).await.expect(201);
    assert_eq!(registry.get("/v2/a/manifests/v1").await.expect(200).body.len(), limit);
    image["annotations"]["fill"] = "x".repeat(fill + 1).into();
    registry.put_manifest("a", "v2", &image).await.expect_error(413, "SIZE_INVALID");

    let small = TestRegistry::start_with(|config| config.storage.manifest_size = SizeWithin::of(10)).await;
    small.call_with("PUT", "/v2/a/manifests/v1", &[], "{\"x\": \"more than ten\"}").await.expect(413);
}

#[tokio::test]
async fn what_is_no_manifest_is_refused() {
    let registry = TestRegistry::start().await;
    let put = async |content_type: &str, content: &str| {
        registry.call_with("PUT", "/v2/a/manifests/v1", &[("content-type", content_type)], content.to_owned()).await
    };
    for content in ["", "{", "[]", "null", "{}", "{\"schemaVersion\":2}"] {
        put(OCI_IMAGE, content).await.expect_error(400, "MANIFEST_INVALID");
    }
    let schema_1 = "{\"schemaVersion\":1,\"name\":\"a\",\"tag\":\"v1\",\"fsLayers\":[]}";
    let prettyjws = "application/vnd.docker.distribution.manifest.v1+prettyjws";
    let answer = put(prettyjws, schema_1).await.expect_error(400, "MANIFEST_INVALID");
    assert!(answer.json()["errors"][0]["message"].as_str().unwrap().contains("schema 1"));
}

#[tokio::test]
async fn a_manifest_that_a_browser_would_show_is_refused() {
    let registry = TestRegistry::start().await;
    let page = json!({ "mediaType": "text/html", "artifactType": "<script>alert(1)</script>" });
    registry.put_manifest("a", "v1", &page).await.expect_error(400, "MANIFEST_INVALID");
    registry.get("/v2/a/manifests/v1").await.expect(404);
}

#[tokio::test]
async fn docker_s_own_media_types_are_kept() {
    let registry = TestRegistry::start().await;
    let mut image = registry.image_of("a", "layer").await;
    let docker = "application/vnd.docker.distribution.manifest.v2+json";
    image["mediaType"] = docker.into();
    let child = registry.put_manifest("a", "v1", &image).await.expect(201).header("docker-content-digest").to_owned();
    assert_eq!(registry.get("/v2/a/manifests/v1").await.header("content-type"), docker);
    let list = "application/vnd.docker.distribution.manifest.list.v2+json";
    let index = json!({ "schemaVersion": 2, "mediaType": list, "manifests": [{ "digest": child, "size": 1 }] });
    registry.put_manifest("a", "all", &index).await.expect(201);
    assert_eq!(registry.get("/v2/a/manifests/all").await.header("content-type"), list);
}

#[tokio::test]
async fn a_manifest_that_was_spoiled_on_disk_fails_alone_and_is_healed_by_a_push() {
    let registry = TestRegistry::start().await;
    let digest = registry.push_image("a", "v1", "layer").await;
    registry.push_image("a", "v2", "other").await;
    let hex = digest.strip_prefix("sha256:").unwrap();
    let data = registry.path(&format!("blobs/sha256/{}/{hex}/data", &hex[..2]));
    std::fs::write(&data, "spoiled").unwrap();
    let answer = registry.get("/v2/a/manifests/v1").await.expect_error(500, "UNKNOWN");
    assert!(!String::from_utf8_lossy(&answer.body).contains("/blobs/"), "{answer:?}");
    registry.get("/v2/a/manifests/v2").await.expect(200);
    registry.push_image("a", "v1", "layer").await;
    registry.get("/v2/a/manifests/v1").await.expect(200);
    std::fs::write(&data, "spoiled").unwrap();
    registry.call("DELETE", &format!("/v2/a/manifests/{digest}")).await.expect(202);
    registry.get("/v2/a/manifests/v1").await.expect(404);
}
