//! Lists in a bucket.
//!
//! They are made of markers of our own, so that a page costs a page. A bucket that another program wrote has none: they
//! are made once, beside answering; until all are there, the links themselves are listed.

use std::collections::{BTreeSet, HashSet};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _, future};
use lockgate_oci::{Digest, RepositoryName, Tag};

use super::Names;
use crate::lock::held;
use crate::objects::{self, BucketObjects};
use crate::registry::flat;
use crate::registry::keys::{self, Layout};
use crate::store::Result;

/// Repositories of which it is remembered that they are listed.
const NAMED: usize = 4096;

/// The lists of a bucket, as one process knows them.
pub(in crate::registry) struct Markers {
    objects: Arc<dyn BucketObjects>,
    named: Mutex<HashSet<RepositoryName>>,
    are_complete: AtomicBool,
    hasher: RandomState,
}

impl Markers {
    pub(in crate::registry) fn new(objects: Arc<dyn BucketObjects>) -> Self {
        Self { objects, named: Mutex::default(), are_complete: AtomicBool::default(), hasher: RandomState::new() }
    }

    /// The first `limit` tags that sort after `after`, by their links.
    async fn linked_tags_after(&self, repository: &RepositoryName, after: &str, limit: usize) -> Result<Vec<Tag>> {
        let tags: BTreeSet<Tag> = self.linked_tags(repository).try_collect().await?;
        Ok(tags.into_iter().filter(|tag| tag.as_str() > after).take(limit).collect())
    }

    /// Whether a repository has held a blob or a manifest, by its links.
    async fn is_linked(&self, repository: &RepositoryName) -> Result<bool> {
        let prefix = format!("{}{repository}/_", keys::REPOSITORIES);
        let mut links = self.objects.scan(&prefix);
        while let Some(entry) = links.try_next().await? {
            if keys::in_repository(&entry.key).is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether everything that is here has a marker.
    async fn are_complete(&self) -> Result<bool> {
        if self.are_complete.load(Ordering::Relaxed) {
            return Ok(true);
        }
        let are_complete = self.objects.stat(keys::NAMES_COMPLETE).await?.is_some();
        self.are_complete.store(are_complete, Ordering::Relaxed);
        Ok(are_complete)
    }

    /// The repositories by their links.
    async fn linked_repositories(&self) -> Result<BTreeSet<String>> {
        let mut repositories = BTreeSet::new();
        let mut links = self.objects.scan(keys::REPOSITORIES);
        while let Some(entry) = links.try_next().await? {
            if let Some((name, _)) = keys::in_repository(&entry.key)
                && !repositories.contains(name)
            {
                repositories.insert(name.to_owned());
            }
        }
        Ok(repositories)
    }
}

impl Markers {
    /// A marker in as little memory as it takes to know it again.
    fn short(&self, marker: &str) -> u64 {
        self.hasher.hash_one(marker)
    }

    /// Makes the markers that are missing. Those of every tag that is there, in short.
    async fn name_all(&self) -> Result<HashSet<u64>> {
        let mut there = HashSet::new();
        let mut names = self.objects.scan(keys::NAMES);
        while let Some(entry) = names.try_next().await? {
            there.insert(self.short(&entry.key));
        }
        let (mut repositories, mut linked) = (HashSet::new(), HashSet::new());
        let mut links = self.objects.scan(keys::REPOSITORIES);
        while let Some(entry) = links.try_next().await? {
            let Some((name, path)) = keys::in_repository(&entry.key) else { continue };
            let Ok(repository) = name.parse::<RepositoryName>() else { continue };
            let is_named = || there.contains(&self.short(&keys::name_of_repository(&repository)));
            if repositories.insert(self.short(name)) && !is_named() {
                self.add_repository(&repository).await?;
            }
            let Some(tag) = keys::tag_at(path) else { continue };
            let marker = keys::name_of_tag(&repository, tag);
            let short = self.short(&marker);
            linked.insert(short);
            if there.contains(&short) {
                continue;
            }
            self.objects.put(&marker, Bytes::new(), None).await?;
            if self.objects.stat(&entry.key).await?.is_none() {
                // It was deleted meanwhile, and its name perhaps before it was written here.
                self.objects.remove(&marker).await?;
            }
        }
        Ok(linked)
    }
}

#[async_trait]
impl Names for Markers {
    async fn tags(&self, repository: &RepositoryName, after: &str, limit: usize) -> Result<Option<Vec<Tag>>> {
        let is_complete = self.are_complete().await?;
        let mut tags = if is_complete {
            let names = self.objects.names(&keys::names_of_tags(repository), after, limit).await?;
            names.iter().filter_map(|name| name.parse().ok()).collect()
        } else {
            self.linked_tags_after(repository, after, limit).await?
        };
        if tags.is_empty() && self.objects.stat(&keys::name_of_repository(repository)).await?.is_none() {
            // Another program may have written it since everything was named.
            if is_complete {
                tags = self.linked_tags_after(repository, after, limit).await?;
            }
            if tags.is_empty() && !self.is_linked(repository).await? {
                return Ok(None);
            }
        }
        Ok(Some(tags))
    }

    async fn repositories(&self, after: &str, limit: usize) -> Result<Vec<RepositoryName>> {
        if !self.are_complete().await? {
            let all = self.linked_repositories().await?;
            let page = all.into_iter().filter(|name| name.as_str() > after).take(limit);
            return Ok(page.filter_map(|name| name.parse().ok()).collect());
        }
        let names = self.objects.names(keys::NAMES_OF_REPOSITORIES, &flat::sorted(after), limit).await?;
        Ok(names.iter().filter_map(|name| flat::unsorted(name).parse().ok()).collect())
    }

    async fn referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        after: &str,
        limit: usize,
    ) -> Result<Vec<Digest>> {
        let directory = Layout::Bucket.referrers(repository, subject);
        let names = self.objects.names(&directory, &flat::flat(after), limit).await?;
        Ok(names.iter().filter_map(|name| flat::unflat(name)).collect())
    }

    fn linked_tags(&self, repository: &RepositoryName) -> BoxStream<'static, Result<Tag>> {
        let directory = keys::tags(repository);
        let links = self.objects.scan(&directory);
        let tag = move |key: &str| key[directory.len()..].strip_suffix("/current/link")?.parse().ok();
        links.try_filter_map(move |entry| future::ok(tag(&entry.key))).err_into().boxed()
    }

    async fn add_repository(&self, repository: &RepositoryName) -> objects::Result<()> {
        if held(self.named.lock()).contains(repository) {
            return Ok(());
        }
        self.objects.put(&keys::name_of_repository(repository), Bytes::new(), None).await?;
        let mut named = held(self.named.lock());
        if named.len() >= NAMED {
            named.clear();
        }
        named.insert(repository.clone());
        Ok(())
    }

    async fn add_tag(&self, repository: &RepositoryName, tag: &Tag) -> objects::Result<()> {
        self.objects.put(&keys::name_of_tag(repository, tag.as_str()), Bytes::new(), None).await
    }

    async fn mend(&self, young: SystemTime) -> Result<()> {
        if !self.are_complete().await? {
            return Ok(());
        }
        let linked = self.name_all().await?;
        let mut names = self.objects.scan(keys::NAMES_OF_TAGS);
        while let Some(entry) = names.try_next().await? {
            let Some((repository, tag)) = keys::named_tag(&entry.key) else { continue };
            if linked.contains(&self.short(&entry.key)) || entry.modified >= young {
                continue;
            }
            let link = keys::tag(&repository, tag);
            if self.objects.stat(&link).await?.is_none() {
                self.objects.remove(&entry.key).await?;
                if self.objects.stat(&link).await?.is_some() {
                    // It was pushed meanwhile, and named perhaps before its old name was removed.
                    self.objects.put(&entry.key, Bytes::new(), None).await?;
                }
            }
        }
        Ok(())
    }

    async fn index(&self) -> Result<()> {
        if self.are_complete().await? {
            return Ok(());
        }
        self.name_all().await?;
        Ok(self.objects.put(keys::NAMES_COMPLETE, Bytes::new(), None).await?)
    }
}
