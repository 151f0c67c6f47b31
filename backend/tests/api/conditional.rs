use crate::harness::{OCI_IMAGE, TestRegistry, sha256};

/// A repository with two images, of which `v1` is the first and `v2` the second.
async fn two_images() -> (TestRegistry, [(String, String); 2]) {
    let registry = TestRegistry::start().await;
    let mut images = Vec::new();
    for tag in ["v1", "v2"] {
        let manifest = registry.image_of("a", tag).await;
        let digest =
            registry.put_manifest("a", tag, &manifest).await.expect(201).header("docker-content-digest").to_owned();
        images.push((digest, manifest.to_string()));
    }
    (registry, images.try_into().unwrap())
}

async fn put(registry: &TestRegistry, reference: &str, manifest: &str, condition: (&str, &str)) -> u16 {
    let path = format!("/v2/a/manifests/{reference}");
    let headers = [("content-type", OCI_IMAGE), condition];
    let answer = registry.call_with("PUT", &path, &headers, manifest.to_owned()).await;
    if answer.status == 412 {
        assert_eq!(answer.error(), "PRECONDITION_FAILED");
    }
    answer.status.as_u16()
}

async fn current(registry: &TestRegistry, tag: &str) -> String {
    let answer = registry.call("HEAD", &format!("/v2/a/manifests/{tag}")).await.expect(200);
    answer.header("docker-content-digest").to_owned()
}

#[tokio::test]
async fn a_tag_is_put_only_where_it_is_new() {
    let (registry, [(one, first), (_, second)]) = two_images().await;
    assert_eq!(put(&registry, "v1", &second, ("if-none-match", "*")).await, 412);
    assert_eq!(current(&registry, "v1").await, one);
    assert_eq!(put(&registry, "new", &first, ("if-none-match", "*")).await, 201);
    registry.call("DELETE", "/v2/a/manifests/new").await.expect(202);
    assert_eq!(put(&registry, "new", &second, ("if-none-match", "*")).await, 201, "it is new again");
}

#[tokio::test]
async fn a_tag_is_moved_only_from_the_state_that_the_client_knows() {
    let (registry, [(one, first), (two, second)]) = two_images().await;
    for known in [format!("\"{two}\""), format!("W/\"{one}\""), "\"\"".to_owned(), "nonsense".to_owned()] {
        assert_eq!(put(&registry, "v1", &second, ("if-match", &known)).await, 412, "{known}");
        assert_eq!(current(&registry, "v1").await, one);
    }
    assert_eq!(put(&registry, "v1", &second, ("if-match", &format!("\"x\", \"{one}\""))).await, 201);
    assert_eq!(current(&registry, "v1").await, two);
    assert_eq!(put(&registry, "v1", &first, ("if-none-match", &format!("\"{two}\""))).await, 412);
    assert_eq!(put(&registry, "v1", &first, ("if-match", "*")).await, 201);
    assert_eq!(put(&registry, "none", &first, ("if-match", "*")).await, 412);
    registry.get("/v2/a/manifests/none").await.expect_error(404, "MANIFEST_UNKNOWN");
}

#[tokio::test]
async fn a_manifest_is_put_by_digest_only_where_it_is_as_expected() {
    let (registry, [(one, first), (two, _)]) = two_images().await;
    assert_eq!(put(&registry, &format!("{one}?tag=v3"), &first, ("if-none-match", "*")).await, 412);
    registry.get("/v2/a/manifests/v3").await.expect_error(404, "MANIFEST_UNKNOWN");
    assert_eq!(put(&registry, &format!("{one}?tag=v3"), &first, ("if-match", &format!("\"{one}\""))).await, 201);
    registry.call("DELETE", &format!("/v2/a/manifests/{two}")).await.expect(202);
    registry.call_with("DELETE", &format!("/v2/a/manifests/{two}"), &[("if-match", "*")], "").await.expect(404);
}

#[tokio::test]
async fn what_has_changed_is_not_deleted() {
    let (registry, [(one, _), (two, _)]) = two_images().await;
    let delete = async |path: &str, condition: (&str, &str)| {
        registry.call_with("DELETE", &format!("/v2/a/{path}"), &[condition], "").await.status.as_u16()
    };
    let [known, moved] = [&two, &one].map(|digest| format!("\"{digest}\""));
    assert_eq!(delete("manifests/v2", ("if-match", &moved)).await, 412);
    assert_eq!(delete(&format!("manifests/{two}"), ("if-match", &moved)).await, 412);
    assert_eq!(delete(&format!("manifests/{two}"), ("if-none-match", "*")).await, 412);
    assert_eq!(current(&registry, "v2").await, two);
    assert_eq!(delete("manifests/v2", ("if-match", &known)).await, 202);
    assert_eq!(delete("manifests/v2", ("if-match", &known)).await, 404, "what is not there is not changed, either");
    assert_eq!(delete(&format!("manifests/{two}"), ("if-match", &known)).await, 202);
    let layer = sha256(b"v2");
    assert_eq!(delete(&format!("blobs/{layer}"), ("if-match", &moved)).await, 412);
    assert_eq!(delete(&format!("blobs/{layer}"), ("if-match", &format!("\"{layer}\""))).await, 202);
    assert_eq!(delete(&format!("blobs/{layer}"), ("if-match", &moved)).await, 404);
}

#[tokio::test]
async fn what_is_not_the_content_asked_for_is_not_sent() {
    let (registry, [(one, _), _]) = two_images().await;
    let layer = sha256(b"v1");
    for (path, digest) in [(format!("/v2/a/blobs/{layer}"), &layer), ("/v2/a/manifests/v1".to_owned(), &one)] {
        let own = format!("\"{digest}\"");
        for method in ["GET", "HEAD"] {
            let call = async |headers: &[(&str, &str)]| registry.call_with(method, &path, headers, "").await;
            call(&[("if-match", "\"x\"")]).await.expect(412);
            call(&[("if-match", &format!("W/{own}"))]).await.expect(412);
            call(&[("if-match", "\"x\""), ("if-none-match", &own)]).await.expect(412);
            for known in [&own, "*", digest] {
                call(&[("if-match", known)]).await.expect(200);
                call(&[("if-match", known), ("if-none-match", &own)]).await.expect(304);
            }
        }
    }
    let path = format!("/v2/a/blobs/{layer}");
    registry.call_with("GET", &path, &[("if-match", "\"x\""), ("range", "bytes=0-0")], "").await.expect(412);
    registry.call_with("GET", &format!("/v2/b/blobs/{layer}"), &[("if-match", "*")], "").await.expect(404);
}
