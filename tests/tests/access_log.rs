//! Promise: a line a request says who did what, and no line ever says a password.

use lockgate_e2e::{Gate, PATIENCE, Pattern, Upstream, log_field, ok};
use serde_json::Value;

const PASSWORD: &str = "correct-horse";
const PASSWORD_BASE64: &str = "YWxpY2U6Y29ycmVjdC1ob3JzZQ==";
const WRONG_BASE64: &str = "YWxpY2U6d3JvbmctaG9yc2U=";

fn json_gate(upstream: &Upstream) -> Gate {
    Gate::before(upstream.url()).set("log.format", "json").start()
}

#[track_caller]
fn text<'a>(line: &'a Value, key: &str) -> &'a str {
    log_field(line, key).and_then(Value::as_str).unwrap_or_else(|| panic!("no {key} in {line}"))
}

#[track_caller]
fn number(line: &Value, key: &str) -> f64 {
    log_field(line, key).and_then(Value::as_f64).unwrap_or_else(|| panic!("no {key} in {line}"))
}

#[test]
fn a_request_leaves_a_line_with_all_that_an_operator_asks_for() {
    let upstream = Upstream::answering(ok("x".repeat(12_345)));
    let gate = json_gate(&upstream);
    gate.curl("/v2/team/app/blobs/uploads/u").method("PATCH").body(Pattern::new(1, 54_321).bytes()).run().expect(200);
    let line = gate.access("path", "/v2/team/app/blobs/uploads/u");
    assert!(text(&line, "client").starts_with("127.0.0.1"), "{line}");
    assert_eq!(text(&line, "user"), "alice");
    assert_eq!(text(&line, "method"), "PATCH");
    assert_eq!(text(&line, "repository"), "team/app");
    assert_eq!(number(&line, "status"), 200.0);
    assert_eq!((number(&line, "bytes_in"), number(&line, "bytes_out")), (54_321.0, 12_345.0));
    let (duration, upstream) = (number(&line, "duration_ms"), number(&line, "upstream_ms"));
    assert!(duration > 0.0 && upstream > 0.0 && upstream <= duration, "{line}");
}

#[test]
fn a_refusal_leaves_a_line_without_a_user() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = json_gate(&upstream);
    gate.stranger("/v2/team/app/tags/list").user("alice:wrong-horse").run().oci_error(401);
    let line = gate.access("path", "/v2/team/app/tags/list");
    assert_eq!((text(&line, "user"), number(&line, "status")), ("-", 401.0), "a claim is no identity");
    gate.curl("/elsewhere").run().oci_error(404);
    assert_eq!(number(&gate.access("path", "/elsewhere"), "status"), 404.0);
}

#[test]
fn a_broken_transfer_leaves_a_line_with_what_was_sent() {
    let upstream = Upstream::scripted(|connection| {
        connection.request()?;
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhello")
    });
    let gate = json_gate(&upstream);
    assert_ne!(gate.curl("/v2/a/manifests/x").run().exit, 0);
    let line = gate.access("path", "/v2/a/manifests/x");
    assert!(number(&line, "bytes_out") <= 5.0, "{line}");
}

#[test]
fn every_request_leaves_exactly_one_line() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = json_gate(&upstream);
    let mut wire = gate.wire();
    for n in 0..20 {
        wire.send(format!(
            "GET /v2/a/manifests/n{n} HTTP/1.1\r\nHost: r\r\nAuthorization: Basic {PASSWORD_BASE64}\r\n\r\n"
        ));
        assert_eq!(wire.response().head.status(), 200);
    }
    gate.curl("/v2/a/manifests/last").run().expect(200);
    gate.access("path", "/v2/a/manifests/last");
    let log = gate.log().text();
    for n in 0..20 {
        assert_eq!(log.matches(&format!("/v2/a/manifests/n{n}\"")).count(), 1, "n{n} in {log}");
    }
}

#[test]
fn every_line_of_a_json_log_is_json() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = json_gate(&upstream);
    gate.curl("/v2/").run().expect(200);
    gate.stranger("/v2/").run().oci_error(401);
    gate.access("path", "/v2/");
    for line in gate.log().text().lines() {
        serde_json::from_str::<Value>(line).unwrap_or_else(|e| panic!("{e}: {line}"));
    }
}

#[test]
fn the_text_log_says_the_same_without_colours() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = Gate::before(upstream.url()).start();
    gate.curl("/v2/team/app/tags/list").run().expect(200);
    let line = gate.log().await_line(PATIENCE, "an access log line", |line| line.contains("/tags/list"));
    for part in ["127.0.0.1", "alice", "GET", "/v2/team/app/tags/list", "team/app", "200"] {
        assert!(line.contains(part), "{part} is missing: {line}");
    }
    assert!(!gate.log().bytes().contains(&0x1b), "escape sequences in a log that is no terminal");
}

#[test]
fn no_password_is_logged_at_any_level() {
    let upstream = Upstream::answering(ok("{}"));
    for format in ["text", "json"] {
        let settings = Gate::before(upstream.url()).set("log.format", format).set("log.level", "trace");
        let gate = settings.set("upstream.forward_authorization", true).env("RUST_LOG", "trace").start();
        gate.curl("/v2/").run().expect(200);
        gate.curl("/v2/a/blobs/uploads/u").method("PATCH").chunked_body("content").run().expect(200);
        gate.stranger("/v2/").user("alice:wrong-horse").run().oci_error(401);
        let mut wire = gate.wire();
        wire.send(format!("GET /v2/ HTTP/1.1\r\nHost: r\r\nHost: s\r\nAuthorization: Basic {PASSWORD_BASE64}\r\n\r\n"));
        wire.response();
        // A header that cannot be read, with a credential in it.
        let mut wire = gate.wire();
        wire.send(format!("GET /v2/ HTTP/1.1\r\nAuthorization: Basic {PASSWORD_BASE64}\r\nB\u{1}d: x\r\n\r\n"));
        wire.closed_within(PATIENCE);
        drop(client_that_leaves(&gate));
        gate.curl("/v2/last/manifests/x").run();
        gate.log().await_line(PATIENCE, "the last request", |line| line.contains("last/manifests"));
        let log = gate.log().text();
        for secret in [PASSWORD, "wrong-horse", PASSWORD_BASE64, WRONG_BASE64, "$2y$"] {
            assert!(!log.contains(secret), "{secret} in the {format} log:\n{log}");
        }
    }
}

/// A client that goes away in the middle of its upload, with its credentials.
fn client_that_leaves(gate: &Gate) -> lockgate_e2e::Wire {
    let mut wire = gate.wire();
    let head = "PATCH /v2/a/blobs/uploads/u HTTP/1.1\r\nHost: r\r\nAuthorization: Basic";
    wire.send(format!("{head} {PASSWORD_BASE64}\r\nContent-Length: 100\r\n\r\nhello"));
    wire
}

#[test]
fn a_client_cannot_write_lines_into_the_log() {
    let upstream = Upstream::answering(ok("{}"));
    for format in ["text", "json"] {
        let gate = Gate::before(upstream.url()).set("log.format", format).start();
        let attempts: [&[u8]; 4] = [
            b"GET /v2/\x1b[31mred HTTP/1.1\r\nHost: r\r\n\r\n",
            b"GET /v2/%0a2026-01-01%20INFO%20forged HTTP/1.1\r\nHost: r\r\n\r\n",
            b"GET /v2/?x=\x07\x08 HTTP/1.1\r\nHost: r\r\n\r\n",
            b"GET /v2/ HTTP/1.1\r\nHost: r\r\nUser-Agent: \x1b[2J\x7f\r\nAuthorization: Basic YWxpY2UKZm9yZ2VkOng=\r\n\r\n",
        ];
        for attempt in attempts {
            let mut wire = gate.wire();
            wire.send(attempt);
            wire.await_any();
        }
        gate.curl("/v2/last/manifests/x").run().expect(200);
        gate.log().await_line(PATIENCE, "the last request", |line| line.contains("last/manifests"));
        let log = gate.log().bytes();
        let control = log.iter().find(|byte| (**byte < 0x20 && **byte != b'\n') || **byte == 0x7f);
        assert_eq!(control, None, "{}", String::from_utf8_lossy(&log));
        assert!(!gate.log().text().lines().any(|line| line.starts_with("forged") || line.starts_with("2026-01-01")));
    }
}

#[test]
fn a_request_is_written_as_nginx_writes_it_where_that_is_wanted() {
    let upstream = Upstream::answering(ok("12345"));
    let gate = Gate::before(upstream.url()).set("log.format", "combined").set("log.level", "info").start();
    gate.curl("/v2/?a=b").header("User-Agent: docker/29 \"x\"").header("Referer: https://r.test/").run().expect(200);
    gate.stranger("/v2/team/app/tags/list").user("alice:wrong-horse").run().expect(401);
    let stdout = gate.process().stdout();
    stdout.await_line(PATIENCE, "the second line", |line| line.contains("\" 401 "));
    let text = stdout.text();
    let [first, second] = &text.lines().collect::<Vec<_>>()[..] else { panic!("one line a request: {text}") };
    let (before, rest) = first.split_once('[').expect("a time");
    let (time, rest) = rest.split_once("] ").expect("its end");
    assert_eq!(before, "127.0.0.1 - alice ");
    assert_eq!((time.len(), &time[2..3], &time[11..12], &time[20..]), (26, "/", ":", " +0000"), "{time}");
    let user_agent = r#""https://r.test/" "docker/29 \x22x\x22""#;
    assert_eq!(rest, format!(r#""GET /v2/?a=b HTTP/1.1" 200 5 {user_agent}"#));
    assert!(second.starts_with("127.0.0.1 - - ["), "a claim is no identity: {second}");
    let log = gate.log().text();
    assert!(log.contains("listening") && !log.contains("/v2/"), "all else is on standard error: {log}");
}

#[test]
fn a_request_is_called_the_same_by_all_who_see_it() {
    let upstream = Upstream::answering(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Request-Id: other\r\nContent-Length: 2\r\n\r\n{}",
    );
    let gate = Gate::before(upstream.url()).set("log.format", "json");
    let audit = gate.dir().join("audit.log");
    let gate = gate.set("audit.file", audit.display()).start();
    let answer = gate.curl("/v2/?1").header("X-Request-Id: chosen-by-a-stranger").run().expect(200);
    let id = answer.head().one("x-request-id").to_owned();
    assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
    assert_eq!(upstream.only().head.all("x-request-id"), [&*id]);
    assert_eq!(text(&gate.access("path", "/v2/?1"), "request_id"), id);
    let lines = std::fs::read_to_string(&audit).expect("it is kept");
    assert!(lines.contains(&format!("\"request_id\":\"{id}\"")), "{lines}");
    let refused = gate.stranger("/elsewhere").run().expect(404);
    assert_ne!(refused.head().one("x-request-id"), id);
    let trusting = Gate::before(upstream.url()).set("listen.trusted_proxies", "['127.0.0.1']").start();
    let answer = trusting.curl("/v2/").header("X-Request-Id: from-the-balancer").run().expect(200);
    assert_eq!(answer.head().all("x-request-id"), ["from-the-balancer"]);
}
