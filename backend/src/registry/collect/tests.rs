//! What the collector takes, and what it leaves.

mod explaining;
mod naming;

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use lockgate_oci::{Algorithm, Digest, Reference, RepositoryName, Tag};
use lockgate_settings::Configuration as _;
use tempfile::TempDir;
use tokio::time::Instant;
use uuid::Uuid;

use super::turn::SILENCE;
use super::*;
use crate::config::Config;
use crate::hasher::digest_of;
use crate::objects::MemoryObjects;
use crate::registry::published::LastLook;
use crate::registry::{Ages, ObjectStore};
use crate::store::{Cause, NewManifest, Precondition, Requirement, Space as _, Store as _};

const HOUR: Duration = Duration::from_secs(60 * 60);
const AGES: Ages = Ages { grace: Duration::from_secs(24 * 60 * 60), trash: Duration::from_secs(7 * 24 * 60 * 60) };
const OPTIONS: CollectOptions = CollectOptions { max_delete: 1.0, rate: 1.0, retention: Vec::new() };

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
        self.store().collect(&OPTIONS, None).await.expect("it runs")
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
        let error = site.store().collect(&OPTIONS, None).await.expect_err("it stops").to_string();
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
        let plan = site.store().plan(&OPTIONS).await.expect("it is made");
        let items: HashSet<Item> = plan.candidates.into_iter().map(|candidate| candidate.item).collect();
        let [one, two] = ["one", "two"].map(digest);
        let expected = |digest: &Digest| [Item::Link(name("a"), digest.clone()), Item::Blob(digest.clone())];
        assert_eq!(items, [expected(&one), expected(&two)].concat().into_iter().collect());
        assert_eq!(site.collect().await.removed, 0, "the plan has published nothing");
        let only = expected(&one).into_iter().collect();
        assert_eq!(site.store().collect(&OPTIONS, Some(&only)).await.expect("it runs").removed, 2);
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
    let began = Instant::now();
    // Of three nodes that look for it at once one does it, and none hinders another.
    let cleaned = tokio::join!(clean_up(node), clean_up(node), clean_up(node));
    for cleaned in [cleaned.0, cleaned.1, cleaned.2] {
        cleaned.expect("it is brought to its end");
    }
    assert!(began.elapsed() >= 3 * SILENCE, "it may have been alive");
    assert!(!site.has_bytes(&digest("layer")).await);
    assert!(run.change(|collection| collection.run += 1).await.is_err(), "it is another's turn");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_looks_for_what_a_dead_collector_has_left_takes_no_turn_from_one_that_removes() {
    for site in sites() {
        for content in ["1", "2", "3", "4", "5", "6", "7", "8"] {
            site.push_blob("a", content).await;
        }
        site.later(25 * HOUR);
        assert_eq!(site.collect().await.condemned, 16);
        let (collected, looks) = (std::sync::atomic::AtomicBool::new(false), site.store());
        let collect = async {
            let removed = site.collect().await.removed;
            collected.store(true, std::sync::atomic::Ordering::Relaxed);
            removed
        };
        let look = async {
            while !collected.load(std::sync::atomic::Ordering::Relaxed) {
                looks.clean_up_after_collector().await.expect("it is looked for");
                tokio::task::yield_now().await;
            }
        };
        assert_eq!(tokio::join!(collect, look).0, 16);
    }
}

fn keeping(block: &str) -> CollectOptions {
    let text = format!("[[retention]]\n{block}\n");
    let config = Config::parse(&text, Path::new("backend.toml"), []).expect("it can be read");
    CollectOptions { retention: config.retention, ..OPTIONS }
}

impl Site {
    async fn collect_by(&self, options: &CollectOptions) -> Collected {
        self.store().collect(options, None).await.expect("it runs")
    }

    /// The same as [`later`](Self::later), for what the collector has written down too.
    async fn pass(&self, by: Duration) {
        self.later(by);
        let node = &self.store().node;
        let Some(LastLook { version, collection }) = node.collection().await.expect("it is read") else { return };
        let mut earlier = Collection::clone(&collection);
        earlier.untagged.values_mut().for_each(|since| *since -= by.as_secs());
        node.swap_collection(Some(&version), earlier).await.expect("it is written").expect("nobody else does");
        let pulled = node.objects.get(keys::PULLED).await.expect("it is read").expect("it was recorded");
        let mut pulled: serde_json::Value = serde_json::from_slice(&pulled.bytes).expect("it is JSON");
        let earlier = |time: &mut serde_json::Value| *time = (time.as_u64().expect("a time") - by.as_secs()).into();
        earlier(&mut pulled["since"]);
        let digests = pulled["pulled"].as_object_mut().expect("by repository").values_mut();
        digests.flat_map(|digests| digests.as_object_mut().expect("by digest").values_mut()).for_each(earlier);
        node.objects.put(keys::PULLED, pulled.to_string().into(), None).await.expect("it is written");
    }

    /// As `GET` of a manifest does.
    fn pull(&self, repository: &str, digest: &Digest) {
        self.store().note_pull(&name(repository), digest);
    }

    async fn tags(&self, repository: &str) -> Vec<String> {
        let tags = self.store().tags(&name(repository), "", 100).await.expect("they are listed");
        tags.unwrap_or_default().iter().map(ToString::to_string).collect()
    }

    async fn has_manifest(&self, repository: &str, digest: &Digest) -> bool {
        let reference = Reference::Digest(digest.clone());
        self.store().manifest(&name(repository), &reference).await.expect("it is read").is_some()
    }

    /// Puts a manifest that names another, by its digest alone.
    async fn put_about(&self, repository: &str, field: &str, other: &Digest) -> Digest {
        let (content, subject) = match field {
            "subject" => (format!(r#"{{"subject":{{"digest":"{other}"}}}}"#), Some(other.clone())),
            _ => (format!(r#"{{"manifests":[{{"digest":"{other}"}}]}}"#), None),
        };
        let digest = digest(&content);
        let requires = if subject.is_none() { vec![Requirement::Manifest(other.clone())] } else { Vec::new() };
        let manifest = NewManifest {
            digest: digest.clone(),
            content: content.into(),
            tags: Vec::new(),
            subject,
            requires,
            precondition: None,
            by: None,
        };
        self.store().put_manifest(&name(repository), manifest).await.expect("it is put");
        digest
    }
}

#[tokio::test]
async fn tags_that_no_rule_keeps_go_into_the_trash_and_those_of_other_repositories_stay() {
    for site in sites() {
        for repository in ["team/app", "other"] {
            for tag in ["latest", "v1", "dev-1", "dev-2"] {
                site.push(repository, tag, "layer").await;
            }
        }
        let rules = keeping("repositories = 'team/*'\nkeep = [{ tags = ['latest', 'v*'] }, { pushed = '1d' }]");
        assert_eq!(site.collect_by(&rules).await.tags, 0, "they are young");
        site.later(25 * HOUR);
        site.push("team/app", "dev-3", "layer").await;
        let plan = site.store().plan(&rules).await.expect("it is made");
        let planned: Vec<String> = plan.candidates.iter().map(|candidate| candidate.item.to_string()).collect();
        assert_eq!(site.tags("team/app").await.len(), 5, "a plan removes nothing");
        assert!(planned.len() == 2 && planned[0].starts_with("tag team/app:dev-1@sha256:"), "{planned:?}");
        assert_eq!(site.collect_by(&rules).await.tags, 2);
        assert_eq!(site.tags("team/app").await, ["dev-3", "latest", "v1"]);
        assert_eq!(site.tags("other").await, ["dev-1", "dev-2", "latest", "v1"]);
        let records = site.store().trash(None).await.expect("they are listed");
        let tags: Vec<&Tag> = records.iter().flat_map(|record| &record.deleted.tags).collect();
        assert_eq!(records.len(), 2);
        assert!(tags.contains(&&tag("dev-1")) && tags.contains(&&tag("dev-2")));
        let why = records[0].deleted.why.as_deref().expect("a reason");
        assert!(why.contains("[[retention]] 1 for [\"team/*\"] keeps it"), "{why}");
    }
}

#[tokio::test]
async fn who_pushes_the_same_image_once_more_pushes_its_tag() {
    for site in sites() {
        let rules = keeping("repositories = '**'\nkeep = [{ pushed = '30d' }]");
        for tag in ["again", "old"] {
            site.push("a", tag, "layer").await;
        }
        site.later(31 * 24 * HOUR);
        site.put("a", "again", "layer").await.expect("its layer is there");
        assert_eq!(site.collect_by(&rules).await.tags, 1);
        assert_eq!(site.tags("a").await, ["again"]);
    }
}

#[tokio::test]
async fn the_first_block_that_is_about_a_repository_counts_and_of_a_plan_what_was_left_in_it() {
    for site in sites() {
        for tag in ["one", "two"] {
            site.push("a", tag, "layer").await;
        }
        site.push("b", "one", "layer").await;
        let rules = keeping("repositories = 'a'\n[[retention]]\nrepositories = '**'\nkeep = [{ tags = 'x' }]");
        let plan = site.store().plan(&rules).await.expect("it is made");
        let items: Vec<&Item> = plan.candidates.iter().map(|candidate| &candidate.item).collect();
        assert!(matches!(items[..], [Item::Tag(repository, ..)] if *repository == name("b")), "{items:?}");
        let rules = keeping("repositories = '**'\nkeep = [{ tags = 'x' }]");
        let only = site.store().plan(&rules).await.expect("it is made").candidates.into_iter().map(|found| found.item);
        let only: HashSet<Item> = only.filter(|item| item.to_string().contains("two")).collect();
        // It is another image by now.
        site.push("a", "two", "another").await;
        let collected = site.store().collect(&rules, Some(&only)).await.expect("it runs");
        assert_eq!((collected.tags, site.tags("a").await.len()), (0, 2));
    }
}

#[tokio::test]
async fn an_untagged_manifest_goes_once_it_was_seen_so_for_long_and_its_layer_after_it() {
    for site in sites() {
        let old = site.push("a", "latest", "one").await;
        // For a year it is what everybody runs.
        site.pass(365 * 24 * HOUR).await;
        let rules = keeping("repositories = '**'\nuntagged = '7d'");
        site.collect_by(&rules).await;
        site.push("a", "latest", "two").await;
        site.collect_by(&rules).await;
        // As long as it can be restored, it is led to.
        site.pass(8 * 24 * HOUR).await;
        for _ in 0..3 {
            assert_eq!(site.collect_by(&rules).await.removed, 0, "it is first seen so now");
        }
        site.pass(6 * 24 * HOUR).await;
        site.collect_by(&rules).await;
        assert_eq!(site.collect_by(&rules).await.removed, 0, "it was seen so for six days");
        site.pass(2 * 24 * HOUR).await;
        assert_eq!(site.collect_by(&rules).await.condemned, 1, "its link alone");
        assert!(site.has_manifest("a", &old).await);
        assert_eq!(site.collect_by(&rules).await.removed, 1);
        assert!(!site.has_manifest("a", &old).await && site.has_blob("a", "one").await);
        site.pass(25 * HOUR).await;
        site.collect_by(&rules).await;
        assert_eq!(site.collect_by(&rules).await.removed, 3, "its bytes, and the layer with its link");
        assert!(site.has_blob("a", "two").await && !site.has_bytes(&old).await);
    }
}

#[tokio::test]
async fn a_manifest_that_is_tagged_again_meanwhile_begins_anew() {
    for site in sites() {
        let rules = keeping("repositories = '**'\nuntagged = '7d'");
        let image = site.push("a", "v1", "one").await;
        let forget = async || {
            site.store().delete_tag(&name("a"), &tag("v1"), &Precondition::default(), &Cause::default()).await.unwrap();
            site.store().empty_trash(Duration::ZERO).await.unwrap();
        };
        forget().await;
        site.pass(25 * HOUR).await;
        site.collect_by(&rules).await;
        let untagged = async || site.store().node.collection().await.unwrap().unwrap().collection.untagged.len();
        assert_eq!(untagged().await, 1);
        site.put("a", "v1", "one").await.expect("its layer is there");
        site.pass(8 * 24 * HOUR).await;
        for _ in 0..2 {
            assert_eq!(site.collect_by(&rules).await.removed, 0);
        }
        assert_eq!(untagged().await, 0);
        forget().await;
        for _ in 0..2 {
            assert_eq!(site.collect_by(&rules).await.removed, 0, "it is untagged for a moment");
        }
        assert!(site.has_manifest("a", &image).await && untagged().await == 1);
        // Nobody says any more that it goes.
        site.pass(8 * 24 * HOUR).await;
        assert_eq!((site.collect().await.condemned, untagged().await), (0, 0));
    }
}

#[tokio::test]
async fn an_index_keeps_its_children_and_a_subject_what_is_about_it() {
    for site in sites() {
        let rules = keeping("repositories = '**'\nuntagged = '1d'");
        let child = site.push("a", "child", "one").await;
        let signature = site.put_about("a", "subject", &child).await;
        let index = site.put_about("a", "manifests", &child).await;
        site.store().delete_tag(&name("a"), &tag("child"), &Precondition::default(), &Cause::default()).await.unwrap();
        site.store().empty_trash(Duration::ZERO).await.unwrap();
        let goes = async |digest: &Digest, stays: &[&Digest]| {
            site.pass(25 * HOUR).await;
            site.collect_by(&rules).await;
            site.pass(25 * HOUR).await;
            for _ in 0..2 {
                site.collect_by(&rules).await;
            }
            assert!(!site.has_manifest("a", digest).await);
            for digest in stays {
                assert!(site.has_manifest("a", digest).await);
            }
        };
        goes(&index, &[&child, &signature]).await;
        goes(&child, &[&signature]).await;
        goes(&signature, &[]).await;
    }
}

#[tokio::test]
async fn a_signature_that_is_found_by_its_tag_stays_as_long_as_its_image() {
    for site in sites() {
        let image = site.push("a", "v1", "one").await;
        let signature = format!("sha256-{}.sig", image.hex());
        site.push("a", &signature, "signature").await;
        let rules = keeping("repositories = '**'\nkeep = [{ tags = 'v*' }]");
        assert_eq!(site.collect_by(&rules).await.tags, 0);
        assert!(site.store().delete_manifest(&name("a"), &image, None, &Cause::default()).await.expect("it goes"));
        assert_eq!(site.collect_by(&rules).await.tags, 0, "the image can be restored");
        site.store().empty_trash(Duration::ZERO).await.unwrap();
        assert_eq!(site.collect_by(&rules).await.tags, 1);
    }
}

#[tokio::test]
async fn a_tag_whose_manifest_was_pulled_stays_and_no_other_once_pulls_were_recorded_for_so_long() {
    for site in sites() {
        let [one, two] = [site.push("a", "one", "1").await, site.push("a", "two", "2").await];
        site.pull("a", &one);
        let rules = keeping("repositories = '**'\nkeep = [{ pulled = '90d' }]");
        site.collect_by(&rules).await;
        let batches = async || {
            let entries = site.store().objects().scan(keys::PULLS);
            entries.try_collect::<Vec<_>>().await.expect("they are listed").len()
        };
        assert_eq!(batches().await, 0, "it is merged");
        site.pass(80 * 24 * HOUR).await;
        site.pull("a", &one);
        site.store().write_pulls().await.expect("it is written");
        assert_eq!(batches().await, 1);
        // The same pull, once more.
        site.pull("a", &one);
        assert_eq!(site.collect_by(&rules).await.tags, 0, "pulls were recorded for 80 days");
        site.pass(20 * 24 * HOUR).await;
        let plan = site.store().plan(&rules).await.expect("it is made");
        let [found] = &plan.candidates[..] else { panic!("{plan:?}") };
        assert_eq!(found.item, Item::Tag(name("a"), tag("two"), two.clone()));
        assert!(found.why.contains("never pulled since"), "{}", found.why);
        assert_eq!(site.collect_by(&rules).await.tags, 1);
        assert_eq!(site.tags("a").await, ["one"]);
        site.pass(80 * 24 * HOUR).await;
        let plan = site.store().plan(&rules).await.expect("it is made");
        assert!(plan.candidates[0].why.contains("last pulled"), "{plan:?}");
        assert_eq!(site.collect_by(&rules).await.tags, 1);
    }
}

#[tokio::test]
async fn where_pulls_were_forgotten_everything_counts_as_pulled() {
    for site in sites() {
        let image = site.push("a", "v1", "1").await;
        let rules = keeping("repositories = '**'\nkeep = [{ pulled = '90d' }]");
        site.collect_by(&rules).await;
        site.pass(100 * 24 * HOUR).await;
        // A node has seen more than it could remember, or has written nothing that can be read.
        for forgotten in [r#"{"pulled":{},"is_incomplete":true}"#, "{"] {
            let batch = keys::batch_of_pulls(Uuid::new_v4());
            site.store().objects().put(&batch, forgotten.into(), None).await.expect("it is written");
            assert_eq!(site.collect_by(&rules).await.tags, 0, "{forgotten}");
            site.pass(80 * 24 * HOUR).await;
        }
        site.pull("a", &image);
        site.store().objects().put(keys::PULLED, "{".into(), None).await.expect("it is written");
        assert_eq!(site.collect_by(&rules).await.tags, 0);
        site.pass(100 * 24 * HOUR).await;
        assert_eq!(site.collect_by(&rules).await.tags, 1);
    }
}
