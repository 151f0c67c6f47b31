use futures_util::future::join_all;

use super::super::Version;
use super::*;

fn racer(number: usize) -> Bytes {
    Bytes::from(format!("racer {number}"))
}

/// Exactly one of them is told that it won, and its bytes are there. A loser may not learn what became of its write,
/// but does not take itself for the winner.
async fn assert_one_winner(objects: &AnyObjects, key: &str, told: Vec<Result<Option<Version>>>) {
    let winners: Vec<usize> = (0..told.len()).filter(|&number| matches!(told[number], Ok(Some(_)))).collect();
    let object = found(&**objects, key).await;
    assert_eq!(winners.len(), 1, "{told:?}, and {:?} is there", object.bytes);
    assert_eq!(object.bytes, racer(winners[0]));
    assert_eq!(told[winners[0]].as_ref().unwrap(), &Some(object.stat.version));
}

pub(super) async fn of_many_who_create_an_object_one_wins(objects: AnyObjects) {
    for round in 0..5 {
        let key = format!("created/{round}");
        let told = join_all((0..RACERS).map(|number| objects.create(&key, racer(number)))).await;
        assert_one_winner(&objects, &key, told).await;
    }
}

pub(super) async fn of_many_who_swap_from_one_state_one_wins(objects: AnyObjects) {
    for round in 0..5 {
        put(&*objects, "swapped", &format!("before round {round}")).await;
        let known = found(&*objects, "swapped").await.stat.version;
        let told = join_all((0..RACERS).map(|number| objects.swap("swapped", &known, racer(number)))).await;
        assert_one_winner(&objects, "swapped", told).await;
    }
}

pub(super) async fn a_stale_swap_changes_nothing(objects: AnyObjects) {
    put(&*objects, "key", "1").await;
    let stale = found(&*objects, "key").await.stat.version;
    put(&*objects, "key", "2").await;
    assert_eq!(told(async || objects.swap("key", &stale, Bytes::from_static(b"3")).await).await, None);
    assert_eq!(found(&*objects, "key").await.bytes, "2");
    assert_eq!(told(async || objects.create("key", Bytes::from_static(b"3")).await).await, None);
    assert_eq!(found(&*objects, "key").await.bytes, "2");
}

pub(super) async fn a_swap_of_what_is_gone_makes_nothing(objects: AnyObjects) {
    put(&*objects, "key", "1").await;
    let known = found(&*objects, "key").await.stat.version;
    told(async || objects.remove("key").await).await;
    assert_eq!(told(async || objects.swap("key", &known, Bytes::from_static(b"2")).await).await, None);
    assert_eq!(objects.get("key").await.unwrap(), None);
}

pub(super) async fn a_swap_passes_where_the_bytes_are_again_what_they_were(objects: AnyBucket) {
    put(&*objects, "key", "A").await;
    let known = found(&*objects, "key").await.stat.version;
    put(&*objects, "key", "B").await;
    put(&*objects, "key", "A").await;
    assert!(objects.swap("key", &known, Bytes::from_static(b"C")).await.unwrap().is_some(), "a version is of bytes");
    assert_eq!(found(&*objects, "key").await.bytes, "C");
}

pub(super) async fn a_winner_goes_on_from_the_version_that_it_is_told(objects: AnyObjects) {
    let mut known = objects.create("key", Bytes::from_static(b"0")).await.unwrap().expect("it is new");
    for step in 1..4 {
        let next = objects.swap("key", &known, Bytes::from(format!("{step}"))).await.unwrap();
        known = next.expect("nobody else writes it");
        assert_eq!(found(&*objects, "key").await.stat.version, known);
    }
}
