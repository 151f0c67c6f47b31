//! Promise: where a request ends is never a matter of opinion. What could be read in two ways goes nowhere.

use lockgate_e2e::{Gate, Http2, PATIENCE, Pattern, Upstream, eventually, ok};
use std::sync::{Mutex, mpsc};
use std::time::Duration;

const HOST: &str = "Host: registry.test\r\n";
const ALICE: &str = "Authorization: Basic YWxpY2U6Y29ycmVjdC1ob3JzZQ==\r\n";
const CANARY: &str = "GET /v2/canary/manifests/x HTTP/1.1\r\nHost: registry.test\r\n\r\n";

/// Bytes that hold a second request in the body of the first.
fn smuggling() -> Vec<(&'static str, String)> {
    let post = |rest: &str| format!("POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{HOST}{ALICE}{rest}");
    let chunked = "Transfer-Encoding: chunked\r\n";
    vec![
        (
            "a length after chunked",
            post(&format!("{chunked}Content-Length: 4\r\n\r\n{:x}\r\n{CANARY}\r\n0\r\n\r\n", CANARY.len())),
        ),
        ("a length before chunked", post(&format!("Content-Length: 5\r\n{chunked}\r\n0\r\n\r\n{CANARY}"))),
        ("two lengths", post(&format!("Content-Length: 0\r\nContent-Length: {}\r\n\r\n{CANARY}", CANARY.len()))),
        ("a list of lengths", post(&format!("Content-Length: 0, {}\r\n\r\n{CANARY}", CANARY.len()))),
        ("a negative length", post("Content-Length: -1\r\n\r\n")),
        ("no number for a length", post(&format!("Content-Length: +0\r\n\r\n{CANARY}"))),
        ("two codings", post("Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n")),
        ("chunked twice", post(&format!("{chunked}{chunked}\r\n0\r\n\r\n"))),
        ("an unknown coding", post(&format!("Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n{CANARY}"))),
        ("a folded header", post("Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n")),
        ("a space before the colon", post(&format!("Content-Length : {}\r\n\r\n{CANARY}", CANARY.len()))),
        ("a bare line feed", post(&format!("X: y\nContent-Length: {}\r\n\r\n{CANARY}", CANARY.len()))),
        ("two hosts", format!("GET /v2/ HTTP/1.1\r\n{HOST}Host: evil.test\r\n{ALICE}\r\n")),
        ("no host", format!("GET /v2/ HTTP/1.1\r\n{ALICE}\r\n")),
        ("a target of another host", format!("GET https://evil.test/v2/ HTTP/1.1\r\n{HOST}{ALICE}\r\n")),
        ("a target of http", format!("GET http://registry.test/v2/ HTTP/1.1\r\n{HOST}{ALICE}\r\n")),
        ("two authorizations", format!("GET /v2/ HTTP/1.1\r\n{HOST}{ALICE}{ALICE}\r\n")),
        ("a NUL in a header", format!("GET /v2/ HTTP/1.1\r\n{HOST}{ALICE}X: a\0b\r\n\r\n")),
    ]
}

#[test]
fn what_could_be_read_in_two_ways_is_400_and_reaches_nobody() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = Gate::before(upstream.url()).start();
    let mut wrong = Vec::new();
    for (what, bytes) in smuggling() {
        let mut wire = gate.wire();
        wire.send(&bytes);
        let rest = wire.closed_within(Duration::from_secs(10));
        let text = String::from_utf8_lossy(&rest);
        let answers: Vec<&str> = text.match_indices("HTTP/1.1 ").map(|(at, _)| &text[at + 9..at + 12]).collect();
        let is_oci = text.contains(r#"{"errors":[{"code":""#) && text.matches("registry/2.0").count() == 1;
        if answers != ["400"] && answers != ["501"] || !is_oci {
            wrong.push(format!("{what}: {text}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(upstream.received().is_empty(), "{:#?}", upstream.received());
}

#[test]
fn a_malformed_chunk_ends_the_request_and_the_connection() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = Gate::before(upstream.url()).start();
    let mut wire = gate.wire();
    let head = format!("PATCH /v2/a/blobs/uploads/u HTTP/1.1\r\n{HOST}{ALICE}Transfer-Encoding: chunked\r\n\r\n");
    wire.send(format!("{head}5\r\nhello\r\nzz\r\n{CANARY}"));
    wire.closed_within(Duration::from_secs(20));
    assert!(upstream.received().iter().all(|request| !request.head.target().contains("canary") && !request.complete));
}

#[test]
fn pipelined_requests_are_answered_in_their_order() {
    let upstream = Upstream::scripted(|connection| {
        while let Some(head) = connection.request()? {
            let target = head.target().to_owned();
            connection.send(&ok(target))?;
        }
        Ok(())
    });
    let gate = Gate::before(upstream.url()).start();
    let mut wire = gate.wire();
    let get = |tag: &str| format!("GET /v2/a/manifests/{tag} HTTP/1.1\r\n{HOST}{ALICE}\r\n");
    let last = get("three").replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
    wire.send(get("one") + &get("two") + &last);
    let answers = String::from_utf8(wire.closed_within(PATIENCE)).unwrap();
    let bodies: Vec<&str> =
        answers.split("HTTP/1.1 200 OK\r\n").skip(1).map(|one| one.split("\r\n\r\n").nth(1).unwrap()).collect();
    let all = ["/v2/a/manifests/one", "/v2/a/manifests/two", "/v2/a/manifests/three"];
    assert_eq!(bodies, all, "{answers}");
}

#[test]
fn an_empty_last_data_frame_ends_an_upload_once() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = Gate::before(upstream.url()).set("listen.http2", true).set("log.format", "json").start();
    let mut client = Http2::open(gate.door());
    let authorization = ALICE.trim_start_matches("Authorization: ").trim_end();
    client.request(1, "PATCH", "/v2/a/blobs/uploads/u", authorization, false);
    client.data(1, b"hello", false);
    upstream.await_received("the first frame before the last", |request| request.body == b"hello");
    client.data(1, b"", true);
    // When it is logged, its connection to the upstream may be the next one's.
    gate.access("path", "/v2/a/blobs/uploads/u");
    client.request(3, "GET", "/v2/a/manifests/x", authorization, true);
    gate.access("path", "/v2/a/manifests/x");
    // A second last chunk would stand here as a request `0`.
    let received = upstream.received();
    let seen: Vec<_> = received.iter().map(|one| (one.head.start_line.as_str(), &one.body[..])).collect();
    let patch = ("PATCH /v2/a/blobs/uploads/u HTTP/1.1", &b"hello"[..]);
    assert_eq!(seen, [patch, ("GET /v2/a/manifests/x HTTP/1.1", b"")]);
    assert_eq!(received[0].head.one("transfer-encoding"), "chunked");
    assert!(received[0].complete);
}

#[test]
fn a_header_larger_than_the_budget_is_cut_off() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = Gate::before(upstream.url()).set("limits.header_size", "4KiB").start();
    let mut wire = gate.wire();
    wire.send(format!("GET /v2/ HTTP/1.1\r\n{HOST}{ALICE}X: {}\r\n\r\n", "a".repeat(2000)));
    assert_eq!(wire.response().head.status(), 200, "what fits is served");
    let mut wire = gate.wire();
    wire.send(format!("GET /v2/ HTTP/1.1\r\n{HOST}{ALICE}X: {}\r\n\r\n", "a".repeat(8000)));
    let rest = wire.closed_within(Duration::from_secs(10));
    assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 4"), "{}", String::from_utf8_lossy(&rest));
    assert_eq!(upstream.received().len(), 1);
}

#[test]
fn a_header_that_trickles_in_is_cut_off_on_a_new_and_on_a_used_connection() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = Gate::before(upstream.url()).set("limits.header_timeout", "1s").start();
    for used in [false, true] {
        let mut wire = gate.wire();
        if used {
            wire.send(format!("GET /v2/ HTTP/1.1\r\n{HOST}{ALICE}\r\n"));
            assert_eq!(wire.response().head.status(), 200);
        }
        let mut bytes = b"GET /v2/ HTTP/1.1\r\nX: ".to_vec();
        bytes.resize(10_000, b'a');
        let mut bytes = bytes.chunks(1);
        eventually(Duration::from_secs(10), "the end of a connection that trickles", || {
            wire.try_send(bytes.next()?).is_err().then_some(())
        });
    }
}

#[test]
fn an_idle_connection_is_closed_after_the_idle_timeout() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = Gate::before(upstream.url()).set("limits.idle_timeout", "1s").start();
    let mut wire = gate.wire();
    wire.send(format!("GET /v2/ HTTP/1.1\r\n{HOST}{ALICE}\r\n"));
    assert_eq!(wire.response().head.status(), 200);
    assert!(wire.closed_within(Duration::from_secs(10)).is_empty());
}

#[test]
fn a_body_that_stops_arriving_is_408_and_ends() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = Gate::before(upstream.url()).set("limits.body_timeout", "1s").start();
    let mut wire = gate.wire();
    wire.send(format!("PATCH /v2/a/blobs/uploads/u HTTP/1.1\r\n{HOST}{ALICE}Content-Length: 100\r\n\r\nhello"));
    let rest = wire.closed_within(Duration::from_secs(10));
    assert!(rest.starts_with(b"HTTP/1.1 408"), "{}", String::from_utf8_lossy(&rest));
}

#[test]
fn a_client_that_never_reads_is_let_go() {
    const SIZE: u64 = 1 << 30;
    let (go_on, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let upstream = Upstream::scripted(move |connection| {
        connection.request()?;
        let _ = wait.lock().unwrap().recv();
        connection.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n").as_bytes())?;
        connection.send_all_of(&mut Pattern::new(1, SIZE)).map(drop)
    });
    let gate = Gate::before(upstream.url()).set("limits.send_timeout", "1s").start();
    let mut wire = gate.wire();
    wire.send(format!("GET /v2/a/manifests/x HTTP/1.1\r\nHost: r\r\n{ALICE}\r\n"));
    upstream.await_received("the pull", |_| true);
    wire.pause();
    eventually(PATIENCE, "the client's one connection", || (gate.held_connections() == 1).then_some(()));
    go_on.send(()).unwrap();
    let bound = Duration::from_secs(10);
    gate.log().await_line(bound, "the access line of the pull", |line| line.contains("/v2/a/manifests/x"));
    eventually(bound, "the end of the client's connection", || (gate.held_connections() == 0).then_some(()));
    eventually(bound, "the end of the upstream's connection", || (upstream.open_connections() == 0).then_some(()));
}

#[test]
fn a_connection_that_never_shakes_hands_is_closed() {
    use std::io::Read;
    let upstream = Upstream::answering(ok("{}"));
    let gate = Gate::before(upstream.url()).set("limits.handshake_timeout", "1s").start();
    let mut silent = std::net::TcpStream::connect(gate.door().address).unwrap();
    silent.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    assert_eq!(silent.read(&mut [0]).unwrap_or(0), 0, "it should be closed, without a word");
}
