//! A deployment by one of the files for compose.

use lockgate_e2e::{Door, Finished, Process, finish, no_secret_in, tool};
use std::ffi::OsStr;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;
use tempfile::TempDir;

/// The first `up` on a machine compiles two hundred crates.
const BUILD_PATIENCE: Duration = Duration::from_secs(25 * 60);

/// Of deployments and addresses.
static COUNT: AtomicU16 = AtomicU16::new(0);

/// A fresh clone, brought up as a project of its own. All of it is gone when this is dropped.
#[derive(Debug)]
pub(crate) struct Deployment {
    clone: TempDir,
    file: &'static str,
    /// Of the project and of the image.
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
    variables: Vec<(&'static str, String)>,
}

impl Deployment {
    pub(crate) fn up(file: &'static str, variables: &[(&'static str, &str)]) -> Self {
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let deployment = Self {
            clone: fresh_clone(),
            file,
            name: format!("lockgate-e2e-{}-{count}", std::process::id()),
            address: free_address(),
            variables: variables.iter().map(|(name, value)| (*name, (*value).to_owned())).collect(),
        };
        deployment.start();
        deployment
    }

    /// The one command, in the background.
    pub(crate) fn start(&self) {
        finish_within(BUILD_PATIENCE, &mut self.command(&["up", "--detach", "--wait"])).success();
    }

    pub(crate) fn compose(&self, arguments: &[&str]) -> Finished {
        finish(&mut self.command(arguments))
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut docker = tool("docker");
        docker
            .current_dir(self.clone.path())
            .args(["compose", "--project-name", &self.name, "--file", self.file])
            .args(arguments)
            .env("LOCKGATE_IMAGE", &self.name)
            .env("LOCKGATE_PUBLISH", self.address.to_string())
            .envs(self.variables.iter().map(|(name, value)| (name, value)));
        docker
    }

    /// The way in that a user is told of: the password from the log, the authority by `docker compose cp`.
    pub(crate) fn first_door(&self) -> Door {
        let log = self.init_log();
        let value = |label| printed(&log, label).unwrap_or_else(|| panic!("no {label} in the log: {log}"));
        let ca = self.clone.path().join("devdockerCA.crt");
        let source = "proxy:/var/lib/lockgate/certs/devdockerCA.crt";
        self.compose(&["cp", source, ca.to_str().expect("a temporary path is ASCII")]).success();
        Door { address: self.address, ca, user: value("user"), password: value("password") }
    }

    pub(crate) fn init_log(&self) -> String {
        self.compose(&["logs", "--no-log-prefix", "init"]).success().stdout
    }

    pub(crate) fn inspect(&self, service: &str, format: &str) -> String {
        let id = self.compose(&["ps", "--all", "--quiet", service]).success().stdout;
        docker(&["inspect", "--format", format, id.trim()]).success().stdout.trim().to_owned()
    }

    /// The container of a backend that has received so many bytes.
    pub(crate) fn backend_with(&self, bytes: u64) -> Option<String> {
        let ids = self.compose(&["ps", "--quiet", "backend"]).success().stdout;
        let received = |id: &str| {
            let count = "cat /sys/class/net/eth*/statistics/rx_bytes";
            let counted = docker(&["exec", id, "sh", "-c", count]).success().stdout;
            counted.lines().filter_map(|line| line.parse::<u64>().ok()).sum::<u64>()
        };
        ids.lines().find(|id| received(id) > bytes).map(str::to_owned)
    }

    pub(crate) fn network(&self, network: &str) -> String {
        format!("{}_{network}", self.name)
    }

    pub(crate) fn backend_ip(&self) -> String {
        self.inspect("backend", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}")
    }
}

impl Drop for Deployment {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.compose(&["logs", "--no-color", "--tail", "100"]));
        }
        let log = self.compose(&["logs", "--no-color", "proxy", "backend"]).output();
        self.compose(&["down", "--volumes", "--remove-orphans", "--timeout", "2"]);
        docker(&["image", "rm", "--force", &self.name]);
        if !std::thread::panicking() {
            no_secret_in("a container", &log);
        }
    }
}

/// The files that git knows or would add, as a clone has them.
fn fresh_clone() -> TempDir {
    let clone = TempDir::new().expect("there is a temporary directory");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate is in the workspace");
    let list = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let listed = finish(tool("git").arg("-C").arg(root).args(list)).success();
    // What is deleted and not yet committed is still listed.
    for file in listed.stdout.split_terminator('\0').filter(|file| root.join(file).is_file()) {
        let copy = clone.path().join(file);
        fs::create_dir_all(copy.parent().expect("it is below the clone")).expect("the directory is ours");
        fs::copy(root.join(file), copy).expect("the file can be copied");
    }
    clone
}

/// An address with a free port below those that the kernel gives out by itself, so that nobody takes it while the proxy is
/// away.
pub(crate) fn free_address() -> SocketAddr {
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let spread = u16::try_from(std::process::id() % 400).expect("it is below 400");
    let first = 20_000 + spread * 25 + count;
    let at = |port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    (first..32_768)
        .step_by(100)
        .map(at)
        .find(|address| TcpListener::bind(address).is_ok())
        .expect("one of them is free")
}

/// The value of a line `LABEL: VALUE`.
pub(crate) fn printed(log: &str, label: &str) -> Option<String> {
    let values = log.lines().filter_map(|line| line.split_once(':'));
    let mut named = values.filter(|(name, _)| name.trim().to_lowercase().ends_with(label));
    named.next().map(|(_, value)| value.trim().to_owned())
}

pub(crate) fn docker<S: AsRef<OsStr>>(arguments: &[S]) -> Finished {
    finish(tool("docker").args(arguments))
}

fn finish_within(bound: Duration, command: &mut Command) -> Finished {
    let name = format!("{command:?}");
    let mut process = Process::start(command);
    let status = process.wait(bound);
    Finished { name, status, stdout: process.stdout().text(), stderr: process.stderr().text() }
}
