use lockgate_backend::store::NewManifest;
use lockgate_backend::{ObjectStore, Store as _};
use serde_json::{Value, json};

use crate::harness::{OCI_IMAGE, OCI_INDEX, Storage, TestRegistry, sha256, sha512};

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

/// Keeps artifacts that refer to `subject`, made of the fields that differ; their digests, sorted.
async fn keep(store: &ObjectStore, subject: &str, artifacts: impl Iterator<Item = Value>) -> Vec<String> {
    let mut digests = Vec::new();
    for mut artifact in artifacts {
        artifact["schemaVersion"] = json!(2);
        artifact["mediaType"] = json!(OCI_INDEX);
        artifact["subject"] = json!({ "mediaType": OCI_IMAGE, "digest": subject, "size": 1 });
        let content = artifact.to_string();
        digests.push(sha256(content.as_bytes()));
        let new = NewManifest {
            digest: sha256(content.as_bytes()).parse().unwrap(),
            content: content.into(),
            tags: Vec::new(),
            subject: Some(subject.parse().unwrap()),
            requires: Vec::new(),
            precondition: None,
            by: None,
        };
        store.put_manifest(&"a".parse().unwrap(), new).await.unwrap();
    }
    digests.sort();
    digests
}

/// What each page shows that a client sees which follows the links.
async fn pages(registry: &TestRegistry, subject: &str, query: &str) -> Vec<Vec<String>> {
    let (mut pages, mut next) = (Vec::new(), Some(format!("/v2/a/referrers/{subject}{query}")));
    while let Some(path) = next {
        let answer = registry.get(&path).await.expect(200);
        assert_eq!(answer.header("content-type"), OCI_INDEX);
        assert_eq!(answer.headers.contains_key("oci-filters-applied"), query.contains("artifactType"));
        let index = answer.json();
        assert_eq!((&index["schemaVersion"], &index["mediaType"]), (&json!(2), &json!(OCI_INDEX)));
        let listed = index["manifests"].as_array().unwrap().iter();
        pages.push(listed.map(|descriptor| descriptor["digest"].as_str().unwrap().to_owned()).collect());
        next = answer.headers.get("link").map(|link| {
            let link = link.to_str().unwrap();
            link.strip_prefix('<').unwrap().strip_suffix(">; rel=\"next\"").unwrap().to_owned()
        });
    }
    pages
}

fn lengths(pages: &[Vec<String>]) -> Vec<usize> {
    pages.iter().map(Vec::len).collect()
}

#[tokio::test]
async fn a_client_may_ask_for_pages_of_referrers() {
    let store = ObjectStore::in_memory();
    let registry = TestRegistry::start_over(Storage::Memory(store.clone())).await;
    let subject = sha256(b"subject");
    let types = ["x/even", "x/odd+y"];
    let all = keep(&store, &subject, (0..10).map(|i| json!({ "artifactType": types[i % 2], "i": i }))).await;
    for (query, expected) in [("?n=3", vec![3, 3, 3, 1]), ("?n=5", vec![5, 5]), ("?n=10", vec![10]), ("?n=0", vec![0])]
    {
        let pages = pages(&registry, &subject, query).await;
        assert_eq!(lengths(&pages), expected, "{query}");
        assert!(query == "?n=0" || pages.concat() == all, "{query}");
    }
    let last = format!("?last={}", all[6].replace(':', "%3A"));
    assert_eq!(pages(&registry, &subject, &last).await, [&all[7..]]);
    let odd = pages(&registry, &subject, "?artifactType=x/odd%2By&n=2").await;
    assert_eq!(odd.concat().len(), 5);
    assert!(odd.iter().all(|page| page.len() <= 2));
    registry.get(&format!("/v2/a/referrers/{subject}?n=x")).await.expect_error(400, "PAGINATION_NUMBER_INVALID");
}

#[tokio::test]
async fn a_page_of_referrers_has_an_end_however_many_there_are() {
    let store = ObjectStore::in_memory();
    let registry = TestRegistry::start_over(Storage::Memory(store.clone())).await;
    let subject = sha256(b"subject");
    let types = |i: usize| if i.is_multiple_of(4000) { "x/rare" } else { "x/common" };
    let all = keep(&store, &subject, (0..10_050).map(|i| json!({ "artifactType": types(i), "i": i }))).await;
    for query in ["", "?n=99999999"] {
        let pages = pages(&registry, &subject, query).await;
        assert_eq!(lengths(&pages), [10_000, 50], "{query}");
        assert!(pages.concat() == all);
    }
    let rare = pages(&registry, &subject, "?artifactType=x/rare").await;
    assert_eq!((rare.len(), rare.concat().len()), (2, 3), "what a filter leaves out is looked at, too");
    assert_eq!(pages(&registry, &subject, "?artifactType=x/none").await, [[""; 0], [""; 0]]);
    // What is under the fallback tag is merged in wherever it sorts, and once where the store knows it.
    let other = sha256(b"other");
    let more = keep(&store, &other, (0..3000).map(|i| json!({ "other": i }))).await;
    let listed: Vec<_> = all[..2000].iter().chain(&more).map(|digest| json!({ "digest": digest })).collect();
    let fallback = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": listed });
    registry.put_manifest("a", &subject.replace(':', "-"), &fallback).await.expect(201);
    let mut both = [&all[..], &more[..]].concat();
    both.sort();
    assert!(pages(&registry, &subject, "").await.concat() == both);
}

#[tokio::test]
async fn a_page_of_referrers_is_no_larger_than_what_clients_take_for_an_index() {
    let store = ObjectStore::in_memory();
    let registry = TestRegistry::start_over(Storage::Memory(store.clone())).await;
    let subject = sha256(b"subject");
    let sized = |bytes: usize| (0..5).map(move |i| json!({ "i": i, "annotations": { "fill": "x".repeat(bytes) } }));
    let all = keep(&store, &subject, sized(1_500_000)).await;
    let shown = pages(&registry, &subject, "").await;
    assert_eq!((lengths(&shown), shown.concat()), (vec![2, 2, 1], all));
    // One that is larger than a page has one of its own.
    let all = keep(&store, &sha256(b"huge"), sized(5_000_000)).await;
    let shown = pages(&registry, &sha256(b"huge"), "").await;
    assert_eq!((lengths(&shown), shown.concat()), (vec![1; 5], all));
}
