//! Manifests and their tags.

use bytes::Bytes;
use futures_util::{FutureExt as _, TryStreamExt as _};
use lockgate_oci::{Digest, Reference, RepositoryName, Tag};

use super::deletion::{self, Deletion, PAUSE, is_under_way};
use super::keys;
use super::links::{dying, is_dying, target};
use super::node::{BATCH, Node, all};
use crate::hasher::digest_of;
use crate::objects::Object;
use crate::store::{NewManifest, Precondition, Requirement, Result, StoreError, StoredManifest};

/// What a revision's link is marked with that has a note of each of its tags. Distribution's own writing drops it.
const NOTED: &str = "1";

/// A manifest by its digest or by a tag.
pub(super) async fn read(
    node: &Node,
    repository: &RepositoryName,
    reference: &Reference,
) -> Result<Option<StoredManifest>> {
    let digest = match reference {
        Reference::Digest(digest) => digest.clone(),
        Reference::Tag(tag) => match current(node, repository, tag).await? {
            Some(digest) => digest,
            None => return Ok(None),
        },
    };
    let Some(content) = node.manifest_bytes(repository, &digest).await? else { return Ok(None) };
    if digest_of(digest.algorithm(), &content) != digest {
        return Err(StoreError::Corrupt(format!("{} has another digest than its name", keys::blob(&digest))));
    }
    Ok(Some(StoredManifest { digest, content }))
}

/// Keeps a manifest and points its tags at it.
pub(super) async fn put(node: &Node, repository: &RepositoryName, manifest: &NewManifest) -> Result<()> {
    let NewManifest { digest, content, tags, subject, requires, precondition } = manifest;
    let held = requires.iter().map(|requirement| holds(node, repository, requirement).boxed());
    let held = all(held.collect()).await?;
    let missing = requires.iter().zip(held).filter(|(_, is_held)| !is_held);
    let missing: Vec<_> = missing.map(|(requirement, _)| requirement.digest().clone()).collect();
    if !missing.is_empty() {
        return Err(StoreError::Missing(missing));
    }
    if let Some((Reference::Digest(named), precondition)) = precondition {
        let is_there = node.holds_manifest(repository, named).await?;
        check(precondition, is_there.then_some(named))?;
    }
    if let Some((Reference::Tag(tag), precondition)) = precondition {
        // Nothing is written for whoever comes too late. Who wins is decided where the tag is written.
        let now = Current::read(node, repository, tag).await?;
        check(precondition, now.live(node, repository).await?.as_ref())?;
    }
    for turn in 0.. {
        let is_new = keep(node, repository, digest, content).await?;
        if let Some(subject) = subject {
            node.write_link(&node.layout.referrer(repository, subject, digest), digest, None).await?;
        }
        for tag in tags {
            let condition = match precondition {
                Some((Reference::Tag(named), condition)) if named == tag => condition,
                _ => &Precondition::default(),
            };
            point(node, repository, tag, digest, condition, (turn > 0, !is_new)).await?;
        }
        if node.objects.alone().is_some() {
            break;
        }
        // Somebody may be deleting the manifest beside, or have deleted it, who does not know of the tags. Whoever begins
        // after this look finds them.
        let was_deleting = deletion::has_waited(node, &keys::deleting(repository, digest)).await?;
        if !was_deleting && node.objects.stat(&keys::revision(repository, digest)).await?.is_some() {
            break;
        }
    }
    Ok(())
}

/// Writes a manifest's link and its bytes. Whether it was not in the repository before.
async fn keep(node: &Node, repository: &RepositoryName, digest: &Digest, content: &Bytes) -> Result<bool> {
    let (revision, data) = (keys::revision(repository, digest), keys::blob(digest));
    let (before, ()) = futures_util::try_join!(node.objects.stat(&revision), node.names.add_repository(repository))?;
    // One that another program has written once may have tags that nobody has noted.
    let mark = before.as_ref().is_none_or(|stat| stat.mark.as_deref() == Some(NOTED)).then_some(NOTED);
    // Where nobody comes between, no link is there without its bytes, not even after a crash.
    let is_alone = node.objects.alone().is_some();
    if is_alone {
        node.objects.put(&data, content.clone(), None).await?;
    }
    node.write_link(&revision, digest, mark).await?;
    node.look(&[revision, data.clone()]).await?;
    if !is_alone {
        node.objects.put(&data, content.clone(), None).await?;
    }
    Ok(before.is_none())
}

fn check(precondition: &Precondition, current: Option<&Digest>) -> Result<()> {
    if precondition.holds(current) { Ok(()) } else { Err(StoreError::PreconditionFailed) }
}

async fn holds(node: &Node, repository: &RepositoryName, requirement: &Requirement) -> Result<bool> {
    let digest = requirement.digest();
    let is_manifest = matches!(requirement, Requirement::Manifest(_));
    Ok(is_manifest && node.holds_manifest(repository, digest).await? || node.rely(repository, digest).await?.is_some())
}

/// What a tag is, at one moment.
struct Current {
    /// Its link.
    link: Option<Object>,
    digest: Option<Digest>,
}

impl Current {
    async fn read(node: &Node, repository: &RepositoryName, tag: &Tag) -> Result<Self> {
        let key = keys::tag(repository, tag.as_str());
        let link = node.objects.get(&key).await?;
        let digest = link.as_ref().and_then(|link| target(&key, link));
        Ok(Self { link, digest })
    }

    fn is_dying(&self) -> bool {
        self.digest.as_ref().is_some_and(is_dying)
    }

    /// Whether somebody may yet remove it.
    fn is_dying_still(&self) -> bool {
        self.is_dying() && self.link.as_ref().is_some_and(is_under_way)
    }

    /// The manifest that is found by it.
    async fn live(&self, node: &Node, repository: &RepositoryName) -> Result<Option<Digest>> {
        match &self.digest {
            Some(digest) if !self.is_dying() && node.holds_manifest(repository, digest).await? => {
                Ok(Some(digest.clone()))
            }
            _ => Ok(None),
        }
    }
}

/// What a tag says that is not being deleted.
pub(super) async fn current(node: &Node, repository: &RepositoryName, tag: &Tag) -> Result<Option<Digest>> {
    let current = Current::read(node, repository, tag).await?;
    Ok(if current.is_dying() { None } else { current.digest })
}

/// Points a tag at a manifest, if what it points at until then is as it should be; or points at it already, `again`. One
/// that does, and whose manifest was there before, `is_noted`.
async fn point(
    node: &Node,
    repository: &RepositoryName,
    tag: &Tag,
    digest: &Digest,
    condition: &Precondition,
    (again, is_noted): (bool, bool),
) -> Result<()> {
    let key = keys::tag(repository, tag.as_str());
    let note = node.layout.noted_tag(repository, digest, tag);
    loop {
        let now = Current::read(node, repository, tag).await?;
        if now.is_dying_still() {
            tokio::time::sleep(PAUSE).await;
            continue;
        }
        let is_free = again || *condition == Precondition::default();
        let is_there = is_free && now.digest.as_ref() == Some(digest);
        if is_there && is_noted && !again {
            return Ok(());
        }
        if !is_there && *condition != Precondition::default() {
            check(condition, now.live(node, repository).await?.as_ref())?;
        }
        // Before the tag: none is live that is not listed, or that its manifest does not know of.
        futures_util::try_join!(node.names.add_tag(repository, tag), node.objects.put(&note, Bytes::new(), None))?;
        if is_there {
            return Ok(());
        }
        if let Some(index) = node.layout.indexed_tag(repository, digest, tag) {
            node.write_link(&index, digest, None).await?;
        }
        let link = Bytes::copy_from_slice(digest.as_str().as_bytes());
        let written = match &now.link {
            Some(link_now) => node.objects.swap(&key, &link_now.stat.version, link).await?,
            None => node.objects.create(&key, link).await?,
        };
        if written.is_some() {
            return Ok(());
        }
    }
}

/// Removes a tag. False when there was none.
pub(super) async fn delete_tag(
    node: &Node,
    repository: &RepositoryName,
    tag: &Tag,
    precondition: &Precondition,
) -> Result<bool> {
    loop {
        let now = Current::read(node, repository, tag).await?;
        match node.objects.alone() {
            // What is left of one is listed by distribution.
            Some(alone) if now.link.is_none() => return Ok(alone.remove_all(&keys::of_tag(repository, tag.as_str()))?),
            _ if now.link.is_none() || now.is_dying() => return Ok(false),
            _ => {}
        }
        if *precondition != Precondition::default() {
            check(precondition, now.live(node, repository).await?.as_ref())?;
        }
        if take_away(node, repository, tag, &now).await? {
            return Ok(true);
        }
    }
}

/// Removes a tag that is as it was read. False when it is not any more.
async fn take_away(node: &Node, repository: &RepositoryName, tag: &Tag, now: &Current) -> Result<bool> {
    let Some(link) = &now.link else { return Ok(false) };
    let note = now.digest.as_ref().map(|digest| node.layout.noted_tag(repository, digest, tag));
    if let Some(alone) = node.objects.alone() {
        let was_there = alone.remove_all(&keys::of_tag(repository, tag.as_str()))?;
        if let Some(note) = note {
            node.objects.remove(&note).await?;
        }
        return Ok(was_there);
    }
    let key = keys::tag(repository, tag.as_str());
    let (deletion, dying) = (Deletion::begin(node), Bytes::copy_from_slice(dying().as_str().as_bytes()));
    // No store removes an object only if it is unchanged: first nobody else finds it.
    if node.objects.swap(&key, &link.stat.version, dying).await?.is_none() {
        return Ok(false);
    }
    deletion.remove(node, &keys::name_of_tag(repository, tag.as_str())).await?;
    if let Some(note) = note {
        deletion.remove(node, &note).await?;
    }
    // Distribution lists a tag as long as there is anything of it.
    let mut index = node.objects.scan(&keys::tag_index(repository, tag.as_str()));
    while let Some(entry) = index.try_next().await? {
        deletion.remove(node, &entry.key).await?;
    }
    // Last of all: whoever sets the tag anew waits for this, and then writes what was removed before.
    deletion.remove(node, &key).await?;
    Ok(true)
}

/// Takes a manifest out of a repository, with the tags that point at it. False when it was not in it.
pub(super) async fn delete(
    node: &Node,
    repository: &RepositoryName,
    digest: &Digest,
    subject: Option<&Digest>,
) -> Result<bool> {
    let (revision, sign) = (keys::revision(repository, digest), keys::deleting(repository, digest));
    let Some(stat) = node.objects.stat(&revision).await? else { return Ok(false) };
    if stat.mark.as_deref() != Some(NOTED) || node.names.are_few(repository).await? {
        // Before anybody has to wait, as it may take long. Who sets a tag meanwhile notes it.
        take_any(node, repository, digest).await?;
    }
    let _alone = node.lock(repository).write().await;
    let deletion = match node.objects.alone() {
        Some(_) => Deletion::begin(node),
        None => deletion::announce(node, &sign).await?,
    };
    let was_there = node.objects.stat(&revision).await?.is_some();
    if was_there {
        // The tags first: at no moment does one point at a manifest that is gone.
        take_noted(node, repository, digest, &deletion).await?;
        if let Some(subject) = subject {
            deletion.remove(node, &node.layout.referrer(repository, subject, digest)).await?;
        }
        deletion.remove(node, &revision).await?;
    }
    if node.objects.alone().is_none() {
        // Last of all: whoever pushes it beside waits for this.
        deletion.remove(node, &sign).await?;
    }
    Ok(was_there)
}

/// Removes the tags that point at a manifest, where only looking at each tells which they are.
async fn take_any(node: &Node, repository: &RepositoryName, digest: &Digest) -> Result<()> {
    let mut tags = node.names.linked_tags(repository);
    while let Some(tag) = tags.try_next().await? {
        // One that cannot be read points at nothing.
        if current(node, repository, &tag).await.is_ok_and(|current| current.as_ref() == Some(digest)) {
            let _alone = node.lock(repository).write().await;
            take_if(node, repository, &tag, digest, &Deletion::begin(node)).await?;
        }
    }
    Ok(())
}

/// Removes the tags that a manifest has notes of.
async fn take_noted(node: &Node, repository: &RepositoryName, digest: &Digest, deletion: &Deletion) -> Result<()> {
    let notes = node.layout.tagged(repository, digest);
    let mut noted = node.objects.scan(&notes);
    while let Some(note) = noted.try_next().await? {
        // What is no tag's name, or not empty, is somebody else's.
        let Some(tag) = note.key[notes.len()..].parse::<Tag>().ok().filter(|_| note.size == 0) else { continue };
        take_if(node, repository, &tag, digest, deletion).await?;
        deletion.remove(node, &note.key).await?;
    }
    Ok(())
}

/// Removes a tag, if it points at this manifest, whose deletion it is.
async fn take_if(
    node: &Node,
    repository: &RepositoryName,
    tag: &Tag,
    digest: &Digest,
    deletion: &Deletion,
) -> Result<()> {
    loop {
        let now = Current::read(node, repository, tag).await?;
        deletion.goes_on()?;
        if now.digest.as_ref() != Some(digest) || take_away(node, repository, tag, &now).await? {
            return Ok(());
        }
    }
}

/// Of the manifests that were put with this subject, the first `limit` that sort after `after` and are there.
pub(super) async fn referrers(
    node: &Node,
    repository: &RepositoryName,
    subject: &Digest,
    after: &str,
    limit: usize,
) -> Result<Vec<Digest>> {
    let (mut found, mut after) = (Vec::new(), after.to_owned());
    while found.len() < limit {
        let digests = node.names.referrers(repository, subject, &after, BATCH.min(limit)).await?;
        let Some(last) = digests.last() else { break };
        last.as_str().clone_into(&mut after);
        // Distribution deletes manifests without knowing of referrers.
        let held = digests.iter().map(|digest| node.holds_manifest(repository, digest).boxed());
        let held = all(held.collect()).await?;
        found.extend(digests.into_iter().zip(held).filter(|(_, is_held)| *is_held).map(|(digest, _)| digest));
    }
    found.truncate(limit);
    Ok(found)
}

#[cfg(test)]
mod tests;
