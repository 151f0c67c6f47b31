//! The order in which the buffers of an upload session are written and hashed.
//!
//! Full buffers are written in their order, and each is hashed when it has been written: so the hash is
//! never ahead of the file. Who hashes does not write, so that where there are two processors the next
//! buffer is written meanwhile. One worker alone hashes each buffer when it has just written it, and finds
//! it in its processor's cache.

use std::collections::VecDeque;
use std::io;

use super::buffer_pool::Slot;
use crate::hasher::Hasher;

/// A buffer to be written and hashed, and the slot that it takes for it.
pub(super) struct Full {
    pub(super) bytes: Vec<u8>,
    pub(super) slot: Slot,
}

/// The buffers of a session that are not yet in its file and its hash, and how far both are.
pub(super) struct Progress {
    unwritten: VecDeque<Full>,
    /// Whether a worker writes.
    writing: bool,
    /// Where the file ends, but for what is being written.
    written: u64,
    /// Written, in their order.
    unhashed: VecDeque<Full>,
    hash: Hash,
    workers: usize,
    /// Why a buffer was not written. None after it was, either.
    failure: Option<io::Error>,
}

enum Hash {
    /// That of the bytes before these is not known: it is computed at the end.
    Unknown,
    /// Of the first so many bytes.
    Of(Hasher, u64),
    /// A worker adds to it.
    Growing,
}

/// A worker's next step, with a buffer.
pub(super) enum Step {
    /// Write it at this offset; then [`Progress::written`].
    Write(Full, u64),
    /// Add it to the hash of so many bytes; then [`Progress::hashed`].
    Hash(Full, Hasher, u64),
}

impl Progress {
    /// Of a file of `written` bytes, and their hash, if it is known.
    pub(super) fn new(written: u64, hash: Option<Hasher>) -> Self {
        Self {
            unwritten: VecDeque::new(),
            writing: false,
            written,
            unhashed: VecDeque::new(),
            hash: hash.map_or(Hash::Unknown, |hasher| Hash::Of(hasher, written)),
            workers: 0,
            failure: None,
        }
    }

    /// Takes a buffer; whether another worker, one of at most so many, is to take steps until there is none.
    ///
    /// # Errors
    /// A buffer before it was not written.
    pub(super) fn enqueue(&mut self, full: Full, workers: usize) -> io::Result<bool> {
        self.check()?;
        self.unwritten.push_back(full);
        let needed = self.workers == 0 || !self.writing && self.workers < workers;
        self.workers += usize::from(needed);
        Ok(needed)
    }

    /// The step that a worker takes next. What has just been written comes first: it is still in the cache. Where
    /// there is nothing, it [leaves](Self::leave).
    pub(super) fn next(&mut self) -> Option<Step> {
        if let Hash::Of(..) = self.hash
            && let Some(full) = self.unhashed.pop_front()
            && let Hash::Of(hasher, hashed) = std::mem::replace(&mut self.hash, Hash::Growing)
        {
            return Some(Step::Hash(full, hasher, hashed));
        }
        if !self.writing
            && let Some(full) = self.unwritten.pop_front()
        {
            self.writing = true;
            return Some(Step::Write(full, self.written));
        }
        None
    }

    /// A buffer was written, or not.
    pub(super) fn written(&mut self, full: Full, outcome: io::Result<()>) {
        self.writing = false;
        match outcome {
            Ok(()) => {
                self.written += full.bytes.len() as u64;
                match self.hash {
                    Hash::Unknown => full.slot.put_back(full.bytes),
                    Hash::Of(..) | Hash::Growing => self.unhashed.push_back(full),
                }
            }
            Err(error) => {
                self.failure = Some(error);
                self.unwritten.clear();
            }
        }
    }

    /// A buffer was added to the hash, which is that of so many bytes by now.
    pub(super) fn hashed(&mut self, hasher: Hasher, bytes: u64) {
        self.hash = Hash::Of(hasher, bytes);
    }

    /// A worker ends.
    pub(super) fn leave(&mut self) {
        self.workers -= 1;
    }

    /// How many bytes are in the file, when all workers have ended.
    ///
    /// # Errors
    /// A buffer was not written, or a worker has not ended.
    pub(super) fn settled(&self) -> io::Result<u64> {
        self.check()?;
        if self.workers > 0 {
            return Err(io::Error::other("writing to the upload session was broken off"));
        }
        Ok(self.written)
    }

    /// Takes the hash, and how many bytes it is of, if it is that of all bytes in the file.
    pub(super) fn take_hash(&mut self) -> Option<(Hasher, u64)> {
        match std::mem::replace(&mut self.hash, Hash::Unknown) {
            Hash::Of(hasher, hashed) if hashed == self.written => Some((hasher, hashed)),
            _ => None,
        }
    }

    fn check(&self) -> io::Result<()> {
        let again = |error: &io::Error| io::Error::new(error.kind(), error.to_string());
        self.failure.as_ref().map_or(Ok(()), |error| Err(again(error)))
    }
}
