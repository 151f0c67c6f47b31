//! The directory is the one that distribution writes, file by file.

use std::fs;

use serde_json::json;

use crate::harness::{TestRegistry, sha256, until, upload_directory};

const ROOT: &str = "docker/registry/v2";

fn hex(digest: &str) -> &str {
    digest.strip_prefix("sha256:").unwrap()
}

fn blob_data(digest: &str) -> String {
    format!("blobs/sha256/{}/{}/data", &hex(digest)[..2], hex(digest))
}

#[tokio::test]
async fn a_pushed_image_is_the_files_that_distribution_writes() {
    let registry = TestRegistry::start().await;
    let manifest = registry.push_image("team/app", "v1", "layer").await;
    let (config, layer) = (sha256(b"{}"), sha256(b"layer"));

    let repository = "repositories/team/app";
    let links = [
        (format!("{repository}/_layers/sha256/{}/link", hex(&config)), &config),
        (format!("{repository}/_layers/sha256/{}/link", hex(&layer)), &layer),
        (format!("{repository}/_manifests/revisions/sha256/{}/link", hex(&manifest)), &manifest),
        (format!("{repository}/_manifests/tags/v1/current/link"), &manifest),
        (format!("{repository}/_manifests/tags/v1/index/sha256/{}/link", hex(&manifest)), &manifest),
    ];
    let mut expected: Vec<String> = [&config, &layer, &manifest].map(|digest| blob_data(digest)).into();
    for (link, digest) in links {
        assert_eq!(fs::read_to_string(registry.path(&link)).unwrap(), *digest, "{link}");
        expected.push(link);
    }
    // Ours, where distribution does not look.
    expected.push(format!("{repository}/_tagged/sha256/{}/v1", hex(&manifest)));
    let mut expected: Vec<String> = expected.iter().map(|path| format!("{ROOT}/{path}")).collect();
    expected.sort();
    assert_eq!(registry.files(), expected);
    assert_eq!(fs::read(registry.path(&blob_data(&layer))).unwrap(), b"layer");
}

#[tokio::test]
async fn a_running_upload_is_a_directory_with_its_bytes_and_its_time() {
    let registry = TestRegistry::start().await;
    let url = registry.begin("a").await;
    registry.call_with("PATCH", &url, &[], "bytes").await.expect(202);
    let directory = registry.path(&upload_directory(&url));
    assert_eq!(fs::read(directory.join("data")).unwrap(), b"bytes");
    let started_at = fs::read_to_string(directory.join("startedat")).unwrap();
    // 2026-11-21T02:30:48Z
    assert!(started_at.len() == 20 && started_at.ends_with('Z') && started_at.contains('T'), "{started_at}");
    registry.call("PUT", &format!("{url}?digest={}", sha256(b"bytes"))).await.expect(201);
    assert!(!directory.exists());
}

/// Writes an image as distribution 2.8 does, without this registry's help.
fn write_as_distribution(registry: &TestRegistry) -> String {
    let (config, layer) = (sha256(b"{}"), sha256(b"layer"));
    let image = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": { "mediaType": "application/vnd.docker.container.image.v1+json", "digest": config, "size": 2 },
        "layers": [{ "mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip", "digest": layer, "size": 5 }],
    })
    .to_string();
    let manifest = sha256(image.as_bytes());
    let write = |path: String, content: &[u8]| {
        let path = registry.path(&path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    };
    for (digest, content) in [(&config, &b"{}"[..]), (&layer, b"layer"), (&manifest, image.as_bytes())] {
        write(blob_data(digest), content);
    }
    for digest in [&config, &layer] {
        write(format!("repositories/old/_layers/sha256/{}/link", hex(digest)), digest.as_bytes());
    }
    let manifests = "repositories/old/_manifests";
    write(format!("{manifests}/revisions/sha256/{}/link", hex(&manifest)), manifest.as_bytes());
    write(format!("{manifests}/tags/v1/current/link"), manifest.as_bytes());
    write(format!("{manifests}/tags/v1/index/sha256/{}/link", hex(&manifest)), manifest.as_bytes());
    manifest
}

#[tokio::test]
async fn an_image_that_distribution_wrote_is_listed_pulled_mounted_and_deleted() {
    let registry = TestRegistry::start().await;
    let manifest = write_as_distribution(&registry);
    assert_eq!(registry.get("/v2/_catalog").await.json(), json!({ "repositories": ["old"] }));
    assert_eq!(registry.get("/v2/old/tags/list").await.json()["tags"], json!(["v1"]));
    let answer = registry.get("/v2/old/manifests/v1").await.expect(200);
    assert_eq!(answer.header("docker-content-digest"), manifest);
    assert_eq!(answer.header("content-type"), "application/vnd.docker.distribution.manifest.v2+json");
    let layer = sha256(b"layer");
    assert_eq!(registry.get(&format!("/v2/old/blobs/{layer}")).await.expect(200).body, "layer");
    registry.call("POST", &format!("/v2/new/blobs/uploads/?mount={layer}&from=old")).await.expect(201);
    registry.call("DELETE", &format!("/v2/old/manifests/{manifest}")).await.expect(202);
    assert_eq!(registry.get("/v2/old/tags/list").await.json()["tags"], json!([]));
    assert!(!registry.path("repositories/old/_manifests/tags/v1").exists(), "distribution lists directories");
}

#[tokio::test]
async fn a_session_that_distribution_began_goes_on_here() {
    let registry = TestRegistry::start().await;
    let id = "d76870d4-748c-45b4-8699-87367842eaeb";
    let url = format!("/v2/old/blobs/uploads/{id}");
    let directory = registry.path(&upload_directory(&url));
    fs::create_dir_all(directory.join("hashstates/sha256")).unwrap();
    fs::write(directory.join("hashstates/sha256/0"), "a state of Go's").unwrap();
    fs::write(directory.join("startedat"), "2026-11-21T02:30:48Z").unwrap();
    assert_eq!(registry.get(&url).await.expect(204).header("range"), "0-0");
    fs::write(directory.join("data"), "from distribution, ").unwrap();
    assert_eq!(registry.get(&url).await.expect(204).header("range"), "0-18");
    let whole = sha256(b"from distribution, and from here");
    registry.call_with("PUT", &format!("{url}?digest={whole}"), &[], "and from here").await.expect(201);
    until(|| !directory.exists()).await;
}

#[tokio::test]
async fn foreign_files_are_left_alone() {
    let registry = TestRegistry::start().await;
    registry.push_image("a", "v1", "layer").await;
    let foreign = ["blobs/sha256/README", "repositories/a/_manifests/tags/v1/notes", "repositories/a/_other/x"];
    for path in foreign {
        let path = registry.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "mine").unwrap();
    }
    let digest = registry.push_image("a", "v2", "other").await;
    registry.call("DELETE", &format!("/v2/a/manifests/{digest}")).await.expect(202);
    assert_eq!(registry.get("/v2/a/tags/list").await.json()["tags"], json!(["v1"]));
    for path in foreign {
        assert_eq!(fs::read(registry.path(path)).unwrap(), b"mine", "{path}");
    }
}
