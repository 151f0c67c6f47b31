//! The proxy, `lockgate serve`, in front of whatever a test puts behind it.

use crate::bucket::Bucket;
use crate::certificates::{Authority, Pair, rename_over};
use crate::clock::Clock;
use crate::curl::Curl;
use crate::directory::fresh_dir;
use crate::door::Door;
use crate::process::{Capture, Finished, Process, Signal, finish};
use crate::programs::program;
use crate::users::{Scheme, htpasswd_line};
use crate::waiting::PATIENCE;
use crate::wire::Wire;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};
use std::fs::{self, Permissions};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;
use tempfile::TempDir;

const USER: &str = "alice";
const PASSWORD: &str = "correct-horse";

/// How a proxy shall be started. Its settings are those of `conf/lockgate.toml`, by their dotted keys.
#[derive(Debug)]
pub struct GateBuilder {
    dir: TempDir,
    settings: BTreeMap<String, String>,
    environment: Vec<(String, String)>,
    wrapper: Vec<String>,
    given: Option<TcpListener>,
    authority: Authority,
    pair: Pair,
}

/// Makes standard input the first of the sockets that `LISTEN_FDS` announces, as `sd_listen_fds(3)` has it.
const GIVE_STDIN: &str = "exec 3<&0 0</dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec \"$@\"";

impl GateBuilder {
    /// Sets a key. What is no number, truth value or list is quoted.
    pub fn set(mut self, key: &str, value: impl Display) -> Self {
        let value = value.to_string();
        let bare = value.starts_with('[') || value.parse::<i64>().is_ok() || value.parse::<bool>().is_ok();
        self.settings.insert(key.to_owned(), if bare { value } else { format!("'{value}'") });
        self
    }

    /// Sets an environment variable.
    pub fn env(mut self, name: &str, value: impl Display) -> Self {
        self.environment.push((name.to_owned(), value.to_string()));
        self
    }

    /// Gives it another clock than this machine's.
    pub fn by_the(mut self, clock: &Clock) -> Self {
        let environment = clock.environment().map(|(name, value)| (name.to_owned(), value.display().to_string()));
        self.environment.extend(environment);
        self
    }

    /// The users' file, in place of one with the door's user only.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn htpasswd(self, text: impl AsRef<[u8]>) -> Self {
        fs::write(self.dir.path().join("htpasswd"), text).expect("the directory is ours");
        self
    }

    /// Grants, with the key that tokens need.
    ///
    /// # Panics
    /// When they cannot be written.
    pub fn access(self, grants: &str) -> Self {
        let (access, key) = (self.dir.path().join("access.toml"), self.dir.path().join("token.key"));
        fs::write(&access, grants).expect("the directory is ours");
        finish(program("lockgate").arg("token-key").arg(&key)).success();
        self.set("auth.access", access.display()).set("auth.token_key", key.display())
    }

    /// Groups of users, as Apache has them.
    ///
    /// # Panics
    /// When they cannot be written.
    pub fn groups(self, groups: &str) -> Self {
        let path = self.dir.path().join("groups");
        fs::write(&path, groups).expect("the directory is ours");
        self.set("auth.groups", path.display())
    }

    /// Users with their passwords, in place of the door's alone.
    ///
    /// # Panics
    /// When they cannot be written.
    pub fn users(self, users: &[(&str, &str)]) -> Self {
        let lines = users.iter().map(|(user, password)| htpasswd_line(Scheme::Bcrypt, user, password) + "\n");
        self.htpasswd(lines.collect::<String>())
    }

    /// Another certificate than the one for localhost and the loopback address.
    pub fn certificate(self, pair: &Pair) -> Self {
        self.set("tls.certificate", pair.certificate.display()).set("tls.key", pair.key.display())
    }

    /// Starts it by way of another command, as in `unshare --mount sh -c '...; exec "$@"' sh`.
    pub fn wrapped_in(mut self, command: &[&str]) -> Self {
        self.wrapper = command.iter().map(|&word| word.to_owned()).collect();
        self
    }

    /// Gives it the socket that it listens on, as systemd does.
    pub fn given(self, listener: TcpListener) -> Self {
        Self { given: Some(listener), ..self }.wrapped_in(&["sh", "-c", GIVE_STDIN, "sh"])
    }

    /// The authority that clients trust.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The directory of its files.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Starts it and awaits that it listens.
    ///
    /// # Panics
    /// When it does not.
    pub fn start(self) -> Gate {
        let process = self.process();
        let address = listening_address(process.stderr());
        let door = Door {
            address,
            ca: self.authority.certificate.clone(),
            user: USER.to_owned(),
            password: PASSWORD.to_owned(),
        };
        let htpasswd = self.dir.path().join("htpasswd");
        let (pair, authority) = (self.pair.clone(), self.authority.clone());
        Gate { process, door, htpasswd, pair, authority, builder: self }
    }

    fn process(&self) -> Process {
        let stdin = self.given.as_ref().map_or_else(Stdio::piped, |listener| {
            OwnedFd::from(listener.try_clone().expect("a socket can be shared")).into()
        });
        Process::start_reading(stdin, &mut self.command())
    }

    /// Starts it where it should not start, and awaits its end.
    ///
    /// # Panics
    /// When it runs.
    pub fn refused(self) -> Finished {
        finish(&mut self.command()).failure()
    }

    /// Asks `lockgate check` about the same configuration.
    ///
    /// # Panics
    /// When the program is missing.
    pub fn check(&self) -> Finished {
        finish(
            program("lockgate").arg("check").arg("--config").arg(self.config()).envs(self.environment.iter().cloned()),
        )
    }

    /// Writes the configuration and returns its path.
    fn config(&self) -> PathBuf {
        let mut text = String::new();
        for (key, value) in &self.settings {
            writeln!(text, "{key} = {value}").expect("a String takes all");
        }
        let path = self.dir.path().join("lockgate.toml");
        // At once: a process that was started before may be about to read it.
        rename_over(&path, text);
        path
    }

    fn command(&self) -> Command {
        let lockgate = program("lockgate");
        let mut command = match self.wrapper.split_first() {
            None => lockgate,
            Some((wrapper, arguments)) => {
                let mut command = crate::programs::tool(wrapper);
                command.args(arguments).arg(lockgate.get_program());
                command
            }
        };
        command.arg("serve").arg("--config").arg(self.config());
        command.envs(self.environment.iter().cloned());
        command
    }
}

/// A running proxy.
#[derive(Debug)]
pub struct Gate {
    process: Process,
    door: Door,
    /// Its users' file.
    pub htpasswd: PathBuf,
    /// Its certificate and key.
    pub pair: Pair,
    /// The authority that issued it.
    pub authority: Authority,
    // The last field: its directory goes when the process is gone.
    builder: GateBuilder,
}

impl Gate {
    /// A proxy in front of `upstream` (`http://HOST:PORT` or `unix:/PATH`), yet to be started: on a free port of
    /// 127.0.0.1, with a certificate for it and localhost, and one user.
    ///
    /// # Panics
    /// When its files cannot be made.
    pub fn before(upstream: impl Display) -> GateBuilder {
        Self::leading_nowhere().set("upstream.url", upstream)
    }

    /// The same with the registry in its own process, over the storage in `data`.
    ///
    /// # Panics
    /// When its files cannot be made.
    pub fn over(data: &Path) -> GateBuilder {
        Self::leading_nowhere().set("storage.data", data.display())
    }

    /// The same over a bucket, one of any number.
    ///
    /// # Panics
    /// When its files cannot be made.
    pub fn on(bucket: &Bucket) -> GateBuilder {
        let gate = Self::without_credentials_on(bucket);
        Bucket::credentials().iter().fold(gate, |gate, (name, value)| gate.env(name, value))
    }

    /// The same, which is not told by what credentials.
    ///
    /// # Panics
    /// When its files cannot be made.
    pub fn without_credentials_on(bucket: &Bucket) -> GateBuilder {
        let mut gate = Self::leading_nowhere().set("storage.data", bucket.url());
        gate.settings.extend(bucket.settings().map(|(key, value)| (key.to_owned(), value)));
        gate
    }

    fn leading_nowhere() -> GateBuilder {
        let dir = fresh_dir();
        let authority = Authority::new(dir.path());
        let pair = authority.issue("domain", &["localhost", "127.0.0.1"]);
        let htpasswd = dir.path().join("htpasswd");
        let line = htpasswd_line(Scheme::Bcrypt, USER, PASSWORD);
        fs::write(&htpasswd, format!("{line}\n")).expect("the directory is ours");
        fs::set_permissions(&htpasswd, Permissions::from_mode(0o600)).expect("the file is ours");
        let builder = GateBuilder {
            dir,
            settings: BTreeMap::new(),
            environment: Vec::new(),
            wrapper: Vec::new(),
            given: None,
            authority,
            pair: pair.clone(),
        };
        builder
            .certificate(&pair)
            .set("listen.https", "127.0.0.1:0")
            .set("auth.htpasswd", htpasswd.display())
            .set("log.level", "trace")
    }

    /// How to come in.
    pub fn door(&self) -> &Door {
        &self.door
    }

    /// The directory of its files.
    pub fn dir(&self) -> &Path {
        self.builder.dir.path()
    }

    /// Starts another process with the same configuration and socket, beside this one.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn another(&self) -> Process {
        self.builder.process()
    }

    /// Goes on with another process, which is awaited, in place of this one, which is returned.
    ///
    /// # Panics
    /// When the other does not listen.
    pub fn go_on_with(&mut self, another: Process) -> Process {
        assert_eq!(listening_address(another.stderr()), self.door.address);
        std::mem::replace(&mut self.process, another)
    }

    /// A request with curl, with the door's user.
    pub fn curl(&self, path: &str) -> Curl {
        self.stranger(path).user(&self.door.credentials())
    }

    /// A request with curl by `USER:PASSWORD`.
    pub fn by(&self, credentials: &str, method: &str, path: &str) -> Curl {
        self.stranger(path).user(credentials).method(method)
    }

    /// A request with curl by a token for a session.
    pub fn bearer(&self, token: &str, method: &str, path: &str) -> Curl {
        self.stranger(path).header(&format!("Authorization: Bearer {token}")).method(method)
    }

    /// A token for a session, as clients get one: by `USER:PASSWORD`, or nobody's.
    ///
    /// # Panics
    /// When there is none.
    #[track_caller]
    pub fn token(&self, credentials: Option<&str>, scope: &str) -> String {
        let asked = self.stranger(&format!("/token?service=lockgate&scope={scope}"));
        let asked = credentials.into_iter().fold(asked, Curl::user);
        asked.run().expect(200).json()["token"].as_str().expect("a token").to_owned()
    }

    /// Runs `lockgate` with these arguments and this gate's configuration.
    pub fn lockgate(&self, arguments: &[&str]) -> Finished {
        finish(program("lockgate").args(arguments).arg("--config").arg(self.dir().join("lockgate.toml")))
    }

    /// A request with curl, without credentials.
    pub fn stranger(&self, path: &str) -> Curl {
        Curl::new(&self.door.url(path)).trusting(&self.door.ca)
    }

    /// A connection on which the test writes the bytes.
    pub fn wire(&self) -> Wire {
        Wire::open(&self.door)
    }

    /// What it logged.
    pub fn log(&self) -> &Capture {
        self.process.stderr()
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

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.process.is_running()
    }

    /// How many connections of clients it holds, those included whose end it has announced and not yet closed.
    ///
    /// # Panics
    /// When the kernel does not tell.
    pub fn held_connections(&self) -> usize {
        let table = fs::read_to_string(format!("/proc/{}/net/tcp", self.process.id())).expect("it runs");
        let ours = format!(":{:04X}", self.door.address.port());
        let is_held = |line: &&str| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            // Local address, state (0A listens), and the inode, which is 0 when no process has the socket.
            fields[1].ends_with(&ours) && fields[3] != "0A" && fields[9] != "0"
        };
        table.lines().skip(1).filter(is_held).count()
    }

    /// How many connections it is opening to `address`.
    ///
    /// # Panics
    /// When it does not run.
    pub fn opening_connections_to(&self, address: SocketAddr) -> usize {
        let table = fs::read_to_string(format!("/proc/{}/net/tcp", self.process.id())).expect("it runs");
        let there = format!(":{:04X}", address.port());
        let is_opening = |line: &&str| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            // Remote address and state: 02 has sent its SYN.
            fields[2].ends_with(&there) && fields[3] == "02"
        };
        table.lines().skip(1).filter(is_opening).count()
    }

    /// Awaits the line of its access log (with `log.format = json`) whose `key` is `value`.
    ///
    /// # Panics
    /// When there is none after [`PATIENCE`].
    pub fn access(&self, key: &str, value: &str) -> Value {
        let wanted = |line: &str| {
            let line: Value = serde_json::from_str(line).ok()?;
            (log_field(&line, key)?.as_str()? == value).then_some(line)
        };
        let what = format!("an access log line with {key} = {value}");
        let line = self.log().await_line(PATIENCE, &what, |line| wanted(line).is_some());
        wanted(&line).expect("it was just found")
    }
}

/// A field of a JSON log line, wherever the format puts it.
pub fn log_field<'a>(line: &'a Value, key: &str) -> Option<&'a Value> {
    line.get(key).or_else(|| line.get("fields")?.get(key))
}

/// Awaits the line that says where a program listens: `... listening ... address=127.0.0.1:PORT`, or the same in JSON.
pub(crate) fn listening_address(log: &Capture) -> SocketAddr {
    let line = log.await_line(PATIENCE, "the line `listening ... address=IP:PORT`", |line| address_in(line).is_some());
    address_in(&line).expect("it was just found")
}

fn address_in(line: &str) -> Option<SocketAddr> {
    if !line.contains("listening") {
        return None;
    }
    let (_, rest) = line.split_once("address")?;
    let rest = rest.trim_start_matches(|c: char| !c.is_ascii_digit() && c != '[');
    let end = rest.find(|c: char| !(c.is_ascii_hexdigit() || ".:[]".contains(c))).unwrap_or(rest.len());
    rest[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_found_in_text_and_in_json() {
        let address: SocketAddr = "127.0.0.1:40001".parse().unwrap();
        assert_eq!(address_in("2026-11-21T02:00:00Z  INFO lockgate: listening address=127.0.0.1:40001"), Some(address));
        assert_eq!(address_in(r#"{"fields":{"message":"listening","address":"127.0.0.1:40001"}}"#), Some(address));
        assert_eq!(address_in("INFO listening address=unix:/run/lockgate/backend.sock"), None);
        assert_eq!(address_in("INFO reloaded address=127.0.0.1:1"), None);
    }
}
