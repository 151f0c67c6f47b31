//! A child process: all it prints is kept, it is ended by its id when dropped, and a test that panics shows its log.

use crate::programs::tool;
use crate::secrets::no_secret_in;
use crate::waiting::{PATIENCE, eventually};
use std::ffi::OsStr;
use std::fmt;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// How many of the last lines of a log a panicking test prints.
const SHOWN_LINES: usize = 150;

/// A running child.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Capture,
    stderr: Capture,
    /// Whether it is one of our programs, which log on standard error.
    is_ours: bool,
}

/// What a user or an orchestrator sends.
#[derive(Debug, Clone, Copy)]
pub enum Signal {
    /// `SIGTERM`, as `docker stop` sends it.
    Terminate,
    /// `SIGINT`, as Ctrl-C does.
    Interrupt,
    /// `SIGHUP`, as a hook sends it that asks for a reload.
    Hangup,
    /// `SIGKILL`, as a lost machine does.
    Kill,
    /// `SIGSTOP`: it is there, and does nothing.
    Stop,
    /// `SIGCONT`: after a stop it goes on.
    Continue,
}

impl Process {
    /// Starts `command` with all three standard streams in the harness's hands.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(command: &mut Command) -> Self {
        Self::start_reading(Stdio::piped(), command)
    }

    /// The same with something else for its standard input.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start_reading(stdin: Stdio, command: &mut Command) -> Self {
        let name = command.get_program().to_string_lossy().into_owned();
        command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|e| panic!("{name} cannot be started: {e}"));
        let stdin = child.stdin.take();
        let stdout = Capture::of(child.stdout.take().expect("it is piped"));
        let stderr = Capture::of(child.stderr.take().expect("it is piped"));
        Self { name, child, stdin, stdout, stderr, is_ours: runs_ours(command) }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its standard input, once; dropping it is the end of input.
    ///
    /// # Panics
    /// The second time.
    pub fn take_stdin(&mut self) -> ChildStdin {
        self.stdin.take().expect("standard input is taken once")
    }

    /// What it printed on standard output so far.
    pub fn stdout(&self) -> &Capture {
        &self.stdout
    }

    /// What it logged so far.
    pub fn stderr(&self) -> &Capture {
        &self.stderr
    }

    /// Sends it a signal.
    ///
    /// # Panics
    /// When it is gone.
    pub fn signal(&self, signal: Signal) {
        let name = match signal {
            Signal::Terminate => "TERM",
            Signal::Interrupt => "INT",
            Signal::Hangup => "HUP",
            Signal::Kill => "KILL",
            Signal::Stop => "STOP",
            Signal::Continue => "CONT",
        };
        // The shell's own `kill`: a bare machine has no other.
        let sent = tool("sh").arg("-c").arg(format!("kill -{name} {}", self.id())).status();
        assert!(sent.expect("sh starts").success(), "{} took no signal", self.name);
    }

    /// Awaits its end.
    ///
    /// # Panics
    /// When it still runs after `bound`.
    pub fn wait(&mut self, bound: Duration) -> ExitStatus {
        let Self { name, child, .. } = self;
        eventually(bound, &format!("the end of {name}"), || child.try_wait().expect("a child can be waited for"))
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a child can be waited for").is_none()
    }

    /// The names of its threads.
    ///
    /// # Panics
    /// When it is gone.
    pub fn threads(&self) -> Vec<String> {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.id())).expect("it runs").flatten();
        // One may end meanwhile.
        let names = threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("comm")).ok());
        names.map(|name| name.trim_end().to_owned()).collect()
    }

    /// The most memory it ever held, in bytes (`VmHWM`).
    ///
    /// # Panics
    /// When it is gone.
    pub fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux counts it");
        let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("it is a number of kB");
        kib * 1024
    }

    /// By how many bytes the most memory it ever held is more than `before`. The kernel adds its count up from one for
    /// each processor, so that it may also say less.
    ///
    /// # Panics
    /// When it is gone.
    pub fn growth_since(&self, before: u64) -> u64 {
        self.peak_memory().saturating_sub(before)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- {} wrote ---\n{}{}", self.name, self.stdout.tail(), self.stderr.tail());
        } else if self.is_ours {
            no_secret_in(&self.name, &String::from_utf8_lossy(&self.stderr.to_end()));
        }
    }
}

/// Whether a command is one of the programs under test, or another that runs one.
fn runs_ours(command: &Command) -> bool {
    let is_ours = |word: &OsStr| {
        ["lockgate", "lockgate-backend"].map(OsStr::new).map(Some).contains(&Path::new(word).file_name())
    };
    is_ours(command.get_program()) || command.get_args().any(is_ours)
}

/// All that came out of a stream so far; grows on a thread of its own.
#[derive(Debug, Clone)]
pub struct Capture(Arc<(Mutex<Captured>, Condvar)>);

#[derive(Debug, Default)]
struct Captured {
    bytes: Vec<u8>,
    ended: bool,
}

impl Capture {
    fn of(mut stream: impl Read + Send + 'static) -> Self {
        let capture = Self(Arc::default());
        let theirs = capture.clone();
        std::thread::spawn(move || {
            let mut buffer = [0; 64 * 1024];
            loop {
                let n = stream.read(&mut buffer).unwrap_or(0);
                let mut captured = theirs.lock();
                captured.bytes.extend_from_slice(&buffer[..n]);
                captured.ended = n == 0;
                theirs.0.1.notify_all();
                if n == 0 {
                    return;
                }
            }
        });
        capture
    }

    /// All so far, as it came.
    pub fn bytes(&self) -> Vec<u8> {
        self.lock().bytes.clone()
    }

    /// All so far; what is not UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.lock().bytes).into_owned()
    }

    /// The complete lines from the byte `position` on, which is moved behind them; what is not UTF-8 is replaced.
    pub fn lines_since(&self, position: &mut usize) -> Vec<String> {
        let captured = self.lock();
        let new = &captured.bytes[*position..];
        let complete = &new[..new.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1)];
        *position += complete.len();
        String::from_utf8_lossy(complete).lines().map(str::to_owned).collect()
    }

    /// Whether the stream has come to its end.
    pub fn has_ended(&self) -> bool {
        self.lock().ended
    }

    /// Awaits the end of the stream and returns all of it.
    ///
    /// # Panics
    /// After [`PATIENCE`].
    pub fn to_end(&self) -> Vec<u8> {
        self.await_bytes(PATIENCE, "the end of a stream", |bytes, ended| ended.then(|| bytes.to_vec()))
    }

    /// Awaits the first complete line that `wanted` takes, and returns it.
    ///
    /// # Panics
    /// When none has come after `bound`, or the stream ended without it.
    pub fn await_line(&self, bound: Duration, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        self.await_bytes(bound, what, |bytes, ended| {
            let text = String::from_utf8_lossy(bytes);
            let complete = if ended { &text } else { text.rsplit_once('\n').map_or("", |(head, _)| head) };
            let line = complete.lines().find(|line| wanted(line)).map(str::to_owned);
            assert!(line.is_some() || !ended, "it ended without {what}:\n{text}");
            line
        })
    }

    /// Awaits what `seen` finds in the bytes so far; it is told whether they are all.
    ///
    /// # Panics
    /// After `bound`, naming `what`.
    pub fn await_bytes<T>(&self, bound: Duration, what: &str, mut seen: impl FnMut(&[u8], bool) -> Option<T>) -> T {
        let start = Instant::now();
        let mut captured = self.lock();
        loop {
            if let Some(found) = seen(&captured.bytes, captured.ended) {
                return found;
            }
            let left = bound.checked_sub(start.elapsed());
            let left = left.unwrap_or_else(|| panic!("waited {bound:?} in vain for {what}; there is: {captured}"));
            captured = self.0.1.wait_timeout(captured, left).unwrap_or_else(|e| e.into_inner()).0;
        }
    }

    fn tail(&self) -> String {
        let text = self.text();
        let lines: Vec<&str> = text.lines().collect();
        let skipped = lines.len().saturating_sub(SHOWN_LINES);
        lines[skipped..].iter().map(|line| format!("  {line}\n")).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Captured> {
        // A test that panics while it holds the lock must still be able to print the log.
        self.0.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl fmt::Display for Captured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = &self.bytes[self.bytes.len().saturating_sub(4096)..];
        write!(f, "{} bytes{}, at last: {}", self.bytes.len(), if self.ended { ", ended" } else { "" }, Lossy(shown))
    }
}

struct Lossy<'a>(&'a [u8]);

impl fmt::Display for Lossy<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(self.0))
    }
}

/// A command that has run to its end.
#[derive(Debug)]
pub struct Finished {
    /// What was run, for messages.
    pub name: String,
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output; what is not UTF-8 is replaced.
    pub stdout: String,
    /// Its standard error; what is not UTF-8 is replaced.
    pub stderr: String,
}

impl Finished {
    /// The same, when it exited with 0.
    ///
    /// # Panics
    /// Otherwise, with all it wrote.
    #[track_caller]
    pub fn success(self) -> Self {
        assert!(self.status.success(), "it should have succeeded: {self}");
        self
    }

    /// The same, when it did not exit with 0.
    ///
    /// # Panics
    /// Otherwise, with all it wrote.
    #[track_caller]
    pub fn failure(self) -> Self {
        assert!(!self.status.success(), "it should have failed: {self}");
        self
    }

    /// Both outputs together, for a look at the message.
    pub fn output(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

impl fmt::Display for Finished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}\n--- stdout ---\n{}--- stderr ---\n{}", self.name, self.status, self.stdout, self.stderr)
    }
}

/// Runs a command to its end, without input.
///
/// # Panics
/// When it has not ended after two minutes.
pub fn finish(command: &mut Command) -> Finished {
    finish_with_input(command, b"")
}

/// Runs a command to its end, with `input`.
///
/// # Panics
/// When it has not ended after two minutes.
pub fn finish_with_input(command: &mut Command, input: &[u8]) -> Finished {
    let name = format!("{command:?}");
    let mut process = Process::start(command);
    // Whoever does not read all of its input has its reason, seen in its status.
    let _ = process.take_stdin().write_all(input);
    let status = process.wait(Duration::from_secs(120));
    let text = |capture: &Capture| String::from_utf8_lossy(&capture.to_end()).into_owned();
    let (stdout, stderr) = (text(process.stdout()), text(process.stderr()));
    Finished { name, status, stdout, stderr }
}
