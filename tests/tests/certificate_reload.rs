//! Promise: a certificate that changes on disk is served to the next handshake within 2 s; a bad one never is.

use lockgate_e2e::{Authority, Gate, Pair, Upstream, eventually, finish_with_input, fresh_dir, ok, rename_over, tool};
use std::fs;
use std::time::Duration;

/// The promise is 2 s; the rest is the look of a client at a machine that is busy with other tests.
const PROMISED: Duration = Duration::from_millis(3500);

/// The serial number of the certificate that a new handshake shows.
fn served(gate: &Gate) -> String {
    let mut openssl = tool("openssl");
    openssl.args(["s_client", "-connect", &gate.door().address.to_string()]);
    let shown = finish_with_input(&mut openssl, b"").stdout;
    serial(shown.as_bytes())
}

fn serial(pem: &[u8]) -> String {
    finish_with_input(tool("openssl").args(["x509", "-noout", "-serial"]), pem).success().stdout
}

fn serial_of(pair: &Pair) -> String {
    serial(&fs::read(&pair.certificate).expect("it was made"))
}

#[track_caller]
fn await_served(gate: &Gate, expected: &str) {
    eventually(PROMISED, "the new certificate", || (served(gate) == expected).then_some(()));
}

/// A gate, and another pair for the same names by the same authority.
fn gate_and_renewal(upstream: &Upstream) -> (Gate, Pair) {
    let gate = Gate::before(upstream.url()).start();
    let renewed = gate.authority.issue("renewed", &["localhost", "127.0.0.1"]);
    assert_eq!(served(&gate), serial_of(&gate.pair));
    (gate, renewed)
}

#[test]
fn files_renamed_over_the_old_ones_are_served() {
    let upstream = Upstream::answering(ok("{}"));
    let (gate, renewed) = gate_and_renewal(&upstream);
    rename_over(&gate.pair.key, fs::read(&renewed.key).unwrap());
    rename_over(&gate.pair.certificate, fs::read(&renewed.certificate).unwrap());
    await_served(&gate, &serial_of(&renewed));
    gate.curl("/v2/").run().expect(200);
}

#[test]
fn files_written_in_place_are_served() {
    let upstream = Upstream::answering(ok("{}"));
    let (gate, renewed) = gate_and_renewal(&upstream);
    fs::write(&gate.pair.certificate, fs::read(&renewed.certificate).unwrap()).unwrap();
    fs::write(&gate.pair.key, fs::read(&renewed.key).unwrap()).unwrap();
    await_served(&gate, &serial_of(&renewed));
}

#[test]
fn a_certificate_renewed_with_the_same_key_is_served() {
    let upstream = Upstream::answering(ok("{}"));
    let (gate, renewed) = gate_and_renewal(&upstream);
    drop(renewed);
    let before = serial_of(&gate.pair);
    let csr = gate.dir().join("domain.csr");
    let mut openssl = tool("openssl");
    openssl.args(["x509", "-req", "-days", "30", "-CA", "devdockerCA.crt", "-CAkey", "devdockerCA.key", "-extfile"]);
    openssl.args(["domain.ext", "-CAcreateserial", "-out", "fresh.crt", "-in"]).arg(csr).current_dir(gate.dir());
    finish_with_input(&mut openssl, b"").success();
    rename_over(&gate.pair.certificate, fs::read(gate.dir().join("fresh.crt")).unwrap());
    assert_ne!(serial_of(&gate.pair), before);
    await_served(&gate, &serial_of(&gate.pair));
}

#[test]
fn a_swapped_symlink_is_followed_as_certbot_and_kubernetes_swap_it() {
    let dir = fresh_dir();
    let authority = Authority::new(dir.path());
    let pair_in = |name: &str| {
        fs::create_dir(dir.path().join(name)).unwrap();
        authority.issue_in(&dir.path().join(name), "domain", &["localhost", "127.0.0.1"])
    };
    let (first, second) = (pair_in("first"), pair_in("second"));
    let link = dir.path().join("..data");
    std::os::unix::fs::symlink("first", &link).unwrap();
    for name in ["domain.crt", "domain.key"] {
        std::os::unix::fs::symlink(format!("..data/{name}"), dir.path().join(name)).unwrap();
    }
    let upstream = Upstream::answering(ok("{}"));
    let pair = Pair { certificate: dir.path().join("domain.crt"), key: dir.path().join("domain.key") };
    let gate = Gate::before(upstream.url()).certificate(&pair).start();
    assert_eq!(served(&gate), serial_of(&first));
    std::os::unix::fs::symlink("second", dir.path().join("..fresh")).unwrap();
    fs::rename(dir.path().join("..fresh"), &link).unwrap();
    await_served(&gate, &serial_of(&second));
}

#[test]
fn a_bad_pair_is_refused_with_one_line_and_the_old_one_stays() {
    let upstream = Upstream::answering(ok("{}"));
    let (gate, renewed) = gate_and_renewal(&upstream);
    let before = serial_of(&gate.pair);
    // A certificate that does not belong to the key.
    rename_over(&gate.pair.certificate, fs::read(&renewed.certificate).unwrap());
    let complaint = |line: &str| line.contains("domain.crt") && (line.contains("WARN") || line.contains("ERROR"));
    gate.log().await_line(PROMISED, "a line about the bad pair", complaint);
    assert_eq!(served(&gate), before);
    gate.curl("/v2/").run().expect(200);
    // What makes it right again is served; until then it was said once.
    rename_over(&gate.pair.key, fs::read(&renewed.key).unwrap());
    await_served(&gate, &serial_of(&renewed));
    let log = gate.log().text();
    assert_eq!(log.lines().filter(|line| complaint(line)).count(), 1, "{log}");
}

#[test]
fn garbage_an_empty_file_and_a_missing_file_keep_the_old_certificate() {
    let upstream = Upstream::answering(ok("{}"));
    let (gate, renewed) = gate_and_renewal(&upstream);
    let before = serial_of(&gate.pair);
    let said = |count: usize| {
        eventually(PROMISED, "a line about the bad file", || {
            let log = gate.log().text();
            (log.lines().filter(|line| line.contains("domain.crt") && !line.contains("INFO")).count() >= count)
                .then_some(())
        });
    };
    fs::write(&gate.pair.certificate, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    said(1);
    assert_eq!(served(&gate), before);
    fs::write(&gate.pair.certificate, "").unwrap();
    said(2);
    assert_eq!(served(&gate), before);
    fs::remove_file(&gate.pair.certificate).unwrap();
    said(3);
    assert_eq!(served(&gate), before);
    rename_over(&gate.pair.key, fs::read(&renewed.key).unwrap());
    rename_over(&gate.pair.certificate, fs::read(&renewed.certificate).unwrap());
    await_served(&gate, &serial_of(&renewed));
}

#[test]
fn an_open_connection_is_not_disturbed_by_a_reload() {
    let upstream = Upstream::answering(ok("{}"));
    let (gate, renewed) = gate_and_renewal(&upstream);
    let mut wire = gate.wire();
    let get = "GET /v2/ HTTP/1.1\r\nHost: r\r\nAuthorization: Basic YWxpY2U6Y29ycmVjdC1ob3JzZQ==\r\n\r\n";
    wire.send(get);
    assert_eq!(wire.response().head.status(), 200);
    rename_over(&gate.pair.key, fs::read(&renewed.key).unwrap());
    rename_over(&gate.pair.certificate, fs::read(&renewed.certificate).unwrap());
    await_served(&gate, &serial_of(&renewed));
    wire.send(get);
    assert_eq!(wire.response().head.status(), 200);
}

#[test]
fn a_gate_does_not_start_with_a_pair_that_cannot_be_served() {
    let upstream = Upstream::answering(ok("{}"));
    let mismatched = Gate::before(upstream.url());
    let other = mismatched.authority().issue("other", &["localhost"]);
    let key = mismatched.dir().join("domain.key");
    let failed = mismatched.certificate(&Pair { certificate: other.certificate, key }).refused();
    assert_eq!(failed.status.code(), Some(64), "{failed}");
    assert!(failed.stderr.contains("other.crt") && failed.stderr.contains("domain.key"), "{failed}");

    let expired = Gate::before(upstream.url());
    let csr = expired.dir().join("domain.csr");
    let mut openssl = tool("openssl");
    openssl.args([
        "ca",
        "-batch",
        "-notext",
        "-selfsign",
        "-startdate",
        "20200101000000Z",
        "-enddate",
        "20210101000000Z",
    ]);
    openssl.args(["-keyfile", "domain.key", "-in"]).arg(csr).args(["-out", "expired.crt", "-config", "ca.cnf"]);
    let config = "[ca]\ndefault_ca=d\n[d]\nnew_certs_dir=.\ndatabase=index\nrand_serial=yes\ndefault_md=sha256\npolicy=p\n\
        [p]\ncommonName=supplied\n";
    fs::write(expired.dir().join("ca.cnf"), config).unwrap();
    fs::write(expired.dir().join("index"), "").unwrap();
    finish_with_input(openssl.current_dir(expired.dir()), b"").success();
    let pair = Pair { certificate: expired.dir().join("expired.crt"), key: expired.dir().join("domain.key") };
    let failed = expired.certificate(&pair).refused();
    assert!(failed.stderr.contains("expired"), "{failed}");
}
