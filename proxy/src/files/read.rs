//! The content of files that somebody else writes.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The most that is read of one file, in bytes: a certificate has 2 KB, 10,000 users about 1 MB.
const MAX_BYTES: u64 = 4 * 1024 * 1024;

/// The whole content of a regular file of at most [`MAX_BYTES`]. A pipe or a device is refused before
/// it is opened, since opening one can block for good.
pub(crate) fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    let mut content = Vec::new();
    File::open(path)?.take(MAX_BYTES + 1).read_to_end(&mut content)?;
    if content.len() as u64 > MAX_BYTES {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it is larger than {MAX_BYTES} bytes")));
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn a_directory_a_device_and_an_endless_file_are_refused() {
        let dir = TempDir::new().unwrap();
        assert_eq!(read_bounded(dir.path()).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert_eq!(read_bounded(Path::new("/dev/zero")).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        let large = dir.path().join("large");
        File::create(&large).unwrap().set_len(MAX_BYTES + 1).unwrap();
        assert_eq!(read_bounded(&large).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        File::create(&large).unwrap().set_len(MAX_BYTES).unwrap();
        assert_eq!(read_bounded(&large).unwrap().len() as u64, MAX_BYTES);
    }
}
