//! Promise: podman with partial pulls (`zstd:chunked`) fetches of a changed image what has changed, and from us at most
//! twice what it fetches from distribution.

use lockgate_e2e::{
    Capture, DockerRegistry, Door, Gate, PATIENCE, Pattern, Podman, Skopeo, Up, finish, fresh_dir, tool,
};
use serde_json::Value;
use std::fs;
use std::path::Path;

const FILES: u64 = 8;
const FILE_SIZE: u64 = 500_000;
// Not beside each other: podman asks for two ranges.
const CHANGED: [u64; 2] = [1, 5];

/// The files of a version of the image, by name.
fn files(version: u64) -> impl Iterator<Item = (String, Vec<u8>)> {
    (0..FILES).map(move |file| {
        let seed = if CHANGED.contains(&file) { version * FILES + file } else { file };
        (format!("file-{file}"), Pattern::new(seed, FILE_SIZE).bytes())
    })
}

/// A layer of these files, as a tar archive.
fn archive(dir: &Path, version: u64) -> String {
    let content = dir.join(format!("v{version}"));
    fs::create_dir(&content).expect("the directory is ours");
    files(version).for_each(|(name, bytes)| fs::write(content.join(name), bytes).expect("the directory is ours"));
    let archive = content.with_extension("tar");
    finish(tool("tar").arg("-C").arg(&content).arg("-cf").arg(&archive).arg(".")).success();
    archive.display().to_string()
}

/// The bytes that an access log says were sent of `layer`, once more than its table of contents was.
fn sent_of(layer: &str, log: &Capture) -> u64 {
    let sent = |line: &str| -> Option<u64> {
        let (_, rest) = line.split_once("access: ")?.1.split_once(layer)?.1.split_once("bytes_out=")?;
        rest.split(' ').next()?.parse().ok()
    };
    log.await_line(PATIENCE, "what was sent of the layer", |line| sent(line).is_some_and(|bytes| bytes >= FILE_SIZE));
    log.text().lines().filter_map(sent).sum()
}

/// Pushes two versions, pulls both, and returns the bytes that the second one's layer took.
fn fetched_for_the_second_version(door: &Door, log: &Capture) -> u64 {
    let podman = Podman::pulling_partially_at(door);
    let credentials = door.credentials();
    let access = ["--cert-dir", "CERTS", "--creds", &credentials];
    let dir = fresh_dir();
    for (version, image) in [(1, "DOOR/team/app:v1"), (2, "DOOR/team/app:v2")] {
        podman.run(&["import", &archive(dir.path(), version), image]).success();
        podman.run(&[&["push", "--compression-format", "zstd:chunked"], &access[..], &[image]].concat()).success();
    }
    podman.run(&["rmi", "--all", "--force"]).success();
    for image in ["DOOR/team/app:v1", "DOOR/team/app:v2"] {
        let pulled = podman.run(&[&["--log-level", "debug", "pull"], &access[..], &[image]].concat()).success();
        assert!(pulled.stderr.contains("Retrieved partial blob"), "the whole layer was pulled: {pulled}");
    }
    let inspect = ["image", "inspect", "--format", "{{.GraphDriver.Data.UpperDir}}", "DOOR/team/app:v2"];
    let content = podman.run(&inspect).success().stdout;
    for (name, bytes) in files(2) {
        assert!(
            fs::read(Path::new(content.trim()).join(&name)).expect("podman wrote it") == bytes,
            "{name} is another"
        );
    }
    let manifest = Skopeo::at(door).on("team/app:v2", &["inspect", "--raw"]).success().stdout;
    let manifest: Value = serde_json::from_str(&manifest).expect("a manifest is JSON");
    sent_of(manifest["layers"][0]["digest"].as_str().expect("a layer has a digest"), log)
}

#[test]
fn podman_fetches_the_files_that_changed() {
    let dir = fresh_dir();
    let up = Up::in_fresh(dir.path());
    let from_us = fetched_for_the_second_version(up.door(), up.process().stderr());
    let data = fresh_dir();
    let registry = DockerRegistry::over(data.path());
    let gate = Gate::before(registry.url()).start();
    let from_distribution = fetched_for_the_second_version(gate.door(), gate.log());
    assert!(from_us <= 2 * from_distribution, "{from_us} bytes, and {from_distribution} from distribution");
    assert!(from_us < 3 * FILE_SIZE, "{from_us} bytes for {} files of {FILE_SIZE}", CHANGED.len());
}
