//! How many frames without content may still come.

use std::time::Duration;

use tokio::time::Instant;

/// How long it takes until a spent allowance is whole again.
pub(super) const PERIOD: Duration = Duration::from_secs(10);

/// The allowance does not cover what was spent.
#[derive(Debug)]
pub(super) struct Exhausted;

/// A number that is spent, and grows back with time.
#[derive(Debug)]
pub(super) struct Allowance {
    most: u32,
    left: u32,
    /// Up to when it has grown back.
    grown: Instant,
}

impl Allowance {
    pub(super) fn new(most: u32, now: Instant) -> Self {
        Self { most, left: most, grown: now }
    }

    /// More than the most is not kept.
    pub(super) fn earn(&mut self, amount: u32) {
        self.left = self.left.saturating_add(amount).min(self.most);
    }

    /// # Errors
    /// When less than this is left.
    pub(super) fn spend(&mut self, amount: u32, now: Instant) -> Result<(), Exhausted> {
        if self.left < amount {
            self.grow(now);
        }
        self.left = self.left.checked_sub(amount).ok_or(Exhausted)?;
        Ok(())
    }

    fn grow(&mut self, now: Instant) {
        let share = (now - self.grown).as_secs_f64() / PERIOD.as_secs_f64();
        // A share of a u32 that is at most whole.
        let amount = (f64::from(self.most) * share.min(1.0)) as u32;
        if amount > 0 {
            self.earn(amount);
            self.grown = now;
        }
    }
}
