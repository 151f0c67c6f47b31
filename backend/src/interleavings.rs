//! No accepted manifest lacks a blob: programs drawn at random run side by side over a store, and what
//! they were answered must be what some order of their operations, one at a time, would have answered.
//!
//! The order is looked for as Wing and Gong do ("Testing and verifying concurrent objects", 1993): an
//! operation may come next when no other ended before it began.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use lockgate_oci::{Algorithm, Digest, RepositoryName};
use proptest::prelude::*;

use crate::hasher::digest_of;
use crate::registry::ObjectStore;
use crate::store::{Cause, NewManifest, Requirement, Store, StoreError};

/// Blobs and manifests are few, so that the programs get in each other's way.
const BLOBS: u8 = 3;
const MANIFESTS: u8 = 2;

/// How often a manifest names each thing that it requires: looking for them all takes so much longer,
/// and whoever removes one has the more time to come in between.
const REPEATED: usize = 40;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Operation {
    PushBlob(u8),
    DeleteBlob(u8),
    /// A manifest, or an index of manifests, that requires these.
    PutManifest {
        manifest: u8,
        blobs: BTreeSet<u8>,
        manifests: BTreeSet<u8>,
    },
    DeleteManifest(u8),
}

/// An operation that was done: what was answered, and when it began and ended.
#[derive(Debug, Clone)]
struct Done {
    operation: Operation,
    accepted: bool,
    began: usize,
    ended: usize,
}

/// What is there, by the sequential specification.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
struct State {
    blobs: BTreeSet<u8>,
    manifests: BTreeSet<u8>,
}

impl State {
    /// Does an operation; returns what it is answered.
    fn apply(&mut self, operation: &Operation) -> bool {
        match operation {
            Operation::PushBlob(blob) => {
                self.blobs.insert(*blob);
                true
            }
            Operation::DeleteBlob(blob) => self.blobs.remove(blob),
            Operation::DeleteManifest(manifest) => self.manifests.remove(manifest),
            Operation::PutManifest { manifest, blobs, manifests } => {
                let accepted = blobs.is_subset(&self.blobs) && manifests.is_subset(&self.manifests);
                if accepted {
                    self.manifests.insert(*manifest);
                }
                accepted
            }
        }
    }
}

/// Whether some order of the operations explains their answers.
fn explained(history: &[Done]) -> bool {
    let mut failed = BTreeSet::new();
    explained_from(&State::default(), history, 0, &mut failed)
}

/// `placed` has a bit for each operation that already has its place in the order.
fn explained_from(state: &State, history: &[Done], placed: u32, failed: &mut BTreeSet<(u32, State)>) -> bool {
    if placed.count_ones() as usize == history.len() {
        return true;
    }
    if failed.contains(&(placed, state.clone())) {
        return false;
    }
    let left = || (0..history.len()).filter(|at| placed & (1 << at) == 0);
    for next in left().filter(|next| left().all(|other| history[other].ended >= history[*next].began)) {
        let mut after = state.clone();
        if after.apply(&history[next].operation) == history[next].accepted
            && explained_from(&after, history, placed | (1 << next), failed)
        {
            return true;
        }
    }
    failed.insert((placed, state.clone()));
    false
}

fn repository() -> RepositoryName {
    "a".parse().unwrap()
}

fn blob(number: u8) -> Bytes {
    Bytes::from(vec![b'b', number])
}

fn manifest(number: u8) -> Bytes {
    Bytes::from(vec![b'm', number])
}

fn digest(content: &Bytes) -> Digest {
    digest_of(Algorithm::Sha256, content)
}

async fn run(store: &dyn Store, operation: &Operation) -> bool {
    match operation {
        Operation::PushBlob(number) => {
            let id = store.begin_upload(&repository(), Algorithm::Sha256).await.unwrap();
            let mut upload = store.resume_upload(&repository(), id).await.unwrap();
            upload.append(blob(*number)).await.unwrap();
            upload.commit(&digest(&blob(*number))).await.unwrap();
            true
        }
        Operation::DeleteBlob(number) => {
            store.delete_blob(&repository(), &digest(&blob(*number)), &Cause::default()).await.unwrap()
        }
        Operation::DeleteManifest(number) => {
            store.delete_manifest(&repository(), &digest(&manifest(*number)), None, &Cause::default()).await.unwrap()
        }
        Operation::PutManifest { manifest: number, blobs, manifests } => {
            let blobs = blobs.iter().map(|number| Requirement::Blob(digest(&blob(*number))));
            let manifests = manifests.iter().map(|number| Requirement::Manifest(digest(&manifest(*number))));
            let required: Vec<_> = blobs.chain(manifests).collect();
            let requires = required.iter().flat_map(|one| std::iter::repeat_n(one.clone(), REPEATED)).collect();
            let content = manifest(*number);
            let tags = vec!["v1".parse().unwrap()];
            let new = NewManifest {
                digest: digest(&content),
                content,
                tags,
                subject: None,
                requires,
                precondition: None,
                by: None,
            };
            match store.put_manifest(&repository(), new).await {
                Ok(()) => true,
                Err(StoreError::Missing(_)) => false,
                Err(error) => panic!("{operation:?}: {error}"),
            }
        }
    }
}

/// Runs programs side by side. Returns what was done, and what is there in the end.
async fn history(store: Arc<dyn Store>, programs: Vec<Vec<Operation>>) -> Vec<Done> {
    let clock = Arc::new(AtomicUsize::new(0));
    let start = Arc::new(tokio::sync::Barrier::new(programs.len()));
    let tasks = programs.into_iter().map(|program| {
        let (store, clock, start) = (Arc::clone(&store), Arc::clone(&clock), Arc::clone(&start));
        tokio::spawn(async move {
            let mut done = Vec::new();
            start.wait().await;
            for operation in program {
                let began = clock.fetch_add(1, Ordering::SeqCst);
                let accepted = run(store.as_ref(), &operation).await;
                done.push(Done { operation, accepted, began, ended: clock.fetch_add(1, Ordering::SeqCst) });
            }
            done
        })
    });
    let mut history = Vec::new();
    for task in tasks.collect::<Vec<_>>() {
        history.extend(task.await.unwrap());
    }
    // What is left in the end is part of the story: a deletion is answered by whether there was something.
    let last = (0..BLOBS).map(Operation::DeleteBlob).chain((0..MANIFESTS).map(Operation::DeleteManifest));
    for operation in last {
        let began = clock.fetch_add(1, Ordering::SeqCst);
        let accepted = run(store.as_ref(), &operation).await;
        history.push(Done { operation, accepted, began, ended: clock.fetch_add(1, Ordering::SeqCst) });
    }
    history
}

fn operation() -> impl Strategy<Value = Operation> {
    let some = |most: u8| prop::collection::btree_set(0..most, 1..=usize::from(most));
    prop_oneof![
        3 => (0..BLOBS).prop_map(Operation::PushBlob),
        3 => (0..BLOBS).prop_map(Operation::DeleteBlob),
        3 => (0..MANIFESTS, some(BLOBS))
            .prop_map(|(manifest, blobs)| Operation::PutManifest { manifest, blobs, manifests: BTreeSet::new() }),
        1 => (0..MANIFESTS, some(BLOBS), some(MANIFESTS))
            .prop_map(|(manifest, blobs, manifests)| Operation::PutManifest { manifest, blobs, manifests }),
        1 => (0..MANIFESTS).prop_map(Operation::DeleteManifest),
    ]
}

fn programs() -> impl Strategy<Value = Vec<Vec<Operation>>> {
    prop::collection::vec(prop::collection::vec(operation(), 1..7), 3..=3)
}

fn check(store: Arc<dyn Store>, programs: Vec<Vec<Operation>>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).build().unwrap();
    let history = runtime.block_on(history(store, programs));
    assert!(explained(&history), "no order of these explains their answers: {history:#?}");
}

fn put(blobs: &[u8]) -> Operation {
    Operation::PutManifest { manifest: 0, blobs: blobs.iter().copied().collect(), manifests: BTreeSet::new() }
}

#[test]
fn the_checker_knows_what_cannot_have_been() {
    let done = |operation, accepted, began, ended| Done { operation, accepted, began, ended };
    let (push, delete) = (Operation::PushBlob(0), Operation::DeleteBlob(0));
    // The blob is gone before the manifest comes, or goes while it comes.
    let mut history = vec![done(push, true, 0, 1), done(delete, true, 2, 3), done(put(&[0]), true, 4, 5)];
    assert!(!explained(&history));
    history[1].ended = 6;
    assert!(explained(&history));
    // Two blobs, of which there was only ever one at a time.
    let history = [
        done(Operation::PushBlob(0), true, 0, 1),
        done(put(&[0, 1]), true, 2, 9),
        done(Operation::DeleteBlob(0), true, 3, 4),
        done(Operation::PushBlob(1), true, 5, 6),
    ];
    assert!(!explained(&history));
}

/// A manifest of two blobs and, between them, of so many others that looking for them takes as long as
/// replacing the one by the other.
async fn put_of_both(store: &dyn Store, [first, last]: [u8; 2]) -> Result<(), StoreError> {
    let require = |number| Requirement::Blob(digest(&blob(number)));
    let others = std::iter::repeat_n(require(BLOBS), 1500);
    let requires = std::iter::once(require(first)).chain(others).chain([require(last)]).collect();
    let content = manifest(0);
    let new = NewManifest {
        digest: digest(&content),
        content,
        tags: Vec::new(),
        subject: None,
        requires,
        precondition: None,
        by: None,
    };
    store.put_manifest(&repository(), new).await
}

/// Two blobs are there in turn, never both: a manifest of both is never accepted, however it falls.
fn never_both(store: Arc<dyn Store>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).build().unwrap();
    runtime.block_on(async {
        run(store.as_ref(), &Operation::PushBlob(BLOBS)).await;
        let over = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let putting = {
            let (store, over) = (Arc::clone(&store), Arc::clone(&over));
            tokio::spawn(async move {
                let mut puts = 0;
                while !over.load(Ordering::SeqCst) {
                    let both = if puts % 2 == 0 { [0, 1] } else { [1, 0] };
                    let refused = put_of_both(store.as_ref(), both).await;
                    assert!(matches!(refused, Err(StoreError::Missing(_))), "{refused:?} after {puts} refusals");
                    puts += 1;
                }
            })
        };
        for turn in 0..80 {
            let number = turn % 2;
            run(store.as_ref(), &Operation::PushBlob(number)).await;
            // It is there for longer than it takes to replace it, so that it is often found.
            for _ in 0..200 {
                assert!(store.blob(&repository(), &digest(&blob(number))).await.unwrap().is_some());
            }
            assert!(run(store.as_ref(), &Operation::DeleteBlob(number)).await);
        }
        over.store(true, Ordering::SeqCst);
        putting.await.unwrap();
    });
}

#[test]
fn a_manifest_of_two_blobs_that_are_never_there_together_is_never_accepted() {
    never_both(Arc::new(ObjectStore::in_memory()));
    let directory = tempfile::tempdir().unwrap();
    never_both(Arc::new(ObjectStore::in_directory(directory.path()).unwrap()));
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 100, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn manifests_and_deletions_side_by_side_on_disk_are_as_one_after_the_other(programs in programs()) {
        let directory = tempfile::tempdir().unwrap();
        check(Arc::new(ObjectStore::in_directory(directory.path()).unwrap()), programs);
    }

    #[test]
    fn manifests_and_deletions_side_by_side_in_memory_are_as_one_after_the_other(programs in programs()) {
        check(Arc::new(ObjectStore::in_memory()), programs);
    }
}
