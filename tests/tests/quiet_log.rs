//! Promise: who has no password writes nothing into the log but the access line of a request.

use lockgate_e2e::{
    Door, Gate, GateBuilder, Http2, PATIENCE, Upstream, Wire, eventually, finish, frame, log_field, ok, program,
};
use serde_json::Value;

const MARK: &str = "/v2/mark/manifests/x";

fn gate_at_default_level(upstream: &Upstream) -> GateBuilder {
    Gate::before(upstream.url()).set("log.format", "json").set("log.level", "info")
}

/// What was logged since it listens, and at least so many requests were: each line's target, and the line.
fn lines_about_clients(gate: &Gate, requests: usize) -> Vec<(String, String)> {
    // A request's line may come after its answer.
    let logged = || gate.log().text().matches(r#""target":"access""#).count();
    eventually(PATIENCE, "a line for each request", || (logged() >= requests).then_some(()));
    // Whatever else a client provoked comes before the line of a request that was made after it.
    gate.curl(MARK).run().expect(200);
    gate.access("path", MARK);
    let log = gate.log().text();
    let lines = log.lines().skip_while(|line| !line.contains("\"listening\"")).skip(1);
    let of = |line: &str| {
        let parsed: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        log_field(&parsed, "target").and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    lines.filter(|line| !line.contains(MARK)).map(|line| (of(line), line.to_owned())).collect()
}

/// A handshake with these options of `openssl s_client`, and a request without credentials if it succeeds.
fn knock(door: &Door, options: &[&str]) {
    let mut wire = Wire::open_with(door, options);
    wire.send("GET /v2/ HTTP/1.1\r\nHost: r\r\nConnection: close\r\n\r\n");
    wire.closed_within(PATIENCE);
}

#[test]
fn a_handshake_with_a_server_name_that_is_none_leaves_no_line() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = gate_at_default_level(&upstream).start();
    for version in ["-tls1_2", "-tls1_3"] {
        for illegal in ["localhost:5043", "no name", "a..b", "-", "\u{fc}"] {
            knock(gate.door(), &[version, "-servername", illegal]);
        }
    }
    assert_eq!(lines_about_clients(&gate, 0), []);
    // An address is no name either, and one that clients do send: it is passed over.
    knock(gate.door(), &["-servername", "127.0.0.1"]);
    let lines = lines_about_clients(&gate, 2);
    assert!(matches!(&lines[..], [(target, _)] if target == "access"), "{lines:#?}");
}

#[test]
fn who_asks_for_more_is_told_of_such_a_name() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = gate_at_default_level(&upstream).set("log.level", "debug").start();
    knock(gate.door(), &["-servername", "localhost:5043"]);
    gate.log().await_line(PATIENCE, "rustls's warning", |line| line.contains("localhost:5043"));
}

#[test]
fn a_request_that_is_malformed_leaves_one_line_and_no_library_s() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = gate_at_default_level(&upstream).start();
    let requests = [
        "POST /v2/a/blobs/uploads/ HTTP/1.1\r\nHost: r\r\nContent-Length: many\r\n\r\n",
        "POST /v2/a/blobs/uploads/ HTTP/1.1\r\nHost: r\r\nContent-Length: -1\r\n\r\n",
        "POST /v2/a/blobs/uploads/ HTTP/1.1\r\nHost: r\r\nContent-Length: \u{fc}\r\n\r\n",
        "POST /v2/a/blobs/uploads/ HTTP/1.1\r\nHost: r\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n",
        "GET /v2/ HTTP/1.1\r\nHost: r\r\nAccept-Encoding: \"\r\n\r\n",
        "GET /v2/ HTTP/1.1\r\nHost: r\r\nConnection: upgrade\r\nUpgrade: \x01\r\n\r\n",
        "GET /v2/ HTTP/9.9\r\n\r\n",
        "nonsense\r\n\r\n",
        "\x16\x03\x01\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ];
    for request in requests {
        let mut wire = gate.wire();
        wire.send(request);
        wire.await_any();
    }
    let lines = lines_about_clients(&gate, requests.len());
    assert!(lines.iter().all(|(target, _)| target == "access"), "{lines:#?}");
    assert_eq!(lines.len(), requests.len(), "a line a request: {lines:#?}");
}

#[test]
fn frames_of_http_2_that_are_out_of_place_leave_no_line_but_ours() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = gate_at_default_level(&upstream).set("listen.http2", true).start();
    // An answer to no PING.
    let mut client = Http2::open(gate.door());
    client.frame(frame::PING, frame::ACK, 0, &[7; 8]);
    client.request(1, "GET", "/v2/", "", true);
    client.outcome(1);
    // Requests that are reset at once, and such as no client makes.
    let mut client = Http2::open(gate.door());
    for stream in (1..400).step_by(2) {
        client.request(stream, "GET", "/v2/", "", true);
        client.frame(frame::RST_STREAM, 0, stream, &[0, 0, 0, 8]);
    }
    client.closed_within(PATIENCE);
    let mut client = Http2::open(gate.door());
    for stream in (1..400).step_by(2) {
        client.headers(stream, &[(":method", "GET"), (":scheme", "https"), (":path", "http://x/v2/")], true);
    }
    client.closed_within(PATIENCE);
    let lines = lines_about_clients(&gate, 1);
    // And one of ours, about a connection that was ended for it.
    let is_expected = |target: &str| ["access", "lockgate::listener::http2"].contains(&target);
    assert!(lines.iter().all(|(target, _)| is_expected(target)), "{lines:#?}");
}

#[test]
fn nobody_hides_from_the_log_by_looking_like_the_health_check() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = gate_at_default_level(&upstream).start();
    let mut health = program("lockgate");
    health.arg("health").arg("--config").arg(gate.dir().join("lockgate.toml"));
    finish(health.env("LOCKGATE_LISTEN_HTTPS", gate.door().address.to_string())).success();
    gate.stranger("/v2/").args(&["-A", "lockgate-health"]).run().oci_error(401);
    let lines = lines_about_clients(&gate, 2);
    assert!(matches!(&lines[..], [(one, _), (other, _)] if one == "access" && other == "access"), "{lines:#?}");
}
