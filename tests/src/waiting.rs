//! Awaiting a state, with a bound.

use std::time::{Duration, Instant};

/// How long anything that should simply happen is waited for. Generous: it is only ever spent by a test that fails.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How long to wait between two looks at a state that cannot be waited on.
const PAUSE: Duration = Duration::from_millis(10);

/// Looks again and again until `probe` sees what it waits for.
///
/// # Panics
/// After `bound`, naming `what` was awaited.
pub fn eventually<T>(bound: Duration, what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(seen) = probe() {
            return seen;
        }
        assert!(start.elapsed() < bound, "waited {bound:?} in vain for {what}");
        std::thread::sleep(PAUSE);
    }
}
