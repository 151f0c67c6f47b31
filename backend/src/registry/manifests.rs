//! Manifests and their tags.

use bytes::Bytes;
use futures_util::FutureExt as _;
use lockgate_oci::{Digest, Reference, RepositoryName, Tag};

use super::deletion::{self, PAUSE, is_under_way};
use super::keys;
use super::links::{is_dying, target};
use super::node::{BATCH, Node, all};
use crate::hasher::digest_of;
use crate::objects::Object;
use crate::store::{NewManifest, Precondition, Requirement, Result, StoreError, StoredManifest};

/// What a revision's link is marked with that has a note of each of its tags. Distribution's own writing drops it.
pub(super) const NOTED: &str = "1";

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

pub(super) fn check(precondition: &Precondition, current: Option<&Digest>) -> Result<()> {
    if precondition.holds(current) { Ok(()) } else { Err(StoreError::PreconditionFailed) }
}

async fn holds(node: &Node, repository: &RepositoryName, requirement: &Requirement) -> Result<bool> {
    let digest = requirement.digest();
    let is_manifest = matches!(requirement, Requirement::Manifest(_));
    Ok(is_manifest && node.holds_manifest(repository, digest).await? || node.rely(repository, digest).await?.is_some())
}

/// What a tag is, at one moment.
#[derive(Default)]
pub(super) struct Current {
    /// Its link.
    pub(super) link: Option<Object>,
    pub(super) digest: Option<Digest>,
}

impl Current {
    pub(super) async fn read(node: &Node, repository: &RepositoryName, tag: &Tag) -> Result<Self> {
        let key = keys::tag(repository, tag.as_str());
        let link = node.objects.get(&key).await?;
        let digest = link.as_ref().and_then(|link| target(&key, link));
        Ok(Self { link, digest })
    }

    pub(super) fn is_dying(&self) -> bool {
        self.digest.as_ref().is_some_and(is_dying)
    }

    /// Whether somebody may yet remove it.
    fn is_dying_still(&self) -> bool {
        self.is_dying() && self.link.as_ref().is_some_and(is_under_way)
    }

    /// The manifest that is found by it.
    pub(super) async fn live(&self, node: &Node, repository: &RepositoryName) -> Result<Option<Digest>> {
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
