use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use super::*;

mod stuck;

const BLOB: &str = "/v2/a/blobs/sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// A file that takes nothing until it is given room.
struct Disk {
    dir: TempDir,
}

impl Disk {
    fn full() -> Self {
        let disk = Self { dir: TempDir::new().unwrap() };
        symlink("/dev/full", disk.path()).unwrap();
        disk
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("audit.log")
    }

    fn make_room(&self) {
        let room = self.dir.path().join("room");
        symlink(self.dir.path().join("written"), &room).unwrap();
        fs::rename(room, self.path()).unwrap();
    }
}

fn audit(path: &Path, on_full: OnFull) -> Arc<Audit> {
    let config = config::Audit { file: Some(path.to_owned()), on_full, ..config::Audit::default() };
    Audit::start(&config).unwrap()
}

fn push(user: &str) -> Event<'_> {
    Event { user: Some(user), ..Event::new(Outcome::Done, Act::Push, "grant 1") }
}

fn lines(path: &Path) -> Vec<Value> {
    fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).expect("a whole line")).collect()
}

fn room(audit: &Audit) -> impl std::ops::Deref<Target = Room> + '_ {
    audit.0.as_ref().unwrap().shared.room.borrow()
}

async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not within ten seconds: {what}");
}

#[tokio::test]
async fn a_line_stands_there_before_the_answer_goes_out() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("audit.log");
    let audit = audit(&path, OnFull::Wait);
    for n in 1..=3 {
        audit.write(push("alice")).await.unwrap();
        assert_eq!(lines(&path).len(), n);
    }
}

#[tokio::test]
async fn without_a_file_nothing_is_told() {
    let audit = Audit::start(&config::Audit::default()).unwrap();
    audit.write(push("alice")).await.unwrap();
    audit.note(&push("alice"));
    audit.stranger(&push("alice"));
    audit.admit().await.unwrap();
    audit.end().await;
}

#[test]
fn a_file_that_cannot_be_opened_is_an_error_at_the_start() {
    let config = config::Audit { file: Some("/nowhere/audit.log".into()), ..config::Audit::default() };
    assert!(Audit::start(&config).is_err());
}

#[tokio::test]
async fn on_a_full_disk_wait_waits_and_loses_nothing() {
    let disk = Disk::full();
    let audit = audit(&disk.path(), OnFull::Wait);
    let waiting: Vec<_> = (0..3)
        .map(|_| {
            let audit = Arc::clone(&audit);
            tokio::spawn(async move { audit.write(push("alice")).await })
        })
        .collect();
    eventually("the disk is full", || room(&audit).is_full).await;
    timeout(Duration::from_millis(1), audit.admit()).await.expect_err("the next act does not begin");
    assert!(waiting.iter().all(|task| !task.is_finished()));
    let next = tokio::spawn({
        let audit = Arc::clone(&audit);
        async move { audit.admit().await }
    });
    disk.make_room();
    for task in waiting {
        task.await.unwrap().unwrap();
    }
    next.await.unwrap().unwrap();
    assert_eq!(lines(&disk.path()).len(), 3);
}

#[tokio::test]
async fn on_a_full_disk_refuse_refuses_until_there_is_room() {
    let disk = Disk::full();
    let audit = audit(&disk.path(), OnFull::Refuse);
    audit.admit().await.unwrap();
    assert_eq!(audit.write(push("alice")).await, Err(Full));
    assert_eq!(audit.admit().await, Err(Full), "the next act does not begin");
    disk.make_room();
    eventually("there is room again", || !room(&audit).is_full).await;
    audit.admit().await.unwrap();
    audit.write(push("bob")).await.unwrap();
    let lines = lines(&disk.path());
    assert_eq!((&lines[0]["action"], &lines[0]["count"]), (&"audit".into(), &1.into()), "a gap is told");
    assert_eq!((lines.len(), &lines[1]["user"]), (2, &"bob".into()));
}

#[tokio::test]
async fn on_a_full_disk_drop_goes_on_and_says_how_many_lines_are_missing() {
    let disk = Disk::full();
    let audit = audit(&disk.path(), OnFull::Drop);
    for _ in 0..5 {
        audit.write(push("alice")).await.unwrap();
        audit.admit().await.unwrap();
    }
    disk.make_room();
    audit.write(push("bob")).await.unwrap();
    eventually("the gap is told", || lines(&disk.path()).iter().any(|line| line["count"] == 5)).await;
}

#[tokio::test]
async fn strangers_never_wait_and_their_lines_may_be_lost() {
    let disk = Disk::full();
    let audit = audit(&disk.path(), OnFull::Wait);
    let client = SocketAddr::from(([192, 0, 2, 7], 1)).into();
    for _ in 0..10_000 {
        let refused = Event::new(Outcome::Denied, Act::Login, "the user name or the password is wrong");
        audit.stranger(&Event { client: Some(&client), ..refused });
    }
    audit.end().await;
    disk.make_room();
    audit.write(push("alice")).await.unwrap();
    eventually("the gap is told", || lines(&disk.path()).iter().any(|line| line["count"] == 10_000)).await;
}

#[tokio::test]
async fn at_the_end_strangers_are_told_of() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("audit.log");
    let audit = audit(&path, OnFull::Drop);
    for _ in 0..3 {
        audit.stranger(&Event::new(Outcome::Denied, Act::Pull, "no grant gives pull to anyone"));
    }
    audit.note(&Event::new(Outcome::Done, Act::Reload, "htpasswd"));
    audit.end().await;
    let lines = lines(&path);
    assert_eq!((&lines[0]["action"], &lines[1]["count"]), (&"reload".into(), &3.into()));
}

#[tokio::test]
async fn on_a_full_disk_the_line_of_who_has_left_waits_as_any_other() {
    let disk = Disk::full();
    let audit = audit(&disk.path(), OnFull::Wait);
    audit.note(&push("alice"));
    audit.note(&push("bob"));
    eventually("the disk is full", || room(&audit).is_full && room(&audit).queued == 1).await;
    disk.make_room();
    eventually("there is room", || room(&audit).is_left()).await;
    let users: Vec<_> = lines(&disk.path()).iter().map(|line| line["user"].clone()).collect();
    assert_eq!(users, ["alice", "bob"], "and none is counted as lost");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_line_is_lost_or_torn_while_logs_are_rotated() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("audit.log");
    let audit = audit(&path, OnFull::Wait);
    let writers: Vec<_> = (0..4)
        .map(|_| {
            let audit = Arc::clone(&audit);
            tokio::spawn(async move {
                for _ in 0..250 {
                    audit.write(push("alice")).await.unwrap();
                }
            })
        })
        .collect();
    let mut files = vec![path.clone()];
    for n in 0..10 {
        let is_over = || writers.iter().all(|writer| writer.is_finished());
        eventually("there are lines", || is_over() || fs::metadata(&path).is_ok_and(|file| file.len() > 0)).await;
        let old = dir.path().join(format!("audit.log.{n}"));
        if fs::rename(&path, &old).is_ok() {
            files.push(old);
        }
    }
    for writer in writers {
        writer.await.unwrap();
    }
    audit.write(push("the last")).await.unwrap();
    assert_eq!(files.iter().map(|file| lines(file).len()).sum::<usize>(), 1001);
}

#[tokio::test]
async fn an_act_has_one_line_and_what_moves_no_content_none() {
    let dir = TempDir::new().unwrap();
    let audit = audit(&dir.path().join("audit.log"), OnFull::Drop);
    let alice = Reader::User("alice", None);
    let wants = |method: &str, target: &str, outcome| {
        let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        let method = method.parse().unwrap();
        audit.wants(&Action::parse(&method, path, query).unwrap(), &method, outcome, alice)
    };
    let finish = format!("/v2/a/blobs/uploads/1?digest={}", BLOB.rsplit_once('/').unwrap().1);
    for (method, target, done) in [
        ("GET", "/v2/", true),
        ("HEAD", "/v2/a/manifests/v1", false),
        ("PUT", "/v2/a/manifests/v1", true),
        ("DELETE", "/v2/a/manifests/v1", true),
        ("DELETE", BLOB, true),
        ("HEAD", BLOB, false),
        ("GET", "/v2/a/tags/list", false),
        ("POST", "/v2/a/blobs/uploads/", false),
        ("PUT", &finish, false),
        ("GET", BLOB, true),
        ("GET", "/v2/a/manifests/v1", true),
        ("GET", BLOB, false),
    ] {
        assert!(wants(method, target, Outcome::Denied), "a refusal is a line: {method} {target}");
        assert_eq!(wants(method, target, Outcome::Done), done, "{method} {target}");
    }
    assert!(!wants("GET", BLOB, Outcome::Failed) && wants("GET", "/v2/a/manifests/v1", Outcome::Failed));
}

#[tokio::test]
async fn a_mount_takes_from_a_repository_as_a_pull_does() {
    let dir = TempDir::new().unwrap();
    let audit = audit(&dir.path().join("audit.log"), OnFull::Drop);
    let query = format!("from=secret&mount={}", BLOB.rsplit_once('/').unwrap().1);
    let mount = Action::parse(&Method::POST, "/v2/a/blobs/uploads/", Some(&query)).unwrap();
    let pull = Action::parse(&Method::GET, "/v2/secret/manifests/v1", None).unwrap();
    let wants = |action, method| audit.wants(action, &method, Outcome::Done, Reader::User("alice", None));
    assert!(wants(&mount, Method::POST));
    assert!(wants(&pull, Method::GET));
    assert!(!wants(&mount, Method::POST));
}

#[tokio::test]
async fn with_blobs_every_blob_is_told() {
    let dir = TempDir::new().unwrap();
    let config =
        config::Audit { file: Some(dir.path().join("audit.log")), level: AuditLevel::Blobs, ..Default::default() };
    let audit = Audit::start(&config).unwrap();
    let wants = |target| {
        let action = Action::parse(&Method::GET, target, None).unwrap();
        audit.wants(&action, &Method::GET, Outcome::Done, Reader::User("alice", None))
    };
    assert!(wants("/v2/a/manifests/v1"));
    assert!(wants(BLOB) && wants(BLOB));
}
