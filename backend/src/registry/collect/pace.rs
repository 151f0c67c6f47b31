//! How much of a processor and of the storage's time the collector takes.

use std::time::Duration;

use tokio::time::Instant;

/// Work is interrupted after so much of it: a request that comes meanwhile may wait as long for the processor.
const STRETCH: Duration = Duration::from_millis(1);

/// Rests that are in proportion to the work between them.
pub(super) struct Pace {
    /// How long is rested for a second of work.
    rest: f64,
    since: Instant,
}

impl Pace {
    /// Work that takes at most such a share of the time, over 0 and at most 1.
    pub(super) fn new(share: f64) -> Self {
        Self { rest: 1.0 / share.clamp(0.01, 1.0) - 1.0, since: Instant::now() }
    }

    /// Rests, when it is time.
    pub(super) async fn go_on(&mut self) {
        let worked = self.since.elapsed();
        if worked > STRETCH {
            tokio::time::sleep(worked.mul_f64(self.rest)).await;
            self.since = Instant::now();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_quarter_of_the_time_is_worked() {
        let (mut pace, began) = (Pace::new(0.25), Instant::now());
        for _ in 0..100 {
            tokio::time::advance(Duration::from_millis(5)).await;
            pace.go_on().await;
        }
        let took = began.elapsed().as_millis();
        assert!((1900..2100).contains(&took), "{took} ms for 500 ms of work");
    }
}
