//! The small registry, `lockgate-backend serve`.

use crate::bucket::Bucket;
use crate::directory::fresh_dir;
use crate::gate::listening_address;
use crate::process::{Process, Signal};
use crate::programs::program;
use crate::waiting::{PATIENCE, eventually};
use std::fmt::Display;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

/// A running backend.
#[derive(Debug)]
pub struct Backend {
    process: Process,
    url: String,
    config: TempDir,
}

impl Backend {
    /// A backend over the storage in `data`, on a free port.
    ///
    /// # Panics
    /// When it does not start.
    pub fn over(data: &Path) -> Self {
        Self::on_free_port(data.display(), "")
    }

    /// The same with deleting switched off.
    ///
    /// # Panics
    /// When it does not start.
    pub fn without_delete_over(data: &Path) -> Self {
        Self::on_free_port(data.display(), "storage.delete = false")
    }

    /// The same with manifests accepted whose content is not all there.
    ///
    /// # Panics
    /// When it does not start.
    pub fn sparse_over(data: &Path) -> Self {
        Self::on_free_port(data.display(), "storage.sparse = true")
    }

    /// The same with further settings, lines of its configuration as in `storage.upload_age = '1s'`.
    ///
    /// # Panics
    /// When it does not start.
    pub fn configured_over(data: &Path, settings: &str) -> Self {
        Self::on_free_port(data.display(), settings)
    }

    /// A backend over a bucket, one of any number.
    ///
    /// # Panics
    /// When it does not start.
    pub fn on(bucket: &Bucket) -> Self {
        Self::configured_on(bucket, "")
    }

    /// The same with further settings.
    ///
    /// # Panics
    /// When it does not start.
    pub fn configured_on(bucket: &Bucket, settings: &str) -> Self {
        Self::on_free_port(bucket.url(), &of_bucket(bucket, settings))
    }

    /// The same at an address where another one was, or will be.
    ///
    /// # Panics
    /// When it does not start.
    pub fn configured_at(address: SocketAddr, bucket: &Bucket, settings: &str) -> Self {
        Self::listening_at(address, bucket.url(), &of_bucket(bucket, settings))
    }

    fn on_free_port(data: impl Display, settings: &str) -> Self {
        Self::listening_at("127.0.0.1:0", data, settings)
    }

    fn listening_at(address: impl Display, data: impl Display, settings: &str) -> Self {
        let (process, config) = start(data, &address.to_string(), settings);
        let url = format!("http://{}", listening_address(process.stderr()));
        Self { process, url, config }
    }

    /// Changes its configuration file, while it serves.
    ///
    /// # Panics
    /// When the file cannot be written.
    pub fn rewrite_config(&self, change: impl FnOnce(String) -> String) {
        let file = self.config.path().join("backend.toml");
        let text = change(fs::read_to_string(&file).expect("it was written"));
        fs::write(file, text).expect("the directory is ours");
    }

    /// The same on a Unix socket.
    ///
    /// # Panics
    /// When it does not start.
    pub fn on_socket(data: &Path, socket: &Path) -> Self {
        let (process, config) = start(data.display(), &format!("unix:{}", socket.display()), "");
        eventually(PATIENCE, "the backend's socket", || socket.exists().then_some(()));
        process.stderr().await_line(PATIENCE, "the line that it listens", |line| line.contains("listening"));
        Self { process, url: format!("unix:{}", socket.display()), config }
    }

    /// What `upstream.url` must say.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Asks it to stop and awaits its end.
    ///
    /// # Panics
    /// When it does not end, or not well.
    pub fn stop(mut self) {
        self.process.signal(Signal::Terminate);
        let status = self.process.wait(Duration::from_secs(20));
        assert!(status.success(), "the backend ended with {status}");
    }
}

fn of_bucket(bucket: &Bucket, settings: &str) -> String {
    bucket.settings().map(|(key, value)| format!("{key} = {value}\n")).concat() + settings
}

fn start(data: impl Display, listen: &str, settings: &str) -> (Process, TempDir) {
    let dir = fresh_dir();
    let config: PathBuf = dir.path().join("backend.toml");
    let text = format!("listen.http = '{listen}'\nstorage.data = '{data}'\nlog.level = 'trace'\n{settings}\n");
    fs::write(&config, text).expect("the directory is ours");
    let mut backend = program("lockgate-backend");
    backend.arg("serve").arg("--config").arg(&config).envs(Bucket::credentials());
    (Process::start(&mut backend), dir)
}
