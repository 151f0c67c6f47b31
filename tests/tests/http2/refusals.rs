//! A refusal says over HTTP/2 what it says over HTTP/1.1, and leaves a line in the access log.

use crate::common::{ALICE, MANIFEST, assert_serves, before, fields_with, open_gate};
use lockgate_e2e::{Gate, Http2, Outcome, PATIENCE, Upstream, field_block, frame, ok};

/// The refusal's body is OCI JSON, and there is a line with this status and this part.
#[track_caller]
fn assert_refused(gate: &Gate, outcome: &Outcome, expected: u16, part: &str) {
    let Outcome::Answer { status, body } = outcome else { panic!("no answer: {outcome:?}") };
    let body = String::from_utf8_lossy(body);
    assert_eq!(*status, expected, "{body}");
    assert!(body.starts_with(r#"{"errors":[{"code":"UNSUPPORTED""#), "{body}");
    assert_logged(gate, expected, part);
}

#[track_caller]
fn assert_logged(gate: &Gate, status: u16, part: &str) {
    let status = format!("status={status}");
    gate.log().await_line(PATIENCE, "its line", |line| line.contains(&status) && line.contains(part));
    let lines = gate.log().text().lines().filter(|line| line.contains(&status) && line.contains(part)).count();
    assert_eq!(lines, 1, "{}", gate.log().text());
}

/// Sends a GET with `count` more fields of `size` bytes, in as many frames as it takes.
fn get_with(client: &mut Http2, path: &str, count: usize, size: usize) {
    let value = "a".repeat(size);
    let mut fields = fields_with("GET", ":path", path);
    fields.extend((0..count).map(|_| ("x", &value[..])));
    let block = field_block(&fields);
    let mut parts = block.chunks(16_000).peekable();
    let mut kind = frame::HEADERS;
    while let Some(part) = parts.next() {
        let end_headers = if parts.peek().is_none() { frame::END_HEADERS } else { 0 };
        let end_stream = if kind == frame::HEADERS { frame::END_STREAM } else { 0 };
        client.frame(kind, end_headers | end_stream, 1, part);
        kind = frame::CONTINUATION;
    }
}

#[test]
fn a_header_over_the_limits_is_431_in_oci_json() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = before(&upstream).set("limits.header_size", "4KiB").set("limits.header_count", 20).start();
    let fits = |path: &str, count, size| {
        let mut client = Http2::open(gate.door());
        get_with(&mut client, path, count, size);
        client.outcome(1)
    };
    assert!(matches!(fits("/v2/a/manifests/fits", 3, 1000), Outcome::Answer { status: 200, .. }));
    assert!(matches!(fits("/v2/a/manifests/fits-too", 19, 1), Outcome::Answer { status: 200, .. }));
    assert_refused(&gate, &fits("/v2/a/manifests/large", 4, 1000), 431, "/v2/a/manifests/large");
    assert_refused(&gate, &fits("/v2/a/manifests/many", 20, 1), 431, "/v2/a/manifests/many");
    assert_eq!(upstream.received().len(), 2);
}

#[test]
fn a_tunnel_is_405_in_oci_json() {
    let (upstream, gate) = open_gate();
    let mut client = Http2::open(gate.door());
    let fields = [(":method", "CONNECT"), (":authority", "192.0.2.7:22"), ("authorization", ALICE)];
    client.headers(1, &fields, false);
    assert_refused(&gate, &client.outcome(1), 405, "CONNECT");
    client.request(3, "GET", MANIFEST, ALICE, true);
    assert!(matches!(client.outcome(3), Outcome::Answer { status: 200, .. }), "the connection goes on");
    assert_eq!(upstream.received().len(), 1);
}

#[test]
fn a_request_that_is_reset_as_malformed_leaves_a_line_that_says_why() {
    let (_upstream, gate) = open_gate();
    let mut client = Http2::open(gate.door());
    client.headers(1, &fields_with("GET", "x", " margin"), true);
    assert_eq!(client.outcome(1), Outcome::Reset(1), "PROTOCOL_ERROR");
    assert_logged(&gate, 0, "white space (8.2.1)");
}

#[test]
fn a_host_that_is_not_the_authority_leaves_a_line() {
    let (upstream, gate) = open_gate();
    let mut client = Http2::open(gate.door());
    client.headers(1, &fields_with("GET", "host", "evil.test"), true);
    assert_refused(&gate, &client.outcome(1), 400, "method=\"GET\"");
    assert!(upstream.received().is_empty());
    assert_serves(&gate);
}
