//! `[[quota]]`: how much repositories may have.

use lockgate_settings::ByteSize;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::repositories::Repositories;

/// A bound for several repositories together. One that several blocks name is bound by each.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Quota {
    /// For which repositories: patterns, in which * is anything between two slashes and ** one segment or more.
    pub repositories: Repositories,
    /// How much all of them together may have: every blob and manifest counts once for each repository that has it, and as
    /// long as it can be restored. A push that does not fit is refused with both numbers. Pushes at the same time may go
    /// beyond it together; with several nodes, so may what was pushed at the others in the last ten seconds.
    pub bytes: ByteSize,
}

impl Quota {
    /// What can be written, for a file that shows it.
    pub fn examples() -> Vec<Self> {
        vec![Self { repositories: Repositories::example(), bytes: ByteSize::from_bytes(50 << 30) }]
    }
}
