//! Warnings that a flood cannot turn into a flood of lines.

use std::time::Duration;

use tokio::time::Instant;

/// How long after a line the next one may come.
const INTERVAL: Duration = Duration::from_secs(10);

/// One kind of event, of which every one is counted and few are told.
#[derive(Debug, Default)]
pub(super) struct Seldom {
    told: Option<Instant>,
    untold: u64,
}

impl Seldom {
    /// Counts an event. When it is time for a line, how many events it stands for.
    pub(super) fn count(&mut self) -> Option<u64> {
        self.untold += 1;
        if self.told.is_some_and(|told| told.elapsed() < INTERVAL) {
            return None;
        }
        self.told = Some(Instant::now());
        Some(std::mem::take(&mut self.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_first_event_is_told_at_once_and_the_others_are_told_together() {
        let mut seldom = Seldom::default();
        assert_eq!(seldom.count(), Some(1));
        for _ in 0..1000 {
            assert_eq!(seldom.count(), None);
        }
        tokio::time::advance(INTERVAL).await;
        assert_eq!(seldom.count(), Some(1001));
        assert_eq!(seldom.count(), None);
    }
}
