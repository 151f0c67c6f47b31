//! The memory in which layers are read in large pieces (`upstream.read_ahead`).

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What hyper reads of a layer at once, at most. It begins with 8 KiB and doubles while reads are full.
pub(super) const LARGE_READ: usize = 512 * 1024;

/// What a pull takes of the memory: two buffers, one that is filled and one that is sent.
const SLOT: usize = 2 * LARGE_READ;

/// Slots for pulls. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct ReadAheadBudget(Arc<Semaphore>);

/// A pull may read in large pieces as long as it has this.
#[derive(Debug)]
pub(super) struct Slot {
    _permit: OwnedSemaphorePermit,
}

impl ReadAheadBudget {
    /// As many slots as fit into `bytes`.
    pub(super) fn new(bytes: u64) -> Self {
        let slots = usize::try_from(bytes).unwrap_or(usize::MAX) / SLOT;
        Self(Arc::new(Semaphore::new(slots.min(Semaphore::MAX_PERMITS))))
    }

    /// A slot, unless all are taken.
    pub(super) fn slot(&self) -> Option<Slot> {
        let permit = self.0.clone().try_acquire_owned().ok()?;
        Some(Slot { _permit: permit })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_as_many_slots_as_fit_and_one_that_is_given_back_is_free() {
        let budget = ReadAheadBudget::new(2 * SLOT as u64 + 5);
        let (first, second) = (budget.slot(), budget.slot());
        assert!(first.is_some() && second.is_some() && budget.slot().is_none());
        drop(first);
        assert!(budget.slot().is_some());
    }

    #[test]
    fn less_than_one_slot_is_none() {
        assert!(ReadAheadBudget::new(SLOT as u64 - 1).slot().is_none());
        assert!(ReadAheadBudget::new(u64::MAX).slot().is_some());
    }
}
