//! Where the bytes of uploads are written and hashed.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::available_parallelism;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Where buffers are written and hashed: so many at once, over all uploads of a store.
#[derive(Clone)]
pub(super) struct Desks {
    free: Arc<Semaphore>,
    /// Empty ones.
    buffers: Arc<Mutex<Vec<Vec<u8>>>>,
    processors: usize,
}

/// One of them, taken until it is dropped.
pub(super) struct Desk {
    buffers: Arc<Mutex<Vec<Vec<u8>>>>,
    _taken: OwnedSemaphorePermit,
}

impl Desks {
    /// Twice as many as there are processors: a disk may keep some waiting.
    pub(super) fn new() -> Self {
        let processors = available_parallelism().map_or(1, usize::from);
        Self { free: Arc::new(Semaphore::new(2 * processors)), buffers: Arc::default(), processors }
    }

    /// How many may work for one upload: one hashes while another writes, where there is a processor for each.
    pub(super) fn workers_of_one(&self) -> usize {
        self.processors.min(2)
    }

    /// Waits for a free one.
    pub(super) async fn take(&self) -> Desk {
        let taken = Arc::clone(&self.free).acquire_owned().await.expect("the semaphore is never closed");
        Desk { buffers: Arc::clone(&self.buffers), _taken: taken }
    }
}

impl Desk {
    /// An empty buffer in exchange for the full one that [`Desk::put_back`] gets.
    pub(super) fn buffer(&self) -> Vec<u8> {
        self.buffers.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    /// Leaves the desk, and the buffer that was written.
    pub(super) fn put_back(self, mut buffer: Vec<u8>) {
        buffer.clear();
        self.buffers.lock().unwrap_or_else(PoisonError::into_inner).push(buffer);
    }
}
