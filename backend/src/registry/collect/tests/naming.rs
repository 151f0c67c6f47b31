//! Lists of a bucket that another program writes to.

use super::*;

#[tokio::test]
async fn what_distribution_has_tagged_and_untagged_since_is_listed_right_after_a_run() {
    let [site, _] = sites();
    site.store().index().await.expect("it is listed");
    let image = site.push("a", "ours", "layer").await;
    site.push("a", "gone", "layer").await;
    let objects = site.store().objects();
    let link = |tagged: &str| keys::tag(&name("a"), tagged);
    let written = Bytes::copy_from_slice(image.as_str().as_bytes());
    objects.put(&link("theirs"), written.clone(), None).await.expect("it is written");
    objects.put(&keys::tag(&name("b"), "theirs"), written, None).await.expect("it is written");
    objects.remove(&link("gone")).await.expect("it goes");
    assert_eq!(site.tags("a").await, ["gone", "ours"]);
    site.collect().await;
    assert_eq!(site.tags("a").await, ["gone", "ours", "theirs"], "somebody may be about to write the tag");
    let repositories = site.store().repositories("", 10).await.expect("they are listed");
    assert_eq!(repositories, [name("a"), name("b")]);
    site.later(2 * HOUR);
    site.collect().await;
    assert_eq!(site.tags("a").await, ["ours", "theirs"]);
}
