use crate::harness::{TestRegistry, content, sha256, sha512};

#[tokio::test]
async fn a_blob_is_served_with_its_length_and_digest() {
    let registry = TestRegistry::start().await;
    let bytes = content(1_000_003);
    let digest = registry.push_blob("team/app", bytes.clone()).await;
    let path = format!("/v2/team/app/blobs/{digest}");
    for method in ["GET", "HEAD"] {
        let answer = registry.call(method, &path).await.expect(200);
        assert_eq!(answer.header("content-length"), "1000003");
        assert_eq!(answer.header("docker-content-digest"), digest);
        assert_eq!(answer.header("etag"), format!("\"{digest}\""));
        assert_eq!(answer.header("accept-ranges"), "bytes");
        assert_eq!(answer.header("content-type"), "application/octet-stream");
        assert!(answer.body == if method == "GET" { &bytes[..] } else { b"" });
    }
}

#[tokio::test]
async fn an_empty_blob_is_a_blob() {
    let registry = TestRegistry::start().await;
    let path = format!("/v2/a/blobs/{}", registry.push_blob("a", "").await);
    let answer = registry.get(&path).await.expect(200);
    assert_eq!((answer.header("content-length"), answer.body.len()), ("0", 0));
    let answer = registry.call_with("GET", &path, &[("range", "bytes=0-")], "").await.expect(416);
    assert_eq!(answer.header("content-range"), "bytes */0");
}

#[tokio::test]
async fn what_is_not_there_is_404_with_the_code_of_its_kind() {
    let registry = TestRegistry::start().await;
    registry.push_image("a", "v1", "layer").await;
    let nothing = sha256(b"nothing");
    registry.get(&format!("/v2/a/blobs/{nothing}")).await.expect_error(404, "BLOB_UNKNOWN");
    registry.get(&format!("/v2/none/blobs/{nothing}")).await.expect_error(404, "BLOB_UNKNOWN");
    registry.get(&format!("/v2/b/blobs/{}", sha256(b"layer"))).await.expect_error(404, "BLOB_UNKNOWN");
    registry.get(&format!("/v2/a/manifests/{nothing}")).await.expect_error(404, "MANIFEST_UNKNOWN");
    registry.get("/v2/a/manifests/v2").await.expect_error(404, "MANIFEST_UNKNOWN");
    let answer = registry.call("HEAD", "/v2/a/manifests/v2").await.expect(404);
    assert!(answer.body.is_empty());
}

#[tokio::test]
async fn a_broken_pull_goes_on_with_a_range() {
    let registry = TestRegistry::start().await;
    let bytes = content(600_000);
    let path = format!("/v2/a/blobs/{}", registry.push_blob("a", bytes.clone()).await);
    let table = [
        ("bytes=0-0", 0..1),
        ("bytes=599999-", 599_999..600_000),
        ("bytes=-5", 599_995..600_000),
        ("bytes=100000-499999", 100_000..500_000),
        ("bytes=599990-700000", 599_990..600_000),
    ];
    for (range, expected) in table {
        let answer = registry.call_with("GET", &path, &[("range", range)], "").await.expect(206);
        let content_range = format!("bytes {}-{}/600000", expected.start, expected.end - 1);
        assert_eq!(answer.header("content-range"), content_range);
        assert_eq!(answer.header("content-length"), expected.len().to_string());
        assert!(answer.body == bytes[expected], "{range}");
    }
    for range in ["bytes=600000-", "bytes=-0", "bytes=5-2"] {
        let answer = registry.call_with("GET", &path, &[("range", range)], "").await.expect_error(416, "RANGE_INVALID");
        assert_eq!(answer.header("content-range"), "bytes */600000");
    }
    for range in ["bytes=0-1,5-6", "lines=1-2"] {
        let answer = registry.call_with("GET", &path, &[("range", range)], "").await.expect(200);
        assert_eq!(answer.body.len(), bytes.len(), "{range}");
    }
    registry.call_with("HEAD", &path, &[("range", "bytes=0-0")], "").await.expect(200);
}

#[tokio::test]
async fn a_client_that_has_the_content_is_not_sent_it_again() {
    let registry = TestRegistry::start().await;
    let manifest = registry.push_image("a", "v1", "layer").await;
    let layer = sha256(b"layer");
    for (path, digest) in [(format!("blobs/{layer}"), &layer), ("manifests/v1".to_owned(), &manifest)] {
        let path = format!("/v2/a/{path}");
        let etag = registry.get(&path).await.header("etag").to_owned();
        for known in [etag.as_str(), "*", &format!("\"x\", W/{etag}")] {
            for method in ["GET", "HEAD"] {
                let answer = registry.call_with(method, &path, &[("if-none-match", known)], "").await.expect(304);
                assert_eq!((answer.header("etag"), answer.body.len()), (etag.as_str(), 0));
                assert_eq!(answer.header("docker-content-digest"), *digest);
            }
        }
        registry.call_with("GET", &path, &[("if-none-match", "\"sha256:other\"")], "").await.expect(200);
    }
}

#[tokio::test]
async fn a_range_of_other_content_is_answered_with_the_whole() {
    let registry = TestRegistry::start().await;
    let digest = registry.push_blob("a", "0123456789").await;
    let path = format!("/v2/a/blobs/{digest}");
    let etag = format!("\"{digest}\"");
    let headers = |condition| [("range", "bytes=2-3"), ("if-range", condition)];
    assert_eq!(registry.call_with("GET", &path, &headers(&etag), "").await.expect(206).body, "23");
    for other in ["\"sha256:other\"", "Sat, 21 Nov 2026 02:30:48 GMT"] {
        assert_eq!(registry.call_with("GET", &path, &headers(other), "").await.expect(200).body, "0123456789");
    }
}

#[tokio::test]
async fn a_blob_pushed_by_sha512_is_pulled_by_it() {
    let registry = TestRegistry::start().await;
    let bytes = content(300_000);
    let digest = sha512(&bytes);
    let upload = registry.begin("a").await;
    let answer = registry.call_with("PUT", &format!("{upload}?digest={digest}"), &[], bytes.clone()).await.expect(201);
    assert_eq!(answer.header("docker-content-digest"), digest);
    let answer = registry.get(answer.header("location")).await.expect(200);
    assert_eq!(answer.header("docker-content-digest"), digest);
    assert!(answer.body == bytes);
}
