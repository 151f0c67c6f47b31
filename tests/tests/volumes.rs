//! Promise: the volume of the `registry:2` people run is ours to open, and ours is theirs: engines are swapped in place.

use lockgate_e2e::{
    Api, Backend, DockerRegistry, Door, Gate, IMAGE, ImageLayout, PATIENCE, Pattern, PlainApi, RequestBody, Signal,
    Skopeo, digest_of, finish, fresh_dir, image_of, sha256, sha512, tool,
};
use std::fs;
use std::path::Path;

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

#[test]
fn the_registry_within_the_gate_opens_what_distribution_wrote_and_distribution_what_it_changed() {
    let data = fresh_dir();
    let registry = DockerRegistry::over(data.path());
    let contents = fill(Gate::before(registry.url()).start().door());
    registry.stop();
    let mut gate = Gate::over(data.path()).start();
    find(gate.door(), &contents);
    change(gate.door(), &contents);
    find_changes(gate.door(), &contents);
    gate.signal(Signal::Terminate);
    assert_eq!(gate.wait(PATIENCE).code(), Some(0));
    let registry = DockerRegistry::over(data.path());
    find_changes(Gate::before(registry.url()).start().door(), &contents);
}

/// One of the two engines, over a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Engine {
    Ours,
    Distribution,
}

impl Engine {
    /// Runs it for as long as `work` takes.
    fn run<T>(self, data: &Path, work: impl FnOnce(&mut PlainApi) -> T) -> T {
        match self {
            Self::Ours => {
                let backend = Backend::over(data);
                let done = work(&mut PlainApi::at(backend.url()));
                backend.stop();
                done
            }
            Self::Distribution => {
                let registry = DockerRegistry::over(data);
                let done = work(&mut PlainApi::at(registry.url()));
                registry.stop();
                done
            }
        }
    }
}

const BOTH_WAYS: [(Engine, Engine); 2] = [(Engine::Ours, Engine::Distribution), (Engine::Distribution, Engine::Ours)];

fn status(api: &mut PlainApi, method: &str, path: &str) -> u16 {
    api.call(method, path).expect("it answers").head.status()
}

fn tags(api: &mut PlainApi, repository: &str) -> Vec<String> {
    let answer = api.call("GET", &format!("/v2/{repository}/tags/list")).expect("it answers");
    let list = answer.json();
    let mut tags: Vec<String> =
        list["tags"].as_array().into_iter().flatten().filter_map(|tag| tag.as_str().map(str::to_owned)).collect();
    tags.sort_unstable();
    tags
}

#[test]
fn what_one_engine_pushed_is_mounted_and_deleted_by_the_other_and_the_first_sees_it() {
    for (first, second) in BOTH_WAYS {
        let data = fresh_dir();
        let (kept, gone) = (b"a layer that is kept".as_slice(), b"a layer that goes".as_slice());
        let (kept_blob, gone_blob) = (digest_of(kept), digest_of(gone));
        let gone_image = first.run(data.path(), |api| {
            api.push_image("team/app", "v1", kept);
            api.push_image("team/app", "v2", kept);
            let image = api.push_image("team/app", "v3", gone);
            api.put_manifest("team/app", "v4", &image_of(std::slice::from_ref(&gone_blob))).unwrap().expect(201);
            image
        });
        second.run(data.path(), |api| {
            let mount = format!("/v2/other/app/blobs/uploads/?mount={kept_blob}&from=team/app");
            assert_eq!(status(api, "POST", &mount), 201, "{second:?} mounts what {first:?} pushed");
            api.put_manifest("other/app", "v1", &image_of(std::slice::from_ref(&kept_blob))).unwrap().expect(201);
            assert_eq!(status(api, "DELETE", &format!("/v2/team/app/blobs/{kept_blob}")), 202);
            assert_eq!(status(api, "GET", &format!("/v2/team/app/blobs/{kept_blob}")), 404);
            assert_eq!(status(api, "DELETE", &format!("/v2/team/app/manifests/{gone_image}")), 202);
            assert_eq!(status(api, "DELETE", &format!("/v2/team/app/blobs/{gone_blob}")), 202);
        });
        first.run(data.path(), |api| {
            assert_eq!(tags(api, "team/app"), ["v1", "v2"], "{second:?} deleted the others");
            assert_eq!(status(api, "GET", &format!("/v2/team/app/manifests/{gone_image}")), 404);
            assert_eq!(status(api, "GET", &format!("/v2/team/app/blobs/{gone_blob}")), 404);
            assert_eq!(status(api, "GET", &format!("/v2/team/app/blobs/{kept_blob}")), 404);
            let mounted = api.call("GET", &format!("/v2/other/app/blobs/{kept_blob}")).unwrap().expect(200);
            assert_eq!(mounted.body, kept);
            assert_eq!(status(api, "GET", "/v2/other/app/manifests/v1"), 200);
            let again = format!("/v2/team/app/blobs/uploads/?mount={kept_blob}&from=other/app");
            assert_eq!(status(api, "POST", &again), 201, "{first:?} mounts what {second:?} mounted");
            api.push_image("team/app", "v3", gone);
            assert_eq!(status(api, "GET", &format!("/v2/team/app/blobs/{gone_blob}")), 200);
        });
    }
}

#[test]
fn a_tag_that_was_deleted_or_moved_here_is_so_for_distribution() {
    let data = fresh_dir();
    let (one, two) = Engine::Distribution.run(data.path(), |api| {
        api.push_image("app", "gone", b"one");
        (api.push_image("app", "stays", b"one"), api.push_image("app", "moves", b"two"))
    });
    Engine::Ours.run(data.path(), |api| {
        assert_eq!(status(api, "DELETE", "/v2/app/manifests/gone"), 202);
        api.put_manifest("app", "moves", &image_of(&[digest_of(b"one")])).unwrap().expect(201);
    });
    Engine::Distribution.run(data.path(), |api| {
        assert_eq!(tags(api, "app"), ["moves", "stays"]);
        let moved = api.call("GET", "/v2/app/manifests/moves").unwrap().expect(200);
        assert_eq!(moved.head.one("docker-content-digest"), one);
        assert_eq!(status(api, "GET", &format!("/v2/app/manifests/{two}")), 200, "its revision is kept");
    });
}

#[test]
fn a_manifest_that_both_engines_tagged_is_deleted_with_all_its_tags() {
    for order in [[Engine::Ours, Engine::Distribution], [Engine::Distribution, Engine::Ours]] {
        let data = fresh_dir();
        let mut gone = String::new();
        for (round, engine) in order.iter().cycle().take(4).enumerate() {
            gone = engine.run(data.path(), |api| {
                api.push_image("app", &format!("kept-{round}"), format!("kept {round}").as_bytes());
                api.push_image("app", &format!("gone-{round}"), b"gone")
            });
        }
        Engine::Ours.run(data.path(), |api| {
            assert_eq!(status(api, "DELETE", &format!("/v2/app/manifests/{gone}")), 202);
            assert_eq!(tags(api, "app"), ["kept-0", "kept-1", "kept-2", "kept-3"], "{order:?}");
        });
    }
}

#[test]
fn a_push_by_sha512_is_found_by_it_on_the_other_side() {
    for (first, second) in BOTH_WAYS {
        let (data, content) = (fresh_dir(), b"named by a longer digest");
        let digest = sha512(content.as_slice());
        first.run(data.path(), |api| {
            let begun = api.begin("app").unwrap().expect(202);
            api.commit(begun.head.one("location"), &digest, content).unwrap().expect(201);
        });
        second.run(data.path(), |api| {
            let answer = api.call("GET", &format!("/v2/app/blobs/{digest}")).unwrap();
            assert_eq!((answer.head.status(), answer.body.as_slice()), (200, content.as_slice()), "{second:?}");
        });
    }
}

#[test]
fn an_upload_that_distribution_began_goes_on_here_and_ours_do_not_disturb_it() {
    let (data, content) = (fresh_dir(), Pattern::new(5, 300_000).bytes());
    let location = Engine::Distribution.run(data.path(), |api| {
        let begun = api.begin("team/app").unwrap().expect(202);
        let appended = api.append(begun.head.one("location"), &content[..100_000]).unwrap().expect(202);
        appended.head.one("location").to_owned()
    });
    Engine::Ours.run(data.path(), |api| {
        assert_eq!(api.call("GET", &location).unwrap().expect(204).head.one("range"), "0-99999");
        let appended = api.append(&location, &content[100_000..200_000]).unwrap().expect(202);
        let location = appended.head.one("location");
        api.commit(location, &digest_of(&content), &content[200_000..]).unwrap().expect(201);
        // And one of ours is left.
        let begun = api.begin("left/over").unwrap().expect(202);
        api.append(begun.head.one("location"), b"bytes").unwrap().expect(202);
    });
    Engine::Distribution.run(data.path(), |api| {
        let pulled = api.call("GET", &format!("/v2/team/app/blobs/{}", digest_of(&content))).unwrap().expect(200);
        assert!(pulled.body == content);
        api.push_image("left/over", "v1", b"pushed beside it");
        assert_eq!(tags(api, "left/over"), ["v1"]);
    });
}

/// Runs distribution's garbage collection, as its operators do while it is stopped.
fn collect_garbage(data: &Path, options: &[&str]) {
    let dir = fresh_dir();
    let config = dir.path().join("config.yml");
    let text = format!("version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {}\n", data.display());
    fs::write(&config, text).expect("the directory is ours");
    finish(tool("docker-registry").arg("garbage-collect").args(options).arg(&config)).success();
}

#[test]
fn referrers_do_not_disturb_distribution_nor_its_garbage_collection() {
    let data = fresh_dir();
    let listed = |api: &mut PlainApi, subject: &str| {
        let index = api.call("GET", &format!("/v2/team/app/referrers/{subject}")).unwrap().expect(200).json();
        index["manifests"].as_array().expect("an index").len()
    };
    let (subject, signature) = Engine::Ours.run(data.path(), |api| {
        let subject = api.push_image("team/app", "v1", b"signed");
        api.push_blob("team/app", b"a signature").unwrap().expect(201);
        let mut manifest = image_of(&[digest_of(b"a signature")]);
        manifest["subject"] = serde_json::json!({"mediaType": IMAGE, "digest": subject, "size": 1});
        let signature = digest_of(manifest.to_string().as_bytes());
        api.put_manifest("team/app", &signature, &manifest).unwrap().expect(201);
        assert_eq!(listed(api, &subject), 1);
        (subject, signature)
    });
    collect_garbage(data.path(), &[]);
    Engine::Distribution.run(data.path(), |api| {
        let catalog = api.call("GET", "/v2/_catalog").unwrap().expect(200).json();
        assert_eq!(catalog["repositories"], serde_json::json!(["team/app"]));
        assert_eq!(tags(api, "team/app"), ["v1"]);
        for digest in [&subject, &signature] {
            assert_eq!(status(api, "GET", &format!("/v2/team/app/manifests/{digest}")), 200);
        }
        api.push_image("team/app", "v2", b"pushed by distribution");
    });
    Engine::Ours.run(data.path(), |api| assert_eq!(listed(api, &subject), 1));
    collect_garbage(data.path(), &["--delete-untagged"]);
    Engine::Ours.run(data.path(), |api| {
        assert_eq!(listed(api, &subject), 0, "distribution has collected it: it has no tag");
        assert_eq!(status(api, "GET", &format!("/v2/team/app/manifests/{signature}")), 404);
        assert_eq!(tags(api, "team/app"), ["v1", "v2"]);
        assert_eq!(status(api, "GET", &format!("/v2/team/app/blobs/{}", digest_of(b"signed"))), 200);
    });
}

const SCHEMA_1: &str =
    r#"{"schemaVersion":1,"name":"app","tag":"old","architecture":"amd64","fsLayers":[],"history":[],"signatures":[]}"#;

#[test]
fn schema_1_is_refused_with_the_reason_and_one_in_the_volume_stands_in_nobodys_way() {
    let data = fresh_dir();
    Engine::Distribution.run(data.path(), |api| api.push_image("app", "new", b"layer"));
    // As a distribution of years ago kept it.
    let (digest, root) = (digest_of(SCHEMA_1.as_bytes()), data.path().join("docker/registry/v2"));
    let hex = digest.trim_start_matches("sha256:");
    let manifests = "repositories/app/_manifests";
    let links = ["tags/old/current/link".to_owned(), format!("revisions/sha256/{hex}/link")];
    let links = links.iter().map(|link| (format!("{manifests}/{link}"), digest.as_str()));
    for (path, content) in links.chain([(format!("blobs/sha256/{}/{hex}/data", &hex[..2]), SCHEMA_1)]) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().expect("it is below the root")).unwrap();
        fs::write(path, content).unwrap();
    }
    Engine::Ours.run(data.path(), |api| {
        for media_type in ["application/vnd.docker.distribution.manifest.v1+prettyjws", "application/json"] {
            let headers = [format!("Content-Type: {media_type}")];
            let body = RequestBody::Sized(SCHEMA_1.as_bytes());
            let refused = api.send("PUT", "/v2/app/manifests/other", &headers, body).unwrap().expect(400).json();
            assert_eq!(refused["errors"][0]["code"], "MANIFEST_INVALID");
            assert!(refused["errors"][0]["message"].as_str().unwrap().contains("schema 1"), "{refused}");
        }
        let stored = api.call("GET", "/v2/app/manifests/old").unwrap().expect(404).json();
        assert!(stored["errors"][0]["message"].as_str().unwrap().contains("schema 1"), "{stored}");
        assert_eq!(tags(api, "app"), ["new", "old"]);
        assert_eq!(status(api, "GET", "/v2/app/manifests/new"), 200);
        assert_eq!(status(api, "DELETE", &format!("/v2/app/manifests/{digest}")), 202);
        assert_eq!(tags(api, "app"), ["new"]);
    });
}
