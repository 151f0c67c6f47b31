//! Promise: an upload that is refused with its body in flight still gets to read why.

use lockgate_e2e::{Gate, Pattern, Upstream, eventually, ok};
use std::time::Duration;

/// More than every buffer between the client and the gate together.
const BODY: u64 = 32 << 20;

#[test]
fn a_client_that_writes_everything_before_it_reads_gets_its_401() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = Gate::before(upstream.url()).start();
    let body = Pattern::new(1, BODY).bytes();
    for round in 0..8 {
        let mut wire = gate.wire();
        wire.send(format!("PUT /v2/a/blobs/uploads/u HTTP/1.1\r\nHost: r\r\nContent-Length: {BODY}\r\n\r\n"));
        wire.try_send(&body).unwrap_or_else(|e| panic!("the gate should read on (round {round}): {e}"));
        let response = wire.response();
        assert_eq!(response.head.status(), 401, "round {round}");
        assert!(response.body.starts_with(br#"{"errors":[{"code":"UNAUTHORIZED""#));
    }
    assert!(upstream.received().is_empty());
}

#[test]
fn a_client_that_offers_an_upgrade_gets_its_401_too() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = Gate::before(upstream.url()).start();
    let mut wire = gate.wire();
    let upgrade = "Connection: Upgrade\r\nUpgrade: h2c\r\n";
    wire.send(format!("PUT /v2/a/blobs/uploads/u HTTP/1.1\r\nHost: r\r\n{upgrade}Content-Length: {BODY}\r\n\r\n"));
    wire.try_send(Pattern::new(1, BODY).bytes()).expect("the gate reads on");
    assert_eq!(wire.response().head.status(), 401);
}

#[test]
fn a_client_that_streams_chunks_gets_its_401() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = Gate::before(upstream.url()).start();
    for _ in 0..8 {
        let patch = gate.stranger("/v2/a/blobs/uploads/u").method("PATCH").header("Expect:");
        patch.run_sending(Pattern::new(1, BODY)).oci_error(401);
    }
    assert!(upstream.received().is_empty());
}

#[test]
fn a_body_that_never_ends_is_not_read_for_ever() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = Gate::before(upstream.url()).set("limits.drain_timeout", "1s").start();
    let mut wire = gate.wire();
    wire.send("PATCH /v2/a/blobs/uploads/u HTTP/1.1\r\nHost: r\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_eq!(wire.response().head.status(), 401, "the answer does not wait for the body");
    let chunk = [b"10000\r\n".as_slice(), &Pattern::new(1, 65_536).bytes(), b"\r\n"].concat();
    eventually(Duration::from_secs(10), "the gate to hang up", || wire.try_send(&chunk).is_err().then_some(()));
}

#[test]
fn a_registry_that_refuses_early_is_heard_by_a_client_that_still_writes() {
    let upstream = Upstream::scripted(|connection| {
        connection.request()?;
        let body = r#"{"errors":[{"code":"SIZE_INVALID","message":"too large for this registry"}]}"#;
        let head = "HTTP/1.1 413 Content Too Large\r\nContent-Type: application/json\r\nConnection: close\r\n";
        connection.send(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes())?;
        connection.await_close(Duration::from_secs(20))
    });
    let gate = Gate::before(upstream.url()).start();
    let patch = gate.curl("/v2/a/blobs/uploads/u").method("PATCH").header("Expect:");
    assert_eq!(patch.run_sending(Pattern::new(1, BODY)).oci_error(413).0, "SIZE_INVALID");
}
