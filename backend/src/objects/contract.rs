//! What every store of objects keeps to, told once and run over each.

mod conditions;
mod listings;
mod parts;
mod reading;

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::disk::DirectoryObjects;
use super::{BucketObjects, MemoryObjects, Object, Objects, Result};

/// Runs each promise over each store: one line a store.
macro_rules! contract {
    ($($subject:ident: $($promise:ident)*;)*) => {
        mod memory {
            $($(#[tokio::test]
            async fn $promise() {
                super::super::$subject::$promise(super::super::Arc::new(super::super::MemoryObjects::default())).await;
            })*)*
        }
        #[cfg(feature = "s3")]
        mod s3 {
            $($(#[tokio::test]
            async fn $promise() {
                super::super::$subject::$promise(crate::objects::s3::tests::objects().await).await;
            })*)*
        }
        #[cfg(feature = "s3")]
        mod s3_behind_faults {
            $($(#[tokio::test]
            async fn $promise() {
                super::super::$subject::$promise(crate::objects::s3::tests::objects_behind_faults().await).await;
            })*)*
        }
    };
}

/// The same in a directory.
macro_rules! contract_in_a_directory {
    ($($subject:ident: $($promise:ident)*;)*) => {
        mod disk {
            $($(#[tokio::test]
            async fn $promise() {
                let directory = tempfile::tempdir().unwrap();
                let objects = super::super::DirectoryObjects::open(directory.path()).unwrap();
                super::super::$subject::$promise(super::super::Arc::new(objects)).await;
            })*)*
        }
    };
}

/// Gives what every store keeps to each macro.
macro_rules! of_every_store {
    ($contract:ident) => {
        $contract! {
            reading:
                what_was_put_is_read_back_with_its_size_and_mark
                who_writes_without_a_mark_drops_it
                what_is_not_there_is_told_as_absent
                a_range_is_read_to_its_last_byte
                what_is_known_is_not_sent_again
                the_time_of_an_object_is_that_of_its_last_write
                a_renewed_object_is_as_it_was
                a_removed_object_is_gone_and_can_be_written_again;
            conditions:
                of_many_who_create_an_object_one_wins
                of_many_who_swap_from_one_state_one_wins
                a_stale_swap_changes_nothing
                a_swap_of_what_is_gone_makes_nothing
                a_winner_goes_on_from_the_version_that_it_is_told;
            listings:
                a_long_scan_is_whole
                a_scan_has_what_begins_with_its_prefix_and_nothing_else;
        }
    };
}

mod every_store {
    of_every_store!(contract);
    of_every_store!(contract_in_a_directory);
}

mod buckets {
    contract! {
        reading:
            a_directory_is_no_object;
        conditions:
            a_swap_passes_where_the_bytes_are_again_what_they_were;
        listings:
            names_come_by_their_bytes_from_after_to_limit
            names_pass_directories_over
            a_list_longer_than_a_page_of_the_store_is_whole
            names_below_what_is_not_there_are_none;
        parts:
            parts_are_joined_by_their_numbers_which_may_have_gaps
            nothing_is_to_be_seen_of_an_upload_before_it_is_complete
            an_upload_that_was_completed_keeps_its_object
            an_aborted_upload_makes_no_object
            a_part_is_made_of_a_range_of_another_object
            an_object_is_copied_whole_and_without_its_mark
            an_object_is_made_of_a_range_of_another;
    }
}

type AnyObjects = Arc<dyn Objects>;
type AnyBucket = Arc<dyn BucketObjects>;

/// How many ask at once in a race.
const RACERS: usize = 8;

/// What a store says in the end. One whose answers are lost may not know what became of a write; who asks again learns
/// it.
async fn told<T>(ask: impl AsyncFn() -> Result<T>) -> T {
    for _ in 0..20 {
        if let Ok(told) = ask().await {
            return told;
        }
    }
    ask().await.expect("it has answered one of twenty times")
}

async fn found(objects: &(impl Objects + ?Sized), key: &str) -> Object {
    objects.get(key).await.unwrap().expect("it is there")
}

async fn put(objects: &(impl Objects + ?Sized), key: &str, content: &str) {
    objects.put(key, Bytes::copy_from_slice(content.as_bytes()), None).await.unwrap();
}

async fn put_all(objects: &(impl Objects + ?Sized), keys: impl IntoIterator<Item = String>) {
    stream::iter(keys).for_each_concurrent(16, |key| async move { put(objects, &key, "x").await }).await;
}

async fn read(objects: Arc<impl Objects + ?Sized>, key: &str, range: Range<u64>) -> Vec<u8> {
    let opened = objects.open(key).await.unwrap().expect("it is there");
    let pieces: Vec<Bytes> = opened.read(range).try_collect().await.unwrap();
    pieces.concat()
}

async fn scanned(objects: &(impl Objects + ?Sized), prefix: &str) -> Vec<String> {
    let entries = objects.scan(prefix).map_ok(|entry| entry.key);
    let mut keys: Vec<String> = entries.try_collect().await.unwrap();
    keys.sort_unstable();
    keys
}

/// Content of a size, no two pieces of it alike.
fn content(size: usize, seed: u32) -> Bytes {
    (0..size as u32).map(|i| ((i ^ seed).wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}
