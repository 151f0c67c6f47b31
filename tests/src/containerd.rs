//! containerd, as Kubernetes has it pull, with a daemon and a storage of the test's own.

use crate::directory::fresh_dir;
use crate::door::Door;
use crate::process::{Finished, Process, finish};
use crate::programs::tool;
use crate::waiting::eventually;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;

/// How long the daemon may take to start on a busy machine.
const START: Duration = Duration::from_secs(60);

/// A running daemon.
#[derive(Debug)]
pub struct Containerd {
    door: Door,
    _daemon: Process,
    // The last field: it goes when the daemon is gone.
    dir: TempDir,
}

impl Containerd {
    /// A daemon, which trusts the door's authority.
    ///
    /// # Panics
    /// When it does not start; it has to be root's.
    pub fn at(door: &Door) -> Self {
        let dir = fresh_dir();
        let path = |name: &str| dir.path().join(name);
        let hosts = path("hosts").join(door.address.to_string());
        fs::create_dir_all(&hosts).expect("the directory is ours");
        let (url, ca) = (door.url(""), door.ca.display());
        let host = format!("server = '{url}'\n[host.'{url}']\ncapabilities = ['pull', 'resolve']\nca = '{ca}'\n");
        fs::write(hosts.join("hosts.toml"), host).expect("the directory is ours");
        let plugins = "disabled_plugins = ['io.containerd.grpc.v1.cri', 'io.containerd.internal.v1.opt']\n";
        fs::write(path("config.toml"), format!("version = 2\n{plugins}")).expect("the directory is ours");
        let mut containerd = tool("containerd");
        for (option, name) in
            [("--config", "config.toml"), ("--root", "root"), ("--state", "state"), ("--address", "containerd.sock")]
        {
            containerd.arg(option).arg(path(name));
        }
        let containerd = Self { door: door.clone(), _daemon: Process::start(&mut containerd), dir };
        eventually(START, "a daemon that answers", || containerd.ctr(&["version"]).status.success().then_some(()));
        containerd
    }

    /// Pulls an image and unpacks it.
    pub fn pull(&self, repository: &str) -> Finished {
        let hosts = self.path("hosts").display().to_string();
        let (credentials, reference) = (self.door.credentials(), self.door.reference(repository));
        // What unpacks by mounts leaves them behind.
        let pull = ["images", "pull", "--snapshotter", "native", "--hosts-dir", &hosts, "--user", &credentials];
        self.ctr(&[&pull[..], &[&reference]].concat())
    }

    /// Runs `ctr` with these arguments.
    pub fn ctr(&self, arguments: &[&str]) -> Finished {
        finish(tool("ctr").arg("--address").arg(self.path("containerd.sock")).args(arguments))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}
