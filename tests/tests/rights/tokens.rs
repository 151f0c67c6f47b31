//! Tokens, for a session and for machines.

use crate::{ADMIN, ALICE, BOB, CI, Within, push, put};
use lockgate_e2e::{Gate, Scheme, eventually, fresh_dir, htpasswd_line, rename_over};
use std::fs;
use std::time::Duration;

const PROMISED: Duration = Duration::from_millis(3500);

#[test]
fn a_token_is_given_for_a_password_by_get_and_by_post() {
    let site = Within::start();
    push(&site.gate, "team/app", "v1", "x");
    let get = site.gate.by(ALICE, "GET", "/token?service=lockgate&scope=repository:team/app:pull").run().expect(200);
    assert_eq!(get.head().one("cache-control"), "no-store");
    let form = "grant_type=password&username=alice&password=correct-horse&service=lockgate&client_id=docker&scope=repository%3Ateam%2Fapp%3Apull";
    let post = site.gate.stranger("/token").method("POST").body_of_type("application/x-www-form-urlencoded", form);
    let post = post.run().expect(200);
    assert_eq!(post.json()["scope"], "repository:team/app:pull");
    for answer in [get.json(), post.json()] {
        assert_eq!(answer["token"], answer["access_token"]);
        assert_eq!(answer["expires_in"], 900);
        assert!(answer.get("issued_at").is_none() && answer.get("refresh_token").is_none());
        let token = answer["token"].as_str().expect("a token");
        site.gate.bearer(token, "GET", "/v2/team/app/manifests/v1").run().expect(200);
        site.gate.bearer(token, "GET", "/v2/").run().expect(200);
        // It gives no other token.
        site.gate.bearer(token, "GET", "/token").run().expect(401);
    }
}

#[test]
fn what_is_wrong_with_a_request_for_a_token_is_told_in_both_vocabularies() {
    let site = Within::start();
    let form = |form: &str| {
        let post = site.gate.stranger("/token").method("POST");
        post.body_of_type("application/x-www-form-urlencoded", form).run()
    };
    for (answer, status, error) in [
        (site.gate.by("alice:wrong", "GET", "/token").run(), 401, "invalid_grant"),
        (form("grant_type=password&username=alice&password=wrong"), 401, "invalid_grant"),
        (form("grant_type=password&username=alice"), 401, "invalid_grant"),
        (form("grant_type=refresh_token&refresh_token=x"), 400, "unsupported_grant_type"),
        (form("username=alice&password=correct-horse"), 400, "invalid_request"),
        (form("grant_type=password&username=alice&username=bob&password=x"), 400, "invalid_request"),
        (
            site.gate
                .by(ALICE, "POST", "/token")
                .body_of_type(
                    "application/x-www-form-urlencoded",
                    "grant_type=password&username=alice&password=correct-horse",
                )
                .run(),
            400,
            "invalid_request",
        ),
        (
            site.gate.stranger("/token").method("POST").body_of_type("application/json", "{}").run(),
            400,
            "invalid_request",
        ),
        (form(&format!("grant_type=password&x={}", "y".repeat(17_000))), 413, "invalid_request"),
        (
            site.gate.by(ALICE, "GET", &format!("/token?{}", "scope=repository:a/b:pull&".repeat(33))).run(),
            400,
            "invalid_scope",
        ),
        (site.gate.by(ALICE, "PUT", "/token").body("").run(), 405, "invalid_request"),
    ] {
        assert_eq!(answer.status(), status, "{error}");
        let json = answer.json();
        assert_eq!(json["error"], error);
        assert_eq!(json["error_description"], json["errors"][0]["message"]);
    }
}

#[test]
fn nobody_gets_a_token_for_what_anyone_may_and_one_for_all() {
    let site = Within::start();
    push(&site.gate, "public/app", "v1", "x");
    let token = site.gate.token(None, "repository:team/app:pull,push,delete");
    site.gate.bearer(&token, "GET", "/v2/public/app/manifests/v1").run().expect(200);
    site.gate.bearer(&token, "GET", "/v2/").run().expect(200);
    let answer = site.gate.bearer(&token, "GET", "/v2/team/app/manifests/v1").run().expect(401);
    let challenge = answer.head().one("www-authenticate");
    assert!(challenge.contains("error=\"insufficient_scope\",error_description=\"log in first"), "{challenge}");
    assert_eq!(answer.oci_error(401).0, "DENIED");
}

#[test]
fn where_nobody_may_anything_nobody_gets_a_token() {
    let data = fresh_dir();
    let grants = "[[grant]]\nrepositories = '**'\nto = 'authenticated'\nallow = 'pull'\n";
    let gate = Gate::over(data.path()).access(grants).start();
    let answer = gate.stranger("/token?service=lockgate").run().expect(401);
    assert_eq!(answer.json()["errors"][0]["message"], format!("log in first: docker login {}", gate.door().address));
}

#[test]
fn grants_come_before_scope_and_a_narrow_token_is_told_what_it_needs() {
    let site = Within::start();
    push(&site.gate, "team/app", "v1", "x");
    let narrow = site.gate.token(Some(ALICE), "repository:team/app:pull");
    let answer = site.gate.bearer(&narrow, "POST", "/v2/team/app/blobs/uploads/").body("").run().expect(401);
    let challenge = answer.head().one("www-authenticate");
    assert!(challenge.contains(r#"scope="repository:team/app:pull,push",error="insufficient_scope""#), "{challenge}");
    site.gate.bearer(&narrow, "DELETE", "/v2/team/app/manifests/v1").run().expect(403);
    let wide = site.gate.token(Some(BOB), "repository:team/app:pull,push,delete");
    site.gate.bearer(&wide, "GET", "/v2/team/app/manifests/v1").run().expect(403);
    // Who may create gets push in the token, since clients ask for nothing finer.
    let ci = site.gate.token(Some(CI), "repository:team/app:pull,push");
    put(site.gate.bearer(&ci, "PUT", "/v2/team/app/manifests/v9"), "x").run().expect(201);
}

#[test]
fn a_page_gets_one_token_for_all_that_its_user_may() {
    let site = Within::start();
    push(&site.gate, "home/bob/x", "v1", "x");
    let token = site.gate.by(BOB, "GET", "/token/self").run().expect(200).json()["token"].as_str().unwrap().to_owned();
    site.gate.bearer(&token, "GET", "/v2/_catalog").run().expect(200);
    site.gate.bearer(&token, "DELETE", "/v2/home/bob/x/manifests/v1").run().expect(202);
    site.gate.bearer(&token, "GET", "/v2/team/app/tags/list").run().expect(403);
}

#[test]
fn what_is_no_token_is_told_so_and_a_token_of_another_gate_is_none() {
    let (one, other) = (Within::start(), Within::start());
    let foreign = other.gate.token(Some(ADMIN), "repository:team/app:pull");
    let mut bent = one.gate.token(Some(ADMIN), "repository:team/app:pull");
    bent.replace_range(20..21, if &bent[20..21] == "A" { "B" } else { "A" });
    for token in ["", "x", "e30.e30.e30", &foreign, &bent, &"A".repeat(9000)] {
        let answer = one.gate.bearer(token, "GET", "/v2/team/app/tags/list").run().expect(401);
        let challenge = answer.head().one("www-authenticate");
        assert!(challenge.contains("error=\"invalid_token\""), "{challenge}");
        assert_eq!(answer.oci_error(401).0, "UNAUTHORIZED");
    }
}

fn with_machines(gate: &Gate, arguments: &[&str]) -> String {
    let made = gate.lockgate(&[&["token", "create"], arguments].concat()).success();
    made.stdout.trim().to_owned()
}

fn site_with_machines() -> (Gate, tempfile::TempDir) {
    let data = fresh_dir();
    let gate = crate::with_grants(Gate::over(data.path()));
    let tokens = gate.dir().join("tokens");
    let gate = gate.set("auth.tokens", tokens.display()).start();
    (gate, data)
}

#[test]
fn a_machine_s_token_narrows_its_owner_and_is_revoked_within_two_seconds() {
    let (gate, _data) = site_with_machines();
    push(&gate, "team/app", "v1", "x");
    push(&gate, "team/other", "v1", "x");
    let token =
        with_machines(&gate, &["--for", "alice", "--repositories", "team/app", "--allow", "pull", "--expires", "90d"]);
    assert!(token.starts_with("lkg_"), "{token}");
    let credentials = format!("alice:{token}");
    let status = |who: &str, method: &str, path: &str| gate.by(who, method, path).body("").run().status();
    eventually(PROMISED, "the token", || {
        (status(&credentials, "GET", "/v2/team/app/manifests/v1") == 200).then_some(())
    });
    assert_eq!(status(&credentials, "GET", "/v2/team/other/manifests/v1"), 403);
    assert_eq!(status(&credentials, "POST", "/v2/team/app/blobs/uploads/"), 403);
    assert_eq!(status(&format!("bob:{token}"), "GET", "/v2/"), 401, "it is alice's");
    let listed = gate.by(&credentials, "GET", "/v2/_catalog").run().expect(200).json();
    assert_eq!(listed["repositories"], serde_json::json!(["team/app"]));
    // A session that began with it is as narrow, and ends with it.
    let session = gate.token(Some(&credentials), "repository:team/app:pull,push,delete");
    assert_eq!(gate.bearer(&session, "GET", "/v2/team/app/manifests/v1").run().status(), 200);
    assert_eq!(gate.bearer(&session, "POST", "/v2/team/app/blobs/uploads/").body("").run().status(), 403);
    // Its owner's password may change.
    let users = [("alice", "another"), ("admin", "root-of-all")];
    let lines: String =
        users.iter().map(|(user, password)| htpasswd_line(Scheme::Bcrypt, user, password) + "\n").collect();
    rename_over(&gate.htpasswd, lines);
    eventually(PROMISED, "the new password", || (status("alice:another", "GET", "/v2/") == 200).then_some(()));
    assert_eq!(status(&credentials, "GET", "/v2/team/app/manifests/v1"), 200);
    let id = token.split('_').nth(1).expect("an id");
    gate.lockgate(&["token", "revoke", id]).success();
    eventually(PROMISED, "its end", || (status(&credentials, "GET", "/v2/") == 401).then_some(()));
    assert_eq!(gate.bearer(&session, "GET", "/v2/team/app/manifests/v1").run().status(), 401);
    assert!(!gate.log().text().contains(&token[10..]), "no token is logged");
}

/// A vanished file is a mistake, as it is with the other files; an empty one is an order.
#[test]
fn a_file_of_tokens_that_vanishes_keeps_them_and_one_that_is_empty_has_none() {
    let (gate, _data) = site_with_machines();
    let tokens = gate.dir().join("tokens");
    let told = || gate.log().text().matches("tokens for machines on disk are refused; those in use stay").count();
    let create = |what: &str| {
        with_machines(&gate, &["--for", "alice", "--repositories", what, "--allow", "pull", "--expires", "90d"])
    };
    let [kept, gone] = ["team/app", "team/other"].map(|what| format!("alice:{}", create(what)));
    let status = |who: &str| gate.by(who, "GET", "/v2/").run().status();
    let holds = |what: &str, kept_is: u16, gone_is: u16| {
        eventually(PROMISED, what, || ((status(&kept), status(&gone)) == (kept_is, gone_is)).then_some(()));
    };
    holds("both tokens", 200, 200);
    assert_eq!(told(), 0, "that there was no file before the first token is no news");
    let file = fs::read_to_string(&tokens).unwrap();
    let without = file.lines().filter(|line| !line.contains("team/other")).map(|line| format!("{line}\n"));
    rename_over(&tokens, without.collect::<String>());
    holds("one without its line", 200, 401);
    fs::remove_file(&tokens).unwrap();
    eventually(PROMISED, "a line in the log", || (told() == 1).then_some(()));
    assert_eq!((status(&kept), status(&gone)), (200, 401));
    assert!(gate.log().text().contains("an empty file has none"), "it says how to revoke them all");
    rename_over(&tokens, "");
    holds("none", 401, 401);
    fs::remove_file(&tokens).unwrap();
    rename_over(&tokens, file);
    holds("both again", 200, 200);
}

/// Behind one address with everybody else.
#[test]
fn a_stale_token_in_a_forgotten_job_keeps_nobody_out() {
    let (gate, _data) = site_with_machines();
    let stale =
        with_machines(&gate, &["--for", "alice", "--repositories", "team/app", "--allow", "pull", "--expires", "90d"]);
    let id = stale.split('_').nth(1).expect("an id").to_owned();
    gate.lockgate(&["token", "revoke", &id]).success();
    let request = format!(
        "GET /v2/ HTTP/1.1\r\nHost: r\r\nAuthorization: Basic {}\r\n\r\n",
        lockgate_e2e::base64(format!("alice:{stale}").as_bytes())
    );
    let mut wire = gate.wire();
    for _ in 0..1000 {
        wire.send(&request);
        assert_eq!(wire.response().head.status(), 401);
    }
    gate.by(ALICE, "GET", "/v2/").run().expect(200);
}

#[test]
fn an_owner_without_a_password_logs_in_by_token_only() {
    let (gate, _data) = site_with_machines();
    let users = fs::read_to_string(&gate.htpasswd).unwrap();
    rename_over(&gate.htpasswd, format!("{users}robot:!\n"));
    push(&gate, "public/app", "v1", "x");
    let token =
        with_machines(&gate, &["--for", "robot", "--repositories", "**", "--allow", "pull", "--expires", "never"]);
    let by_token = format!("robot:{token}");
    eventually(PROMISED, "the robot", || {
        (gate.by(&by_token, "GET", "/v2/public/app/manifests/v1").run().status() == 200).then_some(())
    });
    for password in ["!", "", "x"] {
        gate.by(&format!("robot:{password}"), "GET", "/v2/").run().expect(401);
    }
}

#[test]
fn keys_are_changed_without_a_token_that_is_refused() {
    let site = Within::start();
    push(&site.gate, "team/app", "v1", "x");
    let key = site.gate.dir().join("token.key");
    let old = site.gate.token(Some(ALICE), "repository:team/app:pull");
    let lockgate = |option: &str| {
        let mut lockgate = lockgate_e2e::program("lockgate");
        lockgate_e2e::finish(lockgate.arg("token-key").arg(&key).arg(option)).success();
    };
    lockgate("--add");
    let reloads = |count: usize| {
        let told = |text: String| text.matches("keys of tokens").count() >= count;
        eventually(PROMISED, "the keys are read", || told(site.gate.log().text()).then_some(()));
    };
    reloads(1);
    lockgate("--promote");
    reloads(2);
    let new = site.gate.token(Some(ALICE), "repository:team/app:pull");
    for token in [&old, &new] {
        site.gate.bearer(token, "GET", "/v2/team/app/manifests/v1").run().expect(200);
    }
}
