//! Promise: nobody can take all the places at the door.

use lockgate_e2e::{Gate, PATIENCE, Upstream, Wire, eventually, ok};
use std::fs;
use std::io::Read;
use std::net::TcpStream;
use std::time::Duration;

const REQUEST: &str = "GET /v2/ HTTP/1.1\r\nHost: r\r\nAuthorization: Basic YWxpY2U6Y29ycmVjdC1ob3JzZQ==\r\n\r\n";

/// Far less than any timeout of the door.
const AT_ONCE: Duration = Duration::from_secs(5);

fn is_served(wire: &mut Wire) {
    wire.send(REQUEST);
    assert_eq!(wire.response().head.status(), 200);
}

/// A TCP connection that says nothing, and whether it is closed at once.
fn is_closed(gate: &Gate) -> bool {
    let mut silent = TcpStream::connect(gate.door().address).expect("it listens");
    silent.set_read_timeout(Some(AT_ONCE)).expect("it is not zero");
    matches!(silent.read(&mut [0]), Ok(0))
}

#[test]
fn an_address_has_its_share_and_no_more() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = Gate::before(upstream.url()).set("limits.connections_per_address", 2).start();
    let (mut first, mut second) = (gate.wire(), gate.wire());
    is_served(&mut first);
    is_served(&mut second);
    for _ in 0..20 {
        assert!(is_closed(&gate), "before TLS costs anything");
    }
    is_served(&mut first);
    is_served(&mut second);
    drop(first);
    eventually(PATIENCE, "the end of the first", || (gate.held_connections() == 1).then_some(()));
    is_served(&mut gate.wire());
    let warnings = gate.log().text().matches("limits.connections_per_address").count();
    assert_eq!(warnings, 1, "a flood of clients is no flood of lines: {}", gate.log().text());
}

#[test]
fn when_all_places_are_taken_the_longest_idle_makes_room() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = Gate::before(upstream.url()).set("limits.connections", 3).start();
    let [mut oldest, mut older, mut newest] = std::array::from_fn(|_| {
        let mut wire = gate.wire();
        is_served(&mut wire);
        wire
    });
    assert!(oldest.closed_within(AT_ONCE).is_empty());
    is_served(&mut older);
    is_served(&mut newest);
    let mut next = gate.wire();
    is_served(&mut next);
}

#[test]
fn when_all_places_are_taken_and_in_use_a_client_waits_for_the_next_that_is_free() {
    let (go_on, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let upstream = Upstream::scripted(move |connection| {
        while connection.request()?.is_some() {
            let _ = wait.lock().unwrap().recv();
            connection.send(&ok("{}"))?;
        }
        Ok(())
    });
    let gate = Gate::before(upstream.url()).set("limits.connections", 1).start();
    let mut first = gate.wire();
    first.send(REQUEST);
    upstream.await_received("the first request", |_| true);
    let mut second = gate.wire();
    second.send(REQUEST);
    gate.log().await_line(AT_ONCE, "a warning", |line| line.contains("all connections are taken"));
    go_on.send(()).unwrap();
    assert_eq!(first.response().head.status(), 200);
    go_on.send(()).unwrap();
    assert_eq!(second.response().head.status(), 200);
}

#[test]
fn the_limit_of_open_files_is_raised_to_what_is_allowed() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = Gate::before(upstream.url()).wrapped_in(&["sh", "-c", "ulimit -Sn 64; exec \"$@\"", "sh"]).start();
    is_served(&mut gate.wire());
    let limits = fs::read_to_string(format!("/proc/{}/limits", gate.process().id())).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let fields: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(fields[3], fields[4], "{line}");
}

#[test]
fn a_gate_without_open_files_left_says_so_once_and_recovers() {
    let upstream = Upstream::answering(ok("{}"));
    let few = ["sh", "-c", "ulimit -n 40; exec \"$@\"", "sh"];
    let gate = Gate::before(upstream.url()).set("limits.connections", 1000).wrapped_in(&few).start();
    let silent: Vec<_> = (0..60).map(|_| TcpStream::connect(gate.door().address).unwrap()).collect();
    gate.log().await_line(PATIENCE, "a warning", |line| line.contains("cannot accept connections"));
    drop(silent);
    eventually(PATIENCE, "an answer", || {
        gate.curl("/v2/").run().heads.last().filter(|head| head.status() == 200).map(drop)
    });
    let log = gate.log().text();
    assert!(log.contains("limits.connections is more than the limit of open files has room for"), "{log}");
    assert!(log.matches("cannot accept connections").count() <= 2, "{log}");
}
