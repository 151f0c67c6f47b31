//! Promise: skopeo, podman and buildah work with `lockgate up` and with the proxy before distribution, verified by CA.

use lockgate_e2e::{Backend, Buildah, DockerRegistry, Door, Gate, ImageLayout, Podman, Skopeo, Up, fresh_dir};
use serde_json::Value;

/// Runs `walk` before our own registry and before the real distribution.
fn before_both(walk: impl Fn(&Door)) {
    let dir = fresh_dir();
    let up = Up::in_fresh(dir.path());
    walk(up.door());
    let data = fresh_dir();
    let registry = DockerRegistry::over(data.path());
    let gate = Gate::before(registry.url()).start();
    walk(gate.door());
}

#[test]
fn skopeo_pushes_inspects_pulls_by_tag_and_digest_and_deletes() {
    before_both(|door| {
        let dir = fresh_dir();
        let image = ImageLayout::new(dir.path(), 1, 3_000_000);
        let skopeo = Skopeo::at(door);
        skopeo.push(&image.transport(), "team/app:v1").success();
        skopeo.push(&image.transport(), "team/app:v2").success();
        let inspected = skopeo.on("team/app:v1", &["inspect", "--format", "{{.Digest}}"]).success();
        assert_eq!(inspected.stdout.trim(), image.digest);
        let tags: Value = serde_json::from_str(&skopeo.on("team/app", &["list-tags"]).success().stdout).unwrap();
        assert_eq!(tags["Tags"], serde_json::json!(["v1", "v2"]));
        for reference in ["team/app:v2".to_owned(), format!("team/app@{}", image.digest)] {
            let pulled = dir.path().join("pulled").join(reference.replace(['/', ':'], "-"));
            std::fs::create_dir_all(&pulled).unwrap();
            skopeo.pull(&reference, &format!("oci:{}:latest", pulled.display())).success();
            let layer = pulled.join("blobs/sha256").join(image.layer.trim_start_matches("sha256:"));
            assert_eq!(lockgate_e2e::sha256(std::fs::File::open(layer).unwrap()), image.layer);
        }
        skopeo.on("team/app:v1", &["delete"]).success();
        skopeo.on("team/app:v1", &["inspect"]).failure();
        skopeo.on("team/app:v2", &["inspect"]).failure();
    });
}

#[test]
fn skopeo_is_refused_with_a_wrong_password() {
    before_both(|door| {
        let dir = fresh_dir();
        let image = ImageLayout::new(dir.path(), 2, 100);
        let refused = Skopeo::at(&door.with_password("wrong")).push(&image.transport(), "team/app:v1").failure();
        assert!(
            refused.stderr.contains("unauthorized") || refused.stderr.contains("invalid username/password"),
            "{refused}"
        );
    });
}

#[test]
fn skopeo_copies_from_repository_to_repository() {
    before_both(|door| {
        let dir = fresh_dir();
        let image = ImageLayout::new(dir.path(), 3, 2_000_000);
        let skopeo = Skopeo::at(door);
        skopeo.push(&image.transport(), "one/app:v1").success();
        skopeo.copy("one/app:v1", "two/app:v1").success();
        let inspected = skopeo.on("two/app:v1", &["inspect", "--format", "{{.Digest}}"]).success();
        assert_eq!(inspected.stdout.trim(), image.digest);
    });
}

#[test]
fn podman_logs_in_pushes_removes_pulls_and_logs_out() {
    before_both(|door| {
        let dir = fresh_dir();
        let image = ImageLayout::new(dir.path(), 4, 1_000_000);
        let podman = Podman::at(door);
        let login = |password: &str| {
            podman.run(&["login", "--cert-dir", "CERTS", "--username", &door.user, "--password", password, "DOOR"])
        };
        let refused = login("wrong").failure();
        assert!(refused.stderr.contains("invalid username/password"), "{refused}");
        login(&door.password).success();
        podman.run(&["pull", &image.transport()]).success();
        let id = podman.run(&["images", "--quiet", "--no-trunc"]).success().stdout.trim().to_owned();
        podman.run(&["tag", &id, "DOOR/team/app:v1"]).success();
        podman.run(&["push", "--cert-dir", "CERTS", "DOOR/team/app:v1"]).success();
        podman.run(&["push", "--cert-dir", "CERTS", "DOOR/team/app:v1"]).success();
        podman.run(&["rmi", "--all", "--force"]).success();
        podman.run(&["pull", "--cert-dir", "CERTS", "DOOR/team/app:v1"]).success();
        assert_eq!(podman.run(&["images", "--quiet", "--no-trunc"]).success().stdout.trim(), id);
        podman.run(&["logout", "DOOR"]).success();
        let stranger = podman.run(&["pull", "--cert-dir", "CERTS", "DOOR/team/app:v1"]).failure();
        assert!(stranger.stderr.contains("log in first"), "{stranger}");
    });
}

#[test]
fn buildah_builds_pushes_and_pushes_a_manifest_list() {
    before_both(|door| {
        let buildah = Buildah::at(door);
        let credentials = door.credentials();
        let made: Vec<String> = ["amd64", "arm64"]
            .map(|architecture| {
                let container =
                    buildah.run(&["from", "--arch", architecture, "scratch"]).success().stdout.trim().to_owned();
                let note = format!("arch={architecture}");
                buildah.run(&["config", "--arch", architecture, "--label", &note, &container]).success();
                buildah.run(&["commit", "--rm", &container, &format!("DOOR/team/multi:{architecture}")]).success();
                format!("DOOR/team/multi:{architecture}")
            })
            .into();
        buildah.run(&["manifest", "create", "list", &made[0], &made[1]]).success();
        let push = ["manifest", "push", "--all", "--cert-dir", "CERTS", "--creds", &credentials, "list"];
        buildah.run(&[&push[..], &["docker://DOOR/team/multi:latest"]].concat()).success();
        let raw = Skopeo::at(door).on("team/multi:latest", &["inspect", "--raw"]).success().stdout;
        let list: Value = serde_json::from_str(&raw).unwrap();
        let mut architectures: Vec<&str> = list["manifests"]
            .as_array()
            .unwrap()
            .iter()
            .map(|m| m["platform"]["architecture"].as_str().unwrap())
            .collect();
        architectures.sort_unstable();
        assert_eq!(architectures, ["amd64", "arm64"]);
        let dir = fresh_dir();
        Skopeo::at(door).pull("team/multi:latest", &format!("oci:{}:all", dir.path().join("all").display())).success();
    });
}

#[test]
fn a_layer_that_is_already_there_is_not_sent_again() {
    let dir = fresh_dir();
    let image = ImageLayout::new(dir.path(), 5, 1_000_000);
    let backend = Backend::over(&dir.path().join("data"));
    let gate = Gate::before(backend.url()).start();
    let skopeo = Skopeo::at(gate.door());
    let layers_sent = || gate.log().text().matches("\"PATCH\"").count();
    skopeo.push(&image.transport(), "team/app:v1").success();
    assert_eq!(layers_sent(), 2, "the layer and the configuration");
    skopeo.push(&image.transport(), "team/app:v2").success();
    assert_eq!(layers_sent(), 2, "and nothing more");
}
