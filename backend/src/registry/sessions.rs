//! What this process knows of upload sessions beside their objects: who writes to one here, and the last bytes of those
//! that rest, which need not be read back then.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use uuid::Uuid;

use crate::objects::Version;
use crate::store::lock::held;

/// Bytes of tails that are kept, at most: of one session, and of all.
const LARGEST_TAIL: usize = 16 << 20;
const ALL_TAILS: usize = 16 << 20;

#[derive(Clone, Default)]
pub(super) struct Sessions(Arc<Mutex<Table>>);

#[derive(Default)]
struct Table {
    taken: HashSet<Uuid>,
    resting: HashMap<Uuid, Resting>,
    bytes: usize,
    rested: u64,
}

struct Resting {
    version: Version,
    tail: Bytes,
    /// Counts up: the lowest has rested longest.
    since: u64,
}

impl Table {
    fn forget(&mut self, id: Uuid) -> Option<Resting> {
        let resting = self.resting.remove(&id)?;
        self.bytes -= resting.tail.len();
        Some(resting)
    }
}

impl Sessions {
    /// Takes a session until the lease is dropped; `None` when it is taken.
    pub(super) fn take(&self, id: Uuid) -> Option<Lease> {
        self.table().taken.insert(id).then(|| Lease { sessions: self.clone(), id })
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        held(self.0.lock())
    }
}

/// A session that nobody else in this process can take.
pub(super) struct Lease {
    sessions: Sessions,
    id: Uuid,
}

impl Lease {
    pub(super) fn id(&self) -> Uuid {
        self.id
    }

    /// The tail of the session in this state, if it is known.
    pub(super) fn tail(&self, version: &Version) -> Option<Bytes> {
        let resting = self.sessions.table().forget(self.id)?;
        (resting.version == *version).then_some(resting.tail)
    }

    /// Keeps the tail of the session in this state for whoever takes it next.
    pub(super) fn rest(&self, version: &Version, tail: Bytes) {
        if tail.len() > LARGEST_TAIL {
            return;
        }
        let mut table = self.sessions.table();
        table.forget(self.id);
        while table.bytes + tail.len() > ALL_TAILS {
            let oldest = table.resting.iter().min_by_key(|(_, resting)| resting.since).map(|(id, _)| *id);
            let Some(oldest) = oldest else { break };
            table.forget(oldest);
        }
        table.rested += 1;
        table.bytes += tail.len();
        let resting = Resting { version: version.clone(), tail, since: table.rested };
        table.resting.insert(self.id, resting);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.sessions.table().taken.remove(&self.id);
    }
}
