//! Manifests and their tags.

use std::io::Read as _;
use std::path::Path;

use lockgate_oci::{Digest, Reference, RepositoryName, Tag};

use super::errors::at;
use super::{Inner, listing, tagged};
use crate::hasher::digest_of;
use crate::store::{Links, NewManifest, Precondition, Result, StoreError, StoredManifest};

/// A manifest by its digest or by a tag.
pub(super) fn read(
    inner: &Inner,
    repository: &RepositoryName,
    reference: &Reference,
) -> Result<Option<StoredManifest>> {
    let digest = match reference {
        Reference::Digest(digest) => digest.clone(),
        Reference::Tag(tag) => match current(inner, repository, tag)? {
            Some(digest) => digest,
            None => return Ok(None),
        },
    };
    let Some(stored) = inner.open_manifest(repository, &digest)? else { return Ok(None) };
    let path = inner.layout.blob_data(&digest);
    let mut content = Vec::with_capacity(usize::try_from(stored.size).unwrap_or_default());
    (&*stored.file).read_to_end(&mut content).map_err(at(&path))?;
    if digest_of(digest.algorithm(), &content) != digest {
        return Err(StoreError::Corrupt(format!("{} has another digest than its name", path.display())));
    }
    Ok(Some(StoredManifest { digest, content: content.into() }))
}

/// Keeps a manifest and points its tags at it.
pub(super) fn put(inner: &Inner, repository: &RepositoryName, manifest: &NewManifest) -> Result<()> {
    let (layout, digest) = (&inner.layout, &manifest.digest);
    let write = || {
        let missing = manifest.requires.iter().filter(|r| !inner.holds(repository, r));
        let missing: Vec<_> = missing.map(|r| r.digest().clone()).collect();
        if !missing.is_empty() {
            return Err(StoreError::Missing(missing));
        }
        if let Some((reference, precondition)) = &manifest.precondition {
            check(inner, repository, reference, precondition)?;
        }
        inner.durable.write(&layout.blob_data(digest), &manifest.content)?;
        tagged::write_revision(inner, repository, digest)?;
        if let Some(subject) = &manifest.subject {
            inner.write_link(&layout.referrer_link(repository, subject, digest), digest)?;
        }
        for tag in &manifest.tags {
            // First of all: no tag points at a manifest that does not know of it.
            tagged::note(inner, repository, digest, tag)?;
            inner.write_link(&layout.tag_index_link(repository, tag, digest), digest)?;
            inner.write_link(&layout.tag_current_link(repository, tag), digest)?;
        }
        Ok(())
    };
    if manifest.precondition.is_some() { inner.alone(repository, write) } else { inner.adding(repository, write) }
}

/// Looks whether a precondition holds of the manifest that has this name.
fn check(inner: &Inner, repository: &RepositoryName, reference: &Reference, precondition: &Precondition) -> Result<()> {
    let digest = match reference {
        Reference::Digest(digest) => Some(digest.clone()),
        Reference::Tag(tag) => current(inner, repository, tag)?,
    };
    let is_there = digest.filter(|digest| inner.holds_manifest(repository, digest));
    if precondition.holds(is_there.as_ref()) { Ok(()) } else { Err(StoreError::PreconditionFailed) }
}

/// Takes a manifest out of a repository, with the tags that point at it. False when it was not in it.
pub(super) fn delete(
    inner: &Inner,
    repository: &RepositoryName,
    digest: &Digest,
    subject: Option<&Digest>,
) -> Result<bool> {
    let layout = &inner.layout;
    let link = layout.revision_link(repository, digest);
    if !link.is_file() {
        return Ok(false);
    }
    // Without the lock, as it may take long. Who sets a tag meanwhile notes it.
    if has_few_tags(inner, repository)? || !tagged::is_complete(&link)? {
        look_at_every_tag(inner, repository, digest)?;
    }
    inner.alone(repository, || {
        // The tags first: at no moment does one point at a manifest that is gone.
        for tag in tagged::noted(inner, repository, digest)? {
            let tag = tag?;
            remove_if_current(inner, repository, &tag, digest)?;
            tagged::forget(inner, repository, digest, &tag)?;
        }
        if let Some(subject) = subject {
            let referrers = layout.referrers(repository, subject);
            inner.durable.remove_file(&layout.referrer_link(repository, subject, digest), &referrers)?;
        }
        Ok(inner.durable.remove_file(&link, &layout.links(repository, Links::Manifests))?)
    })
}

/// Removes a tag. False when there was none.
pub(super) fn delete_tag(
    inner: &Inner,
    repository: &RepositoryName,
    tag: &Tag,
    precondition: &Precondition,
) -> Result<bool> {
    inner.alone(repository, || {
        let digest = current(inner, repository, tag).ok().flatten();
        if *precondition != Precondition::default() && inner.layout.tag(repository, tag).is_dir() {
            check(inner, repository, &Reference::Tag(tag.clone()), precondition)?;
        }
        let removed = inner.durable.remove_tree(&inner.layout.tag(repository, tag))?;
        if let Some(digest) = digest {
            tagged::forget(inner, repository, &digest, tag)?;
        }
        Ok(removed)
    })
}

/// Whether looking at every tag costs next to nothing. Then those are found, too, that somebody put there by hand.
fn has_few_tags(inner: &Inner, repository: &RepositoryName) -> Result<bool> {
    let tags = inner.layout.tags(repository);
    let names = listing::names(&inner.durable.directories, &tags, "", listing::BATCH)?;
    Ok(names.is_none_or(|names| names.len() < listing::BATCH))
}

/// Removes the tags that point at a manifest, where only looking tells which they are: the cost of the
/// whole list, in the memory of a page.
fn look_at_every_tag(inner: &Inner, repository: &RepositoryName, digest: &Digest) -> Result<()> {
    let tags = inner.layout.tags(repository);
    let mut after = String::new();
    while let Some(last) = look_at_page(inner, repository, digest, &tags, &after)? {
        after = last;
    }
    Ok(())
}

/// Does so with the tags of a page. The result is the page's last.
fn look_at_page(
    inner: &Inner,
    repository: &RepositoryName,
    digest: &Digest,
    tags: &Path,
    after: &str,
) -> Result<Option<String>> {
    let names = listing::names(&inner.durable.directories, tags, after, listing::BATCH)?.unwrap_or_default();
    for tag in names.iter().filter_map(|name| name.parse::<Tag>().ok()) {
        if points_at(inner, repository, &tag, digest) {
            inner.alone(repository, || remove_if_current(inner, repository, &tag, digest))?;
        }
    }
    Ok(names.into_iter().last())
}

fn remove_if_current(inner: &Inner, repository: &RepositoryName, tag: &Tag, digest: &Digest) -> Result<()> {
    if points_at(inner, repository, tag, digest) {
        inner.durable.remove_tree(&inner.layout.tag(repository, tag))?;
    }
    Ok(())
}

/// One that cannot be read points at nothing.
fn points_at(inner: &Inner, repository: &RepositoryName, tag: &Tag, digest: &Digest) -> bool {
    current(inner, repository, tag).is_ok_and(|current| current.as_ref() == Some(digest))
}

/// What a tag says.
pub(super) fn current(inner: &Inner, repository: &RepositoryName, tag: &Tag) -> Result<Option<Digest>> {
    inner.link(&inner.layout.tag_current_link(repository, tag))
}
