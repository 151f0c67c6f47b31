//! Whose turn it is to collect: one at a time, of all nodes. Whoever has it says what it removes before it does.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::FutureExt as _;
use tokio::time::Instant;
use uuid::Uuid;

use crate::objects::{ObjectsError, REMOVAL, Version};
use crate::registry::keys;
use crate::registry::node::{Node, all};
use crate::registry::published::{Collection, LastLook};
use crate::store::Result;

/// After so long no DELETE of a run comes any more: it sends them for [`REMOVAL`] after it has seen that it is its turn, and
/// each is good for as long again.
pub(super) const SILENCE: Duration = Duration::from_secs(2 * REMOVAL.as_secs());

/// From one look at what another run removes to the next.
const PAUSE: Duration = Duration::from_secs(1);

/// How often a removal that failed is tried again.
const TRIES: usize = 3;

/// The collector's turn, until another takes it.
pub(super) struct Run<'a> {
    pub(super) node: &'a Node,
    nonce: Uuid,
    /// When it began, by the store's clock.
    pub(super) now: SystemTime,
}

impl<'a> Run<'a> {
    pub(super) async fn begin(node: &'a Node) -> Result<Self> {
        let nonce = Uuid::new_v4();
        let collection = loop {
            let left = if node.objects.alone().is_none() { Self::let_others_end(node).await? } else { None };
            let last = node.collection().await?;
            let is_removing = last.as_ref().is_some_and(|last| !last.collection.deleting.is_empty());
            if is_removing && node.objects.alone().is_none() && last.as_ref().map(|last| &last.version) != left.as_ref()
            {
                continue;
            }
            let (known, before) = last.map(|last| (last.version, Collection::clone(&last.collection))).unzip();
            let mut collection = before.unwrap_or_default();
            (collection.run, collection.nonce) = (collection.run + 1, nonce);
            collection.grace = u64::try_from(node.ages().grace.as_millis()).unwrap_or(u64::MAX);
            if let Some(collection) = node.swap_collection(known.as_ref(), collection).await? {
                break collection;
            }
        };
        let mut run = Self { node, nonce, now: SystemTime::UNIX_EPOCH };
        if !collection.deleting.is_empty() {
            if node.objects.alone().is_none() {
                // Until no DELETE of whoever had the turn can come any more.
                tokio::time::sleep(SILENCE).await;
            }
            let leftover: Vec<String> = collection.deleting.iter().cloned().collect();
            run.remove_all(&leftover).await?;
            run.change(|collection| collection.deleting.clear()).await?;
        }
        let gone = || ObjectsError::Unavailable(format!("{} was written, and is not there", keys::COLLECTION));
        run.now = node.objects.stat(keys::COLLECTION).await?.ok_or_else(gone)?.modified;
        Ok(run)
    }

    /// Waits for who is removing something, until he has done it, or has said nothing for longer than whoever takes his
    /// place would: of several who wait, none takes the turn from another who does. What he has left then.
    async fn let_others_end(node: &Node) -> Result<Option<Version>> {
        let mut seen = None;
        while let Some(LastLook { version, .. }) =
            node.collection().await?.filter(|last| !last.collection.deleting.is_empty())
        {
            let since = match &seen {
                Some((known, since)) if *known == version => *since,
                _ => seen.insert((version.clone(), Instant::now())).1,
            };
            if since.elapsed() > 2 * SILENCE {
                return Ok(Some(version));
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(None)
    }

    /// The list, as long as it is this run's turn.
    pub(super) async fn list(&self) -> Result<LastLook> {
        let last = self.node.collection().await?.filter(|last| last.collection.nonce == self.nonce);
        let message = "another collection has begun meanwhile, and goes on in place of this one";
        Ok(last.ok_or_else(|| ObjectsError::Unavailable(message.to_owned()))?)
    }

    /// Changes the list, as long as it is this run's turn. What it is then.
    pub(super) async fn change(&self, change: impl Fn(&mut Collection)) -> Result<Arc<Collection>> {
        loop {
            let LastLook { version, collection } = self.list().await?;
            let mut changed = Collection::clone(&collection);
            change(&mut changed);
            if changed == *collection {
                return Ok(collection);
            }
            if let Some(changed) = self.node.swap_collection(Some(&version), changed).await? {
                return Ok(changed);
            }
        }
    }

    /// Removes objects that stand on the list. What cannot be removed stays on it, for whoever has the next turn.
    pub(super) async fn remove_all(&self, keys: &[String]) -> Result<()> {
        let mut left: Vec<&String> = keys.iter().collect();
        for tries in 0.. {
            // Whoever takes the turn waits until no DELETE can come that was sent before; none is sent later.
            self.list().await?;
            let began = Instant::now();
            let removals = left.iter().map(|key| self.remove_by(key, began + REMOVAL).boxed());
            let removed = all(removals.collect()).await?;
            left = left.into_iter().zip(removed).filter(|(_, is_removed)| !is_removed).map(|(key, _)| key).collect();
            if left.is_empty() {
                break;
            } else if tries == TRIES {
                let message = format!("{} cannot be removed, {} first of all", left.len(), left[0]);
                return Err(ObjectsError::Unavailable(message).into());
            }
            tokio::time::sleep(REMOVAL).await;
        }
        Ok(())
    }

    /// Removes an object. False when it is too late to begin, or nobody knows whether it is removed.
    async fn remove_by(&self, key: &str, deadline: Instant) -> Result<bool> {
        if Instant::now() > deadline {
            return Ok(false);
        }
        let removed = self.node.objects.remove(key).await;
        Ok(removed.inspect_err(|error| tracing::warn!(%error, "this cannot be collected, and is tried again")).is_ok())
    }
}
