//! Looking at what the collector has published: one object, which it changes by swaps, and of which those who write take
//! off what they rely on.
//!
//! Whoever has written or read a link looks at it afterwards: what it names as condemned is taken off it, and what is being
//! deleted is waited for. As long as the list is the one that was known before, no DELETE was on its way to what was written
//! or read meanwhile; otherwise that is done again.

use std::sync::Arc;
use std::time::Duration;

use super::keys;
use super::node::Node;
use super::published::{Collection, LastLook};
use crate::objects::{ObjectsError, Read, Result, Version};

/// How long it is waited for a deletion that is under way, and how long from one look to the next.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(200);

/// Which state of the list somebody knew, before what is done under it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sight {
    /// Of the list, where there is one.
    version: Option<Version>,
    run: u64,
}

impl Sight {
    fn of(last: Option<&LastLook>) -> Self {
        Self { version: last.map(|last| last.version.clone()), run: last.map_or(0, |last| last.collection.run) }
    }

    /// Whether no run of the collector has begun between the two.
    pub(super) fn is_of_one_run(&self, other: &Self) -> bool {
        self.run == other.run
    }
}

impl Node {
    /// What is known of the list without asking, if it was ever asked for.
    pub(super) async fn sight(&self) -> Result<Sight> {
        let last = self.last_look.lock().await.clone();
        let last = match last {
            Some(last) => last,
            None => self.collection().await?,
        };
        Ok(Sight::of(last.as_ref()))
    }

    /// Whether the collector takes none of these, of which links were written or read under this sight. Otherwise, once it
    /// does not, that is to be done again: a DELETE that was on its way has taken one of them, perhaps.
    pub(super) async fn look(&self, sight: &Sight, keys: &[String]) -> Result<bool> {
        let began = tokio::time::Instant::now();
        loop {
            let now = self.collection().await?;
            let is_same = Sight::of(now.as_ref()) == *sight;
            let Some(LastLook { version, collection }) = now else { return Ok(is_same) };
            if keys.iter().any(|key| collection.deleting.contains(key)) {
                if began.elapsed() > PATIENCE {
                    let message =
                        "what is pushed is just being deleted as unreferenced; push it again in half a minute";
                    return Err(ObjectsError::Unavailable(message.to_owned()));
                }
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            if !keys.iter().any(|key| collection.condemned.contains(key)) {
                return Ok(is_same);
            }
            let mut lifted = Collection::clone(&collection);
            lifted.condemned.retain(|key| !keys.contains(key));
            self.swap_collection(Some(&version), lifted).await?;
        }
    }

    /// What is known of the list once it was asked for.
    pub(super) async fn sight_now(&self) -> Result<Sight> {
        Ok(Sight::of(self.collection().await?.as_ref()))
    }

    /// The collector's object as it is now.
    pub(super) async fn collection(&self) -> Result<Option<LastLook>> {
        let mut last = self.last_look.lock().await;
        let read = match &*last {
            Some(Some(known)) => self.objects.get_unless(keys::COLLECTION, &known.version).await?,
            _ => self.objects.get(keys::COLLECTION).await?.map_or(Read::Absent, Read::Changed),
        };
        match read {
            Read::Absent => *last = Some(None),
            Read::Unchanged => {}
            Read::Changed(object) => {
                let read = LastLook::of(object)?;
                self.shorten_grace(Duration::from_millis(read.collection.grace));
                *last = Some(Some(read));
            }
        }
        Ok(last.clone().flatten())
    }

    /// Writes the collector's object, if it is as it was read. `None` when it is not. Nobody here reads it again then, which
    /// may be long.
    pub(super) async fn swap_collection(
        &self,
        known: Option<&Version>,
        new: Collection,
    ) -> Result<Option<Arc<Collection>>> {
        let bytes = serde_json::to_vec(&new).expect("texts and numbers are written as JSON").into();
        let written = match known {
            Some(known) => self.objects.swap(keys::COLLECTION, known, bytes).await?,
            None => self.objects.create(keys::COLLECTION, bytes).await?,
        };
        let Some(version) = written else { return Ok(None) };
        let collection = Arc::new(new);
        *self.last_look.lock().await = Some(Some(LastLook { version, collection: Arc::clone(&collection) }));
        Ok(Some(collection))
    }
}
