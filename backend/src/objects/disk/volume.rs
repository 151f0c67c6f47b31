//! What can be said of a data directory before it is used: whether this process may read and write it.

use std::collections::VecDeque;
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, accessat};
use rustix::io::Errno;

use super::root::REPOSITORIES;

/// Directories that are looked at, at most, from the top down: one whose owner is another is mostly one of many.
const LOOKED_AT: usize = 1000;

/// What is wrong with a place to keep a registry in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorageProblem {
    message: String,
    /// It can be served all the same: as what is read-only, from which can be pulled.
    pub is_warning: bool,
}

impl fmt::Display for StorageProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<String> for StorageProblem {
    fn from(message: String) -> Self {
        Self { message, is_warning: false }
    }
}

impl StorageProblem {
    /// What is to be known, and keeps nobody from serving.
    pub(crate) fn warning(message: String) -> Self {
        Self { message, is_warning: true }
    }
}

/// What is wrong with a data directory. One that does not exist is right if it can be made. Blocks.
pub(super) fn problems(data: &Path) -> Vec<StorageProblem> {
    if !data.exists() {
        let above = data.ancestors().skip(1).find(|directory| directory.exists()).unwrap_or(Path::new("."));
        let above = if above.as_os_str().is_empty() { Path::new(".") } else { above };
        let why = if above.is_dir() { refused(above, WRITING) } else { Some("it is not a directory".to_owned()) };
        let why = why.map(|why| format!("{}: it cannot be made: {}: {why}", data.display(), above.display()));
        return why.into_iter().map(StorageProblem::from).collect();
    }
    if !data.is_dir() {
        return vec![format!("{}: it is not a directory", data.display()).into()];
    }
    if let Some(why) = refused(data, WRITING) {
        let is_warning = why == READ_ONLY && data.join(REPOSITORIES).is_dir();
        return vec![StorageProblem { message: format!("{}: {why}", data.display()), is_warning }];
    }
    foreign(data, &["docker", ".lockgate"], WRITING).into_iter().map(StorageProblem::from).collect()
}

/// What of a data directory cannot be read, which a listing would pass over. Blocks.
pub(super) fn unreadable(data: &Path) -> Option<String> {
    foreign(data, &["docker"], Access::READ_OK)
}

const WRITING: Access = Access::READ_OK.union(Access::WRITE_OK);

const READ_ONLY: &str = "it is read-only: what is there can be pulled, and nothing pushed or deleted";

/// Why a directory cannot be read, or read and written, if it cannot.
fn refused(directory: &Path, wanted: Access) -> Option<String> {
    match accessat(CWD, directory, wanted | Access::EXEC_OK, AtFlags::EACCESS) {
        Ok(()) => None,
        Err(Errno::ROFS) => Some(READ_ONLY.to_owned()),
        Err(Errno::ACCESS) => Some(format!(
            "user {} may not {} it, it is user {}'s: change its owner (chown -R), or who this runs as",
            rustix::process::geteuid().as_raw(),
            if wanted == WRITING { "read and write" } else { "read" },
            fs::metadata(directory).map_or_else(|_| "?".to_owned(), |metadata| metadata.uid().to_string()),
        )),
        Err(error) => Some(io::Error::from(error).to_string()),
    }
}

/// The first directory below these that cannot be used so, and how many more there are. What else stands in the data
/// directory, as `lost+found`, is not the registry's.
fn foreign(data: &Path, names: &[&str], wanted: Access) -> Option<String> {
    let mut waiting: VecDeque<PathBuf> = names.iter().map(|name| data.join(name)).collect();
    waiting.retain(|directory| directory.is_dir());
    let (mut first, mut others, mut seen) = (None, 0, waiting.len());
    while let Some(path) = waiting.pop_front() {
        match (refused(&path, wanted), &first) {
            (None, _) => {
                let found = waiting.len();
                waiting.extend(directories(&path).take(LOOKED_AT.saturating_sub(seen)));
                seen += waiting.len() - found;
            }
            (Some(why), None) => first = Some((path, why)),
            (Some(_), Some(_)) => others += 1,
        }
    }
    let (path, why) = first?;
    let more = if others > 0 { format!(" (and {others} more of the first {seen} directories)") } else { String::new() };
    Some(format!("{}: {why}{more}", path.display()))
}

fn directories(path: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn problems(data: &Path) -> Vec<String> {
        super::problems(data).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_directory_that_can_be_used_or_made_has_no_problem() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir_all(directory.path().join("docker/registry/v2/blobs")).unwrap();
        assert_eq!(problems(directory.path()), Vec::<String>::new());
        assert_eq!(problems(&directory.path().join("new/data")), Vec::<String>::new());
        assert_eq!(problems(Path::new("a-relative-one-that-is-not-there")), Vec::<String>::new());
    }

    #[test]
    fn a_file_is_no_directory_nor_can_one_be_made_below_it() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(problems(&file)[0].ends_with("file: it is not a directory"));
        let problems = problems(&file.join("no-such/data"));
        assert!(problems[0].contains("no-such/data: it cannot be made: ") && problems[0].contains("file: it is not a"));
    }

    #[test]
    fn what_is_another_s_is_named_with_its_owner() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["docker/v2/repositories/a", "docker/v2/repositories/b", "docker/v2/blobs", "lost+found"] {
            let path = directory.path().join(name);
            fs::create_dir_all(&path).unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(0o500)).unwrap();
        }
        // Root may do everything, whatever the mode says.
        let expected = usize::from(!rustix::process::geteuid().is_root());
        let problems = problems(directory.path());
        assert_eq!(problems.len(), expected, "{problems:?}");
        for problem in problems {
            assert!(problem.contains("blobs: user ") && problem.contains("(and 2 more of the first 6 "), "{problem}");
        }
        assert_eq!(unreadable(directory.path()), None);
        fs::set_permissions(directory.path().join("docker/v2/repositories/a"), fs::Permissions::from_mode(0o300))
            .unwrap();
        assert_eq!(
            unreadable(directory.path()).is_some_and(|problem| problem.contains("may not read it")),
            expected == 1
        );
    }
}
