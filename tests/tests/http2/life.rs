//! How long a connection lives whose client does nothing, or too little.

use crate::common::{ALICE, MANIFEST, UPLOAD, before, fields_with, open_gate};
use lockgate_e2e::{
    Http2, Outcome, PATIENCE, Pattern, Signal, Upstream, eventually, field_block, frame, frame_bytes, ok, steadily,
};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

const BOUND: Duration = Duration::from_secs(15);

/// More than the `limits.body_timeout` of the test in which an upstream is slow.
const LONGER_THAN_A_CLIENT: Duration = Duration::from_secs(8);

/// `SETTINGS_INITIAL_WINDOW_SIZE`.
const INITIAL_WINDOW_SIZE: u16 = 4;

#[test]
fn a_client_that_never_opens_its_window_is_let_go() {
    let upstream = Upstream::answering(ok("a body that is never sent"));
    let gate = before(&upstream).set("limits.send_timeout", "2s").set("limits.idle_timeout", "1h").start();
    let mut client = Http2::open_with(gate.door(), &[(INITIAL_WINDOW_SIZE, 0)]);
    for request in 0..100 {
        client.request(2 * request + 1, "GET", MANIFEST, ALICE, true);
    }
    client.closed_within(BOUND);
    let ended = || gate.log().text().matches("status=200").count();
    eventually(PATIENCE, "the end of every request", || (ended() == 100).then_some(()));
}

#[test]
fn a_client_that_opens_its_window_byte_by_byte_is_let_go() {
    let upstream = Upstream::answering(ok("a".repeat(100_000)));
    let gate = before(&upstream).set("limits.send_timeout", "2s").set("limits.idle_timeout", "1h").start();
    let mut client = Http2::open_with(gate.door(), &[(INITIAL_WINDOW_SIZE, 0)]);
    client.request(1, "GET", MANIFEST, ALICE, true);
    let update = frame_bytes(frame::WINDOW_UPDATE, 0, 1, &1_u32.to_be_bytes());
    eventually(BOUND, "the end of a connection that trickles", || client.try_send(&update).is_err().then_some(()));
    assert!(
        client.frames().iter().any(|frame| frame.kind == frame::RST_STREAM),
        "the time was over, not the allowance"
    );
}

#[test]
fn a_body_that_stands_still_ends_the_connection_and_is_no_complete_upload() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = before(&upstream).set("limits.body_timeout", "2s").start();
    for declared in ["100", "5"] {
        let mut client = Http2::open(gate.door());
        let mut fields = fields_with("PATCH", "content-length", declared);
        fields.push(("x-declared", declared));
        client.headers(1, &fields, false);
        client.data(1, b"hello", false);
        client.closed_within(BOUND);
    }
    gate.log().await_line(PATIENCE, "a line that says why", |line| line.contains("limits.body_timeout"));
    eventually(PATIENCE, "the end of the uploads", || (upstream.open_connections() == 0).then_some(()));
    assert!(upstream.received().iter().all(|request| !request.complete));
}

#[test]
fn a_body_that_trickles_in_ends_the_connection_and_a_steady_one_is_served() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = before(&upstream).set("limits.body_timeout", "4s").set("limits.min_body_rate", "1KiB").start();
    let mut client = Http2::open(gate.door());
    // A byte each 10 ms: a tenth of what is asked for, and never silent for long.
    client.request(1, "PATCH", UPLOAD, ALICE, false);
    let byte = frame_bytes(frame::DATA, 0, 1, b"a");
    eventually(BOUND, "the end of an upload that trickles", || client.try_send(&byte).is_err().then_some(()));
    gate.log().await_line(PATIENCE, "a line that says why", |line| line.contains("limits.min_body_rate"));
    assert!(upstream.received().iter().all(|request| !request.complete));
    // 1 KiB each 10 ms, for longer than the trickle could last.
    let mut steady = Http2::open(gate.door());
    steady.request(1, "PATCH", UPLOAD, ALICE, false);
    let piece = frame_bytes(frame::DATA, 0, 1, &[b'a'; 1024]);
    steadily(std::iter::repeat_n(piece, 500), |piece| steady.try_send(piece));
    steady.data(1, b"", true);
    assert!(matches!(steady.outcome(1), Outcome::Answer { status: 200, .. }));
}

#[test]
fn the_time_that_the_upstream_takes_is_not_the_clients() {
    let upstream = Upstream::answering_slowly(LONGER_THAN_A_CLIENT, ok("{}"));
    // Any byte earns the whole time again: on a busy machine curl, too, is slow.
    let gate = before(&upstream).set("limits.body_timeout", "5s").set("limits.min_body_rate", "0").start();
    let push = gate.curl(UPLOAD).method("PATCH").arg("--http2").header("Expect:");
    push.run_sending(Pattern::new(1, 32 << 20)).expect(200);
}

#[test]
fn a_header_that_does_not_end_ends_the_connection() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = before(&upstream).set("limits.header_timeout", "1s").start();
    let block = field_block(&fields_with("GET", ":path", MANIFEST));
    let header = frame_bytes(frame::HEADERS, frame::END_HEADERS | frame::END_STREAM, 3, &block);
    for part in [&header[..1], &header[..9], &header[..20], &frame_bytes(frame::HEADERS, 0, 3, &block)[..]] {
        let mut client = Http2::open(gate.door());
        // Another request under way changes nothing.
        client.request(1, "PATCH", UPLOAD, ALICE, false);
        client.send(part);
        client.closed_within(BOUND);
    }
    let mut client = Http2::connect(gate.door());
    client.send("PRI * HTTP");
    client.closed_within(BOUND);
    assert!(upstream.received().iter().all(|request| request.head.method() == "PATCH"));
}

#[test]
fn an_idle_connection_is_closed_in_order_after_the_idle_timeout() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = before(&upstream).set("limits.idle_timeout", "1s").start();
    let mut client = Http2::open(gate.door());
    client.request(1, "GET", MANIFEST, ALICE, true);
    assert!(matches!(client.outcome(1), Outcome::Answer { status: 200, .. }));
    assert_eq!(client.closed_within(BOUND), Some(0), "NO_ERROR");
}

#[test]
fn a_client_that_never_answers_a_ping_holds_up_no_shutdown() {
    let (upstream, mut gate) = open_gate();
    let mut idle = Http2::open(gate.door());
    idle.request(1, "GET", MANIFEST, ALICE, true);
    assert!(matches!(idle.outcome(1), Outcome::Answer { status: 200, .. }));
    let mut push = Http2::open(gate.door());
    push.request(1, "PATCH", UPLOAD, ALICE, false);
    push.data(1, b"first", false);
    upstream.await_received("the first half", |request| request.body == b"first");
    gate.signal(Signal::Terminate);
    idle.closed_within(Duration::from_secs(10));
    push.data(1, b"second", true);
    assert!(matches!(push.outcome(1), Outcome::Answer { status: 200, .. }), "what is in flight ends well");
    assert_eq!(gate.wait(Duration::from_secs(10)).code(), Some(0));
    assert!(upstream.received().iter().any(|request| request.body == b"firstsecond" && request.complete));
}

#[test]
fn http2_without_tls_is_told_so_in_http_1_and_closed() {
    let (_upstream, gate) = open_gate();
    let mut plain = TcpStream::connect(gate.door().address).unwrap();
    plain.set_read_timeout(Some(BOUND)).unwrap();
    let opening = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &frame_bytes(frame::SETTINGS, 0, 0, &[])].concat();
    plain.write_all(&opening).unwrap();
    let mut answer = Vec::new();
    plain.read_to_end(&mut answer).expect("an end in order");
    // Which clients of HTTP/2 recognise, and name.
    assert!(answer.starts_with(b"HTTP/1.1 400 "), "{answer:?}");
}

#[test]
fn http_1_where_http2_was_agreed_on_is_closed_unserved() {
    let (upstream, gate) = open_gate();
    let mut client = Http2::connect(gate.door());
    client.send(format!("GET {MANIFEST} HTTP/1.1\r\nHost: r\r\nAuthorization: {ALICE}\r\n\r\n"));
    client.closed_within(BOUND);
    assert!(upstream.received().is_empty());
}
