//! The commands, beside a process that serves and without one.

use lockgate_e2e::{Backend, Bucket, Finished, PlainApi, finish, fresh_dir, program};
use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

const CONFIG: &str = "backend.toml";

/// A registry and the configuration that its commands name.
pub(crate) struct Site {
    data: TempDir,
    config: TempDir,
    settings: String,
    bucket: Option<Bucket>,
}

impl Site {
    /// A directory.
    pub(crate) fn in_directory(settings: &str) -> Self {
        let data = fresh_dir();
        let storage = data.path().display().to_string();
        Self { data, config: configured(&storage, settings), settings: settings.to_owned(), bucket: None }
    }

    /// A bucket of a server of its own.
    pub(crate) fn in_bucket(settings: &str) -> Self {
        let bucket = Bucket::fresh();
        let of_bucket = bucket.settings().map(|(key, value)| format!("{key} = {value}\n")).concat();
        let config = configured(&bucket.url(), &(of_bucket + settings));
        Self { data: fresh_dir(), config, settings: settings.to_owned(), bucket: Some(bucket) }
    }

    pub(crate) fn serve(&self) -> Backend {
        match &self.bucket {
            None => Backend::configured_over(self.data.path(), &self.settings),
            Some(bucket) => Backend::configured_on(bucket, &self.settings),
        }
    }

    pub(crate) fn is_a_directory(&self) -> bool {
        self.bucket.is_none()
    }

    pub(crate) fn data(&self) -> &Path {
        self.data.path()
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.config.path().join(name)
    }

    /// A command, to be run.
    pub(crate) fn asking(&self, arguments: &[&str]) -> Command {
        let mut command = program("lockgate-backend");
        command.args(arguments).arg("--config").arg(self.file(CONFIG)).envs(Bucket::credentials());
        command
    }

    /// Runs a command to its end.
    pub(crate) fn command(&self, arguments: &[&str]) -> Finished {
        finish(&mut self.asking(arguments))
    }

    /// The keys that begin with a directory's.
    pub(crate) fn keys(&self, directory: &str) -> Vec<String> {
        match &self.bucket {
            None => files(self.data.path(), directory.trim_end_matches('/')),
            Some(bucket) => bucket.keys(directory),
        }
    }

    /// What a command says that succeeds.
    #[track_caller]
    pub(crate) fn says(&self, arguments: &[&str]) -> String {
        self.command(arguments).success().stdout
    }
}

fn configured(storage: &str, settings: &str) -> TempDir {
    let config = fresh_dir();
    let text = format!("storage.data = '{storage}'\n{settings}\n");
    fs::write(config.path().join(CONFIG), text).expect("the directory is ours");
    config
}

/// The files below a directory, which may go meanwhile.
fn files(data: &Path, directory: &str) -> Vec<String> {
    let Ok(entries) = fs::read_dir(data.join(directory)) else { return Vec::new() };
    let below = entries.flatten().flat_map(|entry| {
        let key = format!("{directory}/{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() { files(data, &key) } else { vec![key] }
    });
    below.collect()
}

/// Whether a registry answers to this path with this status.
#[track_caller]
pub(crate) fn answers(backend: &Backend, path: impl Display, status: u16) -> Vec<u8> {
    PlainApi::at(backend.url()).call("GET", &path.to_string()).expect("it answers").expect(status).body
}

#[test]
fn a_command_is_answered_beside_the_one_process_of_a_bucket() {
    let site = Site::in_bucket("storage.nodes = 'one'");
    let backend = site.serve();
    let mut api = PlainApi::at(backend.url());
    api.push_image("team/app", "v1", b"one");
    api.call("DELETE", "/v2/team/app/manifests/v1").expect("it answers").expect(202);
    assert!(site.says(&["trash", "list"]).contains("team/app:v1"));
    site.says(&["trash", "restore", "team/app:v1"]);
    answers(&backend, "/v2/team/app/manifests/v1", 200);
}

#[test]
fn a_command_says_the_same_beside_a_process_that_serves_and_without_one() {
    let site = Site::in_directory("");
    assert_eq!(site.says(&["trash", "list"]), "the trash is empty\n");
    let backend = site.serve();
    let mut api = PlainApi::at(backend.url());
    api.push_image("team/app", "v1", b"one");
    api.call("DELETE", "/v2/team/app/manifests/v1").expect("it answers").expect(202);
    let beside = site.says(&["trash", "list"]);
    assert_eq!((beside.lines().count(), beside.contains("team/app:v1")), (1, true), "{beside}");
    backend.stop();
    assert_eq!(site.says(&["trash", "list", "team/app"]), beside);
    assert_eq!(site.says(&["trash", "list", "team/other"]), "the trash is empty\n");
}

#[test]
fn who_may_not_ask_the_process_that_serves_is_told_what_to_do() {
    let site = Site::in_directory("");
    let backend = site.serve();
    let socket = site.data().join(".lockgate/socket");
    lockgate_e2e::eventually(lockgate_e2e::PATIENCE, "the socket", || socket.exists().then_some(()));
    fs::remove_file(&socket).expect("it is there");
    let refused = site.command(&["collect"]).failure().output();
    assert!(refused.contains("another process has") && refused.contains("stop it first"), "{refused}");
    backend.stop();
    site.command(&["collect"]).success();
}

#[test]
fn a_directory_that_is_not_there_is_not_made_by_a_command() {
    let site = Site::in_directory("");
    fs::remove_dir(site.data()).expect("it is empty");
    for arguments in [&["trash", "list"][..], &["collect"]] {
        let refused = site.command(arguments).failure().output();
        assert!(refused.contains("there is no registry in"), "{refused}");
    }
    assert!(!site.data().exists());
}
