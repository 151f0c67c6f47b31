//! Deleting tags and manifests: under the repository's lock where nobody else writes; elsewhere so that whoever writes
//! beside waits, or writes again.

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use lockgate_oci::{Digest, RepositoryName, Tag};

use super::deletion::{self, Deletion};
use super::keys;
use super::links::dying;
use super::manifests::{Current, NOTED, check, current};
use super::node::Node;
use crate::store::{Precondition, Result};

/// Removes a tag. False when there was none.
pub(super) async fn delete_tag(
    node: &Node,
    repository: &RepositoryName,
    tag: &Tag,
    precondition: &Precondition,
) -> Result<bool> {
    loop {
        let now = match Current::read(node, repository, tag).await {
            // Where it can be removed whole, it need not be read.
            Err(_) if node.objects.alone().is_some() => Current::default(),
            now => now?,
        };
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
