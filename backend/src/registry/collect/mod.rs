//! Removing what nobody needs, while everybody goes on.
//!
//! A run looks at everything once ([`survey`]), and publishes what nobody needs ([`collection`](super::collection)). Only
//! the next run removes it, if it was not needed then either, and if nobody who relied on it has taken it off the list.
//! So no reader and no writer waits, but for one who writes the very thing that is being removed at the moment.
//!
//! ```text
//! mod           a run: whose turn it is, what is removed, what is published
//!   survey        what nobody needs; it only reads
//!     ruled         what of a repository a rule takes
//!       retention     which tags a rule keeps
//!       pulls         when manifests were pulled last
//!     compact       digests by the million
//!     pace          how much of the time it takes
//! ```

mod compact;
mod pace;
mod pulls;
mod retention;
mod ruled;
mod seen;
mod survey;

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::FutureExt as _;
use tokio::time::Instant;
use uuid::Uuid;

use self::pace::Pace;
use self::pulls::Pulls;
pub(super) use self::pulls::write as write_pulls;
use self::seen::{Found, Terms};
use self::survey::Survey;
use super::node::{Node, all};
use super::published::{Collection, LastLook};
use super::removal::delete_tag_of;
use super::{keys, trash};
use crate::objects::{ObjectsError, REMOVAL, ReadOnly, Version};
use crate::store::{Candidate, Cause, Collected, Damage, Item, Plan, Result, Terms as Rules};

/// Keys that are removed under one entry of the list.
const BATCH: usize = 1000;

/// A run may always remove so many objects, whatever its share of all is: a small registry has few.
const FLOOR: u64 = 1000;

/// After so long no DELETE of a run comes any more: it sends them for [`REMOVAL`] after it has seen that it is its turn, and
/// each is good for as long again.
const SILENCE: Duration = Duration::from_secs(2 * REMOVAL.as_secs());

/// From one look at what another run removes to the next.
const PAUSE: Duration = Duration::from_secs(1);

/// How often a removal that failed is tried again.
const TRIES: usize = 3;

/// Tells what a collection would remove, and changes nothing.
pub(super) async fn plan(node: &Node, rules: &Rules) -> Result<Plan> {
    if let Err(error) = write_pulls(node).await {
        // What is read alone can still be planned for.
        tracing::warn!(%error, "it cannot be written which manifests were pulled lately: the plan does not know of them");
    }
    let now = node.now().await?;
    let pulls = Pulls::known(node, now).await?;
    let Found { tags, manifests, candidates, usage, counts, .. } = survey(node, rules, now, pulls).await?;
    Ok(Plan { candidates: tags.into_iter().chain(manifests).chain(candidates).collect(), usage, counts })
}

async fn survey(node: &Node, rules: &Rules, now: SystemTime, pulls: Pulls) -> Result<Found> {
    let ages = node.ages();
    // Stores other than files have whole seconds.
    let margin = if node.objects.alone().is_some() { Duration::ZERO } else { Duration::from_secs(1) };
    let last = node.collection().await?;
    let untagged = last.map(|last| last.collection.untagged.clone()).unwrap_or_default();
    let retention = rules.retention.clone();
    let terms = Terms { now, margin, grace: ages.grace, trash: ages.trash, retention, untagged, pulls };
    Survey::new(ReadOnly::new(&node.objects), terms, Pace::new(rules.rate)).run().await
}

/// Removes the tags that no rule keeps, and what the run before has published and nobody needs; and publishes what nobody
/// needs now. Of all three only what is among `only`, where that is given.
pub(super) async fn run(node: &Node, rules: &Rules, only: Option<&HashSet<Item>>) -> Result<Collected> {
    let run = Run::begin(node).await?;
    trash::empty(node, node.ages().trash).await?;
    let pulls = Pulls::merge(node, run.now).await?;
    let Found { mut tags, manifests, candidates, counts, untagged, .. } = survey(node, rules, run.now, pulls).await?;
    let mut candidates: Vec<Candidate> = manifests.into_iter().chain(candidates).collect();
    if let Some(only) = only {
        tags.retain(|candidate| only.contains(&candidate.item));
        candidates.retain(|candidate| only.contains(&candidate.item));
    }
    let most = FLOOR.max((counts.blobs as f64 * rules.max_delete) as u64);
    let mut collected = Collected { counts, ..Collected::default() };
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    collected.tags = run.remove_tags(&tags[..tags.len().min(most)]).await?;
    let removed = run.remove(&candidates, most, &mut collected).await?;
    let condemned = candidates.iter().map(|candidate| key(&candidate.item)).filter(|key| !removed.contains(key));
    let condemned: BTreeSet<String> = condemned.collect();
    collected.condemned = condemned.len() as u64;
    let change = |collection: &mut Collection| {
        (collection.condemned, collection.untagged) = (condemned.clone(), untagged.clone());
        collection.untagged.retain(|key, _| !removed.contains(key));
    };
    run.change(change).await?;
    Ok(collected)
}

/// Ends what a collector has left that died while it removed something: until then nobody can write that.
pub(super) async fn clean_up(node: &Node) -> Result<()> {
    // One that removes in this process has not died, and would lose its turn.
    let Ok(_alone) = node.removing.try_write() else { return Ok(()) };
    if node.collection().await?.is_some_and(|last| !last.collection.deleting.is_empty()) {
        Run::begin(node).await?;
    }
    Ok(())
}

/// Takes damaged bytes out of the way, as what is being deleted, so that nobody writes them meanwhile. False when they are
/// others by now.
pub(super) async fn set_aside(node: &Node, damage: &Damage) -> Result<bool> {
    let _removing = node.removing.read().await;
    let (run, key) = (Run::begin(node).await?, keys::blob(&damage.digest));
    run.change(|collection| {
        collection.condemned.remove(&key);
        collection.deleting = BTreeSet::from([key.clone()]);
    })
    .await?;
    let is_same = node.objects.stat(&key).await?.is_some_and(|stat| stat.version == damage.version);
    if is_same {
        node.objects.keep_aside(&key, &keys::damaged(&damage.digest)).await?;
        run.remove_all(std::slice::from_ref(&key)).await?;
    }
    run.change(|collection| collection.deleting.clear()).await?;
    Ok(is_same)
}

fn key(item: &Item) -> String {
    match item {
        Item::Tag(repository, tag, _) => keys::tag(repository, tag.as_str()),
        Item::Manifest(repository, digest) => keys::revision(repository, digest),
        Item::Link(repository, digest) => keys::layer(repository, digest),
        Item::Blob(digest) => keys::blob(digest),
    }
}

/// The collector's turn, until another takes it.
struct Run<'a> {
    node: &'a Node,
    nonce: Uuid,
    /// When it began, by the store's clock.
    now: SystemTime,
}

impl<'a> Run<'a> {
    async fn begin(node: &'a Node) -> Result<Self> {
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
    async fn list(&self) -> Result<LastLook> {
        let last = self.node.collection().await?.filter(|last| last.collection.nonce == self.nonce);
        let message = "another collection has begun meanwhile, and goes on in place of this one";
        Ok(last.ok_or_else(|| ObjectsError::Unavailable(message.to_owned()))?)
    }

    /// Changes the list, as long as it is this run's turn. What it is then.
    async fn change(&self, change: impl Fn(&mut Collection)) -> Result<Arc<Collection>> {
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

    /// Removes tags that are still what was judged. Returns how many were.
    async fn remove_tags(&self, tags: &[Candidate]) -> Result<u64> {
        let mut removed = 0;
        for batch in tags.chunks(BATCH) {
            // Whoever has the turn now judges by rules that are newer.
            self.list().await?;
            for Candidate { item, why, .. } in batch {
                let Item::Tag(repository, tag, digest) = item else { continue };
                let cause = Cause { by: None, why: Some(why.clone()) };
                let _alone = self.node.lock(repository).write().await;
                // Whoever has pushed it again meanwhile has not been judged, though it is the same image.
                let stat = self.node.objects.stat(&keys::tag(repository, tag.as_str())).await?;
                if stat.is_none_or(|stat| stat.modified > self.now) {
                    continue;
                }
                if delete_tag_of(self.node, repository, tag, digest, &cause).await? {
                    tracing::info!(%repository, %tag, %digest, why, "removed a tag");
                    removed += 1;
                }
            }
        }
        Ok(removed)
    }

    /// Removes those of the candidates that the run before has published, `most` at most. Returns their keys.
    async fn remove(
        &self,
        candidates: &[Candidate],
        most: usize,
        collected: &mut Collected,
    ) -> Result<HashSet<String>> {
        let (mut removed, _removing) = (HashSet::new(), self.node.removing.read().await);
        for batch in candidates.chunks(BATCH) {
            let keys: Vec<(String, u64)> =
                batch.iter().map(|candidate| (key(&candidate.item), candidate.bytes)).collect();
            let left = most.saturating_sub(removed.len());
            // Whoever relied on one of them since has taken it off the list.
            let listed = self
                .change(|collection| {
                    let listed = keys.iter().map(|(key, _)| key).filter(|key| collection.condemned.contains(*key));
                    collection.deleting = listed.take(left).cloned().collect();
                    collection.condemned.retain(|key| !collection.deleting.contains(key));
                })
                .await?;
            let listed: Vec<(String, u64)> =
                keys.into_iter().filter(|(key, _)| listed.deleting.contains(key)).collect();
            if listed.is_empty() {
                continue;
            }
            let keys: Vec<String> = listed.iter().map(|(key, _)| key.clone()).collect();
            self.remove_all(&keys).await?;
            self.change(|collection| collection.deleting.clear()).await?;
            collected.removed += listed.len() as u64;
            collected.freed += listed.iter().map(|(_, bytes)| bytes).sum::<u64>();
            removed.extend(keys);
        }
        Ok(removed)
    }

    /// Removes objects that stand on the list. What cannot be removed stays on it, for whoever has the next turn.
    async fn remove_all(&self, keys: &[String]) -> Result<()> {
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

#[cfg(test)]
mod tests;
