//! The real Docker engine, with a client configuration of the test's own.

use crate::directory::fresh_dir;
use crate::door::Door;
use crate::process::{Finished, Process, finish, finish_with_input};
use crate::programs::tool;
use crate::secrets::note_password;
use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// Where the engine and its client look for authorities, each in a directory `HOST:PORT`.
const CERTS_DIR: &str = "/etc/docker/certs.d";

/// A docker client. What it made in the engine goes when it is dropped.
#[derive(Debug)]
pub struct Docker {
    config: TempDir,
    door: Door,
    /// Its directory below [`CERTS_DIR`].
    trust: Option<PathBuf>,
    /// The engine, where it is not the machine's.
    host: Option<String>,
}

impl Docker {
    /// A client that has not logged in.
    ///
    /// # Panics
    /// When no engine runs.
    pub fn at(door: &Door) -> Self {
        let docker = Self { config: fresh_dir(), door: door.clone(), trust: None, host: None };
        let version = docker.run(&["version", "--format", "{{.Server.Version}}"]);
        assert!(
            version.status.success(),
            "this test needs a running Docker engine: `service docker start` (or `dockerd &` where there is no init): {version}"
        );
        docker
    }

    /// The address of the engine's bridge: one of this machine only, and none that docker takes for insecure.
    ///
    /// # Panics
    /// When the engine has no bridge.
    pub fn bridge() -> String {
        let format = "{{with index .IPAM.Config 0}}{{.Gateway}} {{.Subnet}}{{end}}";
        let inspected = finish(tool("docker").args(["network", "inspect", "bridge", "--format", format])).success();
        let (gateway, subnet) = inspected.stdout.trim_end().split_once(' ').expect("the format has a space");
        if !gateway.is_empty() {
            return gateway.to_owned();
        }
        // Older engines do not say it; it is the first address of the network.
        let network = subnet.split('/').next().and_then(|network| network.parse::<Ipv4Addr>().ok());
        Ipv4Addr::from_bits(network.expect("docker's bridge has an IPv4 network").to_bits() + 1).to_string()
    }

    /// Tells the engine and its client to trust this authority at the door, in the place the guides name.
    ///
    /// # Panics
    /// When that place may not be written.
    pub fn trusting(mut self, ca: &Path) -> Self {
        let dir = Path::new(CERTS_DIR).join(self.door.address.to_string());
        let put = fs::create_dir_all(&dir).and_then(|()| fs::copy(ca, dir.join("ca.crt")));
        put.unwrap_or_else(|e| panic!("this test needs to write {}: {e}; run it as root", dir.display()));
        self.trust = Some(dir);
        self
    }

    /// Has it speak to another engine than the machine's.
    pub fn of_the_engine(mut self, socket: &Path) -> Self {
        self.host = Some(format!("unix://{}", socket.display()));
        self
    }

    /// Runs docker; `DOOR` in the arguments is the door's address.
    pub fn run(&self, arguments: &[&str]) -> Finished {
        finish(&mut self.command(arguments))
    }

    /// Starts docker and leaves it running.
    pub fn spawn(&self, arguments: &[&str]) -> Process {
        Process::start(&mut self.command(arguments))
    }

    /// `docker login` with the door's user and this password.
    pub fn login(&self, password: &str) -> Finished {
        self.login_as(&self.door.user, password)
    }

    /// `docker login` with another user.
    pub fn login_as(&self, user: &str, password: &str) -> Finished {
        note_password(user, password);
        let address = self.door.address.to_string();
        let arguments = ["login", "--username", user, "--password-stdin", &address];
        finish_with_input(&mut self.command(&arguments), password.as_bytes())
    }

    /// `docker login` with the door's password.
    ///
    /// # Panics
    /// When it is refused.
    #[track_caller]
    pub fn logged_in(self) -> Self {
        self.login(&self.door.password).success();
        self
    }

    /// Makes an image `REPOSITORY` under the door's name: busybox, and a file of `content` so that no two are alike.
    /// Not by a build: BuildKit's cache would keep the layers, and nothing would really be pulled.
    ///
    /// # Panics
    /// When the engine does not take it.
    pub fn import(&self, repository: &str, content: &[u8], options: &[&str]) -> String {
        let root = fresh_dir();
        let busybox = tool("busybox").get_program().to_owned();
        fs::create_dir(root.path().join("bin")).expect("the directory is ours");
        fs::copy(busybox, root.path().join("bin/busybox")).expect("busybox can be read");
        fs::write(root.path().join("content"), content).expect("the directory is ours");
        let mut tar = tool("tar");
        let mut tar =
            tar.arg("-C").arg(root.path()).args(["-c", "."]).stdout(Stdio::piped()).spawn().expect("tar starts");
        let reference = self.door.reference(repository);
        let arguments = [&["import"], options, &["-", &reference]].concat();
        let imported = self.command(&arguments).stdin(tar.stdout.take().expect("it is piped")).output();
        let imported = imported.expect("docker starts");
        assert!(tar.wait().expect("tar ends").success() && imported.status.success(), "{imported:?}");
        reference
    }

    /// The id of a local image, when there is one.
    pub fn image_id(&self, reference: &str) -> Option<String> {
        let inspected = self.run(&["image", "inspect", "--format", "{{.Id}}", reference]);
        inspected.status.success().then(|| inspected.stdout.trim().to_owned())
    }

    /// Removes every local image under the door's name, tagged or only pulled by digest.
    pub fn remove_images(&self) {
        let all = self.run(&["images", "--digests", "--format", "{{.Repository}} {{.Tag}} {{.Digest}} {{.ID}}"]);
        let ours = format!("{}/", self.door.address);
        for line in all.stdout.lines().filter(|line| line.starts_with(&ours)) {
            let id = line.rsplit(' ').next().unwrap_or_default();
            self.run(&["rmi", "--force", id]);
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut docker = tool("docker");
        let address = self.door.address.to_string();
        docker
            .env("DOCKER_CONFIG", self.config.path())
            // buildx asks registries by itself, and looks for their authorities where programs in Go do.
            .envs(self.trust.iter().map(|dir| ("SSL_CERT_FILE", dir.join("ca.crt"))))
            .envs(self.host.iter().map(|host| ("DOCKER_HOST", host)))
            .args(arguments.iter().map(|word| word.replace("DOOR", &address)));
        docker
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        self.remove_images();
        if let Some(dir) = &self.trust {
            let _ = fs::remove_dir_all(dir);
        }
    }
}
