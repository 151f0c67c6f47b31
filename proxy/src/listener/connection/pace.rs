//! The least that a client must move while it is its turn.
//!
//! A [`Pace`] is a credit of time. Waiting for the client spends it, and each byte that moves earns
//! what the byte may take at the least rate. So a client that is faster has always the whole credit,
//! and one that is slower falls behind until nothing is left, however it spaces its bytes. Time in
//! which nobody waits for the client, since the upstream is slow, costs nothing.

use std::time::Duration;

use tokio::time::Instant;

use crate::config::Limits;

/// What holds for a direction.
#[derive(Debug, Clone, Copy)]
pub(in crate::listener) struct Rule {
    /// Bytes a second; 0: any byte at all earns the whole credit.
    pub(in crate::listener) rate: u64,
    /// The most credit there is: the longest silence.
    pub(in crate::listener) patience: Duration,
}

impl Rule {
    /// For a client that sends a body.
    pub(in crate::listener) fn sending(limits: &Limits) -> Self {
        Self { rate: limits.min_body_rate.bytes(), patience: limits.body_timeout.duration() }
    }

    /// For a client that takes an answer.
    pub(in crate::listener) fn taking(limits: &Limits) -> Self {
        Self { rate: limits.min_body_rate.bytes(), patience: limits.send_timeout.duration() }
    }
}

/// A client's credit in one direction.
#[derive(Debug)]
pub(in crate::listener) struct Pace {
    credit: Duration,
    waiting_since: Option<Instant>,
    has_begun: bool,
}

impl Pace {
    /// For a new request: the first byte may take the whole patience.
    pub(in crate::listener) fn new(rule: Rule) -> Self {
        Self { credit: rule.patience, waiting_since: None, has_begun: false }
    }

    /// It is the client's turn, since the first such call after it moved or rested. Tells when it will have
    /// taken too long.
    pub(in crate::listener) fn wait(&mut self, now: Instant) -> Instant {
        *self.waiting_since.get_or_insert(now) + self.credit
    }

    /// It is not the client's turn any more: from here on nothing is spent.
    pub(in crate::listener) fn rest(&mut self, now: Instant) {
        if let Some(since) = self.waiting_since.take() {
            self.credit = self.credit.saturating_sub(now - since);
        }
    }

    /// Whether it is the client's turn.
    pub(in crate::listener) fn is_waiting(&self) -> bool {
        self.waiting_since.is_some()
    }

    /// Whether it was the client's turn for too long.
    pub(in crate::listener) fn is_over(&self, now: Instant) -> bool {
        self.waiting_since.is_some_and(|since| now - since >= self.credit)
    }

    /// The client moved so many bytes.
    pub(in crate::listener) fn moved(&mut self, bytes: usize, rule: Rule, now: Instant) {
        self.rest(now);
        if !std::mem::replace(&mut self.has_begun, true) {
            // Half of the patience: who only ever trickles has earned no more.
            self.credit = rule.patience / 2;
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
            let deadline = pace.wait(Instant::now());
            if deadline < Instant::now() + pause {
                return Some(deadline - start);
            }
            advance(pause).await;
            pace.moved(bytes, rule, Instant::now());
        }
        None
    }

    #[tokio::test(start_paused = true)]
    async fn a_trickle_ends_and_an_honest_client_goes_on() {
        let secs = Duration::from_secs;
        let trickle = too_slow_after(RULE, 1, secs(10), 1000).await.expect("too slow");
        assert!(trickle >= secs(40) && trickle < secs(41), "half of the patience from its first byte on: {trickle:?}");
        assert_eq!(too_slow_after(RULE, 64 * 1024, secs(1), 1000).await, None);
        assert_eq!(too_slow_after(RULE, 1024, secs(1), 1000).await, None, "just enough");
        assert!(too_slow_after(RULE, 1000, secs(1), 10_000).await.is_some(), "just too little");
    }

    #[tokio::test(start_paused = true)]
    async fn who_was_fast_may_be_silent_for_the_whole_patience() {
        let mut pace = Pace::new(RULE);
        pace.moved(1 << 20, RULE, Instant::now());
        assert_eq!(pace.wait(Instant::now()) - Instant::now(), RULE.patience);
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_byte_may_take_the_whole_patience_and_the_next_ones_half() {
        let mut pace = Pace::new(RULE);
        assert_eq!(pace.wait(Instant::now()) - Instant::now(), RULE.patience);
        advance(RULE.patience - Duration::from_millis(1)).await;
        assert!(!pace.is_over(Instant::now()));
        pace.moved(0, RULE, Instant::now());
        assert_eq!(pace.wait(Instant::now()) - Instant::now(), RULE.patience / 2);
        advance(RULE.patience / 2).await;
        assert!(pace.is_over(Instant::now()));
    }

    #[tokio::test(start_paused = true)]
    async fn time_in_which_nobody_waits_for_the_client_costs_nothing() {
        let mut pace = Pace::new(RULE);
        for _ in 0..10 {
            pace.wait(Instant::now());
            pace.moved(1, RULE, Instant::now());
            advance(RULE.patience).await;
            pace.wait(Instant::now());
            pace.rest(Instant::now());
            advance(RULE.patience).await;
            assert!(!pace.is_over(Instant::now()));
        }
        assert!(pace.wait(Instant::now()) >= Instant::now() + RULE.patience / 2);
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
                pace.moved(0, RULE, Instant::now());
                let start = Instant::now();
                let mut sum = 0;
                for (millis, bytes) in steps {
                    let pause = Duration::from_millis(millis);
                    if pace.wait(Instant::now()) < Instant::now() + pause {
                        break;
                    }
                    advance(pause).await;
                    pace.moved(bytes, RULE, Instant::now());
                    sum += bytes as u64;
                    let asked = start.elapsed().saturating_sub(RULE.patience).as_secs() * RULE.rate;
                    assert!(sum >= asked, "{sum} of {asked}");
                }
            });
        }
    }
}
