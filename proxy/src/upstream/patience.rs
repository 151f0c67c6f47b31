//! How long another side is waited for.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// A wait that begins anew whenever something moves.
///
/// A layer has many thousand pieces. A timer for each would be set for each, so there is one, which when it rings is
/// set to when it should have been by then.
#[derive(Debug, Default)]
pub(super) struct Patience {
    since: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Patience {
    /// Something moved, or nothing is waited for.
    pub(super) fn rest(&mut self) {
        self.since = None;
    }

    /// Ready when nothing has moved for `limit`.
    pub(super) fn poll_over(&mut self, limit: Duration, cx: &mut Context<'_>) -> Poll<()> {
        let end = *self.since.get_or_insert_with(Instant::now) + limit;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(end)));
        if timer.deadline() > end {
            timer.as_mut().reset(end);
        }
        loop {
            ready!(timer.as_mut().poll(cx));
            if timer.deadline() >= end {
                return Poll::Ready(());
            }
            timer.as_mut().reset(end);
        }
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
