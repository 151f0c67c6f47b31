//! Promise: a new process goes on where the old one was, under load, and no client notices.

use lockgate_e2e::{
    Backend, Gate, GateBuilder, Load, LongUpload, PATIENCE, Process, Signal, StrictClient, Upstream, eventually,
    fresh_dir, ok,
};
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

const ALICE: &str = "Authorization: Basic YWxpY2U6Y29ycmVjdC1ob3JzZQ==\r\n";
const RESTARTS: usize = 20;

fn get() -> String {
    format!("GET /v2/ HTTP/1.1\r\nHost: r\r\n{ALICE}\r\n")
}

/// Twenty restarts in a row under load, each by `restart`, with an upload through the first process that spans them all.
fn restart_again_and_again(
    configured: impl Fn(GateBuilder) -> GateBuilder,
    restart: impl Fn(&mut Gate, bool) -> Process,
) {
    let data = fresh_dir();
    let backend = Backend::over(data.path());
    let gate = Gate::before(backend.url()).set("shutdown.grace", "10m");
    // More than the default: a machine that is busy with other tests can leave a client aside for seconds.
    let mut gate = configured(gate.set("shutdown.idle_timeout", "15s")).start();
    let load = Load::on(gate.door());
    let mut upload = LongUpload::begin(gate.door(), "long", 1);
    upload.go_on();
    let mut former = Vec::new();
    for number in 0..RESTARTS {
        load.await_answers();
        former.push(restart(&mut gate, number == 0));
        upload.go_on();
    }
    load.await_answers();
    assert!(former[0].is_running(), "the upload goes through the first process");
    assert!(upload.end().is_last());
    load.end();
    for (number, mut process) in former.into_iter().enumerate() {
        assert!(process.wait(PATIENCE).success(), "process {number} should end well");
    }
}

fn socket_in(gate: &GateBuilder) -> PathBuf {
    gate.dir().join("handover.sock")
}

fn with_handover(gate: GateBuilder) -> GateBuilder {
    let socket = socket_in(&gate);
    gate.set("listen.handover", socket.display())
}

#[test]
fn twenty_hand_overs_under_load_lose_nothing() {
    restart_again_and_again(with_handover, |gate, _| {
        let another = gate.another();
        gate.go_on_with(another)
    });
}

#[test]
fn twenty_restarts_with_a_socket_from_systemd_lose_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let given = |gate: GateBuilder| gate.given(listener.try_clone().unwrap());
    restart_again_and_again(given, |gate, holds_the_upload| {
        gate.signal(Signal::Terminate);
        // As systemd does it, but that nobody else waits for the upload's end.
        if !holds_the_upload {
            assert!(gate.wait(PATIENCE).success());
        }
        let another = gate.another();
        gate.go_on_with(another)
    });
}

#[test]
fn an_idle_connection_is_answered_after_a_hand_over_and_told_that_it_ends() {
    let upstream = Upstream::answering(ok("{}"));
    let mut gate = with_handover(Gate::before(upstream.url())).start();
    let mut kept = StrictClient::at(gate.door()).connect().unwrap();
    assert!(!kept.exchange(&get()).unwrap().is_last());
    let mut fresh = StrictClient::at(gate.door()).connect().unwrap();
    let another = gate.another();
    let mut former = gate.go_on_with(another);
    for connection in [&mut kept, &mut fresh] {
        let answer = connection.exchange(&get()).unwrap();
        assert_eq!((answer.head.status(), answer.is_last()), (200, true));
    }
    assert!(former.wait(PATIENCE).success());
    gate.curl("/v2/").run().expect(200);
}

/// It listens no more just before it tells its connections; that it stops it says before.
fn await_the_stop(gate: &Gate) {
    gate.log().await_line(PATIENCE, "the word that it stops", |line| line.contains("stopping"));
    eventually(PATIENCE, "the end of listening", || {
        std::net::TcpStream::connect(gate.door().address).is_err().then_some(())
    });
}

#[test]
fn a_request_that_is_on_its_way_when_the_gate_is_stopped_is_answered() {
    let upstream = Upstream::answering(ok("{}"));
    let mut gate = Gate::before(upstream.url()).set("shutdown.idle_timeout", "30s").start();
    let door = StrictClient::at(gate.door());
    let mut kept = door.connect().unwrap();
    assert!(!kept.exchange(&get()).unwrap().is_last());
    gate.signal(Signal::Terminate);
    await_the_stop(&gate);
    let answer = kept.exchange(&get()).unwrap();
    assert_eq!((answer.head.status(), answer.is_last()), (200, true));
    assert!(gate.wait(PATIENCE).success());
}

#[test]
fn an_answer_that_is_begun_after_the_stop_says_that_it_is_the_last() {
    let (answer, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let upstream = Upstream::scripted(move |connection| {
        connection.request()?;
        let _ = wait.lock().unwrap().recv();
        connection.send(&ok("{}"))
    });
    let mut gate = Gate::before(upstream.url()).start();
    let mut connection = StrictClient::at(gate.door()).connect().unwrap();
    connection.send(get()).unwrap();
    upstream.await_received("the request", |_| true);
    gate.signal(Signal::Terminate);
    await_the_stop(&gate);
    answer.send(()).unwrap();
    assert!(connection.response().unwrap().is_last());
    assert!(gate.wait(PATIENCE).success());
}

#[test]
fn a_new_process_that_cannot_start_does_not_disturb_the_old_one() {
    let upstream = Upstream::answering(ok("{}"));
    let mut gate = with_handover(Gate::before(upstream.url())).start();
    let users = fs::read(&gate.htpasswd).unwrap();
    fs::write(&gate.htpasswd, "alice:nonsense\n").unwrap();
    let mut another = gate.another();
    assert_eq!(another.wait(PATIENCE).code(), Some(64));
    fs::write(&gate.htpasswd, users).unwrap();
    assert!(gate.is_running());
    assert!(!gate.log().text().contains("hand-over"), "it was not even asked");
    gate.curl("/v2/").run().expect(200);
}

#[test]
fn a_new_process_that_dies_before_it_is_ready_changes_nothing() {
    let upstream = Upstream::answering(ok("{}"));
    let builder = with_handover(Gate::before(upstream.url()));
    let socket = socket_in(&builder);
    let mut gate = builder.start();
    // It asks, and is gone.
    drop(UnixStream::connect(&socket).unwrap());
    gate.log().await_line(PATIENCE, "the word that it serves on", |line| line.contains("serving on"));
    gate.curl("/v2/").run().expect(200);
    let another = gate.another();
    let mut former = gate.go_on_with(another);
    assert!(former.wait(PATIENCE).success());
    gate.curl("/v2/").run().expect(200);
}

#[test]
fn newcomers_at_once_come_one_after_the_other() {
    let upstream = Upstream::answering(ok("{}"));
    let mut gate = with_handover(Gate::before(upstream.url())).start();
    let newcomers = [gate.another(), gate.another(), gate.another()];
    for newcomer in &newcomers {
        newcomer.stderr().await_line(PATIENCE, "that it listens", |line| line.contains("listening"));
    }
    assert!(gate.wait(PATIENCE).success());
    let mut newcomers = Vec::from(newcomers);
    let serving = eventually(PATIENCE, "one that is left", || {
        newcomers.retain_mut(Process::is_running);
        (newcomers.len() == 1).then(|| newcomers.pop()).flatten()
    });
    gate.go_on_with(serving);
    gate.curl("/v2/").run().expect(200);
}

#[test]
fn the_socket_is_its_users_alone_and_goes_with_the_last_process() {
    let upstream = Upstream::answering(ok("{}"));
    let builder = with_handover(Gate::before(upstream.url()));
    let socket = socket_in(&builder);
    let mut gate = builder.start();
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    let another = gate.another();
    let mut former = gate.go_on_with(another);
    assert!(former.wait(PATIENCE).success());
    assert!(socket.exists(), "the next one still waits there");
    gate.signal(Signal::Terminate);
    assert!(gate.wait(PATIENCE).success());
    assert!(!socket.exists());
}

#[test]
fn what_a_killed_process_left_behind_is_replaced() {
    let upstream = Upstream::answering(ok("{}"));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut gate = with_handover(Gate::before(upstream.url())).given(listener).start();
    gate.signal(Signal::Kill);
    gate.wait(PATIENCE);
    let another = gate.another();
    gate.go_on_with(another);
    gate.curl("/v2/").run().expect(200);
    let another = gate.another();
    assert!(gate.go_on_with(another).wait(PATIENCE).success(), "the next one finds it");
    gate.curl("/v2/").run().expect(200);
}

#[test]
fn a_file_that_is_no_socket_is_left_alone() {
    let upstream = Upstream::answering(ok("{}"));
    let dir = fresh_dir();
    let socket = dir.path().join("precious");
    fs::write(&socket, "precious").unwrap();
    let failed = Gate::before(upstream.url()).set("listen.handover", socket.display()).refused();
    assert!(failed.stderr.contains("listen.handover = "), "{failed}");
    assert_eq!(fs::read(&socket).unwrap(), b"precious");
}
