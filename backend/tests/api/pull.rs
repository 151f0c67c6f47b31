use crate::harness::{Answer, TestRegistry, content, sha256, sha512};

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
    let few = "the blob has only 600000 bytes";
    let table = [("bytes=600000-", few), ("bytes=-0", few), ("bytes=5-2", "a range ends before it begins")];
    for (range, why) in table {
        let answer = registry.call_with("GET", &path, &[("range", range)], "").await.expect_error(416, "RANGE_INVALID");
        assert_eq!(answer.header("content-range"), "bytes */600000");
        assert_eq!(answer.json()["errors"][0]["message"], why);
    }
    for range in ["bytes=0-1,x", "lines=1-2"] {
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

/// The parts of a `multipart/byteranges`: the headers of each, and its content.
fn parts(answer: &Answer) -> Vec<(String, Vec<u8>)> {
    let boundary = answer.header("content-type").strip_prefix("multipart/byteranges; boundary=").unwrap();
    let (body, delimiter) = (&answer.body[..], format!("\r\n--{boundary}"));
    let at: Vec<usize> = (0..body.len()).filter(|at| body[*at..].starts_with(delimiter.as_bytes())).collect();
    let pieces = at.windows(2).map(|ends| &body[ends[0] + delimiter.len()..ends[1]]);
    assert_eq!((at[0], &body[at[at.len() - 1] + delimiter.len()..]), (0, &b"--\r\n"[..]));
    let part = |piece: &[u8]| {
        let end = piece.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap();
        (String::from_utf8(piece[..end].to_vec()).unwrap(), piece[end + 4..].to_vec())
    };
    pieces.map(part).collect()
}

#[tokio::test]
async fn several_ranges_come_as_parts_in_the_order_asked_for_and_nothing_else_is_sent() {
    let registry = TestRegistry::start().await;
    let bytes = content(2_000_000);
    let digest = registry.push_blob("a", bytes.clone()).await;
    let path = format!("/v2/a/blobs/{digest}");
    let table = [
        ("bytes=0-9,1000-1009", vec![0..10, 1000..1010]),
        ("bytes=1500000-, 5-5 ,-1", vec![1_500_000..2_000_000, 5..6, 1_999_999..2_000_000]),
        ("bytes=0-299999,9999999-,200000-600000", vec![0..300_000, 200_000..600_001]),
    ];
    for (range, expected) in table {
        let answer = registry.call_with("GET", &path, &[("range", range)], "").await.expect(206);
        assert_eq!(answer.header("content-length"), answer.body.len().to_string());
        assert!(answer.headers.get("content-range").is_none(), "it stands in the parts");
        assert_eq!(answer.header("etag"), format!("\"{digest}\""));
        let parts = parts(&answer);
        assert_eq!(parts.len(), expected.len(), "{range}");
        for ((head, part), expected) in parts.into_iter().zip(expected) {
            let content_range = format!("Content-Range: bytes {}-{}/2000000", expected.start, expected.end - 1);
            assert_eq!(head, format!("\r\nContent-Type: application/octet-stream\r\n{content_range}"));
            assert!(part == bytes[expected], "{content_range}");
        }
    }
    let sent = registry.call_with("GET", &path, &[("range", "bytes=0-9,1000-1009")], "").await.body.len();
    assert!(sent < 1000, "{sent} bytes for 20");
}

#[tokio::test]
async fn ranges_that_ask_for_more_than_the_whole_or_for_too_many_get_the_whole_once() {
    let registry = TestRegistry::start().await;
    let bytes = content(5_000);
    let path = format!("/v2/a/blobs/{}", registry.push_blob("a", bytes.clone()).await);
    let twice = "bytes=0-,0-".to_owned();
    let many = |count: usize| format!("bytes={}", (0..count).map(|i| format!("{i}-{i}")).collect::<Vec<_>>().join(","));
    for range in [twice, many(1025)] {
        let answer = registry.call_with("GET", &path, &[("range", &range)], "").await.expect(200);
        assert!(answer.body == bytes);
    }
    let answer = registry.call_with("GET", &path, &[("range", &many(1024))], "").await.expect(206);
    assert_eq!(parts(&answer).len(), 1024, "as many as podman asks for");
    let answer = registry.call_with("GET", &path, &[("range", "bytes=5000-,6000-7000")], "").await;
    assert_eq!(answer.expect_error(416, "RANGE_INVALID").header("content-range"), "bytes */5000");
    let answer = registry.call_with("GET", &path, &[("range", "bytes=9000-,7-8")], "").await.expect(206);
    assert_eq!((answer.header("content-range"), &answer.body[..]), ("bytes 7-8/5000", &bytes[7..9]));
}

#[tokio::test]
async fn a_manifest_by_a_tag_that_cannot_exist_is_not_there_and_cannot_be_put() {
    let registry = TestRegistry::start().await;
    let path = "/v2/a/manifests/.INVALID_MANIFEST_NAME";
    registry.get(path).await.expect_error(404, "TAG_INVALID");
    registry.call("HEAD", path).await.expect(404);
    registry.call("PUT", path).await.expect_error(400, "TAG_INVALID");
}

#[tokio::test]
async fn a_digest_that_is_not_computed_here_is_refused_with_those_that_are() {
    let registry = TestRegistry::start().await;
    let md5 = "md5:d41d8cd98f00b204e9800998ecf8427e";
    for (method, path) in [
        ("GET", format!("/v2/a/blobs/{md5}")),
        ("DELETE", format!("/v2/a/blobs/{md5}")),
        ("GET", format!("/v2/a/manifests/{md5}")),
        ("PUT", format!("/v2/a/manifests/{md5}")),
        ("DELETE", format!("/v2/a/manifests/{md5}")),
        ("GET", format!("/v2/a/referrers/{md5}")),
        ("POST", format!("/v2/a/blobs/uploads/?digest={md5}")),
        ("POST", format!("/v2/a/blobs/uploads/?mount={md5}&from=b")),
        ("POST", "/v2/a/blobs/uploads/?digest-algorithm=blake3".to_owned()),
    ] {
        let answer = registry.call(method, &path).await.expect_error(400, "DIGEST_INVALID");
        assert!(answer.json()["errors"][0]["message"].as_str().unwrap().contains("sha256 or sha512"), "{answer:?}");
    }
}
