//! Promise: whatever a client sends, nothing is forwarded that was not admitted, nobody is taken for another, and the
//! next request finds the gate as it was. The classes are those of HTTP Garden, of the CVEs of other proxies, and of
//! what hyper and h2 alone let through.

mod case;
mod credentials;
mod elsewhere;
mod framing;
mod headers;
mod paths;
mod syntax;

use lockgate_e2e::{Gate, PATIENCE, Upstream, ok};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

#[test]
fn where_a_request_ends_is_never_a_matter_of_opinion() {
    case::run(framing::CASES);
}

#[test]
fn a_header_is_read_to_the_letter() {
    case::run(syntax::CASES);
}

#[test]
fn only_the_right_credentials_let_in() {
    case::run(credentials::CASES);
}

#[test]
fn a_path_means_what_is_written() {
    case::run(paths::CASES);
}

#[test]
fn what_a_client_claims_of_itself_goes_no_further() {
    case::run(headers::CASES);
}

#[test]
fn who_may_only_pull_elsewhere_has_the_registry_asked_nothing() {
    let tables = [framing::CASES, syntax::CASES, credentials::CASES, paths::CASES, headers::CASES];
    let rows = tables.into_iter().flatten().map(|(name, text, _)| (*name, *text));
    case::run_with_rights_elsewhere(rows.chain(elsewhere::ROWS.iter().copied()));
}

#[test]
fn what_is_no_tls_gets_no_answer() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = Gate::before(upstream.url()).start();
    let mut client = TcpStream::connect(gate.door().address).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.write_all(&[0xff; 4096]).unwrap();
    let mut said = Vec::new();
    if let Err(e) = client.read_to_end(&mut said) {
        assert_eq!(e.kind(), ErrorKind::ConnectionReset, "{e}");
    }
    assert!(!String::from_utf8_lossy(&said).contains("HTTP"), "{said:?}");
    gate.curl("/v2/").run().expect(200);
}

#[test]
fn a_hundred_thousand_requests_on_one_connection_are_each_answered_and_leave_nothing_behind() {
    const BATCH: usize = 1000;
    let gate = Gate::before("http://127.0.0.1:9").start();
    let mut wire = gate.wire();
    let batch = "GET /v2/ HTTP/1.1\r\nHost: r\r\n\r\n".repeat(BATCH);
    (0..100).for_each(|_| wire.send(&batch));
    wire.send("GET /v2/ HTTP/1.1\r\nHost: r\r\nConnection: close\r\n\r\n");
    let answers = wire.closed_within(6 * PATIENCE);
    let answers = String::from_utf8_lossy(&answers);
    assert_eq!(answers.matches("HTTP/1.1 401 Unauthorized\r\n").count(), 100 * BATCH + 1);
    let status = std::fs::read_to_string(format!("/proc/{}/status", gate.process().id())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kib: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(kib < 64 * 1024, "{peak}");
}
