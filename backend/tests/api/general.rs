use http::Request;
use http_body_util::Full;

use crate::harness::{ON_EVERY_ANSWER, RawEnd, TestRegistry, sha256};

#[tokio::test]
async fn the_base_says_that_this_is_a_registry() {
    let registry = TestRegistry::start().await;
    for path in ["/v2/", "/v2"] {
        let answer = registry.get(path).await.expect(200);
        assert_eq!(answer.body, "{}");
        assert!(registry.call("HEAD", path).await.expect(200).body.is_empty());
    }
}

#[tokio::test]
async fn a_path_that_is_no_end_point_is_refused_in_the_registry_s_language() {
    let registry = TestRegistry::start().await;
    let long_name = format!("/v2/{}/manifests/x", "a".repeat(256));
    let upper_case_digest = format!("/v2/a/blobs/sha256:{}", "A".repeat(64));
    let short_sha512 = format!("/v2/a/blobs/sha512:{}", "a".repeat(64));
    let table = [
        ("/", 404, "UNSUPPORTED"),
        ("/v1/", 404, "UNSUPPORTED"),
        ("/v2/x", 404, "UNSUPPORTED"),
        ("/v2/_oci/ext/discover", 404, "UNSUPPORTED"),
        ("/v2/A/manifests/x", 400, "NAME_INVALID"),
        ("/v2/../../etc/manifests/x", 400, "NAME_INVALID"),
        ("/v2/a/_uploads/manifests/x", 400, "NAME_INVALID"),
        ("/v2/a%2fb/manifests/x", 400, "NAME_INVALID"),
        (&long_name, 400, "NAME_INVALID"),
        ("/v2/a/manifests/..", 404, "TAG_INVALID"),
        ("/v2/a/manifests/sha256:x", 400, "DIGEST_INVALID"),
        ("/v2/a/blobs/sha256:../../../../etc/passwd", 404, "UNSUPPORTED"),
        ("/v2/a/blobs/x", 400, "DIGEST_INVALID"),
        (&upper_case_digest, 400, "DIGEST_INVALID"),
        (&short_sha512, 400, "DIGEST_INVALID"),
        ("/v2/a/referrers/x", 400, "DIGEST_INVALID"),
    ];
    for (path, status, code) in table {
        let answer = registry.get(path).await;
        assert_eq!((answer.status.as_u16(), answer.error().as_str()), (status, code), "{path}");
    }
    assert!(registry.files().is_empty());
}

#[tokio::test]
async fn a_wrong_method_is_told_the_right_ones() {
    let registry = TestRegistry::start().await;
    let blob = format!("/v2/a/blobs/{}", sha256(b""));
    let referrers = format!("/v2/a/referrers/{}", sha256(b""));
    let table = [
        ("POST", "/v2/", "GET, HEAD"),
        ("DELETE", "/v2/_catalog", "GET, HEAD"),
        ("PUT", "/v2/a/tags/list", "GET, HEAD"),
        ("POST", "/v2/a/manifests/x", "GET, HEAD, PUT, DELETE"),
        ("PUT", &blob, "GET, HEAD, DELETE"),
        ("GET", "/v2/a/blobs/uploads/", "POST"),
        ("POST", "/v2/a/blobs/uploads/x", "GET, HEAD, PATCH, PUT, DELETE"),
        ("PATCH", &referrers, "GET, HEAD"),
        ("OPTIONS", "/v2/", "GET, HEAD"),
    ];
    for (method, path, allow) in table {
        let answer = registry.call(method, path).await.expect_error(405, "UNSUPPORTED");
        assert_eq!(answer.header("allow"), allow, "{method} {path}");
    }
}

#[tokio::test]
async fn where_deleting_is_switched_off_it_is_no_method() {
    let registry = TestRegistry::start_with(|config| config.storage.delete = false).await;
    let digest = registry.push_image("a", "v1", "layer").await;
    for path in [format!("manifests/{digest}"), "manifests/v1".into(), format!("blobs/{}", sha256(b"layer"))] {
        let path = format!("/v2/a/{path}");
        let answer = registry.call("DELETE", &path).await.expect_error(405, "UNSUPPORTED");
        assert!(!answer.header("allow").contains("DELETE"));
        registry.call("HEAD", &path).await.expect(200);
    }
    // An upload is still the client's own to give up.
    let upload = registry.begin("a").await;
    registry.call("DELETE", &upload).await.expect(204);
}

#[tokio::test]
async fn a_refused_upload_with_its_body_in_flight_gets_to_read_why() {
    let registry = TestRegistry::start().await;
    let path = "/v2/a/blobs/uploads/4fe1a6d5-9d0a-4d5e-8f0e-3c0d5d1f0b6a";
    for connection in ["close", "keep-alive"] {
        let request = Request::builder().method("PATCH").uri(path).header("connection", connection);
        let request = request.body(Full::from(vec![0; 5_000_000])).unwrap();
        registry.send(request).await.expect_error(404, "BLOB_UPLOAD_UNKNOWN");
    }
}

#[tokio::test]
async fn a_connection_is_kept_after_a_refusal_with_a_body() {
    let registry = TestRegistry::start().await;
    let requests = "PUT /v2/ HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello\
                    GET /v2/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let answers = registry.raw(requests.as_bytes(), RawEnd::Close).await;
    assert!(answers.contains("\r\nDocker-Distribution-Api-Version: registry/2.0\r\n"), "in this case: {answers}");
    assert!(answers.starts_with("HTTP/1.1 405 ") && answers.contains("HTTP/1.1 200 OK"), "{answers}");
}

/// A refusal of a request that no handler saw, as the bytes of a connection that it ends.
fn check_refusal(answer: &str, status: &str) {
    assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{status}: {answer}");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let head = head.to_lowercase();
    let own = [
        "content-type: application/json; charset=utf-8".to_owned(),
        "connection: close".to_owned(),
        format!("content-length: {}", body.len()),
    ];
    for field in ON_EVERY_ANSWER.map(|(name, value)| format!("{name}: {value}")).into_iter().chain(own) {
        assert!(head.lines().any(|line| line == field), "{field}: {answer}");
    }
    let errors: serde_json::Value = serde_json::from_str(body).unwrap();
    assert!(!errors["errors"][0]["message"].as_str().unwrap().is_empty(), "{answer}");
}

#[tokio::test]
async fn what_cannot_be_parsed_is_refused_in_the_registry_s_language() {
    let registry = TestRegistry::start().await;
    let many_fields = format!("GET /v2/ HTTP/1.1\r\nHost: x\r\n{}\r\n", "A: b\r\n".repeat(200));
    let long_field = format!("GET /v2/ HTTP/1.1\r\nHost: x\r\nA: {}\r\n\r\n", "b".repeat(300_000));
    let long_target = format!("GET /v2/{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(66_000));
    let table = [
        ("rubbish\r\n\r\n", "400 "),
        ("GET /v2/ HTTP/1.1\r\nHost x\r\n\r\n", "400 "),
        ("GET /v2/ HTTP/3.9\r\nHost: x\r\n\r\n", "400 "),
        ("G@T /v2/ HTTP/1.1\r\nHost: x\r\n\r\n", "400 "),
        ("PUT /v2/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1x\r\n\r\n", "400 "),
        ("PUT /v2/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", "400 "),
        (&many_fields, "431 "),
        (&long_field, "431 "),
        (&long_target, "4"),
    ];
    for (request, status) in table {
        check_refusal(&registry.raw(request.as_bytes(), RawEnd::Close).await, status);
    }
}

#[tokio::test]
async fn what_cannot_be_parsed_after_answered_requests_is_refused_so_too() {
    let registry = TestRegistry::start().await;
    let digest = registry.push_blob("a", "layer").await;
    let requests = format!(
        "GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n\
         HEAD /v2/a/blobs/{digest} HTTP/1.1\r\nHost: x\r\n\r\n\
         GET /v2/a/blobs/{digest} HTTP/1.1\r\nHost: x\r\n\r\n\
         rubbish\r\n\r\n"
    );
    let answers = registry.raw(requests.as_bytes(), RawEnd::Close).await;
    let last = answers.rfind("HTTP/1.1 ").unwrap();
    check_refusal(&answers[last..], "400 ");
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 3, "{answers}");
    assert!(answers[..last].ends_with("layer"), "{answers}");
}

#[tokio::test]
async fn a_blob_that_looks_like_a_refusal_is_pulled_as_it_is() {
    let registry = TestRegistry::start().await;
    let content = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".repeat(5000);
    let digest = registry.push_blob("a", content.clone()).await;
    assert!(registry.get(&format!("/v2/a/blobs/{digest}")).await.expect(200).body == content);
}
