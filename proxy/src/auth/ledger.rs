//! A time for each of many keys, in a fixed amount of memory.
//!
//! Strangers choose the keys, and as many as they like, so nothing grows with them. A key has a set of
//! a few places, chosen by a hash that nobody outside can predict. Where all of them are taken, the
//! earliest time is forgotten. Where the times are those at which debts are paid, keys that were only
//! just invented push each other out, and not the one that has failed for long.

use std::time::Duration;

/// Places of a set.
const WAYS: usize = 8;

/// The times, since an epoch of the caller's.
#[derive(Debug)]
pub(super) struct Ledger(Box<[[Entry; WAYS]]>);

#[derive(Debug, Clone, Copy, Default)]
struct Entry {
    key: u64,
    time: Duration,
}

impl Ledger {
    /// Room for at least this many keys; never more than twice as many, nor for more than the first set.
    pub(super) fn with_room_for(keys: usize) -> Self {
        let sets = keys.div_ceil(WAYS).next_power_of_two();
        Self(vec![[Entry::default(); WAYS]; sets].into_boxed_slice())
    }

    /// The time of this key; zero where nothing is known of it.
    pub(super) fn time(&self, key: u64) -> Duration {
        let set = &self.0[self.set_of(key)];
        set.iter().find(|entry| entry.key == key).map_or(Duration::ZERO, |entry| entry.time)
    }

    /// Writes down the time of this key.
    pub(super) fn write(&mut self, key: u64, time: Duration) {
        let set = self.set_of(key);
        let set = &mut self.0[set];
        let known = set.iter().position(|entry| entry.key == key);
        let earliest = || (0..WAYS).min_by_key(|&place| set[place].time).unwrap_or_default();
        let place = known.unwrap_or_else(earliest);
        set[place] = Entry { key, time };
    }

    fn set_of(&self, key: u64) -> usize {
        // The count is a power of two, and the keys are evenly spread.
        usize::try_from(key & (self.0.len() as u64 - 1)).expect("it is below a length")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    #[test]
    fn keys_invented_without_end_neither_grow_it_nor_push_out_a_late_time() {
        let mut ledger = Ledger::with_room_for(64);
        let (room, late) = (ledger.0.len() * WAYS, Duration::from_secs(100));
        ledger.write(7, late);
        for key in 1_000..1_000_000 {
            ledger.write(key, Duration::from_secs(1));
        }
        assert_eq!(ledger.0.len() * WAYS, room);
        assert_eq!(ledger.time(7), late);
    }

    #[test]
    fn the_newest_key_always_finds_a_place() {
        let mut ledger = Ledger::with_room_for(1);
        for key in 1..100 {
            ledger.write(key, Duration::from_secs(1000 - key));
            assert_eq!(ledger.time(key), Duration::from_secs(1000 - key));
        }
    }

    proptest! {
        #[test]
        fn what_it_knows_of_a_key_is_the_last_that_was_written(
            writes in proptest::collection::vec((1..40_u64, 1..1000_u64), 0..200),
        ) {
            let mut ledger = Ledger::with_room_for(8);
            let mut last = HashMap::new();
            for (key, time) in writes {
                let time = Duration::from_secs(time);
                ledger.write(key, time);
                last.insert(key, time);
                for (key, time) in &last {
                    let known = ledger.time(*key);
                    prop_assert!(known == *time || known.is_zero(), "{key}: {known:?} instead of {time:?}");
                }
            }
        }
    }
}
