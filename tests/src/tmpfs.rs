//! A small disk of a test's own, to be filled.

use crate::directory::fresh_dir;
use crate::process::finish;
use crate::programs::tool;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A file system in memory, unmounted when dropped.
#[derive(Debug)]
pub struct Tmpfs {
    dir: TempDir,
}

impl Tmpfs {
    /// One of so many bytes.
    ///
    /// # Panics
    /// When it cannot be mounted, which takes root.
    pub fn new(bytes: u64) -> Self {
        let dir = fresh_dir();
        let mut mount = tool("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "lockgate-tests"]).arg(dir.path());
        let mounted = finish(&mut mount);
        assert!(mounted.status.success(), "this test fills a small disk, and mounting one takes root: {mounted}");
        Self { dir }
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Lets nothing be written any more.
    ///
    /// # Panics
    /// When somebody is writing.
    pub fn make_read_only(&self) {
        finish(tool("mount").args(["-o", "remount,ro"]).arg(self.path())).success();
    }

    /// Takes all the room there is but `spare` bytes, until it is removed with [`Tmpfs::make_room`].
    ///
    /// # Panics
    /// When it cannot be written to at all.
    pub fn fill(&self, spare: u64) {
        let mut filler = File::create(self.filler()).expect("a tmpfs takes a file");
        let zeros = [0; 4096];
        while filler.write_all(&zeros).is_ok() {}
        let full = filler.metadata().expect("it was just made").len();
        filler.set_len(full.saturating_sub(spare)).expect("a file can be cut");
    }

    /// Gives back what was taken.
    ///
    /// # Panics
    /// When nothing was.
    pub fn make_room(&self) {
        fs::remove_file(self.filler()).expect("it was filled");
    }

    fn filler(&self) -> PathBuf {
        self.path().join("filler")
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = finish(tool("umount").arg("--lazy").arg(self.dir.path()));
    }
}
