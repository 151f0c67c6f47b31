//! Objects that are files below a directory: a key is a path.
//!
//! A file appears by a rename, after it was synced; an answer is given after its directory was. So a reader needs no
//! lock, and a crash leaves nothing that is half there. One process has the directory, so that conditions are kept by
//! locks of its own. Everything here blocks, but for what may take long: whoever asks does so on one of tokio's blocking
//! threads.

mod corrupt;
mod directories;
mod durable;
mod errors;
mod exclusive;
mod file;
mod mark;
mod names;
mod root;
mod scan;
mod size;
mod volume;

use std::fs::{self, File};
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use lockgate_oci::Digest;
use rustix::io::Errno;

use self::corrupt::LookedAt;
use self::durable::Durable;
pub(crate) use self::errors::{at, if_there};
use self::file::OpenedFile;
use self::mark::Written;
use self::root::{BLOBS, REPOSITORIES, STAGING};
use super::{Alone, Entry, Object, Objects, Opened, Read, Result, Stat, Version};
use crate::lock::held;

pub(crate) use self::directories::Directories;
pub use self::volume::StorageProblem;

/// Locks for keys: one is chosen by the hash of a key.
const LOCKS: usize = 64;

/// Objects in a directory.
pub(crate) struct DirectoryObjects {
    root: PathBuf,
    pub(crate) durable: Durable,
    looked_at: LookedAt,
    /// Held by who writes a key under a condition, or removes it.
    keys: [Mutex<()>; LOCKS],
    written: Written,
}

/// Opens a file. What stands in its place and is none is an error: somebody has put it there.
fn open(path: &Path) -> io::Result<Option<(File, fs::Metadata)>> {
    let Some(file) = if_there(File::open(path)).map_err(at(path))? else { return Ok(None) };
    let metadata = file.metadata().map_err(at(path))?;
    let no_file = || at(path)(io::Error::new(io::ErrorKind::InvalidData, "it is no file"));
    if metadata.is_file() { Ok(Some((file, metadata))) } else { Err(no_file()) }
}

/// Runs what blocks off the async threads.
pub(crate) async fn blocking<T: Send + 'static, E: From<io::Error> + Send + 'static>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, E> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(error) => Err(io::Error::other(error).into()),
        },
    }
}

impl DirectoryObjects {
    /// Opens `data`, the directory that `registry:2` calls its `rootdirectory`, and makes what is missing. No other
    /// process can open it until this one ends. What of it cannot be written, or all of it on a read-only file system,
    /// is logged: the rest is of use without. Blocks.
    ///
    /// # Errors
    /// The directory cannot be made, cannot be written to, or is another process's; the message names it.
    pub(crate) fn open(data: &Path) -> io::Result<Self> {
        if data.exists() && !data.is_dir() {
            return Err(at(data)(io::Error::new(io::ErrorKind::NotADirectory, "it is not a directory")));
        }
        fs::create_dir_all(data).map_err(at(data))?;
        // A path from the root: what is synced on the way up must have a name.
        let data = fs::canonicalize(data).map_err(at(data))?;
        for problem in volume::problems(&data) {
            tracing::warn!("storage.data: {problem}");
        }
        let durable = match Durable::new(&data.join(STAGING)) {
            Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem && data.join(REPOSITORIES).is_dir() => {
                Durable::read_only(&data.join(STAGING))
            }
            durable => {
                let durable = durable?;
                durable.make_directory(&data.join(BLOBS))?;
                durable.make_directory(&data.join(REPOSITORIES))?;
                durable
            }
        };
        Ok(Self::over(data, durable))
    }

    /// Opens a directory for reading alone, whoever else uses it meanwhile. Changes nothing. Blocks.
    ///
    /// # Errors
    /// There is no registry in it, or not all of it may be read.
    pub(crate) fn open_to_read(data: &Path) -> io::Result<Self> {
        let root = fs::canonicalize(data).map_err(at(data))?;
        if !root.join(REPOSITORIES).is_dir() {
            let message = "there is no registry in it, which has a directory docker/registry/v2/repositories";
            return Err(at(data)(io::Error::new(io::ErrorKind::NotFound, message)));
        }
        if let Some(problem) = volume::unreadable(data) {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, problem));
        }
        let durable = Durable::read_only(&root.join(STAGING));
        Ok(Self::over(root, durable))
    }

    fn over(root: PathBuf, durable: Durable) -> Self {
        let (looked_at, keys) = (LookedAt::default(), std::array::from_fn(|_| Mutex::default()));
        Self { root, durable, looked_at, keys, written: Written::default() }
    }

    /// What is wrong with a directory that is to be opened. Changes nothing. Blocks.
    pub(crate) fn problems(data: &Path) -> Vec<StorageProblem> {
        volume::problems(data)
    }

    /// Where the file of a key is, or a directory.
    pub(crate) fn path(&self, key: &str) -> PathBuf {
        self.root.join(key.trim_end_matches('/'))
    }

    /// The sorted names of the directories in a directory.
    pub(crate) fn directories(&self) -> &Directories {
        &self.durable.directories
    }

    /// Records the size of a file whose bytes have the digest that its key says.
    pub(crate) fn record_size(&self, file: &File, key: &str, size: u64) {
        self.looked_at.record_size(file, key, size);
    }

    fn lock(&self, key: &str) -> MutexGuard<'_, ()> {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(key);
        held(self.keys[(hash % LOCKS as u64) as usize].lock())
    }

    fn stat(&self, key: &str) -> io::Result<Option<Stat>> {
        let path = self.path(key);
        let metadata = if_there(fs::metadata(&path)).map_err(at(&path))?;
        metadata.filter(fs::Metadata::is_file).map(|metadata| mark::stat(&metadata)).transpose()
    }

    fn write(&self, key: &str, bytes: &[u8], mark: Option<&str>) -> io::Result<()> {
        let (path, now) = (self.path(key), self.written.now(mark));
        if bytes.is_empty() { self.durable.make_empty(&path, now) } else { self.durable.write(&path, bytes, now) }
    }

    /// Writes an object that is as it should be.
    fn write_if(
        &self,
        key: &str,
        bytes: &[u8],
        is_right: impl FnOnce(Option<Stat>) -> bool,
    ) -> io::Result<Option<Version>> {
        let _alone = self.lock(key);
        if !is_right(self.stat(key)?) {
            return Ok(None);
        }
        self.write(key, bytes, None)?;
        let gone = || at(&self.path(key))(io::Error::new(io::ErrorKind::NotFound, "it was removed by another process"));
        Ok(Some(self.stat(key)?.ok_or_else(gone)?.version))
    }

    /// Directories that an object leaves empty go with it, up to the one that says what is below it: `_layers`.
    fn kept(&self, key: &str) -> PathBuf {
        let named = key.rfind("/_").map(|at| at + key[at + 1..].find('/').map_or(0, |end| end + 1));
        let above = if key.starts_with(BLOBS) { BLOBS } else { "" };
        self.path(named.map_or(above, |end| &key[..end]))
    }
}

#[async_trait]
impl Objects for DirectoryObjects {
    async fn get(&self, key: &str) -> Result<Option<Object>> {
        let path = self.path(key);
        let Some((file, metadata)) = open(&path)? else { return Ok(None) };
        let stat = mark::stat(&metadata).map_err(at(&path))?;
        // A file is replaced and never changed, so that it is read by one call.
        let mut bytes = vec![0; usize::try_from(stat.size).map_err(io::Error::other)?];
        file.read_exact_at(&mut bytes, 0).map_err(at(&path))?;
        Ok(Some(Object { bytes: bytes.into(), stat }))
    }

    async fn get_unless(&self, key: &str, known: &Version) -> Result<Read> {
        if self.stat(key)?.is_some_and(|stat| stat.version == *known) {
            return Ok(Read::Unchanged);
        }
        Ok(self.get(key).await?.map_or(Read::Absent, Read::Changed))
    }

    async fn stat(&self, key: &str) -> Result<Option<Stat>> {
        Ok(self.stat(key)?)
    }

    async fn open(self: Arc<Self>, key: &str) -> Result<Option<Box<dyn Opened>>> {
        Ok(self.open_file(key)?.map(|file| Box::new(file) as Box<dyn Opened>))
    }

    async fn put(&self, key: &str, bytes: Bytes, mark: Option<&str>) -> Result<()> {
        Ok(self.write(key, &bytes, mark)?)
    }

    /// The time alone is written, and not synced: what is lost with the power made nothing older than it was. Where this
    /// process may not write, it removes nothing either.
    async fn renew(&self, key: &str, Object { bytes, stat }: &Object) -> Result<bool> {
        if self.durable.is_read_only() {
            return Ok(true);
        }
        let (_alone, mark) = (self.lock(key), stat.mark.as_deref());
        let Some((file, _)) = open(&self.path(key))? else { return Ok(false) };
        let renewed = file.set_modified(self.written.now(mark)).or_else(|_| self.write(key, bytes, mark));
        let may_not = |error: &io::Error| {
            matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
        };
        renewed.or_else(|error| if may_not(&error) { Ok(()) } else { Err(error) })?;
        Ok(true)
    }

    async fn create(&self, key: &str, bytes: Bytes) -> Result<Option<Version>> {
        Ok(self.write_if(key, &bytes, |now| now.is_none())?)
    }

    async fn swap(&self, key: &str, known: &Version, bytes: Bytes) -> Result<Option<Version>> {
        Ok(self.write_if(key, &bytes, |now| now.is_some_and(|now| now.version == *known))?)
    }

    async fn keep_aside(&self, key: &str, to: &str) -> Result<()> {
        let _alone = self.lock(key);
        Ok(self.durable.rename(&self.path(key), &self.path(to))?)
    }

    async fn remove(&self, key: &str) -> Result<()> {
        let _alone = self.lock(key);
        if self.stat(key)?.is_some() {
            self.durable.remove_file(&self.path(key), &self.kept(key))?;
        }
        Ok(())
    }

    fn scan(&self, prefix: &str) -> BoxStream<'static, Result<Entry>> {
        scan::scan(self.root.clone(), prefix)
    }

    fn alone(&self) -> Option<&dyn Alone> {
        Some(self)
    }

    async fn forget_if_corrupt(self: Arc<Self>, key: &str, digest: &Digest) -> Result<()> {
        let (turn, key, digest) = (self.looked_at.turn().await, key.to_owned(), digest.clone());
        blocking(move || {
            let _turn = turn;
            let Some(opened) = self.open_file(&key)? else { return Ok(()) };
            Ok(self.looked_at.forget_if_corrupt(&self.durable, &self.path(&key), &key, &opened, &digest)?)
        })
        .await
    }
}

impl Alone for DirectoryObjects {
    fn remove_all(&self, directory: &str) -> Result<bool> {
        Ok(self.durable.remove_tree(&self.path(directory))?)
    }

    fn free(&self) -> Result<u64> {
        // Blobs may lie on another file system than uploads. What has vanished is made again by the next write.
        let free = [self.root.clone(), self.root.join(BLOBS)].map(|path| match rustix::fs::statvfs(&path) {
            Ok(free) => Ok(free.f_bavail.saturating_mul(free.f_frsize)),
            Err(Errno::NOENT) => Ok(u64::MAX),
            Err(error) => Err(at(&path)(error.into())),
        });
        let [root, blobs] = free;
        Ok(root?.min(blobs?))
    }

    /// The path, without the links on it as far as it exists.
    fn resolved(&self, key: &str) -> String {
        let path = self.path(key);
        let resolved = |above: &Path| Some(fs::canonicalize(above).ok()?.join(path.strip_prefix(above).ok()?));
        path.ancestors().find_map(resolved).unwrap_or_else(|| path.clone()).to_string_lossy().into_owned()
    }
}

impl DirectoryObjects {
    fn open_file(&self, key: &str) -> io::Result<Option<OpenedFile>> {
        let path = self.path(key);
        let Some((file, metadata)) = open(&path)? else { return Ok(None) };
        let is_whole = self.looked_at.is_whole(&file, &path, key, metadata.len());
        let opened = OpenedFile { file: Arc::new(file), size: metadata.len(), is_recorded: is_whole.is_some() };
        Ok((is_whole != Some(false)).then_some(opened))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn every_name_of_a_directory_leads_to_one_before_and_after_it_is_made() {
        let directory = tempfile::tempdir().unwrap();
        let objects = DirectoryObjects::open(directory.path()).unwrap();
        fs::create_dir(objects.path("team")).unwrap();
        symlink("team", objects.path("alias")).unwrap();
        symlink("team/app", objects.path("app")).unwrap();
        let before = objects.resolved("alias/app");
        fs::create_dir(objects.path("team/app")).unwrap();
        for name in ["team/app", "alias/app", "app"] {
            assert_eq!(Path::new(&objects.resolved(name)), objects.path("team/app"), "{name}");
        }
        assert_eq!(Path::new(&before), objects.path("team/app"));
    }

    #[tokio::test]
    async fn a_removed_object_takes_the_directories_that_it_leaves_empty() {
        let directory = tempfile::tempdir().unwrap();
        let objects = DirectoryObjects::open(directory.path()).unwrap();
        for key in ["r/_layers/sha256/a/link", "r/_manifests/revisions/sha256/a/link"] {
            objects.put(key, Bytes::new(), None).await.unwrap();
            objects.remove(key).await.unwrap();
        }
        for (path, is_kept) in [("r/_layers", true), ("r/_layers/sha256", false), ("r/_manifests", true)] {
            assert_eq!(objects.path(path).exists(), is_kept, "{path}");
        }
    }

    #[tokio::test]
    async fn a_renewed_object_is_younger_and_else_as_it_was() {
        let directory = tempfile::tempdir().unwrap();
        let objects = DirectoryObjects::open(directory.path()).unwrap();
        for mark in [None, Some("1")] {
            objects.put("link", Bytes::from_static(b"x"), mark).await.unwrap();
            let file = File::options().write(true).open(objects.path("link")).unwrap();
            let old = objects.get("link").await.unwrap().unwrap().stat.modified - std::time::Duration::from_secs(60);
            file.set_modified(old).unwrap();
            let known = objects.get("link").await.unwrap().unwrap();
            assert!(objects.renew("link", &known).await.unwrap());
            let renewed = objects.get("link").await.unwrap().unwrap();
            assert!(renewed.stat.modified > old && renewed.bytes == "x" && renewed.stat.mark.as_deref() == mark);
        }
    }
}
