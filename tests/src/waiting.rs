//! Awaiting a state, with a bound.

use std::io;
use std::time::{Duration, Instant};

/// How long anything that should simply happen is waited for. Generous: it is only ever spent by a test that fails.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How long to wait between two looks at a state that cannot be waited on, and between the pieces of a steady client.
const PAUSE: Duration = Duration::from_millis(10);

/// Looks again and again until `probe` sees what it waits for. The last look begins when `bound` is over: where a busy
/// machine holds up the test for longer than that, what it saw before says nothing about now.
///
/// # Panics
/// After that look, naming `what` was awaited.
pub fn eventually<T>(bound: Duration, what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    let mut is_last = false;
    loop {
        if let Some(seen) = probe() {
            return seen;
        }
        assert!(!is_last, "waited {bound:?} in vain for {what}");
        is_last = start.elapsed() >= bound;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_held_up_at_a_look_looks_once_more() {
        let mut looks = 1..;
        eventually(Duration::ZERO, "the second look", || (looks.next() == Some(2)).then_some(()));
    }

    #[test]
    #[should_panic(expected = "waited 0ns in vain for nothing")]
    fn a_look_that_began_when_the_time_was_over_is_the_last() {
        let mut looks = 1..;
        eventually(Duration::ZERO, "nothing", || (looks.next() == Some(3)).then_some(()));
    }
}
