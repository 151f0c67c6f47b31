//! A site that runs moves to a bucket, and back.

use lockgate_e2e::{
    Backend, Bucket, DockerRegistry, PATIENCE, Pattern, PlainApi, Process, Signal, digest_of, eventually, finish,
    fresh_dir, image_of,
};
use serde_json::Value;
use std::collections::BTreeMap;

const REPOSITORIES: [&str; 4] = ["team", "team-2/other.app", "team/app", "team/app/deep"];

/// Each repository has an image of its own, whose layers take a while, and one of a layer that all of them have.
fn push(url: &str) -> BTreeMap<String, Vec<u8>> {
    let mut api = PlainApi::at(url);
    let mut pushed = BTreeMap::new();
    for (number, repository) in (0..).zip(REPOSITORIES) {
        let layers = [Pattern::new(number, 5_300_000), Pattern::new(10 + number, 12_000_000)].map(Pattern::bytes);
        let digests = layers.each_ref().map(|layer| digest_of(layer));
        for (layer, digest) in layers.into_iter().zip(&digests) {
            api.push_blob(repository, &layer).expect("it answers").expect(201);
            pushed.insert(format!("/v2/{repository}/blobs/{digest}"), layer);
        }
        let image = image_of(&digests);
        api.put_manifest(repository, "v1", &image).expect("it answers").expect(201);
        pushed.insert(format!("/v2/{repository}/manifests/v1"), image.to_string().into_bytes());
        let untagged = api.push_image(repository, "latest", b"a layer of all");
        let moved = image_of(&digests[..1]);
        api.put_manifest(repository, "latest", &moved).expect("it answers").expect(201);
        pushed.insert(format!("/v2/{repository}/manifests/latest"), moved.to_string().into_bytes());
        let old = image_of(&[digest_of(b"a layer of all")]).to_string().into_bytes();
        pushed.insert(format!("/v2/{repository}/manifests/{untagged}"), old);
    }
    pushed
}

#[track_caller]
fn serves(url: &str, pushed: &BTreeMap<String, Vec<u8>>) {
    let mut api = PlainApi::at(url);
    for (path, content) in pushed {
        let pulled = api.call("GET", path).expect("it answers").expect(200);
        assert!(pulled.body == *content, "{path}: other bytes, {} of {}", pulled.body.len(), content.len());
    }
}

/// Pulls each tag that there is, and looks for all of its layers. How many tags there are.
fn whole_tags(url: &str) -> usize {
    let mut api = PlainApi::at(url);
    let mut get = |path: &str| api.call("GET", path).expect("it answers").expect(200).json();
    let mut tags = Vec::new();
    for name in texts(&get("/v2/_catalog")["repositories"]) {
        let listed = get(&format!("/v2/{name}/tags/list"));
        tags.extend(texts(&listed["tags"]).map(|tag| format!("/v2/{name}/manifests/{tag}")));
    }
    for tag in &tags {
        let manifest = get(tag);
        let (repository, _) = tag.split_once("/manifests/").expect("it was written so");
        for layer in manifest["layers"].as_array().expect("it has layers") {
            let digest = layer["digest"].as_str().expect("it has a digest");
            PlainApi::at(url).call("HEAD", &format!("{repository}/blobs/{digest}")).expect("it answers").expect(200);
        }
    }
    tags.len()
}

fn texts(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().map(|text| text.as_str().expect("a text"))
}

#[test]
fn a_site_that_serves_is_copied_by_a_run_that_is_killed_and_another_that_goes_on_and_back() {
    let (bucket, dir, back) = (Bucket::fresh(), fresh_dir(), fresh_dir());
    let source = Backend::over(dir.path());
    let mut pushed = push(source.url());

    let mut slow = bucket.copying(dir.path().display(), bucket.url());
    let mut killed = Process::start(slow.args(["--at-once", "1"]).env("LOCKGATE_BACKEND_S3_PART_SIZE", "5MiB"));
    eventually(PATIENCE, "two blobs in the bucket", || {
        (bucket.keys("docker/registry/v2/blobs/").len() >= 2).then_some(())
    });
    killed.signal(Signal::Kill);
    killed.wait(PATIENCE);
    let node = Backend::on(&bucket);
    let tags = whole_tags(node.url());
    assert!(tags < 2 * REPOSITORIES.len(), "it was not in the middle: {tags}");
    serves(source.url(), &pushed);

    let copy = || finish(&mut bucket.copying(dir.path().display(), bucket.url())).success();
    let copied = copy();
    let there = copied.stdout.split("; ").nth(1).and_then(|there| there.split(' ').next()?.parse::<u32>().ok());
    assert!(copied.stdout.starts_with("copied ") && there.is_some_and(|there| there >= 2), "{}", copied.output());
    assert!(copied.stderr.contains("looking at what there is"), "{}", copied.stderr);
    assert_eq!(whole_tags(node.url()), 2 * REPOSITORIES.len());
    serves(node.url(), &pushed);
    let again = copy();
    assert!(again.stdout.starts_with("nothing new in 4 repositories"), "{}", again.output());

    let newer = b"pushed meanwhile";
    PlainApi::at(source.url()).push_image("team", "v1", newer);
    pushed.insert("/v2/team/manifests/v1".to_owned(), image_of(&[digest_of(newer)]).to_string().into_bytes());
    pushed.insert(format!("/v2/team/blobs/{}", digest_of(newer)), newer.to_vec());
    copy();
    serves(node.url(), &pushed);

    let data = back.path().join("data");
    finish(&mut bucket.copying(bucket.url(), data.display())).success();
    let registry = DockerRegistry::over(&data);
    serves(registry.url(), &pushed);
    assert_eq!(whole_tags(registry.url()), 2 * REPOSITORIES.len());
}

#[test]
fn a_directory_that_is_served_is_not_copied_to() {
    let (bucket, dir) = (Bucket::fresh(), fresh_dir());
    let (node, serving) = (Backend::on(&bucket), Backend::over(dir.path()));
    PlainApi::at(node.url()).push_image("team/app", "v1", b"layer");
    let refused = finish(&mut bucket.copying(bucket.url(), dir.path().display())).failure();
    assert!(refused.stderr.contains("another process serves this data directory: stop it first"), "{refused}");
    PlainApi::at(serving.url()).call("GET", "/v2/team/app/manifests/v1").unwrap().expect(404);
}
