//! Awaiting a state, with a bound.

use std::io;
use std::time::{Duration, Instant};

/// How long anything that should simply happen is waited for. Generous: it is only ever spent by a test that fails.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How long to wait between two looks at a state that cannot be waited on, and between the pieces of a steady client.
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

/// Sends the pieces one after the other with a pause behind each, as a client does that is slow and steady.
///
/// # Panics
/// When one cannot be sent.
pub fn steadily<T>(pieces: impl IntoIterator<Item = T>, mut send: impl FnMut(T) -> io::Result<()>) {
    for (at, piece) in pieces.into_iter().enumerate() {
        send(piece).unwrap_or_else(|e| panic!("a steady client is cut at its piece {at}: {e}"));
        std::thread::sleep(PAUSE);
    }
}
