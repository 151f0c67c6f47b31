use lockgate_backend::ObjectStore;
use serde_json::json;

use crate::harness::{Storage, TestRegistry};

async fn with_tags(tags: &[&str]) -> TestRegistry {
    let registry = TestRegistry::start().await;
    for tag in tags {
        registry.push_image("team/app", tag, "layer").await;
    }
    registry
}

#[tokio::test]
async fn tags_are_listed_in_lexical_order() {
    let registry = with_tags(&["b", "1.10", "a", "B", "1.9"]).await;
    let answer = registry.get("/v2/team/app/tags/list").await.expect(200);
    assert_eq!(answer.json(), json!({ "name": "team/app", "tags": ["1.10", "1.9", "B", "a", "b"] }));
    assert!(!answer.headers.contains_key("link"));
    assert_eq!(answer.header("content-type"), "application/json");
}

#[tokio::test]
async fn a_client_that_follows_the_links_sees_every_tag_once() {
    let all = ["a", "b", "c", "d", "e"];
    let registry = with_tags(&all).await;
    for n in 1..=6 {
        let mut seen = Vec::new();
        let mut path = format!("/v2/team/app/tags/list?n={n}");
        loop {
            let answer = registry.get(&path).await.expect(200);
            let tags: Vec<String> = serde_json::from_value(answer.json()["tags"].clone()).unwrap();
            assert!(tags.len() <= n);
            seen.extend(tags);
            let Some(link) = answer.headers.get("link") else { break };
            let link = link.to_str().unwrap().strip_prefix('<').unwrap().strip_suffix(">; rel=\"next\"").unwrap();
            path = link.to_owned();
        }
        assert_eq!(seen, all, "n={n}");
    }
}

#[tokio::test]
async fn last_is_exclusive_and_need_not_be_a_tag() {
    let registry = with_tags(&["a", "b", "c"]).await;
    for (query, tags) in [("last=a", vec!["b", "c"]), ("last=aa&n=1", vec!["b"]), ("last=c", vec![]), ("n=0", vec![])] {
        let answer = registry.get(&format!("/v2/team/app/tags/list?{query}")).await.expect(200);
        assert_eq!(answer.json()["tags"], json!(tags), "{query}");
        assert_eq!(answer.headers.contains_key("link"), query == "last=aa&n=1");
    }
}

#[tokio::test]
async fn a_page_s_size_is_a_number_however_large() {
    let registry = with_tags(&["a"]).await;
    for n in ["-1", "x", "", "1e3"] {
        let path = format!("/v2/team/app/tags/list?n={n}");
        registry.get(&path).await.expect_error(400, "PAGINATION_NUMBER_INVALID");
    }
    let answer = registry.get("/v2/team/app/tags/list?n=99999999999999999999999").await.expect(200);
    assert_eq!(answer.json()["tags"], json!(["a"]));
}

#[tokio::test]
async fn a_repository_that_does_not_exist_has_no_list() {
    let registry = with_tags(&["a"]).await;
    registry.get("/v2/team/tags/list").await.expect_error(404, "NAME_UNKNOWN");
    registry.get("/v2/other/tags/list").await.expect_error(404, "NAME_UNKNOWN");
}

/// A registry with so many tags; what is listed of them, sorted.
async fn with_many_tags(count: usize) -> (TestRegistry, Vec<String>) {
    let registry = TestRegistry::start_over(Storage::Memory(ObjectStore::in_memory())).await;
    let tags: Vec<String> = (0..count).map(|i| format!("v{i:05}")).collect();
    let digest = registry.push_image("team/app", &tags[0], "layer").await;
    let image = registry.get(&format!("/v2/team/app/manifests/{digest}")).await.expect(200).json();
    for some in tags.chunks(50) {
        let reference = format!("{digest}?tag={}", some.join("&tag="));
        registry.put_manifest("team/app", &reference, &image).await.expect(201);
    }
    (registry, tags)
}

#[tokio::test]
async fn a_list_that_fits_has_a_length_and_a_longer_one_is_streamed_whole() {
    for (count, is_streamed) in [(999, false), (1000, true), (2000, true), (2345, true)] {
        let (registry, tags) = with_many_tags(count).await;
        let answer = registry.get("/v2/team/app/tags/list").await.expect(200);
        assert_eq!(answer.json(), json!({ "name": "team/app", "tags": tags }), "{count}");
        assert_eq!(answer.headers.contains_key("content-length"), !is_streamed, "{count}");
        assert!(!answer.headers.contains_key("link"));
        assert_eq!(answer.header("content-type"), "application/json");
        let answer = registry.get("/v2/team/app/tags/list?last=v00003").await.expect(200);
        assert_eq!(answer.json()["tags"], json!(tags[4..]), "{count}");
        assert!(registry.call("HEAD", "/v2/team/app/tags/list").await.expect(200).body.is_empty());
    }
}

#[tokio::test]
async fn a_page_has_an_end_and_a_link_however_many_are_asked_for() {
    let (registry, tags) = with_many_tags(10_001).await;
    let answer = registry.get("/v2/team/app/tags/list?n=99999999").await.expect(200);
    assert_eq!(answer.json()["tags"], json!(tags[..10_000]));
    assert_eq!(answer.header("link"), "</v2/team/app/tags/list?last=v09999&n=10000>; rel=\"next\"");
    let answer = registry.get("/v2/team/app/tags/list?last=v09999&n=10000").await.expect(200);
    assert_eq!(answer.json()["tags"], json!(tags[10_000..]));
}
