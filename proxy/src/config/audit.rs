//! `[audit]`: who did, or was refused, what.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `[audit]`
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Audit {
    /// A file for one JSON object a line, of what was done and what was refused, by whom and why (docs/log.md).
    /// logrotate may move or truncate it. Empty: none.
    #[serde(with = "lockgate_settings::path::if_any")]
    #[schemars(schema_with = "lockgate_settings::path::schema")]
    pub file: Option<PathBuf>,
    /// What happens to a request of somebody known when there is no room for its line, as on a full disk. "refuse": it gets
    /// 503. "wait": it waits, and reaches the registry once there is. "drop": it goes on, and the lines that are missing are
    /// counted.
    pub on_full: OnFull,
    /// Which reads are told. "acts": of an image, its manifest, and blobs that are read without one. "blobs": every blob.
    pub level: AuditLevel,
}

/// What happens to a request when its line cannot be written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum OnFull {
    /// It is refused.
    #[default]
    Refuse,
    /// It waits.
    Wait,
    /// It goes on without a line.
    Drop,
}

/// Which reads are told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum AuditLevel {
    /// A line an act: of a pull, its manifest.
    #[default]
    Acts,
    /// Every blob, too.
    Blobs,
}
