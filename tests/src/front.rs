//! The servers that others put before a gate or a registry, as their administrators configure them.

use crate::certificates::Pair;
use crate::directory::fresh_dir;
use crate::process::{Process, Signal};
use crate::programs::tool;
use crate::waiting::{PATIENCE, eventually};
use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// One that listens on this machine.
#[derive(Debug)]
pub struct Front {
    address: SocketAddr,
    process: Process,
    config: PathBuf,
    // The last field: it goes when the process is gone.
    dir: TempDir,
}

impl Front {
    /// nginx. `config` is told where it is to listen, and is its configuration but for where it keeps its own files.
    ///
    /// # Panics
    /// When it does not start.
    pub fn nginx(config: impl Fn(SocketAddr) -> String) -> Self {
        Self::nginx_at("127.0.0.1", config)
    }

    /// The same on another address of this machine, so that something else can take its place there.
    ///
    /// # Panics
    /// When it does not start.
    pub fn nginx_at(ip: &str, config: impl Fn(SocketAddr) -> String) -> Self {
        let own = "daemon off; master_process off; pid nginx.pid; error_log stderr info;\n\
                   load_module /usr/lib/nginx/modules/ngx_stream_module.so;\n";
        let temporary =
            ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(|kind| format!("{kind}_temp_path {kind};"));
        let in_http = format!("http {{ access_log off; {}", temporary.join(" "));
        Self::start(
            ip,
            "nginx.conf",
            |address| own.to_owned() + &config(address).replacen("http {", &in_http, 1),
            |file, dir| {
                let mut nginx = tool("nginx");
                nginx.arg("-p").arg(dir).arg("-e").arg("stderr").arg("-c").arg(file);
                nginx
            },
        )
    }

    /// HAProxy.
    ///
    /// # Panics
    /// When it does not start.
    pub fn haproxy(config: impl Fn(SocketAddr) -> String) -> Self {
        let own = "defaults\n  timeout connect 30s\n  timeout client 60s\n  timeout server 60s\n";
        Self::start(
            "127.0.0.1",
            "haproxy.cfg",
            |address| own.to_owned() + &config(address),
            |file, _| {
                let mut haproxy = tool("haproxy");
                haproxy.arg("-db").arg("-f").arg(file);
                haproxy
            },
        )
    }

    /// Caddy, which obtains no certificate by itself.
    ///
    /// # Panics
    /// When it does not start.
    pub fn caddy(config: impl Fn(SocketAddr) -> String) -> Self {
        let own = "{\n admin off\n auto_https off\n}\n";
        Self::start(
            "127.0.0.1",
            "Caddyfile",
            |address| own.to_owned() + &config(address),
            |file, dir| {
                let mut caddy = tool("caddy");
                for variable in ["HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"] {
                    caddy.env(variable, dir);
                }
                caddy.args(["run", "--adapter", "caddyfile", "--config"]).arg(file);
                caddy
            },
        )
    }

    /// The file of a certificate with its key, as HAProxy wants it.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn joined(pair: &Pair) -> PathBuf {
        let [certificate, key] =
            [&pair.certificate, &pair.key].map(|file| fs::read_to_string(file).expect("it is there"));
        let file = pair.certificate.with_extension("joined.pem");
        fs::write(&file, certificate + &key).expect("the directory is ours");
        file
    }

    fn start(
        ip: &str,
        name: &str,
        config: impl Fn(SocketAddr) -> String,
        command: impl Fn(&Path, &Path) -> Command,
    ) -> Self {
        let attempt = || {
            let dir = fresh_dir();
            let free = TcpListener::bind((ip, 0)).expect("a port is free");
            let address = free.local_addr().expect("it is bound");
            drop(free);
            let file = dir.path().join(name);
            fs::write(&file, config(address)).expect("the directory is ours");
            let mut process = Process::start(&mut command(&file, dir.path()));
            let is_up = eventually(PATIENCE, "a server before it", || match TcpStream::connect(address) {
                Ok(_) => Some(true),
                Err(_) => (!process.is_running()).then_some(false),
            });
            if !is_up {
                eprintln!("{}", process.stderr().text());
            }
            is_up.then_some(Self { address, process, config: file, dir })
        };
        // Another program may take a port between the moment that it was free and the start.
        (0..3).find_map(|_| attempt()).unwrap_or_else(|| panic!("{name} starts"))
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Its configuration.
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// Stops it, so that another may listen there. Its files go with what is returned.
    pub fn stop(mut self) -> TempDir {
        self.process.signal(Signal::Terminate);
        self.process.wait(PATIENCE);
        self.dir
    }
}
