//! A queue that one client cannot fill for the others.
//!
//! The sources take turns, one item at a time. Where the queue is full, room is made at the expense of
//! the source that has most in it: a client that sends little is neither refused nor kept waiting by
//! one that sends much.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// At most `capacity` items, of any number of sources.
#[derive(Debug)]
pub(super) struct FairQueue<S, T> {
    /// None of them is empty.
    lanes: HashMap<S, VecDeque<T>>,
    /// Each source that has a lane, once.
    turns: VecDeque<S>,
    length: usize,
    capacity: usize,
}

impl<S: Copy + Eq + Hash, T> FairQueue<S, T> {
    pub(super) fn new(capacity: usize) -> Self {
        Self { lanes: HashMap::new(), turns: VecDeque::new(), length: 0, capacity }
    }

    /// Puts an item behind the others of its source. Returns what there is no room for: the newest item
    /// of the source that has most, or the item itself.
    #[must_use]
    pub(super) fn push(&mut self, source: S, item: T) -> Option<T> {
        let mut displaced = None;
        if self.length >= self.capacity {
            let own = self.lanes.get(&source).map_or(0, VecDeque::len);
            let Some(longest) = self.longest_lane().filter(|lane| lane.len() > own + 1) else { return Some(item) };
            displaced = longest.pop_back();
            self.length -= 1;
        }
        let lane = self.lanes.entry(source).or_default();
        if lane.is_empty() {
            self.turns.push_back(source);
        }
        lane.push_back(item);
        self.length += 1;
        displaced
    }

    /// The oldest item of the source whose turn it is.
    pub(super) fn pop(&mut self) -> Option<T> {
        let source = self.turns.pop_front()?;
        let lane = self.lanes.get_mut(&source)?;
        let item = lane.pop_front();
        if lane.is_empty() {
            self.lanes.remove(&source);
        } else {
            self.turns.push_back(source);
        }
        self.length -= 1;
        item
    }

    fn longest_lane(&mut self) -> Option<&mut VecDeque<T>> {
        self.lanes.values_mut().max_by_key(|lane| lane.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_source_with_one_item_waits_for_one_item_of_another() {
        let mut queue = FairQueue::new(8);
        for number in 0..4 {
            assert_eq!(queue.push("flood", number), None);
        }
        assert_eq!(queue.push("alice", 10), None);
        assert_eq!([queue.pop(), queue.pop(), queue.pop()], [Some(0), Some(10), Some(1)]);
    }

    #[test]
    fn in_a_full_queue_the_newest_of_the_source_with_most_makes_room() {
        let mut queue = FairQueue::new(3);
        for number in 0..3 {
            assert_eq!(queue.push("flood", number), None);
        }
        assert_eq!(queue.push("flood", 3), Some(3), "not at the expense of others");
        assert_eq!(queue.push("alice", 10), Some(2));
        assert_eq!(queue.push("bob", 20), Some(1));
        assert_eq!(queue.push("carol", 30), Some(30), "everyone has one");
        let rest: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(rest, [0, 10, 20]);
    }

    proptest! {
        /// `None` pops, a source pushes; the items are numbered.
        #[test]
        fn nothing_is_lost_or_doubled_and_a_source_s_items_stay_in_order(
            capacity in 0..6_usize,
            steps in proptest::collection::vec(proptest::option::of(0..4_u8), 0..100),
        ) {
            let mut queue = FairQueue::new(capacity);
            let mut inside: Vec<(u8, usize)> = Vec::new();
            for (number, step) in steps.into_iter().enumerate() {
                if let Some(source) = step {
                    inside.push((source, number));
                    if let Some(displaced) = queue.push(source, (source, number)) {
                        inside.retain(|item| *item != displaced);
                    }
                } else if let Some(item) = queue.pop() {
                    let oldest = inside.iter().find(|other| other.0 == item.0);
                    prop_assert_eq!(oldest, Some(&item));
                    inside.retain(|other| *other != item);
                } else {
                    prop_assert!(inside.is_empty());
                }
                prop_assert!(inside.len() <= capacity && queue.length == inside.len());
                prop_assert_eq!(queue.turns.len(), queue.lanes.len());
            }
        }
    }
}
