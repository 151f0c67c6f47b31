//! The program: its exit codes, its signals, its health check.

#![expect(clippy::unwrap_used, reason = "a test states its expectations by unwrapping")]

use std::io;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_lockgate-backend");

/// A directory with a configuration that listens on a Unix socket in it.
struct Site(TempDir);

impl Site {
    fn new() -> Self {
        let site = Self(tempfile::tempdir().unwrap());
        let socket = site.path("backend.sock");
        site.configure(&format!(
            "[listen]\nhttp = \"unix:{}\"\n[storage]\ndata = \"{}\"\n",
            socket.display(),
            site.path("data").display()
        ));
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn configure(&self, text: &str) {
        std::fs::write(self.path("backend.toml"), text).unwrap();
    }

    fn command(&self, command: &str) -> Command {
        let mut program = Command::new(PROGRAM);
        program.arg(command).arg("--config").arg(self.path("backend.toml")).env_clear();
        program
    }

    fn run(&self, command: &str) -> Output {
        self.command(command).output().unwrap()
    }

    fn healthy(&self) -> bool {
        self.run("health").status.success()
    }

    fn serve(&self) -> Serving {
        let child = self.command("serve").stderr(Stdio::piped()).spawn().unwrap();
        let serving = Serving(child);
        until(|| self.healthy());
        serving
    }
}

/// A server that does not outlive its test.
struct Serving(Child);

impl Serving {
    fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.0.id().to_string()).status().unwrap();
        assert!(sent.success());
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn until(mut so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !so() {
        assert!(began.elapsed() < Duration::from_secs(20), "it did not come about");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_supervisor_is_told_once_it_listens() {
    let site = Site::new();
    let supervisor = UnixDatagram::bind(site.path("notify")).unwrap();
    supervisor.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let started = site.command("serve").env("NOTIFY_SOCKET", site.path("notify")).stderr(Stdio::piped()).spawn();
    let _serving = Serving(started.unwrap());
    let mut news = [0; 64];
    let length = supervisor.recv(&mut news).unwrap();
    assert_eq!(&news[..length], b"READY=1\n");
    UnixStream::connect(site.path("backend.sock")).unwrap();
}

#[test]
fn sigterm_and_sigint_end_it_at_once_and_well() {
    for signal in ["TERM", "INT"] {
        let site = Site::new();
        let mut serving = site.serve();
        serving.signal(signal);
        let mut ended = None;
        until(|| {
            ended = serving.0.try_wait().unwrap();
            ended.is_some()
        });
        assert!(ended.is_some_and(|status| status.success()), "{signal}");
        assert!(!site.healthy() && !site.path("backend.sock").exists());
    }
}

#[test]
fn a_configuration_with_mistakes_is_exit_64_and_names_them_all() {
    let site = Site::new();
    site.configure("[listen]\nhttp = \"nowhere\"\n[storage]\ndelete = \"perhaps\"\n");
    for command in ["serve", "health"] {
        let output = site.run(command);
        assert_eq!(output.status.code(), Some(64));
        let told = stderr(&output);
        assert!(told.contains("listen.http") && told.contains("storage.delete"), "{told}");
    }
}

#[test]
fn a_start_that_fails_is_exit_1_and_says_where() {
    let site = Site::new();
    std::fs::write(site.path("data"), "not a directory").unwrap();
    let output = site.run("serve");
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains(site.path("data").to_str().unwrap()), "{}", stderr(&output));
}

#[test]
fn a_second_backend_on_one_directory_is_refused_until_the_first_has_ended() {
    let site = Site::new();
    let mut serving = site.serve();
    let second = Site::new();
    second
        .configure(&std::fs::read_to_string(site.path("backend.toml")).unwrap().replace("backend.sock", "second.sock"));
    let output = second.run("serve");
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("another process serves this data directory"), "{}", stderr(&output));
    assert!(site.healthy());
    serving.signal("KILL");
    serving.0.wait().unwrap();
    let _again = site.serve();
}

#[test]
fn the_environment_overrides_the_file() {
    let site = Site::new();
    let elsewhere = site.path("elsewhere");
    let child =
        site.command("serve").env("LOCKGATE_BACKEND_STORAGE_DATA", &elsewhere).stderr(Stdio::null()).spawn().unwrap();
    let _serving = Serving(child);
    until(|| site.healthy());
    assert!(elsewhere.join("docker/registry/v2/blobs").is_dir() && !Path::new(&site.path("data")).exists());
}

#[test]
fn a_check_tells_every_problem_of_the_file_and_of_what_it_names() {
    let site = Site::new();
    let output = site.run("check");
    assert!(output.status.success() && !site.path("data").exists(), "{}", stderr(&output));
    let serving = site.serve();
    assert!(site.run("check").status.success(), "a running one hinders nothing");
    drop(serving);

    let socket = site.path("backend.sock");
    std::fs::write(site.path("file"), "").unwrap();
    site.configure(&format!(
        "[listen]\nhttp = \"unix:{}\"\n[storage]\ndata = \"{}\"\n[log]\nlevel = \"loud\"\n",
        socket.display(),
        site.path("file").display()
    ));
    let output = site.run("check");
    assert_eq!(output.status.code(), Some(64));
    let told = stderr(&output);
    assert!(told.contains("log.level: ") && told.contains("file: it is not a directory"), "{told}");
    site.configure("[listen]\nhttp = 1\n[storage]\ndelete = 1\n");
    let told = stderr(&site.run("check"));
    assert!(
        told.contains("listen.http") && told.contains("storage.delete") && !told.contains("storage.data"),
        "{told}"
    );
}

#[test]
fn a_check_tries_the_bucket_that_is_named() {
    let site = Site::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let text = format!(
        "[storage]\ndata = \"s3://images/site\"\n[s3]\nendpoint = \"http://{address}\"\nallow_http = true\npath_style = true\n"
    );
    site.configure(&text);
    let check = || site.command("check").envs([("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b")]).output();
    let output = check().unwrap();
    assert_eq!(output.status.code(), Some(64));
    assert!(stderr(&output).contains(&format!("no answer of http://{address}")), "{}", stderr(&output));
    site.configure(&text.replace("allow_http = true", ""));
    assert!(stderr(&check().unwrap()).contains("s3.allow_http"));
}

#[test]
fn sighup_ends_nothing_and_is_told() {
    let site = Site::new();
    let log = site.path("log");
    let child = site.command("serve").stderr(std::fs::File::create(&log).unwrap()).spawn().unwrap();
    let mut serving = Serving(child);
    until(|| site.healthy());
    serving.signal("HUP");
    until(|| std::fs::read_to_string(&log).unwrap().contains("SIGHUP"));
    assert!(site.healthy() && serving.0.try_wait().unwrap().is_none());
}

#[test]
fn the_soft_limit_of_open_files_is_raised_to_the_hard_one() {
    let site = Site::new();
    let script = format!("ulimit -Sn 64; exec {PROGRAM} serve --config {}", site.path("backend.toml").display());
    let serving = Serving(Command::new("sh").arg("-c").arg(script).stderr(Stdio::null()).spawn().unwrap());
    until(|| site.healthy());
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", serving.0.id())).unwrap();
    let open_files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let [soft, hard] = [3, 4].map(|at| open_files.split_whitespace().nth(at).unwrap());
    assert_eq!(soft, hard, "{open_files}");
}

#[test]
fn nobody_listening_is_ill_health() {
    let output = Site::new().run("health");
    assert_eq!(output.status.code(), Some(1));
    assert!(!stderr(&output).is_empty());
}

/// A pipe whose reader has gone.
fn unread() -> Stdio {
    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    writer.into()
}

#[test]
fn it_does_the_same_where_nobody_reads_what_it_says() {
    let site = Site::new();
    for format in ["text", "json"] {
        let mut command = site.command("serve");
        command.env("LOCKGATE_BACKEND_LOG_LEVEL", "debug").env("LOCKGATE_BACKEND_LOG_FORMAT", format);
        let mut serving = Serving(command.stdout(unread()).stderr(unread()).spawn().unwrap());
        until(|| site.healthy());
        serving.signal("TERM");
        let mut ended = None;
        until(|| {
            ended = serving.0.try_wait().unwrap();
            ended.is_some()
        });
        assert!(ended.is_some_and(|status| status.success()), "{ended:?}");
    }
    let exit_code = |command| site.command(command).stdout(unread()).stderr(unread()).status().unwrap().code();
    assert_eq!(exit_code("health"), Some(1));
    site.configure("nonsense");
    assert_eq!(exit_code("serve"), Some(64));
}

#[test]
fn a_copy_says_what_it_did_and_what_it_could_not() {
    let site = Site::new();
    let layer = site.path("data/docker/registry/v2/blobs/sha256/ba");
    let hex = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let link = site.path(&format!("data/docker/registry/v2/repositories/a/_layers/sha256/{hex}"));
    for directory in [&layer.join(hex), &link] {
        std::fs::create_dir_all(directory).unwrap();
    }
    std::fs::write(layer.join(hex).join("data"), "abc").unwrap();
    std::fs::write(link.join("link"), format!("sha256:{hex}")).unwrap();
    let (from, to) = (site.path("data"), site.path("copy"));
    let copy = |from: &Path| site.command("copy").arg(from).arg(&to).args(["--at-once", "2"]).output().unwrap();
    let said = |output: &Output| (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned());

    let copied = copy(&from);
    let line =
        "copied 1 blob (3 bytes), 0 manifests and 0 tags of 1 repository; 0 blobs and manifests were there already\n";
    assert_eq!(said(&copied), (Some(0), line.to_owned()), "{}", stderr(&copied));
    let again = copy(&from);
    let line = "nothing new in 1 repository: 1 blob and manifest were there already\n";
    assert_eq!(said(&again), (Some(0), line.to_owned()), "{}", stderr(&again));

    std::fs::write(layer.join(hex).join("data"), "abcd").unwrap();
    let damaged = copy(&from);
    assert_eq!(damaged.status.code(), Some(1));
    let line = format!("a: sha256:{hex} cannot be copied: the content has the digest sha256:88d4266f");
    assert!(stderr(&damaged).contains(&line), "{}", stderr(&damaged));
    assert!(stderr(&damaged).contains("1 of the blobs and manifests could not be copied"), "{}", stderr(&damaged));

    let nowhere = copy(&site.path("nowhere"));
    assert_eq!(nowhere.status.code(), Some(1));
    assert!(stderr(&nowhere).contains("nowhere: "), "{}", stderr(&nowhere));
    let no_place = site.command("copy").arg("gs://bucket").arg(&to).output().unwrap();
    assert!(
        stderr(&no_place).contains("write the path of a directory, or s3://bucket/prefix"),
        "{}",
        stderr(&no_place)
    );
}
