//! Where the programs under test and the tools of the tests are found.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The programs that this repository starts: `COMMAND PACKAGE GROUP...` in each line. The Makefile installs from it, so
/// that no test starts what a fresh machine lacks.
const TOOLS: &str = include_str!("../../scripts/tools.txt");

/// Whose programs tests may start.
const GROUPS: [&str; 2] = ["test", "engine"];

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
/// When it is missing, with what to install; and when nothing would install it on another machine.
pub fn tool(name: &str) -> Command {
    let package = package_of(name).unwrap_or_else(|| panic!("scripts/tools.txt lists no `{name}` for tests"));
    let path = search_path().map(|dir| dir.join(name)).find(|path| path.is_file());
    clean(&path.unwrap_or_else(|| panic!("this test needs `{name}` of {package}: make clients")))
}

/// Debian's package of a tool that tests may start.
fn package_of(name: &str) -> Option<&'static str> {
    TOOLS.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let mut words = line.split_whitespace();
        let package = words.next().filter(|command| *command == name).and_then(|_| words.next())?;
        words.any(|group| GROUPS.contains(&group)).then_some(package)
    })
}

fn search_path() -> impl Iterator<Item = PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let dirs: Vec<PathBuf> = env::split_paths(&path).collect();
    // Where Debian keeps what it takes for an administrator's.
    dirs.into_iter().chain([PathBuf::from("/usr/sbin"), PathBuf::from("/sbin")])
}

#[expect(clippy::disallowed_methods, reason = "every other command comes from here")]
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

#[cfg(test)]
mod tests {
    use super::package_of;

    #[test]
    fn a_tool_that_nothing_installs_is_none_even_where_it_is_there() {
        // `ls` is on every machine, and taskset is listed for measurements alone.
        for name in ["ls", "taskset", "#"] {
            assert_eq!(package_of(name), None, "{name}");
        }
        assert_eq!(package_of("h2load"), Some("nghttp2-client"));
        assert_eq!(package_of("docker"), Some("docker.io"));
    }
}
