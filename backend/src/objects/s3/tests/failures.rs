//! What fails says what to do, and is never taken for absence.

use futures_util::future::join_all;
use http::{Method, StatusCode};
use tokio::net::TcpListener;

use super::faults::{canned, error, whole};
use super::*;
use crate::objects::{Completed, Multipart, ObjectsError, Part, Result, Version};

/// The word of each operation on what is not there, or fails.
async fn told_by_each(objects: &S3Objects) -> Vec<(&'static str, Result<String>)> {
    let (version, upload) = (Version("1".to_owned()), Multipart("1".to_owned()));
    let bytes = || bytes::Bytes::from_static(b"x");
    let part = Part { number: 1, tag: "1".to_owned() };
    vec![
        ("get", objects.get("key").await.map(|it| format!("{it:?}"))),
        ("get_unless", objects.get_unless("key", &version).await.map(|it| format!("{it:?}"))),
        ("stat", objects.stat("key").await.map(|it| format!("{it:?}"))),
        ("put", objects.put("key", bytes(), None).await.map(|it| format!("{it:?}"))),
        ("create", objects.create("key", bytes()).await.map(|it| format!("{it:?}"))),
        ("swap", objects.swap("key", &version, bytes()).await.map(|it| format!("{it:?}"))),
        ("remove", objects.remove("key").await.map(|it| format!("{it:?}"))),
        ("names", objects.names("a/", "", 1).await.map(|it| format!("{it:?}"))),
        ("begin", objects.begin("key").await.map(|it| format!("{it:?}"))),
        ("put_part", objects.put_part("key", &upload, 1, bytes()).await.map(|it| format!("{it:?}"))),
        ("copy_part", objects.copy_part("key", &upload, 1, "from", 0..1).await.map(|it| format!("{it:?}"))),
        ("complete", objects.complete("key", &upload, &[part]).await.map(|it| format!("{it:?}"))),
        ("abort", objects.abort("key", &upload).await.map(|it| format!("{it:?}"))),
        ("copy", objects.copy("key", 0..1, "to").await.map(|it| format!("{it:?}"))),
    ]
}

async fn assert_each_fails(objects: &S3Objects, is_refused: bool, advice: &str) {
    for (operation, told) in told_by_each(objects).await {
        let (refused, message) = match told.expect_err(operation) {
            ObjectsError::Refused(message) => (true, message),
            ObjectsError::Unavailable(message) => (false, message),
            ObjectsError::Io(error) => panic!("there is no file: {error}"),
        };
        assert_eq!((refused, message.contains(advice)), (is_refused, true), "{operation}: {message}");
        assert!(!message.contains("Signature="), "{operation}: a signature is a secret: {message}");
    }
}

#[tokio::test]
async fn every_refusal_says_what_to_do_and_none_is_absence() {
    let refusals = [
        (StatusCode::FORBIDDEN, "AccessDenied", true, "allow s3:"),
        (StatusCode::FORBIDDEN, "SignatureDoesNotMatch", true, "AWS_SECRET_ACCESS_KEY"),
        (StatusCode::FORBIDDEN, "RequestTimeTooSkewed", true, "clock"),
        (StatusCode::NOT_FOUND, "NoSuchBucket", true, "storage.data"),
        (StatusCode::BAD_REQUEST, "AuthorizationHeaderMalformed", true, "s3.region"),
        (StatusCode::MOVED_PERMANENTLY, "PermanentRedirect", true, "s3.region"),
        (StatusCode::NOT_FOUND, "", true, "s3.endpoint"),
        (StatusCode::NOT_IMPLEMENTED, "NotImplemented", true, "lacks"),
    ];
    join_all(refusals.map(|(status, code, is_refused, advice)| async move {
        let address = canned(move |_| error(status, code)).await;
        let objects = bucket_at(&address, "bucket");
        let head_says_nothing = objects.stat("key").await.expect_err("a 404 without a body is no absence");
        assert!(head_says_nothing.to_string().contains(advice), "{head_says_nothing}");
        assert_each_fails(&objects, is_refused, advice).await;
    }))
    .await;
}

#[tokio::test]
async fn what_is_busy_or_fails_is_asked_several_times_and_then_unavailable() {
    let failures = [
        (StatusCode::SERVICE_UNAVAILABLE, "SlowDown", "given up"),
        (StatusCode::TOO_MANY_REQUESTS, "", "given up"),
        (StatusCode::CONFLICT, "OperationAborted", "given up"),
        (StatusCode::INTERNAL_SERVER_ERROR, "InternalError", "see to"),
        (StatusCode::BAD_GATEWAY, "", "see to"),
        (StatusCode::OK, "InternalError", "see to"),
    ];
    join_all(failures.map(|(status, code, advice)| async move {
        let asked = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let counted = asked.clone();
        let address = canned(move |_| {
            counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            error(status, code)
        })
        .await;
        let objects = bucket_at(&address, "bucket");
        let upload = Multipart("1".to_owned());
        // What fails behind a 200 does so where the store copies or completes.
        let failure = objects.complete("key", &upload, &[]).await.expect_err("it is not complete");
        assert!(matches!(&failure, ObjectsError::Unavailable(message) if message.contains(advice)), "{failure}");
        assert_eq!(asked.load(std::sync::atomic::Ordering::Relaxed), 7, "{status} {code}");
        let failure = objects.copy_part("key", &upload, 1, "from", 0..1).await.expect_err("it is not copied");
        assert!(matches!(failure, ObjectsError::Unavailable(_)), "{failure}");
        if status != StatusCode::OK {
            let failure = objects.get("key").await.expect_err("it is not absent");
            assert!(matches!(failure, ObjectsError::Unavailable(_)), "{failure}");
            let failure = objects.create("key", bytes::Bytes::new()).await.expect_err("nobody knows");
            assert!(matches!(failure, ObjectsError::Unavailable(_)), "{failure}");
        }
    }))
    .await;
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let failure = bucket_at(&address, "bucket").get("key").await.expect_err("nobody is there");
    assert!(matches!(&failure, ObjectsError::Unavailable(message) if message.contains("s3.endpoint")), "{failure}");
    assert!(failure.to_string().contains(&address), "{failure}");
}

#[tokio::test]
async fn a_real_server_refuses_a_wrong_secret_and_knows_no_other_bucket() {
    let address = &Weed::shared().address;
    let bucket = Bucket { name: new_bucket().await, prefix: String::new() };
    assert_each_fails(&objects_at(address, bucket, "wrong"), true, "AWS_SECRET_ACCESS_KEY").await;
    let objects = bucket_at(address, "there-is-no-such-bucket");
    for (operation, told) in told_by_each(&objects).await {
        // SeaweedFS looks for an upload before it looks for the bucket, and removes nothing from nowhere.
        if !matches!(operation, "complete" | "abort" | "remove" | "put_part" | "copy_part") {
            let failure = told.expect_err(operation);
            assert!(
                matches!(&failure, ObjectsError::Refused(message) if message.contains("storage.data")),
                "{failure}"
            );
        }
    }
}

#[tokio::test]
async fn an_upload_that_the_store_does_not_know_is_no_failure_of_complete() {
    let objects = bucket_at(&canned(|_| error(StatusCode::NOT_FOUND, "NoSuchUpload")).await, "bucket");
    let upload = Multipart("1".to_owned());
    assert_eq!(objects.complete("key", &upload, &[]).await.unwrap(), Completed::Unknown);
    objects.abort("key", &upload).await.unwrap();
    let failure = objects.put_part("key", &upload, 1, bytes::Bytes::new()).await.expect_err("it has ended");
    assert!(failure.to_string().contains("has ended"), "{failure}");
    let objects = bucket_at(&canned(|_| error(StatusCode::OK, "NoSuchUpload")).await, "bucket");
    assert_eq!(objects.complete("key", &upload, &[]).await.unwrap(), Completed::Unknown, "told behind a 200");
}

#[tokio::test]
async fn an_object_is_known_by_its_first_byte_or_by_all_of_it() {
    for (status, range, body, size) in [
        (StatusCode::PARTIAL_CONTENT, "bytes 0-0/70001", "x", Some(70_001)),
        (StatusCode::OK, "", "whole", Some(5)),
        (StatusCode::RANGE_NOT_SATISFIABLE, "bytes */0", "", Some(0)),
        (StatusCode::PARTIAL_CONTENT, "bytes 0-0/*", "x", None),
        (StatusCode::PARTIAL_CONTENT, "bytes 1-1/70001", "x", None),
    ] {
        let address = canned(move |request| {
            let is_ranged = request.headers().contains_key("range");
            let mut answer = http::Response::new(whole(body.into()));
            *answer.status_mut() = if is_ranged { status } else { StatusCode::OK };
            for (name, value) in [("etag", "1"), ("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT")] {
                answer.headers_mut().insert(name, value.parse().unwrap());
            }
            answer.headers_mut().insert("content-range", range.parse().unwrap());
            answer
        });
        let told = bucket_at(&address.await, "bucket").stat("key").await;
        let found = told.as_ref().ok().map(|stat| stat.as_ref().expect("it is there").size);
        assert_eq!(found, size, "{status} {range}: {told:?}");
    }
}

#[tokio::test]
async fn an_object_that_looks_like_an_error_is_an_object() {
    let objects = objects().await;
    let content = bytes::Bytes::from_static(b"<Error><Code>InternalError</Code><Message>x</Message></Error>");
    objects.put("key", content.clone(), None).await.unwrap();
    assert_eq!(objects.get("key").await.unwrap().expect("it is there").bytes, content);
}

#[test]
fn what_cannot_be_meant_is_refused_before_anything_is_asked() {
    let bucket = Bucket { name: "bucket".to_owned(), prefix: String::new() };
    let credentials = || AmazonS3Builder::new().with_access_key_id("a").with_secret_access_key("b");
    let problem = |settings: &S3| open::client(&bucket, settings, credentials(), None).expect_err("it is refused");
    let endpoint = "http://127.0.0.1:1".parse().unwrap();
    assert!(problem(&S3 { endpoint, ..S3::default() }).contains("s3.allow_http"));
    for endpoint in ["http://127.0.0.1:1", "http://[::1]:1", "http://127.0.0.1"] {
        let settings = S3 { endpoint: endpoint.parse().unwrap(), allow_http: true, ..S3::default() };
        assert!(problem(&settings).contains("s3.path_style"), "{endpoint}");
    }
    let dotted = Bucket { name: "a.bucket".to_owned(), prefix: String::new() };
    let problem_of_dotted =
        open::client(&dotted, &S3::default(), credentials(), None).expect_err("no certificate names it");
    assert!(problem_of_dotted.contains("s3.path_style"));
    let missing = S3 { ca_file: Some("/nothing/here.pem".into()), ..S3::default() };
    assert!(problem(&missing).contains("s3.ca_file: /nothing/here.pem"));
    let empty = tempfile::NamedTempFile::new().unwrap();
    assert!(problem(&S3 { ca_file: Some(empty.path().into()), ..S3::default() }).contains("no certificate"));
}

#[tokio::test]
async fn a_bucket_stands_in_the_host_or_in_the_path() {
    let bucket = Bucket { name: "bucket".to_owned(), prefix: "p".to_owned() };
    for (endpoint, path_style, expected) in [
        ("", false, "https://bucket.s3.eu-1.amazonaws.com/p/key?"),
        ("", true, "https://s3.eu-1.amazonaws.com/bucket/p/key?"),
        ("https://s3.example.org:9000", false, "https://bucket.s3.example.org:9000/p/key?"),
        ("https://s3.example.org:9000", true, "https://s3.example.org:9000/bucket/p/key?"),
    ] {
        let settings =
            S3 { endpoint: endpoint.parse().unwrap(), path_style, region: "eu-1".to_owned(), ..S3::default() };
        let credentials = AmazonS3Builder::new().with_access_key_id("a").with_secret_access_key("b");
        let client = open::client(&bucket, &settings, credentials, None).unwrap();
        let url = client.sign(&Request::new(Method::GET, "key"), Duration::from_secs(30)).await.unwrap();
        assert!(url.starts_with(expected) && url.contains("X-Amz-Expires=30"), "{url}");
    }
}
