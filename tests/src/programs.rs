//! Where the programs under test and the tools of the tests are found.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Debian's package of each tool.
const PACKAGES: &[(&str, &str)] = &[
    ("buildah", "buildah"),
    ("busybox", "busybox-static"),
    ("curl", "curl"),
    ("docker", "docker.io"),
    ("docker-registry", "docker-registry"),
    ("gzip", "gzip"),
    ("htpasswd", "apache2-utils"),
    ("mount", "mount"),
    ("openssl", "openssl"),
    ("podman", "podman"),
    ("python3", "python3"),
    ("sha256sum", "coreutils"),
    ("sha512sum", "coreutils"),
    ("skopeo", "skopeo"),
    ("strace", "strace"),
    ("systemd-analyze", "systemd"),
    ("tar", "tar"),
    ("testssl", "testssl.sh"),
    ("umount", "mount"),
    ("unshare", "util-linux"),
    ("wrk", "wrk"),
];

/// What would lead a client on loopback astray.
const PROXY_VARIABLES: &[&str] = &["http_proxy", "https_proxy", "all_proxy", "no_proxy"];

/// One of the two programs under test, with nothing of the caller's `LOCKGATE_*` in its environment.
///
/// # Panics
/// When it is not built.
pub fn program(name: &str) -> Command {
    let path = program_dir().join(name);
    assert!(
        path.is_file(),
        "{} is not there. Build the programs first: cargo build --release --workspace \
         (or name their directory in PROGRAMS_DIR)",
        path.display()
    );
    clean(&path)
}

/// A tool of the machine's, from `PATH`.
///
/// # Panics
/// When it is missing, with what to install.
pub fn tool(name: &str) -> Command {
    let package = PACKAGES.iter().find(|(tool, _)| *tool == name).map_or(name, |(_, package)| package);
    let path = search_path().map(|dir| dir.join(name)).find(|path| path.is_file());
    clean(&path.unwrap_or_else(|| panic!("this test needs `{name}`: apt-get install {package}")))
}

fn search_path() -> impl Iterator<Item = PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let dirs: Vec<PathBuf> = env::split_paths(&path).collect();
    // Where Debian keeps what it takes for an administrator's.
    dirs.into_iter().chain([PathBuf::from("/usr/sbin"), PathBuf::from("/sbin")])
}

fn clean(path: &Path) -> Command {
    let mut command = Command::new(path);
    for name in PROXY_VARIABLES {
        command.env_remove(name).env_remove(name.to_uppercase());
    }
    for (name, _) in env::vars_os() {
        if name.to_string_lossy().starts_with("LOCKGATE_") {
            command.env_remove(name);
        }
    }
    command
}

/// `<target>/<profile>`: the tests themselves run from `<target>/<profile>/deps`.
fn program_dir() -> PathBuf {
    if let Some(dir) = env::var_os("PROGRAMS_DIR") {
        return PathBuf::from(dir);
    }
    let test = env::current_exe().expect("a running program has a path");
    test.ancestors().nth(2).expect("cargo puts tests in <target>/<profile>/deps").to_path_buf()
}
