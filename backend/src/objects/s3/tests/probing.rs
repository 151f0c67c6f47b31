//! What the probe tells of a real server.

use futures_util::TryStreamExt as _;
use http::StatusCode;

use super::faults::{canned, error};
use super::*;
use crate::objects::probe::Problem;

#[tokio::test]
async fn nothing_is_wrong_with_a_real_server_and_nothing_is_left_in_it() {
    let objects = bucket_at(&Weed::shared().address, &new_bucket().await);
    assert_eq!(S3Objects::problems(std::slice::from_ref(&objects)).await, []);
    assert_eq!(objects.scan("").try_collect::<Vec<_>>().await.unwrap(), []);
}

#[tokio::test]
async fn a_bucket_that_is_not_there_is_told_once() {
    let objects = bucket_at(&Weed::shared().address, "there-is-no-such-bucket");
    let problems = S3Objects::problems(std::slice::from_ref(&objects)).await;
    assert!(matches!(&problems[..], [Problem::Unusable(what)] if what.contains("storage.data")), "{problems:?}");
}

#[tokio::test]
async fn a_bucket_that_keeps_what_is_deleted_is_told_with_what_to_do() {
    let objects = bucket_at(&Weed::shared().address, &new_bucket().await);
    for (status, is_told) in [("Enabled", true), ("Suspended", false)] {
        let body = format!("<VersioningConfiguration><Status>{status}</Status></VersioningConfiguration>");
        let request = Request::of_bucket(Method::PUT).query("versioning", "").body(body.into());
        objects.client.send(&request).await.unwrap();
        let problems = S3Objects::problems(std::slice::from_ref(&objects)).await;
        let told = matches!(&problems[..], [Problem::Wasteful(what)] if what.contains("lifecycle rule"));
        assert_eq!((told, problems.is_empty()), (is_told, !is_told), "{status}: {problems:?}");
    }
}

#[tokio::test]
async fn a_server_that_does_not_say_whether_it_keeps_versions_is_right() {
    for (status, code) in [
        (StatusCode::NOT_IMPLEMENTED, "NotImplemented"),
        (StatusCode::FORBIDDEN, "AccessDenied"),
        (StatusCode::NOT_FOUND, ""),
        (StatusCode::OK, "InternalError"),
    ] {
        let objects = bucket_at(&canned(move |_| error(status, code)).await, "bucket");
        assert_eq!(objects.versioning().await, None, "{status} {code}");
    }
}

#[tokio::test]
async fn each_address_of_a_server_is_a_door_of_its_own() {
    let port = Weed::shared().address.rsplit_once(':').unwrap().1.to_owned();
    let server = format!("http://gateways.invalid:{port}").parse().unwrap();
    let settings = S3 { endpoint: server, path_style: true, allow_http: true, ..S3::default() };
    let bucket = Bucket { name: new_bucket().await, prefix: String::new() };
    let door = |address: &str| {
        let credentials = AmazonS3Builder::new().with_access_key_id(ACCESS_KEY).with_secret_access_key(SECRET_KEY);
        let client = open::client(&bucket, &settings, credentials, Some(address.parse().unwrap())).unwrap();
        S3Objects { client: Arc::new(client), copies: CopySizes { whole: 8 << 20, part: 5 << 20 } }
    };
    assert_eq!(S3Objects::problems(&[door("127.0.0.1"), door("127.0.0.1")]).await, []);
    let problems = S3Objects::problems(&[door("127.0.0.1"), door("127.0.0.2")]).await;
    assert!(matches!(&problems[..], [Problem::Unusable(what), ..] if what.contains("no answer of")), "{problems:?}");
}
