//! Copying a registry from one place to another, while the first one goes on.
//!
//! Of each repository its tags are read first, then which manifests it has, then which blobs; and they are copied the
//! other way round. So a tag that has come has its manifest, and that has its blobs, whatever is pushed meanwhile and
//! wherever a run is cut off. What is there already is not read again, so that the next run goes on behind it. Every
//! digest is verified where it is written, as that of any push. Nothing is removed.

mod known;
mod progress;
mod sending;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use lockgate_oci::{Digest, Reference, RepositoryName, Tag};
use tokio::sync::{Mutex, Semaphore};

use self::known::Known;
pub use self::progress::{Counts, Progress};
use self::sending::send;
use crate::manifest::Manifest;
use crate::objects::ObjectsError;
use crate::store::{Blob, Links, NewManifest, Store, StoreError, StoredManifest};

/// Repositories that are looked at at a time, and small things of each: mostly one waits for an answer.
const REPOSITORIES_AT_ONCE: usize = 8;
const SMALL_AT_ONCE: usize = 16;

/// Turns to copy a blob: one is chosen by the hash of its digest.
const TURNS: usize = 256;

/// Why a copy ended before its end. What is copied stays, and the next run goes on behind it.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// What is to be copied cannot be told.
    #[error("what is to be copied cannot be read: {0}")]
    Source(#[source] StoreError),
    /// Nothing can be written.
    #[error("the copy cannot be written: {0}")]
    Target(#[source] StoreError),
    /// There is nothing.
    #[error("there is no repository in what is to be copied: see whether it is the right place")]
    Empty,
}

/// Copies everything that repositories of one store hold to another, `at_once` blobs at a time. What of it cannot be read
/// is told and counted, and the rest is copied.
///
/// # Errors
/// It cannot go on.
pub async fn copy(
    from: Arc<dyn Store>,
    to: Arc<dyn Store>,
    at_once: usize,
    progress: Arc<Progress>,
) -> Result<(), CopyError> {
    // Where nothing is yet, listings are complete from here on.
    to.index().await.map_err(CopyError::Target)?;
    let repositories = from.repositories("", usize::MAX).await.map_err(CopyError::Source)?;
    if repositories.is_empty() {
        return Err(CopyError::Empty);
    }
    progress.count(|counts| counts.of += repositories.len() as u64);
    let known = Known::read(&*from, &*to).await?;
    let (slots, turns) = (Semaphore::new(at_once), std::array::from_fn(|_| Mutex::new(())));
    let copy = Copy { from, to, known, slots, turns, progress };
    let all = stream::iter(repositories).map(Ok);
    all.try_for_each_concurrent(REPOSITORIES_AT_ONCE, |name| copy.repository(Arc::new(name))).await
}

struct Copy {
    from: Arc<dyn Store>,
    to: Arc<dyn Store>,
    known: Known,
    /// One for each blob on its way.
    slots: Semaphore,
    turns: [Mutex<()>; TURNS],
    progress: Arc<Progress>,
}

impl Copy {
    async fn repository(&self, name: Arc<RepositoryName>) -> Result<(), CopyError> {
        let tags = self.tags(&name).await?;
        let manifests = self.from.linked(&name, Links::Manifests).await.map_err(CopyError::Source)?;
        let blobs = self.from.linked(&name, Links::Blobs).await.map_err(CopyError::Source)?;

        let linked = self.linked(&name, Links::Blobs).await?;
        each(blobs, |digest| {
            let is_linked = linked.contains(&digest);
            self.blob(&name, digest, is_linked)
        })
        .await?;
        let linked = self.linked(&name, Links::Manifests).await?;
        each(manifests, |digest| {
            let is_linked = linked.contains(&digest);
            self.manifest(&name, digest, is_linked)
        })
        .await?;
        each(tags, |(digest, tags)| self.point(&name, digest, tags)).await?;
        self.progress.count(|counts| counts.repositories += 1);
        Ok(())
    }

    /// The tags of a repository, by what they say.
    async fn tags(&self, name: &RepositoryName) -> Result<BTreeMap<Digest, Vec<Tag>>, CopyError> {
        let tags = self.from.tags(name, "", usize::MAX).await.map_err(CopyError::Source)?.unwrap_or_default();
        let said = |tag: Tag| async move { Ok((self.from.tag(name, &tag).await?, tag)) };
        let said = stream::iter(tags).map(said).buffer_unordered(SMALL_AT_ONCE);
        let said: Vec<_> = said.try_collect().await.map_err(CopyError::Source)?;
        let mut by_digest: BTreeMap<Digest, Vec<Tag>> = BTreeMap::new();
        for (digest, tag) in said {
            // One that says nothing was deleted just now, or is the rest of a crash.
            if let Some(digest) = digest {
                by_digest.entry(digest).or_default().push(tag);
            }
        }
        Ok(by_digest)
    }

    /// The links that the target has.
    async fn linked(&self, name: &RepositoryName, links: Links) -> Result<BTreeSet<Digest>, CopyError> {
        Ok(self.to.linked(name, links).await.map_err(CopyError::Target)?.into_iter().collect())
    }

    async fn blob(&self, name: &Arc<RepositoryName>, digest: Digest, is_linked: bool) -> Result<(), CopyError> {
        let digest = &digest;
        if is_linked && let Some(size) = self.known.same(digest) {
            self.known.note(digest, size, name);
            self.progress.count(|counts| counts.there += 1);
            return Ok(());
        }
        // Who comes with the same blob of another repository finds it there.
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(digest);
        let _turn = self.turns[(hash % TURNS as u64) as usize].lock().await;
        let _slot = self.slots.acquire().await.expect("this semaphore is never closed");
        let blob = match self.from.blob(name, digest).await {
            Ok(Some(blob)) => blob,
            Ok(None) => return self.absent(name, Links::Blobs, digest).await,
            Err(error) => return self.unreadable(name, digest, error),
        };
        let size = blob.size();
        let is_there = self.known.at_target(digest) == Some(size);
        if is_there && is_linked {
            self.progress.count(|counts| counts.there += 1);
        } else if is_there && self.mount(name, digest).await? || self.upload(name, digest, blob).await? {
            self.progress.count(|counts| counts.blobs += 1);
        } else {
            return Ok(());
        }
        self.known.note(digest, size, name);
        Ok(())
    }

    /// Takes a blob that another repository of the target holds. False when none is known to.
    async fn mount(&self, name: &RepositoryName, digest: &Digest) -> Result<bool, CopyError> {
        match self.known.holder(digest) {
            Some(holder) => self.to.mount_blob(name, &holder, digest).await.map_err(CopyError::Target),
            None => Ok(false),
        }
    }

    /// Sends a blob. False when it cannot be read, or is not what its digest says.
    async fn upload(&self, name: &RepositoryName, digest: &Digest, blob: Box<dyn Blob>) -> Result<bool, CopyError> {
        // A task of its own, so that as many processors hash as there are.
        let sending = send(Arc::clone(&self.to), name.clone(), digest.clone(), blob, Arc::clone(&self.progress));
        match tokio::spawn(sending).await.expect("it does not panic")? {
            Ok(()) => Ok(true),
            Err(error) => self.unreadable(name, digest, error).map(|()| false),
        }
    }

    async fn manifest(&self, name: &RepositoryName, digest: Digest, is_linked: bool) -> Result<(), CopyError> {
        let digest = &digest;
        let stored = match self.from.manifest(name, &Reference::Digest(digest.clone())).await {
            Ok(Some(stored)) => stored,
            Ok(None) => return self.absent(name, Links::Manifests, digest).await,
            Err(error) => return self.unreadable(name, digest, error),
        };
        let subject = subject(&stored);
        let is_there = is_linked && self.known.at_target(digest) == Some(stored.content.len() as u64);
        // Its place among the referrers is written last.
        if is_there && self.is_referrer(name, digest, subject.as_ref()).await? {
            self.progress.count(|counts| counts.there += 1);
            return Ok(());
        }
        self.put(name, stored, subject, Vec::new()).await?;
        self.progress.count(|counts| counts.manifests += 1);
        Ok(())
    }

    /// Whether the target lists a manifest for its subject, if it has one.
    async fn is_referrer(
        &self,
        name: &RepositoryName,
        digest: &Digest,
        subject: Option<&Digest>,
    ) -> Result<bool, CopyError> {
        let Some(subject) = subject else { return Ok(true) };
        let (before, _) = digest.as_str().split_at(digest.as_str().len() - 1);
        let next = self.to.referrers(name, subject, before, 1).await.map_err(CopyError::Target)?;
        Ok(next.first() == Some(digest))
    }

    /// Points those of the tags at a manifest that say something else at the target.
    async fn point(&self, name: &RepositoryName, digest: Digest, mut tags: Vec<Tag>) -> Result<(), CopyError> {
        let mut wrong = Vec::new();
        while let Some(tag) = tags.pop() {
            if self.to.tag(name, &tag).await.map_err(CopyError::Target)?.as_ref() != Some(&digest) {
                wrong.push(tag);
            }
        }
        if wrong.is_empty() {
            return Ok(());
        }
        let stored = match self.from.manifest(name, &Reference::Digest(digest.clone())).await {
            Ok(Some(stored)) => stored,
            // It points at nothing at the source either, or at what has been counted.
            Ok(None) | Err(StoreError::Corrupt(_)) => return Ok(()),
            Err(error) => return self.unreadable(name, &digest, error),
        };
        let subject = subject(&stored);
        self.progress.count(|counts| counts.tags += wrong.len() as u64);
        self.put(name, stored, subject, wrong).await
    }

    async fn put(
        &self,
        name: &RepositoryName,
        stored: StoredManifest,
        subject: Option<Digest>,
        tags: Vec<Tag>,
    ) -> Result<(), CopyError> {
        let StoredManifest { digest, content } = stored;
        // What the source has, however complete, is copied as it is.
        let new = NewManifest { digest, content, tags, subject, requires: Vec::new(), precondition: None, by: None };
        self.to.put_manifest(name, new).await.map_err(CopyError::Target)
    }

    /// Counts what a link of the source leads to and is not there, or is known to be damaged.
    async fn absent(&self, name: &RepositoryName, links: Links, digest: &Digest) -> Result<(), CopyError> {
        if !self.known.is_at_source(digest) {
            self.progress.count(|counts| counts.dangling += 1);
        } else if self.from.linked(name, links).await.map_err(CopyError::Source)?.contains(digest) {
            // Otherwise it was deleted just now.
            self.progress.failed(&format!("{name}: {digest} is damaged: it is not as long as it was"));
        }
        Ok(())
    }

    /// Counts what cannot be read, unless nothing can.
    fn unreadable(&self, name: &RepositoryName, digest: &Digest, error: StoreError) -> Result<(), CopyError> {
        if is_away(&error) {
            return Err(CopyError::Source(error));
        }
        self.progress.failed(&format!("{name}: {digest} cannot be copied: {error}"));
        Ok(())
    }
}

/// Does something to each of many, some at a time.
async fn each<T, F: Future<Output = Result<(), CopyError>>>(
    all: impl IntoIterator<Item = T>,
    work: impl FnMut(T) -> F,
) -> Result<(), CopyError> {
    stream::iter(all).map(Ok).try_for_each_concurrent(SMALL_AT_ONCE, work).await
}

/// Whether a source does not answer: what it has is neither right nor wrong then.
fn is_away(error: &StoreError) -> bool {
    let objects = match error {
        StoreError::Objects(error) => Some(error),
        StoreError::Io(error) => error.get_ref().and_then(|inner| inner.downcast_ref()),
        _ => None,
    };
    matches!(objects, Some(ObjectsError::Unavailable(_)))
}

/// The subject of a manifest. One that we cannot read was accepted by another registry, and has none.
fn subject(stored: &StoredManifest) -> Option<Digest> {
    Manifest::stored(&stored.content).ok()?.subject().cloned()
}
