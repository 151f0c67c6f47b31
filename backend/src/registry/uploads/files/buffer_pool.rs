//! The buffers in which the bytes of uploads are written and hashed.

use std::sync::{Arc, Mutex};
use std::thread::available_parallelism;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::lock::held;

/// Bytes in a buffer: long enough that handing it over costs little beside hashing it, and short enough
/// that it is still in the processor's cache when it is hashed after it was written.
pub(super) const BUFFER: usize = 128 * 1024;

/// Bounds how many buffers are written and hashed at once, over all uploads of a store.
#[derive(Clone)]
pub(super) struct BufferPool {
    free: Arc<Semaphore>,
    empty: Arc<Mutex<Vec<Vec<u8>>>>,
    processors: usize,
}

/// The leave to have one buffer written and hashed, until it is dropped.
pub(super) struct Slot {
    empty: Arc<Mutex<Vec<Vec<u8>>>>,
    _taken: OwnedSemaphorePermit,
}

impl BufferPool {
    /// Twice as many slots as there are processors: a disk may keep some waiting.
    pub(super) fn new() -> Self {
        let processors = available_parallelism().map_or(1, usize::from);
        Self { free: Arc::new(Semaphore::new(2 * processors)), empty: Arc::default(), processors }
    }

    /// How many may work for one upload: one hashes while another writes, where there is a processor for each.
    pub(super) fn workers_of_one(&self) -> usize {
        self.processors.min(2)
    }

    /// Waits for a free one.
    pub(super) async fn take(&self) -> Slot {
        let taken = Arc::clone(&self.free).acquire_owned().await.expect("the semaphore is never closed");
        Slot { empty: Arc::clone(&self.empty), _taken: taken }
    }
}

impl Slot {
    /// An empty buffer in exchange for the full one that [`Slot::put_back`] gets.
    pub(super) fn buffer(&self) -> Vec<u8> {
        held(self.empty.lock()).pop().unwrap_or_default()
    }

    /// Gives the slot back, and the buffer that was written.
    pub(super) fn put_back(self, mut buffer: Vec<u8>) {
        buffer.clear();
        held(self.empty.lock()).push(buffer);
    }
}
