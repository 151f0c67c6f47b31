//! What nobody needs goes.

use crate::commands::{Site, answers};
use lockgate_e2e::{DockerRegistry, PATIENCE, PlainApi, digest_of, eventually, finish, tool};
use std::fs;
use std::path::Path;

const MIB: usize = 1 << 20;

/// Ages of seconds, so that no test waits for days.
const SHORT: &str = "storage.trash_age = '1s'\ncollect.grace = '1s'\ncollect.interval = '0s'\ncollect.rate = '100%'";

fn used(directory: &Path) -> u64 {
    let entries = fs::read_dir(directory).expect("it is read").map(|entry| entry.expect("it is one"));
    let sizes = entries.map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => used(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    });
    sizes.sum()
}

#[test]
fn the_room_of_a_deleted_image_comes_back() {
    let site = Site::in_directory(SHORT);
    let backend = site.serve();
    let mut api = PlainApi::at(backend.url());
    let kept = api.push_image("a", "kept", b"kept");
    let before = used(site.data());
    let layer = vec![7; 256 * MIB];
    let image = api.push_image("a", "v1", &layer);
    api.call("DELETE", &format!("/v2/a/manifests/{image}")).unwrap().expect(202);
    assert!(used(site.data()) > before + layer.len() as u64);
    let freed = eventually(PATIENCE, "its room", || {
        site.says(&["collect"]);
        let now = used(site.data());
        (now < before + MIB as u64).then_some(now)
    });
    assert!(freed >= before / 2, "something else is gone");
    assert_eq!(digest_of(&answers(&backend, "/v2/a/manifests/kept", 200)), kept);
    assert_eq!(answers(&backend, format!("/v2/a/blobs/{}", digest_of(b"kept")), 200), b"kept");
    backend.stop();
    // Distribution's own collector finds nothing to complain of.
    let config = site.file("registry.yml");
    let text = format!("version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {}\n", site.data().display());
    fs::write(&config, text).expect("the directory is ours");
    let said = finish(tool("docker-registry").args(["garbage-collect", "--dry-run"]).arg(&config)).success().output();
    assert!(said.contains("0 blobs and 0 manifests eligible for deletion"), "{said}");
}

#[test]
fn it_collects_by_itself() {
    for site in [Site::in_directory, Site::in_bucket].map(|site| site(&SHORT.replace("'0s'", "'1s'"))) {
        let backend = site.serve();
        let mut api = PlainApi::at(backend.url());
        api.push_image("a", "v1", b"kept");
        api.push_blob("a", b"alone").unwrap().expect(201);
        // Its link may have gone in the run before, which was the first to find it old.
        backend.process().stderr().await_line(2 * PATIENCE, "its end", |line| line.contains(", 5 B freed"));
        answers(&backend, format!("/v2/a/blobs/{}", digest_of(b"alone")), 404);
        answers(&backend, format!("/v2/a/blobs/{}", digest_of(b"kept")), 200);
    }
}

#[test]
fn an_image_that_is_run_by_its_digest_is_there_after_ten_runs() {
    let site = Site::in_directory(SHORT);
    let backend = site.serve();
    let mut api = PlainApi::at(backend.url());
    let running = api.push_image("a", "latest", b"one");
    api.push_image("a", "latest", b"two");
    eventually(PATIENCE, "the end of its way back", || {
        site.says(&["trash", "list"]).contains("empty").then_some(()).or_else(|| {
            site.says(&["collect"]);
            None
        })
    });
    for _ in 0..10 {
        site.says(&["collect"]);
    }
    assert_eq!(digest_of(&answers(&backend, format!("/v2/a/manifests/{running}"), 200)), running);
    assert_eq!(answers(&backend, format!("/v2/a/blobs/{}", digest_of(b"one")), 200), b"one");
}

#[test]
fn a_plan_says_what_goes_and_what_is_taken_out_of_it_stays() {
    for site in [Site::in_directory, Site::in_bucket].map(|site| site(SHORT)) {
        let backend = site.serve();
        let mut api = PlainApi::at(backend.url());
        for content in [b"one", b"two"] {
            api.push_blob("a", content).unwrap().expect(201);
        }
        let [one, two] = [b"one", b"two"].map(|content| digest_of(content));
        let file = site.file("plan");
        let plan = eventually(PATIENCE, "both are old", || {
            site.says(&["collect", "--plan", file.to_str().unwrap()]);
            let plan = fs::read_to_string(&file).unwrap();
            (plan.lines().count() == 7).then_some(plan)
        });
        assert!(plan.contains(&format!("blob {one}  # no repository uses it, 3 B")), "{plan}");
        assert!(plan.contains(&format!("link a@{two}  # no manifest of a names it")), "{plan}");
        let less: String = plan.lines().filter(|line| !line.contains(&two)).map(|line| format!("{line}\n")).collect();
        fs::write(&file, less).unwrap();
        let said = site.says(&["collect", "--apply", file.to_str().unwrap()]);
        assert!(said.contains("removed 2 objects, 3 B freed"), "{said}");
        answers(&backend, format!("/v2/a/blobs/{one}"), 404);
        answers(&backend, format!("/v2/a/blobs/{two}"), 200);
        fs::write(&file, "everything\n").unwrap();
        let refused = site.command(&["collect", "--apply", file.to_str().unwrap()]).failure().output();
        assert!(refused.contains("names nothing that a collection removes"), "{refused}");
    }
}

#[test]
fn a_volume_that_distribution_filled_is_collected_with_its_orphans() {
    let site = Site::in_directory(SHORT);
    let registry = DockerRegistry::over(site.data());
    let mut api = PlainApi::at(registry.url());
    let image = api.push_image("team/app", "v1", b"one");
    api.push_blob("team/app", b"orphan").unwrap().expect(201);
    drop(registry);
    eventually(PATIENCE, "the orphan is old", || {
        site.says(&["collect"]).contains("removed 2 objects, 6 B").then_some(())
    });
    let registry = DockerRegistry::over(site.data());
    let mut api = PlainApi::at(registry.url());
    assert_eq!(digest_of(&api.call("GET", "/v2/team/app/manifests/v1").unwrap().expect(200).body), image);
    api.call("GET", &format!("/v2/team/app/blobs/{}", digest_of(b"one"))).unwrap().expect(200);
    api.call("GET", &format!("/v2/team/app/blobs/{}", digest_of(b"orphan"))).unwrap().expect(404);
}
