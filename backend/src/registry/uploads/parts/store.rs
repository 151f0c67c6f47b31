//! What is shared by all upload sessions of a bucket, as one process writes to them.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Semaphore;

use super::room::Room;
use super::state::Session;
use crate::objects::{BucketObjects, Version};
use crate::registry::node::Node;
use crate::store::sessions::{self, Sessions};

/// Bytes of sessions that rest, and of their tails, which are kept at most so that they need not be read back.
const ALL_KNOWN: usize = 16 << 20;

/// A session as this process has written it last. Another one may have gone on with it since.
#[derive(Clone)]
pub(super) struct Known {
    pub(super) session: Session,
    pub(super) version: Version,
    /// The bytes of its pieces.
    pub(super) tail: Bytes,
}

pub(super) type Lease = sessions::Lease<Known>;

/// How the tails of sessions are kept.
#[derive(Debug, Clone, Copy)]
pub(in crate::registry) struct Tails {
    /// The longest that stands in the session itself, in bytes.
    pub(in crate::registry) max_rest: usize,
    /// How many pieces one has, at most.
    pub(in crate::registry) max_pieces: usize,
}

impl Default for Tails {
    fn default() -> Self {
        Self { max_rest: 64 * 1024, max_pieces: 32 }
    }
}

/// The upload sessions of a bucket, as one process writes to them.
pub(in crate::registry) struct PartStore {
    pub(super) rules: Arc<Node>,
    pub(super) objects: Arc<dyn BucketObjects>,
    /// How many bytes a part of a blob has.
    pub(super) part_size: u64,
    pub(super) tails: Tails,
    /// How many parts may be on their way at once, of all uploads.
    pub(super) parts_in_flight: Arc<Semaphore>,
    /// For what they have at hand: those parts, and one more.
    pub(super) room: Arc<Room>,
    pub(super) sessions: Sessions<Known>,
}

impl PartStore {
    pub(in crate::registry) fn new(
        rules: Arc<Node>,
        objects: Arc<dyn BucketObjects>,
        part_size: u64,
        parts_in_flight: usize,
        tails: Tails,
    ) -> Self {
        let size = usize::try_from(part_size).expect("a part fits into memory") * (parts_in_flight + 1);
        let room = Arc::new(Room::new(Arc::clone(&objects), size));
        let (parts_in_flight, sessions) = (Arc::new(Semaphore::new(parts_in_flight)), Sessions::new(ALL_KNOWN));
        Self { rules, objects, part_size, tails, parts_in_flight, room, sessions }
    }
}
