//! Promise: every answer tells browsers to speak only https with this host, and nothing tells them so of localhost.

use lockgate_e2e::{Answer, Gate, GateBuilder, Head, Upstream, ok};

const HEADER: &str = "strict-transport-security";
const DEFAULT: &str = "max-age=15811200";

fn gate(upstream: &Upstream) -> GateBuilder {
    Gate::before(upstream.url()).set("listen.http2", true)
}

#[track_caller]
fn said(answer: &Answer) -> Vec<&str> {
    answer.head().all(HEADER)
}

#[test]
fn forwarded_answers_and_refusals_carry_it_in_http_1_and_2() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = gate(&upstream).start();
    for version in ["--http1.1", "--http2"] {
        for (status, curl) in [(200, gate.curl("/v2/")), (401, gate.stranger("/v2/")), (404, gate.curl("/elsewhere"))] {
            let answer = curl.arg(version).run();
            assert_eq!((answer.status(), said(&answer)), (status, vec![DEFAULT]), "{version}");
        }
    }
}

#[test]
fn an_upstream_s_own_word_is_replaced() {
    let answer =
        "HTTP/1.1 200 OK\r\nStrict-Transport-Security: max-age=1; includeSubDomains\r\nContent-Length: 0\r\n\r\n";
    let upstream = Upstream::answering(answer);
    assert_eq!(said(&gate(&upstream).start().curl("/v2/").run()), [DEFAULT]);
}

#[test]
fn answers_for_an_upstream_that_is_away_carry_it() {
    let upstream = Upstream::scripted(|connection| connection.request().map(drop));
    let answer = gate(&upstream).start().curl("/v2/").run();
    assert_eq!((answer.status(), said(&answer)), (502, vec![DEFAULT]));
}

#[test]
fn pages_for_requests_that_nobody_could_read_carry_it() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = gate(&upstream).start();
    let large = format!("GET /v2/ HTTP/1.1\r\nHost: r\r\nX: {}\r\n\r\n", "a".repeat(40_000));
    for (status, request) in
        [(400, "nonsense\r\n\r\n"), (405, "CONNECT r:1 HTTP/1.1\r\nHost: r\r\n\r\n"), (431, &large)]
    {
        let mut wire = gate.wire();
        wire.send(request);
        let head: Head = wire.response().head;
        assert_eq!((head.status(), head.all(HEADER)), (status, vec![DEFAULT]));
    }
}

#[test]
fn localhost_is_not_pinned_for_the_other_programs_there() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = gate(&upstream).start();
    for host in ["localhost:5043", "registry.localhost"] {
        for curl in [gate.curl("/v2/"), gate.stranger("/v2/")] {
            assert!(said(&curl.header(&format!("Host: {host}")).run()).is_empty(), "{host}");
        }
    }
}

#[test]
fn it_is_another_period_or_nothing_where_the_configuration_says_so() {
    let upstream = Upstream::answering(ok("{}"));
    let other = gate(&upstream).set("tls.hsts", "365d").start();
    assert_eq!(said(&other.curl("/v2/").run()), ["max-age=31536000"]);
    let off = gate(&upstream).set("tls.hsts", "0s").start();
    assert!(said(&off.curl("/v2/").run()).is_empty() && said(&off.stranger("/v2/").run()).is_empty());
    let mut wire = off.wire();
    wire.send("nonsense\r\n\r\n");
    assert!(wire.response().head.all(HEADER).is_empty());
}
