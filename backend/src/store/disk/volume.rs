//! What can be said of a data directory before it is used: whether this process may read and write it.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, accessat};
use rustix::io::Errno;

/// Directories that are looked at, at most, from the top down: one whose owner is another is mostly one of many.
const LOOKED_AT: usize = 1000;

/// What is wrong with a data directory, one a line. One that does not exist is right if it can be made. Blocks.
pub(super) fn problems(data: &Path) -> Vec<String> {
    if !data.exists() {
        let above = data.ancestors().skip(1).find(|directory| directory.exists()).unwrap_or(Path::new("."));
        let above = if above.as_os_str().is_empty() { Path::new(".") } else { above };
        let why = if above.is_dir() { refused(above) } else { Some("it is not a directory".to_owned()) };
        let why = why.map(|why| format!("{}: it cannot be made: {}: {why}", data.display(), above.display()));
        return why.into_iter().collect();
    }
    if !data.is_dir() {
        return vec![format!("{}: it is not a directory", data.display())];
    }
    if let Some(why) = refused(data) {
        return vec![format!("{}: {why}", data.display())];
    }
    foreign(data).into_iter().collect()
}

/// Why a directory cannot be read and written, if it cannot.
fn refused(directory: &Path) -> Option<String> {
    match accessat(CWD, directory, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS) {
        Ok(()) => None,
        Err(Errno::ROFS) => {
            Some("it is read-only: what is there can be pulled, and nothing pushed or deleted".to_owned())
        }
        Err(Errno::ACCESS) => Some(format!(
            "user {} may not read and write it, it is user {}'s: change its owner (chown -R), or who this runs as",
            rustix::process::geteuid().as_raw(),
            fs::metadata(directory).map_or_else(|_| "?".to_owned(), |metadata| metadata.uid().to_string()),
        )),
        Err(error) => Some(io::Error::from(error).to_string()),
    }
}

/// The first directory below that cannot be read and written, and how many more there are.
fn foreign(data: &Path) -> Option<String> {
    let mut waiting = VecDeque::from([data.to_owned()]);
    let (mut first, mut others, mut left) = (None, 0, LOOKED_AT);
    while let Some(directory) = waiting.pop_front() {
        for path in directories(&directory).take(left) {
            left -= 1;
            match (refused(&path), &first) {
                (None, _) => waiting.push_back(path),
                (Some(why), None) => first = Some((path, why)),
                (Some(_), Some(_)) => others += 1,
            }
        }
    }
    let (path, why) = first?;
    let more =
        if others > 0 { format!(" (and {others} more of the first {LOOKED_AT} directories)") } else { String::new() };
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
        for name in ["repositories/a", "repositories/b", "blobs"] {
            let path = directory.path().join(name);
            fs::create_dir_all(&path).unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(0o500)).unwrap();
        }
        // Root may do everything, whatever the mode says.
        let expected = usize::from(!rustix::process::geteuid().is_root());
        let problems = problems(directory.path());
        assert_eq!(problems.len(), expected, "{problems:?}");
        for problem in problems {
            assert!(problem.contains("blobs: user ") && problem.contains("(and 2 more"), "{problem}");
        }
    }
}
