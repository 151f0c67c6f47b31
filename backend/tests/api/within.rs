//! The registry within another program: a function, with no socket and no server beside it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use lockgate_backend::config::{Limits, Storage};
use lockgate_backend::{ObjectStore, Registry, ReplyBody};
use lockgate_oci::Action;

use crate::harness::{ON_EVERY_ANSWER, PATIENCE, millis, sha256};

async fn call(registry: &Registry, method: Method, target: &str, body: &str) -> Response<ReplyBody> {
    let request = Request::builder().method(method).uri(target).body(Full::from(body.to_owned())).unwrap();
    let uri = request.uri();
    let action = Action::parse(request.method(), uri.path(), uri.query()).unwrap();
    let answer = registry.answer(action, request).await;
    for (name, value) in ON_EVERY_ANSWER {
        assert_eq!(answer.headers()[name], value);
    }
    answer
}

async fn content(answer: Response<ReplyBody>) -> Bytes {
    answer.into_body().collect().await.unwrap().to_bytes()
}

#[tokio::test]
async fn a_blob_is_pushed_and_pulled_without_a_socket() {
    let registry = Registry::new(Arc::new(ObjectStore::in_memory()), Storage::default(), Limits::default());
    let digest = sha256(b"layer");
    let begun = call(&registry, Method::POST, "/v2/a/blobs/uploads/", "").await;
    assert_eq!(begun.status(), 202);
    let upload = begun.headers()["location"].to_str().unwrap();
    assert_eq!(call(&registry, Method::HEAD, upload, "").await.headers()["range"], "0-0");
    assert_eq!(call(&registry, Method::PATCH, upload, "lay").await.status(), 202);
    assert_eq!(call(&registry, Method::HEAD, upload, "").await.headers()["range"], "0-2");
    assert_eq!(call(&registry, Method::PUT, &format!("{upload}?digest={digest}"), "er").await.status(), 201);
    let pulled = call(&registry, Method::GET, &format!("/v2/a/blobs/{digest}"), "").await;
    assert_eq!(content(pulled).await, "layer");
}

#[tokio::test]
async fn an_answer_to_head_has_the_length_and_no_content() {
    let registry = Registry::new(Arc::new(ObjectStore::in_memory()), Storage::default(), Limits::default());
    for target in ["/v2/", "/v2/_catalog", "/v2/a/tags/list", "/v2/a/manifests/v1"] {
        let length = content(call(&registry, Method::GET, target, "").await).await.len();
        let answer = call(&registry, Method::HEAD, target, "").await;
        assert_eq!(answer.headers()["content-length"], length.to_string(), "{target}");
        assert!(length > 0 && content(answer).await.is_empty(), "{target}");
    }
}

#[tokio::test]
async fn stale_uploads_are_removed_where_the_program_wants_it() {
    let storage = Storage { upload_age: millis(50), ..Storage::default() };
    let registry = Registry::new(Arc::new(ObjectStore::in_memory()), storage, Limits::default());
    let begun = call(&registry, Method::POST, "/v2/a/blobs/uploads/", "").await;
    let upload = begun.headers()["location"].to_str().unwrap();
    let background = tokio::spawn(registry.background());
    let gone = async {
        while call(&registry, Method::HEAD, upload, "").await.status() != 404 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.unwrap();
    background.abort();
}
