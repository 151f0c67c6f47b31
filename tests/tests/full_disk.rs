//! Promise: a full disk is a clear answer and nothing else: what is there is still served, nothing half made is seen,
//! and pushes go on once there is room.

use lockgate_e2e::{Backend, PATIENCE, PlainApi, Response, Tmpfs, digest_of, eventually, image_of};

const MIB: usize = 1 << 20;

/// The disk is filled to its end.
const NO_RESERVE: &str = "storage.min_free = 0";

/// Bytes that no two pushes share.
fn content(seed: usize, length: usize) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..length).map(|i| (i.wrapping_mul(31).wrapping_add(seed)) as u8).collect();
    bytes.extend(seed.to_be_bytes());
    bytes
}

#[track_caller]
fn assert_says_that_the_disk_is_full(answer: &Response) {
    let body = String::from_utf8_lossy(&answer.body).into_owned();
    assert_eq!(answer.head.status(), 507, "{:#?}: {body}", answer.head);
    assert!(answer.head.one("content-type").starts_with("application/json"));
    let message = answer.json()["errors"][0]["message"].as_str().expect("it is a refusal of the registry's").to_owned();
    assert!(message.contains("full") && message.contains("push again"), "{message}");
    assert!(!message.contains('/'), "paths are not told: {message}");
}

#[test]
fn a_push_that_does_not_fit_is_refused_and_leaves_no_trace() {
    let disk = Tmpfs::new(4 * MIB as u64);
    let backend = Backend::configured_over(disk.path(), NO_RESERVE);
    let mut api = PlainApi::at(backend.url());
    let small = content(1, 100_000);
    let image = api.push_image("team/app", "v1", &small);
    for round in 0..3 {
        let begun = api.begin("team/app").unwrap().expect(202);
        let location = begun.head.one("location").to_owned();
        let refused = if round == 0 {
            api.append(&location, &content(2, 6 * MIB)).unwrap()
        } else {
            api.commit(&location, &digest_of(&content(2, 6 * MIB)), &content(2, 6 * MIB)).unwrap()
        };
        assert_says_that_the_disk_is_full(&refused);
        // It does not hold the room that others need.
        assert_eq!(api.call("GET", &location).unwrap().head.status(), 404);
        let next = content(10 + round, 50_000);
        api.push_blob("team/app", &next).unwrap().expect(201);
    }
    let pulled = api.call("GET", &format!("/v2/team/app/blobs/{}", digest_of(&small))).unwrap().expect(200);
    assert!(pulled.body == small);
    let manifest = api.call("GET", "/v2/team/app/manifests/v1").unwrap().expect(200);
    assert_eq!(digest_of(&manifest.body), image);
}

#[test]
fn a_disk_that_fills_up_in_the_middle_of_a_push_serves_on_and_heals() {
    let disk = Tmpfs::new(8 * MIB as u64);
    let backend = Backend::configured_over(disk.path(), NO_RESERVE);
    let mut api = PlainApi::at(backend.url());
    let small = content(1, 100_000);
    let image = api.push_image("team/app", "v1", &small);

    let begun = api.begin("team/app").unwrap().expect(202);
    let appended = api.append(begun.head.one("location"), &content(2, MIB)).unwrap().expect(202);
    disk.fill(0);
    assert_says_that_the_disk_is_full(&api.append(appended.head.one("location"), &content(3, 2 * MIB)).unwrap());
    disk.fill(0);
    for _ in 0..3 {
        let answer = api.push_blob("team/app", &content(4, 200_000)).unwrap();
        assert_says_that_the_disk_is_full(&answer);
        let other = image_of(&[digest_of(&small), digest_of(&small)]);
        assert_says_that_the_disk_is_full(&api.put_manifest("team/app", "v2", &other).unwrap());
        assert_eq!(api.call("GET", "/v2/team/app/manifests/v2").unwrap().head.status(), 404);
        let pulled = api.call("GET", &format!("/v2/team/app/blobs/{}", digest_of(&small))).unwrap().expect(200);
        assert!(pulled.body == small);
        assert_eq!(digest_of(&api.call("GET", "/v2/team/app/manifests/v1").unwrap().expect(200).body), image);
        let tags = api.call("GET", "/v2/team/app/tags/list").unwrap().expect(200).json();
        assert_eq!(tags["tags"], serde_json::json!(["v1"]));
    }
    disk.make_room();
    api.push_image("team/app", "v2", &content(4, 200_000));
    api.call("GET", "/v2/team/app/manifests/v2").unwrap().expect(200);
}

/// A push takes a dozen steps in the file system: with one page more each time, each of them is the one that fails.
#[test]
fn whichever_step_finds_the_disk_full_nothing_half_made_is_seen() {
    let disk = Tmpfs::new(4 * MIB as u64);
    let backend = Backend::configured_over(disk.path(), NO_RESERVE);
    let mut api = PlainApi::at(backend.url());
    let mut accepted = 0;
    for pages in 0..24 {
        let (repository, blob) = (format!("app-{pages}"), content(pages, 3000));
        let manifest = image_of(&[digest_of(&blob)]);
        disk.fill(pages as u64 * 4096);
        let pushed = api.push_blob(&repository, &blob).unwrap();
        let put = api.put_manifest(&repository, "v1", &manifest).unwrap();
        match pushed.head.status() {
            201 => {
                let pulled = api.call("GET", &format!("/v2/{repository}/blobs/{}", digest_of(&blob))).unwrap();
                assert!(pulled.expect(200).body == blob, "{pages} pages");
            }
            _ => {
                assert_says_that_the_disk_is_full(&pushed);
                assert_eq!(put.head.status(), 404, "its blob is not there");
            }
        }
        let by_tag = api.call("GET", &format!("/v2/{repository}/manifests/v1")).unwrap();
        match put.head.status() {
            201 => accepted += 1,
            404 => {}
            _ => assert_says_that_the_disk_is_full(&put),
        }
        assert_eq!(by_tag.head.status() == 200, put.head.status() == 201, "{pages} pages");
        disk.make_room();
        api.push_image(&repository, "v1", &blob);
        let healed = api.call("GET", &format!("/v2/{repository}/manifests/v1")).unwrap().expect(200);
        assert_eq!(healed.body, manifest.to_string().as_bytes());
    }
    assert!((1..24).contains(&accepted), "{accepted} of 24 fitted: the test must see both sides");
}

#[test]
fn a_disk_that_is_nearly_full_takes_no_uploads_until_there_is_room_and_everything_else_goes_on() {
    let disk = Tmpfs::new(16 * MIB as u64);
    let settings = "storage.min_free = '8MiB'\nstorage.trash_age = '1s'\ncollect.grace = '1s'\ncollect.interval = '1s'\n\
                    collect.rate = '100%'";
    let backend = Backend::configured_over(disk.path(), settings);
    let mut api = PlainApi::at(backend.url());
    let kept = api.push_image("a", "kept", b"kept");
    let mut images = Vec::new();
    let refused = loop {
        let layer = content(images.len(), 2 * MIB);
        let answer = api.push_blob("a", &layer).unwrap();
        if answer.head.status() != 201 {
            break answer;
        }
        api.put_manifest("a", "v1", &image_of(&[digest_of(&layer)])).unwrap().expect(201);
        images.push(digest_of(image_of(&[digest_of(&layer)]).to_string().as_bytes()));
        assert!(images.len() < 8, "the disk has no more");
    };
    let message = refused.expect(507).json()["errors"][0]["message"].to_string();
    assert!(message.contains("storage.min_free, 8MiB") && message.contains("lockgate-backend collect"), "{message}");
    api.call("GET", &format!("/v2/a/manifests/{kept}")).unwrap().expect(200);
    // What has come already is not lost for a manifest.
    api.put_manifest("a", "v2", &image_of(&[digest_of(b"kept"), digest_of(b"kept")])).unwrap().expect(201);
    for image in &images {
        api.call("DELETE", &format!("/v2/a/manifests/{image}")).unwrap().expect(202);
    }
    eventually(PATIENCE, "the room of what was deleted", || {
        (api.push_blob("a", &content(100, 2 * MIB)).unwrap().head.status() == 201).then_some(())
    });
}
