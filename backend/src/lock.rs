//! Locks whose holder has panicked.

use std::sync::{LockResult, PoisonError};

/// The guard of a lock, whoever held it before.
///
/// No holder leaves what a lock guards half changed where it could panic, so that a request which panics takes
/// down itself, and not every other one that needs the lock.
pub(crate) fn held<G>(lock: LockResult<G>) -> G {
    lock.unwrap_or_else(PoisonError::into_inner)
}
