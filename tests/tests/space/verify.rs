//! What is damaged is found, and mended by the next push.

use crate::commands::{Site, answers};
use lockgate_e2e::{PATIENCE, PlainApi, Process, Signal, digest_of};
use std::fs;

#[test]
fn damaged_bytes_are_found_and_the_next_push_mends_them() {
    let site = Site::in_directory("collect.rate = '100%'");
    let backend = site.serve();
    let mut api = PlainApi::at(backend.url());
    let image = api.push_image("team/app", "v1", b"one");
    api.push_image("team/app", "v2", b"two");
    api.push_image("team/other", "v1", b"one");
    let said = site.says(&["verify"]);
    assert!(said.starts_with("read 4 blobs ("), "{said}");
    let layer = digest_of(b"one");
    let hex = layer.strip_prefix("sha256:").expect("it is one");
    let data = site.data().join("docker/registry/v2/blobs/sha256").join(&hex[..2]).join(hex).join("data");
    fs::write(&data, b"0ne").expect("it is there");
    let found = site.command(&["verify"]).failure().output();
    assert!(found.contains(&format!("damaged: {layer} has bytes with the digest {}", digest_of(b"0ne"))), "{found}");
    assert!(found.contains(&format!("not whole: team/app@{image} (v1) lacks {layer}")), "{found}");
    assert!(found.contains(&format!("not whole: team/other@{image} (v1) lacks {layer}")), "{found}");
    assert!(found.contains("run it with --repair") && !found.contains("(v2)"), "{found}");
    let repaired = site.command(&["verify", "--repair"]).failure().output();
    assert!(repaired.contains("it is out of the way: push it again"), "{repaired}");
    assert_eq!(fs::read(site.data().join(format!(".lockgate/damaged/sha256-{hex}"))).expect("it is kept"), b"0ne");
    answers(&backend, format!("/v2/team/app/blobs/{layer}"), 404);
    PlainApi::at(backend.url()).push_blob("team/app", b"one").unwrap().expect(201);
    for repository in ["team/app", "team/other"] {
        assert_eq!(answers(&backend, format!("/v2/{repository}/blobs/{layer}"), 200), b"one");
    }
    let said = site.says(&["verify"]);
    assert!(said.starts_with("read 4 blobs ("), "{said}");
}

#[test]
fn a_damaged_manifest_stops_the_collector_until_it_is_repaired() {
    let site = Site::in_directory("collect.grace = '1s'\ncollect.rate = '100%'");
    let backend = site.serve();
    let image = PlainApi::at(backend.url()).push_image("team/app", "v1", b"one");
    let hex = image.strip_prefix("sha256:").expect("it is one");
    let data = site.data().join("docker/registry/v2/blobs/sha256").join(&hex[..2]).join(hex).join("data");
    fs::write(&data, b"{}").expect("it is there");
    let refused = site.command(&["collect"]).failure().output();
    assert!(
        refused.contains(&format!("team/app@{image} is damaged")) && refused.contains("verify --repair"),
        "{refused}"
    );
    site.command(&["verify", "--repair"]).failure();
    site.command(&["collect"]).success();
    assert_eq!(PlainApi::at(backend.url()).push_image("team/app", "v1", b"one"), image);
    assert_eq!(digest_of(&answers(&backend, "/v2/team/app/manifests/v1", 200)), image);
}

#[test]
fn a_run_that_was_cut_off_goes_on_where_it_was_with_what_it_had_found() {
    let site = Site::in_directory("collect.rate = '1%'");
    let backend = site.serve();
    let mut api = PlainApi::at(backend.url());
    let contents: Vec<Vec<u8>> = (0..600_u32).map(|seed| seed.to_le_bytes().repeat(1 << 17)).collect();
    for content in &contents {
        api.push_blob("a", content).unwrap().expect(201);
    }
    backend.stop();
    let first = contents.iter().map(|content| digest_of(content)).min().expect("there are some");
    let hex = first.strip_prefix("sha256:").expect("it is one");
    let data = site.data().join("docker/registry/v2/blobs/sha256").join(&hex[..2]).join(hex).join("data");
    let mut bytes = fs::read(&data).expect("it is there");
    bytes[0] ^= 1;
    fs::write(&data, bytes).expect("it is there");
    let mut run = Process::start(&mut site.asking(&["verify"]));
    let is_under_way = |line: &str| line.contains("% read") && !line.starts_with("0 %");
    run.stdout().await_line(6 * PATIENCE, "how far it is", is_under_way);
    run.signal(Signal::Kill);
    run.wait(PATIENCE);
    let on = lockgate_e2e::finish(site.asking(&["verify"]).env("LOCKGATE_BACKEND_COLLECT_RATE", "100%"));
    let said = on.failure().output();
    assert!(said.contains("goes on where a run was cut off") && said.contains("1 blob damaged"), "{said}");
    let read = said.split("read ").last().and_then(|rest| rest.split(' ').next()).and_then(|text| text.parse().ok());
    assert!(read.is_some_and(|read: u32| read < 600), "{said}");
}
