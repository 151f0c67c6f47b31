//! A part of a session's tail.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Bytes of a session that are in no part, in an object of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Piece {
    /// Another one each time: two writers may be at it who do not know of each other, and the bytes are those of the one
    /// whose session it becomes.
    pub(super) name: Uuid,
    pub(super) size: u64,
}
