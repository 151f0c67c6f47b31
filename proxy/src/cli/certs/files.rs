//! Files that appear whole and with their mode, or not at all.

use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::{NamedTempFile, PersistError};

use super::CertsError;

/// The mode of a key.
pub(super) const PRIVATE: u32 = 0o600;
/// The mode of a certificate, less what the umask takes.
pub(super) const PUBLIC: u32 = 0o644;

/// Makes a file that does not exist yet.
pub(super) fn create(path: &Path, content: &[u8], mode: u32) -> Result<(), CertsError> {
    write(path, content, mode, |file| file.persist_noclobber(path))
}

/// Puts a file in the place of another, or where none is.
pub(super) fn replace(path: &Path, content: &[u8], mode: u32) -> Result<(), CertsError> {
    write(path, content, mode, |file| file.persist(path))
}

/// Written beside its place, synced, and renamed into it; then the directory is synced.
fn write(
    path: &Path,
    content: &[u8],
    mode: u32,
    persist: impl FnOnce(NamedTempFile) -> Result<File, PersistError>,
) -> Result<(), CertsError> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let written = || -> io::Result<()> {
        // The mode is there from the first moment: nobody can open a key before it is closed to them.
        let mut file =
            tempfile::Builder::new().prefix(".lockgate-").permissions(Permissions::from_mode(mode)).tempfile_in(dir)?;
        file.write_all(content)?;
        file.as_file().sync_all()?;
        persist(file)?;
        File::open(dir)?.sync_all()
    };
    written().map_err(|source| CertsError::Write { path: path.to_owned(), source })
}
