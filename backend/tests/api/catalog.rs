use serde_json::json;

use crate::harness::TestRegistry;

#[tokio::test]
async fn every_repository_is_listed_in_pages() {
    let registry = TestRegistry::start().await;
    assert_eq!(registry.get("/v2/_catalog").await.expect(200).json(), json!({ "repositories": [] }));
    for repository in ["team/app", "team-x", "team", "a/b/c"] {
        registry.push_image(repository, "v1", "layer").await;
    }
    registry.begin("only-an-upload").await;
    let answer = registry.get("/v2/_catalog").await.expect(200);
    assert_eq!(answer.json(), json!({ "repositories": ["a/b/c", "team", "team-x", "team/app"] }));

    let answer = registry.get("/v2/_catalog?n=1").await.expect(200);
    assert_eq!(answer.json()["repositories"], json!(["a/b/c"]));
    assert_eq!(answer.header("link"), "</v2/_catalog?last=a%2Fb%2Fc&n=1>; rel=\"next\"");
    let answer = registry.get("/v2/_catalog?last=a%2Fb%2Fc&n=3").await.expect(200);
    assert_eq!(answer.json()["repositories"], json!(["team", "team-x", "team/app"]));
    assert!(!answer.headers.contains_key("link"));
}

#[tokio::test]
async fn an_absurd_page_costs_nothing() {
    let registry = TestRegistry::start().await;
    registry.push_image("a", "v1", "layer").await;
    let answer = registry.get("/v2/_catalog?n=18446744073709551615").await.expect(200);
    assert_eq!(answer.json()["repositories"], json!(["a"]));
    registry.get("/v2/_catalog?n=-1").await.expect_error(400, "PAGINATION_NUMBER_INVALID");
    assert_eq!(registry.get("/v2/_catalog?n=0").await.expect(200).json()["repositories"], json!([]));
}
