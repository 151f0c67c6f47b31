use super::*;

pub(super) async fn names_come_by_their_bytes_from_after_to_limit(objects: AnyBucket) {
    let names = ["!", "A", "Z", "a", "a!b", "a-b", "a.b", "aa", "b", "v1", "v1!rc", "v1-rc", "v10"];
    put_all(&*objects, names.iter().rev().map(|name| format!("list/{name}"))).await;
    put_all(&*objects, ["lis".to_owned(), "list!".to_owned(), "listz/a".to_owned()]).await;
    assert_eq!(objects.names("list/", "", 100).await.unwrap(), names);
    for (index, after) in names.iter().enumerate() {
        assert_eq!(objects.names("list/", after, 100).await.unwrap(), names[index + 1..], "after {after}");
        let page = &names[index + 1..names.len().min(index + 4)];
        assert_eq!(objects.names("list/", after, 3).await.unwrap(), page, "three after {after}");
    }
    assert_eq!(objects.names("list/", "a,", 2).await.unwrap(), ["a-b", "a.b"], "after a name that is not there");
    assert!(objects.names("list/", "zz", 5).await.unwrap().is_empty());
    assert!(objects.names("list/", "", 0).await.unwrap().is_empty());
}

pub(super) async fn names_pass_directories_over(objects: AnyBucket) {
    let keys = ["d/a", "d/b/1", "d/b/2/3", "d/c", "d/c!/1", "d/c/1", "d/d/1", "d/e"];
    put_all(&*objects, keys.map(str::to_owned)).await;
    assert_eq!(objects.names("d/", "", 10).await.unwrap(), ["a", "c", "e"]);
    assert_eq!(objects.names("d/", "", 2).await.unwrap(), ["a", "c"]);
    assert_eq!(objects.names("d/", "a", 1).await.unwrap(), ["c"]);
    assert_eq!(objects.names("d/", "c", 10).await.unwrap(), ["e"]);
}

pub(super) async fn a_list_longer_than_a_page_of_the_store_is_whole(objects: AnyBucket) {
    let names: Vec<String> = (0..1_203).map(|number| format!("{number:05}")).collect();
    put_all(&*objects, names.iter().map(|name| format!("many/{name}"))).await;
    assert_eq!(objects.names("many/", "", 5_000).await.unwrap(), names);
    assert_eq!(objects.names("many/", "00001", 1_100).await.unwrap(), names[2..1_102]);
}

pub(super) async fn names_below_what_is_not_there_are_none(objects: AnyBucket) {
    put(&*objects, "a/key", "1").await;
    objects.read("nothing", 0..1).try_collect::<Vec<_>>().await.expect_err("there are no bytes to read");
    told(async || objects.remove("a/key").await).await;
    for directory in ["nothing/", "a/"] {
        assert!(objects.names(directory, "", 10).await.unwrap().is_empty());
    }
}

pub(super) async fn a_long_scan_is_whole(objects: AnyObjects) {
    let keys: Vec<String> = (0..1_203).map(|number| format!("many/{number:05}")).collect();
    put_all(&*objects, keys.iter().cloned()).await;
    assert_eq!(scanned(&*objects, "many/").await, keys);
}

pub(super) async fn a_scan_has_what_begins_with_its_prefix_and_nothing_else(objects: AnyObjects) {
    let keys = ["s/a", "s/b/c/d", "s/b/e", "s/f", "sx", "t/a"];
    put_all(&*objects, keys.map(str::to_owned)).await;
    objects.put("s/f", content(1_234, 0), None).await.unwrap();
    assert_eq!(scanned(&*objects, "s/").await, keys[..4]);
    assert_eq!(scanned(&*objects, "s/b").await, keys[1..3]);
    let all = scanned(&*objects, "").await.into_iter().filter(|key| key != ".lockgate/lock");
    assert_eq!(all.collect::<Vec<_>>(), keys, "a directory has a lock beside");
    let entries: Vec<_> = objects.scan("s/f").try_collect().await.unwrap();
    let stat = found(&*objects, "s/f").await.stat;
    assert_eq!((entries[0].size, entries.len()), (1_234, 1));
    let apart = entries[0].modified.max(stat.modified).duration_since(entries[0].modified.min(stat.modified)).unwrap();
    assert!(apart.as_secs() == 0, "a listing may tell a finer time than the object: {apart:?}");
}
