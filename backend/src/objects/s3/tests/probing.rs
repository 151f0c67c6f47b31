//! What the probe tells of a real server.

use futures_util::TryStreamExt as _;

use super::*;
use crate::objects::probe::Problem;

#[tokio::test]
async fn nothing_is_wrong_with_a_real_server_and_nothing_is_left_in_it() {
    let objects = bucket_at(&Weed::shared().address, &new_bucket().await);
    assert_eq!(objects.problems().await, []);
    assert_eq!(objects.scan("").try_collect::<Vec<_>>().await.unwrap(), []);
}

#[tokio::test]
async fn a_bucket_that_is_not_there_is_told_once() {
    let objects = bucket_at(&Weed::shared().address, "there-is-no-such-bucket");
    let problems = objects.problems().await;
    assert!(matches!(&problems[..], [Problem::Unusable(what)] if what.contains("storage.data")), "{problems:?}");
}
