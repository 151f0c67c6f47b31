//! Removing what nobody will come back for: upload sessions that were left, here or by the registry:2
//! that used the directory before, and what a crash left in the staging directory.
//!
//! Only a directory that looks in every part like a session is one: what else there is in the tree is
//! somebody else's, and stays.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use uuid::Uuid;

use super::store::FileStore;
use crate::objects::disk::{at, if_there};
use crate::registry::keys;

/// The names that a session's directory may hold; `hashstates` is of distribution's making.
const STARTED_AT: &str = "startedat";
const DATA: &str = "data";
const HASH_STATES: &str = "hashstates";

/// A walk through every repository that removes the sessions last used before `deadline` that nobody has
/// taken. It can rest at any point, and holds no more than a directory a level. What cannot be read or
/// removed is logged, and hinders nothing else.
pub(super) struct Sweep {
    files: Arc<FileStore>,
    deadline: SystemTime,
    /// The directories that it is in, each with what is still to be seen of it.
    open: Vec<(fs::ReadDir, Holds)>,
    removed: usize,
}

/// The kind of the directories in a directory.
#[derive(Clone, Copy)]
enum Holds {
    Repositories,
    Sessions,
}

impl Sweep {
    /// Clears the staging directory, and stands before the first repository.
    pub(super) fn begin(files: &Arc<FileStore>, deadline: SystemTime) -> Self {
        passing_over(files.directory.durable.clear_staging());
        let mut sweep = Self { files: Arc::clone(files), deadline, open: Vec::new(), removed: 0 };
        sweep.enter(&files.directory.path(keys::REPOSITORIES), Holds::Repositories);
        sweep
    }

    /// Goes on for so long, and a step at least. True when it has come to its end.
    pub(super) fn go_on(mut self, slice: Duration) -> (Self, bool) {
        let began = Instant::now();
        loop {
            let Some((entries, holds)) = self.open.last_mut() else { return (self, true) };
            match (entries.next(), *holds) {
                (Some(Ok(entry)), holds) => self.see(&entry, holds),
                // One that cannot be read to its end gives an error once.
                (Some(Err(_)) | None, _) => drop(self.open.pop()),
            }
            if began.elapsed() >= slice {
                return (self, false);
            }
        }
    }

    /// How many sessions it has removed.
    pub(super) fn removed(&self) -> usize {
        self.removed
    }

    fn enter(&mut self, directory: &Path, holds: Holds) {
        let entries = passing_over(if_there(fs::read_dir(directory)).map_err(at(directory))).flatten();
        self.open.extend(entries.map(|entries| (entries, holds)));
    }

    fn see(&mut self, entry: &fs::DirEntry, holds: Holds) {
        // A link to a directory is not followed: it may lead anywhere.
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            return;
        }
        match (holds, entry.file_name().to_str()) {
            (Holds::Repositories, Some("_uploads")) => self.enter(&entry.path(), Holds::Sessions),
            (Holds::Repositories, Some(name)) if !name.starts_with('_') => {
                self.enter(&entry.path(), Holds::Repositories);
            }
            (Holds::Sessions, Some(name)) => {
                let stale = session_id(name).map(|id| remove_if_stale(&self.files, &entry.path(), id, self.deadline));
                self.removed += usize::from(stale.and_then(passing_over).unwrap_or(false));
            }
            (Holds::Repositories, _) | (Holds::Sessions, None) => {}
        }
    }
}

fn passing_over<T>(result: io::Result<T>) -> Option<T> {
    result.inspect_err(|error| tracing::warn!(%error, "the sweep for stale uploads passes over this")).ok()
}

/// The id that a session's directory is named by, in the one form in which it is written.
fn session_id(name: &str) -> Option<Uuid> {
    Uuid::try_parse(name).ok().filter(|id| id.hyphenated().to_string() == name)
}

fn remove_if_stale(files: &FileStore, directory: &Path, id: Uuid, deadline: SystemTime) -> io::Result<bool> {
    if !is_stale(directory, deadline)? {
        return Ok(false);
    }
    let Some(lease) = files.sessions.take(id) else { return Ok(false) };
    // Somebody may have come and gone in between.
    if !is_stale(directory, deadline)? {
        return Ok(false);
    }
    drop(lease.wake());
    files.directory.durable.remove_tree(directory)
}

fn is_stale(directory: &Path, deadline: SystemTime) -> io::Result<bool> {
    Ok(last_used(directory)?.is_some_and(|time| time < deadline))
}

/// When a session began or was last written to, whichever is later; `None` where something stands in
/// the directory that no session has.
fn last_used(directory: &Path) -> io::Result<Option<SystemTime>> {
    let mut latest = None;
    for entry in fs::read_dir(directory).map_err(at(directory))? {
        let entry = entry.map_err(at(directory))?;
        let time = match entry.file_name().to_str() {
            Some(STARTED_AT) => started_at(&entry.path())?,
            Some(DATA) => modified(&entry.path())?,
            Some(HASH_STATES) => continue,
            _ => return Ok(None),
        };
        latest = latest.max(Some(time));
    }
    // One that was being begun when the power went is an empty directory.
    latest.map_or_else(|| modified(directory), Ok).map(Some)
}

fn modified(path: &Path) -> io::Result<SystemTime> {
    fs::symlink_metadata(path).and_then(|metadata| metadata.modified()).map_err(at(path))
}

fn started_at(path: &Path) -> io::Result<SystemTime> {
    let text = fs::read_to_string(path).ok();
    let time = text.and_then(|text| humantime::parse_rfc3339(text.trim_end()).ok());
    time.map_or_else(|| modified(path), Ok)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::ObjectStore;
    use crate::store::Store as _;
    use bytes::Bytes;
    use lockgate_oci::{Algorithm, RepositoryName};
    use std::path::PathBuf;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    const ID: &str = "d76870d4-748c-45b4-8699-87367842eaeb";

    struct Site {
        directory: tempfile::TempDir,
        store: ObjectStore,
    }

    impl Site {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let store = ObjectStore::in_directory(directory.path()).unwrap();
            Self { directory, store }
        }

        fn uploads(&self) -> PathBuf {
            self.directory.path().join("docker/registry/v2/repositories/team/app/_uploads")
        }

        /// A file below `_uploads` that was written `age` ago.
        fn write(&self, path: &str, content: &str, age: Duration) {
            let path = self.uploads().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, content).unwrap();
            fs::File::options().write(true).open(&path).unwrap().set_modified(SystemTime::now() - age).unwrap();
        }

        async fn sweep(&self) -> usize {
            self.store.remove_stale_uploads(SystemTime::now() - 7 * DAY).await.unwrap()
        }
    }

    fn date(age: Duration) -> String {
        humantime::format_rfc3339_seconds(SystemTime::now() - age).to_string()
    }

    #[tokio::test]
    async fn what_distribution_left_goes_by_the_time_that_it_wrote() {
        let site = Site::new();
        site.write(&format!("{ID}/startedat"), &date(8 * DAY), Duration::ZERO);
        site.write(&format!("{ID}/hashstates/sha256/0"), "a state of Go's", Duration::ZERO);
        let young = "00000000-0000-4000-8000-000000000001";
        site.write(&format!("{young}/startedat"), &date(6 * DAY), 30 * DAY);
        assert_eq!(site.sweep().await, 1);
        assert!(!site.uploads().join(ID).exists() && site.uploads().join(young).exists());
    }

    #[tokio::test]
    async fn an_old_session_that_was_written_to_lately_stays() {
        let site = Site::new();
        site.write(&format!("{ID}/startedat"), &date(30 * DAY), 30 * DAY);
        site.write(&format!("{ID}/data"), "bytes", 6 * DAY);
        assert_eq!(site.sweep().await, 0);
        site.write(&format!("{ID}/data"), "bytes", 8 * DAY);
        assert_eq!(site.sweep().await, 1);
    }

    #[tokio::test]
    async fn a_time_that_cannot_be_read_is_that_of_its_file() {
        let site = Site::new();
        site.write(&format!("{ID}/startedat"), "yesterday", 6 * DAY);
        assert_eq!(site.sweep().await, 0);
        site.write(&format!("{ID}/startedat"), "", 8 * DAY);
        assert_eq!(site.sweep().await, 1);
    }

    #[tokio::test]
    async fn a_session_that_was_only_just_begun_when_the_power_went_is_an_empty_directory() {
        let site = Site::new();
        fs::create_dir_all(site.uploads().join(ID)).unwrap();
        assert_eq!(site.sweep().await, 0);
        assert_eq!(site.store.remove_stale_uploads(SystemTime::now() + DAY).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn what_does_not_look_like_a_session_in_every_part_stays() {
        let site = Site::new();
        let foreign = [
            format!("{ID}/startedat"),
            format!("{ID}/notes"),
            "not-a-uuid/startedat".to_owned(),
            "D76870D4-748C-45B4-8699-87367842EAEB/startedat".to_owned(),
            "README".to_owned(),
            "../_other/d76870d4-748c-45b4-8699-87367842eaeb/startedat".to_owned(),
        ];
        for path in &foreign {
            site.write(path, &date(30 * DAY), 30 * DAY);
        }
        std::os::unix::fs::symlink(
            site.uploads().join(ID),
            site.uploads().join("10000000-0000-4000-8000-000000000000"),
        )
        .unwrap();
        assert_eq!(site.sweep().await, 0);
        for path in &foreign {
            assert!(site.uploads().join(path).is_file(), "{path}");
        }
    }

    #[tokio::test]
    async fn a_sweep_that_rests_after_every_step_removes_the_same() {
        let site = Site::new();
        for i in 0..20 {
            let session = format!("../../app-{i}/_uploads/00000000-0000-4000-8000-0000000000{i:02}/startedat");
            fs::create_dir_all(site.uploads()).unwrap();
            site.write(&session, &date(if i % 2 == 0 { 8 } else { 6 } * DAY), Duration::ZERO);
        }
        let elsewhere = site.directory.path().to_owned();
        drop(site.store);
        let mut sweep = Sweep::begin(&FileStore::open(&elsewhere), SystemTime::now() - 7 * DAY);
        let mut rests = 0;
        loop {
            let (swept, ended) = sweep.go_on(Duration::ZERO);
            sweep = swept;
            if ended {
                break;
            }
            rests += 1;
            assert!(sweep.open.len() <= 4, "it holds a directory a level");
        }
        assert_eq!(sweep.removed(), 10);
        assert!(rests > 20, "{rests}");
    }

    #[tokio::test]
    async fn a_stale_session_that_somebody_has_taken_stays_until_it_is_given_back() {
        let site = Site::new();
        let repository: RepositoryName = "team/app".parse().unwrap();
        let id = site.store.begin_upload(&repository, Algorithm::Sha256).await.unwrap();
        let mut upload = site.store.resume_upload(&repository, id).await.unwrap();
        let later = SystemTime::now() + DAY;
        assert_eq!(site.store.remove_stale_uploads(later).await.unwrap(), 0);
        upload.append(Bytes::from_static(b"x")).await.unwrap();
        upload.suspend().await.unwrap();
        assert_eq!(site.store.remove_stale_uploads(later).await.unwrap(), 1);
        assert!(site.store.resume_upload(&repository, id).await.is_err());
    }
}
