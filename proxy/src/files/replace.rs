//! Files whose readers see the old content or the new one, whole, and of which a crash leaves either.

use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};

use lockgate_settings::read_bounded;
use tempfile::{NamedTempFile, PersistError};

/// The mode of a key, or of hashes.
pub(crate) const PRIVATE: u32 = 0o600;
/// The mode of a certificate.
pub(crate) const PUBLIC: u32 = 0o644;

/// A shortcoming of a replacement; the content is written all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Notice {
    /// The file is a mount of its own, or its directory may not be written.
    #[error("the file could not be replaced and was written in place: a reader may have seen half of it for a moment")]
    InPlace,
    /// Another owner's file can be replaced, not given back.
    #[error("the file now belongs to you: its former owner could not be kept")]
    Owner,
}

/// Why a file was not rewritten. It is as it was, unless it had to be written in place.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RewriteError {
    #[error("{} cannot be read: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} cannot be written: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
}

/// Gives `path` the content that `edit` makes of the old one (`None` where there is no file), following
/// symbolic links. A new file can be read by its owner only; an old one keeps mode and, where the system
/// allows it, owner. Runs of this at the same time in one directory wait for each other.
pub(crate) fn rewrite<E: From<RewriteError>>(
    path: &Path,
    edit: impl FnOnce(Option<&[u8]>) -> Result<Vec<u8>, E>,
) -> Result<Option<Notice>, E> {
    let read_error = |source| RewriteError::Read { path: path.to_owned(), source };
    let real = followed(path).map_err(read_error)?;
    let _turn = take_turn(directory_of(&real));
    let old = read(&real).map_err(read_error)?;
    let (content, metadata) = old.unzip();
    let edited = edit(content.as_deref())?;
    let keep = |new: &File| metadata.as_ref().map_or(Ok(None), |old| keep_mode_and_owner(new, old));
    let written = match put(&real, &edited, PRIVATE, keep, |new| new.persist(&real)) {
        Err(why) if metadata.is_some() && is_not_replaceable(&why) => {
            write_in_place(&real, &edited).map(|()| Some(Notice::InPlace))
        }
        result => result,
    };
    Ok(written.map_err(|source| RewriteError::Write { path: path.to_owned(), source })?)
}

/// The file that a link leads to; a file that is not there yet is itself.
fn followed(path: &Path) -> io::Result<PathBuf> {
    match fs::canonicalize(path) {
        Err(why) if why.kind() == io::ErrorKind::NotFound && !path.is_symlink() => Ok(path.to_owned()),
        result => result,
    }
}

/// Locks the directory, which unlike the file stays the same. Where the file system cannot, there is no order.
fn take_turn(directory: &Path) -> Option<File> {
    let directory = File::open(directory).ok()?;
    directory.lock().ok()?;
    Some(directory)
}

fn read(path: &Path) -> io::Result<Option<(Vec<u8>, Metadata)>> {
    match read_bounded(path) {
        Ok(content) => Ok(Some((content, fs::metadata(path)?))),
        Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(why) => Err(why),
    }
}

/// Makes a file that is not there yet: whole and with `mode` (less the umask), or not at all.
///
/// # Errors
/// There is such a file; or the system's.
pub(crate) fn create(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    put(path, content, mode, |_| Ok(()), |new| new.persist_noclobber(path))
}

/// Puts a file with `mode` (less the umask) in the place of another, or where none is.
///
/// # Errors
/// The system's; an old file is then as it was.
pub(crate) fn replace(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    put(path, content, mode, |_| Ok(()), |new| new.persist(path))
}

/// Writes a file beside its place, finishes it, and renames it into its place, all of it made durable.
fn put<T>(
    path: &Path,
    content: &[u8],
    mode: u32,
    finish: impl FnOnce(&File) -> io::Result<T>,
    persist: impl FnOnce(NamedTempFile) -> Result<File, PersistError>,
) -> io::Result<T> {
    let directory = directory_of(path);
    // The mode is there from the first moment: nobody can open a key before it is closed to them.
    let mut new = tempfile::Builder::new()
        .prefix(".lockgate-")
        .permissions(Permissions::from_mode(mode))
        .tempfile_in(directory)?;
    new.write_all(content)?;
    let finished = finish(new.as_file())?;
    new.as_file().sync_all()?;
    persist(new)?;
    File::open(directory)?.sync_all()?;
    Ok(finished)
}

fn directory_of(file: &Path) -> &Path {
    file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The owner first: giving a file away may clear bits of its mode.
fn keep_mode_and_owner(new: &File, old: &Metadata) -> io::Result<Option<Notice>> {
    let made = new.metadata()?;
    let same = (made.uid(), made.gid()) == (old.uid(), old.gid());
    let kept = same || fchown(new, Some(old.uid()), Some(old.gid())).is_ok();
    if !kept {
        // A file shared through its group should stay so.
        let _ = fchown(new, None, Some(old.gid()));
    }
    new.set_permissions(Permissions::from_mode(old.mode() & 0o7777))?;
    Ok((!kept).then_some(Notice::Owner))
}

/// A file that a container has mounted cannot be renamed over, and its directory is often not writable.
fn is_not_replaceable(why: &io::Error) -> bool {
    use io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem, ResourceBusy};
    matches!(why.kind(), ResourceBusy | PermissionDenied | ReadOnlyFilesystem)
}

fn write_in_place(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).open(path)?;
    file.write_all(content)?;
    file.set_len(content.len() as u64)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn write(path: &Path, content: &str) -> Result<Option<Notice>, RewriteError> {
        rewrite(path, |_| Ok(content.into()))
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    fn names(directory: &Path) -> Vec<String> {
        fs::read_dir(directory).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_new_file_can_be_read_by_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("users");
        assert_eq!(write(&file, "new").unwrap(), None);
        assert_eq!((fs::read_to_string(&file).unwrap(), mode(&file)), ("new".to_owned(), 0o600));
        assert_eq!(names(dir.path()), ["users"], "nothing is left beside it");
    }

    #[test]
    fn an_old_file_keeps_its_mode_and_is_replaced_not_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("users");
        fs::write(&file, "a longer old content").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        let inode = fs::metadata(&file).unwrap().ino();
        assert_eq!(write(&file, "new").unwrap(), None);
        assert_eq!((fs::read_to_string(&file).unwrap(), mode(&file)), ("new".to_owned(), 0o640));
        assert_ne!(fs::metadata(&file).unwrap().ino(), inode);
    }

    #[test]
    fn a_link_stays_a_link_to_the_file_that_changes() {
        let dir = tempfile::tempdir().unwrap();
        let (real, link) = (dir.path().join("real"), dir.path().join("link"));
        fs::write(&real, "old").unwrap();
        symlink("real", &link).unwrap();
        write(&link, "new").unwrap();
        assert!(link.is_symlink());
        assert_eq!(fs::read_to_string(&real).unwrap(), "new");
    }

    #[test]
    fn a_link_to_nothing_is_an_error_and_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("link");
        symlink("gone", &link).unwrap();
        assert!(matches!(write(&link, "new"), Err(RewriteError::Read { .. })));
        assert!(link.is_symlink());
    }

    #[test]
    fn an_edit_that_fails_leaves_the_file_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("users");
        fs::write(&file, "old").unwrap();
        let refused = |_: Option<&[u8]>| Err(RewriteError::Read { path: "x".into(), source: io::Error::other("x") });
        assert!(rewrite(&file, refused).is_err());
        assert_eq!(fs::read_to_string(&file).unwrap(), "old");
        assert_eq!(names(dir.path()), ["users"]);
    }

    #[test]
    fn a_shorter_content_written_in_place_leaves_no_tail_of_the_old_one() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("users");
        fs::write(&file, "a longer old content").unwrap();
        write_in_place(&file, b"new").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
    }

    #[test]
    fn a_mounted_file_and_a_directory_without_permission_are_written_in_place() {
        for (errno, in_place) in [(16, true), (13, true), (30, true), (28, false), (2, false)] {
            assert_eq!(is_not_replaceable(&io::Error::from_raw_os_error(errno)), in_place, "errno {errno}");
        }
    }

    #[test]
    fn no_change_is_lost_when_many_rewrite_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("users");
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let append = |old: Option<&[u8]>| Ok::<_, RewriteError>([old.unwrap_or_default(), b"x"].concat());
                    rewrite(&file, append).unwrap();
                });
            }
        });
        assert_eq!(fs::read_to_string(&file).unwrap(), "xxxxxxxx");
    }
}
