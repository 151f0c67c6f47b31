//! What all pulls together may read ahead (`upstream.read_ahead`).

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes that one pull reads at a time, once it has a [`Share`].
pub(super) const LARGE_READ: usize = 1024 * 1024;

/// The memory, in shares of [`LARGE_READ`].
#[derive(Debug, Clone)]
pub(super) struct Memory(Arc<Semaphore>);

/// A buffer of [`LARGE_READ`] bytes may be there as long as this is.
#[derive(Debug)]
pub(super) struct Share {
    _permit: OwnedSemaphorePermit,
}

impl Memory {
    /// As many shares as fit into `bytes`; `None` where not one does.
    pub(super) fn of(bytes: u64) -> Option<Self> {
        let shares = usize::try_from(bytes).unwrap_or(usize::MAX) / LARGE_READ;
        (shares > 0).then(|| Self(Arc::new(Semaphore::new(shares.min(Semaphore::MAX_PERMITS)))))
    }

    /// A share, unless all are taken.
    pub(super) fn share(&self) -> Option<Share> {
        let permit = self.0.clone().try_acquire_owned().ok()?;
        Some(Share { _permit: permit })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_as_many_shares_as_fit_and_one_that_is_given_back_is_free() {
        let memory = Memory::of(2 * LARGE_READ as u64 + 5).expect("two fit");
        let (first, second) = (memory.share(), memory.share());
        assert!(first.is_some() && second.is_some());
        assert!(memory.share().is_none());
        drop(first);
        assert!(memory.share().is_some());
    }

    #[test]
    fn less_than_one_share_is_none() {
        assert!(Memory::of(LARGE_READ as u64 - 1).is_none());
        assert!(Memory::of(u64::MAX).is_some());
    }
}
