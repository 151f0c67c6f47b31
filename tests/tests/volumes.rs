//! Promise: the volume of the `registry:2` people run is ours to open, and ours is theirs: engines are swapped in place.

use lockgate_e2e::{Api, Backend, DockerRegistry, Door, Gate, ImageLayout, Pattern, Skopeo, fresh_dir, sha256};

/// What is in the registry before the engines are swapped.
struct Contents {
    layer: Vec<u8>,
    digest: String,
    list: String,
}

fn fill(door: &Door) -> Contents {
    let api = Api::at(door);
    let layer = Pattern::new(1, 3_000_000).bytes();
    let digest = api.push_image("team/app", "v1", &layer);
    api.push_image("team/app", "v2", b"another layer");
    let dir = fresh_dir();
    let image = ImageLayout::new(dir.path(), 9, 50_000);
    Skopeo::at(door).push(&image.transport(), "other/app:latest").success();
    let list = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": INDEX,
        "manifests": [{
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": digest,
            "size": api.manifest("team/app", "v1").body.len(),
            "platform": {"os": "linux", "architecture": "amd64"},
        }],
    });
    let put = api.request("PUT", "/v2/team/app/manifests/multi").body_of_type(INDEX, list.to_string());
    let list = put.run().expect(201);
    Contents { layer, digest, list: list.head().one("docker-content-digest").to_owned() }
}

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

fn find(door: &Door, contents: &Contents) {
    let api = Api::at(door);
    let get = |path: &str| api.request("GET", path).header(&format!("Accept: {INDEX}")).run();
    assert_eq!(get("/v2/_catalog").expect(200).json()["repositories"], serde_json::json!(["other/app", "team/app"]));
    let tags = get("/v2/team/app/tags/list").expect(200).json();
    // Distribution gives them in no order.
    let mut tags: Vec<&str> = tags["tags"].as_array().into_iter().flatten().filter_map(|tag| tag.as_str()).collect();
    tags.sort_unstable();
    assert_eq!(tags, ["multi", "v1", "v2"]);
    let manifest = api.manifest("team/app", "v1").expect(200);
    assert_eq!(manifest.head().one("docker-content-digest"), contents.digest);
    assert_eq!(manifest.head().one("content-type"), "application/vnd.oci.image.manifest.v1+json");
    assert_eq!(sha256(manifest.body.as_slice()), contents.digest);
    let list = get("/v2/team/app/manifests/multi").expect(200);
    assert_eq!(list.head().one("content-type"), INDEX);
    assert_eq!(sha256(list.body.as_slice()), contents.list);
    let layer = api.blob("team/app", &sha256(contents.layer.as_slice())).expect(200);
    assert!(layer.body == contents.layer);
    let dir = fresh_dir();
    Skopeo::at(door).pull("other/app:latest", &format!("oci:{}", dir.path().join("pulled").display())).success();
}

/// Changes what is there: pushes on top, moves a tag, deletes.
fn change(door: &Door, contents: &Contents) {
    let api = Api::at(door);
    let moved = api.push_image("team/app", "v2", &contents.layer);
    assert_eq!(moved, contents.digest, "the same image under another tag");
    let gone = api.push_image("team/gone", "v1", b"to be deleted");
    api.request("DELETE", &format!("/v2/team/gone/manifests/{gone}")).run().expect(202);
    api.push_image("team/new", "v1", b"made by the second engine");
}

fn find_changes(door: &Door, contents: &Contents) {
    let api = Api::at(door);
    assert_eq!(api.manifest("team/app", "v2").expect(200).head().one("docker-content-digest"), contents.digest);
    assert_eq!(api.manifest("team/gone", "v1").status(), 404);
    assert_eq!(api.manifest("team/new", "v1").expect(200).status(), 200);
}

#[test]
fn the_backend_opens_what_distribution_wrote_and_distribution_what_the_backend_changed() {
    let data = fresh_dir();
    let registry = DockerRegistry::over(data.path());
    let gate = Gate::before(registry.url()).start();
    let contents = fill(gate.door());
    registry.stop();
    let backend = Backend::over(data.path());
    let gate = Gate::before(backend.url()).start();
    find(gate.door(), &contents);
    change(gate.door(), &contents);
    find_changes(gate.door(), &contents);
    backend.stop();
    let registry = DockerRegistry::over(data.path());
    find_changes(Gate::before(registry.url()).start().door(), &contents);
}

#[test]
fn distribution_opens_what_the_backend_wrote_and_the_backend_what_distribution_changed() {
    let data = fresh_dir();
    let backend = Backend::over(data.path());
    let gate = Gate::before(backend.url()).start();
    let contents = fill(gate.door());
    backend.stop();
    let registry = DockerRegistry::over(data.path());
    let gate = Gate::before(registry.url()).start();
    find(gate.door(), &contents);
    change(gate.door(), &contents);
    find_changes(gate.door(), &contents);
    registry.stop();
    let backend = Backend::over(data.path());
    find_changes(Gate::before(backend.url()).start().door(), &contents);
}
