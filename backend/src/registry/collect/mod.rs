//! Removing what nobody needs, while everybody goes on.
//!
//! A run looks at everything once ([`survey`]), and publishes what nobody needs ([`collection`](super::collection)). Only
//! the next run removes it, if it was not needed then either, and if nobody who relied on it has taken it off the list.
//! So no reader and no writer waits, but for one who writes the very thing that is being removed at the moment.
//!
//! ```text
//! mod           a run: what is removed, what is published
//!   turn          whose turn it is
//!   survey        what nobody needs; it only reads
//!     ruled         what of a repository a rule takes
//!       retention     which tags a rule keeps
//!       pulls         when manifests were pulled last
//!     explain       why one thing stays
//!     kept          who keeps what
//!     compact       digests by the million
//!     pace          how much of the time it takes
//! ```

mod compact;
mod explain;
mod kept;
mod pace;
mod pulls;
mod retention;
mod ruled;
mod seen;
mod survey;
mod turn;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ops::RangeInclusive;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use self::explain::Asked;
use self::pace::Pace;
use self::pulls::Pulls;
pub(super) use self::pulls::write as write_pulls;
use self::seen::{Found, Terms};
use self::survey::Survey;
use self::turn::Run;
use super::node::Node;
use super::published::Collection;
use super::removal::delete_tag_of;
use super::usage::Counting;
use super::{keys, trash};
use crate::objects::ReadOnly;
use crate::store::{Candidate, Cause, CollectOptions, Collected, Damage, Explained, Item, Plan, Result, Thing};

/// Keys that are removed under one entry of the list: at first, and at most.
const BATCH: RangeInclusive<usize> = 64..=1000;

/// How long a batch may take. Who writes one of its keys waits meanwhile.
const BRIEF: Duration = Duration::from_secs(1);

/// A run may always remove so many objects, whatever its share of all is: a small registry has few.
const FLOOR: u64 = 1000;

/// A tag's name is written before the tag: so long before, at most, that nobody takes it for that of none.
const YOUNG: Duration = Duration::from_secs(60 * 60);

/// Tells what a collection would remove, and changes nothing.
pub(super) async fn plan(node: &Node, options: &CollectOptions) -> Result<Plan> {
    let (Found { tags, manifests, candidates, usage, counts, .. }, _) =
        foresee(node, options, Asked::default()).await?;
    Ok(Plan { candidates: tags.into_iter().chain(manifests).chain(candidates).collect(), usage, counts })
}

/// Tells why something would stay, or go.
pub(super) async fn explain(node: &Node, options: &CollectOptions, thing: Thing) -> Result<Explained> {
    let (found, asked) = foresee(node, options, Asked::about(thing)).await?;
    Ok(asked.answer(&found))
}

async fn foresee(node: &Node, options: &CollectOptions, asked: Asked) -> Result<(Found, Asked)> {
    if let Err(error) = write_pulls(node).await {
        // What is read alone can still be planned for.
        tracing::warn!(%error, "it cannot be written which manifests were pulled lately: the plan does not know of them");
    }
    let now = node.now().await?;
    let pulls = Pulls::known(node, now).await?;
    survey(node, options, (now, now), pulls, asked).await
}

/// Counts how much each repository takes, and removes nothing.
pub(super) async fn count(node: &Node, options: &CollectOptions, counting: Counting) -> Result<()> {
    let pulls = Pulls::known(node, counting.began).await?;
    let (found, _) = survey(node, options, (counting.began, counting.began), pulls, Asked::default()).await?;
    Ok(counting.end(node, found.usage, found.counts).await?)
}

async fn survey(
    node: &Node,
    options: &CollectOptions,
    (now, counted): (SystemTime, SystemTime),
    pulls: Pulls,
    asked: Asked,
) -> Result<(Found, Asked)> {
    let ages = node.ages();
    // Stores other than files have whole seconds.
    let margin = if node.objects.alone().is_some() { Duration::ZERO } else { Duration::from_secs(1) };
    let last = node.collection().await?;
    let untagged = last.map(|last| last.collection.untagged.clone()).unwrap_or_default();
    let retention = options.retention.clone();
    let terms = Terms { now, counted, margin, grace: ages.grace, trash: ages.trash, retention, untagged, pulls };
    Survey::new(ReadOnly::new(&node.objects), terms, Pace::new(options.rate), asked).run().await
}

/// Removes the tags that no rule keeps, and what the run before has published and nobody needs; and publishes what nobody
/// needs now. Of all three only what is among `only`, where that is given.
pub(super) async fn run(node: &Node, options: &CollectOptions, only: Option<&HashSet<Item>>) -> Result<Collected> {
    // What another has left may take long to remove.
    let removing = node.removing.read().await;
    let run = Run::begin(node).await?;
    drop(removing);
    trash::empty(node, node.ages().trash).await?;
    let (pulls, counting) = (Pulls::merge(node, run.now).await?, Counting::begin(node).await?);
    let (found, _) = survey(node, options, (run.now, counting.began), pulls, Asked::default()).await?;
    let Found { mut tags, manifests, candidates, usage, counts, mut untagged } = found;
    counting.end(node, usage, counts).await?;
    let mut candidates: Vec<Candidate> = manifests.into_iter().chain(candidates).collect();
    if let Some(only) = only {
        tags.retain(|candidate| only.contains(&candidate.item));
        candidates.retain(|candidate| only.contains(&candidate.item));
    }
    let most = FLOOR.max((counts.blobs as f64 * options.max_delete) as u64);
    let mut collected = Collected { counts, ..Collected::default() };
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    collected.tags = run.remove_tags(&tags[..tags.len().min(most)]).await?;
    let condemned = run.remove(candidates, most, Pace::new(options.rate), &mut untagged, &mut collected).await?;
    collected.condemned = condemned.len() as u64;
    let change = |collection: &mut Collection| {
        (collection.condemned, collection.untagged) = (condemned.clone(), untagged.clone());
    };
    run.change(change).await?;
    // Distribution may have written here since the last run, which knows of no lists.
    node.names.mend(run.now - YOUNG).await?;
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

impl Run<'_> {
    /// Removes tags that are still what was judged. Returns how many were.
    async fn remove_tags(&self, tags: &[Candidate]) -> Result<u64> {
        let mut removed = 0;
        for batch in tags.chunks(*BATCH.end()) {
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

    /// Removes those of the candidates that the run before has published, `most` at most, and forgets since when they had
    /// no tag. Returns the keys of the others. Each candidate is dropped once it was judged: there may be millions.
    async fn remove(
        &self,
        candidates: Vec<Candidate>,
        most: usize,
        mut pace: Pace,
        untagged: &mut BTreeMap<String, u64>,
        collected: &mut Collected,
    ) -> Result<BTreeSet<String>> {
        let _removing = self.node.removing.read().await;
        let (mut candidates, mut kept, mut size) = (candidates.into_iter(), BTreeSet::new(), *BATCH.start());
        loop {
            pace.go_on().await;
            let batch = candidates.by_ref().take(size);
            let batch: Vec<(String, u64)> = batch.map(|candidate| (key(&candidate.item), candidate.bytes)).collect();
            if batch.is_empty() {
                return Ok(kept);
            }
            let left = most.saturating_sub(usize::try_from(collected.removed).unwrap_or(usize::MAX));
            // Whoever relied on one of them since has taken it off the list.
            let listed = self
                .change(|collection| {
                    let listed = batch.iter().map(|(key, _)| key).filter(|key| collection.condemned.contains(*key));
                    collection.deleting = listed.take(left).cloned().collect();
                    collection.condemned.retain(|key| !collection.deleting.contains(key));
                })
                .await?;
            let (listed, others): (Vec<_>, Vec<_>) =
                batch.into_iter().partition(|(key, _)| listed.deleting.contains(key));
            kept.extend(others.into_iter().map(|(key, _)| key));
            if listed.is_empty() {
                continue;
            }
            collected.freed += listed.iter().map(|(_, bytes)| bytes).sum::<u64>();
            let keys: Vec<String> = listed.into_iter().map(|(key, _)| key).collect();
            let began = Instant::now();
            self.remove_all(&keys).await?;
            self.change(|collection| collection.deleting.clear()).await?;
            // As many as go in that time on this disk, or in this bucket.
            size = if began.elapsed() < BRIEF / 2 {
                2 * size
            } else if began.elapsed() > BRIEF {
                size / 2
            } else {
                size
            };
            size = size.clamp(*BATCH.start(), *BATCH.end());
            collected.removed += keys.len() as u64;
            for key in &keys {
                untagged.remove(key);
            }
        }
    }
}

#[cfg(test)]
mod tests;
