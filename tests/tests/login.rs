//! Promise: whoever has a user and its password comes in; anybody else is told how to log in.

use lockgate_e2e::{Gate, Scheme, Upstream, eventually, htpasswd_line, ok};
use std::time::Duration;

#[test]
fn a_right_password_opens_the_registry() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = Gate::before(upstream.url()).start();
    let answer = gate.curl("/v2/").run().expect(200);
    assert_eq!(answer.text(), "{}");
    assert_eq!(upstream.only().head.target(), "/v2/");
}

#[test]
fn no_wrong_and_no_readable_credentials_are_refused_in_the_registry_s_language() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = Gate::before(upstream.url()).start();
    let refused = [
        ("none", gate.stranger("/v2/")),
        ("a wrong password", gate.stranger("/v2/").user("alice:wrong-horse")),
        ("a password in another case", gate.stranger("/v2/").user("alice:Correct-Horse")),
        ("an empty password", gate.stranger("/v2/").user("alice:")),
        ("an unknown user", gate.stranger("/v2/").user("mallory:correct-horse")),
        ("a user in another case", gate.stranger("/v2/").user("Alice:correct-horse")),
        ("no user", gate.stranger("/v2/").user(":correct-horse")),
        ("another scheme", gate.stranger("/v2/").header("Authorization: Bearer YWxpY2U6Y29ycmVjdC1ob3JzZQ==")),
        ("no base64", gate.stranger("/v2/").header("Authorization: Basic alice:correct-horse")),
        ("no colon", gate.stranger("/v2/").header("Authorization: Basic YWxpY2U=")),
        (
            "a blob",
            gate.stranger("/v2/a/blobs/sha256:0000000000000000000000000000000000000000000000000000000000000000"),
        ),
    ];
    for (what, curl) in refused {
        let answer = curl.run();
        let (code, _) = answer.oci_error(401);
        assert_eq!(code, "UNAUTHORIZED", "{what}");
        assert_eq!(answer.head().one("www-authenticate"), r#"Basic realm="Registry Realm""#, "{what}");
    }
    assert!(upstream.received().is_empty(), "nothing of it may reach the registry");
}

/// podman sends an empty name and an empty password for somebody who did not log in.
#[test]
fn who_shows_neither_name_nor_password_is_told_to_log_in_however_often() {
    let upstream = Upstream::answering(ok("{}"));
    // A second wrong password would be a 429.
    let gate = Gate::before(upstream.url()).set("auth.failures", 1).set("auth.address_failures", 1).start();
    for _ in 0..20 {
        for curl in [gate.stranger("/v2/"), gate.stranger("/v2/").header("Authorization: Basic Og==")] {
            let answer = curl.run();
            assert!(answer.oci_error(401).1.contains("log in"), "{}", answer.text());
            assert_eq!(answer.head().one("www-authenticate"), r#"Basic realm="Registry Realm""#);
        }
    }
    gate.curl("/v2/").run().expect(200);
}

#[test]
fn the_scheme_is_read_without_case_and_the_first_colon_splits() {
    let users = [htpasswd_line(Scheme::Bcrypt, "bob", "a:b:c"), htpasswd_line(Scheme::Bcrypt, "jürg", "été")];
    let upstream = Upstream::answering(ok("{}"));
    let gate = Gate::before(upstream.url()).htpasswd(users.join("\n")).start();
    gate.stranger("/v2/").user("bob:a:b:c").run().expect(200);
    gate.stranger("/v2/").user("jürg:été").run().expect(200);
    // bob:a:b:c
    gate.stranger("/v2/").header("Authorization: bASIC Ym9iOmE6Yjpj").run().expect(200);
}

#[test]
fn the_realm_is_the_configured_one() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = Gate::before(upstream.url()).set("auth.realm", "registry.localhost").start();
    let answer = gate.stranger("/v2/").run();
    assert_eq!(answer.head().one("www-authenticate"), r#"Basic realm="registry.localhost""#);
}

#[test]
fn a_refusal_keeps_the_connection_for_the_next_try() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = Gate::before(upstream.url()).start();
    let again = gate.door().url("/v2/");
    let answer =
        gate.stranger("/v2/").args(&["--output", "/dev/null", "--next", "--silent", "--path-as-is", "--noproxy", "*"]);
    let ca = gate.door().ca.display().to_string();
    let answer = answer.args(&["--cacert", &ca, "--user", &gate.door().credentials(), &again]).run();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.new_connections(), 0, "the second request should have gone on the first one's connection");
}

#[test]
fn a_refusal_on_the_wire_says_nothing_of_closing() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = Gate::before(upstream.url()).start();
    let mut wire = gate.wire();
    for _ in 0..3 {
        wire.send("GET /v2/ HTTP/1.1\r\nHost: registry.test\r\n\r\n");
        let response = wire.response();
        assert_eq!(response.head.status(), 401);
        assert!(!response.head.all("connection").contains(&"close"), "{:#?}", response.head);
    }
    wire.send("GET /v2/ HTTP/1.1\r\nHost: registry.test\r\nAuthorization: Basic YWxpY2U6Y29ycmVjdC1ob3JzZQ==\r\n\r\n");
    assert_eq!(wire.response().head.status(), 200);
}

#[test]
fn a_password_longer_than_bcrypt_reads_never_matches_by_its_start() {
    let long = "x".repeat(72);
    let upstream = Upstream::answering(ok("{}"));
    let gate = Gate::before(upstream.url()).htpasswd(htpasswd_line(Scheme::Bcrypt, "long", &long)).start();
    gate.stranger("/v2/").user(&format!("long:{long}")).run().expect(200);
    gate.stranger("/v2/").user(&format!("long:{long}y")).run().oci_error(401);
    // long:<72 x>, NUL: `printf 'long:%s\0' xxx...`
    let with_nul = format!("bG9uZzp{}eAA=", "4eHh".repeat(23) + "4eH");
    let answer = gate.stranger("/v2/").header(&format!("Authorization: Basic {with_nul}")).run();
    answer.oci_error(401);
}

#[test]
fn a_verified_password_is_not_hashed_again() {
    // Cost 12 takes some 200 ms a time on any machine; 40 remembered logins take less than that together.
    let hash = htpasswd_line(Scheme::BcryptOfCost12, "alice", "correct-horse");
    let upstream = Upstream::answering(ok("{}"));
    let gate = Gate::before(upstream.url()).htpasswd(hash).start();
    let seconds = |answer: lockgate_e2e::Answer| answer.measured["time_starttransfer"].as_f64().unwrap();
    let mut wire_times = Vec::new();
    let first = seconds(gate.curl("/v2/").run().expect(200));
    for _ in 0..5 {
        wire_times.push(seconds(gate.curl("/v2/").run().expect(200)));
    }
    let best = wire_times.into_iter().fold(f64::MAX, f64::min);
    assert!(best < first / 2.0, "the first login took {first} s, the best of the next five {best} s");
}

#[test]
fn an_unknown_user_costs_the_same_as_a_wrong_password() {
    let hash = htpasswd_line(Scheme::BcryptOfCost12, "alice", "correct-horse");
    let upstream = Upstream::answering(ok("{}"));
    // Each password is looked at.
    let gate = Gate::before(upstream.url()).htpasswd(hash).set("auth.failures", 1_000);
    let gate = gate.set("auth.address_failures", 1_000).start();
    let mut passwords = 0..;
    let mut best = |user: &str| {
        let mut measure = || {
            let password = passwords.next().unwrap();
            let answer = gate.stranger("/v2/").user(&format!("{user}:wrong-{password}")).run().expect(401);
            answer.measured["time_starttransfer"].as_f64().unwrap()
        };
        (0..4).map(|_| measure()).fold(f64::MAX, f64::min)
    };
    // The machine may be busy with other tests for a while; the cost itself is the same at any time.
    eventually(Duration::from_secs(30), "equal costs of a wrong password and of an unknown user", || {
        let (known, unknown) = (best("alice"), best("mallory"));
        (unknown > known * 0.6 && known > unknown * 0.6).then_some(())
    });
}
