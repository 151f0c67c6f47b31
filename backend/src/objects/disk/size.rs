//! How long a blob is, recorded with its file: distribution's layout says it nowhere, so that a file which was cut short
//! afterwards would pass for the blob.
//!
//! It is an extended attribute: it costs one system call and no sync of its own, and goes where the file goes. A
//! file system that has none, and a copy that leaves it behind, cost only that the blob is unrecorded again.

use std::fs::File;

use rustix::fs::{XattrFlags, fgetxattr, fsetxattr};

const NAME: &str = "user.lockgate.size";

/// Digits of the largest size.
const DIGITS: usize = 20;

/// Records the size of a file whose bytes have the digest that it is kept under. False where that cannot be.
pub(super) fn record(file: &File, size: u64) -> bool {
    fsetxattr(file, NAME, size.to_string().as_bytes(), XattrFlags::empty()).is_ok()
}

/// The size that was recorded.
pub(super) fn recorded(file: &File) -> Option<u64> {
    let mut digits = [0; DIGITS];
    let length = fgetxattr(file, NAME, &mut digits).ok()?;
    std::str::from_utf8(&digits[..length]).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_what_was_recorded_last_and_what_is_none_is_not_read() {
        let file = tempfile::tempfile().unwrap();
        assert_eq!(recorded(&file), None);
        for size in [0, 7, u64::MAX] {
            assert!(record(&file, size));
            assert_eq!(recorded(&file), Some(size));
        }
        for other in ["", "x", "-1", "184467440737095516150"] {
            fsetxattr(&file, NAME, other.as_bytes(), XattrFlags::empty()).unwrap();
            assert_eq!(recorded(&file), None, "{other}");
        }
    }
}
