//! Promise: a change of the users' file holds within 2 s, without a restart; a broken file locks nobody out or in.

use lockgate_e2e::{Gate, Scheme, Upstream, eventually, finish, htpasswd_line, ok, rename_over, tool};
use std::fs;
use std::time::Duration;

/// The promise is 2 s; the rest is the look of a client at a machine that is busy with other tests.
const PROMISED: Duration = Duration::from_millis(3500);

/// A gate that takes as many wrong passwords as a test asks it before they are right.
fn patient_gate(upstream: &Upstream) -> Gate {
    Gate::before(upstream.url()).set("auth.failures", 1_000).set("auth.address_failures", 1_000).start()
}

fn status(gate: &Gate, user: &str) -> u16 {
    gate.stranger("/v2/").user(user).run().status()
}

#[track_caller]
fn await_status(gate: &Gate, user: &str, expected: u16) {
    eventually(PROMISED, &format!("{expected} for {user}"), || (status(gate, user) == expected).then_some(()));
}

#[test]
fn users_come_change_and_go_as_apache_s_tool_edits_the_file() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = patient_gate(&upstream);
    let htpasswd = |arguments: &[&str]| {
        finish(tool("htpasswd").arg(arguments[0]).arg(&gate.htpasswd).args(&arguments[1..])).success()
    };
    assert_eq!(status(&gate, "bob:b"), 401);
    htpasswd(&["-bB", "bob", "b"]);
    await_status(&gate, "bob:b", 200);
    assert_eq!(status(&gate, "alice:correct-horse"), 200);
    htpasswd(&["-bB", "bob", "changed"]);
    await_status(&gate, "bob:changed", 200);
    assert_eq!(status(&gate, "bob:b"), 401, "a remembered password goes with its hash");
    htpasswd(&["-D", "bob"]);
    await_status(&gate, "bob:changed", 401);
    assert_eq!(status(&gate, "alice:correct-horse"), 200);
}

#[test]
fn a_change_is_one_line_in_the_log() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = patient_gate(&upstream);
    let told = |marker: &str| {
        gate.stranger(marker).run();
        gate.log().await_line(PROMISED, "what comes after it", |line| line.contains(marker));
        gate.log().text().lines().filter(|line| line.contains("now on disk")).count()
    };
    // The first look may find a change already, and says nothing of it.
    rename_over(&gate.htpasswd, htpasswd_line(Scheme::Bcrypt, "bob", "b") + "\n");
    await_status(&gate, "bob:b", 200);
    let before = told("/v2/first/tags/list");
    rename_over(&gate.htpasswd, htpasswd_line(Scheme::Bcrypt, "carol", "c") + "\n");
    await_status(&gate, "carol:c", 200);
    assert_eq!(told("/v2/second/tags/list"), before + 1);
}

#[test]
fn a_user_who_is_taken_out_is_out_on_open_connections_too() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = patient_gate(&upstream);
    let mut wire = gate.wire();
    let get = "GET /v2/ HTTP/1.1\r\nHost: r\r\nAuthorization: Basic YWxpY2U6Y29ycmVjdC1ob3JzZQ==\r\n\r\n";
    wire.send(get);
    assert_eq!(wire.response().head.status(), 200);
    rename_over(&gate.htpasswd, htpasswd_line(Scheme::Bcrypt, "bob", "b") + "\n");
    await_status(&gate, "bob:b", 200);
    wire.send(get);
    assert_eq!(wire.response().head.status(), 401);
}

#[test]
fn a_broken_file_keeps_the_users_and_says_where_it_is_broken() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = patient_gate(&upstream);
    let good = fs::read_to_string(&gate.htpasswd).unwrap();
    let bob = htpasswd_line(Scheme::Bcrypt, "bob", "b");
    let complaint = |line: &str| line.contains("line 3");
    rename_over(&gate.htpasswd, format!("{good}{bob}\nopen-sesame\n"));
    let line = gate.log().await_line(PROMISED, "a line with the number of the broken line", complaint);
    assert!(!line.contains("open-sesame"), "{line}");
    assert_eq!((status(&gate, "alice:correct-horse"), status(&gate, "bob:b")), (200, 401), "all of it or nothing");
    rename_over(&gate.htpasswd, format!("{good}{bob}\n"));
    await_status(&gate, "bob:b", 200);
    assert_eq!(gate.log().text().lines().filter(|line| complaint(line)).count(), 1);
}

#[test]
fn a_file_that_vanishes_locks_nobody_out() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = patient_gate(&upstream);
    fs::remove_file(&gate.htpasswd).unwrap();
    let complaint = |line: &str| line.contains("htpasswd") && (line.contains("WARN") || line.contains("ERROR"));
    gate.log().await_line(PROMISED, "a line about the missing file", complaint);
    assert_eq!(status(&gate, "alice:correct-horse"), 200);
    fs::write(&gate.htpasswd, htpasswd_line(Scheme::Bcrypt, "bob", "b")).unwrap();
    await_status(&gate, "bob:b", 200);
    assert_eq!(status(&gate, "alice:correct-horse"), 401);
}

#[test]
fn lockgate_htpasswd_edits_a_running_gate_s_users() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = patient_gate(&upstream);
    let mut lockgate = lockgate_e2e::program("lockgate");
    lockgate.arg("htpasswd").arg(&gate.htpasswd).args(["bob", "--stdin"]);
    lockgate_e2e::finish_with_input(&mut lockgate, b"from-stdin\n").success();
    await_status(&gate, "bob:from-stdin", 200);
}
