//! A directory of a test's own.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;
use tempfile::TempDir;

/// A fresh directory that goes with the value. Its name is in lower case: podman makes an image's name of it.
///
/// # Panics
/// When the machine has no room for one.
pub fn fresh_dir() -> TempDir {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("it is later than 1970").as_micros();
    let name = format!("{}{count}-{now:x}", prefix());
    let made = tempfile::Builder::new().prefix(&name).rand_bytes(0).tempdir();
    made.expect("there is room for a temporary directory")
}

/// How the names of this process's directories begin.
pub(crate) fn prefix() -> String {
    format!("lockgate-e2e-{}-", std::process::id())
}
