//! The sample of hostile requests that comes with the project's own machines, replayed by its own program.

use super::case::users;
use lockgate_e2e::{Gate, finish, tool};
use std::net::TcpListener;
use std::path::Path;

const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/raw-http/replay.py");

/// Sends every case in one way (`once`, `crlf` or `bytes`).
fn replay(way: &str) {
    if !Path::new(PROGRAM).exists() {
        // The tables of this promise hold the same classes, and are sent everywhere.
        return eprintln!("skipped: shared/raw-http is not beside this repository");
    }
    // The program listens there itself, and takes no port 0.
    let free = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a free port");
    let gate = Gate::before(format!("http://{free}")).htpasswd(users()).start();
    let mut python = tool("python3");
    python.arg(PROGRAM).args(["--send", way, "--port", &gate.door().address.port().to_string()]);
    let done = finish(python.args(["--upstream-port", &free.port().to_string()])).success();
    assert!(done.stdout.contains(" inside the table"), "{}", done.stdout);
}

#[test]
fn every_case_is_inside_its_table_sent_at_once() {
    replay("once");
}

#[test]
fn every_case_is_inside_its_table_sent_line_by_line() {
    replay("crlf");
}

#[test]
fn every_case_is_inside_its_table_sent_byte_by_byte() {
    replay("bytes");
}
