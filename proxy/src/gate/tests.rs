use http::HeaderMap;

use super::*;
use crate::access::Authorizer;
use crate::audit::Audit;
use crate::auth::Authenticator;

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use lockgate_backend::config::{Limits, Storage};
use lockgate_backend::{ObjectStore, Registry};

use crate::auth::{Policy, TokenKeys, Users, Verifier};
use crate::config;

/// alice, whose password is `correct-horse`.
const USERS: &[u8] = b"alice:{SHA}NstYn3QVe0WBGmkMWLQ0CV9I6fo=\n";
const ALICE: &str = "Basic YWxpY2U6Y29ycmVjdC1ob3JzZQ==";
const LIFETIME: Duration = Duration::from_secs(900);
const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// A gate with a registry in memory behind it, and no socket anywhere.
fn gate() -> Arc<Gate> {
    gate_of(&Config::default())
}

fn gate_of(config: &Config) -> Arc<Gate> {
    let users = Users::parse(USERS, &Policy::default()).expect("a users' file");
    let verifier = Arc::new(Verifier::new(users, config.auth.limits()).expect("threads"));
    let registry = Registry::new(Arc::new(ObjectStore::in_memory()), Storage::default(), Limits::default());
    let limits = Arc::new(config.limits.clone());
    let keys = TokenKeys::parse("0".repeat(64).as_bytes()).expect("a key in hexadecimal");
    let judges = Judges {
        authenticator: Arc::new(Authenticator::new(verifier, None).with_sessions(keys, "lockgate", LIFETIME)),
        authorizer: Arc::new(Authorizer::new(None)),
        audit: Audit::start(&config.audit).expect("there is none"),
    };
    Arc::new(Gate::new(config, limits, refusal::own_fields(None), judges, Destination::Registry(registry)))
}

async fn ask(
    gate: &Arc<Gate>,
    method: &str,
    target: &str,
    credentials: Option<&str>,
) -> (StatusCode, HeaderMap, Bytes) {
    let request = Request::builder().method(method).uri(target).header("Host", "registry.test");
    let request = credentials.into_iter().fold(request, |request, shown| request.header("Authorization", shown));
    let request = request.body(RequestBody::Bytes(Full::default())).expect("a request");
    let answer = gate
        .clone()
        .answer(request, std::net::SocketAddr::from(([192, 0, 2, 1], 1)).into())
        .await
        .expect("the client is there");
    let (parts, body) = answer.into_parts();
    (parts.status, parts.headers, body.collect().await.expect("a whole answer").to_bytes())
}

#[tokio::test]
async fn a_request_is_a_function_from_header_to_answer() {
    let gate = gate();
    let (status, headers, body) = ask(&gate, "GET", "/v2/", Some(ALICE)).await;
    assert_eq!((status, &body[..]), (StatusCode::OK, &b"{}"[..]));
    assert_eq!(headers["docker-distribution-api-version"], "registry/2.0");
    let upload = format!("/v2/a/blobs/uploads/?digest={EMPTY}");
    assert_eq!(ask(&gate, "POST", &upload, Some(ALICE)).await.0, StatusCode::CREATED);
    let blob = format!("/v2/a/blobs/{EMPTY}");
    assert_eq!(ask(&gate, "HEAD", &blob, Some(ALICE)).await.0, StatusCode::OK);
}

#[tokio::test]
async fn who_is_refused_hears_why_and_nothing_is_done() {
    let gate = gate();
    for (method, target, credentials, status) in [
        ("GET", "/v2/", None, StatusCode::UNAUTHORIZED),
        ("GET", "/v2/", Some("Basic YWxpY2U6d3Jvbmc="), StatusCode::UNAUTHORIZED),
        ("GET", "/metrics", None, StatusCode::NOT_FOUND),
        ("OPTIONS", "/v2/", Some(ALICE), StatusCode::METHOD_NOT_ALLOWED),
        ("GET", "/v2/_catalog?n=1&n=2", Some(ALICE), StatusCode::BAD_REQUEST),
        ("TRACE", "/v2/", Some(ALICE), StatusCode::NOT_IMPLEMENTED),
        ("CONNECT", "/v2/", Some(ALICE), StatusCode::METHOD_NOT_ALLOWED),
    ] {
        let (got, headers, body) = ask(&gate, method, target, credentials).await;
        assert_eq!(got, status, "{method} {target}");
        assert!(body.starts_with(br#"{"errors":[{"code":""#), "{body:?}");
        assert_eq!(headers.contains_key("www-authenticate"), status == StatusCode::UNAUTHORIZED);
        assert_eq!(headers.contains_key("allow"), status == StatusCode::METHOD_NOT_ALLOWED);
        assert!(headers.contains_key("date"));
    }
}

/// Both kinds of clients are to read why.
#[tokio::test]
async fn no_token_is_given_while_its_line_has_no_room() {
    let audit = config::Audit { file: Some("/dev/full".into()), ..Default::default() };
    let gate = gate_of(&Config { audit, ..Config::default() });
    // By the first line it is known.
    assert_eq!(ask(&gate, "GET", "/v2/", Some(ALICE)).await.0, StatusCode::SERVICE_UNAVAILABLE);
    let (status, _, body) = ask(&gate, "GET", "/token", Some(ALICE)).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    let body: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!(
        (&body["error"], &body["errors"][0]["code"]),
        (&"temporarily_unavailable".into(), &"UNAVAILABLE".into())
    );
}
