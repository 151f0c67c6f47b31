use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use lockgate_oci::Algorithm;

use super::*;
use crate::objects::{MemoryObjects, Objects as _};
use crate::registry::ObjectStore;
use crate::registry::keys::Layout;
use crate::registry::names::tree;
use crate::store::Cause;
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
        by: None,
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
            tokio::spawn(async move {
                node.delete_tag(&name, &tag, &Precondition::default(), &Cause::default()).await.unwrap()
            })
        });
        let (deleted, deleted_too) = (deleting.await.unwrap(), deleting_too.await.unwrap());
        assert!(deleted != deleted_too, "one of them was the one");

        one.put_manifest(&name, tagged(b"m")).await.unwrap();
        let pushing = tokio::spawn({
            let (node, name) = (other.clone(), name.clone());
            async move { node.put_manifest(&name, tagged(b"m")).await.unwrap() }
        });
        one.delete_tag(&name, &tag, &free, &Cause::default()).await.unwrap();
        pushing.await.unwrap();
        // A tag that is there has its name, and its manifest knows of it.
        let is_there = one.manifest(&name, &Reference::Tag(tag.clone())).await.unwrap().is_some();
        assert_eq!(one.tags(&name, "", 9).await.unwrap().unwrap().len(), usize::from(is_there));
        one.delete_manifest(&name, &digest_of(Algorithm::Sha256, b"m"), None, &Cause::default()).await.unwrap();
        assert_eq!(one.manifest(&name, &Reference::Tag(tag.clone())).await.unwrap(), None);
        assert_eq!(one.tags(&name, "", 9).await.unwrap(), Some(vec![]));
    }
}

#[tokio::test]
async fn a_tag_that_distribution_set_in_a_bucket_goes_with_its_manifest_after_a_push_of_ours() {
    let objects = Arc::new(MemoryObjects::default());
    let store = ObjectStore::over(objects.clone(), 16 << 20, 2);
    let (name, digest): (RepositoryName, _) = ("a".parse().unwrap(), digest_of(Algorithm::Sha256, b"m"));
    let link = Bytes::copy_from_slice(digest.as_str().as_bytes());
    for (key, bytes) in [
        (keys::blob(&digest), Bytes::from_static(b"m")),
        (keys::revision(&name, &digest), link.clone()),
        (keys::tag(&name, "theirs"), link),
    ] {
        objects.put(&key, bytes, None).await.unwrap();
    }
    store.put_manifest(&name, tagged(b"m")).await.unwrap();
    assert!(store.delete_manifest(&name, &digest, None, &Cause::default()).await.unwrap());
    for tag in ["theirs", "v1"] {
        assert_eq!(store.tag(&name, &tag.parse().unwrap()).await.unwrap(), None, "{tag}");
    }
}

struct Site {
    directory: tempfile::TempDir,
    store: ObjectStore,
    repository: RepositoryName,
}

impl Site {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = ObjectStore::in_directory(directory.path()).unwrap();
        Self { directory, store, repository: "a".parse().unwrap() }
    }

    fn path(&self, key: &str) -> PathBuf {
        self.directory.path().join(key)
    }

    async fn put(&self, content: &'static str, tags: &[&str]) -> Digest {
        let content = Bytes::from_static(content.as_bytes());
        let digest = digest_of(Algorithm::Sha256, &content);
        let tags = tags.iter().map(|tag| tag.parse().unwrap()).collect();
        let new = NewManifest {
            digest: digest.clone(),
            content,
            tags,
            subject: None,
            requires: Vec::new(),
            precondition: None,
            by: None,
        };
        self.store.put_manifest(&self.repository, new).await.unwrap();
        digest
    }

    /// Sets a tag as distribution does: a revision link that is written in place, and the tag's links.
    fn put_as_distribution(&self, digest: &Digest, tag: &str) {
        let index =
            format!("{}{}/{}/link", keys::tag_index(&self.repository, tag), digest.algorithm().as_str(), digest.hex());
        for link in [keys::revision(&self.repository, digest), index, keys::tag(&self.repository, tag)] {
            let link = self.path(&link);
            fs::create_dir_all(link.parent().unwrap()).unwrap();
            fs::write(link, digest.as_str()).unwrap();
        }
    }

    /// Sets a tag as nobody but a person does: it has no index entry.
    fn put_by_hand(&self, digest: &Digest, tag: &str) {
        let link = self.path(&keys::tag(&self.repository, tag));
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        fs::write(link, digest.as_str()).unwrap();
    }

    async fn is_complete(&self, digest: &Digest) -> bool {
        let stat = self.store.objects().stat(&keys::revision(&self.repository, digest)).await.unwrap().unwrap();
        stat.mark.as_deref() == Some(NOTED)
    }

    fn noted(&self, digest: &Digest) -> BTreeSet<String> {
        let notes = fs::read_dir(self.path(&Layout::Directory.tagged(&self.repository, digest))).into_iter().flatten();
        notes.map(|note| note.unwrap().file_name().into_string().unwrap()).collect()
    }

    async fn tags(&self) -> Vec<String> {
        let tags = self.store.tags(&self.repository, "", 99).await.unwrap().unwrap();
        tags.iter().map(|tag| tag.as_str().to_owned()).collect()
    }

    async fn delete(&self, digest: &Digest) {
        assert!(self.store.delete_manifest(&self.repository, digest, None, &Cause::default()).await.unwrap());
    }
}

#[tokio::test]
async fn a_manifest_knows_the_tags_that_were_set_here() {
    let site = Site::new();
    let digest = site.put("m", &["v1"]).await;
    assert_eq!(site.put("m", &["v2"]).await, digest);
    site.put("other", &["v1"]).await;
    assert!(site.is_complete(&digest).await);
    assert_eq!(site.noted(&digest), BTreeSet::from(["v1".to_owned(), "v2".to_owned()]));
    site.delete(&digest).await;
    assert_eq!(site.tags().await, ["v1"]);
    assert!(site.noted(&digest).is_empty());
}

#[tokio::test]
async fn deleting_it_looks_at_no_other_tags_where_there_are_many() {
    let site = Site::new();
    let (digest, other) = (site.put("m", &["v1"]).await, site.put("other", &["kept"]).await);
    for i in 0..tree::BATCH {
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
    let tags = site.path(&keys::tags(&site.repository));
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
    assert!(!site.is_complete(&ours_first).await);
    site.put("ours first", &["v3"]).await;
    assert!(!site.is_complete(&ours_first).await, "it was another's once");
    site.delete(&ours_first).await;
    assert!(site.tags().await.is_empty());

    let theirs_first = digest_of(Algorithm::Sha256, b"theirs first");
    site.put_as_distribution(&theirs_first, "v1");
    site.put("theirs first", &["v2"]).await;
    site.put("other", &["kept"]).await;
    assert!(!site.is_complete(&theirs_first).await);
    site.delete(&theirs_first).await;
    assert_eq!(site.tags().await, ["kept"]);
    site.put("theirs first", &["v4"]).await;
    assert!(site.is_complete(&theirs_first).await, "it is ours since it was deleted");
}

#[tokio::test]
async fn more_foreign_tags_than_a_page_are_looked_at() {
    let site = Site::new();
    let (kept, gone) = (site.put("kept", &["first"]).await, site.put("gone", &["v1"]).await);
    for i in 0..tree::BATCH + 10 {
        let digest = if i % 100 == 0 { &gone } else { &kept };
        site.put_as_distribution(digest, &format!("t{i:05}"));
    }
    site.delete(&gone).await;
    let tags = site.store.tags(&site.repository, "", usize::MAX).await.unwrap().unwrap();
    assert_eq!(tags.len(), 1 + tree::BATCH + 10 - 11);
}

#[tokio::test]
async fn a_tag_that_cannot_be_read_can_be_deleted() {
    let site = Site::new();
    site.put("m", &["v1", "broken"]).await;
    let link = site.path(&keys::tag(&site.repository, "broken"));
    fs::remove_file(&link).unwrap();
    fs::create_dir(&link).unwrap();
    let broken = "broken".parse().unwrap();
    site.store.tag(&site.repository, &broken).await.unwrap_err();
    assert!(
        site.store.delete_tag(&site.repository, &broken, &Precondition::default(), &Cause::default()).await.unwrap()
    );
    assert_eq!(site.tags().await, ["v1"]);
}

#[tokio::test]
async fn a_deleted_tag_is_forgotten() {
    let site = Site::new();
    let digest = site.put("m", &["v1", "v2"]).await;
    assert!(
        site.store
            .delete_tag(&site.repository, &"v1".parse().unwrap(), &Precondition::default(), &Cause::default())
            .await
            .unwrap()
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
    assert!(site.is_complete(&digests[0]).await);
    assert_eq!(site.noted(&digests[0]).into_iter().collect::<Vec<_>>(), tags);
    site.delete(&digests[0]).await;
    assert!(site.tags().await.is_empty());
}
