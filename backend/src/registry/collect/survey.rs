//! Looking at everything once, to tell what nobody needs. Nothing here can write.
//!
//! Roots are the manifests of every repository, records of the trash, and links that somebody has relied on a short while
//! ago. What a root names stays, and so do its bytes; a blob that no repository links stays while it is young. A rule
//! condemns tags and manifests, and nothing that they name: as long as a manifest is there, all of that stays.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{FutureExt as _, TryStreamExt as _};
use lockgate_oci::{Digest, RepositoryName};

use super::compact::{Compact, named_in};
use super::explain::Asked;
use super::kept::Kept;
use super::pace::Pace;
use super::ruled::{Leads, Ruled};
use super::seen::{Found, Link, MOST, Terms};
use crate::hasher::digest_of;
use crate::objects::{Entry, ReadOnly};
use crate::registry::keys;
use crate::registry::node::all;
use crate::store::{Candidate, Deleted, Item, Kind, Links, Result, StoreError};

/// Manifests that are read between two rests.
const BATCH: usize = 64;

/// What there is of a repository, but for its links.
struct Repository {
    /// Its turn.
    turn: u32,
    deleted: Vec<Deleted>,
    /// Which of the rules is about it.
    rule: Option<usize>,
    /// Where one is.
    tags: Vec<String>,
}

pub(super) struct Survey {
    objects: ReadOnly,
    terms: Arc<Terms>,
    pace: Pace,
    found: Found,
    kept: Kept,
    /// In one piece: as many small ones would stay with the process.
    links: Vec<Link>,
    asked: Asked,
}

impl Survey {
    pub(super) fn new(objects: ReadOnly, terms: Terms, pace: Pace, asked: Asked) -> Self {
        let found = Found::default();
        Self { objects, terms: Arc::new(terms), pace, found, kept: Kept::default(), links: Vec::new(), asked }
    }

    /// Links first, then the trash, then bytes: what is moved from one to the next meanwhile is seen, or was looked for on
    /// the collector's list by who moved it.
    ///
    /// # Errors
    /// Something cannot be read, or a manifest is damaged, so that nobody knows what it needs.
    pub(super) async fn run(mut self) -> Result<(Found, Asked)> {
        let mut repositories = HashMap::new();
        self.links(&mut repositories).await?;
        self.records(&mut repositories).await?;
        self.found.counts.repositories = repositories.len() as u64;
        let mut links = std::mem::take(&mut self.links);
        links.sort_unstable_by_key(|link| (link.of, link.kind));
        let mut unneeded = Vec::new();
        for (name, repository) in repositories {
            let from = links.partition_point(|link| link.of < repository.turn);
            let links = &links[from..from + links[from..].partition_point(|link| link.of == repository.turn)];
            let Ok(name) = name.parse::<RepositoryName>() else {
                // Nobody can ask for it, and it is not ours to judge.
                self.kept.keep(None, links.iter().map(|link| &link.digest));
                continue;
            };
            let kept = self.judge(&name, repository, links, &mut unneeded).await?;
            self.kept.keep(Some(name), &kept);
        }
        drop(links);
        self.found.candidates.append(&mut unneeded);
        self.blobs().await?;
        self.found.usage = self.kept.taken();
        Ok((self.found, self.asked))
    }

    fn is_young(&self, entry: &Entry) -> bool {
        // A time in the future is that of a clock which was wrong: it is young until it has passed.
        let age = self.terms.now.duration_since(entry.modified).unwrap_or_default();
        age < self.terms.grace + self.terms.margin
    }

    async fn links(&mut self, repositories: &mut HashMap<String, Repository>) -> Result<()> {
        let mut entries = self.objects.scan(keys::REPOSITORIES);
        while let Some(entry) = entries.try_next().await? {
            self.pace.go_on().await;
            let Some((name, path)) = keys::in_repository(&entry.key) else { continue };
            let (tag, link) = (keys::tag_at(path), keys::link_at(path));
            if tag.is_none() && link.is_none() {
                continue;
            }
            let repository = self.repository(repositories, name);
            if let Some(tag) = tag {
                self.asked.tag(name, tag, repository.rule);
            }
            repository.tags.extend(tag.filter(|_| repository.rule.is_some()).map(str::to_owned));
            let Some((kind, digest)) = link else { continue };
            let (digest, is_young) = (Compact::from(&digest), self.is_young(&entry));
            self.asked.link(name, kind, &digest, &entry, is_young.then_some(self.terms.grace));
            self.links.push(Link { of: repository.turn, kind, digest, is_young });
        }
        Ok(())
    }

    fn repository<'a>(&self, repositories: &'a mut HashMap<String, Repository>, name: &str) -> &'a mut Repository {
        if !repositories.contains_key(name) {
            let turn = u32::try_from(repositories.len()).expect("each has directories, or objects, of its own");
            let repository = Repository { turn, deleted: Vec::new(), rule: self.rule_about(name), tags: Vec::new() };
            repositories.insert(name.to_owned(), repository);
        }
        repositories.get_mut(name).expect("it was put there")
    }

    fn rule_about(&self, name: &str) -> Option<usize> {
        let name = name.parse().ok()?;
        self.terms.retention.iter().position(|rule| rule.is_about(&name))
    }

    async fn records(&mut self, repositories: &mut HashMap<String, Repository>) -> Result<()> {
        let mut entries = self.objects.scan(keys::TRASH);
        while let Some(entry) = entries.try_next().await? {
            self.pace.go_on().await;
            let Some((name, _)) = keys::record(&entry.key) else { continue };
            let age = self.terms.now.duration_since(entry.modified).unwrap_or_default();
            if age > self.terms.trash + self.terms.margin {
                continue;
            }
            // It was restored meanwhile: its links are there, or on nobody's list.
            let Some(object) = self.objects.get(&entry.key).await? else { continue };
            let deleted = serde_json::from_slice(&object.bytes).map_err(|error| {
                StoreError::Corrupt(format!("{} is no record of the trash ({error}): remove it", entry.key))
            })?;
            self.found.counts.deleted += 1;
            self.asked.record(&name, &deleted, &entry, self.terms.trash);
            self.repository(repositories, name.as_str()).deleted.push(deleted);
        }
        Ok(())
    }

    /// Tells what stays for a repository.
    async fn judge(
        &mut self,
        name: &RepositoryName,
        repository: Repository,
        links: &[Link],
        unneeded: &mut Vec<Candidate>,
    ) -> Result<Vec<Compact>> {
        let Repository { deleted, rule, tags, .. } = repository;
        let (layers, revisions) = links.split_at(links.partition_point(|link| link.kind == Links::Blobs));
        let terms = Arc::clone(&self.terms);
        let ruled = |index| Ruled { name, number: index + 1, rule: &terms.retention[index], terms: &terms };
        let ruled = rule.map(ruled);
        let (mut needed, mut kept) = (HashSet::new(), Vec::new());
        let mut manifests: Vec<Compact> = revisions.iter().map(|link| link.digest.clone()).collect();
        for Deleted { what, digest, .. } in &deleted {
            match what {
                Kind::Blob => drop(needed.insert(Compact::from(digest))),
                Kind::Tag | Kind::Manifest => manifests.push(Compact::from(digest)),
            }
        }
        manifests.sort_unstable();
        manifests.dedup();
        let restorable = deleted.iter().map(|deleted| Compact::from(&deleted.digest));
        let mut leads = if ruled.is_some() { Leads::of(&manifests, restorable) } else { Leads::default() };
        for some in manifests.chunks(BATCH) {
            self.pace.go_on().await;
            let contents = some.iter().map(|digest| read(&self.objects, name, digest).boxed());
            for (digest, manifest) in some.iter().zip(all(contents.collect()).await?) {
                let Some((target, content)) = manifest else {
                    self.found.counts.absent += 1;
                    continue;
                };
                self.found.counts.manifests += 1;
                let named = named_in(&content);
                let is_linked = || revisions.iter().any(|link| link.digest == *digest);
                self.asked.named(name, digest, &named, is_linked);
                needed.extend(named);
                if ruled.as_ref().is_some_and(Ruled::takes_untagged) {
                    leads.read(digest, &target, &content);
                }
                kept.push(target);
            }
        }
        if let Some(ruled) = &ruled {
            ruled
                .judge(&self.objects, &mut self.pace, (&tags, revisions), &leads, (&mut self.found, &mut self.asked))
                .await?;
        }
        kept.append(&mut manifests);
        for Link { digest, is_young, .. } in layers {
            if !is_young && !needed.contains(digest) {
                let why = format!("no manifest of {name} names it");
                let item = Item::Link(name.clone(), digest.digest());
                if unneeded.len() < MOST {
                    unneeded.push(Candidate { item, bytes: 0, why });
                }
                continue;
            }
            kept.extend(target(&self.objects, &keys::layer(name, &digest.digest()), digest).await?);
            kept.push(digest.clone());
        }
        // What nothing links any more is named still: by a record of the trash, or where a blob alone was deleted.
        kept.extend(needed);
        Ok(kept)
    }

    async fn blobs(&mut self) -> Result<()> {
        let mut entries = self.objects.scan(keys::BLOBS);
        while let Some(entry) = entries.try_next().await? {
            self.pace.go_on().await;
            let Some(digest) = keys::digest_of_blob(&entry.key[keys::BLOBS.len()..]) else { continue };
            self.found.counts.blobs += 1;
            self.found.counts.bytes += entry.size;
            let counts = entry.modified <= self.terms.counted;
            if self.kept.has(&Compact::from(&digest), if counts { entry.size } else { 0 }) {
                self.asked.bytes(&digest, &entry, None);
                continue;
            }
            let is_young = self.is_young(&entry);
            self.asked.bytes(&digest, &entry, is_young.then_some(self.terms.grace));
            if !is_young && self.found.candidates.len() < MOST {
                let why = "no repository uses it".to_owned();
                self.found.candidates.push(Candidate { item: Item::Blob(digest), bytes: entry.size, why });
            }
        }
        Ok(())
    }
}

/// Where a link leads: elsewhere than its name says with distribution's links of a sha512 alone, which it keeps under the
/// sha256.
async fn target(objects: &ReadOnly, key: &str, digest: &Compact) -> Result<Option<Compact>> {
    if matches!(digest, Compact::Sha256(_)) {
        return Ok(None);
    }
    let link = objects.get(key).await?;
    let target = link.and_then(|link| std::str::from_utf8(&link.bytes).ok()?.trim_end().parse::<Digest>().ok());
    Ok(target.as_ref().map(Compact::from))
}

/// Under which digest a manifest is kept, and its bytes; `None` when these are not there.
async fn read(objects: &ReadOnly, name: &RepositoryName, digest: &Compact) -> Result<Option<(Compact, Bytes)>> {
    let target = target(objects, &keys::revision(name, &digest.digest()), digest).await?;
    let target = target.unwrap_or_else(|| digest.clone());
    let kept_as = target.digest();
    let key = keys::blob(&kept_as);
    let Some(object) = objects.get(&key).await?.filter(|object| !object.bytes.is_empty()) else { return Ok(None) };
    let found = digest_of(kept_as.algorithm(), &object.bytes);
    if found != kept_as {
        return Err(StoreError::Corrupt(format!(
            "the manifest {name}@{} is damaged (in {key}), so that nobody knows what it needs, and nothing is collected: \
             push it again, or delete it; lockgate-backend verify --repair moves what is damaged away",
            digest.digest()
        )));
    }
    Ok(Some((target, object.bytes)))
}
