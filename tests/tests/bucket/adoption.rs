//! A bucket goes from docker-registry to us and back, and nobody notices.

use lockgate_e2e::{Backend, Bucket, DockerRegistry, Pattern, PlainApi, digest_of, image_of};
use serde_json::{Value, json};

const REPOSITORY: &str = "team/app";
const BLOBS: usize = 3;
const NONE: [&str; 0] = [];

/// Blobs of a few bytes, of more than a part of ours, and of more than one of distribution's.
fn blobs() -> [Vec<u8>; BLOBS] {
    [Pattern::new(1, 1000), Pattern::new(2, 5_300_000), Pattern::new(3, 12_000_000)].map(Pattern::bytes)
}

fn image() -> Value {
    image_of(&blobs().map(|blob| digest_of(&blob)))
}

/// Another image of the same repository.
fn second() -> Value {
    image_of(&[digest_of(&blobs()[0])])
}

fn digest_of_manifest(manifest: &Value) -> String {
    digest_of(manifest.to_string().as_bytes())
}

fn manifest(reference: &str) -> String {
    format!("/v2/{REPOSITORY}/manifests/{reference}")
}

fn push(url: &str) {
    let mut api = PlainApi::at(url);
    for blob in blobs() {
        api.push_blob(REPOSITORY, &blob).expect("it answers").expect(201);
    }
    for (tag, manifest) in [("v1", image()), ("v1-rc", image()), ("v2", second())] {
        api.put_manifest(REPOSITORY, tag, &manifest).expect("it answers").expect(201);
    }
    api.push_image("team-2/other.app", "latest", b"of another");
    api.push_image("team", "latest", b"of a third");
}

fn serves_all(url: &str) {
    let mut api = PlainApi::at(url);
    let names = api.call("GET", "/v2/_catalog").expect("it answers").expect(200).json()["repositories"].clone();
    assert_eq!(sorted(&names), ["team", "team-2/other.app", REPOSITORY]);
    let tags =
        api.call("GET", &format!("/v2/{REPOSITORY}/tags/list")).expect("it answers").expect(200).json()["tags"].clone();
    assert_eq!(sorted(&tags), ["v1", "v1-rc", "v2"]);
    for reference in ["v1", "v1-rc", &digest_of_manifest(&image())] {
        let pulled = api.call("GET", &manifest(reference)).expect("it answers").expect(200);
        assert_eq!(pulled.body, image().to_string().into_bytes(), "{reference}");
        assert_eq!(pulled.head.one("docker-content-digest"), digest_of_manifest(&image()));
    }
    for blob in blobs() {
        let pulled =
            api.call("GET", &format!("/v2/{REPOSITORY}/blobs/{}", digest_of(&blob))).expect("it answers").expect(200);
        assert!(pulled.body == blob, "other bytes, {} of {}", pulled.body.len(), blob.len());
    }
}

fn sorted(list: &Value) -> Vec<&str> {
    let mut list: Vec<&str> =
        list.as_array().expect("a list").iter().map(|item| item.as_str().expect("a text")).collect();
    list.sort_unstable();
    list
}

#[test]
fn what_docker_registry_pushed_is_served_from_its_bucket() {
    let bucket = Bucket::fresh();
    let registry = DockerRegistry::on(&bucket);
    push(registry.url());
    registry.stop();
    let nodes = [Backend::on(&bucket), Backend::on(&bucket)];
    nodes.iter().for_each(|node| serves_all(node.url()));
}

#[test]
fn what_was_pushed_here_is_served_by_docker_registry() {
    let bucket = Bucket::fresh();
    let node = Backend::configured_on(&bucket, "s3.part_size = '5MiB'");
    push(node.url());
    node.stop();
    serves_all(DockerRegistry::on(&bucket).url());
}

#[test]
fn what_is_moved_and_deleted_here_is_so_for_docker_registry_and_the_other_way_round() {
    let bucket = Bucket::fresh();
    let (registry, node) = (DockerRegistry::on(&bucket), Backend::on(&bucket));
    push(registry.url());
    let (mut theirs, mut ours) = (PlainApi::at(registry.url()), PlainApi::at(node.url()));
    ours.put_manifest(REPOSITORY, "v2", &image()).unwrap().expect(201);
    assert_eq!(theirs.call("GET", &manifest("v2")).unwrap().expect(200).json(), image());
    theirs.put_manifest(REPOSITORY, "v1", &second()).unwrap().expect(201);
    assert_eq!(ours.call("GET", &manifest("v1")).unwrap().expect(200).json(), second());

    ours.call("DELETE", &manifest("v1-rc")).unwrap().expect(202);
    theirs.call("GET", &manifest("v1-rc")).unwrap().expect(404);
    // It lists directories, and SeaweedFS shows an empty one for a while.
    assert_eq!(bucket.keys(&format!("docker/registry/v2/repositories/{REPOSITORY}/_manifests/tags/v1-rc")), NONE);
    ours.call("DELETE", &manifest(&digest_of_manifest(&image()))).unwrap().expect(202);
    for reference in ["v2", &digest_of_manifest(&image())] {
        theirs.call("GET", &manifest(reference)).unwrap().expect(404);
    }
    let layer = format!("/v2/{REPOSITORY}/blobs/{}", digest_of(&blobs()[2]));
    theirs.call("HEAD", &layer).unwrap().expect(200);
    ours.call("DELETE", &layer).unwrap().expect(202);
    theirs.call("HEAD", &layer).unwrap().expect(404);

    theirs.call("DELETE", &manifest(&digest_of_manifest(&second()))).unwrap().expect(202);
    ours.call("GET", &manifest("v1")).unwrap().expect(404);
    let tags = ours.call("GET", &format!("/v2/{REPOSITORY}/tags/list")).unwrap().expect(200).json();
    assert_eq!(tags["tags"], json!([]));
}
