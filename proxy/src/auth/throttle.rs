//! How many passwords may be checked for whom.
//!
//! A check that fails costs the client two budgets: that of its address for this user name, and that
//! of its address for all names together. Both are token buckets, kept as the time at which they are
//! full again (the generic cell rate algorithm), so that one number tells all there is to know.
//!
//! They are looked at twice. A password that comes in where one of them is used up is refused at once. Else it waits
//! for its turn, and costs nothing: eighty people behind one address may log in in the same second. When its turn
//! comes it is refused if what was before it has used them up. Only a check that failed is taken, from both, even if
//! another thread took the last one meanwhile: what comes in at once gets as many checks more as there are threads
//! beside the first, and waits the longer for the next.
//!
//! A password that was wrong is remembered as such, for the address that sent it, and is not checked
//! again. To send it again takes from a budget of its own: a client somewhere that goes on with an old
//! password does not use up what its user needs to log in with the new one.
//!
//! Whether a user exists plays no part: the answer is the same, and comes in the same time.

use std::hash::{BuildHasher, Hash, RandomState};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use super::UserName;
use super::ledger::Ledger;
use crate::lock::lock;
use crate::network::Network;

/// So many failures at once, and from then on one more an interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailureLimit {
    /// Failures that are free.
    pub failures: NonZeroU32,
    /// After which time one of them is forgiven.
    pub interval: Duration,
}

/// A check that was not made, since too many have failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many wrong passwords; the next one is looked at in {} s", self.retry_after())]
pub struct Throttled {
    wait: Duration,
    key: &'static str,
}

/// The budgets of all clients. Its memory is given at the start, and does not grow.
#[derive(Debug)]
pub(super) struct Throttle {
    memory: Mutex<Memory>,
    /// Random, so that nobody can choose names that share a place in the ledger.
    hasher: RandomState,
    epoch: Instant,
    per_user: FailureLimit,
    per_address: FailureLimit,
}

#[derive(Debug)]
struct Memory {
    /// When each budget that something was taken of is full again.
    budgets: Ledger,
    /// When each password was found wrong, by its address.
    wrong: Ledger,
}

/// Whether a password is worth a check.
#[derive(Debug)]
pub(super) enum Verdict {
    /// It may wait for its check.
    Wait(Admission),
    /// It was checked before, and is wrong.
    KnownWrong,
}

/// A password whose turn will come.
#[derive(Debug)]
pub(super) struct Admission {
    throttle: Arc<Throttle>,
    charges: [Charge; 2],
    password: u64,
}

/// A check that is made. Dropped, it costs nothing.
#[derive(Debug)]
pub(super) struct Attempt {
    throttle: Arc<Throttle>,
    charges: [Charge; 2],
    /// Remembered if the check fails.
    password: u64,
}

/// The budgets that there are.
#[derive(Hash)]
enum Budget<'a> {
    Address(Network),
    User(Network, &'a UserName),
    Repeats(Network, &'a UserName),
}

/// One failure, taken from one budget.
#[derive(Debug, Clone, Copy)]
struct Charge {
    key: u64,
    limit: FailureLimit,
    configured_by: &'static str,
}

impl Throttled {
    /// The seconds after which a check is made again, unless others fail before: at least 1.
    pub fn retry_after(&self) -> u32 {
        let whole = self.wait.as_secs() + u64::from(self.wait.subsec_nanos() > 0);
        u32::try_from(whole).unwrap_or(u32::MAX).max(1)
    }

    /// The key of the limit that was reached.
    pub fn key(&self) -> &'static str {
        self.key
    }
}

impl Throttle {
    /// `memory`: how many budgets are remembered that are not full, and how many wrong passwords.
    pub(super) fn new(per_user: FailureLimit, per_address: FailureLimit, memory: usize) -> Arc<Self> {
        let ledger = || Ledger::with_room_for(memory);
        let memory = Mutex::new(Memory { budgets: ledger(), wrong: ledger() });
        Arc::new(Self { memory, hasher: RandomState::new(), epoch: Instant::now(), per_user, per_address })
    }

    /// Whether a password may wait for its check. `password` stands for one password of one user.
    ///
    /// # Errors
    /// A budget is used up.
    pub(super) fn admit(
        self: &Arc<Self>,
        network: Network,
        user: &UserName,
        password: impl Hash,
    ) -> Result<Verdict, Throttled> {
        let password = self.hasher.hash_one((network, password));
        let now = self.epoch.elapsed();
        let mut memory = lock(&self.memory);
        if !memory.wrong.time(password).is_zero() {
            memory.budgets.take(&[self.charge(&Budget::Repeats(network, user))], now)?;
            return Ok(Verdict::KnownWrong);
        }
        let charges = [self.charge(&Budget::User(network, user)), self.charge(&Budget::Address(network))];
        memory.budgets.look(&charges, now)?;
        Ok(Verdict::Wait(Admission { throttle: Arc::clone(self), charges, password }))
    }

    fn charge(&self, budget: &Budget<'_>) -> Charge {
        let (limit, configured_by) = match budget {
            Budget::Address(_) => (self.per_address, "auth.address_failures"),
            Budget::User(..) | Budget::Repeats(..) => (self.per_user, "auth.failures"),
        };
        Charge { key: self.hasher.hash_one(budget), limit, configured_by }
    }
}

impl Admission {
    /// The check, when its turn has come.
    ///
    /// # Errors
    /// A budget was used up meanwhile.
    pub(super) fn begin(self) -> Result<Attempt, Throttled> {
        let Self { throttle, charges, password } = self;
        let now = throttle.epoch.elapsed();
        lock(&throttle.memory).budgets.look(&charges, now)?;
        Ok(Attempt { throttle, charges, password })
    }
}

impl Attempt {
    /// The password was wrong, which costs a check.
    pub(super) fn failed(self) {
        let now = self.throttle.epoch.elapsed();
        let mut memory = lock(&self.throttle.memory);
        // Never zero, which would say that nothing is known.
        memory.wrong.write(self.password, now + Duration::from_nanos(1));
        memory.budgets.charge(&self.charges, now);
    }
}

impl Ledger {
    /// Whether all of these could be taken.
    fn look(&self, charges: &[Charge], now: Duration) -> Result<(), Throttled> {
        let waits = charges.iter().map(|charge| (charge.wait(self.time(charge.key), now), charge.configured_by));
        match waits.max_by_key(|(wait, _)| *wait) {
            Some((wait, key)) if !wait.is_zero() => Err(Throttled { wait, key }),
            _ => Ok(()),
        }
    }

    /// Takes all of these, or none.
    fn take(&mut self, charges: &[Charge], now: Duration) -> Result<(), Throttled> {
        self.look(charges, now)?;
        self.charge(charges, now);
        Ok(())
    }

    /// Takes all of these, from a budget that is used up, too.
    fn charge(&mut self, charges: &[Charge], now: Duration) {
        for charge in charges {
            self.write(charge.key, self.time(charge.key).max(now).saturating_add(charge.limit.interval));
        }
    }
}

impl Charge {
    /// How long until a budget that is full again at `full_at` has a check left.
    fn wait(&self, full_at: Duration, now: Duration) -> Duration {
        // With one check left the budget is full again after all the others were forgiven.
        let others = self.limit.interval.saturating_mul(self.limit.failures.get() - 1);
        full_at.saturating_sub(now.saturating_add(others))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::{IpAddr, Ipv4Addr};
    use std::sync::atomic::{AtomicU64, Ordering};
    use tokio::time::advance;

    const SECOND: Duration = Duration::from_secs(1);

    fn limit(failures: u32, interval: Duration) -> FailureLimit {
        FailureLimit { failures: failures.try_into().unwrap(), interval }
    }

    /// Three failures for a user, one more each 10 s; five for an address, one more each second.
    fn throttle() -> Arc<Throttle> {
        Throttle::new(limit(3, 10 * SECOND), limit(5, SECOND), 1024)
    }

    fn network(last: u8) -> Network {
        IpAddr::from(Ipv4Addr::new(192, 0, 2, last)).into()
    }

    fn user(name: &str) -> UserName {
        name.parse().unwrap()
    }

    /// A check of a password that nobody else sends.
    fn attempt(throttle: &Arc<Throttle>, address: u8, name: &str) -> Result<Attempt, u32> {
        begin(try_password(throttle, address, name, NEXT.fetch_add(1, Ordering::Relaxed))?)
    }

    fn begin(verdict: Verdict) -> Result<Attempt, u32> {
        let Verdict::Wait(admission) = verdict else { panic!("it was sent before") };
        admission.begin().map_err(|throttled| throttled.retry_after())
    }

    static NEXT: AtomicU64 = AtomicU64::new(1000);

    fn try_password(throttle: &Arc<Throttle>, address: u8, name: &str, password: u64) -> Result<Verdict, u32> {
        let verdict = throttle.admit(network(address), &user(name), (name, password));
        verdict.map_err(|throttled| throttled.retry_after())
    }

    fn fail(throttle: &Arc<Throttle>, address: u8, name: &str) -> Result<(), u32> {
        attempt(throttle, address, name).map(Attempt::failed)
    }

    #[tokio::test(start_paused = true)]
    async fn a_pair_has_its_failures_at_once_and_then_one_an_interval() {
        let throttle = throttle();
        for _ in 0..3 {
            assert_eq!(fail(&throttle, 1, "alice"), Ok(()));
        }
        assert_eq!(fail(&throttle, 1, "alice"), Err(10));
        advance(10 * SECOND).await;
        assert_eq!(fail(&throttle, 1, "alice"), Ok(()));
        assert_eq!(fail(&throttle, 1, "alice"), Err(10));
        advance(30 * SECOND).await;
        for _ in 0..3 {
            assert_eq!(fail(&throttle, 1, "alice"), Ok(()), "after long enough it has them all again");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn after_the_wait_that_it_was_told_a_client_is_heard_and_not_long_before() {
        let throttle = throttle();
        while fail(&throttle, 1, "alice").is_ok() {}
        advance(Duration::from_millis(2_500)).await;
        assert_eq!(fail(&throttle, 1, "alice"), Err(8), "7.5 s, in whole seconds");
        advance(Duration::from_millis(7_499)).await;
        assert_eq!(fail(&throttle, 1, "alice"), Err(1));
        advance(SECOND).await;
        assert_eq!(fail(&throttle, 1, "alice"), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_uses_up_the_budget_of_another_address_or_user() {
        let throttle = throttle();
        while fail(&throttle, 1, "alice").is_ok() {}
        assert_eq!(fail(&throttle, 2, "alice"), Ok(()));
        assert_eq!(fail(&throttle, 1, "bob"), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_refused_for_one_user_does_not_cost_the_address() {
        let throttle = throttle();
        for _ in 0..1000 {
            let _ = fail(&throttle, 1, "alice");
        }
        // Five less alice's three.
        assert_eq!([fail(&throttle, 1, "bob"), fail(&throttle, 1, "bob")], [Ok(()), Ok(())]);
        assert_eq!(fail(&throttle, 1, "bob"), Err(1));
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_tries_ever_new_names_is_throttled_as_a_whole() {
        let throttle = throttle();
        let passed = (0..1000).filter(|number| fail(&throttle, 1, &format!("user-{number}")).is_ok()).count();
        assert_eq!(passed, 5);
        let refused = throttle.admit(network(1), &user("another"), 0).unwrap_err();
        assert_eq!((refused.retry_after(), refused.key()), (1, "auth.address_failures"));
        assert_eq!(fail(&throttle, 2, "another"), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn what_succeeds_or_is_never_checked_costs_nothing() {
        let throttle = throttle();
        for _ in 0..100 {
            drop(attempt(&throttle, 1, "alice").unwrap());
        }
        for _ in 0..3 {
            assert_eq!(fail(&throttle, 1, "alice"), Ok(()));
        }
        assert_eq!(fail(&throttle, 1, "alice"), Err(10));
    }

    #[tokio::test(start_paused = true)]
    async fn checks_under_way_keep_nobody_out_and_are_paid_for_when_they_have_failed() {
        let throttle = throttle();
        let under_way: Vec<_> = (0..5).map(|_| attempt(&throttle, 1, "alice").unwrap()).collect();
        assert_eq!(attempt(&throttle, 1, "alice").map(drop), Ok(()));
        for attempt in under_way {
            attempt.failed();
        }
        assert_eq!(fail(&throttle, 1, "alice"), Err(30), "two more than there were");
    }

    #[tokio::test(start_paused = true)]
    async fn passwords_that_wait_cost_nothing_and_get_no_more_checks_than_one_after_the_other() {
        let throttle = throttle();
        let mut waiting: Vec<_> =
            (0..80).map(|number| try_password(&throttle, 1, &format!("user-{number}"), number).unwrap()).collect();
        let rest = waiting.split_off(40);
        for verdict in waiting {
            drop(begin(verdict).expect("those before it were right"));
        }
        let checked = rest.into_iter().filter_map(|verdict| begin(verdict).map(Attempt::failed).ok()).count();
        assert_eq!(checked, 5, "wrong ones, as many as the address has failures");
    }

    #[tokio::test(start_paused = true)]
    async fn a_wrong_password_that_is_sent_again_is_not_checked_and_costs_its_user_no_other_check() {
        let throttle = throttle();
        begin(try_password(&throttle, 1, "alice", 1).unwrap()).unwrap().failed();
        for _ in 0..3 {
            assert!(matches!(try_password(&throttle, 1, "alice", 1), Ok(Verdict::KnownWrong)));
        }
        for _ in 0..1000 {
            assert_eq!(try_password(&throttle, 1, "alice", 1).map(|_| ()), Err(10));
        }
        assert_eq!([fail(&throttle, 1, "alice"), fail(&throttle, 1, "alice")], [Ok(()), Ok(())]);
        assert_eq!(fail(&throttle, 1, "alice"), Err(10));
    }

    #[tokio::test(start_paused = true)]
    async fn another_address_is_not_told_which_passwords_were_tried() {
        let throttle = throttle();
        begin(try_password(&throttle, 1, "alice", 1).unwrap()).unwrap().failed();
        assert!(matches!(try_password(&throttle, 2, "alice", 1), Ok(Verdict::Wait(_))));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        /// Whatever a client does, and whenever: no more than its free failures and one an interval.
        #[test]
        fn no_pattern_of_tries_gets_more_checks_than_the_allowance(
            failures in 1..5_u32,
            steps in proptest::collection::vec((0..4_000_u64, 0..3_usize, any::<bool>()), 1..120),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
            runtime.block_on(async {
                let generous = limit(10_000, SECOND);
                let throttle = Throttle::new(limit(failures, 2 * SECOND), generous, 1024);
                let mut failed = [0_u64; 3];
                let mut elapsed = Duration::ZERO;
                for (pause, who, right) in steps {
                    let pause = Duration::from_millis(pause);
                    advance(pause).await;
                    elapsed += pause;
                    match attempt(&throttle, 1, ["a", "b", "c"][who]) {
                        Ok(attempt) if right => drop(attempt),
                        Ok(attempt) => {
                            attempt.failed();
                            failed[who] += 1;
                        }
                        Err(wait) => assert!(wait <= 2, "one budget never owes more than an interval"),
                    }
                    assert!(failed[who] <= u64::from(failures) + elapsed.as_secs() / 2);
                }
            });
        }
    }
}
