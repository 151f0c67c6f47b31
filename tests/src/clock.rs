//! A clock that a test sets, for a program of ours.
//!
//! Clients in Go read the clock without the C library and cannot be given one. Between a client and a gate only the
//! difference counts, so it is the gate that has another time.

use crate::certificates::rename_over;
use crate::directory::fresh_dir;
use crate::programs::tool;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// The time of day that a program sees; how long something takes it sees as it is.
#[derive(Debug)]
pub struct Clock(TempDir);

impl Clock {
    /// One that is right.
    ///
    /// # Panics
    /// When faketime is missing.
    pub fn right() -> Self {
        // Its library does it, since the command itself leaves a process between.
        let _ = tool("faketime");
        let clock = Self(fresh_dir());
        clock.set(0);
        clock
    }

    /// Makes it differ from the right one by so many seconds, for those that run with it too.
    ///
    /// # Panics
    /// Never: its file is the test's own.
    pub fn set(&self, seconds: i64) {
        rename_over(&self.file(), format!("{seconds:+}\n"));
    }

    /// What a program has in its environment to run with it.
    pub fn environment(&self) -> [(&'static str, PathBuf); 4] {
        [
            // The dynamic linker knows where this machine's libraries are.
            ("LD_PRELOAD", PathBuf::from("/usr/$LIB/faketime/libfaketimeMT.so.1")),
            ("FAKETIME_TIMESTAMP_FILE", self.file()),
            ("FAKETIME_NO_CACHE", PathBuf::from("1")),
            ("FAKETIME_DONT_FAKE_MONOTONIC", PathBuf::from("1")),
        ]
    }

    fn file(&self) -> PathBuf {
        Path::new(self.0.path()).join("time")
    }
}
