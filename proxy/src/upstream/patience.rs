//! How long another side is waited for.

use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;

use crate::timer::Timer;

/// A wait that begins anew whenever something moves.
#[derive(Debug, Default)]
pub(super) struct Patience {
    since: Option<Instant>,
    timer: Timer,
}

impl Patience {
    /// Something moved, or nothing is waited for.
    pub(super) fn rest(&mut self) {
        self.since = None;
    }

    /// Ready when nothing has moved for `limit`.
    pub(super) fn poll_over(&mut self, limit: Duration, cx: &mut Context<'_>) -> Poll<()> {
        let since = *self.since.get_or_insert_with(Instant::now);
        self.timer.poll_until(since + limit, cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    #[tokio::test(start_paused = true)]
    async fn a_wait_begins_anew_when_something_moves_though_the_timer_is_the_old_one() {
        let limit = Duration::from_secs(10);
        let mut patience = Patience::default();
        let first = poll_fn(|cx| patience.poll_over(limit, cx));
        assert!(tokio::time::timeout(Duration::from_secs(9), first).await.is_err());
        patience.rest();
        let start = Instant::now();
        poll_fn(|cx| patience.poll_over(limit, cx)).await;
        assert_eq!(start.elapsed().as_secs(), 10);
        patience.rest();
        let start = Instant::now();
        poll_fn(|cx| patience.poll_over(limit / 2, cx)).await;
        assert_eq!(start.elapsed().as_secs(), 5, "a shorter wait is as short as it says");
    }
}
