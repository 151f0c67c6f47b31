//! Promise: what was done and what was refused stands in the audit log before it is answered, and nobody can fill it or
//! stop the registry by it who may do nothing.

use lockgate_e2e::{Api, Gate, PATIENCE, Signal, Tmpfs, Upstream, base64, eventually, fresh_dir, ok};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

const MANIFEST: &str = "/v2/team/app/manifests/v1";

/// Whole lines, each an object.
#[track_caller]
fn lines(file: &Path) -> Vec<Value> {
    let text = fs::read_to_string(file).expect("there is a file");
    assert!(text.is_empty() || text.ends_with('\n'), "a line is torn: {text}");
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
}

fn acts(file: &Path, action: &str) -> Vec<Value> {
    lines(file).into_iter().filter(|line| line["action"] == action).collect()
}

#[test]
fn an_act_has_its_line_when_its_answer_is_there() {
    let data = fresh_dir();
    let gate = Gate::over(data.path());
    let file = gate.dir().join("audit.log");
    let gate = gate.set("audit.file", file.display()).start();
    let api = Api::at(gate.door());
    let digest = api.push_image("team/app", "v1", b"a layer");
    let pushes = acts(&file, "push");
    let [push] = &pushes[..] else { panic!("one push, one line: {pushes:?}") };
    for (field, value) in [
        ("outcome", json!("done")),
        ("user", json!("alice")),
        ("repository", json!("team/app")),
        ("tags", json!(["v1"])),
        ("digest", json!(digest)),
        ("status", json!(201)),
    ] {
        assert_eq!(push[field], value, "{field}: {push}");
    }
    assert!(push["client"].as_str().is_some_and(|client| client.starts_with("127.0.0.1:")), "{push}");
    assert!(push["user_agent"].as_str().is_some_and(|agent| agent.starts_with("curl/")), "{push}");
    api.manifest("team/app", "v1").expect(200);
    assert_eq!(acts(&file, "pull").len(), 1);
    gate.curl(MANIFEST).method("HEAD").run().expect(200);
    assert_eq!(acts(&file, "pull").len(), 1, "who asks whether it is there pulls nothing");
    gate.curl(MANIFEST).method("DELETE").run().expect(202);
    assert_eq!(acts(&file, "delete").len(), 1);
}

#[test]
fn a_blob_is_told_where_its_reader_knows_no_manifest_of_it() {
    let data = fresh_dir();
    let gate = Gate::over(data.path());
    let file = gate.dir().join("audit.log");
    let gate = gate.set("audit.file", file.display()).start();
    let api = Api::at(gate.door());
    let layer = api.push_blob("team/app", b"a layer");
    api.push_image("team/app", "v1", b"a layer");
    api.blob("team/app", &layer).expect(200);
    let told = acts(&file, "pull_blob");
    assert_eq!((told.len(), &told[0]["digest"]), (1, &json!(layer)));
    api.manifest("team/app", "v1").expect(200);
    api.blob("team/app", &layer).expect(200);
    assert_eq!(acts(&file, "pull_blob").len(), 1, "it belongs to the pull");
}

/// A job whose token was stolen reads blobs as a thief does, though its owner pulls all day.
#[test]
fn what_a_user_has_read_is_not_what_a_token_of_theirs_has_read() {
    let data = fresh_dir();
    let gate = Gate::over(data.path());
    let (file, tokens) = (gate.dir().join("audit.log"), gate.dir().join("tokens"));
    let gate = gate.set("audit.file", file.display()).set("auth.tokens", tokens.display()).start();
    let create = ["token", "create", "--for", "alice", "--repositories", "**", "--allow", "pull", "--expires", "1d"];
    let token = gate.lockgate(&create).success().stdout;
    let by_token = format!("alice:{}", token.trim());
    eventually(PATIENCE, "the token", || (gate.by(&by_token, "GET", "/v2/").run().status() == 200).then_some(()));
    let api = Api::at(gate.door());
    let layer = api.push_blob("team/app", b"a layer");
    api.push_image("team/app", "v1", b"a layer");
    api.manifest("team/app", "v1").expect(200);
    let blob = format!("/v2/team/app/blobs/{layer}");
    gate.by(&by_token, "GET", &blob).run().expect(200);
    let told = acts(&file, "pull_blob");
    assert_eq!((told.len(), &told[0]["token"]), (1, &json!(token.split('_').nth(1).expect("an id"))));
    gate.by(&by_token, "GET", MANIFEST).run().expect(200);
    gate.by(&by_token, "GET", &blob).run().expect(200);
    api.blob("team/app", &layer).expect(200);
    assert_eq!(acts(&file, "pull_blob").len(), 1, "each has read a manifest by now");
}

/// A gate with its audit log on a disk that is full but for the rest of a page, and what is kept for lines.
fn on_a_full_disk(upstream: &Upstream, on_full: &str) -> (Tmpfs, Gate) {
    let disk = Tmpfs::new(4 << 20);
    let file = disk.path().join("audit.log");
    let gate = Gate::before(upstream.url()).set("audit.file", file.display()).set("audit.on_full", on_full).start();
    gate.curl(MANIFEST).run().expect(200);
    disk.fill(0);
    (disk, gate)
}

/// Clients who delete on and on until there is no room: they are refused, or wait.
#[test]
fn on_a_full_disk_no_act_reaches_the_registry_without_its_line() {
    for on_full in ["refuse", "wait"] {
        let upstream = Upstream::answering(ok("{}"));
        let (disk, gate) = on_a_full_disk(&upstream, on_full);
        let file = disk.path().join("audit.log");
        let told = || fs::read_to_string(&file).unwrap().matches(r#""action":"delete""#).count();
        let asked = || upstream.received().iter().filter(|request| request.head.method() == "DELETE").count();
        let credentials = base64(b"alice:correct-horse");
        let request = format!("DELETE {MANIFEST} HTTP/1.1\r\nHost: r\r\nAuthorization: Basic {credentials}\r\n\r\n");
        let has_room = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let clients: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        let mut wire = gate.wire();
                        loop {
                            wire.send(&request);
                            let status = wire.response().head.status();
                            if status != 200 || has_room.load(Ordering::Relaxed) {
                                return status;
                            }
                        }
                    })
                })
                .collect();
            gate.log().await_line(PATIENCE, "that the file takes nothing", |line| line.contains("audit.file cannot"));
            eventually(PATIENCE, "a line for each act", || (told() == asked()).then_some(()));
            gate.stranger("/v2/").run().oci_error(401);
            let before = asked();
            if on_full == "refuse" {
                gate.curl(MANIFEST).method("DELETE").run().oci_error(503);
            }
            assert!(on_full == "refuse" || clients.iter().all(|client| !client.is_finished()));
            assert_eq!(asked(), before, "no act begins");
            disk.make_room();
            has_room.store(true, Ordering::Relaxed);
            let status = if on_full == "refuse" { 503 } else { 200 };
            assert!(clients.into_iter().all(|client| client.join().unwrap() == status));
            eventually(PATIENCE, "room", || (gate.curl(MANIFEST).run().status() == 200).then_some(()));
        });
        assert_eq!(acts(&file, "delete").len(), asked(), "{on_full}");
        assert_eq!(acts(&file, "audit").len(), 0, "no line is missing");
    }
}

#[test]
fn on_a_full_disk_drop_goes_on_and_counts_what_is_missing() {
    let upstream = Upstream::answering(ok("{}"));
    let (disk, gate) = on_a_full_disk(&upstream, "drop");
    for _ in 0..30 {
        gate.curl(MANIFEST).run().expect(200);
    }
    disk.make_room();
    gate.curl(MANIFEST).run().expect(200);
    let file = disk.path().join("audit.log");
    eventually(PATIENCE, "the gap in the file", || (!acts(&file, "audit").is_empty()).then_some(()));
    let lost: u64 = acts(&file, "audit").iter().filter_map(|line| line["count"].as_u64()).sum();
    let told = acts(&file, "pull").len() as u64;
    assert_eq!(told + lost, 32, "what the full disk tore is finished, and not lost");
}

#[test]
fn strangers_share_a_line_wait_for_nothing_and_have_no_name() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = Gate::before(upstream.url());
    let file = gate.dir().join("audit.log");
    let mut gate = gate.set("audit.file", file.display()).start();
    for n in 0..50 {
        gate.stranger(&format!("/v2/guess-{n}/manifests/v1")).run().oci_error(401);
    }
    gate.stranger("/v2/").user("my-password-in-the-wrong-field:x").run().oci_error(401);
    gate.signal(Signal::Terminate);
    assert!(gate.wait(PATIENCE).success());
    let lines = lines(&file);
    assert!(lines.len() < 10, "{lines:?}");
    let counted: u64 = lines.iter().map(|line| line["count"].as_u64().unwrap_or(1)).sum();
    assert_eq!(counted, 51);
    assert!(lines.iter().all(|line| line["outcome"] == "denied" && line["client"] == "127.0.0.1"), "{lines:?}");
    assert!(!fs::read_to_string(&file).unwrap().contains("wrong-field"));
}

#[test]
fn logrotate_may_rename_the_file_or_empty_it() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = Gate::before(upstream.url());
    let file = gate.dir().join("audit.log");
    let gate = gate.set("audit.file", file.display()).start();
    gate.curl(MANIFEST).run().expect(200);
    let old = file.with_extension("1");
    fs::rename(&file, &old).unwrap();
    gate.curl(MANIFEST).run().expect(200);
    assert_eq!((lines(&old).len(), lines(&file).len()), (1, 1));
    fs::write(&file, "").unwrap();
    gate.curl(MANIFEST).run().expect(200);
    assert_eq!(lines(&file).len(), 1);
}
