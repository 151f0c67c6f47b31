use std::collections::BTreeMap;
use std::fs;
use std::future::poll_fn;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use lockgate_oci::Algorithm;
use serde_json::json;

use super::*;
use crate::hasher::digest_of;
use crate::objects::{MemoryObjects, Objects as _};
use crate::registry::ObjectStore;
use crate::store::Cause;

type AnyStore = Arc<dyn Store>;

fn name(text: &str) -> RepositoryName {
    text.parse().unwrap()
}

fn sha256(content: &[u8]) -> Digest {
    digest_of(Algorithm::Sha256, content)
}

fn memory() -> AnyStore {
    Arc::new(ObjectStore::over(Arc::new(MemoryObjects::default()), 1000, 2))
}

fn disk(directory: &Path) -> AnyStore {
    Arc::new(ObjectStore::in_directory(directory).unwrap())
}

async fn push(store: &AnyStore, repository: &str, content: &[u8], algorithm: Algorithm) -> Digest {
    let digest = digest_of(algorithm, content);
    let id = store.begin_upload(&name(repository), algorithm).await.unwrap();
    let mut upload = store.resume_upload(&name(repository), id).await.unwrap();
    upload.append(Bytes::copy_from_slice(content)).await.unwrap();
    upload.commit(&digest).await.unwrap();
    digest
}

/// Puts the manifest of an image, which requires its layers to be there.
async fn put(
    store: &AnyStore,
    repository: &str,
    layers: &[&Digest],
    subject: Option<&Digest>,
    tags: &[&str],
) -> Digest {
    let descriptor = |digest: &Digest| json!({"mediaType": "application/x", "digest": digest.as_str(), "size": 1});
    let mut content = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "layers": layers.iter().map(|digest| descriptor(digest)).collect::<Vec<_>>(),
    });
    if let Some(subject) = subject {
        content["subject"] = descriptor(subject);
    }
    let content = Bytes::from(content.to_string());
    let digest = sha256(&content);
    let requires = Manifest::stored(&content).unwrap().requires();
    let tags = tags.iter().map(|tag| tag.parse().unwrap()).collect();
    let new = NewManifest {
        digest: digest.clone(),
        content,
        tags,
        subject: subject.cloned(),
        requires,
        precondition: None,
        by: None,
    };
    store.put_manifest(&name(repository), new).await.unwrap();
    digest
}

/// Pushes an image of one layer.
async fn image(store: &AnyStore, repository: &str, tag: &str, layer: &[u8]) -> Digest {
    let layer = push(store, repository, layer, Algorithm::Sha256).await;
    put(store, repository, &[&layer], None, &[tag]).await
}

/// Everything that there is to be found in a store, by where it is.
async fn everything(store: &AnyStore) -> BTreeMap<String, Bytes> {
    let mut all = BTreeMap::new();
    for repository in store.repositories("", usize::MAX).await.unwrap() {
        for digest in store.linked(&repository, Links::Blobs).await.unwrap() {
            if let Some(blob) = store.blob(&repository, &digest).await.unwrap() {
                let pieces: Vec<Bytes> = blob.read(0..blob.size()).try_collect().await.unwrap();
                all.insert(format!("{repository} blob {digest}"), pieces.concat().into());
            }
        }
        let digests = store.linked(&repository, Links::Manifests).await.unwrap();
        for digest in &digests {
            let reference = Reference::Digest(digest.clone());
            let stored = store.manifest(&repository, &reference).await.unwrap().expect("a manifest that is linked");
            all.insert(format!("{repository} manifest {digest}"), stored.content);
            for referrer in store.referrers(&repository, digest, "", usize::MAX).await.unwrap() {
                all.insert(format!("{repository} {digest} is the subject of {referrer}"), Bytes::new());
            }
        }
        for tag in store.tags(&repository, "", usize::MAX).await.unwrap().unwrap() {
            let reference = Reference::Tag(tag.clone());
            let stored = store.manifest(&repository, &reference).await.unwrap().expect("no tag dangles");
            for requirement in Manifest::stored(&stored.content).unwrap().requires() {
                let layer = store.blob(&repository, requirement.digest()).await.unwrap();
                assert!(layer.is_some(), "{repository}:{tag} lacks {}", requirement.digest());
            }
            all.insert(format!("{repository} tag {tag}"), stored.content);
        }
    }
    all
}

/// Copies; what it counted, and what it told.
async fn copied(from: &AnyStore, to: &AnyStore) -> (Counts, String) {
    let told = Arc::new(std::sync::Mutex::new(String::new()));
    let telling = Arc::clone(&told);
    let progress = Arc::new(Progress::new(move |line| *telling.lock().unwrap() += &format!("{line}\n")));
    copy(Arc::clone(from), Arc::clone(to), 2, Arc::clone(&progress)).await.unwrap();
    let told = told.lock().unwrap().clone();
    (progress.counts(), told)
}

/// A site that has everything which a site may have.
async fn fill(store: &AnyStore) {
    let long: Vec<u8> = (0..700_001_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    for repository in ["a", "a-b/c", "a/b"] {
        let mut layers = vec![push(store, repository, b"", Algorithm::Sha256).await];
        layers.push(push(store, repository, repository.as_bytes(), Algorithm::Sha256).await);
        layers.push(push(store, repository, &long, Algorithm::Sha256).await);
        layers.push(push(store, repository, b"sha512", Algorithm::Sha512).await);
        push(store, repository, b"a layer that no manifest names", Algorithm::Sha256).await;
        let layers: Vec<&Digest> = layers.iter().collect();
        let image = put(store, repository, &layers, None, &["v1", "latest"]).await;
        let signature = put(store, repository, &layers[..1], Some(&image), &[]).await;
        put(store, repository, &layers[..2], Some(&signature), &["signed"]).await;
        put(store, repository, &[], None, &["moved"]).await;
        put(store, repository, &layers[1..], None, &["moved"]).await;
    }
    push(store, "layers/alone", b"without a manifest", Algorithm::Sha256).await;
}

#[tokio::test]
async fn what_was_pushed_is_there_byte_for_byte_wherever_it_is_copied() {
    let directories = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let [first, second] = directories.each_ref().map(|directory| disk(directory.path()));
    fill(&first).await;
    let everything_pushed = everything(&first).await;
    let mut from = first;
    for to in [memory(), memory(), second] {
        let (counts, told) = copied(&from, &to).await;
        assert_eq!(everything(&to).await, everything_pushed);
        assert_eq!((counts.repositories, counts.of, counts.blobs, counts.manifests, counts.tags), (4, 4, 16, 15, 12));
        assert_eq!((counts.there, counts.failed, counts.dangling, told.as_str()), (0, 0, 0, ""));
        let (counts, _) = copied(&from, &to).await;
        assert_eq!((counts.blobs, counts.manifests, counts.tags, counts.bytes), (0, 0, 0, 0), "nothing is new");
        assert_eq!(counts.there, 31);
        from = to;
    }
}

#[tokio::test]
async fn a_blob_of_many_repositories_is_sent_once_and_one_that_nothing_links_to_never() {
    let directory = tempfile::tempdir().unwrap();
    let (from, to) = (disk(directory.path()), memory());
    for repository in 0..40 {
        image(&from, &format!("r{repository}"), "v1", &[7; 5000]).await;
    }
    let deleted = push(&from, "r0", b"deleted", Algorithm::Sha256).await;
    assert!(from.delete_blob(&name("r0"), &deleted, &Cause::default()).await.unwrap());
    let (counts, _) = copied(&from, &to).await;
    assert_eq!((counts.blobs, counts.bytes), (40, 5000));
    let contents: BTreeMap<Digest, u64> = to.contents().try_collect().await.unwrap();
    assert!(contents.len() == 2 && !contents.contains_key(&deleted), "{contents:?}");
}

#[tokio::test]
async fn a_run_goes_on_where_one_was_cut_off_and_at_no_moment_does_a_tag_dangle() {
    let from = memory();
    fill(&from).await;
    let all = everything(&from).await;
    // What waits for a disk can be cut off at each of its steps.
    for polls in (0..).step_by(7) {
        let directory = tempfile::tempdir().unwrap();
        let to = disk(directory.path());
        let progress = Arc::new(Progress::new(|_| {}));
        let mut copying = pin!(copy(Arc::clone(&from), Arc::clone(&to), 2, Arc::clone(&progress)));
        let mut left = polls;
        let ended = poll_fn(|context| match copying.as_mut().poll(context) {
            Poll::Pending if left == 0 => Poll::Ready(false),
            Poll::Pending => {
                left -= 1;
                Poll::Pending
            }
            Poll::Ready(copied) => {
                copied.unwrap();
                Poll::Ready(true)
            }
        })
        .await;
        everything(&to).await;
        let (before, (after, _)) = (progress.counts(), copied(&from, &to).await);
        assert_eq!(everything(&to).await, all);
        assert!(after.there >= before.blobs + before.manifests, "{before:?} {after:?}");
        if ended {
            assert!(polls > 50, "it was cut off {polls} times at most");
            return;
        }
    }
}

#[tokio::test]
async fn what_follows_is_copied_by_the_next_run_and_nothing_is_removed() {
    let (from, to) = (memory(), memory());
    let (old, gone) = (image(&from, "a", "v1", b"old").await, image(&from, "a", "gone", b"gone").await);
    copied(&from, &to).await;
    let new = image(&from, "a", "v1", b"new").await;
    image(&from, "b", "v1", b"another").await;
    assert!(from.delete_manifest(&name("a"), &gone, None, &Cause::default()).await.unwrap());
    image(&to, "a", "v1", b"pushed at the target").await;
    image(&to, "a", "theirs", b"pushed at the target").await;
    let (counts, _) = copied(&from, &to).await;
    assert_eq!((counts.blobs, counts.manifests, counts.tags), (2, 2, 2));
    let said = async |tag: &str| to.tag(&name("a"), &tag.parse().unwrap()).await.unwrap();
    assert_eq!((said("v1").await, said("gone").await), (Some(new), Some(gone)));
    assert!(said("theirs").await.is_some());
    assert!(to.manifest(&name("a"), &Reference::Digest(old)).await.unwrap().is_some());
    everything(&to).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_pushed_meanwhile_comes_whole_or_not_yet() {
    let (from, to) = (memory(), memory());
    image(&from, "a", "v0", b"first").await;
    let pushing = {
        let from = Arc::clone(&from);
        tokio::spawn(async move {
            for turn in 0..600 {
                image(&from, "a", &format!("v{}", turn % 20), format!("layer {turn}").as_bytes()).await;
            }
        })
    };
    while !pushing.is_finished() {
        copied(&from, &to).await;
        everything(&to).await;
    }
    pushing.await.unwrap();
    copied(&from, &to).await;
    assert_eq!(everything(&to).await, everything(&from).await);
}

#[tokio::test]
async fn what_is_damaged_is_named_and_counted_and_the_rest_is_copied() {
    let directory = tempfile::tempdir().unwrap();
    let (from, to) = (disk(directory.path()), memory());
    let file = |digest: &Digest| {
        let hex = digest.hex();
        directory.path().join(format!("docker/registry/v2/blobs/sha256/{}/{hex}/data", &hex[..2]))
    };
    let whole = image(&from, "a", "whole", b"whole").await;
    let (other, short) = (image(&from, "a", "other", b"other bytes").await, image(&from, "a", "short", b"short").await);
    let broken = image(&from, "a", "broken", b"its manifest").await;
    let gone = push(&from, "a", b"gone", Algorithm::Sha256).await;
    fs::write(file(&sha256(b"other bytes")), b"wrong bytes").unwrap();
    fs::File::options().write(true).open(file(&sha256(b"short"))).unwrap().set_len(2).unwrap();
    fs::write(file(&broken), b"{}").unwrap();
    fs::remove_file(file(&gone)).unwrap();
    for _ in 0..2 {
        let (counts, told) = copied(&from, &to).await;
        assert_eq!((counts.failed, counts.dangling, told.lines().count()), (3, 1, 3), "{told}");
        for damaged in [&sha256(b"other bytes"), &sha256(b"short"), &broken] {
            assert!(told.lines().any(|line| line.starts_with("a: ") && line.contains(damaged.as_str())), "{told}");
        }
        for digest in [&whole, &other, &short] {
            assert!(to.manifest(&name("a"), &Reference::Digest(digest.clone())).await.unwrap().is_some());
        }
        assert!(to.tag(&name("a"), &"broken".parse().unwrap()).await.unwrap().is_none());
        assert!(to.blob(&name("a"), &sha256(b"other bytes")).await.unwrap().is_none());
    }
    for (layer, tag) in [(&b"other bytes"[..], "other"), (b"short", "short"), (b"its manifest", "broken")] {
        image(&from, "a", tag, layer).await;
    }
    let (counts, told) = copied(&from, &to).await;
    assert_eq!((counts.failed, counts.blobs, counts.manifests, told.as_str()), (0, 2, 1, ""));
    assert_eq!(everything(&to).await, everything(&from).await);
}

#[tokio::test]
async fn what_is_shorter_or_longer_at_the_target_is_sent_again() {
    let directories = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let (from, to) = (disk(directories[0].path()), disk(directories[1].path()));
    image(&from, "a", "v1", b"layer").await;
    copied(&from, &to).await;
    let (layer, hex) = (sha256(b"layer"), sha256(b"layer").hex().to_owned());
    let data = directories[1].path().join(format!("docker/registry/v2/blobs/sha256/{}/{hex}/data", &hex[..2]));
    for damaged in [&b"lay"[..], b"layer and more"] {
        fs::write(&data, damaged).unwrap();
        let (counts, _) = copied(&from, &to).await;
        assert_eq!((counts.blobs, counts.there), (1, 1));
        assert_eq!(to.blob(&name("a"), &layer).await.unwrap().unwrap().size(), 5);
    }
}

#[tokio::test]
async fn a_manifest_whose_place_among_the_referrers_was_not_written_is_put_again() {
    let (from, objects) = (memory(), Arc::new(MemoryObjects::default()));
    let to: AnyStore = Arc::new(ObjectStore::over(Arc::clone(&objects) as Arc<_>, 1000, 2));
    let image = image(&from, "a", "v1", b"layer").await;
    put(&from, "a", &[], Some(&image), &[]).await;
    copied(&from, &to).await;
    let markers: Vec<_> = objects.scan(".lockgate/referrers/").try_collect().await.unwrap();
    assert_eq!(markers.len(), 1);
    objects.remove(&markers[0].key).await.unwrap();
    let (counts, _) = copied(&from, &to).await;
    assert_eq!((counts.manifests, counts.there), (1, 2));
    assert_eq!(everything(&to).await, everything(&from).await);
}

#[tokio::test]
async fn a_site_is_read_while_another_process_has_it_and_nothing_in_it_changes() {
    let directory = tempfile::tempdir().unwrap();
    let serving = disk(directory.path());
    fill(&serving).await;
    let before = files(directory.path());
    let from: AnyStore = Arc::new(ObjectStore::in_directory_to_read(directory.path()).unwrap());
    let to = memory();
    copied(&from, &to).await;
    assert_eq!(everything(&to).await, everything(&serving).await);
    assert_eq!(files(directory.path()), before);
}

#[tokio::test]
async fn a_bucket_is_read_and_nothing_in_it_written_however_long_nobody_has_relied_on_it() {
    let objects = Arc::new(MemoryObjects::default());
    let store = || ObjectStore::over(Arc::clone(&objects) as Arc<_>, 1000, 2);
    let serving: AnyStore = Arc::new(store());
    fill(&serving).await;
    objects.age(Duration::from_secs(7 * 24 * 60 * 60));
    let written = async || -> BTreeMap<String, SystemTime> {
        objects.scan("").map_ok(|entry| (entry.key, entry.modified)).try_collect().await.unwrap()
    };
    let before = written().await;
    let (from, to): (AnyStore, _) =
        (Arc::new(ObjectStore::over_to_read(Arc::clone(&objects) as Arc<_>, 1000, 2)), memory());
    copied(&from, &to).await;
    assert_eq!(written().await, before);
    assert_eq!(everything(&to).await, everything(&serving).await);
    assert_ne!(written().await, before, "of what a client asks for the links are written again");
}

#[tokio::test]
async fn where_there_is_no_registry_nothing_is_copied() {
    let directory = tempfile::tempdir().unwrap();
    let error = ObjectStore::in_directory_to_read(directory.path()).err().unwrap().to_string();
    assert!(error.contains("there is no registry in it"), "{error}");
    assert!(files(directory.path()).is_empty());
    let copied = copy(memory(), memory(), 2, Arc::new(Progress::new(|_| {}))).await;
    assert!(matches!(copied, Err(CopyError::Empty)));
}

/// The files below a directory, with when each was modified.
fn files(directory: &Path) -> BTreeMap<PathBuf, SystemTime> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        match entry.path() {
            path if path.is_dir() => found.extend(files(&path)),
            path => drop(found.insert(path, entry.metadata().unwrap().modified().unwrap())),
        }
    }
    found
}
