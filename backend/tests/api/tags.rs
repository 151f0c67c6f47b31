use serde_json::json;

use crate::harness::TestRegistry;

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
