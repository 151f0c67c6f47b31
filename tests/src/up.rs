//! `lockgate up`: the whole registry in one process.

use crate::curl::Curl;
use crate::door::Door;
use crate::gate::listening_address;
use crate::process::{Process, Signal};
use crate::programs::program;
use crate::waiting::PATIENCE;
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

/// A running `lockgate up`.
#[derive(Debug)]
pub struct Up {
    process: Process,
    door: Door,
}

impl Up {
    /// Brings a registry up in a fresh directory and reads the first user's name and password from what it prints.
    ///
    /// # Panics
    /// When it does not come up, or prints no password.
    pub fn in_fresh(dir: &Path) -> Self {
        Self::in_fresh_at(dir, "127.0.0.1")
    }

    /// The same, listening at another address of this machine.
    ///
    /// # Panics
    /// When it does not come up, or prints no password.
    pub fn in_fresh_at(dir: &Path, ip: &str) -> Self {
        let process = start(dir, ip);
        let address = listening_address(process.stderr());
        let user = printed(&process, "user");
        let password = printed(&process, "password");
        Self { door: Door { address, ca: dir.join("certs/devdockerCA.crt"), user, password }, process }
    }

    /// Brings a registry up again, in a directory where it was up before.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn again(dir: &Path, before: &Door) -> Self {
        let process = start(dir, "127.0.0.1");
        let address = listening_address(process.stderr());
        Self { door: Door { address, ..before.clone() }, process }
    }

    /// How to come in.
    pub fn door(&self) -> &Door {
        &self.door
    }

    /// A request with curl, with the first user.
    pub fn curl(&self, path: &str) -> Curl {
        Curl::new(&self.door.url(path)).trusting(&self.door.ca).user(&self.door.credentials())
    }

    /// Its process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Awaits its end.
    ///
    /// # Panics
    /// When it still runs after `bound`.
    pub fn wait(&mut self, bound: Duration) -> ExitStatus {
        self.process.wait(bound)
    }
}

fn start(dir: &Path, ip: &str) -> Process {
    let mut lockgate = program("lockgate");
    lockgate.env("LOCKGATE_LOG_LEVEL", "trace").args(["up", "--listen", &format!("{ip}:0"), "--dir"]).arg(dir);
    Process::start(&mut lockgate)
}

/// The value of a line `LABEL: VALUE` on standard output.
fn printed(process: &Process, label: &str) -> String {
    let what = format!("a line `{label}: ...` on standard output");
    let line = process.stdout().await_line(PATIENCE, &what, |line| value_of(line, label).is_some());
    value_of(&line, label).expect("it was just found")
}

fn value_of(line: &str, label: &str) -> Option<String> {
    let (name, value) = line.split_once(':')?;
    let named = name.trim().to_lowercase().ends_with(label);
    (named && !value.trim().is_empty()).then(|| value.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_is_found_however_the_line_is_set_out() {
        for line in ["password: a:b c", "  Password:   a:b c", "the first password: a:b c"] {
            assert_eq!(value_of(line, "password").as_deref(), Some("a:b c"), "{line}");
        }
        assert_eq!(value_of("keep this password, it is shown once", "password"), None);
    }
}
