//! Promise: of several registries that hold the same, one that is away or ill costs clients nothing.

use lockgate_e2e::{Gate, GateBuilder, Load, PATIENCE, Unresponsive, Upstream, eventually, fresh_dir, nobody_at, ok};
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

const BLOB: &str = "/v2/a/blobs/sha256:0000000000000000000000000000000000000000000000000000000000000000";

/// No check interferes.
const NEVER: &str = "1h";

const CHECK: &str = "lockgate-health-check";

const FAILED: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";

fn before(urls: &[String]) -> GateBuilder {
    Gate::before(format!("{urls:?}"))
}

/// One that takes each request to its end and closes the connection.
fn closing() -> Upstream {
    Upstream::scripted(|connection| {
        if let Some(head) = connection.request()? {
            connection.body(&head, &mut io::sink())?;
        }
        Ok(())
    })
}

/// One that answers 503, to checks too, while `is_ill`.
fn ill_while(is_ill: impl Fn() -> bool + Send + Sync + 'static) -> Upstream {
    Upstream::scripted(move |connection| {
        while let Some(head) = connection.request()? {
            connection.body(&head, &mut io::sink())?;
            connection.send(if is_ill() { FAILED } else { b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}" })?;
        }
        Ok(())
    })
}

/// What it was asked by clients.
fn asked(upstream: &Upstream) -> Vec<String> {
    let received = upstream.received().into_iter().map(|request| request.head);
    let of_clients = received.filter(|head| !head.all("user-agent").contains(&CHECK));
    of_clients.map(|head| format!("{} {}", head.method(), head.target())).collect()
}

fn checks_of(upstream: &Upstream) -> usize {
    upstream.received().iter().filter(|request| request.head.all("user-agent").contains(&CHECK)).count()
}

fn lines(gate: &Gate, what: &str) -> usize {
    gate.log().text().lines().filter(|line| line.contains(what)).count()
}

#[test]
fn requests_go_to_each_in_turn_and_each_knows_who_asks_where() {
    let upstreams = [(); 3].map(|()| Upstream::answering(ok("{}")));
    let gate = before(&upstreams.each_ref().map(Upstream::url)).set("upstream.user_header", "X-User").start();
    for _ in 0..9 {
        gate.curl("/v2/").run().expect(200);
    }
    for upstream in &upstreams {
        assert_eq!(asked(upstream).len(), 3);
        let is_clients = |head: &lockgate_e2e::Head| !head.all("user-agent").contains(&CHECK);
        for head in upstream.received().into_iter().map(|request| request.head).filter(is_clients) {
            assert_eq!(head.one("host"), gate.door().address.to_string());
            assert_eq!(head.one("x-user"), "alice");
        }
    }
}

#[test]
fn an_upload_goes_on_anywhere_and_each_location_leads_back_to_the_gate() {
    let other = Arc::new(std::sync::OnceLock::<String>::new());
    let upstreams = [(); 2].map(|()| {
        let other = Arc::clone(&other);
        Upstream::scripted(move |connection| {
            while let Some(head) = connection.request()? {
                connection.body(&head, &mut io::sink())?;
                let location = format!("{}/v2/a/blobs/uploads/u", other.get().expect("it is set"));
                let answer = format!("HTTP/1.1 202 Accepted\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
                connection.send(answer.as_bytes())?;
            }
            Ok(())
        })
    });
    // Each names the same of them, so that one of them names the other.
    other.set(upstreams[1].url()).unwrap();
    let gate = before(&upstreams.each_ref().map(Upstream::url)).start();
    for (method, path) in
        [("POST", "/v2/a/blobs/uploads/"), ("PATCH", "/v2/a/blobs/uploads/u"), ("PATCH", "/v2/a/blobs/uploads/u")]
    {
        let answer = gate.curl(path).method(method).body("x").run();
        let expected = format!("https://{}/v2/a/blobs/uploads/u", gate.door().address);
        assert_eq!(answer.expect(202).head().one("location"), expected);
    }
    assert!(upstreams.iter().all(|upstream| !asked(upstream).is_empty()));
}

#[test]
fn one_that_is_down_costs_no_request_and_the_log_says_once_that_it_goes_and_comes_back() {
    let up = Upstream::answering(ok("{}"));
    let address = nobody_at("127.78.0.1");
    let gate = before(&[format!("http://{address}"), up.url()]).set("upstream.health_interval", "100ms").start();
    for _ in 0..6 {
        gate.curl("/v2/").run().expect(200);
        gate.curl("/v2/a/blobs/uploads/").method("POST").body("x").run().expect(200);
    }
    assert_eq!(lines(&gate, "is away"), 1);
    let restarted = Upstream::answering_at(address, ok("{}"));
    gate.log().await_line(PATIENCE, "that it is back", |line| line.contains("is back"));
    for _ in 0..2 {
        gate.curl("/v2/").run().expect(200);
    }
    assert_eq!(asked(&restarted).len(), 1);
    assert_eq!((lines(&gate, "is away"), lines(&gate, "is back")), (1, 1));
}

#[test]
fn one_that_takes_no_connection_delays_the_first_request_by_less_than_its_timeout_and_the_next_by_nothing() {
    let (lost, up) = (Unresponsive::new(), Upstream::answering(ok("{}")));
    let urls = [format!("http://{}", lost.address()), up.url()];
    let gate = before(&urls).set("upstream.connect_timeout", "1h").set("upstream.health_interval", NEVER).start();
    let start = Instant::now();
    for _ in 0..6 {
        gate.curl(BLOB).run().expect(200);
    }
    println!("6 requests, {} ms", start.elapsed().as_millis());
    assert_eq!(asked(&up).len(), 6);
}

#[test]
fn a_get_that_one_breaks_off_is_asked_of_another_and_a_post_of_nobody_else() {
    let (closing, up) = (closing(), Upstream::answering(ok("{}")));
    let gate = before(&[closing.url(), up.url()]).set("upstream.health_interval", NEVER).start();
    for _ in 0..6 {
        gate.curl(BLOB).run().expect(200);
    }
    assert!(asked(&closing).len() >= 3, "it had its turns");
    let statuses: Vec<_> =
        (0..4).map(|_| gate.curl("/v2/a/blobs/uploads/").method("POST").body("x").run().status()).collect();
    assert!(statuses.contains(&502) && statuses.contains(&200), "{statuses:?}");
    let posts = [&closing, &up].map(|upstream| asked(upstream).iter().filter(|line| line.starts_with("POST")).count());
    assert_eq!(posts.iter().sum::<usize>(), 4, "each once");
}

#[test]
fn a_request_that_all_break_off_is_sent_twice_and_no_more() {
    let upstreams = [(); 3].map(|()| closing());
    let gate = before(&upstreams.each_ref().map(Upstream::url)).set("upstream.health_interval", NEVER).start();
    gate.curl(BLOB).run().oci_error(502);
    assert_eq!(upstreams.iter().map(|upstream| asked(upstream).len()).sum::<usize>(), 2);
}

#[test]
fn what_one_answers_with_503_is_asked_of_another_and_where_both_do_the_client_is_told() {
    let (ill, up) = (ill_while(|| true), Upstream::answering(ok("{}")));
    let gate = before(&[ill.url(), up.url()]).set("upstream.health_interval", NEVER).start();
    for _ in 0..6 {
        gate.curl(BLOB).run().expect(200);
    }
    assert!(asked(&ill).len() >= 3, "it had its turns");
    gate.curl("/v2/a/blobs/uploads/").method("POST").body("x").run();
    gate.curl("/v2/a/blobs/uploads/").method("POST").body("x").run();
    let posts = [&ill, &up].map(|upstream| asked(upstream).iter().filter(|line| line.starts_with("POST")).count());
    assert_eq!(posts, [1, 1]);

    let both = [(); 2].map(|()| ill_while(|| true));
    let gate = before(&both.each_ref().map(Upstream::url)).set("upstream.health_interval", NEVER).start();
    assert_eq!(gate.curl(BLOB).run().status(), 503);
    assert_eq!(both.iter().map(|upstream| asked(upstream).len()).sum::<usize>(), 2);
}

#[test]
fn checks_take_one_out_that_fails_as_many_as_are_set_and_back_when_it_passes_as_many() {
    let is_ill = Arc::new(AtomicBool::new(true));
    let failures = Arc::new(AtomicUsize::new(0));
    let ill = ill_while({
        let (is_ill, failures) = (Arc::clone(&is_ill), Arc::clone(&failures));
        // The third check is passed: two failures in a row are not three.
        move || is_ill.load(Ordering::SeqCst) && failures.fetch_add(1, Ordering::SeqCst) != 2
    });
    let up = Upstream::answering(ok("{}"));
    let gate = before(&[ill.url(), up.url()]).set("upstream.health_interval", "100ms");
    let gate = gate.set("upstream.health_failures", 3).set("upstream.health_successes", 4).start();
    gate.log().await_line(PATIENCE, "that it is away", |line| line.contains("is away") && line.contains("5xx"));
    assert!(checks_of(&ill) >= 6, "two that failed, one that was passed, three that failed");
    for _ in 0..4 {
        gate.curl("/v2/a/blobs/uploads/").method("POST").body("x").run().expect(200);
    }
    assert_eq!(asked(&ill), Vec::<String>::new());
    let before = checks_of(&ill);
    is_ill.store(false, Ordering::SeqCst);
    gate.log().await_line(PATIENCE, "that it is back", |line| line.contains("is back"));
    assert!(checks_of(&ill) >= before + 4);
}

#[test]
fn a_get_whose_upstream_turns_out_to_be_lost_is_asked_of_another() {
    let is_lost = Arc::new(AtomicBool::new(false));
    let losing = Upstream::scripted({
        let is_lost = Arc::clone(&is_lost);
        move |connection| {
            while let Some(head) = connection.request()? {
                connection.body(&head, &mut io::sink())?;
                if is_lost.load(Ordering::SeqCst) {
                    connection.stall();
                    break;
                }
                connection.send(&ok("{}"))?;
            }
            Ok(())
        }
    });
    let up = Upstream::answering(ok("{}"));
    let gate = before(&[losing.url(), up.url()]).set("upstream.health_interval", "200ms").start();
    for _ in 0..2 {
        gate.curl(BLOB).run().expect(200);
    }
    is_lost.store(true, Ordering::SeqCst);
    for _ in 0..4 {
        gate.curl(BLOB).run().expect(200);
    }
}

#[test]
fn a_name_s_addresses_are_all_used_and_resolved_again() {
    let dir = fresh_dir();
    let hosts = dir.path().join("hosts");
    let name_at = |ips: [&str; 2]| fs::write(&hosts, ips.map(|ip| format!("{ip} registry\n")).concat()).unwrap();
    name_at(["127.78.2.1", "127.78.2.2"]);
    let script = format!("mount --bind '{}' /etc/hosts && exec \"$@\"", hosts.display());
    let port = nobody_at("127.78.2.1").port();
    let at = |ip: [u8; 4]| Upstream::answering_at(SocketAddr::from((ip, port)), ok("{}"));
    let upstreams = [at([127, 78, 2, 1]), at([127, 78, 2, 2]), at([127, 78, 2, 3])];
    let gate = Gate::before(format!("http://registry:{port}"))
        .set("upstream.resolve_interval", "100ms")
        .wrapped_in(&["unshare", "--mount", "--map-root-user", "sh", "-c", &script, "sh"])
        .start();
    for _ in 0..4 {
        gate.curl("/v2/").run().expect(200);
    }
    assert_eq!(upstreams.each_ref().map(|upstream| asked(upstream).len()), [2, 2, 0]);
    name_at(["127.78.2.2", "127.78.2.3"]);
    eventually(PATIENCE, "a request at the new address", || {
        gate.curl("/v2/").run().expect(200);
        (!asked(&upstreams[2]).is_empty()).then_some(())
    });
    let before = asked(&upstreams[0]).len();
    for _ in 0..4 {
        gate.curl("/v2/").run().expect(200);
    }
    assert_eq!(asked(&upstreams[0]).len(), before, "it has this name no more");
}

#[test]
fn thirty_two_clients_notice_nothing_of_one_that_is_killed_and_started_again_and_again() {
    let up = Upstream::answering(ok("a".repeat(4096)));
    let address = nobody_at("127.78.3.1");
    let start = || Upstream::answering_at(address, ok("a".repeat(4096)));
    let mut killed = Some(start());
    let gate = before(&[up.url(), format!("http://{address}")]).set("upstream.health_interval", "100ms").start();
    let mut clients = [true; 32];
    clients[..8].fill(false);
    let load = Load::of(gate.door(), BLOB, &clients);
    for _ in 0..10 {
        load.await_answers();
        drop(killed.take());
        load.await_answers();
        let started = killed.insert(start());
        eventually(PATIENCE, "requests at the one that was started", || (!asked(started).is_empty()).then_some(()));
    }
    load.end();
}

#[test]
fn a_list_says_what_is_wrong_with_it() {
    for (list, said) in [
        ("['http://a:5000', 'http://b:5000', 'HTTP://A:5000/']", "http://a:5000 stands here twice"),
        ("['http://a:5000', 'unix:/run/b.sock']", "sockets and addresses are mixed"),
        ("[]", "no registry is named"),
        ("['http://a:5000', 'https://b:5000']", "url[1]: the upstream is spoken to in plain HTTP"),
    ] {
        let finished = Gate::before(list).check().failure();
        assert!(finished.stderr.contains("upstream.url") && finished.stderr.contains(said), "{}", finished.stderr);
    }
    Gate::before("['http://a:5000', 'http://b:5000']").check().success();
    let sockets =
        Gate::before("http://a:5000").env("LOCKGATE_UPSTREAM_URL", "['unix:/run/a.sock', 'unix:/run/b.sock']");
    sockets.check().success();
}
