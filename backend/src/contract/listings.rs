//! What every store keeps to about lists.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use lockgate_oci::{Algorithm, Digest};

use super::{AnyStore, long_content, manifest, name, push, put, referrers, repositories, sha256, tag, tags};
use crate::hasher::digest_of;
use crate::store::{Cause, Links, NewManifest, Precondition};

pub(super) async fn tags_are_listed_in_pages_by_the_order_of_their_bytes(store: AnyStore) {
    assert_eq!(tags(&store, "a", "", 9).await, None);
    put(&store, "a", "m", &["b", "a", "_x", "B", "1.0", "10", "2"]).await;
    let all = ["1.0", "10", "2", "B", "_x", "a", "b"];
    assert_eq!(tags(&store, "a", "", usize::MAX).await.unwrap(), all);
    assert_eq!(tags(&store, "a", "", 2).await.unwrap(), all[..2]);
    assert_eq!(tags(&store, "a", "10", 3).await.unwrap(), all[2..5]);
    assert_eq!(tags(&store, "a", "9 is no tag here", 9).await.unwrap(), all[3..]);
    assert_eq!(tags(&store, "a", "b", 9).await, Some(vec![]));
    assert_eq!(tags(&store, "a", "", 0).await, Some(vec![]));
}

pub(super) async fn a_long_list_of_tags_is_right_while_tags_come_and_go(store: AnyStore) {
    let kept: Vec<String> = (0..300).map(|i| format!("kept-{i:03}")).collect();
    put(&store, "a", "m", &kept.iter().map(String::as_str).collect::<Vec<_>>()).await;
    assert_eq!(tags(&store, "a", "", 400).await.unwrap(), kept);
    let writers = (0..4).map(|writer| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            for i in 0..8 {
                let text = format!("came-{writer}-{i}");
                put(&store, "a", "m", &[&text]).await;
                assert!(tags(&store, "a", "", 100).await.unwrap().contains(&text), "a tag is listed once it is put");
                if i % 2 == 0 {
                    assert!(
                        store
                            .delete_tag(&name("a"), &tag(&text), &Precondition::default(), &Cause::default())
                            .await
                            .unwrap()
                    );
                    assert!(!tags(&store, "a", "", 100).await.unwrap().contains(&text), "nor when it is deleted");
                }
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    let came = (0..4).flat_map(|writer| [1, 3, 5, 7].map(|i| format!("came-{writer}-{i}")));
    assert_eq!(tags(&store, "a", "", 400).await.unwrap(), came.chain(kept).collect::<Vec<_>>());
}

pub(super) async fn an_upload_alone_makes_no_repository(store: AnyStore) {
    store.begin_upload(&name("a"), Algorithm::Sha256).await.unwrap();
    assert_eq!(tags(&store, "a", "", 9).await, None);
    assert!(repositories(&store, "", 9).await.is_empty());
    push(&store, "a", b"x").await;
    assert_eq!(tags(&store, "a", "", 9).await, Some(vec![]));
    assert_eq!(repositories(&store, "", 9).await, ["a"]);
}

pub(super) async fn repositories_are_listed_in_pages_by_the_order_of_their_bytes(store: AnyStore) {
    let all = ["a", "a-b", "a-b/c", "a/b", "a/b/c", "a0", "b"];
    for repository in all.iter().rev() {
        put(&store, repository, "m", &[]).await;
    }
    assert_eq!(repositories(&store, "", 99).await, all);
    assert_eq!(repositories(&store, "", 3).await, all[..3]);
    assert_eq!(repositories(&store, "a-b/c", 2).await, all[3..5]);
    assert_eq!(repositories(&store, "a/b", 99).await, all[4..]);
    assert!(repositories(&store, "b", 99).await.is_empty());
    assert!(repositories(&store, "", 0).await.is_empty());
}

pub(super) async fn referrers_are_those_that_are_there(store: AnyStore) {
    let subject = sha256(b"not pushed");
    let mut digests = Vec::new();
    for content in ["signature", "bill of materials"] {
        let new = NewManifest { subject: Some(subject.clone()), ..manifest(content) };
        digests.push(new.digest.clone());
        store.put_manifest(&name("a"), new).await.unwrap();
    }
    digests.sort();
    assert_eq!(referrers(&store, "a", &subject, "", 9).await, digests);
    assert!(referrers(&store, "b", &subject, "", 9).await.is_empty());
    store.delete_manifest(&name("a"), &digests[0], Some(&subject), &Cause::default()).await.unwrap();
    assert_eq!(referrers(&store, "a", &subject, "", 9).await, digests[1..]);
}

pub(super) async fn referrers_are_listed_in_pages_by_the_order_of_their_bytes(store: AnyStore) {
    let subject = sha256(b"not pushed");
    let mut all = Vec::new();
    for (i, algorithm) in [Algorithm::Sha256, Algorithm::Sha512].repeat(6).into_iter().enumerate() {
        let new = manifest(&i.to_string());
        let digest = digest_of(algorithm, &new.content);
        let new = NewManifest { digest: digest.clone(), subject: Some(subject.clone()), ..new };
        store.put_manifest(&name("a"), new).await.unwrap();
        all.push(digest);
    }
    all.sort_by_key(ToString::to_string);
    assert_eq!(referrers(&store, "a", &subject, "", usize::MAX).await, all);
    for limit in [1, 5, 6, 7] {
        let mut listed: Vec<Digest> = Vec::new();
        loop {
            let last = listed.last().map_or("", Digest::as_str);
            let page = referrers(&store, "a", &subject, last, limit).await;
            assert!(page.len() <= limit);
            listed.extend(page.iter().cloned());
            if page.len() < limit {
                break;
            }
        }
        assert_eq!(listed, all, "{limit}");
    }
    assert_eq!(referrers(&store, "a", &subject, "sha256:zz is no digest", 2).await, all[6..8]);
    assert!(referrers(&store, "a", &subject, all[11].as_str(), 9).await.is_empty());
    assert!(referrers(&store, "a", &subject, "", 0).await.is_empty());
    // What is gone takes no place on a page.
    store.delete_manifest(&name("a"), &all[1], Some(&subject), &Cause::default()).await.unwrap();
    assert_eq!(referrers(&store, "a", &subject, "", 2).await, [all[0].clone(), all[2].clone()]);
}

pub(super) async fn everything_is_listed_for_who_copies_it(store: AnyStore) {
    let (long, content) = (long_content(), b"of another algorithm");
    let mut blobs = vec![push(&store, "a", b"").await, push(&store, "a", &long).await];
    let sha512 = digest_of(Algorithm::Sha512, content);
    let id = store.begin_upload(&name("a"), Algorithm::Sha512).await.unwrap();
    let mut upload = store.resume_upload(&name("a"), id).await.unwrap();
    upload.append(Bytes::from_static(content)).await.unwrap();
    upload.commit(&sha512).await.unwrap();
    blobs.push(sha512);
    push(&store, "a/b", b"of a longer name").await;
    let manifests = [put(&store, "a", "tagged", &["v1", "gone"]).await, put(&store, "a", "untagged", &[]).await];
    store.delete_tag(&name("a"), &tag("gone"), &Precondition::default(), &Cause::default()).await.unwrap();

    for (links, expected) in [(Links::Blobs, &blobs[..]), (Links::Manifests, &manifests)] {
        let listed: BTreeSet<Digest> = store.linked(&name("a"), links).await.unwrap().into_iter().collect();
        assert_eq!(listed, expected.iter().cloned().collect());
        assert_eq!(store.linked(&name("none"), links).await.unwrap(), []);
    }
    let said = async |text: &str| store.tag(&name("a"), &tag(text)).await.unwrap();
    assert_eq!([said("v1").await, said("gone").await], [Some(manifests[0].clone()), None]);
    let contents: BTreeMap<Digest, u64> = store.contents().try_collect().await.unwrap();
    let sizes = [0, long.len(), content.len(), b"tagged".len(), b"untagged".len(), b"of a longer name".len()];
    let all = blobs.iter().chain(&manifests).cloned().chain([sha256(b"of a longer name")]);
    assert_eq!(contents, all.zip(sizes.map(|size| size as u64)).collect());
}
