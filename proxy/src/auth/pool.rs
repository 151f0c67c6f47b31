//! The threads that compute password hashes.
//!
//! They are threads of their own, so that neither the async threads nor the blocking pool of the
//! runtime wait for a hash; and they come after the async threads where both want a processor, so
//! that users whose password is known do not feel a flood of checks. Their queue has an end, and the
//! sources of checks take turns in it: what does not fit is refused at once. Checks of one source that
//! are the same are computed once, however many clients wait for the answer: docker opens several
//! connections at a time, all with the same password. Another source has a check of its own, which the
//! place of the first in the queue and its failures are nothing to. A check whose clients have all gone
//! before its turn is not computed.

use std::collections::HashMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;

use tokio::sync::watch;

use super::queue::FairQueue;
use crate::lock::lock;
use crate::metrics::METRICS;
use crate::network::Network;

/// How far the threads stand back, from 0 to 19. With 5 they get a quarter of a processor that others want
/// all of, and all of one that nobody else wants.
const NICENESS: i32 = 5;

/// Tells checks apart, by their source and what they are of: equal keys promise equal answers.
pub(super) type Key = (Network, [u8; 32]);

type Check<A> = Box<dyn FnOnce() -> A + Send>;

/// The queue is full, or the check broke off without an answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unanswered;

/// The threads and their queue. Dropped, it lets the threads end after what they are at.
pub(super) struct Pool<A>(Arc<Shared<A>>);

/// An answer to come.
pub(super) struct Flight<A>(watch::Receiver<Option<A>>);

struct Shared<A> {
    state: Mutex<State<A>>,
    /// Rung for a job in the queue, and for the end.
    bell: Condvar,
    #[cfg(test)]
    computed: std::sync::atomic::AtomicU64,
}

struct State<A> {
    queue: FairQueue<Network, (Key, Check<A>)>,
    /// The answer to come of each check that is queued or being computed.
    flights: HashMap<Key, watch::Sender<Option<A>>>,
    closed: bool,
}

impl<A: Clone + Send + Sync + 'static> Pool<A> {
    /// Starts `threads` threads over a queue of `capacity` checks.
    ///
    /// # Errors
    /// The system has no more threads.
    pub(super) fn start(threads: usize, capacity: usize) -> io::Result<Self> {
        let state = State { queue: FairQueue::new(capacity), flights: HashMap::new(), closed: false };
        let shared = Shared {
            state: Mutex::new(state),
            bell: Condvar::new(),
            #[cfg(test)]
            computed: 0.into(),
        };
        let pool = Self(Arc::new(shared));
        for number in 0..threads {
            let shared = Arc::clone(&pool.0);
            let thread = thread::Builder::new().name(format!("password-{number}"));
            thread.spawn(move || {
                stand_back();
                shared.work();
            })?;
        }
        Ok(pool)
    }

    /// The same check, if it is under way.
    pub(super) fn under_way(&self, key: &Key) -> Option<Flight<A>> {
        lock(&self.0.state).flights.get(key).map(|flight| Flight(flight.subscribe()))
    }

    /// Has `check` computed, unless the same is already under way.
    pub(super) fn begin(&self, key: Key, check: impl FnOnce() -> A + Send + 'static) -> Flight<A> {
        Flight(self.0.join(key, Box::new(check)))
    }

    /// How many checks were computed since the start.
    #[cfg(test)]
    pub(super) fn computed(&self) -> u64 {
        self.0.computed.load(std::sync::atomic::Ordering::Relaxed)
    }
}

impl<A: Clone> Flight<A> {
    /// Waits for it.
    ///
    /// # Errors
    /// There was no room for the check, or it broke off.
    pub(super) async fn answer(mut self) -> Result<A, Unanswered> {
        let landed = self.0.wait_for(Option::is_some).await.map(|answer| answer.clone());
        landed.ok().flatten().ok_or(Unanswered)
    }
}

/// Where the system does not allow it, hashing is as important as all else.
fn stand_back() {
    let ours = rustix::process::getpriority_process(None).unwrap_or_default();
    // On Linux this is about the calling thread alone.
    let _ = rustix::process::setpriority_process(None, (ours + NICENESS).min(19));
}

impl<A> Drop for Pool<A> {
    fn drop(&mut self) {
        lock(&self.0.state).closed = true;
        self.0.bell.notify_all();
    }
}

impl<A> Shared<A> {
    fn join(&self, key: Key, check: Check<A>) -> watch::Receiver<Option<A>> {
        let mut state = lock(&self.state);
        if let Some(flight) = state.flights.get(&key) {
            return flight.subscribe();
        }
        let (sender, receiver) = watch::channel(None);
        state.flights.insert(key, sender);
        METRICS.hashes_waiting.inc();
        let displaced = state.queue.push(key.0, (key, check));
        if let Some((key, _)) = &displaced {
            METRICS.hashes_waiting.dec();
            // Whoever waits for it finds out by this.
            state.flights.remove(key);
        }
        drop(state);
        self.bell.notify_one();
        receiver
    }

    fn work(&self) {
        while let Some((key, check)) = self.next() {
            // A panic must cost one answer, not the thread: its flight is dropped unanswered.
            let answer = catch_unwind(AssertUnwindSafe(check)).ok();
            METRICS.hash();
            #[cfg(test)]
            self.computed.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            if let Some(flight) = lock(&self.state).flights.remove(&key) {
                flight.send_replace(answer);
            }
        }
    }

    /// The next check that someone still waits for; `None` at the end.
    fn next(&self) -> Option<(Key, Check<A>)> {
        let mut state = lock(&self.state);
        loop {
            if state.closed {
                return None;
            }
            let next = state.queue.pop();
            METRICS.hashes_waiting.dec_by(i64::from(next.is_some()));
            match next {
                Some((key, check)) if state.flights.get(&key).is_some_and(|f| f.receiver_count() > 0) => {
                    return Some((key, check));
                }
                Some((key, _)) => drop(state.flights.remove(&key)),
                None => state = self.bell.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{IpAddr, Ipv4Addr};
    use std::pin::{Pin, pin};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;
    use std::task::{Context, Poll, Waker};

    fn key(number: u8) -> Key {
        (network(1), [number; 32])
    }

    fn network(last: u8) -> Network {
        IpAddr::from(Ipv4Addr::new(192, 0, 2, last)).into()
    }

    impl Pool<bool> {
        async fn answer(&self, key: Key, check: impl FnOnce() -> bool + Send + 'static) -> Result<bool, Unanswered> {
            self.begin(key, check).answer().await
        }
    }

    /// The answer that is there without waiting.
    fn at_once<T>(future: Pin<&mut impl Future<Output = T>>) -> Option<T> {
        match future.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(answer) => Some(answer),
            Poll::Pending => None,
        }
    }

    /// Queues the check, and does not wait.
    fn start<T>(future: Pin<&mut impl Future<Output = T>>) {
        assert!(at_once(future).is_none());
    }

    /// A check that says when it runs and goes on when told, which keeps one thread busy.
    fn held() -> (impl FnOnce() -> bool + Send, mpsc::Receiver<()>, mpsc::Sender<()>) {
        let (started, has_started) = mpsc::channel();
        let (release, released) = mpsc::channel();
        let check = move || started.send(()).is_ok() && released.recv().is_ok();
        (check, has_started, release)
    }

    #[tokio::test]
    async fn the_same_check_is_computed_once_for_all_who_wait() {
        let pool = Pool::start(2, 8).unwrap();
        let (check, has_started, release) = held();
        let mut leader = pin!(pool.answer(key(1), check));
        start(leader.as_mut());
        has_started.recv().unwrap();
        let never = || panic!("computed twice");
        let (mut second, mut third) = (pin!(pool.answer(key(1), never)), pin!(pool.answer(key(1), never)));
        start(second.as_mut());
        start(third.as_mut());
        release.send(()).unwrap();
        assert_eq!((leader.await, second.await, third.await), (Ok(true), Ok(true), Ok(true)));
        assert_eq!(pool.computed(), 1);
    }

    #[tokio::test]
    async fn a_client_that_goes_does_not_take_the_answer_from_the_others() {
        let pool = Pool::start(1, 8).unwrap();
        let (check, has_started, release) = held();
        let mut follower = pin!(pool.answer(key(1), || panic!("computed twice")));
        {
            let mut leader = pin!(pool.answer(key(1), check));
            start(leader.as_mut());
            start(follower.as_mut());
            has_started.recv().unwrap();
        }
        release.send(()).unwrap();
        assert_eq!(follower.await, Ok(true));
    }

    #[tokio::test]
    async fn a_full_queue_refuses_at_once_and_serves_again_when_it_has_room() {
        let pool = Pool::start(1, 1).unwrap();
        let (check, has_started, release) = held();
        let mut running = pin!(pool.answer(key(1), check));
        start(running.as_mut());
        has_started.recv().unwrap();
        let mut queued = pin!(pool.answer(key(2), || false));
        start(queued.as_mut());
        assert_eq!(at_once(pin!(pool.answer(key(3), || true))), Some(Err(Unanswered)));
        release.send(()).unwrap();
        assert_eq!((running.await, queued.await), (Ok(true), Ok(false)));
        assert_eq!(pool.answer(key(3), || true).await, Ok(true));
    }

    #[tokio::test]
    async fn a_network_that_filled_the_queue_makes_room_for_another_and_is_told_so() {
        let pool = Pool::start(1, 2).unwrap();
        let (check, has_started, release) = held();
        let running = pool.begin(key(1), check);
        has_started.recv().unwrap();
        let flood = [2, 3].map(|number| pool.begin(key(number), || false));
        let of_another = (network(2), [3; 32]);
        let other = pool.begin(of_another, || true);
        let [first, second] = flood;
        assert_eq!(at_once(pin!(second.answer())), Some(Err(Unanswered)));
        assert!(pool.under_way(&key(3)).is_none() && pool.under_way(&of_another).is_some());
        release.send(()).unwrap();
        assert_eq!(running.answer().await, Ok(true));
        assert_eq!((first.answer().await, other.answer().await), (Ok(false), Ok(true)));
    }

    #[tokio::test]
    async fn the_threads_stand_back_behind_all_others() {
        let pool = Pool::start(1, 8).unwrap();
        let niceness = || rustix::process::getpriority_process(None).unwrap();
        let ours = niceness();
        assert_eq!(pool.answer(key(1), move || niceness() == (ours + NICENESS).min(19)).await, Ok(true));
    }

    #[tokio::test]
    async fn a_check_that_nobody_waits_for_any_more_is_skipped() {
        let pool = Pool::start(1, 8).unwrap();
        let computed = Arc::new(AtomicUsize::new(0));
        let (check, has_started, release) = held();
        let mut running = pin!(pool.answer(key(1), check));
        start(running.as_mut());
        has_started.recv().unwrap();
        {
            let counter = Arc::clone(&computed);
            let mut abandoned = pin!(pool.answer(key(2), move || counter.fetch_add(1, Ordering::Relaxed) == 0));
            start(abandoned.as_mut());
        }
        release.send(()).unwrap();
        assert_eq!(running.await, Ok(true));
        assert_eq!(pool.answer(key(3), || true).await, Ok(true));
        assert_eq!(computed.load(Ordering::Relaxed), 0);
        assert_eq!(pool.answer(key(2), || true).await, Ok(true), "the key is free again");
    }

    #[tokio::test]
    async fn a_check_that_panics_costs_its_answer_and_not_the_thread() {
        let pool = Pool::start(1, 8).unwrap();
        assert_eq!(pool.answer(key(1), || panic!("on purpose")).await, Err(Unanswered));
        assert_eq!(pool.answer(key(1), || true).await, Ok(true));
    }

    #[test]
    fn the_threads_end_with_the_pool() {
        let pool = Pool::<bool>::start(2, 8).unwrap();
        let shared = Arc::downgrade(&pool.0);
        let (sender, ended) = mpsc::channel();
        drop(pool);
        thread::spawn(move || {
            while shared.strong_count() > 0 {
                thread::yield_now();
            }
            sender.send(())
        });
        ended.recv_timeout(std::time::Duration::from_secs(10)).unwrap();
    }
}
