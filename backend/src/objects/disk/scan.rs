//! Everything below a directory.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt as _, TryStreamExt as _};

use super::errors::{at, if_there};
use crate::objects::{Entry, ObjectsError, Result};

/// A walk that holds no more than the names of a directory a level.
struct Walk {
    root: PathBuf,
    /// Directories that are still to be read, and how the names in them begin that are looked for.
    waiting: Vec<(String, String)>,
    /// Directories that links led to, by device and inode: a link back leads to longer names of the same without end.
    linked: HashSet<(u64, u64)>,
}

/// The files whose key begins with `prefix`, each directory whole before the next in the order of their names. What has no
/// name in UTF-8 is passed over. Each step blocks.
pub(super) fn scan(root: PathBuf, prefix: &str) -> BoxStream<'static, Result<Entry>> {
    let (directory, beginning) = prefix.rsplit_once('/').unwrap_or(("", prefix));
    let waiting = vec![(directory.to_owned(), beginning.to_owned())];
    let walk = Walk { root, waiting, linked: HashSet::new() };
    let directories = stream::try_unfold(walk, async |walk| Ok::<_, ObjectsError>(walk.go_on()?));
    directories.map_ok(|files| stream::iter(files).map(Ok)).try_flatten().boxed()
}

impl Walk {
    /// The files of the next directory; `None` when there is none.
    fn go_on(mut self) -> io::Result<Option<(Vec<Entry>, Self)>> {
        let Some((directory, beginning)) = self.waiting.pop() else { return Ok(None) };
        let (path, mut files, mut below) = (self.root.join(&directory), Vec::new(), Vec::new());
        for entry in if_there(fs::read_dir(&path)).map_err(at(&path))?.into_iter().flatten() {
            let entry = entry.map_err(at(&path))?;
            let name = entry.file_name();
            let Some(name) = name.to_str().filter(|name| name.starts_with(&beginning)) else { continue };
            let key = if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") };
            let kind = entry.file_type().map_err(at(&path))?;
            if kind.is_dir() {
                below.push((key, String::new()));
                continue;
            }
            let Some(metadata) = if_there(fs::metadata(entry.path())).map_err(at(&path))? else { continue };
            if metadata.is_file() {
                files.push(Entry { key, size: metadata.len(), modified: metadata.modified().map_err(at(&path))? });
            } else if metadata.is_dir() && self.linked.insert((metadata.dev(), metadata.ino())) {
                below.push((key, String::new()));
            }
        }
        below.sort_unstable_by(|one, other| other.cmp(one));
        self.waiting.append(&mut below);
        Ok(Some((files, self)))
    }
}
