//! Promise: what a 201 acknowledged survives a loss of power, and what a crash left is never seen. Nobody can pull the
//! plug of a test machine, so the order of the system calls is checked against what a disk promises: a file's bytes are
//! on it once the file was synced, and a name once its directory was.

use lockgate_e2e::{Backend, PATIENCE, PlainApi, SystemCall, Trace, digest_of, fresh_dir, image_of};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

const WRITES: &[&str] = &["write", "pwrite64", "writev", "pwritev", "pwritev2", "ftruncate", "sendto", "sendmsg"];
const NAMES: &[&str] = &["openat", "rename", "renameat", "renameat2", "link", "linkat", "mkdir", "mkdirat", "unlink"];
const SYNCS: &[&str] = &["fsync", "fdatasync"];
const READS: &[&str] = &["read", "pread64", "readv", "preadv", "preadv2", "sendfile", "splice", "copy_file_range"];

/// What would be lost if the power went now.
#[derive(Default)]
struct Disk {
    /// Files with bytes, or their own existence, not yet on disk, and when that became so.
    unsynced_files: BTreeMap<String, usize>,
    /// Names made or removed whose directory was not yet synced, and when they were.
    unsynced_names: BTreeMap<String, usize>,
    /// Where something was moved to, or made to be seen at.
    seen: BTreeSet<String>,
    answers: usize,
    violations: Vec<String>,
}

/// Whether readers look there: not at what is in the making.
fn is_visible(path: &str) -> bool {
    path.contains("/docker/registry/") && !path.contains("/_uploads/")
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

impl Disk {
    /// Goes through the calls in the order in which they began. A call counts as done when it began where that is the
    /// more dangerous, and a sync covers only what was over before it began.
    fn replay(calls: &[SystemCall]) -> Self {
        let mut disk = Self::default();
        let mut events: Vec<(usize, bool, &SystemCall)> = Vec::new();
        for call in calls {
            events.push((call.began, false, call));
            events.push((call.ended, true, call));
        }
        // What began and ended on one line did so in this order.
        events.sort_by_key(|(line, ended, _)| (*line, *ended));
        for (_, ended, call) in events {
            if ended { disk.ended(call) } else { disk.began(call) }
        }
        disk
    }

    fn began(&mut self, call: &SystemCall) {
        let name = call.name.as_str();
        if WRITES.contains(&name) {
            if call.arguments.contains("HTTP/1.1 2") {
                self.answered(call);
            }
            if let Some(file) = call.file().filter(|file| file.starts_with('/')) {
                self.unsynced_files.insert(file.to_owned(), call.ended);
            }
        } else if name.starts_with("rename") || name.starts_with("link") {
            let paths = call.texts();
            if is_visible(paths[1]) && self.unsynced_files.contains_key(paths[0]) {
                self.violations.push(format!("moved to where it is seen before it was synced: {call:?}"));
            }
        }
    }

    fn ended(&mut self, call: &SystemCall) {
        if !call.succeeded() {
            return;
        }
        let (name, paths) = (call.name.as_str(), call.texts());
        if name == "openat" && call.arguments.contains("O_CREAT") {
            self.unsynced_files.insert(paths[0].to_owned(), call.ended);
            self.unsynced_names.insert(paths[0].to_owned(), call.ended);
        } else if name.starts_with("mkdir") || name.starts_with("unlink") {
            self.unsynced_names.insert(paths[0].to_owned(), call.ended);
        } else if name.starts_with("rename") || name.starts_with("link") {
            self.unsynced_names.extend(paths.iter().map(|path| ((*path).to_owned(), call.ended)));
            self.seen.insert(paths[1].to_owned());
            self.unsynced_files.remove(paths[0]);
        } else if SYNCS.contains(&name) {
            let Some(synced) = call.file() else { return };
            self.unsynced_files.retain(|file, since| file != synced || *since > call.began);
            self.unsynced_names.retain(|name, since| parent(name) != synced || *since > call.began);
        }
    }

    fn answered(&mut self, call: &SystemCall) {
        self.answers += 1;
        let unsynced = self.unsynced_names.keys().filter(|name| is_visible(name));
        self.violations
            .extend(unsynced.map(|name| format!("answered before its directory was synced: {name}: {call:?}")));
    }
}

fn watched(names: &[&[&'static str]]) -> Vec<&'static str> {
    names.concat()
}

#[test]
fn nothing_is_acknowledged_before_it_would_survive_a_loss_of_power() {
    let data = fresh_dir();
    let backend = Backend::over(data.path());
    let mut api = PlainApi::at(backend.url());
    let trace = Trace::of(backend.process(), &watched(&[WRITES, NAMES, SYNCS]));
    let layer: Vec<u8> = (0..700_000_u32).map(|i| i.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    api.push_blob("team/app", &layer).unwrap().expect(201);
    api.push_blob("team/app", b"").unwrap().expect(201);
    let manifest = image_of(&[digest_of(&layer), digest_of(b"")]);
    api.put_manifest("team/app", "v1", &manifest).unwrap().expect(201);
    let image = digest_of(manifest.to_string().as_bytes());
    let mut signature = image_of(&[digest_of(b"")]);
    signature["subject"] = serde_json::json!({"mediaType": "x/y", "digest": image, "size": 1});
    let signature_digest = digest_of(signature.to_string().as_bytes());
    api.put_manifest("team/app", &signature_digest, &signature).unwrap().expect(201);
    let mount = format!("/v2/other/blobs/uploads/?mount={}&from=team/app", digest_of(&layer));
    api.call("POST", &mount).unwrap().expect(201);
    api.call("DELETE", "/v2/team/app/manifests/v1").unwrap().expect(202);
    api.call("DELETE", &format!("/v2/team/app/manifests/{image}")).unwrap().expect(202);
    api.call("DELETE", &format!("/v2/other/blobs/{}", digest_of(&layer))).unwrap().expect(202);
    let calls = trace.finish();

    let disk = Disk::replay(&calls);
    assert_eq!(disk.violations, [""; 0]);
    // The trace saw it all: every answer, and every name that distribution would look for.
    assert_eq!(disk.answers, 3 + 3 + 1 + 1 + 1 + 3);
    let hex = |digest: &str| digest.trim_start_matches("sha256:").to_owned();
    let blob = |digest: &str| format!("blobs/sha256/{}/{}/data", &hex(digest)[..2], hex(digest));
    let (layer, empty) = (digest_of(&layer), digest_of(b""));
    let repository = "repositories/team/app";
    let expected = [
        blob(&layer),
        blob(&empty),
        blob(&image),
        blob(&signature_digest),
        format!("{repository}/_layers/sha256/{}/link", hex(&layer)),
        format!("{repository}/_layers/sha256/{}/link", hex(&empty)),
        format!("repositories/other/_layers/sha256/{}/link", hex(&layer)),
        format!("{repository}/_manifests/revisions/sha256/{}/link", hex(&image)),
        format!("{repository}/_manifests/revisions/sha256/{}/link", hex(&signature_digest)),
        format!("{repository}/_manifests/tags/v1/index/sha256/{}/link", hex(&image)),
        format!("{repository}/_manifests/tags/v1/current/link"),
        format!("{repository}/_referrers/sha256/{}/sha256/{}/link", hex(&image), hex(&signature_digest)),
    ];
    let root = data.path().canonicalize().unwrap().join("docker/registry/v2");
    for path in expected {
        assert!(disk.seen.contains(root.join(&path).to_str().unwrap()), "{path} was not seen to be made");
    }
}

/// How many bytes of blobs, or of what becomes one, were read.
fn bytes_read(calls: &[SystemCall], data: &Path) -> u64 {
    let root = data.canonicalize().expect("it is there");
    let reads = calls.iter().filter(|call| READS.contains(&call.name.as_str()));
    let of_content = reads.filter(|call| call.arguments.contains(&format!("{}/", root.display())));
    of_content.filter(|call| call.arguments.contains("/data>")).filter_map(|call| call.result.parse::<u64>().ok()).sum()
}

#[test]
fn a_push_reads_its_bytes_again_once_after_a_restart_and_never_otherwise() {
    let data = fresh_dir();
    let backend = Backend::over(data.path());
    let mut api = PlainApi::at(backend.url());
    let (first, second) = (vec![1; 300_000], vec![2; 200_001]);
    let digest = digest_of(&[first.clone(), second.clone()].concat());

    let trace = Trace::of(backend.process(), &watched(&[READS, WRITES]));
    let begun = api.begin("a").unwrap().expect(202);
    let appended = api.append(begun.head.one("location"), &first).unwrap().expect(202);
    let location = appended.head.one("location").to_owned();
    let unchanged = api.call("GET", &location).unwrap().expect(204);
    assert_eq!(unchanged.head.one("range"), "0-299999");
    let appended = api.append(&location, &second).unwrap().expect(202);
    api.commit(appended.head.one("location"), &digest, b"").unwrap().expect(201);
    let calls = trace.finish();
    assert_eq!(bytes_read(&calls, data.path()), 0, "an upload in one run of the server reads nothing again");
    assert!(calls.iter().any(|call| WRITES.contains(&call.name.as_str()) && call.arguments.contains("/data>")));

    let begun = api.begin("a").unwrap().expect(202);
    let appended = api.append(begun.head.one("location"), &first).unwrap().expect(202);
    let location = appended.head.one("location").to_owned();
    backend.stop();
    let backend = Backend::over(data.path());
    let mut api = PlainApi::at(backend.url());
    let trace = Trace::of(backend.process(), READS);
    assert_eq!(api.call("GET", &location).unwrap().expect(204).head.one("range"), "0-299999");
    let appended = api.append(&location, &second).unwrap().expect(202);
    api.commit(appended.head.one("location"), &digest, b"").unwrap().expect(201);
    let read = bytes_read(&trace.finish(), data.path());
    assert!((300_000..=500_001).contains(&read), "after a restart, {read} bytes were read again");
    assert_eq!(api.call("GET", &format!("/v2/a/blobs/{digest}")).unwrap().expect(200).body.len(), 500_001);
}

#[test]
fn a_disk_that_fails_is_told_and_nothing_is_acknowledged_or_seen_that_is_not_on_it() {
    for (calls, error, status_and_words) in [
        (["fsync", "fdatasync"].as_slice(), "EIO", (500, "storage failed")),
        (&["rename", "renameat", "renameat2"], "EIO", (500, "storage failed")),
        (&["mkdir", "mkdirat"], "EROFS", (403, "read-only")),
    ] {
        let data = fresh_dir();
        let backend = Backend::over(data.path());
        let mut api = PlainApi::at(backend.url());
        api.push_image("app", "before", b"there before");
        let content = b"when the disk fails".as_slice();
        let (digest, manifest) =
            (digest_of(content), image_of(&[digest_of(b"there before"), digest_of(b"there before")]));
        let begun = api.begin("app").unwrap().expect(202);
        let location = api.append(begun.head.one("location"), content).unwrap().expect(202);
        let location = location.head.one("location").to_owned();

        let failing = Trace::failing(backend.process(), calls, error);
        for refused in [
            api.commit(&location, &digest, b"").unwrap(),
            api.put_manifest("app", "v1", &manifest).unwrap(),
            api.push_blob("app", content).unwrap(),
        ] {
            let (status, words) = status_and_words;
            let refused = refused.expect(status).json();
            assert!(refused["errors"][0]["message"].as_str().unwrap().contains(words), "{refused}");
        }
        let status = |api: &mut PlainApi, path: &str| api.call("GET", path).unwrap().head.status();
        assert_eq!(status(&mut api, &format!("/v2/app/blobs/{digest}")), 404, "{calls:?}");
        assert_eq!(status(&mut api, "/v2/app/manifests/v1"), 404, "{calls:?}");
        assert_eq!(status(&mut api, "/v2/app/manifests/before"), 200, "{calls:?}");
        assert!(failing.finish().iter().any(|call| call.result.contains("INJECTED")));

        if calls.contains(&"fsync") {
            // What the kernel could not write it forgets: a second sync would succeed over lost bytes.
            assert_eq!(status(&mut api, &location), 404, "bytes that could not be synced are not tried again");
        }
        api.push_blob("app", content).unwrap().expect(201);
        api.put_manifest("app", "v1", &manifest).unwrap().expect(201);
        assert_eq!(api.call("GET", &format!("/v2/app/blobs/{digest}")).unwrap().expect(200).body, content);
        assert_eq!(status(&mut api, "/v2/app/manifests/v1"), 200);
    }
}

#[test]
fn what_cannot_be_read_fails_alone() {
    let data = fresh_dir();
    let backend = Backend::over(data.path());
    let mut api = PlainApi::at(backend.url());
    let barred = api.push_image("app", "barred", b"barred");
    api.push_image("app", "open", b"open");
    api.push_image("barred/app", "v1", b"barred");
    backend.stop();
    let root = data.path().canonicalize().unwrap().join("docker/registry/v2");
    let hex = |digest: &str| digest.trim_start_matches("sha256:").to_owned();
    let (layer, barred) = (hex(&digest_of(b"barred")), hex(&barred));
    let repository = "repositories/app";
    for (path, failing) in [
        (format!("blobs/sha256/{}/{layer}/data", &layer[..2]), format!("/v2/app/blobs/sha256:{layer}")),
        (format!("{repository}/_layers/sha256/{layer}/link"), format!("/v2/app/blobs/sha256:{layer}")),
        (format!("{repository}/_manifests/tags/barred/current/link"), "/v2/app/manifests/barred".to_owned()),
        (
            format!("{repository}/_manifests/revisions/sha256/{barred}/link"),
            format!("/v2/app/manifests/sha256:{barred}"),
        ),
        ("repositories/barred/app/_manifests/tags".to_owned(), "/v2/barred/app/tags/list".to_owned()),
        ("repositories/barred".to_owned(), String::new()),
    ] {
        let backend = Backend::over(data.path());
        let mut api = PlainApi::at(backend.url());
        let barring = Trace::barring(backend.process(), &root.join(&path), "EACCES");
        if !failing.is_empty() {
            let refused = api.call("GET", &failing).unwrap().expect(500).json();
            let message = refused["errors"][0]["message"].as_str().unwrap();
            assert!(message.contains("its log says where"), "{refused}");
            backend.process().stderr().await_line(PATIENCE, "the path", |line| line.contains(&path));
        }
        for open in ["/v2/app/manifests/open", &format!("/v2/app/blobs/{}", digest_of(b"open"))] {
            assert_eq!(api.call("GET", open).unwrap().head.status(), 200, "{open} beside {path}");
        }
        let tags = api.call("GET", "/v2/app/tags/list").unwrap().expect(200).json();
        assert_eq!(tags["tags"], serde_json::json!(["barred", "open"]), "beside {path}");
        let catalog = api.call("GET", "/v2/_catalog").unwrap().expect(200).json();
        assert_eq!(catalog["repositories"][0], "app", "beside {path}");
        api.push_image("app", "another", b"another");
        api.call("DELETE", "/v2/app/manifests/another").unwrap().expect(202);
        assert!(barring.finish().iter().any(|call| call.result.contains("INJECTED")), "{path} was not looked for");
        backend.stop();
    }
}

#[test]
fn uploads_that_nobody_goes_on_with_are_removed_and_those_in_use_are_not() {
    let data = fresh_dir();
    let left = "docker/registry/v2/repositories/old/app/_uploads/d76870d4-748c-45b4-8699-87367842eaeb";
    let left = data.path().join(left);
    std::fs::create_dir_all(left.join("hashstates/sha256")).unwrap();
    std::fs::write(left.join("startedat"), "2024-02-29T12:00:00Z").unwrap();
    std::fs::write(left.join("hashstates/sha256/0"), "a state of Go's").unwrap();
    let backend = Backend::configured_over(data.path(), "storage.upload_age = '2s'");
    let mut api = PlainApi::at(backend.url());
    let repository = data.path().join("docker/registry/v2/repositories/team/app/_uploads");
    let sessions = || std::fs::read_dir(&repository).unwrap().count();
    lockgate_e2e::eventually(PATIENCE, "the sweep at the start", || (!left.exists()).then_some(()));

    let forgotten = api.begin("team/app").unwrap().expect(202).head.one("location").to_owned();
    let begun = api.begin("team/app").unwrap().expect(202);
    let mut used = api.append(begun.head.one("location"), b"x").unwrap().expect(202).head.one("location").to_owned();
    let mut content = b"x".to_vec();
    assert_eq!(sessions(), 2);
    // One is gone on with all the while that the other is waited for.
    lockgate_e2e::eventually(PATIENCE, "the forgotten one to go", || {
        used = api.append(&used, b"x").unwrap().expect(202).head.one("location").to_owned();
        content.push(b'x');
        (sessions() == 1).then_some(())
    });
    assert_eq!(api.call("GET", &forgotten).unwrap().head.status(), 404);
    api.commit(&used, &digest_of(&content), b"").unwrap().expect(201);
}
