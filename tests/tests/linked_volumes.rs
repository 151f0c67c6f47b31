//! Promise: a volume of which links lead to other disks is used as one, and one that is read-only is served, with a clear
//! word to who pushes.

use lockgate_e2e::{Backend, PlainApi, Tmpfs, digest_of, finish, fresh_dir, image_of, program};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

const MIB: u64 = 1 << 20;

fn every_file(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).expect("it is there").map(|entry| entry.expect("it is read")) {
        let path = entry.path();
        if path.is_dir() {
            found.extend(every_file(&path));
        }
        found.push(path);
    }
    found
}

#[test]
fn a_part_of_the_volume_on_another_disk_is_pushed_to_pulled_from_and_deleted_from() {
    for linked in ["repositories", "repositories/team", "repositories/team/app", "blobs"] {
        let (data, disk) = (fresh_dir(), Tmpfs::new(32 * MIB));
        let (elsewhere, link) = (disk.path().join("part"), data.path().join("docker/registry/v2").join(linked));
        fs::create_dir(&elsewhere).unwrap();
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        symlink(&elsewhere, &link).unwrap();
        let backend = Backend::configured_over(data.path(), "storage.min_free = 0");
        let mut api = PlainApi::at(backend.url());
        let layer = vec![7; 3_000_000];
        let image = api.push_image("team/app", "v1", &layer);
        api.push_image("team/app", "v2", b"another layer");
        api.put_manifest("team/app", "v2", &image_of(&[digest_of(&layer)])).unwrap().expect(201);
        let blob = format!("/v2/team/app/blobs/{}", digest_of(&layer));
        assert!(api.call("GET", &blob).unwrap().expect(200).body == layer, "{linked}");
        api.call("HEAD", &blob).unwrap().expect(200);

        let begun = api.begin("team/app").unwrap().expect(202);
        let location = begun.head.one("location");
        api.append(location, b"first ").unwrap().expect(202);
        api.commit(location, &digest_of(b"first second"), b"second").unwrap().expect(201);
        let begun = api.begin("team/app").unwrap().expect(202);
        api.commit(begun.head.one("location"), &digest_of(b"one"), b"two").unwrap().expect(400);
        let begun = api.begin("team/app").unwrap().expect(202);
        api.call("DELETE", begun.head.one("location")).unwrap().expect(204);

        api.call("DELETE", "/v2/team/app/manifests/v2").unwrap().expect(202);
        api.call("DELETE", &format!("/v2/team/app/manifests/{image}")).unwrap().expect(202);
        api.call("DELETE", &blob).unwrap().expect(202);
        api.call("HEAD", "/v2/team/app/manifests/v1").unwrap().expect(404);
        backend.stop();
        let left = every_file(&elsewhere).into_iter().chain(every_file(data.path()));
        let left: Vec<_> = left.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with('.')).collect();
        assert_eq!(left, [data.path().join(".lockgate")], "{linked}");
    }
}

#[test]
fn a_read_only_volume_is_served_and_whoever_pushes_is_told() {
    let disk = Tmpfs::new(8 * MIB);
    let layer = b"a layer";
    let backend = Backend::configured_over(disk.path(), "storage.min_free = 0");
    let image = PlainApi::at(backend.url()).push_image("team/app", "v1", layer);
    backend.stop();
    disk.make_read_only();

    let dir = fresh_dir();
    let config = dir.path().join("backend.toml");
    fs::write(&config, format!("storage.data = '{}'\n", disk.path().display())).unwrap();
    let checked = finish(program("lockgate-backend").arg("check").arg("--config").arg(&config)).success();
    assert!(checked.stderr.contains("warning: storage.data") && checked.stderr.contains("read-only"), "{checked}");

    let backend = Backend::configured_over(disk.path(), "storage.min_free = 0");
    let mut api = PlainApi::at(backend.url());
    let (blob, manifest) =
        (format!("/v2/team/app/blobs/{}", digest_of(layer)), format!("/v2/team/app/manifests/{image}"));
    for path in [&blob, &manifest, "/v2/team/app/manifests/v1"] {
        api.call("GET", path).unwrap().expect(200);
    }
    api.call("HEAD", &blob).unwrap().expect(200);
    let mount = format!("/v2/other/blobs/uploads/?mount={}&from=team/app", digest_of(layer));
    let mut refused = vec![api.put_manifest("team/app", "v2", &image_of(&[digest_of(layer)])).unwrap()];
    for (method, path) in [
        ("POST", "/v2/team/app/blobs/uploads/"),
        ("POST", "/v2/new/blobs/uploads/"),
        ("POST", &mount),
        ("DELETE", &blob),
        ("DELETE", &manifest),
        ("DELETE", "/v2/team/app/manifests/v1"),
    ] {
        refused.push(api.call(method, path).unwrap());
    }
    for answer in refused {
        let error = answer.expect(403).json()["errors"][0].clone();
        assert_eq!(error["code"], "DENIED");
        assert!(error["message"].as_str().unwrap().contains("read-only"), "{error}");
    }
}
