//! What each caller is answered.

use crate::{ADMIN, ALICE, BOB, CI, Within, push, put};
use lockgate_e2e::{Upstream, ok};

fn challenge(answer: &lockgate_e2e::Answer) -> String {
    answer.head().all("www-authenticate").join(" | ")
}

#[test]
fn nobody_is_sent_for_a_token_and_pulls_what_anyone_may() {
    let site = Within::start();
    let gate = &site.gate;
    push(gate, "public/app", "v1", "public");
    push(gate, "team/app", "v1", "team");
    let realm = format!("Bearer realm=\"https://{}/token\",service=\"lockgate\"", gate.door().address);
    let base = gate.stranger("/v2/").run().expect(401);
    assert_eq!(challenge(&base), realm);
    assert_eq!(base.oci_error(401).0, "UNAUTHORIZED");
    gate.stranger("/v2/public/app/manifests/v1").run().expect(200);
    for (method, path, actions) in [
        ("GET", "/v2/team/app/manifests/v1", "pull"),
        ("GET", "/v2/nothing/here/manifests/v1", "pull"),
        ("POST", "/v2/public/app/blobs/uploads/", "pull,push"),
    ] {
        let repository = path.split("/v2/").nth(1).unwrap().split("/manifests").next().unwrap();
        let repository = repository.split("/blobs").next().unwrap();
        let answer = gate.stranger(path).method(method).body("").run().expect(401);
        assert_eq!(challenge(&answer), format!("{realm},scope=\"repository:{repository}:{actions}\""), "{path}");
    }
}

#[test]
fn who_is_known_is_told_what_is_missing_and_the_registry_is_asked_nothing() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = crate::with_grants(lockgate_e2e::Gate::before(upstream.url())).start();
    let digest = format!("sha256:{}", "a".repeat(64));
    for (who, method, path, words) in [
        (BOB, "GET", "/v2/team/app/manifests/v1".to_owned(), "bob may not pull team/app: no grant gives pull"),
        (
            BOB,
            "POST",
            "/v2/public/app/blobs/uploads/".to_owned(),
            "bob may not push public/app: no grant gives create or push",
        ),
        (
            ALICE,
            "DELETE",
            "/v2/team/app/manifests/v1".to_owned(),
            "alice may not delete team/app:v1: no grant gives delete",
        ),
        (
            ALICE,
            "DELETE",
            format!("/v2/team/app/blobs/{digest}"),
            "alice may not delete team/app: no grant gives delete",
        ),
        (ALICE, "GET", "/v2/home/bob/x/tags/list".to_owned(), "alice may not pull home/bob/x: no grant gives pull"),
        (ALICE, "GET", "/v2/_zot/ext/search".to_owned(), "alice may not use this extension"),
    ] {
        let answer = gate.by(who, method, &path).run();
        let (code, message) = answer.oci_error(403);
        assert_eq!(code, "DENIED");
        assert!(message.starts_with(words), "{message}");
        if method == "GET" {
            let head = gate.by(who, "HEAD", &path).arg("--head").run();
            assert_eq!(head.status(), 403);
            assert!(head.head().one("warning").starts_with(&format!("299 - \"{words}")), "{:?}", head.head());
        }
    }
    assert!(upstream.received().is_empty(), "nothing was asked");
    gate.by(ADMIN, "POST", "/v2/_zot/ext/search").body("").run().expect(200);
}

#[test]
fn a_wrong_password_is_wrong_everywhere_and_never_nobody() {
    let site = Within::start();
    push(&site.gate, "public/app", "v1", "public");
    for path in ["/v2/", "/v2/public/app/manifests/v1", "/token?service=lockgate"] {
        let answer = site.gate.by("alice:wrong", "GET", path).run().expect(401);
        assert!(!challenge(&answer).contains("error="), "{path}: {}", challenge(&answer));
    }
    let empty = site.gate.stranger("/v2/public/app/manifests/v1").header("Authorization: Basic Og==").run();
    assert_eq!(empty.status(), 200, "no name and no password is nobody");
}

#[test]
fn one_who_may_push_pushes_and_one_who_may_only_create_moves_no_tag() {
    let site = Within::start();
    let gate = &site.gate;
    put(gate.by(ALICE, "PUT", "/v2/team/app/manifests/v1"), "one").run().expect(201);
    put(gate.by(ALICE, "PUT", "/v2/team/app/manifests/v1"), "two").run().expect(201);
    put(gate.by(CI, "PUT", "/v2/team/app/manifests/v2"), "one").run().expect(201);
    put(gate.by(CI, "PUT", "/v2/team/app/manifests/v2"), "one").run().expect(201);
    let (code, message) = put(gate.by(CI, "PUT", "/v2/team/app/manifests/v2"), "two").run().oci_error(403);
    assert_eq!((&*code, message.contains("tag v2 exists and create may not move it")), ("DENIED", true), "{message}");
    for mark in ["one", "two"] {
        put(gate.by(CI, "PUT", "/v2/team/app/manifests/latest"), mark).run().expect(201);
    }
}

#[test]
fn another_site_s_page_gets_nothing_and_no_prompt_comes_up() {
    let site = Within::start();
    push(&site.gate, "public/app", "v1", "public");
    for path in ["/v2/public/app/manifests/v1", "/token"] {
        let answer = site.gate.by(ALICE, "GET", path).header("Sec-Fetch-Site: cross-site").run();
        assert_eq!(answer.oci_error(403).0, "DENIED");
    }
    let own = site.gate.stranger("/v2/team/x/tags/list").header("Sec-Fetch-Mode: cors").run().expect(401);
    assert!(challenge(&own).starts_with("Bearer "), "{}", challenge(&own));
}
