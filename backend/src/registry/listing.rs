//! What there is: repositories, tags, referrers.
//!
//! Listings are made of names of our own, so that a page costs a page. A bucket that another program wrote has none: they
//! are made once, beside answering; until all are there, the links themselves are listed.

use std::collections::BTreeSet;

use bytes::Bytes;
use futures_util::{FutureExt as _, TryStreamExt as _};
use lockgate_oci::{Digest, RepositoryName, Tag};

use super::keys;
use super::node::{BATCH, Node, all};
use crate::store::Result;

impl Node {
    /// The first `limit` tags that sort after `after`; `None` when there is no such repository.
    pub(super) async fn tags(
        &self,
        repository: &RepositoryName,
        after: &str,
        limit: usize,
    ) -> Result<Option<Vec<Tag>>> {
        let is_complete = self.names_are_complete().await?;
        let mut names = if is_complete {
            self.objects.names(&keys::names_of_tags(repository), after, limit).await?
        } else {
            self.linked_tags_after(repository, after, limit).await?
        };
        if names.is_empty() && self.objects.stat(&keys::name_of_repository(repository)).await?.is_none() {
            // Another program may have written it since everything was named.
            if is_complete {
                names = self.linked_tags_after(repository, after, limit).await?;
            }
            if names.is_empty() && !self.is_linked(repository).await? {
                return Ok(None);
            }
        }
        Ok(Some(names.iter().filter_map(|name| name.parse().ok()).collect()))
    }

    /// Every tag of a repository that somebody may have pointed at a manifest.
    pub(super) async fn all_tags(&self, repository: &RepositoryName) -> Result<Vec<Tag>> {
        Ok(self.linked_tags(repository).await?.iter().filter_map(|name| name.parse().ok()).collect())
    }

    /// The first `limit` repositories that sort after `after`.
    pub(super) async fn repositories(&self, after: &str, limit: usize) -> Result<Vec<RepositoryName>> {
        if !self.names_are_complete().await? {
            let all = self.linked_repositories().await?;
            let page = all.into_iter().filter(|name| name.as_str() > after).take(limit);
            return Ok(page.filter_map(|name| name.parse().ok()).collect());
        }
        let names = self.objects.names(keys::NAMES_OF_REPOSITORIES, &keys::sorted(after), limit).await?;
        Ok(names.iter().filter_map(|name| keys::unsorted(name).parse().ok()).collect())
    }

    /// The first `limit` manifests with this subject that sort after `after`.
    pub(super) async fn referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        after: &str,
        limit: usize,
    ) -> Result<Vec<Digest>> {
        let (directory, mut after) = (keys::referrers(repository, subject), keys::flat(after));
        let mut found = Vec::new();
        while found.len() < limit {
            let names = self.objects.names(&directory, &after, BATCH.min(limit)).await?;
            let Some(last) = names.last() else { break };
            after.clone_from(last);
            // Distribution deletes manifests without knowing of referrers.
            let digests: Vec<Digest> = names.iter().filter_map(|name| keys::unflat(name)).collect();
            let held = digests.iter().map(|digest| self.holds_manifest(repository, digest).boxed());
            let held = all(held.collect()).await?;
            found.extend(digests.into_iter().zip(held).filter(|(_, is_held)| *is_held).map(|(digest, _)| digest));
        }
        found.truncate(limit);
        Ok(found)
    }

    /// The first `limit` tags that sort after `after`, by their links.
    async fn linked_tags_after(&self, repository: &RepositoryName, after: &str, limit: usize) -> Result<Vec<String>> {
        let tags = self.linked_tags(repository).await?;
        Ok(tags.into_iter().filter(|tag| tag.as_str() > after).take(limit).collect())
    }

    /// Whether a repository has held a blob or a manifest, by its links.
    async fn is_linked(&self, repository: &RepositoryName) -> Result<bool> {
        let prefix = format!("{}{repository}/_", keys::REPOSITORIES);
        let mut links = self.objects.scan(&prefix);
        while let Some(entry) = links.try_next().await? {
            if in_repository(&entry.key).is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether everything that is here has a name.
    pub(super) async fn names_are_complete(&self) -> Result<bool> {
        if self.knows_names_complete() {
            return Ok(true);
        }
        let complete = self.objects.stat(keys::NAMES_COMPLETE).await?.is_some();
        if complete {
            self.note_names_complete();
        }
        Ok(complete)
    }

    /// The tags of a repository by their links.
    async fn linked_tags(&self, repository: &RepositoryName) -> Result<BTreeSet<String>> {
        let directory = keys::tags(repository);
        let mut tags = BTreeSet::new();
        let mut links = self.objects.scan(&directory);
        while let Some(entry) = links.try_next().await? {
            if let Some(tag) = entry.key[directory.len()..].strip_suffix("/current/link") {
                tags.insert(tag.to_owned());
            }
        }
        Ok(tags)
    }

    /// The repositories by their links.
    async fn linked_repositories(&self) -> Result<BTreeSet<String>> {
        let mut repositories = BTreeSet::new();
        let mut links = self.objects.scan(keys::REPOSITORIES);
        while let Some(entry) = links.try_next().await? {
            if let Some((name, _)) = in_repository(&entry.key)
                && !repositories.contains(name)
            {
                repositories.insert(name.to_owned());
            }
        }
        Ok(repositories)
    }

    /// Names everything that another program has put here.
    pub(super) async fn name_everything(&self) -> Result<()> {
        let mut named = BTreeSet::new();
        let mut links = self.objects.scan(keys::REPOSITORIES);
        while let Some(entry) = links.try_next().await? {
            let Some((name, path)) = in_repository(&entry.key) else { continue };
            let Ok(repository) = name.parse::<RepositoryName>() else { continue };
            if named.insert(name.to_owned()) {
                self.name_repository(&repository).await?;
            }
            let tag = path.strip_prefix("_manifests/tags/").and_then(|path| path.strip_suffix("/current/link"));
            if let Some(tag) = tag {
                let marker = keys::name_of_tag(&repository, tag);
                self.objects.put(&marker, Bytes::new(), None).await?;
                if self.objects.stat(&entry.key).await?.is_none() {
                    // It was deleted meanwhile, and its name perhaps before it was written here.
                    self.objects.remove(&marker).await?;
                }
            }
        }
        Ok(self.objects.put(keys::NAMES_COMPLETE, Bytes::new(), None).await?)
    }
}

/// The repository that a link is in, and where in it.
fn in_repository(key: &str) -> Option<(&str, &str)> {
    let path = key.strip_prefix(keys::REPOSITORIES)?;
    let at = path.find("/_")?;
    let (name, rest) = (&path[..at], &path[at + 1..]);
    (rest.starts_with("_layers/") || rest.starts_with("_manifests/")).then_some((name, rest))
}
