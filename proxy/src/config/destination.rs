//! `[upstream]` or `[storage]`: where permitted requests go.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

pub use lockgate_backend::config::Storage;

use super::Upstream;

/// One of the two; where nothing is written, an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// The registry behind the gate.
    Upstream(Upstream),
    /// The registry within this process, over a directory.
    Storage(Storage),
}

impl Default for Destination {
    fn default() -> Self {
        Self::Upstream(Upstream::default())
    }
}

/// The second of the two sections, which no value can be: so the mistake is told with the section's line.
#[derive(Debug)]
pub(super) enum Second {}

impl<'de> Deserialize<'de> for Second {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(D::Error::custom(
            "there are both [upstream] and [storage]: keep [upstream] for a registry behind the gate, or [storage] for \
             the one within",
        ))
    }
}
