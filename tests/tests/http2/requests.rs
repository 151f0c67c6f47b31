//! What a request may be, and that nobody else is served by it.

use crate::common::{ALICE, MANIFEST, UPLOAD, assert_serves, fields_with, is_refused, open_gate};
use lockgate_e2e::{Http2, Outcome, PATIENCE, eventually, frame};

/// Replaced or added fields that make a request malformed or ambiguous.
const MALFORMED: &[(&str, &str)] = &[
    ("transfer-encoding", "chunked"),
    ("connection", "close"),
    ("connection", "x-remote-user"),
    ("keep-alive", "timeout=5"),
    ("proxy-connection", "keep-alive"),
    ("upgrade", "h2c"),
    ("te", "gzip"),
    ("x", "a\rb"),
    ("x", "a\nb"),
    ("x", "a\r\nhost: evil.test"),
    ("x", "a\0b"),
    ("x", " a"),
    ("x", "a "),
    ("x", "\ta"),
    ("x a", "b"),
    ("x\r\na", "b"),
    ("x\0", "b"),
    ("x:", "b"),
    ("x\"", "b"),
    ("", "b"),
    ("X-Upper", "b"),
    ("AUTHORIZATION", ALICE),
    (":method", "GE T"),
    (":method", "GET /v2/canary HTTP/1.1\r\n\r\n"),
    (":method", ""),
    (":path", ""),
    (":path", "v2/canary"),
    (":path", "*"),
    (":path", "https://registry.test/v2/canary/tags/list"),
    (":path", "/v2/canary/tags/list HTTP/1.1\r\nhost: evil.test\r\n\r\n"),
    (":path", "/v2/ canary"),
    (":path", "/v2/canary\0"),
    (":path", "/v2/canary%2f..%2f"),
    (":path", "/v2/_catalog?n=\u{e9}"),
    (":authority", "a@registry.test"),
    (":authority", "registry.test, evil.test"),
    (":authority", "registry.test,evil.test"),
    (":authority", "registry.test:+443"),
    (":authority", "registry.test:99999"),
    (":authority", "registry.test:a"),
    (":authority", "registry.test::"),
    (":authority", ":443"),
    (":authority", "[registry.test]"),
    (":authority", "registry.test\r\nx: y"),
    (":authority", ""),
    ("host", "evil.test"),
    ("host", ""),
    (":status", "200"),
    (":protocol", "websocket"),
    (":unknown", "x"),
    ("content-length", "5"),
    ("content-length", "-1"),
    ("content-length", "1, 2"),
    ("content-length", ""),
    ("content-length", "+0"),
    ("content-length", "18446744073709551616"),
];

#[test]
fn a_malformed_or_ambiguous_request_is_refused_and_reaches_nobody() {
    let (upstream, gate) = open_gate();
    let mut wrong = Vec::new();
    for (name, value) in MALFORMED {
        let mut client = Http2::open(gate.door());
        client.headers(1, &fields_with("GET", name, value), true);
        let outcome = client.outcome(1);
        if !is_refused(&outcome) {
            wrong.push(format!("{name}: {value:?}: {outcome:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(upstream.received().is_empty(), "{:#?}", upstream.received());
    assert_serves(&gate);
}

#[test]
fn pseudo_header_fields_stand_once_and_first_and_all_of_them() {
    let (upstream, gate) = open_gate();
    let whole = fields_with("GET", ":scheme", "https");
    let mut bad: Vec<Vec<_>> = (0..3).map(|missing| without(&whole, missing)).collect();
    bad.push(without(&whole, 3));
    for twice in 0..4 {
        let mut fields = whole.clone();
        fields.insert(twice, whole[twice]);
        bad.push(fields);
        let mut fields = without(&whole, twice);
        fields.push(whole[twice]);
        bad.push(fields);
    }
    for fields in bad {
        let mut client = Http2::open(gate.door());
        client.headers(1, &fields, true);
        assert!(is_refused(&client.outcome(1)), "{fields:?}: {:?}", client.frames());
    }
    assert!(upstream.received().is_empty(), "{:#?}", upstream.received());
    assert_serves(&gate);
}

fn without<'a>(fields: &[(&'a str, &'a str)], missing: usize) -> Vec<(&'a str, &'a str)> {
    let mut fields = fields.to_vec();
    fields.remove(missing);
    fields
}

#[test]
fn a_malformed_request_harms_no_other_stream() {
    let (_upstream, gate) = open_gate();
    let mut client = Http2::open(gate.door());
    client.headers(1, &fields_with("GET", "x", " margin"), true);
    assert_eq!(client.outcome(1), Outcome::Reset(1), "PROTOCOL_ERROR");
    client.request(3, "GET", MANIFEST, ALICE, true);
    assert!(matches!(client.outcome(3), Outcome::Answer { status: 200, .. }));
}

#[test]
fn credentials_are_asked_for_on_every_stream() {
    let (upstream, gate) = open_gate();
    let mut client = Http2::open(gate.door());
    client.request(1, "GET", MANIFEST, ALICE, true);
    assert!(matches!(client.outcome(1), Outcome::Answer { status: 200, .. }));
    let stranger = fields_with("GET", ":path", "/v2/canary/manifests/x");
    let stranger: Vec<_> = stranger.into_iter().filter(|(name, _)| *name != "authorization").collect();
    client.headers(3, &stranger, true);
    let Outcome::Answer { status: 401, body } = client.outcome(3) else { panic!("{:?}", client.frames()) };
    assert!(body.starts_with(br#"{"errors":[{"code":"UNAUTHORIZED""#), "{}", String::from_utf8_lossy(&body));
    assert_eq!(upstream.received().len(), 1);
}

#[test]
fn two_authorizations_and_cookie_crumbs_are_refused_by_400() {
    let (upstream, gate) = open_gate();
    let mut client = Http2::open(gate.door());
    let mut twice = fields_with("GET", ":scheme", "https");
    twice.push(("authorization", ALICE));
    client.headers(1, &twice, true);
    let mut crumbs = fields_with("GET", "cookie", "a=b");
    crumbs.push(("cookie", "c=d"));
    client.headers(3, &crumbs, true);
    for stream in [1, 3] {
        assert!(matches!(client.outcome(stream), Outcome::Answer { status: 400, .. }), "{stream}");
    }
    assert!(upstream.received().is_empty());
}

#[test]
fn the_upstream_gets_one_host_and_it_is_the_authority() {
    let (upstream, gate) = open_gate();
    let mut client = Http2::open(gate.door());
    client.headers(1, &fields_with("GET", "host", "registry.test"), true);
    client.request(3, "GET", MANIFEST, ALICE, true);
    let only_host: Vec<_> =
        fields_with("GET", "host", "registry.test").into_iter().filter(|(name, _)| *name != ":authority").collect();
    client.headers(5, &only_host, true);
    for stream in [1, 3, 5] {
        assert!(matches!(client.outcome(stream), Outcome::Answer { status: 200, .. }), "{:?}", client.outcome(stream));
    }
    let received = upstream.received();
    assert_eq!(received.len(), 3);
    assert!(received.iter().all(|request| request.head.one("host") == "registry.test"), "{received:#?}");
}

/// The frames of a body with `content-length: 5`.
type Body = Vec<(&'static [u8], bool)>;

#[test]
fn a_body_that_disagrees_with_its_length_is_never_a_complete_upload() {
    let (upstream, gate) = open_gate();
    let bodies: Vec<Body> = vec![
        vec![(b"0123456789", true)],
        vec![(b"0123456789", false)],
        vec![(b"01", true)],
        vec![(b"01", false), (b"", true)],
        vec![(b"01234", false), (b"56789", true)],
        vec![(b"01234", false), (b"5", false)],
        vec![(b"0123", false), (b"456", true)],
        vec![(b"", true)],
    ];
    for body in bodies {
        let mut client = Http2::open(gate.door());
        client.headers(1, &fields_with("PATCH", "content-length", "5"), false);
        for (piece, is_last) in &body {
            client.data(1, piece, *is_last);
        }
        assert!(is_refused(&client.outcome(1)), "{body:?}: {:?}", client.frames());
    }
    assert_serves(&gate);
    eventually(PATIENCE, "the end of every upload", || (upstream.open_connections() <= 1).then_some(()));
    let uploads = upstream.received().into_iter().filter(|request| request.head.method() == "PATCH");
    let complete: Vec<_> = uploads.filter(|request| request.complete).collect();
    assert!(complete.is_empty(), "{complete:#?}");
}

#[test]
fn what_follows_a_body_of_the_declared_length_undoes_it() {
    let (upstream, gate) = open_gate();
    let mut client = Http2::open(gate.door());
    client.headers(1, &fields_with("PATCH", "content-length", "5"), false);
    client.data(1, b"01234", false);
    // All of it is there; that it is all is not said.
    let seen = upstream.await_received("the body but for its end", |request| request.body.starts_with(b"0123"));
    assert!(!seen.complete);
    client.data(1, b"5", true);
    assert!(is_refused(&client.outcome(1)));
    eventually(PATIENCE, "the end of the upload", || (upstream.open_connections() == 0).then_some(()));
    assert!(!upstream.only().complete);
}

#[test]
fn an_upload_that_breaks_off_is_never_complete() {
    let (upstream, gate) = open_gate();
    for code in [0_u32, 2, 8] {
        for declared in [true, false] {
            let mut client = Http2::open(gate.door());
            let path = format!("/v2/a{code}/blobs/uploads/{declared}");
            let mut fields = fields_with("PATCH", ":path", &path);
            if declared {
                fields.push(("content-length", "5"));
            }
            client.headers(1, &fields, false);
            client.data(1, b"0123", false);
            upstream
                .await_received("its beginning", |request| request.head.target() == path && !request.body.is_empty());
            client.frame(frame::RST_STREAM, 0, 1, &code.to_be_bytes());
        }
    }
    let mut client = Http2::open(gate.door());
    client.request(1, "PATCH", UPLOAD, ALICE, false);
    client.data(1, b"0123", false);
    upstream.await_received("its beginning", |request| request.head.target() == UPLOAD && !request.body.is_empty());
    drop(client);
    eventually(PATIENCE, "the end of every upload", || (upstream.open_connections() == 0).then_some(()));
    assert!(upstream.received().iter().all(|request| !request.complete), "{:#?}", upstream.received());
}

#[test]
fn a_body_in_any_pieces_arrives_whole() {
    let (upstream, gate) = open_gate();
    let pieces: [Body; 4] = [
        vec![(b"01234", true)],
        vec![(b"01234", false), (b"", true)],
        vec![(b"0", false), (b"", false), (b"1234", true)],
        vec![(b"0123", false), (b"4", false), (b"", true)],
    ];
    for (at, body) in (0_u32..).zip(&pieces) {
        for (declared, kind) in [(true, "sized"), (false, "streamed")] {
            let mut client = Http2::open(gate.door());
            let path = format!("/v2/a/blobs/uploads/{kind}-{at}");
            let mut fields = fields_with("PATCH", ":path", &path);
            if declared {
                fields.push(("content-length", "5"));
            }
            client.headers(1, &fields, false);
            for (piece, is_last) in body {
                client.data(1, piece, *is_last);
            }
            assert!(matches!(client.outcome(1), Outcome::Answer { status: 200, .. }), "{path}: {:?}", client.frames());
            let seen = upstream.await_received("it", |request| request.head.target() == path && request.complete);
            assert_eq!(seen.body, b"01234", "{path}");
        }
    }
}

/// curl would wait for it for ten minutes, and may run for two.
#[test]
fn a_client_that_waits_for_a_100_is_given_it() {
    let (upstream, gate) = open_gate();
    let patient = ["--http2", "--expect100-timeout", "600", "--header", "Expect: 100-continue"];
    gate.curl(UPLOAD).method("PATCH").args(&patient).body("hello").run().expect(200);
    assert_eq!(upstream.only().body, b"hello");
}

#[test]
fn trailers_end_a_body_and_go_nowhere() {
    let (upstream, gate) = open_gate();
    let mut client = Http2::open(gate.door());
    client.request(1, "PATCH", UPLOAD, ALICE, false);
    client.data(1, b"01234", false);
    client.headers(1, &[("x-remote-user", "root"), ("content-length", "40")], true);
    assert!(matches!(client.outcome(1), Outcome::Answer { status: 200, .. }), "{:?}", client.frames());
    let seen = upstream.only();
    assert_eq!((&seen.body[..], seen.complete), (&b"01234"[..], true));
    assert!(seen.head.all("x-remote-user").is_empty());
    client.request(3, "GET", MANIFEST, ALICE, true);
    assert!(matches!(client.outcome(3), Outcome::Answer { status: 200, .. }));
}
