//! How much repositories may have.

use lockgate_backend::config::Config;
use lockgate_settings::Configuration as _;
use std::path::Path;

use crate::harness::{Answer, OCI_IMAGE, RawEnd, TestRegistry, content, sha256};
use crate::push::chunked;

/// A registry whose `team/**` may have so many bytes.
async fn with_quota(bytes: u64) -> TestRegistry {
    let text = format!(
        "storage.trash_age = '0s'\ncollect.interval = '0s'\n[[quota]]\nrepositories = 'team/**'\nbytes = {bytes}\n"
    );
    let read = Config::parse(&text, Path::new("backend.toml"), []).unwrap();
    TestRegistry::start_with(|config| *config = read).await
}

async fn push(registry: &TestRegistry, repository: &str, bytes: &[u8]) -> Answer {
    let url = registry.begin(repository).await;
    registry.call_with("PUT", &format!("{url}?digest={}", sha256(bytes)), &[], bytes.to_vec()).await
}

#[track_caller]
fn is_refused(answer: Answer, more: impl std::fmt::Display, taken: usize) {
    let answer = answer.expect_error(403, "DENIED");
    let message = answer.json()["errors"][0]["message"].to_string();
    let numbers =
        format!("{more} bytes more do not fit: of the 1000 bytes that [\\\"team/**\\\"] may have together, {taken}");
    assert!(message.contains(&numbers) && message.contains("lockgate-backend trash empty"), "{message}");
}

#[tokio::test]
async fn an_upload_that_does_not_fit_is_refused_before_its_body_with_both_numbers() {
    let registry = with_quota(1000).await;
    push(&registry, "team/a", &content(600)).await.expect(201);
    // A head without its body: the answer does not wait for it.
    let url = registry.begin("team/b").await;
    let head = format!("PATCH {url} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 401\r\n\r\n");
    let answer = registry.raw(head.as_bytes(), RawEnd::Close).await;
    assert!(answer.starts_with("HTTP/1.1 403 ") && answer.contains("of the 1000 bytes"), "{answer}");
    registry.get(&url).await.expect_error(404, "BLOB_UPLOAD_UNKNOWN");
    is_refused(push(&registry, "team/b", &content(401)).await, 401, 600);
    push(&registry, "team/b", &content(400)).await.expect(201);
    is_refused(registry.call("POST", "/v2/team/c/blobs/uploads/").await, "any", 1000);
    push(&registry, "other", &content(2000)).await.expect(201);
}

#[tokio::test]
async fn an_upload_whose_length_nobody_said_is_refused_at_its_end() {
    let registry = with_quota(1000).await;
    let url = registry.begin("team/a").await;
    let bytes = content(1001);
    for half in bytes.chunks(600) {
        registry.send(chunked("PATCH", &url, half, 100)).await.expect(202);
    }
    is_refused(registry.call("PUT", &format!("{url}?digest={}", sha256(&bytes))).await, 1001, 0);
    registry.get(&url).await.expect_error(404, "BLOB_UPLOAD_UNKNOWN");
}

#[tokio::test]
async fn what_is_there_already_takes_nothing_and_what_is_mounted_takes_its_size() {
    let registry = with_quota(1000).await;
    let (layer, rest) = (content(600), content(400));
    push(&registry, "team/a", &layer).await.expect(201);
    push(&registry, "other", &layer).await.expect(201);
    let mount = |from: &str| format!("/v2/team/b/blobs/uploads/?mount={}&from={from}", sha256(&layer));
    for from in ["team/a", "other"] {
        is_refused(registry.call("POST", &mount(from)).await, 600, 600);
    }
    let again = format!("/v2/team/a/blobs/uploads/?mount={}&from=other", sha256(&layer));
    registry.call("POST", &again).await.expect(201);
    push(&registry, "team/a", &rest[..100]).await.expect(201);
    // 300 bytes are left for a manifest.
    let config = format!(r#"{{"mediaType":"x/y","digest":"{}","size":600}}"#, sha256(&layer));
    let manifest = format!(r#"{{"schemaVersion":2,"mediaType":"{OCI_IMAGE}","config":{config},"layers":[]}}"#);
    let put = |tag: &'static str| {
        registry.call_with("PUT", tag, &[("content-type", OCI_IMAGE)], manifest.clone().into_bytes())
    };
    for tag in ["/v2/team/a/manifests/v1", "/v2/team/a/manifests/v2"] {
        put(tag).await.expect(201);
    }
    is_refused(put("/v2/team/b/manifests/v1").await, manifest.len(), 700 + manifest.len());
    let usage = registry.get("/v2/team/a/_lockgate/usage").await.expect(200).json();
    assert_eq!(usage["quotas"][0]["taken"], 700 + manifest.len());
    assert_eq!((&usage["name"], &usage["quotas"][0]["bytes"]), (&"team/a".into(), &1000.into()));
}

#[tokio::test]
async fn who_asks_how_much_a_repository_takes_is_told_what_was_pushed_since_it_was_counted() {
    let registry = TestRegistry::start().await;
    registry.get("/v2/a/_lockgate/usage").await.expect_error(404, "NAME_UNKNOWN");
    push(&registry, "a", &content(600)).await.expect(201);
    let usage = registry.get("/v2/a/_lockgate/usage").await.expect(200).json();
    let expected = serde_json::json!({"name": "a", "own": 0, "shared": 0, "pushed": 600, "quotas": []});
    assert_eq!(usage, expected);
}
