//! Whole requests, beside a model of who may what that was written apart.

use std::path::Path;

use http::header::CONTENT_TYPE;
use http::{Method, Request};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use regex::Regex;

use super::*;
use crate::access::{Access, Groups};
use crate::auth::Identity;
const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn permitted(query: &str, content_type: &str) -> (Permit, Request<()>) {
    let target = format!("/v2/a/blobs/uploads/?{query}");
    let mut request = Request::post(&target).header(CONTENT_TYPE, content_type).body(()).expect("a request");
    let action = Action::parse(&Method::POST, request.uri().path(), request.uri().query()).expect("an action");
    let caller = Caller::user(Identity::of_tests("alice"));
    let address = IpAddr::from([192, 0, 2, 1]);
    let permit = Authorizer::new(None).decide(caller, action, request.headers(), address).expect("a permit");
    permit.rewrite(&mut request);
    (permit, request)
}

#[test]
fn a_mount_from_nowhere_is_an_ordinary_upload() {
    for query in [format!("mount={DIGEST}&x=%2f"), format!("%6dount={DIGEST}&x=%2f&%66rom=no%20name")] {
        let (permit, request) = permitted(&query, "application/octet-stream");
        assert!(matches!(permit.action(), Action::BeginUpload { .. }), "{query}");
        assert_eq!(request.uri(), "/v2/a/blobs/uploads/?x=%2f");
    }
    let (permit, request) = permitted(&format!("mount={DIGEST}"), "application/octet-stream");
    assert!(matches!(permit.action(), Action::BeginUpload { .. }));
    assert_eq!(request.uri(), "/v2/a/blobs/uploads/");
}

#[test]
fn a_mount_from_a_repository_goes_on_as_it_came() {
    let query = format!("mount={DIGEST}&from=b%2Fc");
    let (permit, request) = permitted(&query, "application/octet-stream");
    assert!(matches!(permit.action(), Action::Mount { from: Some(_), .. }));
    assert_eq!(request.uri().query(), Some(&*query));
}

#[test]
fn a_body_that_says_it_is_a_form_says_so_no_more() {
    for (before, after) in [
        ("application/x-www-form-urlencoded", "application/octet-stream"),
        ("Multipart/Form-Data; boundary=x", "application/octet-stream"),
        ("application/vnd.oci.image.manifest.v1+json", "application/vnd.oci.image.manifest.v1+json"),
    ] {
        let (_, request) = permitted("", before);
        assert_eq!(request.headers()[CONTENT_TYPE], after);
    }
}

/// A grant as the model reads it: texts.
#[derive(Debug, Clone)]
struct Written {
    repository: &'static str,
    to: &'static str,
    allow: &'static str,
    tags: Option<&'static str>,
}

/// What a request comes to, as the model sees it.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// It passes; these tags must be new, and it takes a blob over.
    Pass(Vec<String>, bool),
    /// It is refused, to nobody or to somebody.
    Refused,
}

impl Written {
    fn text(&self) -> String {
        let tags = self.tags.map_or_else(String::new, |tags| format!("tags = '{tags}'\n"));
        let Self { repository, to, allow, .. } = self;
        format!("[[grant]]\nrepositories = '{repository}'\nto = '{to}'\nallow = '{allow}'\n{tags}")
    }

    /// Whether it gives one of these words to somebody, there, for this tag.
    fn gives(&self, who: Option<&str>, words: &[&str], repository: &str, tag: Option<&str>) -> bool {
        let is_for = match self.to {
            "anyone" => true,
            "authenticated" => who.is_some(),
            to => who.is_some_and(|who| to == format!("user:{who}")),
        };
        let pattern = self.repository.replace("${user}", who.unwrap_or("/")).replace("**", ".+").replace('*', "[^/]*");
        let is_there = Regex::new(&format!("^{pattern}$")).expect("a pattern").is_match(repository);
        let is_tagged = match (self.tags, tag) {
            (None, _) | (Some(_), Some("")) => true,
            (Some(tags), Some(tag)) => {
                Regex::new(&format!("^{}$", tags.replace('*', ".*"))).expect("one").is_match(tag)
            }
            (Some(_), None) => false,
        };
        is_for && is_there && is_tagged && (words.contains(&self.allow) || self.allow == "all")
    }
}

const PULL: &[&str] = &["pull", "create", "push", "delete"];
const CREATE: &[&str] = &["create", "push"];
const PUSH: &[&str] = &["push"];
const DELETE: &[&str] = &["delete"];

/// Rights by the path's words. A tag of `""` asks for no tag in particular.
fn model(grants: &[Written], who: Option<&str>, method: &str, rest: &str, query: &[(&str, &str)], at: &str) -> Verdict {
    let gives = |words, there: &str, tag| grants.iter().any(|grant| grant.gives(who, words, there, tag));
    let pass = |is: bool| if is { Verdict::Pass(vec![], false) } else { Verdict::Refused };
    let (kind, reference) = rest.split_once('/').unwrap_or((rest, ""));
    let is_digest = reference.starts_with("sha256:");
    match (method, kind) {
        ("DELETE", "manifests") if !is_digest => pass(gives(DELETE, at, Some(reference))),
        ("DELETE", "manifests") => pass(gives(DELETE, at, None)),
        ("DELETE", "blobs") if is_digest => pass(gives(DELETE, at, None)),
        ("GET" | "HEAD", "manifests" | "tags") => pass(gives(PULL, at, Some(""))),
        ("GET" | "HEAD", "blobs") if is_digest => pass(gives(PULL, at, Some(""))),
        ("PUT", "manifests") => {
            let tags = query.iter().filter(|(name, _)| *name == "tag").map(|(_, tag)| *tag);
            let tags = Some(reference).filter(|_| !is_digest).into_iter().chain(tags);
            let others: Vec<&str> = tags.filter(|tag| !gives(PUSH, at, Some(tag))).collect();
            let may = gives(CREATE, at, Some("")) && others.iter().all(|tag| gives(CREATE, at, Some(tag)));
            if may {
                Verdict::Pass(others.iter().map(|tag| (*tag).to_owned()).collect(), false)
            } else {
                Verdict::Refused
            }
        }
        _ => {
            let from = query.iter().find(|(name, _)| *name == "from").map(|(_, from)| *from);
            let is_mount = query.iter().any(|(name, _)| *name == "mount");
            let mounts = is_mount && method == "POST" && from.is_some_and(|from| gives(PULL, from, Some("")));
            if gives(CREATE, at, Some("")) { Verdict::Pass(vec![], mounts) } else { Verdict::Refused }
        }
    }
}

fn grant() -> impl Strategy<Value = Written> {
    (
        select(&["**", "team/**", "team/*", "team/app", "home/${user}/**", "public/**", "t*m/a*"][..]),
        select(&["anyone", "authenticated", "user:alice", "user:bob"][..]),
        select(&["pull", "create", "push", "delete", "all"][..]),
        select(&[None, None, Some("latest"), Some("v*")][..]),
    )
        .prop_map(|(repository, to, allow, tags)| Written { repository, to, allow, tags })
}

const REPOSITORIES: [&str; 7] = ["team", "team/app", "team/a/b", "home/alice/x", "home/bob/x", "public/a", "tim/a"];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_request_passes_when_the_model_says_so_and_is_rewritten_as_it_says(
        grants in proptest::collection::vec(grant(), 1..5),
        who in select(&[None, Some("alice"), Some("bob")][..]),
        at in select(&REPOSITORIES[..]),
        (method, rest) in select(vec![
            ("GET", "manifests/v1".to_owned()),
            ("HEAD", format!("manifests/{DIGEST}")),
            ("GET", format!("blobs/{DIGEST}")),
            ("GET", "tags/list".to_owned()),
            ("PUT", "manifests/v1".to_owned()),
            ("PUT", "manifests/latest".to_owned()),
            ("PUT", format!("manifests/{DIGEST}")),
            ("DELETE", "manifests/v1".to_owned()),
            ("DELETE", format!("manifests/{DIGEST}")),
            ("DELETE", format!("blobs/{DIGEST}")),
            ("POST", "blobs/uploads/".to_owned()),
            ("PATCH", "blobs/uploads/x".to_owned()),
            ("GET", "blobs/uploads/x".to_owned()),
            ("DELETE", "blobs/uploads/x".to_owned()),
        ]),
        query in subsequence(
            vec![("mount", DIGEST), ("from", "team/app"), ("tag", "latest"), ("tag", "v2"), ("x", "y")], 0..=5),
        form in any::<bool>(),
    ) {
        let text: String = grants.iter().map(Written::text).collect();
        let access = Access::parse(&text, Path::new("access.toml"), Groups::default()).expect("grants");
        let pairs: Vec<String> = query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let target = format!("/v2/{at}/{rest}?{}", pairs.join("&"));
        let content_type = if form { "application/x-www-form-urlencoded" } else { "application/json" };
        let mut request =
            Request::builder().method(method).uri(&target).header(CONTENT_TYPE, content_type).body(()).expect("one");
        let method_type = Method::from_bytes(method.as_bytes()).expect("a method");
        let action = Action::parse(&method_type, request.uri().path(), request.uri().query()).expect("an action");
        let caller = who.map_or_else(Caller::nobody, |who| Caller::user(Identity::of_tests(who)));
        let decided = Authorizer::new(Some(access.grants)).decide(
            caller, action, request.headers(), IpAddr::from([192, 0, 2, 1]));
        let verdict = match decided {
            Ok(permit) => {
                permit.rewrite(&mut request);
                // A form is never forwarded as one, and a mount that is not to be leaves no trace.
                prop_assert!(!is_form(request.headers()));
                let mounts = matches!(permit.action(), Action::Mount { .. });
                let left = request.uri().query().unwrap_or_default();
                prop_assert!(mounts || method != "POST" || !query.iter().any(|(name, _)| *name == "mount")
                    || !left.contains("mount") && !left.contains("from"), "{left}");
                Verdict::Pass(permit.only_new().iter().map(ToString::to_string).collect(), mounts)
            }
            Err(Denial::Nobody(_)) if who.is_none() => Verdict::Refused,
            Err(Denial::Forbidden(_)) if who.is_some() => Verdict::Refused,
            Err(other) => panic!("{who:?} is refused as {other:?}"),
        };
        prop_assert_eq!(verdict, model(&grants, who, method, &rest, &query, at), "{} {}", method, target);
    }
}
