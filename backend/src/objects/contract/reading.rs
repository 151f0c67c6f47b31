use super::super::{Read, Version};
use super::*;

pub(super) async fn what_was_put_is_read_back_with_its_size_and_mark(objects: AnyObjects) {
    let (content, key) = (content(70_001, 0), "a/b-c_d.e!f/(g)'*");
    objects.put(key, content.clone(), Some("1")).await.unwrap();
    let object = found(&*objects, key).await;
    assert_eq!(object.bytes, content);
    assert_eq!((object.stat.size, object.stat.mark.as_deref()), (70_001, Some("1")));
    assert_eq!(objects.stat(key).await.unwrap().expect("it is there"), object.stat);
    objects.put("empty", Bytes::new(), None).await.unwrap();
    assert_eq!((found(&*objects, "empty").await.bytes.len(), found(&*objects, "empty").await.stat.size), (0, 0));
}

pub(super) async fn who_writes_without_a_mark_drops_it(objects: AnyObjects) {
    objects.put("key", Bytes::from_static(b"1"), Some("1")).await.unwrap();
    assert_eq!(found(&*objects, "key").await.stat.mark.as_deref(), Some("1"));
    put(&*objects, "key", "1").await;
    assert_eq!(found(&*objects, "key").await.stat.mark, None);
}

pub(super) async fn what_is_not_there_is_told_as_absent(objects: AnyObjects) {
    put(&*objects, "directory/object", "1").await;
    for key in ["nothing", "directory/object/below"] {
        assert_eq!(objects.get(key).await.unwrap(), None, "{key}");
        assert_eq!(objects.stat(key).await.unwrap(), None, "{key}");
        assert_eq!(objects.get_unless(key, &Version("1".to_owned())).await.unwrap(), Read::Absent, "{key}");
        assert!(Arc::clone(&objects).open(key).await.unwrap().is_none(), "{key}");
        told(async || objects.remove(key).await).await;
    }
    assert!(scanned(&*objects, "nothing/").await.is_empty());
    assert_eq!(found(&*objects, "directory/object").await.bytes, "1", "removing what is not there removes nothing");
}

pub(super) async fn a_directory_is_no_object(objects: AnyBucket) {
    put(&*objects, "directory/object", "1").await;
    assert_eq!(objects.get("directory").await.unwrap(), None);
    assert_eq!(objects.stat("directory").await.unwrap(), None);
    assert!(Arc::clone(&objects).open("directory").await.unwrap().is_none());
    told(async || objects.remove("directory").await).await;
    assert_eq!(found(&*objects, "directory/object").await.bytes, "1");
}

pub(super) async fn a_range_is_read_to_its_last_byte(objects: AnyObjects) {
    let content = content(3_000_001, 0);
    objects.put("long", content.clone(), None).await.unwrap();
    for range in [0..3_000_001, 0..1, 1..2_999_999, 3_000_000..3_000_001, 5..5] {
        let expected = &content[range.start as usize..range.end as usize];
        assert!(read(objects.clone(), "long", range.clone()).await == expected, "{range:?}");
    }
}

pub(super) async fn what_is_known_is_not_sent_again(objects: AnyObjects) {
    put(&*objects, "key", "1").await;
    let known = found(&*objects, "key").await.stat.version;
    assert_eq!(objects.get_unless("key", &known).await.unwrap(), Read::Unchanged);
    put(&*objects, "key", "2").await;
    let Read::Changed(object) = objects.get_unless("key", &known).await.unwrap() else { panic!("it has changed") };
    assert_eq!(object, found(&*objects, "key").await);
    assert_eq!(object.bytes, "2");
}

pub(super) async fn the_time_of_an_object_is_that_of_its_last_write(objects: AnyObjects) {
    put(&*objects, "first", "1").await;
    put(&*objects, "second", "1").await;
    let first = found(&*objects, "first").await.stat.modified;
    assert!(first <= found(&*objects, "second").await.stat.modified);
    // A store may count whole seconds: it is written until its time moves.
    while objects.stat("first").await.unwrap().expect("it is there").modified == first {
        put(&*objects, "first", "1").await;
    }
    assert!(objects.stat("first").await.unwrap().expect("it is there").modified > first);
}

pub(super) async fn a_renewed_object_is_as_it_was(objects: AnyObjects) {
    for mark in [None, Some("1")] {
        objects.put("key", Bytes::from_static(b"1"), mark).await.unwrap();
        let before = found(&*objects, "key").await;
        assert!(objects.renew("key", &before).await.unwrap());
        let renewed = found(&*objects, "key").await;
        assert_eq!((&renewed.bytes, &renewed.stat.mark), (&before.bytes, &before.stat.mark));
        assert!(renewed.stat.modified >= before.stat.modified);
        told(async || objects.remove("key").await).await;
        assert!(!objects.renew("key", &before).await.unwrap() && objects.get("key").await.unwrap().is_none());
    }
}

pub(super) async fn a_removed_object_is_gone_and_can_be_written_again(objects: AnyObjects) {
    put(&*objects, "a/key", "1").await;
    told(async || objects.remove("a/key").await).await;
    assert_eq!(objects.get("a/key").await.unwrap(), None);
    assert!(scanned(&*objects, "a/").await.is_empty());
    assert!(objects.create("a/key", Bytes::from_static(b"2")).await.unwrap().is_some());
    assert_eq!(found(&*objects, "a/key").await.bytes, "2");
}
