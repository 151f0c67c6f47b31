//! Promise: when the registry behind the gate is away or ill, the client is told so, and no broken layer looks whole.

use lockgate_e2e::{
    DockerRegistry, Gate, PATIENCE, Pattern, Unresponsive, Upstream, eventually, fresh_dir, nobody_at, ok,
};
use std::fs;
use std::net::SocketAddr;
use std::sync::{Mutex, mpsc};
use std::time::Duration;

/// What comes over a kept connection, and what comes over one of its own.
const PATHS: [&str; 2] = ["/v2/", BLOB];
const BLOB: &str = "/v2/a/blobs/sha256:0000000000000000000000000000000000000000000000000000000000000000";

const ALICE: &str = "Authorization: Basic YWxpY2U6Y29ycmVjdC1ob3JzZQ==\r\n";

/// What waits for nobody: far less than any timeout of the gate's that could end it otherwise.
const AT_ONCE: Duration = Duration::from_secs(5);

#[test]
fn an_upstream_that_is_down_is_502_with_what_to_do() {
    let gate = Gate::before(format!("http://{}", nobody_at("127.77.0.1"))).start();
    for path in PATHS {
        let answer = gate.curl(path).run();
        let (_, message) = answer.oci_error(502);
        assert!(message.contains("upstream.url"), "{message}");
        assert!(!answer.text().contains("127."), "an inner address is nobody's business: {}", answer.text());
    }
}

/// It may be the request that the upstream breaks off for.
#[test]
fn a_request_that_its_upstream_breaks_off_is_sent_once_more_however_many_connections_wait() {
    let upstream = Upstream::scripted(|connection| {
        while let Some(head) = connection.request()? {
            if head.target().contains("poison") {
                break;
            }
            connection.send(&ok("{}"))?;
        }
        Ok(())
    });
    let gate = Gate::before(upstream.url()).start();
    let mut clients: Vec<_> = (0..20).map(|_| gate.wire()).collect();
    for wire in &mut clients {
        wire.send(format!("GET /v2/ HTTP/1.1\r\nHost: r\r\n{ALICE}\r\n"));
    }
    clients.iter_mut().for_each(|wire| assert_eq!(wire.response().head.status(), 200));
    gate.curl("/v2/poison/tags/list").run().oci_error(502);
    let sent = upstream.received().iter().filter(|request| request.head.target().contains("poison")).count();
    assert!(sent <= 2, "{sent} times");
}

/// hyper sends no such body; the upstream's time counts all the same.
#[test]
fn a_get_in_chunks_to_a_silent_upstream_is_504_like_any_other() {
    let upstream = Upstream::silent();
    let gate = Gate::before(upstream.url()).set("upstream.read_timeout", "1s").start();
    let mut wire = gate.wire();
    wire.send(format!("GET /v2/ HTTP/1.1\r\nHost: r\r\n{ALICE}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"));
    assert_eq!(wire.response().head.status(), 504);
}

#[test]
fn a_502_says_close_and_closes() {
    let gate = Gate::before(format!("http://{}", nobody_at("127.77.0.4"))).set("log.format", "json").start();
    let mut wire = gate.wire();
    wire.send(format!("GET /v2/ HTTP/1.1\r\nHost: r\r\n{ALICE}\r\n"));
    let head = wire.response().head;
    assert_eq!(head.status(), 502);
    assert_eq!(head.one("connection").to_ascii_lowercase(), "close");
    gate.log().await_line(AT_ONCE, "the access line of the 502", |line| line.contains(r#""status":502"#));
    assert!(wire.closed_within(AT_ONCE).is_empty());
}

#[test]
fn a_client_that_stays_after_its_502_holds_nothing() {
    let (hang_up, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let upstream = Upstream::scripted(move |connection| {
        connection.request()?;
        let _ = wait.lock().unwrap().recv();
        Ok(())
    });
    let gate = Gate::before(upstream.url()).set("log.format", "json").start();
    let mut wire = gate.wire();
    wire.send(format!("GET /v2/ HTTP/1.1\r\nHost: r\r\n{ALICE}\r\n"));
    upstream.await_received("the request", |_| true);
    eventually(PATIENCE, "the client's one connection", || (gate.held_connections() == 1).then_some(()));
    // It is not seen to read, nor to close when it is told to.
    wire.pause();
    hang_up.send(()).unwrap();
    gate.log().await_line(AT_ONCE, "the access line of the 502", |line| line.contains(r#""status":502"#));
    eventually(AT_ONCE, "the end of the client's connection", || (gate.held_connections() == 0).then_some(()));
    wire.resume();
    let head = wire.response().head;
    assert_eq!((head.status(), head.one("connection").to_ascii_lowercase().as_str()), (502, "close"));
}

#[test]
fn an_upload_to_an_upstream_that_is_down_reads_its_502() {
    let gate = Gate::before(format!("http://{}", nobody_at("127.77.0.2"))).start();
    let put = gate.curl("/v2/a/blobs/uploads/u").method("PATCH").header("Expect:");
    put.run_sending(Pattern::new(1, 8 << 20)).oci_error(502);
}

#[test]
fn an_upstream_that_is_silent_is_504_after_the_read_timeout() {
    let upstream = Upstream::silent();
    let gate = Gate::before(upstream.url()).set("upstream.read_timeout", "1s").start();
    for path in PATHS {
        let answer = gate.curl(path).run();
        let (_, message) = answer.oci_error(504);
        assert!(message.contains("read_timeout"), "{message}");
        assert!(answer.measured["time_total"].as_f64().unwrap() >= 1.0);
    }
}

#[test]
fn an_upstream_that_takes_no_connection_is_refused_after_the_connect_timeout() {
    let upstream = Unresponsive::new();
    let gate = Gate::before(format!("http://{}", upstream.address())).set("upstream.connect_timeout", "1s").start();
    for path in PATHS {
        let answer = gate.curl(path).run();
        answer.oci_error(504);
        assert!(answer.measured["time_total"].as_f64().unwrap() < PATIENCE.as_secs_f64());
    }
}

#[test]
fn an_upstream_that_hangs_up_without_an_answer_is_502() {
    let closing = Upstream::scripted(|connection| connection.request().map(drop));
    let resetting = Upstream::scripted(|connection| connection.reset());
    for upstream in [&closing, &resetting] {
        let gate = Gate::before(upstream.url()).start();
        for path in PATHS {
            gate.curl(path).run().oci_error(502);
        }
    }
    assert_eq!(closing.received().len(), PATHS.len(), "each is asked once: no connection was a kept one");
}

#[test]
fn an_upstream_that_speaks_no_http_is_502() {
    let upstream = Upstream::answering("SSH-2.0-OpenSSH_9.2p1\r\n\r\n");
    let gate = Gate::before(upstream.url()).start();
    for path in PATHS {
        gate.curl(path).run().oci_error(502);
    }
}

#[test]
fn a_layer_that_breaks_off_never_looks_whole() {
    for head in ["Content-Length: 1000000\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\nf4240\r\n"] {
        let head = format!("HTTP/1.1 200 OK\r\n{head}");
        let upstream = Upstream::scripted(move |connection| {
            connection.request()?;
            connection.send(head.as_bytes())?;
            connection.send_all_of(&mut Pattern::new(1, 500_000)).map(drop)
        });
        let gate = Gate::before(upstream.url()).start();
        let answer = gate.curl(BLOB).run();
        assert_eq!(answer.status(), 200);
        assert_ne!(answer.exit, 0, "curl took {} of 1000000 bytes for all", answer.body.len());
        assert!(answer.body.len() <= 500_000);
    }
}

#[test]
fn a_push_is_never_sent_twice() {
    let upstream = Upstream::scripted(|connection| connection.request().map(drop));
    let gate = Gate::before(upstream.url()).start();
    gate.curl("/v2/a/blobs/uploads/").method("POST").body("x").run();
    assert_eq!(upstream.only().head.method(), "POST");
}

#[test]
fn a_connection_that_the_upstream_closed_while_it_was_idle_costs_no_request() {
    // It answers once on each connection and closes it a moment after the answer, as a restarted registry does.
    let upstream = Upstream::scripted(|connection| {
        connection.request()?;
        connection.send(&ok("{}"))
    });
    let gate = Gate::before(upstream.url()).start();
    for path in PATHS {
        for _ in 0..20 {
            gate.curl(path).run().expect(200);
        }
    }
    assert_nothing_failed(&gate);
}

#[test]
fn a_kept_connection_that_ends_under_a_request_costs_none() {
    // It hangs up on the second request of each connection, as one does whose patience with an idle one is over just then.
    let upstream = Upstream::scripted(|connection| {
        connection.request()?;
        connection.send(&ok("{}"))?;
        connection.request().map(drop)
    });
    let gate = Gate::before(upstream.url()).start();
    for path in PATHS {
        for _ in 0..3 {
            assert_eq!(gate.curl(path).run().expect(200).text(), "{}");
        }
    }
    assert_nothing_failed(&gate);
}

/// Whoever reads the log for what is wrong finds nothing there, whatever a library thinks of a connection that ended.
#[track_caller]
fn assert_nothing_failed(gate: &Gate) {
    let log = gate.log().text();
    let is_alarming = |line: &&str| line.contains(" ERROR ") || line.contains(" WARN ");
    assert_eq!(log.lines().filter(is_alarming).collect::<Vec<_>>(), Vec::<&str>::new());
}

#[test]
fn requests_go_through_again_when_the_registry_was_restarted_at_its_address() {
    let data = fresh_dir();
    let address = nobody_at("127.77.1.1").to_string();
    let registry = DockerRegistry::over_at(data.path(), &address);
    let gate = Gate::before(registry.url()).start();
    gate.curl("/v2/").run().expect(200);
    registry.stop();
    gate.curl("/v2/").run().oci_error(502);
    let _registry = DockerRegistry::over_at(data.path(), &address);
    gate.curl("/v2/").run().expect(200);
}

#[test]
fn the_upstream_s_name_is_resolved_again_when_its_container_is_recreated() {
    let dir = fresh_dir();
    let hosts = dir.path().join("hosts");
    let name_at = |ip: &str| fs::write(&hosts, format!("{ip} registry\n127.0.0.1 localhost\n")).unwrap();
    name_at("127.77.2.1");
    // In a mount namespace of its own the proxy has a hosts file of its own, as it has in a container.
    let script = format!("mount --bind '{}' /etc/hosts && exec \"$@\"", hosts.display());
    let address = nobody_at("127.77.2.1");
    let port = address.port();
    let first = Upstream::answering_at(address, ok("first"));
    let gate = Gate::before(format!("http://registry:{port}"))
        .wrapped_in(&["unshare", "--mount", "--map-root-user", "sh", "-c", &script, "sh"])
        .start();
    assert_eq!(gate.curl("/v2/").run().expect(200).text(), "first");
    drop(first);
    gate.curl("/v2/").run().oci_error(502);
    let second = Upstream::answering_at(SocketAddr::from(([127, 77, 2, 2], port)), ok("second"));
    name_at("127.77.2.2");
    let answer = gate.curl(BLOB).run();
    assert_eq!(answer.expect(200).text(), "second", "the very next request should find it");
    assert_eq!(gate.curl("/v2/").run().expect(200).text(), "second");
    drop(second);
}

#[test]
fn a_registry_that_starts_after_the_gate_is_found() {
    let address = nobody_at("127.77.0.3");
    let gate = Gate::before(format!("http://{address}")).start();
    gate.curl("/v2/").run().oci_error(502);
    let _upstream = Upstream::answering_at(address, ok("{}"));
    gate.curl("/v2/").run().expect(200);
}

#[test]
fn a_gate_before_a_name_that_does_not_exist_runs_and_answers_502() {
    let mut gate = Gate::before("http://registry.invalid:5000").start();
    gate.curl("/v2/").run().oci_error(502);
    assert!(gate.is_running());
    gate.log().await_line(PATIENCE, "a warning that the name cannot be resolved", |line| line.contains("resolve"));
}

#[test]
fn a_client_that_leaves_frees_the_upstream() {
    let upstream = Upstream::scripted(|connection| {
        connection.request()?;
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")?;
        connection.send_all_of(&mut Pattern::new(1, 1_000_000_000)).map(drop)
    });
    let gate = Gate::before(upstream.url()).start();
    let mut pull = gate.curl(BLOB).args(&["--limit-rate", "1M", "--output", "/dev/null"]).spawn();
    upstream.await_received("the pull", |request| request.head.method() == "GET");
    pull.signal(lockgate_e2e::Signal::Kill);
    pull.wait(PATIENCE);
    eventually(Duration::from_secs(10), "the end of the upstream's connection", || {
        (upstream.open_connections() == 0).then_some(())
    });
}
