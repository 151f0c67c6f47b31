//! What goes wrong on the way harms nothing, and is not made worse.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use http::StatusCode;

use super::faults::{EVERY_FAULT, Fault};
use super::*;
use crate::objects::{MemoryObjects, ObjectsError, Part, Result};

/// A bucket behind a proxy that does nothing but what it is told.
async fn behind_a_proxy() -> (Arc<Faults>, S3Objects) {
    let faults = Faults::before(&Weed::shared().address, 0).await;
    let objects = impatient_at(&faults.address, &new_bucket().await);
    (faults, objects)
}

async fn read(objects: &S3Objects, key: &str, size: usize) -> Result<Vec<u8>, std::io::Error> {
    let pieces: Vec<Bytes> = objects.read(key, 0..size as u64).try_collect().await?;
    Ok(pieces.concat())
}

#[tokio::test]
async fn who_wins_and_is_not_told_wins_all_the_same() {
    let (faults, objects) = behind_a_proxy().await;
    for fault in [Fault::Lost, Fault::FailedAfter, Fault::Dropped, Fault::Failed, Fault::SlowDown, Fault::Stalled] {
        let key = format!("{fault:?}");
        faults.next([Some(fault)]);
        let created = objects.create(&key, Bytes::from_static(b"ours")).await.unwrap().expect("it is ours");
        assert_eq!(objects.get(&key).await.unwrap().expect("it is there").stat.version, created);
        faults.next([Some(fault), None]);
        let swapped = objects.swap(&key, &created, Bytes::from_static(b"next")).await.unwrap().expect("it is ours");
        assert_eq!(objects.get(&key).await.unwrap().expect("it is there").stat.version, swapped);
        assert_eq!(faults.met(fault), 2);
    }
}

#[tokio::test]
async fn who_cannot_know_says_so() {
    let (faults, objects) = behind_a_proxy().await;
    objects.put("key", Bytes::from_static(b"theirs"), None).await.unwrap();
    // The answer that would have told is lost: it may have been ours before it was theirs.
    faults.next([Some(Fault::Lost)]);
    let told = objects.create("key", Bytes::from_static(b"ours")).await.expect_err("nobody knows");
    assert!(matches!(told, ObjectsError::Unavailable(_)), "{told}");
    // Nothing was done, and it said so.
    faults.next([Some(Fault::SlowDown)]);
    assert_eq!(objects.create("key", Bytes::from_static(b"ours")).await.unwrap(), None);
}

#[tokio::test]
async fn a_body_that_is_cut_goes_on_where_it_ended() {
    let (faults, objects) = behind_a_proxy().await;
    let content: Bytes = (0..2_000_003_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    objects.put("long", content.clone(), None).await.unwrap();
    faults.requests();
    faults.next([Some(Fault::Cut), Some(Fault::Failed), Some(Fault::Cut), Some(Fault::Lost), Some(Fault::Cut)]);
    assert!(read(&objects, "long", content.len()).await.unwrap() == content);
    assert_eq!((faults.met(Fault::Cut), faults.requests().len()), (3, 6));
    // A whole object is asked for again.
    faults.next([Some(Fault::Cut)]);
    assert!(objects.get("long").await.unwrap().expect("it is there").bytes == content);
    // And not for ever.
    faults.next([Some(Fault::Cut); 9]);
    read(&objects, "long", content.len()).await.expect_err("it is cut nine times");
    assert_eq!(faults.met(Fault::Cut), 13);
}

#[tokio::test]
async fn a_stream_never_goes_on_in_other_bytes() {
    let (faults, objects) = behind_a_proxy().await;
    objects.put("long", vec![1; 1_000_000].into(), None).await.unwrap();
    faults.next([Some(Fault::Cut)]);
    let mut stream = objects.read("long", 0..1_000_000);
    stream.try_next().await.unwrap().expect("it has begun");
    objects.put("long", vec![2; 1_000_000].into(), None).await.unwrap();
    let rest: std::io::Result<Vec<Bytes>> = stream.try_collect().await;
    assert!(rest.expect_err("it is another object").to_string().contains("changed"));
}

#[tokio::test]
async fn a_removal_that_may_still_come_is_not_sent_again() {
    let (faults, objects) = behind_a_proxy().await;
    for (fault, is_sent_again) in
        [(Fault::Lost, false), (Fault::Stalled, false), (Fault::SlowDown, true), (Fault::FailedAfter, true)]
    {
        objects.put("key", Bytes::from_static(b"x"), None).await.unwrap();
        faults.requests();
        faults.next([Some(fault)]);
        assert_eq!(objects.remove("key").await.is_ok(), is_sent_again, "{fault:?}");
        let sent = faults.requests();
        assert_eq!(sent.len(), 1 + usize::from(is_sent_again), "{fault:?}: {sent:?}");
    }
}

#[tokio::test]
async fn a_removal_that_comes_late_removes_nothing() {
    let objects = bucket_at(&Weed::shared().address, &new_bucket().await);
    objects.put("key", Bytes::from_static(b"x"), None).await.unwrap();
    let request = Request::new(Method::DELETE, "key");
    let url = objects.client.sign(&request, Duration::from_secs(1)).await.unwrap();
    // The store's clock says when it is late.
    let written = objects.stat("key").await.unwrap().expect("it is there").modified;
    while objects.stat("clock").await.unwrap().is_none_or(|it| it.modified < written + Duration::from_secs(4)) {
        objects.put("clock", Bytes::new(), None).await.unwrap();
    }
    let failure = objects.client.send_signed(&request, &url).await.expect_err("it is too late");
    assert_eq!(failure.kind, crate::objects::s3::failure::Kind::Refused, "{}", failure.message);
    assert!(objects.stat("key").await.unwrap().is_some());
}

#[tokio::test]
async fn nothing_is_removed_by_a_clock_that_is_ahead() {
    let (faults, objects) = behind_a_proxy().await;
    objects.put("key", Bytes::from_static(b"x"), None).await.unwrap();
    let ahead = objects.client.ahead.swap(20, Ordering::Relaxed);
    assert!(ahead.abs() <= 3, "the proxy is on this machine: {ahead}");
    faults.requests();
    let failure = objects.remove("key").await.expect_err("it could come after its time");
    assert!(matches!(&failure, ObjectsError::Refused(message) if message.contains("clock")), "{failure}");
    assert!(faults.requests().is_empty());
}

#[tokio::test]
async fn each_kind_of_fault_happens_and_harms_nothing() {
    let faults = Faults::before(&Weed::shared().address, 100).await;
    let objects = impatient_at(&faults.address, &new_bucket().await);
    let model = MemoryObjects::default();
    for step in 0.. {
        if EVERY_FAULT.iter().all(|fault| faults.met(*fault) >= 5) {
            break;
        }
        assert!(step < 2000, "{:?}", EVERY_FAULT.map(|fault| (fault, faults.met(fault))));
        let key = format!("key/{}", step % 7);
        let bytes = Bytes::from(format!("bytes of step {step}"));
        match (step % 5, model.get(&key).await.unwrap()) {
            (0, _) => {
                objects.put(&key, bytes.clone(), None).await.unwrap();
                model.put(&key, bytes, None).await.unwrap();
            }
            (1 | 2, Some(_)) => {
                let known = objects.get(&key).await.unwrap().expect("it was written").stat.version;
                objects.swap(&key, &known, bytes.clone()).await.unwrap().expect("nobody else writes");
                model.put(&key, bytes, None).await.unwrap();
            }
            (1 | 2, None) => {
                objects.create(&key, bytes.clone()).await.unwrap().expect("nobody else writes");
                model.put(&key, bytes, None).await.unwrap();
            }
            // A removal whose answer is lost is asked for again by who may.
            (3, _) => {
                while objects.remove(&key).await.is_err() {}
                model.remove(&key).await.unwrap();
            }
            _ => {
                let names = objects.names("key/", "", 100).await.unwrap();
                assert_eq!(names, model.names("key/", "", 100).await.unwrap());
            }
        }
        let (found, expected) = (objects.get(&key).await.unwrap(), model.get(&key).await.unwrap());
        assert_eq!(found.map(|it| it.bytes), expected.map(|it| it.bytes), "step {step}");
    }
}

#[tokio::test]
async fn each_operation_costs_what_it_is_said_to() {
    let (faults, objects) = behind_a_proxy().await;
    let cost = |operation: &str, expected: &[&str]| {
        let requests = faults.requests();
        let methods: Vec<&str> = requests.iter().filter_map(|request| request.split(' ').next()).collect();
        assert_eq!(methods, expected, "{operation}: {requests:?}");
    };
    let bytes = || Bytes::from_static(b"x");
    objects.put("key", bytes(), Some("1")).await.unwrap();
    cost("put", &["PUT"]);
    let known = objects.get("key").await.unwrap().expect("it is there").stat.version;
    cost("get", &["GET"]);
    objects.get_unless("key", &known).await.unwrap();
    cost("get_unless", &["GET"]);
    objects.stat("key").await.unwrap();
    cost("stat", &["GET"]);
    objects.stat("absent").await.unwrap();
    cost("stat of nothing", &["GET"]);
    objects.put("empty", Bytes::new(), None).await.unwrap();
    assert_eq!(objects.stat("empty").await.unwrap().expect("it is there").size, 0);
    cost("put, stat of what has no byte", &["PUT", "GET", "GET"]);
    objects.create("new", bytes()).await.unwrap();
    cost("create", &["PUT"]);
    objects.create("new", Bytes::from_static(b"y")).await.unwrap();
    cost("create, lost", &["PUT", "GET"]);
    objects.swap("key", &known, Bytes::from_static(b"y")).await.unwrap();
    cost("swap", &["PUT"]);
    objects.names("", "", 10).await.unwrap();
    cost("names", &["GET"]);
    objects.remove("key").await.unwrap();
    cost("remove", &["DELETE"]);
    objects.url("key", Duration::from_secs(900)).await.unwrap();
    cost("url", &[]);
    objects.copy("new", 0..1, "copy").await.unwrap();
    cost("copy", &["GET", "PUT"]);
    let upload = objects.begin("large").await.unwrap();
    let sent = objects.put_part("large", &upload, 1, vec![1; 11 << 20].into()).await.unwrap();
    let copied: Part = objects.copy_part("large", &upload, 2, "new", 0..1).await.unwrap();
    objects.complete("large", &upload, &[sent, copied]).await.unwrap();
    objects.abort("large", &upload).await.unwrap();
    cost("begin, put_part, copy_part, complete, abort", &["POST", "PUT", "PUT", "POST", "DELETE"]);
    let size = (11 << 20) + 1;
    objects.copy("large", 0..size, "copied").await.unwrap();
    cost("copy in three parts", &["GET", "POST", "PUT", "PUT", "PUT", "POST"]);
    read(&objects, "large", size as usize).await.unwrap();
    cost("read", &["GET"]);
}

#[tokio::test]
async fn a_url_is_good_for_reading_alone() {
    let objects = bucket_at(&Weed::shared().address, &new_bucket().await);
    objects.put("key", Bytes::from_static(b"content"), None).await.unwrap();
    let url = objects.url("key", Duration::from_secs(60)).await.unwrap().expect("S3 has URLs");
    let get = Request::new(Method::GET, "key");
    assert_eq!(objects.client.send_signed(&get, &url).await.unwrap().body, "content");
    let delete = Request::new(Method::DELETE, "key");
    objects.client.send_signed(&delete, &url).await.expect_err("it was signed for GET");
    assert_eq!(objects.client.send_once(&get).await.unwrap().status, StatusCode::OK);
}
