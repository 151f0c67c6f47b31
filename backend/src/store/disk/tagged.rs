//! From a manifest to its tags, which distribution's layout does not lead to.
//!
//! `_tagged/<algorithm>/<hex>` has an empty file for each tag that was pointed at a manifest here. Some may
//! point elsewhere by now; so long as nobody else sets tags, none is missing, and deleting the manifest
//! needs to look at no others.
//!
//! A `registry:2` that used the volume before, or in between, notes nothing. But with every tag that it
//! sets it writes the manifest's revision link, be it there or not. So the time at which that link was
//! modified tells: those that are written here say a time whose fraction of a second is [`MARK`], and only
//! where there was no link before, or a marked one. One without the mark has been another's, and then
//! every tag is looked at. A copy of the volume that drops fractions of seconds costs the same, and no more.
//!
//! A tag that somebody put there by hand (a copy, one out of a backup) is noted nowhere. It is found where a
//! repository has so few tags that every one is looked at anyway ([`BATCH`](super::listing::BATCH)).
//!
//! What this does not see is a tag that pointed at a manifest which was gone (a `registry:2` that was
//! killed while it deleted one leaves such a tag), when that same manifest is pushed again here: deleting
//! it leaves the tag as it was before the push, pointing at nothing.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use lockgate_oci::{Digest, RepositoryName, Tag};

use super::Inner;
use super::errors::{at, if_there};
use crate::store::Result;

/// Nanoseconds; a multiple of 100, which every file system of today keeps. Another's time has the same
/// fraction once in a thousand million links.
const MARK: u32 = 104_090_700;

/// Whether the notes on the tags of the manifest with this revision link name every tag that points at it.
pub(super) fn is_complete(revision_link: &Path) -> io::Result<bool> {
    let modified = fs::metadata(revision_link).and_then(|metadata| metadata.modified()).map_err(at(revision_link))?;
    Ok(fraction(modified) == MARK)
}

/// Writes the revision link of a manifest; marked, unless another has written one.
pub(super) fn write_revision(inner: &Inner, repository: &RepositoryName, digest: &Digest) -> Result<()> {
    let link = inner.layout.revision_link(repository, digest);
    let modified = if_there(fs::metadata(&link).and_then(|metadata| metadata.modified())).map_err(at(&link))?;
    if modified.is_some_and(|modified| fraction(modified) != MARK) {
        return inner.write_link(&link, digest);
    }
    Ok(inner.durable.write_dated(&link, digest.as_str().as_bytes(), marked(SystemTime::now()))?)
}

/// Notes that a tag may point at a manifest.
pub(super) fn note(inner: &Inner, repository: &RepositoryName, digest: &Digest, tag: &Tag) -> Result<()> {
    Ok(inner.durable.make_file(&inner.layout.tagged(repository, digest).join(tag.as_str()))?)
}

/// Forgets that it may. Nobody may be setting the tag. A file that is not empty is somebody else's, and stays.
pub(super) fn forget(inner: &Inner, repository: &RepositoryName, digest: &Digest, tag: &Tag) -> Result<()> {
    let note = inner.layout.tagged(repository, digest).join(tag.as_str());
    if fs::symlink_metadata(&note).is_ok_and(|metadata| metadata.is_file() && metadata.len() == 0) {
        inner.durable.remove_file(&note, &inner.layout.repository(repository))?;
    }
    Ok(())
}

/// The tags that may point at a manifest, in no order, read while they are asked for.
pub(super) fn noted(
    inner: &Inner,
    repository: &RepositoryName,
    digest: &Digest,
) -> io::Result<impl Iterator<Item = io::Result<Tag>> + use<>> {
    let directory = inner.layout.tagged(repository, digest);
    let entries = if_there(fs::read_dir(&directory)).map_err(at(&directory))?;
    let tag = move |entry: io::Result<fs::DirEntry>| match entry {
        // What is no tag's name is somebody else's.
        Ok(entry) => entry.file_name().to_str().and_then(|name| name.parse().ok()).map(Ok),
        Err(error) => Some(Err(at(&directory)(error))),
    };
    Ok(entries.into_iter().flatten().filter_map(tag))
}

fn since_epoch(time: SystemTime) -> Duration {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

fn fraction(time: SystemTime) -> u32 {
    since_epoch(time).subsec_nanos()
}

/// The time, to the second, with the mark for a fraction.
fn marked(time: SystemTime) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::new(since_epoch(time).as_secs(), MARK)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{DiskStore, NewManifest, Precondition, Store as _};
    use bytes::Bytes;
    use lockgate_oci::Algorithm;
    use std::collections::BTreeSet;

    struct Site {
        _directory: tempfile::TempDir,
        store: DiskStore,
        repository: RepositoryName,
    }

    impl Site {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let store = DiskStore::open(directory.path()).unwrap();
            Self { _directory: directory, store, repository: "a".parse().unwrap() }
        }

        fn inner(&self) -> &Inner {
            &self.store.0
        }

        async fn put(&self, content: &'static str, tags: &[&str]) -> Digest {
            let content = Bytes::from_static(content.as_bytes());
            let digest = crate::hasher::digest_of(Algorithm::Sha256, &content);
            let tags = tags.iter().map(|tag| tag.parse().unwrap()).collect();
            let new = NewManifest {
                digest: digest.clone(),
                content,
                tags,
                subject: None,
                requires: Vec::new(),
                precondition: None,
            };
            self.store.put_manifest(&self.repository, new).await.unwrap();
            digest
        }

        /// Sets a tag as distribution does: a revision link that is written in place, and the tag's links.
        fn put_as_distribution(&self, digest: &Digest, tag: &str) {
            let (layout, tag) = (&self.inner().layout, tag.parse().unwrap());
            let links = [
                layout.revision_link(&self.repository, digest),
                layout.tag_index_link(&self.repository, &tag, digest),
                layout.tag_current_link(&self.repository, &tag),
            ];
            for link in links {
                fs::create_dir_all(link.parent().unwrap()).unwrap();
                fs::write(link, digest.as_str()).unwrap();
            }
        }

        /// Sets a tag as nobody but a person does: it has no index entry.
        fn put_by_hand(&self, digest: &Digest, tag: &str) {
            let link = self.inner().layout.tag_current_link(&self.repository, &tag.parse().unwrap());
            fs::create_dir_all(link.parent().unwrap()).unwrap();
            fs::write(link, digest.as_str()).unwrap();
        }

        fn is_complete(&self, digest: &Digest) -> bool {
            is_complete(&self.inner().layout.revision_link(&self.repository, digest)).unwrap()
        }

        fn noted(&self, digest: &Digest) -> BTreeSet<String> {
            let tags = noted(self.inner(), &self.repository, digest).unwrap();
            tags.map(|tag| tag.unwrap().as_str().to_owned()).collect()
        }

        async fn tags(&self) -> Vec<String> {
            let tags = self.store.tags(&self.repository, "", 99).await.unwrap().unwrap();
            tags.iter().map(|tag| tag.as_str().to_owned()).collect()
        }

        async fn delete(&self, digest: &Digest) {
            assert!(self.store.delete_manifest(&self.repository, digest, None).await.unwrap());
        }
    }

    #[tokio::test]
    async fn a_manifest_knows_the_tags_that_were_set_here() {
        let site = Site::new();
        let digest = site.put("m", &["v1"]).await;
        assert_eq!(site.put("m", &["v2"]).await, digest);
        site.put("other", &["v1"]).await;
        assert!(site.is_complete(&digest));
        assert_eq!(site.noted(&digest), BTreeSet::from(["v1".to_owned(), "v2".to_owned()]));
        site.delete(&digest).await;
        assert_eq!(site.tags().await, ["v1"]);
        assert!(site.noted(&digest).is_empty());
    }

    #[tokio::test]
    async fn deleting_it_looks_at_no_other_tags_where_there_are_many() {
        let site = Site::new();
        let (digest, other) = (site.put("m", &["v1"]).await, site.put("other", &["kept"]).await);
        for i in 0..super::super::listing::BATCH {
            site.put_as_distribution(&other, &format!("t{i:05}"));
        }
        // A tag that nobody has noted: only a look at all finds it.
        site.put_by_hand(&digest, "hidden");
        site.delete(&digest).await;
        let tags = site.store.tags(&site.repository, "", 2).await.unwrap().unwrap();
        assert_eq!(tags.iter().map(Tag::as_str).collect::<Vec<_>>(), ["hidden", "kept"]);
    }

    #[tokio::test]
    async fn tags_that_were_put_there_by_hand_go_with_their_manifest() {
        let site = Site::new();
        let (digest, other) = (site.put("m", &["v1"]).await, site.put("other", &["kept", "moved"]).await);
        site.put_by_hand(&digest, "retagged");
        site.put_by_hand(&digest, "moved");
        site.put_by_hand(&other, "other");
        let tags = site.inner().layout.tags(&site.repository);
        std::os::unix::fs::symlink("v1", tags.join("link")).unwrap();
        site.delete(&digest).await;
        assert_eq!(site.tags().await, ["kept", "other"]);
        assert!(tags.join("link").symlink_metadata().is_err());
    }

    #[tokio::test]
    async fn a_tag_that_distribution_set_goes_with_its_manifest_before_and_after_a_push_of_ours() {
        let site = Site::new();
        let ours_first = site.put("ours first", &["v1"]).await;
        site.put_as_distribution(&ours_first, "v2");
        assert!(!site.is_complete(&ours_first));
        site.put("ours first", &["v3"]).await;
        assert!(!site.is_complete(&ours_first), "it was another's once");
        site.delete(&ours_first).await;
        assert!(site.tags().await.is_empty());

        let theirs_first = crate::hasher::digest_of(Algorithm::Sha256, b"theirs first");
        site.put_as_distribution(&theirs_first, "v1");
        site.put("theirs first", &["v2"]).await;
        site.put("other", &["kept"]).await;
        assert!(!site.is_complete(&theirs_first));
        site.delete(&theirs_first).await;
        assert_eq!(site.tags().await, ["kept"]);
        site.put("theirs first", &["v4"]).await;
        assert!(site.is_complete(&theirs_first), "it is ours since it was deleted");
    }

    #[tokio::test]
    async fn more_foreign_tags_than_a_page_are_looked_at() {
        let site = Site::new();
        let (kept, gone) = (site.put("kept", &["first"]).await, site.put("gone", &["v1"]).await);
        for i in 0..super::super::listing::BATCH + 10 {
            let digest = if i % 100 == 0 { &gone } else { &kept };
            site.put_as_distribution(digest, &format!("t{i:05}"));
        }
        site.delete(&gone).await;
        let tags = site.store.tags(&site.repository, "", usize::MAX).await.unwrap().unwrap();
        assert_eq!(tags.len(), 1 + super::super::listing::BATCH + 10 - 11);
    }

    #[tokio::test]
    async fn a_deleted_tag_is_forgotten() {
        let site = Site::new();
        let digest = site.put("m", &["v1", "v2"]).await;
        assert!(
            site.store.delete_tag(&site.repository, &"v1".parse().unwrap(), &Precondition::default()).await.unwrap()
        );
        assert_eq!(site.noted(&digest), BTreeSet::from(["v2".to_owned()]));
    }

    #[tokio::test]
    async fn many_who_set_tags_at_once_leave_a_manifest_that_knows_them_all() {
        let site = Site::new();
        let tags: Vec<String> = (0..16).map(|i| format!("v{i:02}")).collect();
        let digests = futures_util::future::join_all(tags.iter().map(|tag| {
            let tag = tag.clone();
            let site = &site;
            async move { site.put("m", &[tag.as_str()]).await }
        }))
        .await;
        assert!(site.is_complete(&digests[0]));
        assert_eq!(site.noted(&digests[0]).into_iter().collect::<Vec<_>>(), tags);
        site.delete(&digests[0]).await;
        assert!(site.tags().await.is_empty());
    }

    #[test]
    fn a_marked_time_is_still_that_second() {
        let time = SystemTime::UNIX_EPOCH + Duration::new(1_700_000_000, 999_999_999);
        assert_eq!(fraction(marked(time)), MARK);
        assert_eq!(since_epoch(marked(time)).as_secs(), 1_700_000_000);
    }
}
