//! Manifests and their tags.

use bytes::Bytes;
use futures_util::FutureExt as _;
use lockgate_oci::{Digest, Reference, RepositoryName, Tag};

use super::deletion::{self, PAUSE, is_under_way};
use super::keys;
use super::links::{is_dying, target};
use super::node::{BATCH, Node, all};
use super::trash::Record;
use crate::hasher::digest_of;
use crate::objects::Object;
use crate::store::{Deleted, Kind, NewManifest, Precondition, Requirement, Result, StoreError, StoredManifest};

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
    let NewManifest { digest, content, tags, subject, requires, precondition, by } = manifest;
    let (mut was_new, mut was_tagged) = (false, false);
    for turn in 0_u32.. {
        let sight = node.sight().await?;
        let mut keys = rely_on_all(node, repository, requires).await?;
        if turn == 0
            && let Some((named, precondition)) = precondition
        {
            // Nothing is written for whoever comes too late. Who wins is decided where the tag is written.
            let current = match named {
                Reference::Digest(digest) => node.holds_manifest(repository, digest).await?.then(|| digest.clone()),
                Reference::Tag(tag) => Current::read(node, repository, tag).await?.live(node, repository).await?,
            };
            check(precondition, current.as_ref())?;
        }
        // Before its link is there, on which an index may rely: what an index's manifests name it does not look at.
        let looks = async { if keys.is_empty() { Ok(true) } else { Ok(node.look(&sight, &keys).await?) } };
        let Some(is_new) = write_revision(node, repository, digest, content, looks).await? else { continue };
        was_new |= is_new;
        keys.extend([keys::revision(repository, digest), keys::blob(digest)]);
        if !node.look(&sight, &keys).await? {
            continue;
        }
        if node.objects.alone().is_none() {
            node.objects.put(&keys::blob(digest), content.clone(), None).await?;
        }
        if let Some(subject) = subject {
            node.write_link(&node.layout.referrer(repository, subject, digest), digest, None).await?;
        }
        for tag in tags {
            let condition = match precondition {
                Some((Reference::Tag(named), condition)) if named == tag => condition,
                _ => &Precondition::default(),
            };
            point(node, repository, (tag, digest, by), condition, (was_tagged, !was_new)).await?;
        }
        was_tagged = true;
        if node.objects.alone().is_none() {
            // Somebody may be deleting the manifest beside, or have deleted it, who does not know of the tags. Whoever
            // begins after this look finds them.
            let was_deleting = deletion::has_waited(node, &keys::deleting(repository, digest)).await?;
            if was_deleting || node.objects.stat(&keys::revision(repository, digest)).await?.is_none() {
                continue;
            }
        }
        // What was deleted and has come back meanwhile may have been seen as gone by a run that began since.
        if sight.is_of_one_run(&node.sight_now().await?) {
            break;
        }
    }
    Ok(())
}

/// Writes a manifest's link, if it may, and its bytes where nobody comes between: no link is there without them then, not
/// even after a crash. Whether it was not in the repository before.
async fn write_revision(
    node: &Node,
    repository: &RepositoryName,
    digest: &Digest,
    content: &Bytes,
    may: impl Future<Output = Result<bool>>,
) -> Result<Option<bool>> {
    let revision = keys::revision(repository, digest);
    let before = async { Ok(node.objects.stat(&revision).await?) };
    let add = async { Ok(node.names.add_repository(repository).await?) };
    let (before, (), may) = futures_util::try_join!(before, add, may)?;
    if !may {
        return Ok(None);
    }
    // One that another program has written once may have tags that nobody has noted.
    let mark = before.as_ref().is_none_or(|stat| stat.mark.as_deref() == Some(NOTED)).then_some(NOTED);
    if node.objects.alone().is_some() {
        node.objects.put(&keys::blob(digest), content.clone(), None).await?;
    }
    node.write_link(&revision, digest, mark).await?;
    Ok(Some(before.is_none()))
}

pub(super) fn check(precondition: &Precondition, current: Option<&Digest>) -> Result<()> {
    if precondition.holds(current) { Ok(()) } else { Err(StoreError::PreconditionFailed) }
}

/// Makes sure that everything is there. The keys of it, which the collector must not take.
async fn rely_on_all(node: &Node, repository: &RepositoryName, requires: &[Requirement]) -> Result<Vec<String>> {
    let relied_on = requires.iter().map(|requirement| relied_on(node, repository, requirement).boxed());
    let relied_on = all(relied_on.collect()).await?;
    let missing = requires.iter().zip(&relied_on).filter(|(_, keys)| keys.is_none());
    let missing: Vec<_> = missing.map(|(requirement, _)| requirement.digest().clone()).collect();
    if missing.is_empty() {
        Ok(relied_on.into_iter().flatten().flatten().collect())
    } else {
        Err(StoreError::Missing(missing))
    }
}

async fn relied_on(node: &Node, repository: &RepositoryName, requirement: &Requirement) -> Result<Option<[String; 2]>> {
    let digest = requirement.digest();
    if matches!(requirement, Requirement::Manifest(_))
        && let Some(keys) = node.relied_on(keys::revision(repository, digest)).await?
    {
        return Ok(Some(keys));
    }
    Ok(node.relied_on(keys::layer(repository, digest)).await?)
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
    (tag, digest, by): (&Tag, &Digest, &Option<String>),
    condition: &Precondition,
    (again, is_noted): (bool, bool),
) -> Result<()> {
    let record = Record::new(node, repository);
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
        if let Some(link) = &now.link
            && is_there
            && is_noted
            && !again
        {
            // So that a rule of what is kept counts from this push.
            if node.is_to_be_renewed(link) && !node.objects.renew(&key, link).await? {
                continue;
            }
            return Ok(());
        }
        if !is_there && *condition != Precondition::default() {
            check(condition, now.live(node, repository).await?.as_ref())?;
        }
        // Before the tag: none is live that is not listed, or that its manifest does not know of.
        let name = node.names.add_tag(repository, tag);
        let replaced = async {
            let moved = now.digest.as_ref().filter(|before| *before != digest && !is_dying(before));
            let Some(before) = moved else { return Ok(()) };
            let why = Some(format!("it was moved to {digest}"));
            let (digest, by) = (before.clone(), by.clone());
            record.write(node, &Deleted { what: Kind::Tag, digest, tags: vec![tag.clone()], by, why }).await
        };
        futures_util::try_join!(name, node.objects.put(&note, Bytes::new(), None), replaced)?;
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
