//! skopeo, podman and buildah, each with its credentials, storage and trust in a temporary directory.

use crate::directory::fresh_dir;
use crate::door::Door;
use crate::process::{Finished, Process, finish};
use crate::programs::tool;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// The files of one client.
#[derive(Debug)]
struct Home {
    dir: TempDir,
    door: Door,
}

impl Home {
    /// The certificate directory holds the authority, in the place and name these tools want it.
    fn new(door: &Door) -> Self {
        let dir = fresh_dir();
        let certs = dir.path().join("certs");
        fs::create_dir(&certs).expect("the directory is ours");
        fs::copy(&door.ca, certs.join("ca.crt")).expect("the authority's certificate can be read");
        let policy = r#"{"default":[{"type":"insecureAcceptAnything"}]}"#;
        fs::write(dir.path().join("policy.json"), policy).expect("the directory is ours");
        fs::write(dir.path().join("auth.json"), "{}").expect("the directory is ours");
        // Not this machine's. It must name both roots, though the command line does.
        let storage = format!(
            "[storage]\ndriver = 'vfs'\ngraphroot = '{0}/storage'\nrunroot = '{0}/run'\n\
             [storage.options]\npull_options = {{enable_partial_images = 'true'}}\n",
            dir.path().display()
        );
        fs::write(dir.path().join("storage.conf"), storage).expect("the directory is ours");
        fs::create_dir(dir.path().join("tmp")).expect("the directory is ours");
        Self { dir, door: door.clone() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn certs(&self) -> String {
        self.path("certs").display().to_string()
    }

    fn docker_reference(&self, repository: &str) -> String {
        format!("docker://{}", self.door.reference(repository))
    }

    /// The arguments, with the certificate directory for `CERTS` and the address for `DOOR`.
    fn fill_in(&self, arguments: &[&str]) -> Vec<String> {
        let fill_in =
            |word: &&str| word.replace("CERTS", &self.certs()).replace("DOOR", &self.door.address.to_string());
        arguments.iter().map(fill_in).collect()
    }
}

/// skopeo: it verifies certificates, on localhost too.
#[derive(Debug)]
pub struct Skopeo(Home);

impl Skopeo {
    /// skopeo, at this door.
    pub fn at(door: &Door) -> Self {
        Self(Home::new(door))
    }

    /// Copies an image in: `source` is in skopeo's own notation.
    pub fn push(&self, source: &str, repository: &str) -> Finished {
        let destination = self.0.docker_reference(repository);
        self.with(
            &["copy", "--all", "--dest-creds", &self.0.door.credentials(), "--dest-cert-dir", &self.0.certs()],
            &[source, &destination],
        )
    }

    /// Copies an image out.
    pub fn pull(&self, repository: &str, destination: &str) -> Finished {
        let source = self.0.docker_reference(repository);
        self.with(
            &["copy", "--all", "--src-creds", &self.0.door.credentials(), "--src-cert-dir", &self.0.certs()],
            &[&source, destination],
        )
    }

    /// Copies an image from one repository to another behind the same door.
    pub fn copy(&self, from: &str, to: &str) -> Finished {
        let (credentials, certs) = (self.0.door.credentials(), self.0.certs());
        let from_here = ["--src-creds", &credentials, "--src-cert-dir", &certs];
        let to_here = ["--dest-creds", &credentials, "--dest-cert-dir", &certs];
        self.with(
            &[&["copy"], &from_here[..], &to_here[..]].concat(),
            &[&self.0.docker_reference(from), &self.0.docker_reference(to)],
        )
    }

    /// Runs `inspect`, `delete` or `list-tags` on an image.
    pub fn on(&self, repository: &str, command: &[&str]) -> Finished {
        let credentials = ["--creds", &self.0.door.credentials(), "--cert-dir", &self.0.certs()];
        self.with(&[command, &credentials].concat(), &[&self.0.docker_reference(repository)])
    }

    /// Runs skopeo with these arguments, and the credentials of its last `login` if there was one; `CERTS` in them is
    /// the certificate directory, and `DOOR` the address.
    pub fn run(&self, arguments: &[&str]) -> Finished {
        finish(self.command().args(self.0.fill_in(arguments)))
    }

    /// The same, and leaves it running.
    pub fn spawn(&self, arguments: &[&str]) -> Process {
        Process::start(self.command().args(self.0.fill_in(arguments)))
    }

    fn with(&self, options: &[&str], arguments: &[&str]) -> Finished {
        finish(self.command().args(options).args(arguments))
    }

    fn command(&self) -> Command {
        let mut skopeo = tool("skopeo");
        skopeo.arg("--policy").arg(self.0.path("policy.json")).arg("--tmpdir").arg(self.0.path("tmp"));
        skopeo.env("HOME", self.0.dir.path()).env("REGISTRY_AUTH_FILE", self.0.path("auth.json"));
        skopeo
    }
}

/// The one storage driver that needs nothing of the kernel.
const VFS: &[&str] = &["--storage-driver", "vfs"];

/// The one that pulls partially, without the mount that it otherwise leaves behind.
const OVERLAY: &[&str] = &["--storage-driver", "overlay", "--storage-opt", "overlay.skip_mount_home=true"];

/// podman, with a storage of its own.
#[derive(Debug)]
pub struct Podman {
    home: Home,
    storage: &'static [&'static str],
}

impl Podman {
    /// podman, at this door.
    pub fn at(door: &Door) -> Self {
        Self { home: Home::new(door), storage: VFS }
    }

    /// The same, pulling of a `zstd:chunked` layer only what it has not.
    pub fn pulling_partially_at(door: &Door) -> Self {
        Self { home: Home::new(door), storage: OVERLAY }
    }

    /// Runs podman with these arguments; `CERTS` in them is the certificate directory, and `DOOR` the address.
    pub fn run(&self, arguments: &[&str]) -> Finished {
        let options = [self.storage, &["--events-backend=none", "--cgroup-manager=cgroupfs"]].concat();
        let mut podman = tool("podman");
        // Of a partial pull podman 4.3 leaves out files, and says nothing, when the garbage collection closes one that
        // it has written and not yet given its mode.
        podman.env("GOGC", "off");
        run_on_storage(&self.home, podman, &options, arguments)
    }
}

/// buildah, with a storage of its own.
#[derive(Debug)]
pub struct Buildah(Home);

impl Buildah {
    /// buildah, at this door.
    pub fn at(door: &Door) -> Self {
        Self(Home::new(door))
    }

    /// Runs buildah with these arguments; `CERTS` in them is the certificate directory, and `DOOR` the address.
    pub fn run(&self, arguments: &[&str]) -> Finished {
        run_on_storage(&self.0, tool("buildah"), VFS, arguments)
    }
}

fn run_on_storage(home: &Home, mut command: Command, options: &[&str], arguments: &[&str]) -> Finished {
    command.arg("--root").arg(home.path("storage")).arg("--runroot").arg(home.path("run")).args(options);
    command.args(home.fill_in(arguments));
    command
        .env("HOME", home.dir.path())
        .env("TMPDIR", home.path("tmp"))
        .env("REGISTRY_AUTH_FILE", home.path("auth.json"))
        .env("CONTAINERS_STORAGE_CONF", home.path("storage.conf"));
    finish(command.current_dir(home.dir.path() as &Path))
}
