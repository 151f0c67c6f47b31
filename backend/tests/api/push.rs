use std::convert::Infallible;

use bytes::Bytes;
use futures_util::stream;
use http::Request;
use http_body_util::StreamBody;
use hyper::body::Frame;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::harness::{RawEnd, TestRegistry, content, millis, sha256, sha512, until, upload_directory};

/// A body without a length ahead: it is sent chunked.
pub(crate) fn chunked(
    method: &str,
    path: &str,
    content: &[u8],
    piece: usize,
) -> Request<impl hyper::body::Body<Data = Bytes, Error = Infallible> + Unpin + use<>> {
    let pieces: Vec<_> = content.chunks(piece).map(|piece| Ok(Frame::data(Bytes::copy_from_slice(piece)))).collect();
    Request::builder().method(method).uri(path).body(StreamBody::new(stream::iter(pieces))).unwrap()
}

async fn holds(registry: &TestRegistry, bytes: &[u8]) {
    let answer = registry.get(&format!("/v2/a/blobs/{}", sha256(bytes))).await.expect(200);
    assert!(answer.body == bytes);
}

#[tokio::test]
async fn docker_pushes_a_stream_and_then_names_its_digest() {
    let registry = TestRegistry::start().await;
    let bytes = content(1_500_000);
    let answer = registry.call("POST", "/v2/a/blobs/uploads/").await.expect(202);
    assert_eq!((answer.header("range"), answer.header("content-length")), ("0-0", "0"));
    let url = answer.header("location").to_owned();
    assert!(url.ends_with(answer.header("docker-upload-uuid")));

    let answer = registry.send(chunked("PATCH", &url, &bytes, 32 * 1024)).await.expect(202);
    assert_eq!((answer.header("range"), answer.header("location")), ("0-1499999", url.as_str()));

    let digest = sha256(&bytes);
    let encoded = digest.replace(':', "%3A");
    let answer = registry.call("PUT", &format!("{url}?_state=x&digest={encoded}")).await.expect(201);
    assert_eq!(answer.header("docker-content-digest"), digest);
    assert_eq!(answer.header("location"), format!("/v2/a/blobs/{digest}"));
    holds(&registry, &bytes).await;
    registry.get(&url).await.expect_error(404, "BLOB_UPLOAD_UNKNOWN");
}

#[tokio::test]
async fn a_blob_may_come_whole_with_the_last_request_or_with_the_first() {
    let registry = TestRegistry::start().await;
    let bytes = content(200_000);
    let url = registry.begin("a").await;
    registry.call_with("PUT", &format!("{url}?digest={}", sha256(&bytes)), &[], bytes.clone()).await.expect(201);
    holds(&registry, &bytes).await;

    let bytes = content(200_001);
    let path = format!("/v2/a/blobs/uploads/?digest={}", sha256(&bytes));
    let answer = registry.call_with("POST", &path, &[], bytes.clone()).await.expect(201);
    assert_eq!(answer.header("location"), format!("/v2/a/blobs/{}", sha256(&bytes)));
    holds(&registry, &bytes).await;

    let path = format!("/v2/a/blobs/uploads/?digest={}", sha512(&bytes));
    let answer = registry.call_with("POST", &path, &[], bytes).await.expect(201);
    registry.get(answer.header("location")).await.expect(200);
}

#[tokio::test]
async fn pieces_are_taken_in_order_and_a_gap_is_told_where_to_go_on() {
    let registry = TestRegistry::start().await;
    let bytes = content(30_000);
    let url = registry.begin("a").await;
    let patch = async |range: &str, piece: &[u8]| {
        registry.call_with("PATCH", &url, &[("content-range", range)], piece.to_vec()).await
    };
    assert_eq!(patch("0-9999", &bytes[..10_000]).await.expect(202).header("range"), "0-9999");

    for range in ["20000-29999", "0-9999", "9999-19998"] {
        let answer = patch(range, &bytes[20_000..]).await.expect_error(416, "RANGE_INVALID");
        assert_eq!((answer.header("range"), answer.header("location")), ("0-9999", url.as_str()), "{range}");
    }
    patch("bytes 10000-19999", &bytes[10_000..20_000]).await.expect_error(416, "RANGE_INVALID");
    patch("10000-19998", &bytes[10_000..20_000]).await.expect_error(400, "SIZE_INVALID");
    patch("0-18446744073709551615", b"ab").await.expect_error(416, "RANGE_INVALID");

    let answer = registry.get(&url).await.expect(204);
    assert_eq!((answer.header("range"), answer.header("location")), ("0-9999", url.as_str()));
    assert_eq!(patch("10000-19999", &bytes[10_000..20_000]).await.expect(202).header("range"), "0-19999");

    let last = format!("{url}?digest={}", sha256(&bytes));
    let early = [("content-range", "10000-19999")];
    registry.call_with("PUT", &last, &early, bytes[10_000..20_000].to_vec()).await.expect_error(416, "RANGE_INVALID");
    let headers = [("content-range", "20000-29999")];
    registry.call_with("PUT", &last, &headers, bytes[20_000..].to_vec()).await.expect(201);
    holds(&registry, &bytes).await;
}

#[tokio::test]
async fn a_chunked_piece_must_be_as_long_as_its_content_range() {
    let registry = TestRegistry::start().await;
    let url = registry.begin("a").await;
    let mut request = chunked("PATCH", &url, b"0123456789", 3);
    request.headers_mut().insert("content-range", "0-7".parse().unwrap());
    registry.send(request).await.expect_error(400, "SIZE_INVALID");
    let mut request = chunked("PATCH", &registry.begin("a").await, b"0123456789", 3);
    request.headers_mut().insert("content-range", "0-9".parse().unwrap());
    registry.send(request).await.expect(202);
}

#[tokio::test]
async fn an_empty_session_stands_at_its_beginning() {
    let registry = TestRegistry::start().await;
    let url = registry.begin("a").await;
    assert_eq!(registry.get(&url).await.expect(204).header("range"), "0-0");
    assert_eq!(registry.call("PATCH", &url).await.expect(202).header("range"), "0-0");
    registry.call("PUT", &format!("{url}?digest={}", sha256(b""))).await.expect(201);
    holds(&registry, b"").await;
}

#[tokio::test]
async fn a_wrong_digest_leaves_nothing_to_be_seen() {
    let registry = TestRegistry::start().await;
    let wrong = sha256(b"something else");
    let url = registry.begin("a").await;
    registry.call_with("PATCH", &url, &[], content(100_000)).await.expect(202);
    registry.call("PUT", &format!("{url}?digest={wrong}")).await.expect_error(400, "DIGEST_INVALID");
    let path = format!("/v2/a/blobs/uploads/?digest={wrong}");
    registry.call_with("POST", &path, &[], "x").await.expect_error(400, "DIGEST_INVALID");

    for digest in [wrong, sha256(&content(100_000)), sha256(b"x")] {
        registry.get(&format!("/v2/a/blobs/{digest}")).await.expect_error(404, "BLOB_UNKNOWN");
    }
    assert_eq!(registry.files(), Vec::<String>::new());
}

#[tokio::test]
async fn a_digest_that_is_none_is_refused_before_the_session_is_touched() {
    let registry = TestRegistry::start().await;
    let url = registry.begin("a").await;
    registry.call("PUT", &url).await.expect_error(400, "DIGEST_INVALID");
    for digest in ["", "x", "md5:d41d8cd98f00b204e9800998ecf8427e", "sha256:abc"] {
        registry.call("PUT", &format!("{url}?digest={digest}")).await.expect_error(400, "DIGEST_INVALID");
        let path = format!("/v2/a/blobs/uploads/?digest={digest}");
        registry.call_with("POST", &path, &[], "x").await.expect_error(400, "DIGEST_INVALID");
    }
    let path = "/v2/a/blobs/uploads/?digest-algorithm=md5";
    registry.call("POST", path).await.expect_error(400, "DIGEST_INVALID");
    registry.call("POST", "/v2/a/blobs/uploads/?digest-algorithm=sha512").await.expect(202);
    registry.get(&url).await.expect(204);
}

#[tokio::test]
async fn a_push_that_is_cut_off_goes_on_from_the_bytes_that_came() {
    let registry = TestRegistry::start().await;
    let bytes = content(500_000);
    for kept in [0, 1000, 300_000] {
        let url = registry.begin("a").await;
        let mut request =
            format!("PATCH {url} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", bytes.len()).into_bytes();
        request.extend_from_slice(&bytes[..kept]);
        registry.raw(&request, RawEnd::CutOff).await;
        registry.until_upload_has(&url, kept as u64).await;

        let answer = registry.get(&url).await.expect(204);
        assert_eq!(answer.header("range"), format!("0-{}", kept.saturating_sub(1)));
        let range = format!("{kept}-{}", bytes.len() - 1);
        let rest = bytes[kept..].to_vec();
        registry.call_with("PATCH", &url, &[("content-range", &range)], rest).await.expect(202);
        registry.call("PUT", &format!("{url}?digest={}", sha256(&bytes))).await.expect(201);
        holds(&registry, &bytes).await;
    }
}

#[tokio::test]
async fn a_chunked_push_that_is_cut_off_is_no_shorter_blob() {
    let registry = TestRegistry::start().await;
    let url = registry.begin("a").await;
    let request = format!(
        "PUT {url}?digest={} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        sha256(b"hello")
    );
    registry.raw(request.as_bytes(), RawEnd::CutOff).await;
    registry.until_upload_has(&url, 5).await;
    registry.get(&format!("/v2/a/blobs/{}", sha256(b"hello"))).await.expect_error(404, "BLOB_UNKNOWN");
    registry.call("PUT", &format!("{url}?digest={}", sha256(b"hello"))).await.expect(201);
}

#[tokio::test]
async fn a_client_that_falls_silent_loses_its_request_and_not_its_bytes() {
    let registry = TestRegistry::start_with(|config| config.limits.body_timeout = millis(50)).await;
    let url = registry.begin("a").await;
    let request = format!("PATCH {url} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 9\r\n\r\nhello");
    let answer = registry.raw(request.as_bytes(), RawEnd::Close).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert_eq!(registry.get(&url).await.expect(204).header("range"), "0-4");
}

#[tokio::test]
async fn a_session_goes_on_after_a_restart_with_the_right_digest() {
    let mut registry = TestRegistry::start().await;
    let bytes = content(400_000);
    let url = registry.begin("a").await;
    registry.call_with("PATCH", &url, &[], bytes[..150_000].to_vec()).await.expect(202);
    registry.restart().await;
    assert_eq!(registry.get(&url).await.expect(204).header("range"), "0-149999");
    registry.call_with("PATCH", &url, &[], bytes[150_000..250_000].to_vec()).await.expect(202);
    registry.restart().await;
    let last = format!("{url}?digest={}", sha256(&bytes));
    registry.call_with("PUT", &last, &[], bytes[250_000..].to_vec()).await.expect(201);
    holds(&registry, &bytes).await;
}

#[tokio::test]
async fn a_restart_does_not_make_a_wrong_digest_right() {
    let mut registry = TestRegistry::start().await;
    let url = registry.begin("a").await;
    registry.call_with("PATCH", &url, &[], "first half, ").await.expect(202);
    registry.restart().await;
    let last = format!("{url}?digest={}", sha256(b"first half, second ha"));
    registry.call_with("PUT", &last, &[], "second half").await.expect_error(400, "DIGEST_INVALID");
}

#[tokio::test]
async fn a_session_is_cancelled_and_its_bytes_are_gone() {
    let registry = TestRegistry::start().await;
    let url = registry.begin("a").await;
    registry.call_with("PATCH", &url, &[], content(1000)).await.expect(202);
    registry.call("DELETE", &url).await.expect(204);
    for method in ["GET", "PATCH", "DELETE"] {
        registry.call(method, &url).await.expect_error(404, "BLOB_UPLOAD_UNKNOWN");
    }
    assert!(!registry.path(&upload_directory(&url)).exists());
}

#[tokio::test]
async fn a_session_is_of_its_repository_and_its_id_is_a_uuid() {
    let registry = TestRegistry::start().await;
    let url = registry.begin("a").await;
    let id = url.rsplit('/').next().unwrap();
    for path in [format!("/v2/b/blobs/uploads/{id}"), "/v2/a/blobs/uploads/not-a-uuid".into()] {
        for method in ["GET", "PATCH", "DELETE"] {
            registry.call(method, &path).await.expect_error(404, "BLOB_UPLOAD_UNKNOWN");
        }
        let last = format!("{path}?digest={}", sha256(b""));
        registry.call("PUT", &last).await.expect_error(404, "BLOB_UPLOAD_UNKNOWN");
    }
    registry.get(&url).await.expect(204);
}

#[tokio::test]
async fn a_second_request_on_a_session_is_refused_and_the_first_is_not_disturbed() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let registry = TestRegistry::start().await;
    let bytes = content(200_000);
    let url = registry.begin("a").await;
    let mut first = TcpStream::connect(registry.address).await.unwrap();
    let head = format!("PATCH {url} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 200000\r\n\r\n");
    first.write_all(head.as_bytes()).await.unwrap();
    first.write_all(&bytes[..150_000]).await.unwrap();
    // The first buffer's worth is on disk: the session is taken.
    let data = registry.path(&upload_directory(&url)).join("data");
    until(|| std::fs::metadata(&data).is_ok_and(|metadata| metadata.len() > 0)).await;

    registry.call_with("PATCH", &url, &[], "second").await.expect_error(409, "BLOB_UPLOAD_INVALID");
    let last = format!("{url}?digest={}", sha256(&bytes));
    registry.call("PUT", &last).await.expect_error(409, "BLOB_UPLOAD_INVALID");
    registry.call("DELETE", &url).await.expect_error(409, "BLOB_UPLOAD_INVALID");

    first.write_all(&bytes[150_000..]).await.unwrap();
    let mut answer = String::new();
    first.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 202 "), "{answer}");
    registry.call("PUT", &last).await.expect(201);
    holds(&registry, &bytes).await;
}

#[tokio::test]
async fn a_blob_is_mounted_from_where_it_is_and_else_pushed() {
    let registry = TestRegistry::start().await;
    let digest = registry.push_blob("team/app", "layer").await;
    let encoded = digest.replace(':', "%3A");
    let answer =
        registry.call("POST", &format!("/v2/a/blobs/uploads/?mount={encoded}&from=team%2Fapp")).await.expect(201);
    assert_eq!(answer.header("location"), format!("/v2/a/blobs/{digest}"));
    assert_eq!(answer.header("docker-content-digest"), digest);
    assert_eq!(registry.get(answer.header("location")).await.expect(200).body, "layer");

    let from_nowhere = ["", "&from=none", "&from=", "&from=../../a", "&from=team/app/"];
    for query in from_nowhere.map(|from| format!("mount={digest}{from}")) {
        let answer = registry.call("POST", &format!("/v2/b/blobs/uploads/?{query}")).await.expect(202);
        registry.get(answer.header("location")).await.expect(204);
        registry.get(&format!("/v2/b/blobs/{digest}")).await.expect(404);
    }
    registry.call("POST", "/v2/b/blobs/uploads/?mount=x&from=a").await.expect_error(400, "DIGEST_INVALID");
    let twice = format!("/v2/b/blobs/uploads/?mount={digest}&from=team/app&%66rom=team/app");
    registry.call("POST", &twice).await.expect_error(400, "UNSUPPORTED");
    registry.get(&format!("/v2/b/blobs/{digest}")).await.expect(404);
}

#[tokio::test]
async fn expect_100_continue_is_answered_when_the_body_is_wanted_and_only_then() {
    let registry = TestRegistry::start().await;
    let url = registry.begin("a").await;
    let head = |url: &str| {
        format!(
            "PATCH {url} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nConnection: close\r\nContent-Length: 5\r\n\r\n"
        )
    };
    let answer = registry.raw(format!("{}hello", head(&url)).as_bytes(), RawEnd::Close).await;
    assert!(answer.starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 202 "), "{answer}");
    let unknown = "/v2/a/blobs/uploads/4fe1a6d5-9d0a-4d5e-8f0e-3c0d5d1f0b6a";
    let answer = registry.raw(head(unknown).as_bytes(), RawEnd::Close).await;
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
}

#[tokio::test]
async fn a_whole_put_that_broke_off_can_be_sent_again_to_its_session() {
    let registry = TestRegistry::start().await;
    let bytes = content(500_000);
    for kept in [&[1][..], &[300_000], &[0, 200_000, 499_999]] {
        let url = registry.begin("a").await;
        let path = format!("{url}?digest={}", sha256(&bytes));
        let mut there = 0;
        for kept in kept {
            let head = format!("PUT {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", bytes.len());
            registry.raw(&[head.as_bytes(), &bytes[..*kept]].concat(), RawEnd::CutOff).await;
            there += *kept as u64;
            registry.until_upload_has(&url, there).await;
        }
        let answer = registry.call_with("PUT", &path, &[], bytes.clone()).await.expect(201);
        assert_eq!(answer.header("docker-content-digest"), sha256(&bytes));
        holds(&registry, &bytes).await;
        registry.get(&url).await.expect_error(404, "BLOB_UPLOAD_UNKNOWN");
        registry.call("DELETE", &format!("/v2/a/blobs/{}", sha256(&bytes))).await.expect(202);
    }
}

#[tokio::test]
async fn who_was_cut_off_and_is_back_before_that_was_seen_is_let_in() {
    let registry = TestRegistry::start().await;
    let bytes = content(500_000);
    let url = registry.begin("a").await;
    let path = format!("{url}?digest={}", sha256(&bytes));
    let head = format!("PUT {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", bytes.len());
    let mut first = TcpStream::connect(registry.address).await.unwrap();
    first.write_all(&[head.as_bytes(), &bytes[..300_000]].concat()).await.unwrap();
    registry.until_upload_has(&url, 262_144).await;
    let leaving = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        drop(first);
    };
    let (answer, ()) = tokio::join!(registry.call_with("PUT", &path, &[], bytes.clone()), leaving);
    answer.expect(201);
    holds(&registry, &bytes).await;
}
