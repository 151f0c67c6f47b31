//! Promise: who speaks plain HTTP where TLS belongs is told so, in HTTP, and is asked for no password.

use lockgate_e2e::{Gate, Head, PATIENCE, Upstream, eventually, ok};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

const ALICE: &str = "Authorization: Basic YWxpY2U6Y29ycmVjdC1ob3JzZQ==\r\n";

fn connect(gate: &Gate) -> TcpStream {
    let client = TcpStream::connect(gate.door().address).expect("it listens");
    client.set_nodelay(true).expect("it is TCP");
    client.set_read_timeout(Some(PATIENCE)).expect("it is TCP");
    client
}

/// Sends all of it, so many bytes at a time, and reads to the end, which must be one in order.
fn say(gate: &Gate, bytes: &[u8], at_a_time: usize) -> (Head, Vec<u8>) {
    let mut client = connect(gate);
    for piece in bytes.chunks(at_a_time) {
        client.write_all(piece).expect("what is sent is read");
    }
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).expect("an end in order");
    let text = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no header: {text:?}"));
    (Head::parse(format!("{head}\r\n\r\n").as_bytes()), body.as_bytes().to_vec())
}

fn open_gate() -> (Upstream, Gate) {
    let upstream = Upstream::answering(ok("{}"));
    let gate = Gate::before(upstream.url()).start();
    (upstream, gate)
}

#[track_caller]
fn assert_told(head: &Head, body: &[u8]) {
    assert_eq!(head.start_line, "HTTP/1.1 400 Bad Request");
    assert_eq!(head.one("content-length"), body.len().to_string());
    let error: serde_json::Value = serde_json::from_slice(body).expect("JSON");
    assert!(error["errors"][0]["message"].as_str().expect("a message").contains("HTTPS"), "{error}");
}

#[test]
fn every_method_is_told_that_this_port_speaks_https() {
    let (upstream, gate) = open_gate();
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"] {
        let request = format!("{method} /v2/ HTTP/1.1\r\nHost: localhost:5043\r\n{ALICE}\r\n");
        for at_a_time in [request.len(), 1] {
            let (head, body) = say(&gate, request.as_bytes(), at_a_time);
            assert_told(&head, &body);
        }
    }
    let (head, body) = say(&gate, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0", usize::MAX);
    assert_told(&head, &body);
    assert!(upstream.received().is_empty());
    gate.curl("/v2/").run().expect(200);
}

#[test]
fn the_answer_carries_what_every_answer_does_but_neither_hsts_nor_a_challenge() {
    let (_upstream, gate) = open_gate();
    let (head, _) = say(&gate, b"GET /v2/ HTTP/1.1\r\nHost: registry.test\r\n\r\n", usize::MAX);
    for (name, value) in [
        ("docker-distribution-api-version", "registry/2.0"),
        ("x-content-type-options", "nosniff"),
        ("content-type", "application/json; charset=utf-8"),
        ("connection", "close"),
    ] {
        assert_eq!(head.one(name), value);
    }
    assert!(head.one("date").ends_with(" GMT"), "{head:#?}");
    for name in ["strict-transport-security", "www-authenticate"] {
        assert!(head.all(name).is_empty(), "{head:#?}");
    }
}

#[test]
fn a_head_gets_no_body() {
    let (_upstream, gate) = open_gate();
    let (head, body) = say(&gate, b"HEAD /v2/ HTTP/1.1\r\nHost: r\r\n\r\n", usize::MAX);
    assert_eq!((head.status(), body.len()), (400, 0));
    assert!(head.one("content-length").parse::<u32>().expect("a length") > 0);
}

#[test]
fn who_sends_a_layer_reads_the_answer_all_the_same() {
    let (_upstream, gate) = open_gate();
    let mut request = b"PATCH /v2/a/blobs/uploads/u HTTP/1.1\r\nHost: r\r\nContent-Length: 8388608\r\n\r\n".to_vec();
    request.resize(request.len() + (8 << 20), b'a');
    let (head, body) = say(&gate, &request, usize::MAX);
    assert_told(&head, &body);
}

#[test]
fn who_stays_after_the_answer_is_let_go() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = Gate::before(upstream.url()).set("limits.drain_timeout", "1s").start();
    let mut client = connect(&gate);
    client.write_all(b"GET /v2/ HTTP/1.1\r\n").expect("sent");
    client.read_to_end(&mut Vec::new()).expect("an end in order");
    eventually(PATIENCE, "the end of the connection", || (gate.held_connections() == 0).then_some(()));
}

#[test]
fn a_method_that_does_not_come_to_its_end_has_the_time_of_a_handshake() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = Gate::before(upstream.url()).set("limits.handshake_timeout", "1s").start();
    let mut client = connect(&gate);
    client.write_all(b"DELET").expect("sent");
    let mut answer = Vec::new();
    // The close may be a reset: what was sent was read by nobody.
    let _ = client.read_to_end(&mut answer);
    assert_eq!(answer, b"");
    eventually(Duration::from_secs(5), "the end of the connection", || (gate.held_connections() == 0).then_some(()));
}

/// What the log says so far, and behind it the line of one more request.
fn log_of(gate: &Gate) -> String {
    gate.curl("/v2/mark/manifests/x").run().expect(200);
    gate.log().await_line(PATIENCE, "its line", |line| line.contains("/v2/mark/manifests/x"));
    gate.log().text()
}

#[test]
fn a_flood_of_plain_requests_is_one_line_in_the_log() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = Gate::before(upstream.url()).set("log.level", "info").start();
    for _ in 0..20 {
        say(&gate, b"GET /v2/ HTTP/1.1\r\nHost: r\r\n\r\n", usize::MAX);
    }
    let log = log_of(&gate);
    let about: Vec<&str> =
        log.lines().filter(|line| line.contains("127.0.0.1") && !line.contains("listening")).collect();
    let [plain, _mark] = about.as_slice() else { panic!("{log}") };
    assert!(plain.contains("WARN") && plain.contains("plain HTTP"), "{plain}");
}

#[test]
fn a_proxy_protocol_header_that_nobody_announced_has_a_line_of_its_own() {
    for header in
        [&b"PROXY TCP4 192.0.2.1 192.0.2.2 4711 443\r\n"[..], b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c0123456789ab"]
    {
        let upstream = Upstream::answering(ok("{}"));
        let gate = Gate::before(upstream.url()).set("log.level", "info").start();
        let mut client = connect(&gate);
        client.write_all(header).expect("sent");
        let mut answer = Vec::new();
        // The close may be a reset, as of whatever else is no TLS.
        let _ = client.read_to_end(&mut answer);
        assert!(answer.is_empty() || answer[0] == 0x15, "an alert: {answer:?}");
        let log = log_of(&gate);
        assert_eq!(log.matches("PROXY protocol").count(), 1, "{log}");
        assert!(!log.contains("plain HTTP"), "{log}");
    }
}

#[test]
fn whatever_else_is_no_tls_gets_an_alert_and_no_line() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = Gate::before(upstream.url()).set("log.level", "info").start();
    for bytes in [&b"get /v2/ http/1.1\r\n\r\n"[..], b"SSH-2.0-OpenSSH_9.2\r\n", b"\0\0\0\0\0\0\0\0", b"GETTING /\r\n"]
    {
        let mut client = connect(&gate);
        client.write_all(bytes).expect("sent");
        let mut answer = Vec::new();
        let _ = client.read_to_end(&mut answer);
        assert!(answer.is_empty() || answer[0] == 0x15, "{bytes:?}: {answer:?}");
    }
    let log = log_of(&gate);
    assert!(!log.contains("WARN"), "{log}");
}
