//! Debian's nginx, as it stands in front of registries today.

use crate::process::{Process, Signal};
use crate::programs::tool;
use crate::unresponsive::nobody_at;
use crate::waiting::{PATIENCE, eventually};
use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};

/// A running nginx, of one process, that serves a configuration of a test's.
#[derive(Debug)]
pub struct Nginx {
    process: Process,
    /// Where it listens.
    pub address: SocketAddr,
    /// Its `nginx.conf`.
    pub config: PathBuf,
}

impl Nginx {
    /// Starts it at a free port of `ip`, of which each test has its own, with what stands in `http`, where `ADDRESS` is
    /// replaced. Its files are in `dir`, to which paths are relative.
    ///
    /// # Panics
    /// When it does not start.
    pub fn serving(http: &str, ip: &str, dir: &Path) -> Self {
        let address = nobody_at(ip);
        let config = dir.join("nginx.conf");
        let paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
        let paths: String =
            paths.iter().map(|path| format!("    {path}_temp_path {}/{path};\n", dir.display())).collect();
        let text = format!(
            "daemon off;\nmaster_process off;\npid {dir}/nginx.pid;\nerror_log stderr;\nevents {{ }}\nhttp {{\n    access_log off;\n\
             {paths}{http}\n}}\n",
            dir = dir.display(),
            http = http.replace("ADDRESS", &address.to_string()),
        );
        fs::write(&config, text).expect("the directory is the test's");
        let mut process =
            Process::start(tool("nginx").arg("-e").arg("stderr").arg("-p").arg(dir).arg("-c").arg(&config));
        eventually(PATIENCE, "nginx listens", || {
            assert!(process.is_running(), "it ended: {}", process.stderr().text());
            TcpStream::connect(address).ok()
        });
        Self { process, address, config }
    }

    /// Stops it, so that another may listen there.
    pub fn stop(mut self) -> (SocketAddr, PathBuf) {
        self.process.signal(Signal::Terminate);
        self.process.wait(PATIENCE);
        (self.address, self.config)
    }
}
