//! Promise: what the proxy answers itself, it answers as a registry would.

use lockgate_e2e::{Gate, Head, Upstream, ok};

const API_VERSION: &str = "docker-distribution-api-version";

#[test]
fn every_answer_says_registry_2_0_once_whatever_the_upstream_said() {
    let says = |header: &str| format!("HTTP/1.1 200 OK\r\n{header}Content-Length: 2\r\n\r\n{{}}");
    let upstreams = [
        says(""),
        says("Docker-Distribution-Api-Version: registry/2.0\r\n"),
        says("Docker-Distribution-Api-Version: registry/2.0\r\ndocker-distribution-api-version: registry/1.0\r\n"),
        "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_owned(),
    ];
    for answer in upstreams {
        let upstream = Upstream::answering(answer.clone());
        let gate = Gate::before(upstream.url()).start();
        let head = gate.curl("/v2/").run();
        assert_eq!(head.head().one(API_VERSION), "registry/2.0", "{answer}");
    }
}

/// RFC 9110, 6.6.1, whoever answers, and over whatever version.
#[test]
fn every_answer_is_dated_once() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = Gate::before(upstream.url()).set("listen.http2", true).start();
    let assert_dated = |head: &Head, status: u16| {
        assert_eq!(head.status(), status);
        let date = head.one("date");
        assert!(date.len() == 29 && date.ends_with(" GMT"), "{date}");
    };
    let large = format!("GET /v2/ HTTP/1.1\r\nHost: r\r\nX: {}\r\n\r\n", "a".repeat(40_000));
    for (status, request) in [
        (401, "GET /v2/ HTTP/1.1\r\nHost: r\r\n\r\n"),
        (404, "GET /x HTTP/1.1\r\nHost: r\r\n\r\n"),
        (400, "GET /v2/ HTTP/1.1\r\n\r\n"),
        (400, "GET https://x/v2/ HTTP/1.1\r\nHost: r\r\n\r\n"),
        (400, "nonsense\r\n\r\n"),
        (405, "CONNECT r:443 HTTP/1.1\r\nHost: r:443\r\n\r\n"),
        (501, "TRACE /v2/ HTTP/1.1\r\nHost: r\r\n\r\n"),
        (431, &large),
    ] {
        let mut wire = gate.wire();
        wire.send(request);
        assert_dated(&wire.response().head, status);
    }
    for version in ["--http1.1", "--http2"] {
        assert_dated(gate.stranger("/v2/").args(&[version]).run().head(), 401);
        assert_dated(gate.curl("/v2/").args(&[version]).run().head(), 200);
    }
}

/// A manifest's bytes and type are a stranger's: on the registry's own origin a browser must make nothing of them.
#[test]
fn every_answer_forbids_a_browser_to_make_a_page_of_it() {
    let page = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Security-Policy: default-src *\r\nContent-Length: 2\r\n\r\n{}";
    let upstream = Upstream::answering(page);
    let gate = Gate::before(upstream.url()).start();
    for curl in [gate.curl("/v2/a/manifests/x"), gate.stranger("/v2/a/manifests/x")] {
        let answer = curl.run();
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("content-security-policy", "default-src 'none'; frame-ancestors 'none'; sandbox"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(answer.head().one(name), value);
        }
    }
}

/// Names have no case (RFC 9110, 5.1), but scripts that look for them do.
#[test]
fn names_are_written_as_registries_write_them() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = Gate::before(upstream.url()).start();
    let mut wire = gate.wire();
    wire.send("GET /v2/ HTTP/1.1\r\nHost: r\r\nAuthorization: Basic YWxpY2U6Y29ycmVjdC1ob3JzZQ==\r\n\r\n");
    let raw = String::from_utf8(wire.response().head.raw).expect("text");
    assert!(raw.contains("\r\nDocker-Distribution-Api-Version: registry/2.0\r\n"), "{raw}");
}

#[test]
fn clients_older_than_docker_1_6_are_told_404_by_the_guides_rule() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = Gate::before(upstream.url()).start();
    let status = |agent: &str| gate.curl("/v2/").arg("--user-agent").arg(agent).run().status();
    for old in ["docker/1.3.0", "docker/1.4.1", "docker/1.5.0 go/go1.4", "docker/1.5", "Go 1.1 package http"] {
        assert_eq!(status(old), 404, "{old}");
        gate.curl("/v2/").arg("--user-agent").arg(old).run().oci_error(404);
    }
    for new in
        ["docker/1.5.0-dev", "docker/1.6.0", "docker/20.10.24+dfsg1 go/go1.19.8", "Go-http-client/1.1", "curl/8", ""]
    {
        assert_eq!(status(new), 200, "{new}");
    }
}

#[test]
fn the_rule_for_old_clients_can_be_changed_and_switched_off() {
    let upstream = Upstream::answering(ok("{}"));
    let off = Gate::before(upstream.url()).set("clients.refuse", "").start();
    off.curl("/v2/").arg("--user-agent").arg("docker/1.4.1").run().expect(200);
    let other = Gate::before(upstream.url()).set("clients.refuse", "^bad/").set("clients.except", "^bad/9").start();
    other.curl("/v2/").arg("--user-agent").arg("bad/1").run().oci_error(404);
    other.curl("/v2/").arg("--user-agent").arg("bad/9").run().expect(200);
}

#[test]
fn only_the_registry_s_paths_are_forwarded() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = Gate::before(upstream.url()).start();
    for path in ["/", "/v1/", "/v1/_ping", "/v2x", "/metrics", "/debug/pprof/", "/V2/", "/favicon.ico", "/?u=/v2/"] {
        gate.curl(path).run().oci_error(404);
        gate.stranger(path).run().oci_error(404);
    }
    assert!(upstream.received().is_empty());
}

#[test]
fn a_path_that_two_readers_read_differently_goes_nowhere() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = Gate::before(upstream.url()).start();
    let paths = [
        "//v2/canary/manifests/x",
        "/x/../v2/canary/manifests/x",
        "/v2/../v2/canary/manifests/x",
        "/v2/./canary/manifests/x",
        "/v2//canary/manifests/x",
        "/v2%2fcanary/manifests/x",
        "/v2/canary%2fother/manifests/x",
        "/v2/%2e%2e/etc/manifests/x",
        "/v2;a=b/canary/manifests/x",
        "/x\\..\\v2\\canary",
        "/v2/canary%0d%0aX-Remote-User:%20root/manifests/x",
        "/x/%c0%ae%c0%ae/v2/canary/manifests/x",
        "/v2/%zz/canary",
    ];
    for path in paths {
        for curl in [gate.curl(path), gate.stranger(path)] {
            let status = curl.run().status();
            assert!([400, 401, 404].contains(&status), "{path}: {status}");
        }
    }
    assert!(upstream.received().is_empty(), "{:#?}", upstream.received());
}

#[test]
fn a_refusal_of_a_head_has_a_length_and_no_body() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = Gate::before(upstream.url()).start();
    let mut wire = gate.wire();
    wire.send("HEAD /v2/a/manifests/x HTTP/1.1\r\nHost: registry.test\r\n\r\n");
    let head: Head = wire.response_to_head().head;
    assert_eq!(head.status(), 401);
    assert!(head.one("content-length").parse::<u32>().unwrap() > 0);
    wire.send("GET /v2/ HTTP/1.1\r\nHost: registry.test\r\n\r\n");
    assert_eq!(wire.response().head.start_line, head.start_line, "a body of the HEAD would stand here");
}
