//! The least that a client must move while it is its turn.
//!
//! A [`Pace`] is a credit of time. Waiting for the client spends it, and each byte that moves earns
//! what the byte may take at the least rate. So a client that is faster has always the whole credit,
//! and one that is slower falls behind until nothing is left, however it spaces its bytes. Time in
//! which nobody waits for the client, since the upstream is slow, costs nothing.

use std::time::Duration;

use tokio::time::Instant;

/// What holds for a direction.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule {
    /// Bytes a second; 0: any byte at all earns the whole credit.
    pub(super) rate: u64,
    /// The most credit there is: the longest silence.
    pub(super) patience: Duration,
}

/// A client's credit in one direction.
#[derive(Debug)]
pub(super) struct Pace {
    credit: Duration,
    waiting_since: Option<Instant>,
}

impl Pace {
    /// For a new request. Where there is a rate, half of the patience: who only ever trickles has earned
    /// no more.
    pub(super) fn new(rule: Rule) -> Self {
        let credit = if rule.rate == 0 { rule.patience } else { rule.patience / 2 };
        Self { credit, waiting_since: None }
    }

    /// It is the client's turn, since the first such call after it moved. Tells when it will have taken
    /// too long.
    pub(super) fn wait(&mut self) -> Instant {
        *self.waiting_since.get_or_insert_with(Instant::now) + self.credit
    }

    /// The client moved so many bytes.
    pub(super) fn moved(&mut self, bytes: usize, rule: Rule) {
        // Without a wait no credit was spent, and none is missing unless one was spent before.
        if let Some(since) = self.waiting_since.take() {
            self.credit = self.credit.saturating_sub(since.elapsed());
        }
        let earned = (bytes as u64).saturating_mul(1_000_000).checked_div(rule.rate);
        let earned = earned.map_or(rule.patience, Duration::from_micros);
        self.credit = self.credit.saturating_add(earned).min(rule.patience);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tokio::time::advance;

    const RULE: Rule = Rule { rate: 1024, patience: Duration::from_secs(60) };

    /// Moves `bytes` after each `pause`, and tells after how long it was too slow.
    async fn too_slow_after(rule: Rule, bytes: usize, pause: Duration, rounds: usize) -> Option<Duration> {
        let start = Instant::now();
        let mut pace = Pace::new(rule);
        for _ in 0..rounds {
            let deadline = pace.wait();
            if deadline < Instant::now() + pause {
                return Some(deadline - start);
            }
            advance(pause).await;
            pace.moved(bytes, rule);
        }
        None
    }

    #[tokio::test(start_paused = true)]
    async fn a_trickle_ends_and_an_honest_client_goes_on() {
        let secs = Duration::from_secs;
        let trickle = too_slow_after(RULE, 1, secs(10), 1000).await.expect("too slow");
        assert!(trickle >= secs(30) && trickle < secs(31), "{trickle:?}");
        assert_eq!(too_slow_after(RULE, 64 * 1024, secs(1), 1000).await, None);
        assert_eq!(too_slow_after(RULE, 1024, secs(1), 1000).await, None, "just enough");
        assert!(too_slow_after(RULE, 1000, secs(1), 10_000).await.is_some(), "just too little");
    }

    #[tokio::test(start_paused = true)]
    async fn who_was_fast_may_be_silent_for_the_whole_patience() {
        let mut pace = Pace::new(RULE);
        pace.moved(1 << 20, RULE);
        assert_eq!(pace.wait() - Instant::now(), RULE.patience);
    }

    #[tokio::test(start_paused = true)]
    async fn time_in_which_nobody_waits_for_the_client_costs_nothing() {
        let mut pace = Pace::new(RULE);
        for _ in 0..10 {
            pace.moved(1, RULE);
            advance(RULE.patience).await;
        }
        assert!(pace.wait() >= Instant::now() + RULE.patience / 2);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_rate_a_byte_is_enough() {
        let rule = Rule { rate: 0, ..RULE };
        assert_eq!(too_slow_after(rule, 1, Duration::from_secs(59), 1000).await, None);
        assert_eq!(too_slow_after(rule, 1, Duration::from_secs(61), 2).await, Some(rule.patience));
    }

    proptest! {
        /// Whoever stays, moved what the rate asks for, but for the credit.
        #[test]
        fn over_any_time_the_rate_holds(
            steps in proptest::collection::vec((0_u64..20_000, 0_usize..20_000), 1..60),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
            runtime.expect("a runtime").block_on(async {
                let mut pace = Pace::new(RULE);
                let start = Instant::now();
                let mut sum = 0;
                for (millis, bytes) in steps {
                    let pause = Duration::from_millis(millis);
                    if pace.wait() < Instant::now() + pause {
                        break;
                    }
                    advance(pause).await;
                    pace.moved(bytes, RULE);
                    sum += bytes as u64;
                    let asked = start.elapsed().saturating_sub(RULE.patience).as_secs() * RULE.rate;
                    assert!(sum >= asked, "{sum} of {asked}");
                }
            });
        }
    }
}
