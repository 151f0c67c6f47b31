//! Deleting tags and manifests: under the repository's lock where nobody else writes; elsewhere so that whoever writes
//! beside waits, or writes again.

use bytes::Bytes;
use futures_util::{FutureExt as _, TryStreamExt as _, future};
use lockgate_oci::{Digest, RepositoryName, Tag};

use super::deletion::{self, Deletion};
use super::keys;
use super::links::dying;
use super::manifests::{Current, NOTED, check, current};
use super::node::{Node, all};
use super::trash::Record;
use crate::store::{Cause, Deleted, Expected, Kind, Precondition, Result, StoreError};

/// Removes a tag. False when there was none.
pub(super) async fn delete_tag(
    node: &Node,
    repository: &RepositoryName,
    tag: &Tag,
    precondition: &Precondition,
    cause: &Cause,
) -> Result<bool> {
    let record = Record::new(node, repository);
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
        if let Some(digest) = &now.digest {
            record.write(node, &deleted(Kind::Tag, digest, vec![tag.clone()], cause)).await?;
        }
        if take_away(node, repository, tag, &now).await? {
            return Ok(true);
        }
    }
}

/// Removes a tag if it points at this manifest. False when it does not.
pub(super) async fn delete_tag_of(
    node: &Node,
    repository: &RepositoryName,
    tag: &Tag,
    digest: &Digest,
    cause: &Cause,
) -> Result<bool> {
    let judged = Precondition { one_of: Some(Expected::These(vec![digest.clone()])), none_of: None };
    match delete_tag(node, repository, tag, &judged, cause).await {
        Err(StoreError::PreconditionFailed) => Ok(false),
        deleted => deleted,
    }
}

/// Takes a blob out of a repository. False when it was not in it.
pub(super) async fn delete_blob(
    node: &Node,
    repository: &RepositoryName,
    digest: &Digest,
    cause: &Cause,
) -> Result<bool> {
    let (record, keys) = (Record::new(node, repository), [keys::layer(repository, digest), keys::blob(digest)]);
    loop {
        let sight = node.sight().await?;
        if node.objects.stat(&keys[0]).await?.is_none() {
            record.forget(node).await?;
            return Ok(false);
        }
        record.write(node, &deleted(Kind::Blob, digest, Vec::new(), cause)).await?;
        // The collector may have looked at the trash already.
        if node.look(&sight, &keys).await? {
            break;
        }
    }
    node.objects.remove(&keys[0]).await?;
    Ok(true)
}

fn deleted(what: Kind, digest: &Digest, tags: Vec<Tag>, cause: &Cause) -> Deleted {
    let Cause { by, why } = cause.clone();
    Deleted { what, digest: digest.clone(), tags, by, why }
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
    cause: &Cause,
) -> Result<bool> {
    let (revision, sign) = (keys::revision(repository, digest), keys::deleting(repository, digest));
    let Some(stat) = node.objects.stat(&revision).await? else { return Ok(false) };
    let (record, mut tags) = (Record::new(node, repository), Vec::new());
    if stat.mark.as_deref() != Some(NOTED) || node.names.are_few(repository).await? {
        tags = linked(node, repository, digest).await?;
    }
    record.write(node, &deleted(Kind::Manifest, digest, tags.clone(), cause)).await?;
    for tag in &tags {
        // Before anybody has to wait, as they may be many. Who sets a tag meanwhile notes it.
        let _alone = node.lock(repository).write().await;
        take_if(node, repository, tag, digest, &Deletion::begin(node)).await?;
    }
    let _alone = node.lock(repository).write().await;
    let deletion = match node.objects.alone() {
        Some(_) => Deletion::begin(node),
        None => deletion::announce(node, &sign).await?,
    };
    let was_there = node.objects.stat(&revision).await?.is_some();
    if was_there {
        // The tags first: at no moment does one point at a manifest that is gone.
        let notes = noted(node, repository, digest).await?;
        let live = pointing(node, repository, digest, notes.iter().map(|(tag, _)| tag.clone()).collect()).await?;
        if !live.is_empty() {
            tags.extend(live.iter().cloned());
            record.write(node, &deleted(Kind::Manifest, digest, tags, cause)).await?;
        }
        for tag in &live {
            take_if(node, repository, tag, digest, &deletion).await?;
        }
        for (_, note) in &notes {
            deletion.remove(node, note).await?;
        }
        if let Some(subject) = subject {
            deletion.remove(node, &node.layout.referrer(repository, subject, digest)).await?;
        }
        deletion.remove(node, &revision).await?;
    }
    if !was_there {
        record.forget(node).await?;
    }
    if node.objects.alone().is_none() {
        // Last of all: whoever pushes it beside waits for this.
        deletion.remove(node, &sign).await?;
    }
    Ok(was_there)
}

/// The tags that point at a manifest, where only looking at each tells which they are.
async fn linked(node: &Node, repository: &RepositoryName, digest: &Digest) -> Result<Vec<Tag>> {
    let mut linked = Vec::new();
    let mut tags = node.names.linked_tags(repository);
    while let Some(tag) = tags.try_next().await? {
        // One that cannot be read points at nothing.
        if current(node, repository, &tag).await.is_ok_and(|current| current.as_ref() == Some(digest)) {
            linked.push(tag);
        }
    }
    Ok(linked)
}

/// The tags that a manifest has notes of, with the keys of these.
async fn noted(node: &Node, repository: &RepositoryName, digest: &Digest) -> Result<Vec<(Tag, String)>> {
    let notes = node.layout.tagged(repository, digest);
    let entries = node.objects.scan(&notes).try_filter_map(|entry| {
        // What is no tag's name, or not empty, is somebody else's.
        let tag = entry.key[notes.len()..].parse::<Tag>().ok().filter(|_| entry.size == 0);
        future::ok(tag.map(|tag| (tag, entry.key)))
    });
    Ok(entries.try_collect().await?)
}

/// Those of the tags that point at a manifest.
async fn pointing(node: &Node, repository: &RepositoryName, digest: &Digest, tags: Vec<Tag>) -> Result<Vec<Tag>> {
    let digests = all(tags.iter().map(|tag| current(node, repository, tag).boxed()).collect()).await?;
    let is_this = |(tag, current): (Tag, Option<Digest>)| (current.as_ref() == Some(digest)).then_some(tag);
    Ok(tags.into_iter().zip(digests).filter_map(is_this).collect())
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
