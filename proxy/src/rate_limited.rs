//! Warnings that a flood cannot turn into a flood of lines.

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use crate::lock::lock;

/// How long after a line the next one may come.
const INTERVAL: Duration = Duration::from_secs(10);

/// One kind of event, of which every one is counted and few are logged.
#[derive(Debug, Default)]
pub(crate) struct RateLimitedWarning(Mutex<Tally>);

#[derive(Debug, Default)]
struct Tally {
    last_line: Option<Instant>,
    since: u64,
}

impl RateLimitedWarning {
    /// Counts an event. When it is time for a line, how many events it stands for.
    pub(crate) fn count(&self) -> Option<u64> {
        let mut tally = lock(&self.0);
        tally.since += 1;
        if tally.last_line.is_some_and(|at| at.elapsed() < INTERVAL) {
            return None;
        }
        tally.last_line = Some(Instant::now());
        Some(std::mem::take(&mut tally.since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_first_event_is_told_at_once_and_the_others_are_told_together() {
        let warning = RateLimitedWarning::default();
        assert_eq!(warning.count(), Some(1));
        for _ in 0..1000 {
            assert_eq!(warning.count(), None);
        }
        tokio::time::advance(INTERVAL).await;
        assert_eq!(warning.count(), Some(1001));
        assert_eq!(warning.count(), None);
    }
}
