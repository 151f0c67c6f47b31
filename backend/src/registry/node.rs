//! What the rules share within one process, which is a node among others.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use lockgate_oci::RepositoryName;
use tokio::sync::{Mutex as AsyncMutex, RwLock, Semaphore};

use crate::objects::{Object, Objects, Version};
use crate::store::lock::held;
use crate::store::sessions::{self, Sessions};

/// Requests to the objects that one request makes at once.
const AT_ONCE: usize = 16;

/// Names that are listed at a time.
pub(super) const BATCH: usize = 1000;

/// Locks for repositories: one is chosen by the hash of a name.
const LOCKS: usize = 64;

/// Repositories of which it is remembered that they are named.
const NAMED: usize = 4096;

/// Asks several things at once, and gives the answers in the order of the questions.
pub(super) async fn all<T, E>(questions: Vec<BoxFuture<'_, Result<T, E>>>) -> Result<Vec<T>, E> {
    stream::iter(questions).buffered(AT_ONCE).try_collect().await
}

/// Bytes of tails of sessions that rest, which are kept at most so that they need not be read back.
const ALL_TAILS: usize = 16 << 20;

/// The tail of a session in a state of it.
pub(super) type Tail = (Version, Bytes);

pub(super) type Lease = sessions::Lease<Tail>;

/// How the tails of sessions are kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tails {
    /// The longest that stands in the session itself, in bytes.
    pub(super) max_rest: usize,
    /// How many pieces one has, at most.
    pub(super) max_pieces: usize,
}

impl Default for Tails {
    fn default() -> Self {
        Self { max_rest: 64 * 1024, max_pieces: 32 }
    }
}

/// One process over the objects.
pub(super) struct Node {
    pub(super) objects: Arc<dyn Objects>,
    /// Where clients are sent for blobs, if they are.
    pub(super) redirects: Option<Arc<dyn Objects>>,
    /// Whether what is read is read for somebody who relies on it from here on. Who copies it elsewhere does not.
    pub(super) is_relied_on: bool,
    /// How many bytes a part of a blob has.
    pub(super) part_size: u64,
    pub(super) tails: Tails,
    /// How many parts may be on their way at once, of all uploads.
    pub(super) parts_in_flight: Arc<Semaphore>,
    pub(super) sessions: Sessions<Tail>,
    /// What was read last of the collector's list.
    pub(super) last_look: AsyncMutex<Option<Object>>,
    locks: [RwLock<()>; LOCKS],
    named: Mutex<HashSet<RepositoryName>>,
    names_complete: AtomicBool,
}

impl Node {
    pub(super) fn new(objects: Arc<dyn Objects>, part_size: u64, parts_in_flight: usize) -> Self {
        Self {
            objects,
            redirects: None,
            is_relied_on: true,
            part_size,
            tails: Tails::default(),
            parts_in_flight: Arc::new(Semaphore::new(parts_in_flight)),
            sessions: Sessions::new(ALL_TAILS),
            last_look: AsyncMutex::default(),
            locks: std::array::from_fn(|_| RwLock::new(())),
            named: Mutex::default(),
            names_complete: AtomicBool::default(),
        }
    }

    /// Shared by those who add links, held alone by those who remove some: within this process, what is accepted has an
    /// order that everybody sees. Between processes each key has one.
    pub(super) fn lock(&self, repository: &RepositoryName) -> &RwLock<()> {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(repository.as_str());
        &self.locks[(hash % LOCKS as u64) as usize]
    }

    /// Whether it is known that a repository is listed.
    pub(super) fn is_named(&self, repository: &RepositoryName) -> bool {
        held(self.named.lock()).contains(repository)
    }

    pub(super) fn note_named(&self, repository: &RepositoryName) {
        let mut named = held(self.named.lock());
        if named.len() >= NAMED {
            named.clear();
        }
        named.insert(repository.clone());
    }

    /// Whether it is known that everything is listed.
    pub(super) fn knows_names_complete(&self) -> bool {
        self.names_complete.load(Ordering::Relaxed)
    }

    pub(super) fn note_names_complete(&self) {
        self.names_complete.store(true, Ordering::Relaxed);
    }
}
