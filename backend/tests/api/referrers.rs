use serde_json::{Value, json};

use crate::harness::{OCI_IMAGE, OCI_INDEX, TestRegistry, sha256, sha512};

async fn list(registry: &TestRegistry, subject: &str, query: &str) -> Value {
    let answer = registry.get(&format!("/v2/a/referrers/{subject}{query}")).await.expect(200);
    assert_eq!(answer.header("content-type"), OCI_INDEX);
    assert_eq!(answer.headers.contains_key("oci-filters-applied"), query.starts_with("?artifactType=x"));
    let index = answer.json();
    assert_eq!((&index["schemaVersion"], &index["mediaType"]), (&json!(2), &json!(OCI_INDEX)));
    index["manifests"].clone()
}

/// Pushes an artifact that refers to `subject`; the descriptor that it is to be listed with.
async fn attach(registry: &TestRegistry, subject: &str, fields: &[(&str, Value)]) -> Value {
    let mut artifact = registry.image_of("a", "artifact").await;
    artifact["subject"] = json!({ "mediaType": OCI_IMAGE, "digest": subject, "size": 1 });
    for (name, value) in fields {
        artifact[*name] = value.clone();
    }
    let digest = sha256(artifact.to_string().as_bytes());
    let answer = registry.put_manifest("a", &digest, &artifact).await.expect(201);
    assert_eq!(answer.header("oci-subject"), subject);
    json!({ "mediaType": OCI_IMAGE, "digest": digest, "size": artifact.to_string().len() })
}

#[tokio::test]
async fn any_digest_has_a_list_and_most_are_empty() {
    let registry = TestRegistry::start().await;
    for digest in [sha256(b"x"), sha512(b"x")] {
        assert_eq!(list(&registry, &digest, "").await, json!([]));
    }
}

#[tokio::test]
async fn referrers_are_listed_with_type_and_annotations_before_and_after_their_subject() {
    let registry = TestRegistry::start().await;
    let image = registry.image_of("a", "layer").await;
    let subject = sha256(image.to_string().as_bytes());
    let annotations = json!({ "org.example.key": "value" });
    let fields = [("artifactType", json!("x/signature")), ("annotations", annotations.clone())];
    let mut signature = attach(&registry, &subject, &fields).await;
    signature["artifactType"] = json!("x/signature");
    signature["annotations"] = annotations;
    let mut plain = attach(&registry, &subject, &[]).await;
    plain["artifactType"] = json!("application/vnd.oci.image.config.v1+json");

    let mut expected = vec![signature.clone(), plain];
    expected.sort_by_key(|descriptor| descriptor["digest"].to_string());
    assert_eq!(list(&registry, &subject, "").await, json!(expected));
    registry.put_manifest("a", &subject, &image).await.expect(201);
    assert_eq!(list(&registry, &subject, "").await, json!(expected));

    assert_eq!(list(&registry, &subject, "?artifactType=x%2Fsignature").await, json!([signature]));
    assert_eq!(list(&registry, &subject, "?artifactType=x/other").await, json!([]));
    assert_eq!(list(&registry, &sha256(b"other"), "").await, json!([]));
}

#[tokio::test]
async fn an_index_refers_too_and_has_a_type_only_when_it_says_so() {
    let registry = TestRegistry::start().await;
    let subject = sha256(b"subject");
    let index = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [],
        "subject": { "mediaType": OCI_IMAGE, "digest": subject, "size": 1 } });
    let answer = registry.put_manifest("a", "list", &index).await.expect(201);
    assert_eq!(answer.header("oci-subject"), subject);
    let listed = list(&registry, &subject, "").await;
    assert_eq!(listed[0]["mediaType"], OCI_INDEX);
    assert!(listed[0].get("artifactType").is_none());
}

#[tokio::test]
async fn a_deleted_referrer_is_not_listed() {
    let registry = TestRegistry::start().await;
    let subject = sha256(b"subject");
    let artifact = attach(&registry, &subject, &[]).await;
    let path = format!("/v2/a/manifests/{}", artifact["digest"].as_str().unwrap());
    registry.call("DELETE", &path).await.expect(202);
    assert_eq!(list(&registry, &subject, "").await, json!([]));
    assert!(!registry.path("repositories/a/_referrers/sha256").join(&subject[7..]).join("sha256").exists());
}

#[tokio::test]
async fn what_clients_listed_under_the_fallback_tag_is_listed_too() {
    let registry = TestRegistry::start().await;
    let subject = sha256(b"subject");
    // An artifact from the time when the registry was distribution, which kept no list.
    let artifact = attach(&registry, &subject, &[]).await;
    std::fs::remove_dir_all(registry.path("repositories/a/_referrers")).unwrap();
    assert_eq!(list(&registry, &subject, "").await, json!([]));

    let fallback = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [artifact] });
    registry.put_manifest("a", &subject.replace(':', "-"), &fallback).await.expect(201);
    let listed = list(&registry, &subject, "").await;
    assert_eq!(listed.as_array().unwrap().len(), 1);
    assert_eq!(listed[0]["digest"], artifact["digest"]);
}
