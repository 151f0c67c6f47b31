//! What the collector takes, and what it leaves.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use lockgate_oci::{Algorithm, Digest, Reference, RepositoryName, Tag};
use tempfile::TempDir;

use super::*;
use crate::hasher::digest_of;
use crate::objects::MemoryObjects;
use crate::registry::{Ages, ObjectStore};
use crate::store::{Cause, NewManifest, Requirement, Space as _, Store as _};

const HOUR: Duration = Duration::from_secs(60 * 60);
const AGES: Ages = Ages { grace: Duration::from_secs(24 * 60 * 60), trash: Duration::from_secs(7 * 24 * 60 * 60) };
const RULES: Rules = Rules { max_delete: 1.0, rate: 1.0 };

/// A registry, and how its clock is put forward.
enum Site {
    Memory(ObjectStore, Arc<MemoryObjects>),
    Directory(ObjectStore, TempDir),
}

fn sites() -> [Site; 2] {
    let objects = Arc::new(MemoryObjects::default());
    let directory = tempfile::tempdir().expect("a directory");
    let store = ObjectStore::in_directory(directory.path()).expect("it is opened").keeping(AGES);
    [
        Site::Memory(ObjectStore::over(Arc::clone(&objects) as _, 16 << 20, 2).keeping(AGES), objects),
        Site::Directory(store, directory),
    ]
}

fn age_files(directory: &Path, by: Duration) {
    for entry in std::fs::read_dir(directory).expect("it is read").map(|entry| entry.expect("an entry").path()) {
        if entry.is_dir() {
            age_files(&entry, by);
        } else {
            let file = File::open(&entry).expect("it is opened");
            let time = file.metadata().and_then(|metadata| metadata.modified()).expect("it has a time");
            file.set_modified(time - by).expect("it is set");
        }
    }
}

fn name(text: &str) -> RepositoryName {
    text.parse().expect("a name")
}

fn tag(text: &str) -> Tag {
    text.parse().expect("a tag")
}

fn digest(content: &str) -> Digest {
    digest_of(Algorithm::Sha256, content.as_bytes())
}

impl Site {
    fn store(&self) -> &ObjectStore {
        match self {
            Self::Memory(store, _) | Self::Directory(store, _) => store,
        }
    }

    fn later(&self, by: Duration) {
        match self {
            Self::Memory(_, objects) => objects.age(by),
            Self::Directory(_, directory) => age_files(directory.path(), by),
        }
    }

    async fn push_blob(&self, repository: &str, content: &'static str) {
        let (store, repository) = (self.store(), name(repository));
        let id = store.begin_upload(&repository, Algorithm::Sha256).await.expect("it is begun");
        let mut upload = store.resume_upload(&repository, id).await.expect("it is taken");
        upload.append(Bytes::from_static(content.as_bytes())).await.expect("it is sent");
        upload.commit(&digest(content)).await.expect("it is kept");
    }

    /// Pushes an image that has one layer, and returns its digest.
    async fn push(&self, repository: &str, tagged: &str, layer: &'static str) -> Digest {
        self.push_blob(repository, layer).await;
        self.put(repository, tagged, layer).await.expect("its layer is there")
    }

    async fn put(&self, repository: &str, tagged: &str, layer: &str) -> Result<Digest> {
        let content = format!(r#"{{"layers":[{{"digest":"{}"}}]}}"#, digest(layer));
        let manifest = NewManifest {
            digest: digest(&content),
            content: content.clone().into(),
            tags: vec![tag(tagged)],
            subject: None,
            requires: vec![Requirement::Blob(digest(layer))],
            precondition: None,
            by: None,
        };
        self.store().put_manifest(&name(repository), manifest).await?;
        Ok(digest(&content))
    }

    async fn collect(&self) -> Collected {
        self.store().collect(&RULES, None).await.expect("it runs")
    }

    async fn has_blob(&self, repository: &str, content: &str) -> bool {
        self.store().blob(&name(repository), &digest(content)).await.expect("it is looked for").is_some()
    }

    async fn has_bytes(&self, digest: &Digest) -> bool {
        self.store().objects().stat(&keys::blob(digest)).await.expect("it is looked for").is_some()
    }
}

#[tokio::test]
async fn what_no_manifest_names_goes_in_the_second_run_once_it_is_old() {
    for site in sites() {
        let image = site.push("a", "v1", "layer").await;
        site.push_blob("a", "alone").await;
        for _ in 0..2 {
            assert_eq!(site.collect().await.removed, 0, "it is young");
        }
        site.later(25 * HOUR);
        let first = site.collect().await;
        assert_eq!((first.removed, first.condemned), (0, 2), "the link and the bytes");
        assert!(site.has_blob("a", "alone").await);
        // A HEAD relies on it.
        assert_eq!(site.collect().await.removed, 0);
        site.later(25 * HOUR);
        site.collect().await;
        let last = site.collect().await;
        assert_eq!((last.removed, last.freed, last.condemned), (2, 5, 0));
        assert!(!site.has_blob("a", "alone").await && !site.has_bytes(&digest("alone")).await);
        assert!(site.has_blob("a", "layer").await && site.has_bytes(&image).await);
        assert_eq!(last.counts.manifests, 1);
    }
}

#[tokio::test]
async fn a_layer_stays_as_long_as_one_repository_has_it() {
    for site in sites() {
        let image = site.push("a", "v1", "layer").await;
        site.push("b/c", "v1", "layer").await;
        assert!(site.store().delete_manifest(&name("a"), &image, None, &Cause::default()).await.expect("it goes"));
        site.later(8 * 24 * HOUR);
        site.collect().await;
        assert_eq!(site.collect().await.removed, 1, "the link of one");
        assert!(site.has_blob("b/c", "layer").await && !site.has_blob("a", "layer").await);
    }
}

#[tokio::test]
async fn what_was_deleted_stays_whole_as_long_as_the_trash_has_it() {
    for site in sites() {
        let image = site.push("a", "v1", "layer").await;
        site.push("a", "v2", "layer").await;
        let cause = Cause { by: Some("alice".to_owned()), why: None };
        assert!(site.store().delete_manifest(&name("a"), &image, None, &cause).await.expect("it goes"));
        let records = site.store().trash(Some(&name("a"))).await.expect("they are listed");
        let [record] = &records[..] else { panic!("{records:?}") };
        assert_eq!((&record.deleted.digest, record.deleted.by.as_deref()), (&image, Some("alice")));
        assert_eq!(record.deleted.tags, [tag("v1"), tag("v2")]);
        for _ in 0..3 {
            site.later(50 * HOUR);
            site.collect().await;
            assert!(site.has_bytes(&image).await && site.has_bytes(&digest("layer")).await);
        }
        site.later(50 * HOUR);
        assert_eq!(site.collect().await.removed, 0);
        let last = site.collect().await;
        assert_eq!(last.removed, 3, "the link, and the bytes of both");
        assert_eq!(site.store().trash(None).await.expect("they are listed"), []);
        assert_eq!((last.counts.bytes > 0, site.collect().await.counts.bytes), (true, 0));
    }
}

#[tokio::test]
async fn a_tag_that_moves_on_leaves_a_record_of_what_it_was() {
    for site in sites() {
        let old = site.push("a", "latest", "one").await;
        let new = site.push("a", "latest", "two").await;
        site.put("a", "latest", "two").await.expect("it is there");
        let records = site.store().trash(None).await.expect("they are listed");
        let [record] = &records[..] else { panic!("{records:?}") };
        assert_eq!((&record.deleted.digest, &record.deleted.tags[..]), (&old, &[tag("latest")][..]));
        assert!(record.deleted.why.as_ref().is_some_and(|why| why.contains(new.as_str())));
        // Nobody has said that untagged manifests go: clusters run them by digest.
        for _ in 0..10 {
            site.later(9 * 24 * HOUR);
            assert_eq!(site.collect().await.removed, 0);
        }
        let by_digest = Reference::Digest(old);
        assert!(site.store().manifest(&name("a"), &by_digest).await.expect("it is read").is_some());
        assert!(site.has_blob("a", "one").await);
    }
}

#[tokio::test]
async fn whoever_relies_on_a_condemned_layer_takes_it_off_the_list() {
    for site in sites() {
        site.push_blob("a", "layer").await;
        site.later(25 * HOUR);
        assert_eq!(site.collect().await.condemned, 2);
        let image = site.put("a", "v1", "layer").await.expect("its layer is there");
        assert_eq!(site.collect().await.removed, 0);
        assert!(site.has_blob("a", "layer").await && site.has_bytes(&image).await);
    }
}

#[tokio::test]
async fn a_manifest_that_cannot_be_read_stops_the_run_and_one_that_is_not_there_does_not() {
    for site in sites() {
        let damaged = site.push("a", "v1", "layer").await;
        let absent = site.push("b", "v1", "other").await;
        site.push_blob("b", "alone").await;
        site.store().objects().remove(&keys::blob(&absent)).await.expect("it goes");
        site.later(25 * HOUR);
        assert_eq!(site.collect().await.counts.absent, 1);
        site.store().objects().put(&keys::blob(&damaged), Bytes::from_static(b"{}"), None).await.expect("it is put");
        let error = site.store().collect(&RULES, None).await.expect_err("it stops").to_string();
        assert!(error.contains(&format!("a@{damaged}")) && error.contains("verify --repair"), "{error}");
        assert!(site.has_blob("b", "alone").await);
    }
}

#[tokio::test]
async fn a_plan_changes_nothing_and_only_what_it_names_is_removed() {
    for site in sites() {
        for content in ["one", "two"] {
            site.push_blob("a", content).await;
        }
        site.later(25 * HOUR);
        let plan = site.store().plan(&RULES).await.expect("it is made");
        let items: HashSet<Item> = plan.candidates.into_iter().map(|candidate| candidate.item).collect();
        let [one, two] = ["one", "two"].map(digest);
        let expected = |digest: &Digest| [Item::Link(name("a"), digest.clone()), Item::Blob(digest.clone())];
        assert_eq!(items, [expected(&one), expected(&two)].concat().into_iter().collect());
        assert_eq!(site.collect().await.removed, 0, "the plan has published nothing");
        let only = expected(&one).into_iter().collect();
        assert_eq!(site.store().collect(&RULES, Some(&only)).await.expect("it runs").removed, 2);
        assert!(!site.has_bytes(&one).await && site.has_bytes(&two).await);
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_dead_collector_has_left_is_brought_to_its_end() {
    let [site, _] = sites();
    site.push_blob("a", "layer").await;
    site.later(25 * HOUR);
    site.collect().await;
    let node = &site.store().node;
    let run = Run::begin(node).await.expect("it begins");
    run.change(|collection| collection.deleting = std::mem::take(&mut collection.condemned)).await.expect("it is said");
    let error = site.put("a", "v1", "layer").await.expect_err("nobody knows whether it goes").to_string();
    assert!(error.contains("just being deleted"), "{error}");
    clean_up(node).await.expect("it is looked at");
    assert!(site.has_bytes(&digest("layer")).await, "it may be alive");
    tokio::time::advance(SILENCE + Duration::from_secs(1)).await;
    clean_up(node).await.expect("it is brought to its end");
    assert!(!site.has_bytes(&digest("layer")).await);
    assert!(run.change(|collection| collection.run += 1).await.is_err(), "it is another's turn");
}
