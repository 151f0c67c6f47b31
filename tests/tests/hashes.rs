//! Promise: the htpasswd file people already have is read, whatever tool wrote it.

use lockgate_e2e::{
    Gate, PATIENCE, Scheme, Upstream, finish, finish_with_input, fresh_dir, htpasswd_line, ok, openssl_line, program,
    tool,
};
use std::fs;

#[test]
fn every_scheme_of_htpasswd_and_openssl_is_known() {
    let bcrypt = htpasswd_line(Scheme::Bcrypt, "bcrypt-2y", "correct-horse");
    let users = [
        bcrypt.replace("bcrypt-2y:$2y$", "bcrypt-2a:$2a$"),
        bcrypt.replace("bcrypt-2y:$2y$", "bcrypt-2b:$2b$"),
        bcrypt,
        htpasswd_line(Scheme::Apr1, "apr1", "correct-horse"),
        htpasswd_line(Scheme::Sha1, "sha1", "correct-horse"),
        htpasswd_line(Scheme::Sha256Crypt, "sha256-crypt", "correct-horse"),
        htpasswd_line(Scheme::Sha512Crypt, "sha512-crypt", "correct-horse"),
        openssl_line("-apr1", "openssl-apr1", "correct-horse"),
        openssl_line("-5", "openssl-5", "correct-horse"),
        openssl_line("-6", "openssl-6", "correct-horse"),
    ];
    let upstream = Upstream::answering(ok("{}"));
    let gate = Gate::before(upstream.url()).htpasswd(users.join("\n") + "\n").start();
    for line in users {
        let user = line.split(':').next().unwrap();
        assert_eq!(gate.stranger("/v2/").user(&format!("{user}:correct-horse")).run().status(), 200, "{line}");
        assert_eq!(gate.stranger("/v2/").user(&format!("{user}:wrong")).run().status(), 401, "{line}");
    }
}

#[test]
fn comments_blank_lines_windows_line_ends_and_later_duplicates_are_read_as_apache_reads_them() {
    let text = [
        "# users of the registry".to_owned(),
        String::new(),
        htpasswd_line(Scheme::Bcrypt, "alice", "first"),
        format!("#{}", htpasswd_line(Scheme::Bcrypt, "carol", "carol-pw")),
        htpasswd_line(Scheme::Bcrypt, "bob", "bob-pw"),
        htpasswd_line(Scheme::Bcrypt, "alice", "second"),
    ];
    let upstream = Upstream::answering(ok("{}"));
    let gate = Gate::before(upstream.url()).htpasswd(text.join("\r\n") + "\r\n").start();
    let status = |user: &str| gate.stranger("/v2/").user(user).run().status();
    assert_eq!(status("bob:bob-pw"), 200);
    assert_eq!((status("carol:carol-pw"), status("#carol:carol-pw")), (401, 401));
    // Apache and nginx take the first of two lines: no forgotten one further down may come to life.
    assert_eq!((status("alice:first"), status("alice:second")), (200, 401));
}

#[test]
fn an_entry_that_cannot_be_safe_shuts_out_its_user_and_nobody_else() {
    let costly = htpasswd_line(Scheme::Bcrypt, "costly", "open-sesame").replace("$2y$04$", "$2y$15$");
    let plain = htpasswd_line(Scheme::Plain, "plain", "open-sesame");
    let des = htpasswd_line(Scheme::Des, "des", "open-sesame");
    let alice = htpasswd_line(Scheme::Bcrypt, "alice", "correct-horse");
    let upstream = Upstream::answering(ok("{}"));
    for line in [costly, plain, des, "nohash:".to_owned()] {
        let (user, hash) = line.split_once(':').unwrap();
        let builder = Gate::before(upstream.url()).htpasswd(format!("{alice}\n\n{line}\n"));
        let checked = builder.check();
        assert_eq!(checked.status.code(), Some(64), "{checked}");
        let gate = builder.start();
        let said = gate.log().await_line(PATIENCE, "a line about the entry", |said| said.contains("line 3"));
        assert!(said.contains(user), "{said}");
        for log in [checked.output(), gate.log().text()] {
            assert!(hash.is_empty() || !log.contains(hash), "the hash is in {log}");
        }
        gate.curl("/v2/").run().expect(200);
        for password in ["open-sesame", hash] {
            gate.stranger("/v2/").user(&format!("{user}:{password}")).run().oci_error(401);
        }
    }
}

#[test]
fn a_file_that_is_none_is_refused_with_its_line_and_without_quoting_it() {
    let alice = htpasswd_line(Scheme::Bcrypt, "alice", "correct-horse");
    let failed = Gate::before("http://127.0.0.1:1").htpasswd(format!("{alice}\n\nopen-sesame\n")).refused();
    assert_eq!(failed.status.code(), Some(64), "{failed}");
    assert!(failed.stderr.contains("htpasswd") && failed.stderr.contains("line 3"), "{failed}");
    assert!(!failed.output().contains("open-sesame"), "it may be a password: {failed}");
    let empty = Gate::before("http://127.0.0.1:1").htpasswd("").refused();
    assert!(empty.stderr.contains("empty"), "{empty}");
}

#[test]
fn the_ceiling_on_bcrypt_s_cost_can_be_moved() {
    let line = htpasswd_line(Scheme::Bcrypt, "alice", "correct-horse");
    let gate = Gate::before("http://127.0.0.1:1").htpasswd(line.replace("$2y$04$", "$2y$06$"));
    let failed = gate.set("auth.max_bcrypt_cost", 5).refused();
    assert!(failed.stderr.contains("line 1"), "{failed}");
}

#[test]
fn what_lockgate_htpasswd_writes_apache_s_tool_verifies() {
    let dir = fresh_dir();
    let file = dir.path().join("htpasswd");
    let mut lockgate = program("lockgate");
    finish_with_input(lockgate.arg("htpasswd").arg(&file).args(["alice", "--stdin"]), b"correct-horse\n").success();
    let verify =
        |password: &str| finish(tool("htpasswd").arg("-vb").arg(&file).args(["alice", password])).status.success();
    assert!(verify("correct-horse"));
    assert!(!verify("wrong-horse"));
    assert!(fs::read_to_string(&file).unwrap().starts_with("alice:$2"));
}

#[test]
fn lockgate_htpasswd_changes_and_deletes_one_user_and_keeps_the_rest_as_it_was() {
    let dir = fresh_dir();
    let file = dir.path().join("htpasswd");
    let (bob, alice) = (htpasswd_line(Scheme::Apr1, "bob", "b"), htpasswd_line(Scheme::Bcrypt, "alice", "old"));
    fs::write(&file, format!("# the team\n{bob}\n\n{alice}\n# the end\n")).unwrap();
    let mut lockgate = program("lockgate");
    finish_with_input(lockgate.arg("htpasswd").arg(&file).args(["alice", "--stdin"]), b"new").success();
    let text = fs::read_to_string(&file).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!((lines[0], lines[1], lines[2], lines[4]), ("# the team", bob.as_str(), "", "# the end"));
    assert!(lines[3].starts_with("alice:$2") && lines[3] != alice);
    finish(program("lockgate").arg("htpasswd").arg(&file).args(["alice", "--delete"])).success();
    assert_eq!(fs::read_to_string(&file).unwrap(), format!("# the team\n{bob}\n\n# the end\n"));
}
