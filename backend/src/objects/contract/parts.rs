use super::super::{Completed, Multipart, Part};
use super::*;

/// The least that a part has that is not the last.
const PART: usize = 5 << 20;

async fn send(objects: &AnyBucket, key: &str, upload: &Multipart, parts: &[(u16, &Bytes)]) -> Vec<Part> {
    let mut sent = Vec::new();
    for (number, bytes) in parts {
        sent.push(objects.put_part(key, upload, *number, Bytes::clone(bytes)).await.unwrap());
    }
    sent
}

/// Where the answer was lost, the store may not know the upload any more; the object is there then.
async fn complete(objects: &AnyBucket, key: &str, upload: &Multipart, parts: &[Part]) {
    objects.complete(key, upload, parts).await.unwrap();
    assert!(objects.stat(key).await.unwrap().is_some(), "{key} is there");
}

pub(super) async fn parts_are_joined_by_their_numbers_which_may_have_gaps(objects: AnyBucket) {
    let (first, second, last) = (content(PART, 1), content(PART, 2), content(12_345, 3));
    let upload = objects.begin("blob").await.unwrap();
    // What has the highest number is sent first.
    let mut parts = send(&objects, "blob", &upload, &[(9_999, &last), (1, &first), (70, &second)]).await;
    parts.sort_unstable_by_key(|part| part.number);
    complete(&objects, "blob", &upload, &parts).await;
    let whole = [first, second, last].concat();
    assert_eq!(objects.stat("blob").await.unwrap().expect("it is there").size, whole.len() as u64);
    assert!(read(objects.clone(), "blob", 0..whole.len() as u64).await == whole);
}

pub(super) async fn nothing_is_to_be_seen_of_an_upload_before_it_is_complete(objects: AnyBucket) {
    let upload = objects.begin("up/blob").await.unwrap();
    send(&objects, "up/blob", &upload, &[(1, &content(100, 1))]).await;
    assert_eq!(objects.stat("up/blob").await.unwrap(), None);
    assert!(objects.names("up/", "", 10).await.unwrap().is_empty());
    assert!(scanned(&*objects, "").await.is_empty());
}

pub(super) async fn an_upload_that_was_completed_keeps_its_object(objects: AnyBucket) {
    let upload = objects.begin("blob").await.unwrap();
    let parts = send(&objects, "blob", &upload, &[(1, &content(PART, 1)), (2, &content(10, 2))]).await;
    complete(&objects, "blob", &upload, &parts).await;
    let stat = objects.stat("blob").await.unwrap();
    // Either answer is right: a store may forget an upload that it completed, or go on knowing it.
    assert!(matches!(objects.complete("blob", &upload, &parts).await.unwrap(), Completed::Done | Completed::Unknown));
    objects.abort("blob", &upload).await.unwrap();
    assert_eq!(objects.stat("blob").await.unwrap().map(|stat| stat.version), stat.map(|stat| stat.version));
}

pub(super) async fn an_aborted_upload_makes_no_object(objects: AnyBucket) {
    let upload = objects.begin("blob").await.unwrap();
    let parts = send(&objects, "blob", &upload, &[(1, &content(100, 1))]).await;
    objects.abort("blob", &upload).await.unwrap();
    assert_eq!(objects.complete("blob", &upload, &parts).await.unwrap(), Completed::Unknown);
    assert_eq!(objects.stat("blob").await.unwrap(), None);
    objects.abort("blob", &upload).await.unwrap();
    objects.put_part("blob", &upload, 2, content(10, 1)).await.expect_err("the upload is gone");
}

pub(super) async fn a_part_is_made_of_a_range_of_another_object(objects: AnyBucket) {
    let (source, last) = (content(PART + 1_000, 1), content(7, 2));
    objects.put("source", source.clone(), None).await.unwrap();
    let upload = objects.begin("blob").await.unwrap();
    let range = 500..500 + PART as u64;
    let copied = objects.copy_part("blob", &upload, 1, "source", range).await.unwrap();
    let sent = objects.put_part("blob", &upload, 2, last.clone()).await.unwrap();
    complete(&objects, "blob", &upload, &[copied, sent]).await;
    let whole = [&source[500..500 + PART], &last].concat();
    assert!(read(objects.clone(), "blob", 0..whole.len() as u64).await == whole);
}

pub(super) async fn an_object_is_copied_whole_and_without_its_mark(objects: AnyBucket) {
    for size in [0, 1, 100_000, 11 << 20] {
        let source = content(size, 1);
        objects.put("from/a", source.clone(), Some("mark")).await.unwrap();
        objects.copy("from/a", 0..size as u64, "to/b").await.unwrap();
        let copied = objects.stat("to/b").await.unwrap().expect("it is there");
        assert_eq!((copied.size, copied.mark), (size as u64, None));
        assert!(read(objects.clone(), "to/b", 0..size as u64).await == source, "{size} bytes");
    }
    objects.copy("nothing", 0..5, "to/c").await.expect_err("there is nothing to copy");
    assert_eq!(objects.stat("to/c").await.unwrap(), None);
}

pub(super) async fn an_object_is_made_of_a_range_of_another(objects: AnyBucket) {
    let size: u64 = 11 << 20;
    let source = content(size as usize, 1);
    objects.put("source", source.clone(), None).await.unwrap();
    for range in [0..10, 1..size, 7..7, size - 3..size] {
        objects.copy("source", range.clone(), "target").await.unwrap();
        let expected = &source[range.start as usize..range.end as usize];
        assert_eq!(objects.stat("target").await.unwrap().expect("it is there").size, expected.len() as u64);
        assert!(read(objects.clone(), "target", 0..expected.len() as u64).await == expected, "{range:?}");
    }
}
