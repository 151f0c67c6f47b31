//! What was deleted comes back.

use crate::commands::{Site, answers};
use lockgate_e2e::{DockerRegistry, PlainApi, RequestBody, digest_of, image_of};
use serde_json::{Value, json};

fn on_both(claim: impl Fn(Site)) {
    claim(Site::in_directory(""));
    claim(Site::in_bucket(""));
}

#[test]
fn a_deleted_image_comes_back_with_its_tags_and_its_referrers() {
    on_both(|site| {
        let backend = site.serve();
        let mut api = PlainApi::at(backend.url());
        let image = api.push_image("team/app", "v1", b"one");
        api.push_image("team/app", "latest", b"one");
        let mut signature = image_of(&[digest_of(b"one")]);
        signature["subject"] = json!({"mediaType": signature["mediaType"], "digest": image, "size": 1});
        signature["artifactType"] = json!("example/signature");
        api.put_manifest("team/app", &digest_of(signature.to_string().as_bytes()), &signature).unwrap().expect(201);
        let before = answers(&backend, "/v2/team/app/manifests/v1", 200);
        let by = ["X-Forwarded-User: alice".to_owned()];
        let path = format!("/v2/team/app/manifests/{image}");
        api.send("DELETE", &path, &by, RequestBody::Absent).unwrap().expect(202);
        for reference in ["v1", "latest", &image] {
            answers(&backend, format!("/v2/team/app/manifests/{reference}"), 404);
        }
        let list = site.says(&["trash", "list"]);
        assert!(list.contains("team/app (latest, v1)") && list.contains(&image) && list.contains("by alice"), "{list}");
        let said = site.says(&["trash", "restore", &format!("team/app@{image}")]);
        assert_eq!(said, format!("restored team/app@{image} as latest, v1\n"));
        for reference in ["v1", "latest", &image] {
            assert!(answers(&backend, format!("/v2/team/app/manifests/{reference}"), 200) == before);
        }
        let referrers: Value =
            serde_json::from_slice(&answers(&backend, format!("/v2/team/app/referrers/{image}"), 200)).unwrap();
        assert_eq!(referrers["manifests"].as_array().map(Vec::len), Some(1));
        assert_eq!(site.says(&["trash", "list"]), "the trash is empty\n");
        let refused = site.command(&["trash", "restore", "team/app:v1"]).failure().output();
        assert!(refused.contains("trash list team/app"), "{refused}");
    });
}

#[test]
fn a_tag_that_was_overwritten_comes_back_once_it_is_free() {
    on_both(|site| {
        let backend = site.serve();
        let mut api = PlainApi::at(backend.url());
        let old = api.push_image("team/app", "latest", b"one");
        let new = api.push_image("team/app", "latest", b"two");
        let refused = site.command(&["trash", "restore", "team/app:latest"]).failure().output();
        assert!(refused.contains("another image by now"), "{refused}");
        let at =
            |api: &mut PlainApi| digest_of(&api.call("GET", "/v2/team/app/manifests/latest").unwrap().expect(200).body);
        assert_eq!(at(&mut api), new);
        api.call("DELETE", "/v2/team/app/manifests/latest").unwrap().expect(202);
        // The newest first: it undoes what was done last.
        site.says(&["trash", "restore", "team/app:latest"]);
        assert_eq!(at(&mut api), new);
        api.call("DELETE", "/v2/team/app/manifests/latest").unwrap().expect(202);
        site.says(&["trash", "restore", &format!("team/app@{old}")]);
        assert_eq!(at(&mut api), old);
    });
}

#[test]
fn everything_of_a_repository_comes_back_and_a_blob_too() {
    on_both(|site| {
        let backend = site.serve();
        let mut api = PlainApi::at(backend.url());
        let images = [b"one", b"two"].map(|layer| api.push_image("a", std::str::from_utf8(layer).unwrap(), layer));
        for image in &images {
            api.call("DELETE", &format!("/v2/a/manifests/{image}")).unwrap().expect(202);
        }
        for layer in [b"one", b"two"] {
            api.call("DELETE", &format!("/v2/a/blobs/{}", digest_of(layer))).unwrap().expect(202);
            answers(&backend, format!("/v2/a/blobs/{}", digest_of(layer)), 404);
        }
        let said = site.says(&["trash", "restore", "a"]);
        assert_eq!(said.lines().count(), 4, "{said}");
        for (image, layer) in images.iter().zip([b"one", b"two"]) {
            assert_eq!(digest_of(&answers(&backend, format!("/v2/a/manifests/{image}"), 200)), *image);
            assert_eq!(answers(&backend, format!("/v2/a/blobs/{}", digest_of(layer)), 200), layer);
        }
    });
}

#[test]
fn distribution_sees_what_is_deleted_gone_and_its_collector_can_make_the_way_back_impossible() {
    let site = Site::in_directory("");
    let backend = site.serve();
    let image = PlainApi::at(backend.url()).push_image("team/app", "v1", b"one");
    PlainApi::at(backend.url()).call("DELETE", &format!("/v2/team/app/manifests/{image}")).unwrap().expect(202);
    backend.stop();
    let registry = DockerRegistry::over(site.data());
    let mut api = PlainApi::at(registry.url());
    api.call("GET", "/v2/team/app/manifests/v1").unwrap().expect(404);
    api.call("GET", &format!("/v2/team/app/manifests/{image}")).unwrap().expect(404);
    drop(registry);
    let layer = digest_of(b"one");
    let hex = layer.strip_prefix("sha256:").expect("it is one");
    let data = site.data().join("docker/registry/v2/blobs/sha256").join(&hex[..2]).join(hex).join("data");
    std::fs::remove_file(data).expect("it is there");
    let refused = site.command(&["trash", "restore", "team/app:v1"]).failure().output();
    assert!(refused.contains(&layer) && refused.contains("are gone"), "{refused}");
    answers(&site.serve(), "/v2/team/app/manifests/v1", 404);
}

#[test]
fn the_trash_is_listed_and_restored_over_http() {
    on_both(|site| {
        let backend = site.serve();
        let mut api = PlainApi::at(backend.url());
        let image = api.push_image("team/app", "v1", b"one");
        api.call("DELETE", &format!("/v2/team/app/manifests/{image}")).unwrap().expect(202);
        let list: Value = serde_json::from_slice(&answers(&backend, "/v2/team/app/_lockgate/trash/", 200)).unwrap();
        let deleted = &list["deleted"][0];
        assert_eq!(
            (&list["name"], &deleted["what"], &deleted["tags"]),
            (&json!("team/app"), &json!("manifest"), &json!(["v1"]))
        );
        let path = format!("/v2/team/app/_lockgate/trash/{}", deleted["id"].as_str().expect("it has one"));
        api.call("POST", &format!("{path}?tag=v2")).unwrap().expect(400);
        let other = api.push_image("team/app", "v1", b"two");
        let taken = api.call("POST", &format!("{path}?tag=v1")).unwrap().expect(409).json();
        assert!(taken["errors"][0]["message"].as_str().is_some_and(|text| text.contains("delete it first")), "{taken}");
        answers(&backend, format!("/v2/team/app/manifests/{image}"), 404);
        api.call("DELETE", &format!("/v2/team/app/manifests/{other}")).unwrap().expect(202);
        let restored = api.call("POST", &format!("{path}?tag=v1")).unwrap().expect(201);
        assert_eq!(restored.head.one("oci-tag"), "v1");
        assert_eq!(restored.head.one("location"), format!("/v2/team/app/manifests/{image}"));
        assert_eq!(digest_of(&answers(&backend, "/v2/team/app/manifests/v1", 200)), image);
        api.call("POST", &path).unwrap().expect(404);
        api.call("PUT", &path).unwrap().expect(405);
        api.call("POST", "/v2/team/app/_lockgate/trash/x").unwrap().expect(404);
    });
}
