//! One process a directory: two would delete under each other what the other is about to link to.

use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use super::errors::at;

/// Locks a file, made if it is missing, until what is returned is dropped or the process ends, however it does.
///
/// # Errors
/// Another process has it; or it cannot be opened.
pub(super) fn lock(path: &Path) -> io::Result<File> {
    // Whoever may read a file may lock it, and could keep this process from starting.
    let file = File::options().write(true).create(true).truncate(false).mode(0o600).open(path).map_err(at(path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let message = "another process serves this data directory: stop it first, or name another directory";
            return Err(at(path)(io::Error::new(io::ErrorKind::ResourceBusy, message)));
        }
        Err(TryLockError::Error(error)) => {
            let path = path.display();
            tracing::warn!(%path, %error, "this file system has no locks: see to it that no other process serves this data directory");
        }
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_file_is_locked_once_until_it_is_dropped() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let first = lock(&path).unwrap();
        assert_eq!(first.metadata().unwrap().permissions().mode() & 0o077, 0, "nobody else can lock it");
        let error = lock(&path).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ResourceBusy);
        assert!(error.to_string().contains("another process serves this data directory"), "{error}");
        drop(first);
        lock(&path).unwrap();
    }
}
