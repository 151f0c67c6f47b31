//! The list of repositories shows what one may pull, and nothing of the rest.

use crate::{ADMIN, ALICE, BOB, Before, Within, push};
use lockgate_e2e::{Gate, Upstream};

/// The pages that a caller reads, following each `Link`.
pub(super) fn pages(gate: &Gate, who: Option<&str>, n: usize) -> (Vec<String>, Vec<String>) {
    let (mut shown, mut links, mut path) = (Vec::new(), Vec::new(), format!("/v2/_catalog?n={n}"));
    loop {
        let request = gate.stranger(&path);
        let answer = who.into_iter().fold(request, |request, who| request.user(who)).run().expect(200);
        let names = answer.json()["repositories"].as_array().expect("a list").clone();
        assert!(names.len() <= n);
        shown.extend(names.iter().map(|name| name.as_str().expect("a name").to_owned()));
        let Some(link) = answer.head().all("link").first().map(|link| (*link).to_owned()) else { break };
        path = link.split(['<', '>']).nth(1).expect("a target").to_owned();
        links.push(link);
    }
    (shown, links)
}

#[test]
fn each_sees_what_it_may_pull_and_no_cursor_names_anything_else() {
    let (before, within) = (Before::start(), Within::start());
    for gate in [&before.gate, &within.gate] {
        let names = [
            "home/alice/a",
            "home/bob/a-b",
            "home/bob/a/b",
            "public/a",
            "public/b",
            "public/c",
            "secret/merger",
            "team/app",
            "zzz/secret",
        ];
        for name in names {
            push(gate, name, "v1", "x");
        }
        for n in [1, 2, 100] {
            let seen = |who| pages(gate, who, n);
            assert_eq!(seen(Some(ADMIN)).0, names);
            assert_eq!(seen(None).0, ["public/a", "public/b", "public/c"]);
            let (bob, links) = seen(Some(BOB));
            assert_eq!(bob, ["home/bob/a-b", "home/bob/a/b", "public/a", "public/b", "public/c"]);
            assert!(
                !links.iter().any(|link| link.contains("secret") || link.contains("alice") || link.contains("team"))
            );
            assert_eq!(seen(Some(ALICE)).0, ["home/alice/a", "public/a", "public/b", "public/c", "team/app"]);
        }
        assert_eq!(gate.by(BOB, "GET", "/v2/_catalog?n=0").run().expect(200).text(), r#"{"repositories":[]}"#);
        gate.by(BOB, "GET", "/v2/_catalog?n=x").run().expect(400);
    }
}

#[test]
fn what_is_pushed_through_the_gate_is_in_it_at_once() {
    let site = Before::start();
    push(&site.gate, "public/a", "v1", "x");
    assert_eq!(pages(&site.gate, None, 10).0, ["public/a"]);
    push(&site.gate, "public/b", "v1", "x");
    assert_eq!(pages(&site.gate, None, 10).0, ["public/a", "public/b"]);
}

#[test]
fn a_token_lists_where_it_is_for_that() {
    let site = Within::start();
    push(&site.gate, "public/a", "v1", "x");
    let narrow = site.gate.token(Some(BOB), "repository:public/a:pull");
    let answer = site.gate.bearer(&narrow, "GET", "/v2/_catalog").run().expect(401);
    let challenge = answer.head().one("www-authenticate");
    assert!(challenge.contains(r#"scope="registry:catalog:*",error="insufficient_scope""#), "{challenge}");
    let token = site.gate.token(Some(BOB), "registry:catalog:*");
    site.gate.bearer(&token, "GET", "/v2/_catalog").run().expect(200);
}

#[test]
fn a_registry_without_a_list_is_not_asked_for_it_by_each_who_asks() {
    const STRANGERS: usize = 16;
    let upstream = Upstream::answering("HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n");
    let gate = crate::with_grants(Gate::before(upstream.url())).start();
    std::thread::scope(|scope| {
        for _ in 0..STRANGERS {
            scope.spawn(|| gate.stranger("/v2/_catalog").run().expect(502));
        }
    });
    let asked = upstream.received().len();
    assert!(asked < STRANGERS, "{asked}");
}
