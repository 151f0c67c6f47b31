//! The content of files that somebody else writes.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The most that is read of one file, in bytes: a certificate has 2 KB, 10,000 users about 1 MB.
const MAX_BYTES: u64 = 4 * 1024 * 1024;

/// The whole content of a regular file of at most 4 MiB. A pipe or a device is refused before it is opened, since
/// opening one can block for good.
///
/// # Errors
/// It cannot be read, is larger, or is something else than a file; for a directory with the usual reason.
pub fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let metadata = std::fs::metadata(path)?;
    if metadata.is_dir() {
        let what = "it is a directory; where the host had no file to mount, docker made one: remove it, put the file \
                    there, and make the container anew";
        return Err(io::Error::new(io::ErrorKind::IsADirectory, what));
    }
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    let mut content = Vec::new();
    File::open(path)?.take(MAX_BYTES + 1).read_to_end(&mut content)?;
    if content.len() as u64 > MAX_BYTES {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it is larger than {MAX_BYTES} bytes")));
    }
    Ok(content)
}

/// Whether a text is UTF-16, as PowerShell's `>` and Notepad write it: with a byte order mark, or every other byte NUL.
pub fn is_utf16(content: &[u8]) -> bool {
    match content {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => true,
        [first, second, ..] => (*first == 0) != (*second == 0),
        _ => false,
    }
}

/// The advice for it.
pub const UTF16: &str = "it is UTF-16, as PowerShell and Notepad write it; save it as UTF-8";

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn a_directory_a_device_and_an_endless_file_are_refused() {
        let dir = TempDir::new().unwrap();
        assert_eq!(read_bounded(dir.path()).unwrap_err().kind(), io::ErrorKind::IsADirectory);
        assert_eq!(read_bounded(Path::new("/dev/zero")).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        let large = dir.path().join("large");
        File::create(&large).unwrap().set_len(MAX_BYTES + 1).unwrap();
        assert_eq!(read_bounded(&large).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        File::create(&large).unwrap().set_len(MAX_BYTES).unwrap();
        assert_eq!(read_bounded(&large).unwrap().len() as u64, MAX_BYTES);
    }

    #[test]
    fn utf_16_is_told_from_utf_8() {
        let encoded = |text: &str, bytes: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(bytes).collect::<Vec<u8>>();
        for text in ["\u{feff}alice:x", "alice:x", "\u{feff}é", "a"] {
            assert!(is_utf16(&encoded(text, u16::to_le_bytes)) && is_utf16(&encoded(text, u16::to_be_bytes)), "{text}");
            assert!(!is_utf16(text.as_bytes()), "{text}");
        }
        assert!(!is_utf16(b""));
    }
}
