//! How much repositories may have.

use crate::commands::Site;
use lockgate_e2e::{Backend, Bucket, PATIENCE, PlainApi, eventually};

const KIB: usize = 1 << 10;

/// Ages of a second, so that no test waits for days.
const SHORT: &str = "storage.trash_age = '1h'\ncollect.grace = '1s'\ncollect.interval = '0s'\ncollect.rate = '100%'\n";
const QUOTA: &str = "[[quota]]\nrepositories = 'team/**'\nbytes = '100KiB'\n";

/// How a push of a layer of so many KiB is answered, all of whose bytes are this one.
fn push(backend: &Backend, repository: &str, byte: u8, kib: usize) -> u16 {
    PlainApi::at(backend.url()).push_blob(repository, &vec![byte; kib * KIB]).expect("it answers").head.status()
}

/// What is taken of the quota that a repository has; 0 where nothing is known of it.
fn taken(backend: &Backend, repository: &str) -> u64 {
    let path = format!("/v2/{repository}/_lockgate/usage");
    let answer = PlainApi::at(backend.url()).call("GET", &path).expect("it answers");
    if answer.head.status() == 404 { 0 } else { answer.json()["quotas"][0]["taken"].as_u64().expect("it is bound") }
}

#[test]
fn what_was_deleted_makes_room_once_nobody_can_restore_it() {
    for site in [Site::in_directory, Site::in_bucket].map(|site| site(&format!("{SHORT}{QUOTA}"))) {
        let backend = site.serve();
        let mut api = PlainApi::at(backend.url());
        api.push_image("team/app", "v1", &[1; 60 * KIB]);
        let refused = api.push_blob("team/other", &[2; 60 * KIB]).expect("it answers").expect(403).json();
        let message = refused["errors"][0]["message"].to_string();
        assert!(refused["errors"][0]["code"] == "DENIED" && message.contains("of the 102400 bytes"), "{message}");
        api.call("DELETE", "/v2/team/app/manifests/v1").expect("it answers").expect(202);
        assert!(taken(&backend, "team/app") > 60 << 10);
        // The tag is gone, and its image is there still: it goes by digest.
        let digest = site
            .says(&["trash", "list"])
            .split_whitespace()
            .find(|word| word.starts_with("sha256:"))
            .unwrap()
            .to_owned();
        api.call("DELETE", &format!("/v2/team/app/manifests/{digest}")).expect("it answers").expect(202);
        site.says(&["collect"]);
        assert_eq!(push(&backend, "team/other", 2, 60), 403, "it can be restored");
        site.says(&["trash", "empty"]);
        eventually(PATIENCE, "its layer is old", || {
            site.says(&["collect"]);
            (push(&backend, "team/other", 2, 60) == 201).then_some(())
        });
        assert_eq!(push(&backend, "team/third", 3, 60), 403);
        // A process that begins knows what is taken.
        backend.stop();
        let backend = site.serve();
        eventually(PATIENCE, "it is known", || (taken(&backend, "team/other") >= 60 << 10).then_some(()));
        assert_eq!(push(&backend, "team/third", 3, 50), 403);
        assert_eq!(push(&backend, "elsewhere", 3, 60), 201);
    }
}

#[test]
fn what_is_pushed_at_one_node_counts_at_the_others_within_seconds() {
    let bucket = Bucket::fresh();
    let [one, other] = [(); 2].map(|()| Backend::configured_on(&bucket, &format!("{SHORT}{QUOTA}")));
    assert_eq!(push(&one, "team/app", 1, 60), 201);
    assert_eq!(push(&one, "team/app", 2, 60), 403);
    eventually(2 * PATIENCE, "the other knows of it", || (taken(&other, "team/app") == 60 << 10).then_some(()));
    assert_eq!((push(&other, "team/other", 2, 30), push(&other, "team/other", 3, 30)), (201, 403));
}

#[test]
fn a_quota_is_read_again_without_a_restart() {
    let site = Site::in_directory(QUOTA);
    let backend = site.serve();
    assert_eq!(push(&backend, "team/app", 1, 101), 403);
    backend.rewrite_config(|text| text.replace("100KiB", "200KiB"));
    eventually(2 * PATIENCE, "it is read again", || (push(&backend, "team/app", 1, 101) == 201).then_some(()));
}
