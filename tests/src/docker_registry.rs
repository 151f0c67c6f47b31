//! Debian's `docker-registry`: the real distribution 2.8 that people run today.

use crate::bucket::Bucket;
use crate::certificates::Pair;
use crate::directory::fresh_dir;
use crate::process::{Process, Signal};
use crate::programs::tool;
use crate::waiting::PATIENCE;
use std::fs;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

/// A running distribution.
#[derive(Debug)]
pub struct DockerRegistry {
    process: Process,
    url: String,
    _config: TempDir,
}

impl DockerRegistry {
    /// A registry over the storage in `data`, with deletes allowed, on a free port.
    ///
    /// # Panics
    /// When it does not start.
    pub fn over(data: &Path) -> Self {
        Self::over_at(data, "127.0.0.1:0")
    }

    /// The same at a given address, as a recreated container is.
    ///
    /// # Panics
    /// When it does not start.
    pub fn over_at(data: &Path, address: &str) -> Self {
        Self::start(&filesystem(data), address, true)
    }

    /// The same with deletes forbidden, as distribution has it by default, on a free port.
    ///
    /// # Panics
    /// When it does not start.
    pub fn without_delete_over(data: &Path) -> Self {
        Self::start(&filesystem(data), "127.0.0.1:0", false)
    }

    /// A registry over a bucket, with deletes allowed, on a free port.
    ///
    /// # Panics
    /// When it does not start.
    pub fn on(bucket: &Bucket) -> Self {
        Self::start(&bucket.driver(), "127.0.0.1:0", true)
    }

    /// The same with TLS of its own.
    ///
    /// # Panics
    /// When it does not start.
    pub fn with_tls_over(data: &Path, pair: &Pair) -> Self {
        let (certificate, key) = (pair.certificate.display(), pair.key.display());
        let tls = format!("  tls:\n    certificate: {certificate}\n    key: {key}\n");
        Self::start_with(&filesystem(data), "127.0.0.1:0", true, &tls)
    }

    fn start(driver: &str, address: &str, delete: bool) -> Self {
        Self::start_with(driver, address, delete, "")
    }

    fn start_with(driver: &str, address: &str, delete: bool, http: &str) -> Self {
        let dir = fresh_dir();
        let config = dir.path().join("config.yml");
        let text = format!(
            "version: 0.1\nlog:\n  level: info\nstorage:\n{driver}  delete:\n    enabled: {delete}\nhttp:\n  addr: \
             {address}\n  secret: of-the-tests\n{http}"
        );
        fs::write(&config, text).expect("the directory is ours");
        let mut registry = tool("docker-registry");
        // It takes a file of certificates for its S3 driver's from there, and then does not start.
        let process = Process::start(registry.arg("serve").arg(&config).env_remove("AWS_CA_BUNDLE"));
        let listening = "listening on ";
        let line = process.stderr().await_line(PATIENCE, "`listening on`", |line| line.contains(listening));
        let address = line.split_once(listening).expect("it was just found").1;
        let end = address.find(|c: char| !(c.is_ascii_digit() || ".:".contains(c))).unwrap_or(address.len());
        Self { process, url: format!("http://{}", &address[..end]), _config: dir }
    }

    /// Its process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// What `upstream.url` must say.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its address, without the scheme.
    ///
    /// # Panics
    /// Never: the URL is of our making.
    pub fn address(&self) -> &str {
        self.url.strip_prefix("http://").expect("we wrote it so")
    }

    /// Stops it and awaits its end.
    ///
    /// # Panics
    /// When it does not end.
    pub fn stop(mut self) {
        self.process.signal(Signal::Terminate);
        self.process.wait(Duration::from_secs(20));
    }
}

/// What the configuration has below `storage` for a directory.
fn filesystem(data: &Path) -> String {
    format!("  filesystem:\n    rootdirectory: {}\n", data.display())
}
