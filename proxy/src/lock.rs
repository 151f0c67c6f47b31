//! How locks are taken after a panic.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks, also where another thread panicked with the lock held: a lock that stayed closed would make of one lost
/// request an outage. So what is behind a lock here is changed in single steps, each of which leaves it usable.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
