//! The protocol by which pushes, deletions, restores and the collector get along without a lock (`registry/collection.rs`,
//! `links.rs`, `manifests.rs`, `removal.rs`), explored exhaustively in the small: every order of the calls of a few requests
//! at different nodes and of runs of the collector, as many as there may be. Each process may end at any call, each DELETE
//! arrive late. In every state nothing that is promised is lost; and where nobody does anything, what nothing leads to goes
//! within two undisturbed runs. Where one of the protocol's parts is left out, the shortest way to a loss is found.
//!
//! `cargo test --release --test collection_protocol -- --nocapture` prints how many states there were, and the ways.

mod collector;
mod deletions;
mod explore;
mod model;
mod processes;
mod pushes;

use Layer::{Mounted, ReliedOn, Uploaded};
use Operation::{DeleteBlob, DeleteManifest, DeleteTag, Push, Restore};
use Tagged::{No, Yes};
use explore::{Explored, explore};
use model::{B1, B2, BD, Keys, LAYER, Layer, Mechanism as M, Operation, R1, R2, Second, State, Tagged, World, Y0, Y1};

const WORLD: World = World {
    operations: &[],
    after: &[],
    second: Second::Beside,
    untagged: false,
    expiry: false,
    collectors: 1,
    by_content: false,
    without: &[],
};
/// With a rule for what has no tag, and records that expire.
const RULE: World = World { untagged: true, expiry: true, ..WORLD };
const FIRST: Keys = R1 | B1 | Y0 | BD;

/// Objects that are there, all of them old; the tag; which manifests are promised; which were untagged for long.
type Start = (Keys, u8, u8, u8);
/// No manifest yet, and of the layer nothing, or what somebody has left behind.
const LAYERS: &[Start] = &[(0, 0, 0, 0), (Y0, 0, 0, 0), (BD, 0, 0, 0), (Y0 | BD, 0, 0, 0)];
/// The first manifest, with the tag and without.
const MANIFEST: &[Start] = &[(FIRST, 0, 1, 0), (FIRST, 1, 1, 0)];
/// The same with a rule.
const UNTAGGED: &[Start] = &[(FIRST, 1, 1, 0), (FIRST, 0, 0, 1)];
const INDEXED: &[Start] = &[(FIRST | R2 | B2, 2, 2, 0)];
/// The first without its revision: somebody pushes it again.
const HALF: &[Start] = &[(FIRST & !R1, 0, 0, 0)];
const BOTH: &[Start] = &[(FIRST | R2 | B2, 1, 1, 0), (FIRST | R2 | B2, 2, 2, 0), (FIRST, 1, 1, 0)];
/// The second manifest in its own repository, and the layer's link in the first.
const ELSEWHERE: &[Start] = &[(Y0 | BD | Y1 | R2 | B2, 0, 2, 0)];

const PUSH: World = World { operations: &[Push(1, Yes, ReliedOn)], collectors: 2, by_content: true, ..WORLD };
const TWO: World = World { operations: &[Push(1, No, ReliedOn), Push(2, No, Uploaded)], ..WORLD };
const APART: World = World { second: Second::InAnotherRepository, ..TWO };
const MOUNT: World = World { operations: &[Push(2, No, Mounted), Push(1, No, ReliedOn)], ..APART };
const MOUNT_AND_DELETE: World = World { operations: &[Push(2, No, Mounted), DeleteBlob], ..APART };
const DELETE: World = World { operations: &[DeleteManifest(1), Push(1, Yes, ReliedOn)], expiry: true, ..WORLD };
const DELETE_TWICE: World =
    World { operations: &[DeleteManifest(1), Push(1, Yes, ReliedOn), DeleteManifest(1)], ..WORLD };
const DELETE_ONE: World = World { operations: &[DeleteManifest(1), Push(2, No, ReliedOn)], ..DELETE };
const RESTORE: World = World { operations: &[DeleteManifest(1), Restore(0)], after: &[(1, 0)], ..DELETE };
const RESTORE_AND_PUSH: World =
    World { operations: &[DeleteManifest(1), Restore(0), Push(1, Yes, ReliedOn)], ..RESTORE };
const RESTORE_AND_DELETE: World = World { operations: &[DeleteManifest(1), Restore(0), DeleteBlob], ..RESTORE };
const RESTORE_AND_UNTAG: World = World { operations: &[DeleteManifest(1), Restore(0), DeleteTag(None)], ..RESTORE };
const RESTORE_BLOB: World = World { operations: &[DeleteBlob, Restore(0)], ..RESTORE };
const RESTORE_TAG: World = World { operations: &[DeleteTag(Some(1)), Restore(0)], ..RESTORE };
const PUSH_THEN_DELETE: World = World { operations: &[Push(1, No, ReliedOn), DeleteManifest(1)], ..RESTORE };
const RETENTION: World = World { operations: &[DeleteTag(Some(1)), Push(2, Yes, ReliedOn)], ..RULE };
const RETENTION_OF_SAME: World = World { operations: &[DeleteTag(Some(1)), Push(1, Yes, ReliedOn)], ..RULE };
const INDEX: World = World { operations: &[Push(2, Yes, ReliedOn)], second: Second::IndexOfTheFirst, ..RULE };
const INDEX_AND_PUSH: World =
    World { operations: &[Push(2, Yes, ReliedOn), Push(1, No, ReliedOn)], untagged: false, expiry: false, ..INDEX };

const RESTORE_INDEX: World = World { operations: &[DeleteTag(Some(2)), Restore(0)], after: &[(1, 0)], ..INDEX };
const RESTORE_INDEX_ALONE: World = World {
    operations: &[DeleteManifest(2), Restore(0), DeleteManifest(1)],
    after: &[(2, 0), (1, 2)],
    untagged: false,
    ..INDEX
};

fn found(name: &str, world: &World, starts: &[Start]) -> Explored {
    let state = |&(there, tag, owed, aged)| State { there, tag, owed, untagged: aged, aged, ..State::default() };
    explore(name, world, starts.iter().map(state))
}

/// Tries everything, and finds that nothing is lost and that nothing is left over.
fn holds(name: &str, world: &World, starts: &[Start]) {
    let found = found(name, world, starts);
    assert!(found.loss.is_none() && found.quiet > 0, "{name}: {:?}", found.loss);
}

#[test]
fn a_push_beside_two_collectors_that_end_anywhere_stays_whole() {
    holds("a push", &PUSH, LAYERS);
}

#[test]
fn two_pushes_that_share_a_layer_stay_whole() {
    holds("two pushes", &TWO, LAYERS);
    holds("two pushes, of which one is there", &APART, ELSEWHERE);
}

#[test]
fn a_mount_beside_a_collection_and_beside_a_deletion_stays_whole() {
    holds("a mount and a push", &MOUNT, LAYERS);
    holds("a mount, whose source is deleted", &MOUNT_AND_DELETE, LAYERS);
}

#[test]
fn what_is_pushed_beside_its_deletion_or_after_it_stays_whole() {
    holds("a deletion and a push", &DELETE, MANIFEST);
    holds("two deletions and a push", &DELETE_TWICE, MANIFEST);
    holds("a deletion and a push of another", &DELETE_ONE, MANIFEST);
}

#[test]
fn what_a_record_names_can_be_restored_whole_and_stays_then() {
    holds("a manifest", &RESTORE, MANIFEST);
    holds("a manifest that is pushed again", &RESTORE_AND_PUSH, MANIFEST);
    holds("a manifest whose layer is deleted", &RESTORE_AND_DELETE, MANIFEST);
    holds("a manifest whose tag is deleted", &RESTORE_AND_UNTAG, MANIFEST);
    holds("a manifest that was just pushed", &PUSH_THEN_DELETE, LAYERS);
    holds("a layer", &RESTORE_BLOB, LAYERS);
    holds("a tag, with a rule", &World { untagged: true, ..RESTORE_TAG }, UNTAGGED);
    holds("an index, with a rule", &RESTORE_INDEX, INDEXED);
    holds("an index, whose manifest is deleted", &RESTORE_INDEX_ALONE, INDEXED);
    holds("a manifest, with a rule", &World { untagged: true, ..RESTORE }, UNTAGGED);
}

#[test]
fn rules_beside_a_push_leave_no_tag_without_its_manifest() {
    holds("a rule and a push of another", &RETENTION, BOTH);
    holds("a rule and a push of the same", &RETENTION_OF_SAME, UNTAGGED);
    holds("an index", &INDEX, UNTAGGED);
}

#[test]
fn an_index_beside_a_push_of_what_it_names_stays_whole() {
    holds("an index and a push of what it names", &INDEX_AND_PUSH, HALF);
    holds("the same with a rule", &World { untagged: true, ..INDEX_AND_PUSH }, UNTAGGED);
}

#[test]
fn what_nothing_leads_to_goes_in_two_runs_and_not_in_one() {
    let orphan = State { there: Y0 | BD, ..State::default() };
    assert_eq!([1, 2].map(|runs| orphan.after_runs(&PUSH, runs).there), [Y0 | BD, 0]);
    let recorded = State { records: [LAYER, 0, 0], ..orphan };
    assert_eq!(recorded.after_runs(&PUSH, 9).there, Y0 | BD);
    let untagged = State { there: FIRST, ..State::default() };
    assert_eq!(
        [1, 2, 3, 4].map(|runs| untagged.after_runs(&RETENTION, runs).there & !BD),
        [R1 | B1 | Y0, B1 | Y0, B1 | Y0, 0]
    );
    assert_eq!(untagged.after_runs(&PUSH, 9).there, FIRST, "no rule");
}

#[test]
fn without_any_part_of_the_protocol_something_is_lost() {
    let parts: &[(&'static [M], World, &[Start])] = &[
        (&[M::TwoRuns], PUSH, LAYERS),
        (&[M::Look], PUSH, LAYERS),
        (&[M::BoundedDelete], PUSH, LAYERS),
        (&[M::Nonce], PUSH, LAYERS),
        (&[M::LinkBeforeBytes], PUSH, LAYERS),
        (&[M::BytesAfterLink], TWO, LAYERS),
        (&[M::LookWhenYoung], TWO, LAYERS),
        (&[M::SameVersion], APART, ELSEWHERE),
        (&[M::SightFirst], APART, ELSEWHERE),
        (&[M::NamedLook], INDEX_AND_PUSH, HALF),
        (&[M::LookWhenYoung, M::SameVersion, M::BytesAfterLink], APART, ELSEWHERE),
        (&[M::RevisionAfterTag], DELETE, MANIFEST),
        (&[M::DyingTag], DELETE, MANIFEST),
        (&[M::DyingTag], RETENTION, BOTH),
        (&[M::SameRun], RESTORE_AND_PUSH, MANIFEST),
        (&[M::RecordsAreRoots], RESTORE, MANIFEST),
        (&[M::RestoreLooks], RESTORE, MANIFEST),
        (&[M::RestorePuts], RESTORE, MANIFEST),
        (&[M::RestoreLinks], RESTORE_AND_DELETE, MANIFEST),
        (&[M::RecordLooks], RESTORE_BLOB, LAYERS),
        (&[M::RecordLooks, M::TrashLast], PUSH_THEN_DELETE, LAYERS),
        (&[M::ChildrenRestored], RESTORE_INDEX_ALONE, INDEXED),
        (&[M::RenewedIfThere], INDEX, UNTAGGED),
        (&[M::OneLevelAtOnce], INDEX, UNTAGGED),
        (&[M::LayersFirst], World { untagged: true, ..INDEX_AND_PUSH }, UNTAGGED),
    ];
    for &(without, world, starts) in parts {
        let found = found(&format!("without {without:?}"), &World { without, ..world }, starts);
        assert!(found.loss.is_some(), "without {without:?} nothing is lost");
    }
}
