//! The directories in a directory, in order: what listings are made of.
//!
//! A file system gives them in no order, so that a page of a large directory would cost reading all of
//! it. Therefore the sorted names of a large directory are kept in memory from its first reading on, as
//! long as the directory's time of change is the one that it had then. This process tells of its own
//! changes, which cost no new reading. Another's (the volume may be a `registry:2`'s again tomorrow)
//! change the time, and the next listing reads anew.
//!
//! Two changes of another's cannot be told by the time: one within the clock's tick of the reading, and
//! one at the very moment of one of ours. For the first's sake, a directory that had just changed when
//! it was read is read again [`RACY`] later, and for the second's, one that we have changed is read
//! again [`LIFETIME`] later: so long a listing may lack what was written beside us.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use super::errors::{at, if_there};
use super::names::Names;
use crate::lock::held;

/// Directories with fewer names are read each time.
const LARGE: usize = 256;

/// Bytes of names that are kept, at most; who was not listed for longest goes first.
const BUDGET: usize = 16 * 1024 * 1024;

/// No file system's clock ticks slower.
const RACY: Duration = Duration::from_secs(2);

/// How long the names of a directory that this process changes are kept without reading it.
const LIFETIME: Duration = Duration::from_secs(60);

/// The large directories that were listed.
#[derive(Debug, Default)]
pub(crate) struct Directories(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    entries: HashMap<PathBuf, Entry>,
    /// Counts the uses.
    uses: u64,
}

#[derive(Debug, Default)]
struct Entry {
    listing: Arc<Mutex<Listing>>,
    /// As it was when it was read.
    bytes: usize,
    used: u64,
}

/// The names in one directory, as far as they are known.
#[derive(Debug, Default)]
struct Listing {
    names: Names,
    /// When the names were true; `None` when they are not.
    stamp: Option<Stamp>,
    /// When they are to be read again, even so.
    due: Option<Instant>,
}

/// It changes whenever a name is added to a directory or removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    changed: (i64, i64),
    links: u64,
}

/// The change that a name makes to the directory that it is in.
#[derive(Debug, Clone, Copy)]
pub(super) enum Change {
    Added,
    Removed,
}

impl Stamp {
    /// `None` when there is no such directory.
    fn of(directory: &Path) -> io::Result<Option<Self>> {
        let metadata = if_there(fs::metadata(directory)).map_err(at(directory))?;
        Ok(metadata.filter(fs::Metadata::is_dir).map(|metadata| Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            links: metadata.nlink(),
        }))
    }

    fn is_racy(&self) -> bool {
        let seconds = u64::try_from(self.changed.0).unwrap_or_default();
        let changed = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        SystemTime::now().duration_since(changed).is_ok_and(|age| age < RACY + Duration::from_secs(1))
    }
}

impl Listing {
    fn is_true(&self, stamp: Stamp) -> bool {
        self.stamp == Some(stamp) && self.due.is_none_or(|due| Instant::now() < due)
    }

    fn read(&mut self, directory: &Path, stamp: Stamp) -> io::Result<()> {
        self.stamp = None;
        self.due = stamp.is_racy().then(|| Instant::now() + RACY);
        self.names = Names::from_listed(&listed(directory)?);
        self.stamp = Some(stamp);
        Ok(())
    }
}

/// The names of the directories in a directory, each ended by `/`; and of the links, of which who asks for more than
/// the name sees whether they lead to one.
fn listed(directory: &Path) -> io::Result<String> {
    let mut listed = String::new();
    for entry in if_there(fs::read_dir(directory)).map_err(at(directory))?.into_iter().flatten() {
        let entry = entry.map_err(at(directory))?;
        if let Some(name) = entry.file_name().to_str()
            && entry.file_type().is_ok_and(|kind| kind.is_dir() || kind.is_symlink())
        {
            listed.push_str(name);
            listed.push('/');
        }
    }
    Ok(listed)
}

impl Directories {
    /// Looks at the names of the directories in a directory; `None` when there is no such directory.
    pub(crate) fn look<T>(&self, directory: &Path, look: impl FnOnce(&Names) -> T) -> io::Result<Option<T>> {
        // Found before it is read, so that changes of ours wait until it was.
        let listing = self.listing(directory);
        let mut listing = held(listing.lock());
        let Some(stamp) = Stamp::of(directory)? else {
            self.forget(directory);
            return Ok(None);
        };
        if !listing.is_true(stamp) {
            let read = listing.read(directory, stamp);
            if read.is_err() || listing.names.after("").nth(LARGE - 1).is_none() {
                self.forget(directory);
            } else {
                self.keep(directory, listing.names.bytes());
            }
            read?;
        }
        Ok(Some(look(&listing.names)))
    }

    /// Makes a change to a directory. What is known of it is still known afterwards.
    pub(super) fn change<T>(&self, path: &Path, kind: Change, change: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let (Some(directory), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
            return change();
        };
        let known = held(self.0.lock()).entries.get(directory).map(|entry| Arc::clone(&entry.listing));
        let Some(listing) = known else { return change() };
        let mut listing = held(listing.lock());
        let was_true = Stamp::of(directory).ok().flatten().is_some_and(|stamp| listing.is_true(stamp));
        let changed = change();
        if was_true && changed.is_ok() {
            match kind {
                Change::Added => listing.names.insert(name),
                Change::Removed => listing.names.remove(name),
            }
            listing.due.get_or_insert_with(|| Instant::now() + LIFETIME);
            listing.stamp = Stamp::of(directory).ok().flatten();
        }
        changed
    }

    fn listing(&self, directory: &Path) -> Arc<Mutex<Listing>> {
        let mut table = held(self.0.lock());
        table.uses += 1;
        let used = table.uses;
        if let Some(entry) = table.entries.get_mut(directory) {
            entry.used = used;
            return Arc::clone(&entry.listing);
        }
        let entry = Entry { used, ..Entry::default() };
        let listing = Arc::clone(&entry.listing);
        table.entries.insert(directory.to_owned(), entry);
        listing
    }

    fn forget(&self, directory: &Path) {
        held(self.0.lock()).entries.remove(directory);
    }

    /// Notes how much memory a directory takes, and makes room for it.
    fn keep(&self, directory: &Path, bytes: usize) {
        let mut table = held(self.0.lock());
        if let Some(entry) = table.entries.get_mut(directory) {
            entry.bytes = bytes;
        }
        while table.entries.values().map(|entry| entry.bytes).sum::<usize>() > BUDGET {
            let oldest = table.entries.iter().filter(|(_, entry)| entry.bytes > 0).min_by_key(|(_, entry)| entry.used);
            let Some(oldest) = oldest.map(|(path, _)| path.clone()) else { break };
            table.entries.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(names: usize) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for i in 0..names {
            fs::create_dir(directory.path().join(format!("n{i:04}"))).unwrap();
        }
        directory
    }

    /// Puts its time of change where nothing is racy, by waiting until it is.
    fn settle(directory: &Path) {
        while Stamp::of(directory).unwrap().unwrap().is_racy() {
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn all(directories: &Directories, path: &Path) -> Option<Vec<String>> {
        directories.look(path, |names| names.after("").map(str::to_owned).collect()).unwrap()
    }

    fn kept(directories: &Directories) -> usize {
        held(directories.0.lock()).entries.len()
    }

    /// Whether the next look needs no reading.
    fn knows(directories: &Directories, path: &Path) -> bool {
        let listing = held(directories.0.lock()).entries.get(path).map(|entry| Arc::clone(&entry.listing));
        let stamp = Stamp::of(path).unwrap().unwrap();
        listing.is_some_and(|listing| held(listing.lock()).is_true(stamp))
    }

    #[test]
    fn only_large_directories_are_kept_and_what_is_not_there_is_none() {
        let (small, large, directories) = (tree(LARGE - 1), tree(LARGE), Directories::default());
        assert_eq!(all(&directories, small.path()).unwrap().len(), LARGE - 1);
        assert_eq!(kept(&directories), 0);
        assert_eq!(all(&directories, large.path()).unwrap().len(), LARGE);
        assert!(knows(&directories, large.path()));
        assert_eq!(all(&directories, &large.path().join("none")), None);
        assert_eq!(kept(&directories), 1);
    }

    #[test]
    fn what_another_writes_is_seen_by_the_next_look() {
        let (directory, directories) = (tree(LARGE), Directories::default());
        settle(directory.path());
        all(&directories, directory.path());
        assert!(knows(&directories, directory.path()));
        fs::create_dir(directory.path().join("theirs")).unwrap();
        assert!(!knows(&directories, directory.path()));
        assert!(all(&directories, directory.path()).unwrap().contains(&"theirs".to_owned()));
        fs::remove_dir(directory.path().join("theirs")).unwrap();
        assert!(!all(&directories, directory.path()).unwrap().contains(&"theirs".to_owned()));
    }

    #[test]
    fn our_own_changes_need_no_new_reading() {
        let (directory, directories) = (tree(LARGE), Directories::default());
        all(&directories, directory.path());
        let ours = directory.path().join("ours");
        directories.change(&ours, Change::Added, || fs::create_dir(&ours)).unwrap();
        assert!(knows(&directories, directory.path()));
        assert!(all(&directories, directory.path()).unwrap().contains(&"ours".to_owned()));
        directories.change(&ours, Change::Removed, || fs::remove_dir(&ours)).unwrap();
        assert!(knows(&directories, directory.path()));
        assert!(!all(&directories, directory.path()).unwrap().contains(&"ours".to_owned()));
    }

    #[test]
    fn a_change_of_ours_does_not_hide_one_of_another_s_before_it() {
        let (directory, directories) = (tree(LARGE), Directories::default());
        settle(directory.path());
        all(&directories, directory.path());
        fs::create_dir(directory.path().join("theirs")).unwrap();
        let ours = directory.path().join("ours");
        directories.change(&ours, Change::Added, || fs::create_dir(&ours)).unwrap();
        let names = all(&directories, directory.path()).unwrap();
        assert!(names.contains(&"theirs".to_owned()) && names.contains(&"ours".to_owned()));
    }

    #[test]
    fn a_directory_that_had_just_changed_is_read_again() {
        let (directory, directories) = (tree(LARGE), Directories::default());
        all(&directories, directory.path());
        let listing = Arc::clone(&held(directories.0.lock()).entries[directory.path()].listing);
        let due = held(listing.lock()).due.expect("it was made a moment ago");
        assert!(due <= Instant::now() + RACY);
        settle(directory.path());
        all(&directories, directory.path());
        held(listing.lock()).due = Some(Instant::now());
        all(&directories, directory.path());
        assert_eq!(held(listing.lock()).due, None);
    }

    #[test]
    fn those_not_listed_for_longest_make_room() {
        let (directories, paths) = (Directories::default(), ["a", "b", "c"].map(PathBuf::from));
        for path in &paths {
            directories.listing(path);
            directories.keep(path, BUDGET / 3);
        }
        directories.listing(&paths[0]);
        directories.listing(Path::new("d"));
        directories.keep(Path::new("d"), BUDGET / 3);
        let table = held(directories.0.lock());
        assert!(!table.entries.contains_key(&paths[1]) && table.entries.len() == 3);
    }

    #[test]
    fn looks_and_changes_at_once_lose_nothing() {
        let (directory, directories) = (tree(LARGE), Directories::default());
        std::thread::scope(|scope| {
            for writer in 0..4 {
                let (directories, directory) = (&directories, directory.path());
                scope.spawn(move || {
                    for i in 0..100 {
                        let path = directory.join(format!("w{writer}-{i}"));
                        directories.change(&path, Change::Added, || fs::create_dir(&path)).unwrap();
                        let name = path.file_name().unwrap().to_str().unwrap();
                        assert!(directories.look(directory, |names| names.contains(name)).unwrap().unwrap());
                        if i % 2 == 0 {
                            directories.change(&path, Change::Removed, || fs::remove_dir(&path)).unwrap();
                            assert!(!directories.look(directory, |names| names.contains(name)).unwrap().unwrap());
                        }
                    }
                });
            }
        });
        assert_eq!(all(&directories, directory.path()).unwrap().len(), LARGE + 200);
    }
}
