//! Promise: who is slow, or sends without end, costs the others nothing and is let go. Who is only far away is served.

use lockgate_e2e::{Gate, PATIENCE, Pattern, Upstream, eventually, ok, steadily};
use std::time::Duration;

const HOST: &str = "Host: registry.test\r\n";
const ALICE: &str = "Authorization: Basic YWxpY2U6Y29ycmVjdC1ob3JzZQ==\r\n";

/// Far more than any limit that a test sets.
const BOUND: Duration = Duration::from_secs(20);

/// More than the `limits.body_timeout` of the test in which an upstream is slow.
const LONGER_THAN_A_CLIENT: Duration = Duration::from_secs(8);

#[test]
fn a_header_that_comes_byte_by_byte_is_served() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = Gate::before(upstream.url()).start();
    let mut wire = gate.wire();
    let header = format!("GET /v2/ HTTP/1.1\r\n{HOST}{ALICE}X-Filler: {}\r\n\r\n", "a".repeat(2000));
    for byte in header.bytes() {
        wire.send([byte]);
    }
    assert_eq!(wire.response().head.status(), 200);
    assert_eq!(upstream.only().head.one("x-filler").len(), 2000);
}

#[test]
fn a_body_that_comes_byte_by_byte_is_passed_on_whole_and_answered() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = Gate::before(upstream.url()).start();
    let chunk = "1\r\na\r\n".repeat(300);
    for (framing, body) in
        [("Content-Length: 2000", "a".repeat(2000)), ("Transfer-Encoding: chunked", chunk + "0\r\n\r\n")]
    {
        let mut wire = gate.wire();
        wire.send(format!("PATCH /v2/a/blobs/uploads/u HTTP/1.1\r\n{HOST}{ALICE}{framing}\r\n\r\n"));
        for byte in body.bytes() {
            wire.send([byte]);
        }
        assert_eq!(wire.response().head.status(), 200, "{framing}");
        // The connection is as good as before.
        wire.send(format!("GET /v2/ HTTP/1.1\r\n{HOST}{ALICE}\r\n"));
        assert_eq!(wire.response().head.status(), 200, "{framing}");
    }
    let bodies = upstream.received().into_iter().map(|request| request.body.len());
    assert_eq!(bodies.collect::<Vec<_>>(), [2000, 0, 300, 0]);
}

#[test]
fn a_header_with_too_many_fields_is_431_and_reaches_nobody() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = Gate::before(upstream.url()).set("limits.header_count", 20).start();
    let request = |fields: usize| format!("GET /v2/ HTTP/1.1\r\n{HOST}{ALICE}{}\r\n", "X-A: b\r\n".repeat(fields));
    for fields in [19, 300] {
        let mut wire = gate.wire();
        wire.send(request(fields));
        let answer = wire.response();
        assert_eq!(answer.head.status(), 431, "{fields}");
        assert!(answer.body.starts_with(br#"{"errors":[{"code":""#));
        assert!(wire.closed_within(BOUND).is_empty());
    }
    assert!(upstream.received().is_empty());
    let mut wire = gate.wire();
    wire.send(request(18));
    assert_eq!(wire.response().head.status(), 200, "what fits is served");
}

#[test]
fn what_can_be_no_request_is_400_without_waiting_for_its_end() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = Gate::before(upstream.url()).set("limits.header_timeout", "900s").start();
    for begin in ["GET /v2/\r\n", "\x01\x02\x03", "GET /v2/ HTTP/1.1\r\nHost: a\0b", "SSH-2.0-OpenSSH_9.2\r\n"] {
        let mut wire = gate.wire();
        wire.send(begin);
        assert_eq!(wire.response().head.status(), 400, "{begin:?}");
        assert!(wire.closed_within(BOUND).is_empty());
    }
    assert!(upstream.received().is_empty());
}

#[test]
fn a_request_that_comes_too_early_has_the_same_budget_as_any_other() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = Gate::before(upstream.url()).set("limits.header_size", "4KiB").start();
    let get = format!("GET /v2/ HTTP/1.1\r\n{HOST}{ALICE}");
    let chunked = format!(
        "PATCH /v2/a/blobs/uploads/u HTTP/1.1\r\n{HOST}{ALICE}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    );
    for first in [format!("{get}\r\n"), chunked] {
        let mut wire = gate.wire();
        wire.send(format!("{first}{get}X: {}\r\n\r\n{get}X: {}\r\n\r\n", "a".repeat(3000), "a".repeat(5000)));
        let answers = [wire.response(), wire.response(), wire.response()];
        assert_eq!(answers.map(|answer| answer.head.status()), [200, 200, 431], "{first}");
    }
    assert_eq!(upstream.received().len(), 4);
}

#[test]
fn a_body_that_trickles_in_is_408_and_a_steady_one_is_served() {
    let upstream = Upstream::answering(ok("{}"));
    let gate =
        Gate::before(upstream.url()).set("limits.body_timeout", "4s").set("limits.min_body_rate", "1KiB").start();
    let head = |length: usize| {
        format!("PATCH /v2/a/blobs/uploads/u HTTP/1.1\r\n{HOST}{ALICE}Content-Length: {length}\r\n\r\n")
    };
    // A byte each 10 ms: a tenth of what is asked for, and never silent for long.
    let mut trickle = gate.wire();
    trickle.send(head(1 << 20));
    eventually(BOUND, "the end of an upload that trickles", || trickle.try_send("a").is_err().then_some(()));
    let answer = trickle.response();
    assert_eq!(answer.head.status(), 408);
    assert!(String::from_utf8_lossy(&answer.body).contains("limits.min_body_rate"));
    // 1 KiB each 10 ms, for longer than the trickle could last.
    let mut steady = gate.wire();
    steady.send(head(500 * 1024));
    steadily(std::iter::repeat_n([b'a'; 1024], 500), |piece| steady.try_send(piece));
    assert_eq!(steady.response().head.status(), 200);
}

#[test]
fn the_time_that_the_upstream_takes_is_not_the_clients() {
    let upstream = Upstream::answering_slowly(LONGER_THAN_A_CLIENT, ok("{}"));
    // Any byte earns the whole time again: on a busy machine curl, too, is slow.
    let gate = Gate::before(upstream.url()).set("limits.body_timeout", "5s").set("limits.min_body_rate", "0").start();
    let body = Pattern::new(1, 32 << 20);
    let push = gate.curl("/v2/a/blobs/uploads/u").method("PATCH").header("Expect:");
    push.run_sending(body).expect(200);
}

#[test]
fn nobody_who_is_slow_keeps_a_clock_ticking() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = Gate::before(upstream.url()).start();
    let mut wire = gate.wire();
    wire.send(format!("PATCH /v2/a/blobs/uploads/u HTTP/1.1\r\n{HOST}{ALICE}Content-Length: 2\r\n\r\na"));
    upstream.await_received("the first half", |request| request.body == b"a");
    wire.send("b");
    assert_eq!(wire.response().head.status(), 200);
    // pingora's, which would wake the process a hundred times a second from here on.
    let threads = gate.process().threads();
    assert!(!threads.iter().any(|name| name.contains("Timer")), "{threads:?}");
}

#[test]
fn a_refused_client_that_neither_sends_nor_leaves_is_let_go() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = Gate::before(upstream.url()).set("limits.drain_timeout", "1s").start();
    let mut wire = gate.wire();
    wire.send(format!("PUT /v2/a/blobs/uploads/u HTTP/1.1\r\n{HOST}Content-Length: 1048576\r\n\r\n"));
    assert_eq!(wire.response().head.status(), 401);
    eventually(BOUND, "the end of the connection", || (gate.held_connections() == 0).then_some(()));
    assert!(wire.closed_within(PATIENCE).is_empty());
}
