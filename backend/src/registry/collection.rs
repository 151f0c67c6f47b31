//! What the collector of unreferenced objects has published, as far as those must heed it who write.
//!
//! Whoever has written a link looks at the list afterwards: what it names as condemned is taken off it, and what is being
//! deleted is waited for, since a DELETE that is on its way would take what is written now.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::keys;
use super::node::Node;
use crate::objects::{Object, ObjectsError, Read, Result};

/// How long it is waited for a deletion that is under way, and how long from one look to the next.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(200);

/// The collector's object, of which only this is read here.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
struct Collection {
    /// Keys that were found unreferenced, and may be deleted by the next run.
    #[serde(default)]
    condemned: BTreeSet<String>,
    /// Keys that are being deleted.
    #[serde(default)]
    deleting: BTreeSet<String>,
    /// What the collector has in it beside.
    #[serde(flatten)]
    other: serde_json::Map<String, serde_json::Value>,
}

impl Node {
    /// Makes sure that the collector takes none of these, of which a link was just written.
    pub(super) async fn look(&self, keys: &[String]) -> Result<()> {
        let began = tokio::time::Instant::now();
        loop {
            let Some(object) = self.read_collection().await? else { return Ok(()) };
            let mut collection: Collection = serde_json::from_slice(&object.bytes).map_err(|error| {
                ObjectsError::Refused(format!("{} cannot be read ({error}): see what wrote it", keys::COLLECTION))
            })?;
            if keys.iter().any(|key| collection.deleting.contains(key)) {
                if began.elapsed() > PATIENCE {
                    let message =
                        "what is pushed is just being deleted as unreferenced; push it again in half a minute";
                    return Err(ObjectsError::Unavailable(message.to_owned()));
                }
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            let before = collection.condemned.len();
            collection.condemned.retain(|key| !keys.contains(key));
            if collection.condemned.len() == before {
                return Ok(());
            }
            let lifted = serde_json::to_vec(&collection).expect("a list of strings is written as JSON");
            if self.objects.swap(keys::COLLECTION, &object.stat.version, lifted.into()).await?.is_some() {
                return Ok(());
            }
        }
    }

    async fn read_collection(&self) -> Result<Option<Object>> {
        let mut last = self.last_look.lock().await;
        let read = match &*last {
            Some(known) => self.objects.get_unless(keys::COLLECTION, &known.stat.version).await?,
            None => self.objects.get(keys::COLLECTION).await?.map_or(Read::Absent, Read::Changed),
        };
        match read {
            Read::Absent => *last = None,
            Read::Unchanged => {}
            Read::Changed(object) => *last = Some(object),
        }
        Ok(last.clone())
    }
}
