//! What a running process asks of the kernel, as `strace` sees it.

use crate::directory::fresh_dir;
use crate::process::{Process, Signal};
use crate::programs::tool;
use crate::waiting::PATIENCE;
use std::collections::HashMap;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// A process that is being watched.
#[derive(Debug)]
pub struct Trace {
    strace: Process,
    dir: TempDir,
}

/// A system call that came to its end, or did not before the trace did.
#[derive(Debug, Clone)]
pub struct SystemCall {
    /// As in `fsync`.
    pub name: String,
    /// As strace writes them; a file descriptor is followed by what it is open on, `7</path>`.
    pub arguments: String,
    /// As in `0` or `-1 EEXIST (File exists)`; empty when it did not end.
    pub result: String,
    /// When it began and when it ended: lines of the trace, to compare with those of other calls.
    pub began: usize,
    /// See `began`.
    pub ended: usize,
}

impl Trace {
    /// Watches every thread of a process for these system calls, from now on.
    ///
    /// # Panics
    /// When strace is missing, or may not.
    pub fn of(process: &Process, calls: &[&str]) -> Self {
        Self::start(process, &[format!("trace={}", calls.join(","))], None)
    }

    /// Lets every one of these system calls fail with an error, as in `EIO`, until it is finished.
    ///
    /// # Panics
    /// When strace is missing, or may not.
    pub fn failing(process: &Process, calls: &[&str], error: &str) -> Self {
        let calls = calls.join(",");
        Self::start(process, &[format!("trace={calls}"), format!("inject={calls}:error={error}")], None)
    }

    /// Lets every attempt to open one file or directory fail with an error, as in `EACCES`, until it is finished.
    ///
    /// # Panics
    /// When strace is missing, or may not.
    pub fn barring(process: &Process, path: &Path, error: &str) -> Self {
        Self::start(process, &["trace=openat".to_owned(), format!("inject=openat:error={error}")], Some(path))
    }

    fn start(process: &Process, expressions: &[String], path: Option<&Path>) -> Self {
        let dir = fresh_dir();
        let mut strace = tool("strace");
        strace.args(["-f", "-y", "-s", "40"]);
        for expression in expressions {
            strace.args(["-e", expression]);
        }
        if let Some(path) = path {
            strace.arg("-P").arg(path);
        }
        strace.arg("-o").arg(dir.path().join("trace")).arg("-p").arg(process.id().to_string());
        let strace = Process::start(&mut strace);
        strace.stderr().await_line(PATIENCE, "strace's `attached`", |line| line.contains("attached"));
        Self { strace, dir }
    }

    /// Ends the watch and returns what was seen, by the order in which the calls began.
    ///
    /// # Panics
    /// When strace does not end.
    pub fn finish(mut self) -> Vec<SystemCall> {
        self.strace.signal(Signal::Interrupt);
        self.strace.wait(PATIENCE);
        let text = fs::read(self.dir.path().join("trace")).expect("strace wrote it");
        parse(&String::from_utf8_lossy(&text))
    }
}

/// A call that another thread's interrupts is two lines: `fsync(7</x> <unfinished ...>`, `<... fsync resumed>) = 0`.
fn parse(text: &str) -> Vec<SystemCall> {
    let mut calls: Vec<SystemCall> = Vec::new();
    let mut unfinished: HashMap<&str, usize> = HashMap::new();
    for (at, line) in text.lines().enumerate() {
        let Some((thread, rest)) = line.split_once(' ') else { continue };
        let rest = rest.trim_start();
        if let Some((_, end)) = rest.strip_prefix("<... ").and_then(|resumed| resumed.split_once(" resumed>")) {
            let Some(call) = unfinished.remove(thread).map(|index| &mut calls[index]) else { continue };
            let (arguments, result) = end.rsplit_once(" = ").unwrap_or((end, ""));
            call.arguments.push_str(arguments.trim_end().strip_suffix(')').unwrap_or(arguments));
            (call.result, call.ended) = (result.to_owned(), at);
        } else if let Some((name, rest)) = rest.split_once('(') {
            let (arguments, result, ended) = if let Some(begun) = rest.strip_suffix(" <unfinished ...>") {
                unfinished.insert(thread, calls.len());
                (begun, "", usize::MAX)
            } else {
                let (arguments, result) = rest.rsplit_once(" = ").unwrap_or((rest, ""));
                (arguments.trim_end().strip_suffix(')').unwrap_or(arguments), result, at)
            };
            let (name, arguments, result) = (name.to_owned(), arguments.to_owned(), result.to_owned());
            calls.push(SystemCall { name, arguments, result, began: at, ended });
        }
    }
    calls
}

impl SystemCall {
    /// Whether it did what it was asked.
    pub fn succeeded(&self) -> bool {
        !self.result.is_empty() && !self.result.starts_with('-')
    }

    /// What its first argument, a file descriptor, is open on.
    pub fn file(&self) -> Option<&str> {
        let (descriptor, rest) = self.arguments.split_once('<')?;
        let path = rest.split_once('>')?.0;
        descriptor.bytes().all(|b| b.is_ascii_digit()).then_some(path)
    }

    /// Its arguments that are texts: the paths of a call that takes paths.
    pub fn texts(&self) -> Vec<&str> {
        self.arguments.split('"').skip(1).step_by(2).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_was_interrupted_is_one_call() {
        let text = "7  fsync(9</data/a> <unfinished ...>\n\
                    8  rename(\"/data/a\", \"/data/b\") = 0\n\
                    7  <... fsync resumed>)              = 0\n\
                    8  mkdir(\"/data\", 0777)              = -1 EEXIST (File exists)\n";
        let calls = parse(text);
        let names: Vec<_> = calls.iter().map(|call| (call.name.as_str(), call.began, call.ended)).collect();
        assert_eq!(names, [("fsync", 0, 2), ("rename", 1, 1), ("mkdir", 3, 3)]);
        assert_eq!((calls[0].file(), calls[0].succeeded()), (Some("/data/a"), true));
        assert_eq!(calls[1].texts(), ["/data/a", "/data/b"]);
        assert!(!calls[2].succeeded());
    }
}
