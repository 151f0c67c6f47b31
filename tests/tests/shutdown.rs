//! Promise: whoever stops the gate breaks nothing. What is in flight ends well, and nothing is waited for in vain.

use lockgate_e2e::{Api, Backend, Gate, PATIENCE, Pattern, Signal, Up, Upstream, eventually, fresh_dir, ok};
use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

const ALICE: &str = "Authorization: Basic YWxpY2U6Y29ycmVjdC1ob3JzZQ==\r\n";

/// Far less than the 30 s of grace: nothing was waited for.
const AT_ONCE: Duration = Duration::from_secs(5);

#[test]
fn an_idle_gate_leaves_at_once_and_well() {
    let upstream = Upstream::answering(ok("{}"));
    for signal in [Signal::Terminate, Signal::Interrupt] {
        let mut gate = Gate::before(upstream.url()).start();
        let mut idle = gate.wire();
        idle.send(format!("GET /v2/ HTTP/1.1\r\nHost: r\r\n{ALICE}\r\n"));
        assert_eq!(idle.response().head.status(), 200);
        gate.signal(signal);
        assert_eq!(gate.wait(AT_ONCE).code(), Some(0), "{signal:?}");
        assert!(idle.closed_within(AT_ONCE).is_empty());
    }
}

#[test]
fn a_transfer_in_flight_ends_well_while_nobody_new_comes_in() {
    let upstream = Upstream::answering("HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n");
    let mut gate = Gate::before(upstream.url()).start();
    let mut push = gate.wire();
    push.send(format!("PATCH /v2/a/blobs/uploads/u HTTP/1.1\r\nHost: r\r\n{ALICE}Content-Length: 11\r\n\r\nfirst"));
    upstream.await_received("the first half", |request| request.body == b"first");
    gate.signal(Signal::Terminate);
    let address = gate.door().address;
    eventually(AT_ONCE, "the end of listening", || TcpStream::connect(address).is_err().then_some(()));
    assert!(gate.is_running());
    push.send("second");
    assert_eq!(push.response().head.status(), 202);
    assert_eq!(upstream.only().body, b"firstsecond");
    assert_eq!(gate.wait(AT_ONCE).code(), Some(0));
}

#[test]
fn a_pull_in_flight_ends_well() {
    let (go_on, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let upstream = Upstream::scripted(move |connection| {
        connection.request()?;
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nfirst")?;
        let _ = wait.lock().unwrap().recv();
        connection.send(b"second")
    });
    let mut gate = Gate::before(upstream.url()).start();
    let mut pull = gate.wire();
    pull.send(format!("GET /v2/a/manifests/x HTTP/1.1\r\nHost: r\r\n{ALICE}\r\n"));
    pull.await_text("first");
    gate.signal(Signal::Terminate);
    let address = gate.door().address;
    eventually(AT_ONCE, "the end of listening", || TcpStream::connect(address).is_err().then_some(()));
    go_on.send(()).unwrap();
    assert_eq!(pull.response().body, b"firstsecond");
    assert_eq!(gate.wait(AT_ONCE).code(), Some(0));
}

#[test]
fn what_does_not_end_is_cut_after_the_grace() {
    let upstream = Upstream::silent();
    let mut gate = Gate::before(upstream.url()).set("shutdown.grace", "1s").start();
    let mut stalled = gate.wire();
    stalled.send(format!("GET /v2/ HTTP/1.1\r\nHost: r\r\n{ALICE}\r\n"));
    upstream.await_received("the request", |_| true);
    let start = Instant::now();
    gate.signal(Signal::Terminate);
    gate.wait(AT_ONCE);
    assert!(start.elapsed() >= Duration::from_millis(900), "it had a second of grace");
    let rest = stalled.closed_within(AT_ONCE);
    assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 5"), "cut or refused, never a false answer");
}

#[test]
fn a_connection_that_never_shook_hands_holds_nothing_up() {
    let upstream = Upstream::answering(ok("{}"));
    let mut gate = Gate::before(upstream.url()).start();
    let _silent = TcpStream::connect(gate.door().address).unwrap();
    gate.curl("/v2/").run().expect(200);
    gate.signal(Signal::Terminate);
    gate.wait(AT_ONCE);
}

/// Awaits that an upload has brought at least `bytes` to the disk.
fn await_upload(data: &Path, bytes: u64) {
    fn largest(dir: &Path) -> u64 {
        let entries = fs::read_dir(dir).into_iter().flatten().flatten();
        let size = |entry: fs::DirEntry| match entry.file_type() {
            Ok(kind) if kind.is_dir() => largest(&entry.path()),
            _ => entry.metadata().map_or(0, |metadata| metadata.len()),
        };
        entries.map(size).max().unwrap_or(0)
    }
    eventually(PATIENCE, "an upload on its way", || (largest(data) >= bytes).then_some(()));
}

#[test]
fn a_push_of_a_gigabyte_ends_well_while_the_gate_stops() {
    let data = fresh_dir();
    let backend = Backend::over(data.path());
    let mut gate = Gate::before(backend.url()).start();
    let content = Pattern::new(11, 1 << 30);
    let digest = content.digest();
    let location = Api::at(gate.door()).start_upload("big");
    let put = Api::at(gate.door()).end_of_upload(&location, &digest);
    let pushing = std::thread::spawn(move || put.header("Expect:").run_sending(content));
    await_upload(data.path(), 64 << 20);
    gate.signal(Signal::Terminate);
    let answer = pushing.join().unwrap();
    assert_eq!((answer.status(), answer.exit), (201, 0), "{}", answer.stderr);
    assert_eq!(gate.wait(AT_ONCE).code(), Some(0));
    let again = Gate::before(backend.url()).start();
    let head = Api::at(again.door()).request("HEAD", &format!("/v2/big/blobs/{digest}")).run().expect(200);
    assert_eq!(head.head().one("content-length"), (1u64 << 30).to_string());
}

#[test]
fn lockgate_up_lets_a_push_end_before_its_storage_goes() {
    let dir = fresh_dir();
    let mut up = Up::in_fresh(dir.path());
    let content = Pattern::new(12, 256 << 20);
    let digest = content.digest();
    let location = Api::at(up.door()).start_upload("big");
    let put = Api::at(up.door()).end_of_upload(&location, &digest);
    let pushing =
        std::thread::spawn(move || put.args(&["--header", "Expect:", "--limit-rate", "200M"]).run_sending(content));
    await_upload(&dir.path().join("data"), 16 << 20);
    up.signal(Signal::Terminate);
    let answer = pushing.join().unwrap();
    assert_eq!((answer.status(), answer.exit), (201, 0), "{}", answer.stderr);
    assert_eq!(up.wait(AT_ONCE).code(), Some(0));
    let again = Up::again(dir.path(), up.door());
    Api::at(again.door()).request("HEAD", &format!("/v2/big/blobs/{digest}")).run().expect(200);
}

#[test]
fn a_push_that_is_killed_with_the_gate_leaves_nothing_that_looks_whole() {
    let data = fresh_dir();
    let backend = Backend::over(data.path());
    kill_within_a_push(data.path(), || Gate::before(backend.url()).start());
    let data = fresh_dir();
    kill_within_a_push(data.path(), || Gate::over(data.path()).start());
}

fn kill_within_a_push(data: &Path, start: impl Fn() -> Gate) {
    let mut gate = start();
    let content = Pattern::new(13, 512 << 20);
    let digest = content.digest();
    let location = Api::at(gate.door()).start_upload("big");
    let put = Api::at(gate.door()).end_of_upload(&location, &digest);
    let pushing = std::thread::spawn(move || put.header("Expect:").run_sending(content));
    await_upload(data, 32 << 20);
    gate.signal(Signal::Kill);
    gate.wait(AT_ONCE);
    assert_ne!(pushing.join().expect("no panic").exit, 0);
    let again = start();
    Api::at(again.door()).request("HEAD", &format!("/v2/big/blobs/{digest}")).run().expect(404);
}

#[test]
fn the_backend_stops_as_well_as_the_gate() {
    let data = fresh_dir();
    let backend = Backend::over(data.path());
    let gate = Gate::before(backend.url()).start();
    gate.curl("/v2/").run().expect(200);
    backend.stop();
}

#[test]
fn a_gate_that_cannot_listen_says_so_and_exits_with_1() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let failed = Gate::before("http://127.0.0.1:1").set("listen.https", address).refused();
    assert_eq!(failed.status.code(), Some(1), "{failed}");
    assert!(failed.stderr.contains(&address.to_string()), "{failed}");
}

#[test]
fn a_second_signal_does_not_wait_for_what_is_in_flight() {
    let upstream = Upstream::silent();
    let mut gate = Gate::before(upstream.url()).start();
    let mut pull = gate.wire();
    pull.send(format!("GET /v2/a/manifests/x HTTP/1.1\r\nHost: r\r\n{ALICE}\r\n"));
    upstream.await_received("the pull", |_| true);
    gate.signal(Signal::Interrupt);
    let address = gate.door().address;
    eventually(AT_ONCE, "the end of listening", || TcpStream::connect(address).is_err().then_some(()));
    assert!(gate.is_running());
    gate.signal(Signal::Terminate);
    assert_eq!(gate.wait(AT_ONCE).code(), Some(0));
}
