//! Requests with curl, as scripts and people make them.

use crate::directory::fresh_dir;
use crate::message::Head;
use crate::process::{Process, finish};
use crate::programs::tool;
use crate::secrets::{note_authorizations, note_credentials};
use serde_json::Value;
use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// A request in the making.
#[derive(Debug)]
pub struct Curl {
    command: Command,
    files: TempDir,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// curl's exit status: 0 when the transfer was whole.
    pub exit: i32,
    /// The head of every response, interim ones and those of further URLs among them.
    pub heads: Vec<Head>,
    /// The body, of the last response when there were several.
    pub body: Vec<u8>,
    /// What curl measured (`--write-out '%{json}'`), of the last transfer.
    pub measured: Value,
    /// What curl said.
    pub stderr: String,
}

impl Curl {
    /// A GET of this URL.
    ///
    /// # Panics
    /// When curl is missing.
    pub fn new(url: &str) -> Self {
        let mut command = tool("curl");
        // -q first: nobody's ~/.curlrc.
        command.args(["-q", "--silent", "--show-error", "--path-as-is", "--noproxy", "*", "--max-time", "120"]);
        command.arg(url);
        Self { command, files: fresh_dir() }
    }

    /// Adds an argument of curl's.
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    /// Adds arguments of curl's.
    pub fn args(mut self, arguments: &[&str]) -> Self {
        self.command.args(arguments);
        self
    }

    /// Trusts this certificate authority and no other.
    pub fn trusting(self, ca: &Path) -> Self {
        self.arg("--cacert").arg(ca)
    }

    /// `USER:PASSWORD`.
    pub fn user(self, credentials: &str) -> Self {
        note_credentials(credentials);
        self.args(&["--user", credentials])
    }

    /// Another method.
    pub fn method(self, method: &str) -> Self {
        if method == "HEAD" { self.arg("--head") } else { self.args(&["--request", method]) }
    }

    /// A header, `Name: value`.
    pub fn header(self, header: &str) -> Self {
        note_authorizations(header.as_bytes());
        self.args(&["--header", header])
    }

    /// A body with a length.
    ///
    /// # Panics
    /// When it cannot be kept for curl.
    pub fn body(self, bytes: impl AsRef<[u8]>) -> Self {
        self.body_of_type("application/octet-stream", bytes)
    }

    /// A body with a length, of this media type.
    ///
    /// # Panics
    /// When it cannot be kept for curl.
    pub fn body_of_type(self, media_type: &str, bytes: impl AsRef<[u8]>) -> Self {
        let path = self.file("request");
        std::fs::write(&path, bytes).expect("the directory is ours");
        self.arg("--data-binary").arg(at(&path)).header(&format!("Content-Type: {media_type}"))
    }

    /// A body sent in chunks.
    pub fn chunked_body(self, bytes: impl AsRef<[u8]>) -> Self {
        self.body(bytes).header("Transfer-Encoding: chunked")
    }

    /// Does it.
    ///
    /// # Panics
    /// When curl cannot be run to its end.
    pub fn run(mut self) -> Answer {
        self.reporting();
        let done = finish(self.command.arg("--output").arg(self.files.path().join("body")));
        self.answer(done.status.code(), &done.stdout, done.stderr)
    }

    /// Does it with a body of any size, sent in chunks as it is read.
    ///
    /// # Panics
    /// When curl cannot be run to its end.
    pub fn run_sending(mut self, mut content: impl Read) -> Answer {
        self.reporting();
        self.command.args(["--upload-file", "-", "--output"]).arg(self.files.path().join("body"));
        let mut curl = Process::start(&mut self.command);
        let mut stdin = curl.take_stdin();
        // When curl stops reading it was answered early; the answer tells.
        let _ = io::copy(&mut content, &mut stdin);
        drop(stdin);
        let status = curl.wait(std::time::Duration::from_secs(120));
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let (stdout, stderr) = (text(curl.stdout().to_end()), text(curl.stderr().to_end()));
        self.answer(status.code(), &stdout, stderr)
    }

    /// Does it and copies the body to `sink` as it comes.
    ///
    /// # Panics
    /// When curl cannot be run, or the sink does not take the body.
    pub fn run_receiving(mut self, sink: &mut dyn Write) -> Answer {
        let heads = self.file("heads");
        self.command.arg("--dump-header").arg(heads);
        let child = self.command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn();
        let mut child = child.expect("curl starts");
        let mut stdout = child.stdout.take().expect("it is piped");
        let mut buffer = vec![0; 1 << 20];
        loop {
            match stdout.read(&mut buffer).expect("a pipe can be read") {
                0 => break,
                n => sink.write_all(&buffer[..n]).expect("the body is what it should be"),
            }
        }
        let status = child.wait().expect("curl ends");
        self.answer(status.code(), "{}", String::new())
    }

    /// Starts it and leaves it running.
    pub fn spawn(mut self) -> Process {
        Process::start(&mut self.command)
    }

    fn reporting(&mut self) {
        let heads = self.file("heads");
        self.command.arg("--dump-header").arg(heads).args(["--write-out", "%{json}\n"]);
    }

    fn answer(self, exit: Option<i32>, measured: &str, stderr: String) -> Answer {
        let heads = std::fs::read(self.file("heads")).unwrap_or_default();
        let body = std::fs::read(self.file("body")).unwrap_or_default();
        let measured = measured.lines().last().and_then(|line| serde_json::from_str(line).ok()).unwrap_or_default();
        Answer { exit: exit.unwrap_or(-1), heads: split_heads(&heads), body, measured, stderr }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }
}

fn at(path: &Path) -> String {
    format!("@{}", path.display())
}

fn split_heads(bytes: &[u8]) -> Vec<Head> {
    let text = String::from_utf8_lossy(bytes);
    text.split_inclusive("\r\n\r\n").map(|head| Head::parse(head.as_bytes())).collect()
}

impl Answer {
    /// The last response's head.
    ///
    /// # Panics
    /// When there was no response.
    #[track_caller]
    pub fn head(&self) -> &Head {
        self.heads.last().unwrap_or_else(|| panic!("there was no answer; curl said: {}", self.stderr))
    }

    /// The last response's status.
    ///
    /// # Panics
    /// When there was no response.
    #[track_caller]
    pub fn status(&self) -> u16 {
        self.head().status()
    }

    /// The status of every final response, in their order.
    pub fn statuses(&self) -> Vec<u16> {
        self.heads.iter().map(Head::status).filter(|status| *status >= 200).collect()
    }

    /// How many connections the last transfer opened: 0 when it went on an open one.
    ///
    /// # Panics
    /// When curl did not measure it.
    #[track_caller]
    pub fn new_connections(&self) -> i64 {
        self.measured["num_connects"].as_i64().expect("curl counts its connections")
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("no JSON ({e}): {}", self.text()))
    }

    /// The same, when it has this status and its transfer was whole.
    ///
    /// # Panics
    /// Otherwise.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        let said = format!("{}{}", self.text().chars().take(2000).collect::<String>(), self.stderr);
        assert_eq!((self.status(), self.exit), (status, 0), "{:#?}: {said}", self.head());
        self
    }

    /// Checks that this is a refusal in the registry's own language, and returns its code and message.
    ///
    /// # Panics
    /// When it is not.
    #[track_caller]
    pub fn oci_error(&self, status: u16) -> (String, String) {
        assert_eq!(self.status(), status, "{:#?}: {}", self.head(), self.text());
        let content_type = self.head().one("content-type");
        assert!(content_type.starts_with("application/json"), "{content_type}");
        assert_eq!(self.head().one("docker-distribution-api-version"), "registry/2.0");
        let body = self.json();
        let error = &body["errors"][0];
        let text = |key: &str| error[key].as_str().unwrap_or_else(|| panic!("no {key} in {body}")).to_owned();
        let (code, message) = (text("code"), text("message"));
        assert!(!code.is_empty() && code.chars().all(|c| c.is_ascii_uppercase() || c == '_'), "{body}");
        assert!(message.contains(' '), "a message should be a sentence: {body}");
        (code, message)
    }
}
