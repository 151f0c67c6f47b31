//! Steps in the file system that survive a loss of power once they have returned.
//!
//! A name is durable when its directory was synced after it was made, and content when its file was.
//! So: write aside, sync the file, rename, sync the directory. All of this blocks.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, Once};
use std::time::{Duration, SystemTime};

use uuid::Uuid;

use super::directories::{Change, Directories};
use super::errors::{at, if_there};
use super::exclusive;
use crate::lock::held;

/// Older files of the staging directory belong to nobody: they are made and renamed within seconds.
const ABANDONED: Duration = Duration::from_secs(60 * 60);

/// Writes, renames and removes below one data directory.
#[derive(Debug)]
pub(crate) struct Durable {
    staging: PathBuf,
    /// Of the file beside the staging directory; none where the file system is read-only.
    lock: Mutex<Option<File>>,
    /// Is told of every directory that comes or goes.
    pub(super) directories: Directories,
    /// Directories that exist and whose name may not be on disk yet: who finds one of them waits,
    /// so that nothing is promised that hangs on a name which a loss of power would take away.
    unsynced: Mutex<HashSet<PathBuf>>,
    synced: Condvar,
}

fn parent(path: &Path) -> &Path {
    path.parent().expect("every path of the layout is below the data directory")
}

/// There are file systems that do not sync directories, of networks and of virtual machines: what was made in them
/// may be lost with the power, and not even that can be told of them.
fn sync_directory(path: &Path) -> io::Result<()> {
    match File::open(path).and_then(|directory| directory.sync_all()) {
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => {
            static SAID: Once = Once::new();
            SAID.call_once(|| {
                tracing::warn!(path = %path.display(), %error,
                    "this file system cannot sync a directory: what was pushed last may be lost with the power");
            });
            Ok(())
        }
        synced => synced.map_err(at(path)),
    }
}

impl Durable {
    /// Makes the staging directory, and locks what it is in.
    pub(crate) fn new(staging: &Path) -> io::Result<Self> {
        let durable = Self::read_only(staging);
        durable.claim()?;
        durable.probe()?;
        Ok(durable)
    }

    /// Whether it can be written to, and what can be synced, is to be known at the start. A disk that is full is no
    /// reason not to: what is deleted makes room.
    fn probe(&self) -> io::Result<()> {
        let probe = self.aside()?;
        let written = write_synced(&probe, b"", SystemTime::now()).and_then(|()| fs::remove_file(&probe));
        match written {
            Err(error) if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => {
                tracing::warn!(path = %probe.display(), %error, "nothing can be pushed");
            }
            written => written.map_err(at(&probe))?,
        }
        sync_directory(&self.staging)
    }

    /// For a file system on which nothing can be written.
    pub(crate) fn read_only(staging: &Path) -> Self {
        Self {
            staging: staging.to_owned(),
            lock: Mutex::default(),
            directories: Directories::default(),
            unsynced: Mutex::default(),
            synced: Condvar::new(),
        }
    }

    /// Whether nothing is to be written.
    pub(super) fn is_read_only(&self) -> bool {
        held(self.lock.lock()).is_none()
    }

    /// Makes the staging directory if it is missing, and locks what it is in: at the start, and when somebody has
    /// removed all of it since.
    fn claim(&self) -> io::Result<()> {
        let mut lock = held(self.lock.lock());
        if lock.is_some() && self.staging.is_dir() {
            return Ok(());
        }
        self.make_directory(&self.staging)?;
        // The one of before would be in the way, if it is still there.
        *lock = None;
        *lock = Some(exclusive::lock(&parent(&self.staging).join("lock"))?);
        Ok(())
    }

    /// Empties the staging directory of what a crash left behind.
    pub(crate) fn clear_staging(&self) -> io::Result<()> {
        for entry in if_there(fs::read_dir(&self.staging)).map_err(at(&self.staging))?.into_iter().flatten() {
            let path = entry?.path();
            let modified = fs::symlink_metadata(&path).and_then(|metadata| metadata.modified());
            if modified.is_ok_and(|time| SystemTime::now().duration_since(time).is_ok_and(|age| age > ABANDONED)) {
                remove_whatever(&path)?;
            }
        }
        Ok(())
    }

    /// A path in the staging directory that nobody else has.
    fn aside(&self) -> io::Result<PathBuf> {
        if !self.staging.is_dir() {
            self.claim()?;
        }
        Ok(self.staging.join(Uuid::new_v4().to_string()))
    }

    /// Puts `content` at `path`, in place of what may be there, as a file that was modified at this time.
    pub(super) fn write(&self, path: &Path, content: &[u8], modified: SystemTime) -> io::Result<()> {
        self.replace(path, |aside| write_synced(aside, content, modified))
    }

    /// Puts what a file holds from `offset` on at `path`, in place of what may be there.
    pub(crate) fn copy(&self, from: &File, offset: u64, path: &Path) -> io::Result<()> {
        self.replace(path, |aside| copy_synced(from, offset, aside))
    }

    /// Makes an empty file in its place, as nothing of it could be half there; or one that is there younger. What is not
    /// empty is somebody else's, and stays.
    pub(super) fn make_empty(&self, path: &Path, modified: SystemTime) -> io::Result<()> {
        self.make_directory(parent(path))?;
        let made = File::options().write(true).create(true).truncate(false).open(path);
        made.and_then(|file| file.set_modified(modified).and_then(|()| file.sync_all())).map_err(at(path))?;
        sync_directory(parent(path))
    }

    /// Puts what `write` makes aside at `path`.
    fn replace(&self, path: &Path, write: impl Fn(&Path) -> io::Result<()>) -> io::Result<()> {
        match self.replace_by(&self.aside()?, path, &write) {
            Err(error) if is_elsewhere(&error) => self.replace_by(&beside(path), path, &write),
            replaced => replaced,
        }
    }

    fn replace_by(&self, aside: &Path, path: &Path, write: impl Fn(&Path) -> io::Result<()>) -> io::Result<()> {
        let written = write(aside).map_err(at(aside)).and_then(|()| self.move_to(aside, path));
        if written.is_err() {
            // Best effort: where writing failed, removing may fail as well, and the next start cleans up.
            let _ = fs::remove_file(aside);
        }
        written
    }

    /// Moves a file that is already synced to `to`, in place of what may be there. Where it would come to another file
    /// system, it is copied, and stays.
    pub(crate) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        match self.move_to(from, to) {
            Err(error) if is_elsewhere(&error) => {
                self.replace_by(&beside(to), to, |aside| copy_synced(&File::open(from)?, 0, aside))
            }
            moved => moved,
        }
    }

    fn move_to(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.make_directory(parent(to))?;
        fs::rename(from, to).map_err(at(to))?;
        sync_directory(parent(to))
    }

    /// Removes a file, and the directories above it, below `keep`, that it leaves empty. False when
    /// there is no such file.
    pub(crate) fn remove_file(&self, path: &Path, keep: &Path) -> io::Result<bool> {
        if if_there(fs::remove_file(path)).map_err(at(path))?.is_none() {
            return Ok(false);
        }
        sync_directory(parent(path))?;
        let emptied = path.ancestors().skip(1).take_while(|directory| *directory != keep);
        for directory in emptied {
            // One that is not empty stays, and so does what is above it.
            if self.directories.change(directory, Change::Removed, || fs::remove_dir(directory)).is_err() {
                break;
            }
        }
        Ok(true)
    }

    /// Removes a directory and all in it, at once for every reader. False when there is none.
    pub(crate) fn remove_tree(&self, path: &Path) -> io::Result<bool> {
        let Some(aside) = self.put_aside(path)? else { return Ok(false) };
        sync_directory(parent(path))?;
        // It is gone for every reader: what is left of it is the next sweep's.
        let _ = fs::remove_dir_all(&aside);
        Ok(true)
    }

    /// Moves what is to be removed to where no reader sees it. `None` when it is not there.
    fn put_aside(&self, path: &Path) -> io::Result<Option<PathBuf>> {
        let move_to = |aside: &Path| self.directories.change(path, Change::Removed, || fs::rename(path, aside));
        let mut aside = self.aside()?;
        let mut moved = move_to(&aside);
        if moved.as_ref().is_err_and(is_elsewhere) {
            aside = beside(path);
            moved = move_to(&aside);
        }
        Ok(if_there(moved).map_err(at(path))?.map(|()| aside))
    }

    /// Removes the file that was opened as this one, unless another has come in its place.
    pub(crate) fn remove_opened(&self, path: &Path, opened: &File) -> io::Result<()> {
        let Some(aside) = self.put_aside(path)? else { return Ok(()) };
        let (moved, opened) = (fs::metadata(&aside).map_err(at(&aside))?, opened.metadata().map_err(at(path))?);
        if moved.ino() == opened.ino() {
            let _ = fs::remove_file(&aside);
            return sync_directory(parent(path));
        }
        self.rename(&aside, path)
    }

    /// Makes a directory and those above it that are missing.
    pub(crate) fn make_directory(&self, path: &Path) -> io::Result<()> {
        let missing = self.claim_missing(path);
        if missing.is_empty() {
            return Ok(());
        }
        let made = missing.iter().rev().try_for_each(|directory| self.make_synced(directory));
        let mut unsynced = held(self.unsynced.lock());
        for directory in &missing {
            unsynced.remove(directory);
        }
        drop(unsynced);
        self.synced.notify_all();
        made
    }

    /// The directories from `path` upwards that are missing, marked as being made by the caller.
    fn claim_missing(&self, path: &Path) -> Vec<PathBuf> {
        let mut unsynced = held(self.unsynced.lock());
        while !unsynced.is_empty() && path.ancestors().any(|directory| unsynced.contains(directory)) {
            unsynced = held(self.synced.wait(unsynced));
        }
        let missing: Vec<_> = path.ancestors().take_while(|d| !d.is_dir()).map(Path::to_owned).collect();
        unsynced.extend(missing.iter().cloned());
        missing
    }

    /// Makes one directory. One that cannot be synced is removed, lest the next caller trust it.
    fn make_synced(&self, path: &Path) -> io::Result<()> {
        match self.directories.change(path, Change::Added, || fs::create_dir(path)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {}
            made => made.map_err(at(path))?,
        }
        sync_directory(parent(path)).inspect_err(|_| {
            let _ = self.directories.change(path, Change::Removed, || fs::remove_dir(path));
        })
    }
}

/// Whether a link in the data directory leads to another file system, to which nothing can be moved.
fn is_elsewhere(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::CrossesDevices
}

/// A path that nobody else has, in the directory in which `path` is. No part of the layout begins with a dot.
fn beside(path: &Path) -> PathBuf {
    path.with_file_name(format!(".{}", Uuid::new_v4()))
}

fn copy_synced(mut from: &File, offset: u64, path: &Path) -> io::Result<()> {
    let mut to = File::create_new(path)?;
    from.seek(SeekFrom::Start(offset))?;
    io::copy(&mut from, &mut to)?;
    to.sync_all()
}

fn write_synced(path: &Path, content: &[u8], modified: SystemTime) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    file.write_all(content)?;
    file.set_modified(modified)?;
    file.sync_all()
}

fn remove_whatever(path: &Path) -> io::Result<()> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    if_there(removed).map(drop).map_err(at(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn durable() -> (tempfile::TempDir, Durable) {
        let directory = tempfile::tempdir().unwrap();
        let durable = Durable::new(&directory.path().join("staging")).unwrap();
        (directory, durable)
    }

    #[test]
    fn a_file_is_written_with_its_directories_and_nothing_is_left_aside() {
        let (directory, durable) = durable();
        let path = directory.path().join("a/b/link");
        durable.write(&path, b"one", SystemTime::now()).unwrap();
        durable.write(&path, b"two", SystemTime::now()).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(directory.path().join("staging")).unwrap().count(), 0);
    }

    #[test]
    fn an_empty_file_is_made_where_there_is_none_and_writes_over_nothing() {
        let (directory, durable) = durable();
        let path = directory.path().join("a/note");
        for content in ["", "mine"] {
            durable.make_empty(&path, SystemTime::now()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
            fs::write(&path, "mine").unwrap();
        }
    }

    #[test]
    fn a_write_that_fails_leaves_what_was_there() {
        let (directory, durable) = durable();
        let path = directory.path().join("a/link");
        fs::create_dir_all(&path).unwrap();
        let error = durable.write(&path, b"x", SystemTime::now()).unwrap_err();
        assert!(error.to_string().contains("a/link"), "{error}");
        assert!(path.is_dir());
        assert_eq!(fs::read_dir(directory.path().join("staging")).unwrap().count(), 0);
    }

    #[test]
    fn a_removed_file_takes_the_directories_that_it_leaves_empty() {
        let (directory, durable) = durable();
        let keep = directory.path().join("keep");
        durable.write(&keep.join("a/b/link"), b"x", SystemTime::now()).unwrap();
        durable.write(&keep.join("a/foreign"), b"x", SystemTime::now()).unwrap();
        assert!(durable.remove_file(&keep.join("a/b/link"), &keep).unwrap());
        assert!(!durable.remove_file(&keep.join("a/b/link"), &keep).unwrap());
        assert!(!keep.join("a/b").exists() && keep.join("a/foreign").exists());
    }

    #[test]
    fn a_tree_is_removed_whole() {
        let (directory, durable) = durable();
        let tree = directory.path().join("tree");
        durable.write(&tree.join("a/b/link"), b"x", SystemTime::now()).unwrap();
        assert!(durable.remove_tree(&tree).unwrap());
        assert!(!durable.remove_tree(&tree).unwrap());
        assert!(!tree.exists());
    }

    #[test]
    fn a_file_system_that_cannot_sync_a_directory_is_used_all_the_same() {
        let proc = Path::new("/proc");
        let error = File::open(proc).and_then(|directory| directory.sync_all()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "as it should be for this test");
        sync_directory(proc).unwrap();
        sync_directory(Path::new("/no/such/directory")).unwrap_err();
    }

    #[test]
    fn a_directory_that_vanished_is_made_and_locked_again() {
        let (directory, durable) = durable();
        let path = directory.path().join("a/link");
        for _ in 0..2 {
            durable.write(&path, b"one", SystemTime::now()).unwrap();
            fs::remove_dir_all(directory.path()).unwrap();
        }
        assert!(!durable.remove_tree(&path).unwrap());
        durable.write(&path, b"two", SystemTime::now()).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(exclusive::lock(&directory.path().join("lock")).unwrap_err().kind(), io::ErrorKind::ResourceBusy);
        fs::remove_dir_all(directory.path().join("staging")).unwrap();
        durable.write(&path, b"three", SystemTime::now()).unwrap();
    }

    #[test]
    fn many_make_the_same_directories_at_once() {
        let (directory, durable) = durable();
        std::thread::scope(|scope| {
            for i in 0..16 {
                let path = directory.path().join(format!("a/b/{}", i % 4));
                let durable = &durable;
                scope.spawn(move || durable.write(&path.join(format!("{i}")), b"x", SystemTime::now()).unwrap());
            }
        });
        assert_eq!(fs::read_dir(directory.path().join("a/b")).unwrap().count(), 4);
        assert!(durable.unsynced.lock().unwrap().is_empty());
    }

    #[test]
    fn what_is_old_in_the_staging_directory_goes_and_nothing_younger() {
        let (directory, durable) = durable();
        let staging = directory.path().join("staging");
        File::create(staging.join("young")).unwrap();
        let old = File::create(staging.join("old")).unwrap();
        old.set_modified(SystemTime::now() - 2 * ABANDONED).unwrap();
        durable.clear_staging().unwrap();
        assert!(staging.join("young").exists() && !staging.join("old").exists());
    }
}
