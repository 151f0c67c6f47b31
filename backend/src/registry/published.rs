//! What the collector of unreferenced objects has published.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::keys;
use crate::objects::{Object, ObjectsError, Result, Version};

/// The collector's object.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub(super) struct Collection {
    /// How many runs have begun.
    pub(super) run: u64,
    /// Of the run that has it: another stops.
    pub(super) nonce: Uuid,
    /// For how long the collector spares what somebody relied on, in milliseconds: a node of another mind learns of it.
    pub(super) grace: u64,
    /// Keys that were found unreferenced, and may be deleted by the next run.
    pub(super) condemned: BTreeSet<String>,
    /// Keys that are being deleted. Nobody writes them.
    pub(super) deleting: BTreeSet<String>,
    /// Since when no tag leads to these manifests, in seconds since 1970, by their link's key.
    pub(super) untagged: BTreeMap<String, u64>,
}

/// What was read last.
#[derive(Clone)]
pub(super) struct LastLook {
    pub(super) version: Version,
    pub(super) collection: Arc<Collection>,
}

impl LastLook {
    pub(super) fn of(object: Object) -> Result<Self> {
        let collection = serde_json::from_slice(&object.bytes).map_err(|error| {
            ObjectsError::Refused(format!("{} cannot be read ({error}): see what wrote it", keys::COLLECTION))
        })?;
        Ok(Self { version: object.stat.version, collection: Arc::new(collection) })
    }
}
