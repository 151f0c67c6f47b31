//! A directory of a test's own.

use tempfile::TempDir;

/// A fresh directory that goes with the value.
///
/// # Panics
/// When the machine has no room for one.
pub fn fresh_dir() -> TempDir {
    tempfile::Builder::new().prefix("lockgate-e2e-").tempdir().expect("there is room for a temporary directory")
}
