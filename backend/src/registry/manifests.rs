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
        keep(node, repository, digest, content).await?;
        if let Some(subject) = subject {
            node.objects.put(&keys::referrer(repository, subject, digest), Bytes::new(), None).await?;
        }
        for tag in tags {
            let condition = match precondition {
                Some((Reference::Tag(named), condition)) if named == tag => condition,
                _ => &Precondition::default(),
            };
            point(node, repository, tag, digest, condition, turn > 0).await?;
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

/// Writes a manifest's link and its bytes.
async fn keep(node: &Node, repository: &RepositoryName, digest: &Digest, content: &Bytes) -> Result<()> {
    let (revision, data) = (keys::revision(repository, digest), keys::blob(digest));
    node.name_repository(repository).await?;
    node.write_link(&revision, digest, Some(NOTED)).await?;
    node.look(&[revision, data.clone()]).await?;
    Ok(node.objects.put(&data, content.clone(), None).await?)
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

/// Points a tag at a manifest, if what it points at until then is as it should be; or points at it already, `again`.
async fn point(
    node: &Node,
    repository: &RepositoryName,
    tag: &Tag,
    digest: &Digest,
    condition: &Precondition,
    again: bool,
) -> Result<()> {
    let key = keys::tag(repository, tag.as_str());
    let (name, note) = (keys::name_of_tag(repository, tag.as_str()), keys::noted_tag(repository, digest, tag));
    loop {
        let now = Current::read(node, repository, tag).await?;
        if now.is_dying_still() {
            tokio::time::sleep(PAUSE).await;
            continue;
        }
        let is_free = again || *condition == Precondition::default();
        let is_there = is_free && now.digest.as_ref() == Some(digest);
        if is_there && !again {
            return Ok(());
        }
        if !is_there && *condition != Precondition::default() {
            check(condition, now.live(node, repository).await?.as_ref())?;
        }
        // Before the tag: none is live that is not listed, or that its manifest does not know of.
        futures_util::try_join!(
            node.objects.put(&name, Bytes::new(), None),
            node.objects.put(&note, Bytes::new(), None)
        )?;
        if is_there {
            return Ok(());
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
        if now.link.is_none() || now.is_dying() {
            return Ok(false);
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
    let key = keys::tag(repository, tag.as_str());
    let (deletion, dying) = (Deletion::begin(), Bytes::copy_from_slice(dying().as_str().as_bytes()));
    // No store removes an object only if it is unchanged: first nobody else finds it.
    if node.objects.swap(&key, &link.stat.version, dying).await?.is_none() {
        return Ok(false);
    }
    deletion.remove(node, &keys::name_of_tag(repository, tag.as_str())).await?;
    if let Some(digest) = &now.digest {
        deletion.remove(node, &keys::noted_tag(repository, digest, tag)).await?;
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
    if node.objects.stat(&revision).await?.is_none() {
        return Ok(false);
    }
    let deletion = deletion::announce(node, &sign).await?;
    let found = node.objects.stat(&revision).await?;
    if let Some(stat) = &found {
        if stat.mark.as_deref() == Some(NOTED) {
            take_noted(node, repository, digest, &deletion).await?;
        } else {
            for tag in node.all_tags(repository).await? {
                take_if(node, repository, &tag, digest, &deletion).await?;
            }
        }
        if let Some(subject) = subject {
            deletion.remove(node, &keys::referrer(repository, subject, digest)).await?;
        }
        deletion.remove(node, &revision).await?;
    }
    // Last of all: whoever pushes it beside waits for this.
    deletion.remove(node, &sign).await?;
    Ok(found.is_some())
}

/// Removes the tags that a manifest has notes of.
async fn take_noted(node: &Node, repository: &RepositoryName, digest: &Digest, deletion: &Deletion) -> Result<()> {
    let notes = keys::tagged(repository, digest);
    loop {
        let noted = node.objects.names(&notes, "", BATCH).await?;
        for name in &noted {
            if let Ok(tag) = name.parse::<Tag>() {
                take_if(node, repository, &tag, digest, deletion).await?;
            }
            deletion.remove(node, &format!("{notes}{name}")).await?;
        }
        if noted.len() < BATCH {
            return Ok(());
        }
    }
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use lockgate_oci::Algorithm;

    use super::*;
    use crate::objects::MemoryObjects;
    use crate::registry::ObjectStore;
    use crate::store::Store as _;

    /// Two processes over the same objects.
    fn nodes() -> [ObjectStore; 2] {
        let objects = Arc::new(MemoryObjects::default());
        [0, 1].map(|_| ObjectStore::over(objects.clone(), 16 << 20, 2))
    }

    fn tagged(content: &'static [u8]) -> NewManifest {
        NewManifest {
            digest: digest_of(Algorithm::Sha256, content),
            content: Bytes::from_static(content),
            tags: vec!["v1".parse().unwrap()],
            subject: None,
            requires: Vec::new(),
            precondition: None,
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn of_two_nodes_that_delete_a_tag_one_does_and_a_push_beside_is_there_or_was_deleted_whole() {
        let [one, other] = nodes();
        let (name, tag): (RepositoryName, Tag) = ("a".parse().unwrap(), "v1".parse().unwrap());
        let free = Precondition::default();
        for _ in 0..30 {
            one.put_manifest(&name, tagged(b"m")).await.unwrap();
            let [deleting, deleting_too] = [&one, &other].map(|node| {
                let (node, name, tag) = (node.clone(), name.clone(), tag.clone());
                tokio::spawn(async move { node.delete_tag(&name, &tag, &Precondition::default()).await.unwrap() })
            });
            let (deleted, deleted_too) = (deleting.await.unwrap(), deleting_too.await.unwrap());
            assert!(deleted != deleted_too, "one of them was the one");

            one.put_manifest(&name, tagged(b"m")).await.unwrap();
            let pushing = tokio::spawn({
                let (node, name) = (other.clone(), name.clone());
                async move { node.put_manifest(&name, tagged(b"m")).await.unwrap() }
            });
            one.delete_tag(&name, &tag, &free).await.unwrap();
            pushing.await.unwrap();
            // A tag that is there has its name, and its manifest knows of it.
            let is_there = one.manifest(&name, &Reference::Tag(tag.clone())).await.unwrap().is_some();
            assert_eq!(one.tags(&name, "", 9).await.unwrap().unwrap().len(), usize::from(is_there));
            one.delete_manifest(&name, &digest_of(Algorithm::Sha256, b"m"), None).await.unwrap();
            assert_eq!(one.manifest(&name, &Reference::Tag(tag.clone())).await.unwrap(), None);
            assert_eq!(one.tags(&name, "", 9).await.unwrap(), Some(vec![]));
        }
    }
}
