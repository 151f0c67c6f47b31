//! What stands in the directory and was not put there by a registry, or was left there by a crash of
//! one: it concerns only what it stands for, and is never touched.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::harness::{OCI_IMAGE, OCI_INDEX, TestRegistry, sha256, sha512};

fn hex(digest: &str) -> &str {
    digest.split_once(':').unwrap().1
}

/// The paths of one image and its layer, in `a`.
struct Image {
    digest: String,
    layer: String,
}

impl Image {
    async fn pushed(registry: &TestRegistry, tag: &str, layer: &str) -> Self {
        let digest = registry.push_image("a", tag, layer).await;
        Self { digest, layer: sha256(layer.as_bytes()) }
    }

    fn layer_link(&self, registry: &TestRegistry) -> PathBuf {
        registry.path(&format!("repositories/a/_layers/sha256/{}/link", hex(&self.layer)))
    }

    fn revision_link(&self, registry: &TestRegistry) -> PathBuf {
        registry.path(&format!("repositories/a/_manifests/revisions/sha256/{}/link", hex(&self.digest)))
    }
}

fn tag_link(registry: &TestRegistry, tag: &str) -> PathBuf {
    registry.path(&format!("repositories/a/_manifests/tags/{tag}/current/link"))
}

fn data(registry: &TestRegistry, digest: &str) -> PathBuf {
    registry.path(&format!("blobs/sha256/{}/{}/data", &hex(digest)[..2], hex(digest)))
}

/// A directory where a file was.
fn make_directory_of(path: &Path) {
    fs::remove_file(path).unwrap();
    fs::create_dir(path).unwrap();
    fs::write(path.join("foreign"), "mine").unwrap();
}

async fn assert_served(registry: &TestRegistry, tag: &str, image: &Image) {
    let manifest = registry.get(&format!("/v2/a/manifests/{tag}")).await.expect(200);
    assert_eq!(manifest.header("docker-content-digest"), image.digest);
    let layer = registry.get(&format!("/v2/a/blobs/{}", image.layer)).await.expect(200);
    assert_eq!(sha256(&layer.body), image.layer);
}

#[tokio::test]
async fn a_link_that_holds_no_digest_counts_as_missing_and_is_healed_by_a_push() {
    let registry = TestRegistry::start().await;
    let sound = Image::pushed(&registry, "sound", "sound layer").await;
    // Empty is what a crash of distribution leaves, which does not sync.
    for garbage in [&b""[..], b"\0\0\0\0", b"sha256:", b"\xff\xfe", b"../../../../etc/passwd"] {
        let image = Image::pushed(&registry, "v1", "layer").await;
        fs::write(image.layer_link(&registry), garbage).unwrap();
        for method in ["HEAD", "GET"] {
            registry.call(method, &format!("/v2/a/blobs/{}", image.layer)).await.expect(404);
        }
        let mount = registry.call("POST", &format!("/v2/b/blobs/uploads/?mount={}&from=a", image.layer)).await;
        mount.expect(202);
        fs::write(tag_link(&registry, "v1"), garbage).unwrap();
        registry.get("/v2/a/manifests/v1").await.expect_error(404, "MANIFEST_UNKNOWN");
        fs::write(image.revision_link(&registry), garbage).unwrap();
        registry.get(&format!("/v2/a/manifests/{}", image.digest)).await.expect_error(404, "MANIFEST_UNKNOWN");
        assert_served(&registry, "sound", &sound).await;
        assert_served(&registry, "v1", &Image::pushed(&registry, "v1", "layer").await).await;
    }
}

#[tokio::test]
async fn a_directory_in_the_place_of_a_file_fails_what_it_stands_for_and_nothing_else() {
    let mut registry = TestRegistry::start().await;
    let sound = Image::pushed(&registry, "sound", "sound layer").await;
    let image = Image::pushed(&registry, "v1", "layer").await;
    let paths = [image.layer_link(&registry), tag_link(&registry, "v1"), image.revision_link(&registry)];
    paths.iter().for_each(|path| make_directory_of(path));
    registry.restart().await;
    let of_image = format!("/v2/a/manifests/{}", image.digest);
    for path in [format!("/v2/a/blobs/{}", image.layer), "/v2/a/manifests/v1".to_owned(), of_image] {
        registry.get(&path).await.expect_error(500, "UNKNOWN");
    }
    assert_eq!(registry.get("/v2/a/tags/list").await.expect(200).json()["tags"], json!(["sound"]));
    let manifest = registry.image_of("b", "layer").await;
    registry.put_manifest("a", "v1", &manifest).await;
    assert_served(&registry, "sound", &sound).await;
    registry.push_image("a", "v2", "other layer").await;
    for path in paths {
        assert_eq!(fs::read(path.join("foreign")).unwrap(), b"mine");
    }
}

#[tokio::test]
async fn content_that_is_no_file_or_was_lost_is_no_blob() {
    let registry = TestRegistry::start().await;
    let sound = Image::pushed(&registry, "sound", "sound layer").await;
    let image = Image::pushed(&registry, "v1", "layer").await;
    let blob = format!("/v2/a/blobs/{}", image.layer);
    // Cut to nothing, as a crash leaves what was not synced: pushed again, it is whole.
    fs::write(data(&registry, &image.layer), "").unwrap();
    fs::write(data(&registry, &image.digest), "").unwrap();
    registry.call("HEAD", &blob).await.expect(404);
    registry.get("/v2/a/manifests/v1").await.expect_error(404, "MANIFEST_UNKNOWN");
    let again = Image::pushed(&registry, "v1", "layer").await;
    assert_served(&registry, "v1", &again).await;
    // A link to what is not there.
    fs::remove_file(data(&registry, &image.layer)).unwrap();
    registry.get(&blob).await.expect_error(404, "BLOB_UNKNOWN");
    // A directory.
    fs::create_dir(data(&registry, &image.layer)).unwrap();
    registry.get(&blob).await.expect_error(500, "UNKNOWN");
    // A manifest of other bytes than its name says is never served.
    fs::write(data(&registry, &image.digest), "{}").unwrap();
    registry.get("/v2/a/manifests/v1").await.expect_error(500, "UNKNOWN");
    registry.call("DELETE", &format!("/v2/a/manifests/{}", image.digest)).await.expect(202);
    assert_served(&registry, "sound", &sound).await;
    // An empty blob is one all the same.
    let empty = registry.push_blob("a", "").await;
    registry.get(&format!("/v2/a/blobs/{empty}")).await.expect(200);
}

#[tokio::test]
async fn a_link_leads_where_distribution_let_it_lead() {
    let registry = TestRegistry::start().await;
    let (content, by_256, by_512) = ("layer", sha256(b"layer"), sha512(b"layer"));
    registry.push_blob("a", content).await;
    // Of a push by sha512, distribution keeps the content under its sha256 and links to it.
    let link = registry.path(&format!("repositories/a/_layers/sha512/{}/link", hex(&by_512)));
    fs::create_dir_all(link.parent().unwrap()).unwrap();
    fs::write(link, by_256).unwrap();
    let answer = registry.get(&format!("/v2/a/blobs/{by_512}")).await.expect(200);
    assert_eq!((answer.header("docker-content-digest"), &answer.body[..]), (by_512.as_str(), content.as_bytes()));
    registry.call("POST", &format!("/v2/b/blobs/uploads/?mount={by_512}&from=a")).await.expect(201);
    assert_eq!(registry.get(&format!("/v2/b/blobs/{by_512}")).await.expect(200).body, content);
    registry.call("DELETE", &format!("/v2/a/blobs/{by_512}")).await.expect(202);
    registry.get(&format!("/v2/a/blobs/{by_512}")).await.expect(404);
}

/// Every directory that the layout has, of a repository that was used in every way.
fn every_directory(root: &Path) -> Vec<PathBuf> {
    let mut found = vec![root.to_path_buf()];
    for entry in fs::read_dir(root).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            found.extend(every_directory(&entry.path()));
        }
    }
    found
}

#[tokio::test]
async fn foreign_files_in_every_directory_are_left_alone_whatever_is_done() {
    let mut registry = TestRegistry::start().await;
    let image = Image::pushed(&registry, "v1", "layer").await;
    let mut signature = registry.image_of("a", "signature").await;
    signature["subject"] = json!({ "mediaType": OCI_IMAGE, "digest": image.digest, "size": 1 });
    let signed = registry.put_manifest("a", "signature", &signature).await.expect(201);
    let signature = signed.header("docker-content-digest").to_owned();
    let session = registry.begin("a").await;
    registry.call_with("PATCH", &session, &[], "bytes").await.expect(202);

    let data = registry.path("").ancestors().nth(3).unwrap().to_path_buf();
    let mut foreign = Vec::new();
    for directory in every_directory(&data) {
        let file = directory.join("foreign.txt");
        fs::write(&file, file.to_str().unwrap()).unwrap();
        foreign.push(file);
        symlink("/nowhere", directory.join("foreign-link")).unwrap();
    }
    assert!(foreign.len() > 40, "{foreign:?}");

    registry.restart().await;
    assert_served(&registry, "v1", &image).await;
    assert_eq!(registry.get("/v2/_catalog").await.expect(200).json(), json!({ "repositories": ["a"] }));
    assert_eq!(registry.get("/v2/a/tags/list").await.expect(200).json()["tags"], json!(["signature", "v1"]));
    let referrers = registry.get(&format!("/v2/a/referrers/{}", image.digest)).await.expect(200).json();
    assert_eq!(referrers["manifests"][0]["digest"], json!(signature));
    registry.push_image("a", "v1", "another layer").await;
    registry.call("POST", &format!("/v2/b/blobs/uploads/?mount={}&from=a", image.layer)).await.expect(201);
    for manifest in [&signature, &image.digest] {
        registry.call("DELETE", &format!("/v2/a/manifests/{manifest}")).await.expect(202);
        registry.get(&format!("/v2/a/manifests/{manifest}")).await.expect(404);
    }
    registry.call("DELETE", &format!("/v2/a/blobs/{}", image.layer)).await.expect(202);
    registry.restart().await;
    assert_eq!(registry.get("/v2/a/tags/list").await.expect(200).json()["tags"], json!(["v1"]));
    // A tag and a session are directories of the registry's own: they go with all that is in them.
    let own = ["/tags/signature", "/_uploads/"];
    for file in foreign.iter().filter(|file| !own.iter().any(|own| file.to_str().unwrap().contains(own))) {
        assert_eq!(fs::read_to_string(file).unwrap_or_default(), file.to_str().unwrap(), "{}", file.display());
        assert!(file.with_file_name("foreign-link").is_symlink());
    }
}

#[tokio::test]
async fn a_manifest_that_another_registry_took_is_served_as_that_one_served_it() {
    let registry = TestRegistry::start().await;
    let image =
        |more: &str| format!(r#"{{"schemaVersion":2,"mediaType":"{OCI_IMAGE}","config":{{}}{more}}}"#).into_bytes();
    let table = [
        (image(r#","annotations":{"a":null}"#), OCI_IMAGE),
        (image(r#","annotations":{"a":"\ud800"}"#), OCI_IMAGE),
        (image(r#","annotations":{"a":"1"},"annotations":{"b":"2"}"#), OCI_IMAGE),
        (
            image(r#","annotations":{"a":"?"}"#).into_iter().map(|b| if b == b'?' { 0xff } else { b }).collect(),
            OCI_IMAGE,
        ),
        (br#"{"schemaVersion":2,"manifests":null}"#.to_vec(), OCI_IMAGE),
        (br#"{"schemaVersion":2,"manifests":[]}"#.to_vec(), OCI_INDEX),
    ];
    for (content, media_type) in table {
        let digest = put_by_hand(&registry, "v1", &content);
        for method in ["GET", "HEAD"] {
            let answer = registry.call(method, "/v2/a/manifests/v1").await.expect(200);
            assert_eq!(answer.header("content-type"), media_type, "{}", String::from_utf8_lossy(&content));
            assert_eq!(answer.header("docker-content-digest"), digest);
            assert!(answer.body == if method == "GET" { &content[..] } else { b"" });
        }
        registry.call("DELETE", &format!("/v2/a/manifests/{digest}")).await.expect(202);
        registry.get("/v2/a/manifests/v1").await.expect_error(404, "MANIFEST_UNKNOWN");
    }
}

/// Puts a manifest into the directory as distribution does.
fn put_by_hand(registry: &TestRegistry, tag: &str, content: &[u8]) -> String {
    let digest = sha256(content);
    let links = ["revisions", &format!("tags/{tag}/index")].map(|of| format!("{of}/sha256/{}/link", hex(&digest)));
    for link in links.into_iter().chain([format!("tags/{tag}/current/link")]) {
        write(&registry.path(&format!("repositories/a/_manifests/{link}")), digest.as_bytes());
    }
    write(&data(registry, &digest), content);
    digest
}

fn write(path: &Path, content: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

#[tokio::test]
async fn a_directory_that_vanished_is_made_again_by_the_next_push() {
    let registry = TestRegistry::start().await;
    for vanished in ["repositories/a", "repositories", "../../../docker", "../../../.lockgate", "../../.."] {
        registry.push_image("a", "v1", "layer").await;
        fs::remove_dir_all(registry.path(vanished)).unwrap();
        assert_eq!(registry.call("HEAD", "/v2/a/manifests/v1").await.status == 404, vanished != "../../../.lockgate");
        registry.get("/v2/_catalog").await.expect(200);
        let image = Image::pushed(&registry, "v2", "layer").await;
        assert_served(&registry, "v2", &image).await;
        registry.call("DELETE", "/v2/a/manifests/v2").await.expect(202);
    }
}

#[tokio::test]
async fn repositories_and_tags_are_listed_through_links_as_they_are_pulled() {
    let registry = TestRegistry::start().await;
    registry.push_image("a", "v1", "layer").await;
    symlink("a", registry.path("repositories/alias")).unwrap();
    symlink("v1", registry.path("repositories/a/_manifests/tags/latest")).unwrap();
    assert_eq!(registry.get("/v2/_catalog").await.json()["repositories"], json!(["a", "alias"]));
    for name in ["a", "alias"] {
        let list = registry.get(&format!("/v2/{name}/tags/list")).await.expect(200).json();
        assert_eq!(list["tags"], json!(["latest", "v1"]));
        registry.get(&format!("/v2/{name}/manifests/latest")).await.expect(200);
    }
    let digest = registry.get("/v2/a/manifests/v1").await.header("docker-content-digest").to_owned();
    registry.call("DELETE", "/v2/a/manifests/latest").await.expect(202);
    registry.get("/v2/a/manifests/v1").await.expect(200);
    symlink("v1", registry.path("repositories/a/_manifests/tags/latest")).unwrap();
    registry.call("DELETE", &format!("/v2/alias/manifests/{digest}")).await.expect(202);
    assert_eq!(registry.get("/v2/a/tags/list").await.expect(200).json()["tags"], json!([]));
}

#[tokio::test]
async fn a_layer_that_was_cut_short_is_missing_once_a_manifest_tells_its_size_and_a_push_repairs_it() {
    let registry = TestRegistry::start().await;
    let (content, digest) = ("a layer of some length", sha256(b"a layer of some length"));
    let mut image = registry.image_of("a", content).await;
    let path = format!("/v2/a/blobs/{digest}");
    // A size that is wrong in the manifest is the manifest's, and costs nobody a blob.
    registry.put_manifest("a", "v1", &image).await.expect(201);
    registry.call("HEAD", &path).await.expect(200);
    image["layers"][0]["size"] = json!(content.len());
    fs::write(data(&registry, &digest), &content[..9]).unwrap();
    registry.put_manifest("a", "v1", &image).await.expect_error(404, "MANIFEST_BLOB_UNKNOWN");
    registry.call("HEAD", &path).await.expect(404);
    registry.push_blob("a", content).await;
    registry.put_manifest("a", "v1", &image).await.expect(201);
    assert_eq!(registry.get(&path).await.expect(200).body, content);
}

/// Puts a blob's file there as something else than this registry does.
fn put_data_by_hand(registry: &TestRegistry, digest: &str, content: &str) {
    fs::remove_file(data(registry, digest)).unwrap();
    fs::write(data(registry, digest), content).unwrap();
}

#[tokio::test]
async fn a_blob_of_another_size_than_was_pushed_is_missing_before_a_manifest_tells_its_size() {
    let registry = TestRegistry::start().await;
    let content = "a layer of some length";
    for damaged in ["a layer", "a layer of some length and more", ""] {
        let path = format!("/v2/a/blobs/{}", registry.push_blob("a", content).await);
        let digest = sha256(content.as_bytes());
        registry.call("HEAD", &path).await.expect(200);
        fs::write(data(&registry, &digest), damaged).unwrap();
        for method in ["HEAD", "GET"] {
            registry.call(method, &path).await.expect(404);
        }
        registry.call("POST", &format!("/v2/b/blobs/uploads/?mount={digest}&from=a")).await.expect(202);
        registry.push_blob("a", content).await;
        assert_eq!(registry.get(&path).await.expect(200).body, content);
    }
}

#[tokio::test]
async fn a_blob_that_another_registry_left_damaged_is_missing_when_it_is_first_asked_for() {
    let mut registry = TestRegistry::start().await;
    let content = "a layer of some length";
    let digest = registry.push_blob("a", content).await;
    let path = format!("/v2/a/blobs/{digest}");
    for damaged in ["a layer", "a layer of some lengtH", "a layer of some length and more"] {
        put_data_by_hand(&registry, &digest, damaged);
        registry.restart().await;
        registry.call("HEAD", &path).await.expect(404);
        registry.push_blob("a", content).await;
        registry.call("HEAD", &path).await.expect(200);
    }
    // One that is whole stays so, and from then on its size is known.
    put_data_by_hand(&registry, &digest, content);
    registry.restart().await;
    for _ in 0..2 {
        registry.call("HEAD", &path).await.expect(200);
    }
    assert_eq!(registry.get(&path).await.expect(200).body, content);
    fs::write(data(&registry, &digest), "a layer").unwrap();
    registry.restart().await;
    registry.get(&path).await.expect(404);
}
