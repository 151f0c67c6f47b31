//! The table of docs/rights.md, made of what each request needs: `UPDATE_EXPECT=1` writes it.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::Path;

use expect_test::expect_file;
use http::{HeaderMap, Method, StatusCode};
use lockgate_oci::Route;

use super::*;
use crate::access::{Access, Authorizer, Groups, Permit};
use crate::auth::{Caller, Identity};

const PAGE: &str = include_str!("../../../../docs/rights.md");
const BEGIN: &str = "<!-- made by `make conf` of what each request needs -->\n";
const END: &str = "<!-- the end of it -->\n";

const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// What a request may say, by the words that stand for it in the documents.
const SAMPLES: [(&str, &str); 8] = [
    ("<extension>", "x"),
    ("<path>", "y"),
    ("<name>", "team/app"),
    ("<other>", "other/app"),
    ("<tag>", "v1"),
    ("<digest>", DIGEST),
    ("<id>", "6b3c"),
    ("<record>", "fffffe5dd3fce5ab-93ae63509971495e914d76439c471c74"),
];

/// Every end-point, and what of its queries takes something else.
const TARGETS: [(&str, &[&str]); 16] = [
    ("/v2/", METHODS),
    ("/v2/_catalog", METHODS),
    ("/v2/_<extension>/<path>", METHODS),
    ("/v2/<name>/tags/list", METHODS),
    ("/v2/<name>/referrers/<digest>", METHODS),
    ("/v2/<name>/manifests/<tag>", METHODS),
    ("/v2/<name>/manifests/<digest>", METHODS),
    ("/v2/<name>/manifests/<digest>?tag=<tag>", &["PUT"]),
    ("/v2/<name>/blobs/<digest>", METHODS),
    ("/v2/<name>/blobs/uploads/", METHODS),
    ("/v2/<name>/blobs/uploads/?digest=<digest>", &["POST"]),
    ("/v2/<name>/blobs/uploads/?mount=<digest>&from=<other>", &["POST"]),
    ("/v2/<name>/blobs/uploads/<id>", METHODS),
    ("/v2/<name>/_lockgate/trash/", METHODS),
    ("/v2/<name>/_lockgate/trash/<record>", METHODS),
    ("/v2/<name>/_lockgate/trash/<record>?tag=<tag>", &["POST"]),
];
const METHODS: &[&str] = &["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];

/// A path and a query as a client sends them.
fn sample(target: &str) -> String {
    SAMPLES.iter().fold(target.to_owned(), |target, (word, sample)| target.replace(word, sample))
}

/// What an action takes, in the words of a grant; `None` where the method is none of the end-point's.
fn takes(method: &str, target: &str) -> Option<String> {
    let target = sample(target);
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    // The end of an upload is not one without its digest, and no other request minds it there.
    let query = if path.ends_with("/6b3c") { "digest=DIGEST" } else { query }.replace("DIGEST", DIGEST);
    let method = Method::from_bytes(method.as_bytes()).expect("a method");
    let action = match Action::parse(&method, path, Some(&query)) {
        Ok(action) => action,
        Err(refused) => {
            assert_eq!(refused.error.status(), StatusCode::METHOD_NOT_ALLOWED, "{method} {target}");
            return None;
        }
    };
    let mut words = match Need::of(&action) {
        Need::Login => "credentials".to_owned(),
        Need::AnyPull => "credentials, or anything that anyone may pull".to_owned(),
        Need::Everywhere(rights) => {
            let rights: Vec<String> = rights.iter().map(|right| format!("`{right}`")).collect();
            format!("{} on `**`", rights.join(" and "))
        }
        Need::In(_, Wish::Pull) => "`pull`".to_owned(),
        Need::In(_, Wish::Create) => "`create`".to_owned(),
        Need::In(_, Wish::DeleteTag(_)) => "`delete`, with this tag".to_owned(),
        Need::In(_, Wish::Delete) => "`delete` without `tags`".to_owned(),
        Need::In(_, Wish::CreateTag(_) | Wish::MoveTag(_)) => unreachable!("that comes on top"),
    };
    if matches!(action, Action::Trash(_)) {
        words += ", and `pull`";
    }
    if matches!(&action, Action::Restore { tags, .. } if !tags.is_empty()) {
        words += ", with this tag, which is not there yet";
    }
    let is_mount = matches!(action, Action::Mount { .. });
    let permit = who_may_create(action);
    if permit.as_ref().is_some_and(|permit| !permit.only_new().is_empty()) {
        words += " where the tag is not there yet, else `push`, with this tag";
    }
    if is_mount && permit.is_some_and(|permit| matches!(permit.action(), Action::BeginUpload { .. })) {
        words += ", and `pull` of `<other>`; without that it is an ordinary upload";
    }
    Some(words)
}

/// The permit of somebody who may create in `<name>`, and nothing else.
fn who_may_create(action: Action) -> Option<Permit> {
    let grants = "[[grant]]\nrepositories = 'team/app'\nto = 'user:alice'\nallow = 'create'\n";
    let access = Access::parse(grants, Path::new("access.toml"), Groups::default()).expect("grants");
    let caller = Caller::user(Identity::of_tests("alice"));
    let address = IpAddr::from([192, 0, 2, 1]);
    Authorizer::new(Some(access.grants)).decide(caller, action, &HeaderMap::new(), address).ok()
}

#[test]
fn the_table_in_the_documents_is_made_of_what_each_request_needs() {
    let mut table = "| path | methods | takes |\n|---|---|---|\n".to_owned();
    for (target, methods) in TARGETS {
        let mut rows: Vec<(Vec<&str>, String)> = Vec::new();
        for method in methods {
            let Some(words) = takes(method, target) else { continue };
            match rows.iter_mut().find(|(_, same)| *same == words) {
                Some((methods, _)) => methods.push(method),
                None => rows.push((vec![method], words)),
            }
        }
        assert!(!rows.is_empty(), "nothing may be asked of {target}");
        for (methods, words) in rows {
            writeln!(table, "| `{target}` | {} | {words} |", methods.join(", ")).expect("a String takes all");
        }
    }
    let (before, rest) = PAGE.split_once(BEGIN).expect("the beginning is marked");
    let (_, after) = rest.split_once(END).expect("the end is marked");
    expect_file!["../../../../docs/rights.md"].assert_eq(&format!("{before}{BEGIN}{table}{END}{after}"));
}

/// Which of the end-points it is, in a number; one that is new does not compile before it is here, and in the table.
fn place(route: &Route) -> usize {
    match route {
        Route::Base => 0,
        Route::Catalog => 1,
        Route::Extension => 2,
        Route::Tags(_) => 3,
        Route::Manifest(..) => 4,
        Route::Blob(..) => 5,
        Route::Uploads(_) => 6,
        Route::Upload(..) => 7,
        Route::Referrers(..) => 8,
        Route::Trash(_) => 9,
        Route::Trashed(..) => 10,
    }
}

#[test]
fn every_end_point_stands_in_the_table_with_every_method_that_it_has() {
    let every: BTreeSet<_> =
        TARGETS.iter().filter(|(_, methods)| *methods == METHODS).map(|(target, _)| *target).collect();
    let places: BTreeSet<_> =
        every.iter().map(|target| place(&Route::parse(&sample(target)).expect("an end-point"))).collect();
    assert!(places.into_iter().eq(0..11), "{every:?}");
    // The methods that HTTP has beside those of the table, and one that nobody has.
    for method in ["OPTIONS", "TRACE", "CONNECT", "get", "PURGE"] {
        for (target, _) in TARGETS {
            assert_eq!(takes(method, target), None, "{method} {target}");
        }
    }
}
