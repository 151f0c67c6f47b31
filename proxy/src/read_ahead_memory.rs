//! What all connections together may read ahead.
//!
//! Whatever a read brings, it costs a call of the system, an acknowledgement and often a wake of the other
//! side. Who moves a layer is therefore read from in pieces that are much larger than pingora's 64 KiB, as
//! long as the memory for it lasts (`limits.read_ahead`); without it a transfer goes on in small pieces.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes that one transfer reads at a time, once it has a [`Share`].
pub(crate) const LARGE_READ: usize = 1024 * 1024;

/// The memory, in shares of [`LARGE_READ`].
#[derive(Debug, Clone)]
pub(crate) struct ReadAheadMemory(Option<Arc<Semaphore>>);

/// A buffer of [`LARGE_READ`] bytes may be there as long as this is.
#[derive(Debug)]
pub(crate) struct Share {
    _permit: OwnedSemaphorePermit,
}

impl ReadAheadMemory {
    /// As many shares as fit into `bytes`.
    pub(crate) fn of(bytes: u64) -> Self {
        let shares = usize::try_from(bytes).unwrap_or(usize::MAX) / LARGE_READ;
        Self((shares > 0).then(|| Arc::new(Semaphore::new(shares.min(Semaphore::MAX_PERMITS)))))
    }

    /// Whether there is none, not even when nobody uses it.
    pub(crate) fn is_none(&self) -> bool {
        self.0.is_none()
    }

    /// A share, unless all are taken.
    pub(crate) fn share(&self) -> Option<Share> {
        self.0.clone()?.try_acquire_owned().ok().map(|permit| Share { _permit: permit })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_as_many_shares_as_fit_and_one_that_is_given_back_is_free() {
        let memory = ReadAheadMemory::of(2 * LARGE_READ as u64 + 5);
        let (first, second) = (memory.share(), memory.share());
        assert!(first.is_some() && second.is_some());
        assert!(memory.share().is_none());
        drop(first);
        assert!(memory.share().is_some());
    }

    #[test]
    fn less_than_one_share_is_none() {
        let memory = ReadAheadMemory::of(LARGE_READ as u64 - 1);
        assert!(memory.is_none() && memory.share().is_none());
        assert!(!ReadAheadMemory::of(u64::MAX).is_none());
    }
}
