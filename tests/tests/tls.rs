//! Promise: TLS 1.2 and 1.3 with the certificate people have, the one that fits the name, and trust that is real.

use lockgate_e2e::{Authority, Gate, ImageLayout, Skopeo, Upstream, finish, finish_with_input, fresh_dir, ok, tool};
use std::path::Path;

/// What `openssl s_client` reports of a handshake with these options.
fn handshake(gate: &Gate, options: &[&str]) -> String {
    let mut openssl = tool("openssl");
    openssl.args(["s_client", "-connect", &gate.door().address.to_string(), "-CAfile"]).arg(&gate.door().ca);
    finish_with_input(openssl.args(options), b"").output()
}

#[test]
fn tls_1_2_and_1_3_are_spoken_and_nothing_older() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = Gate::before(upstream.url()).start();
    gate.curl("/v2/").args(&["--tls-max", "1.2"]).run().expect(200);
    gate.curl("/v2/").args(&["--tlsv1.3"]).run().expect(200);
    assert!(handshake(&gate, &["-tls1_2"]).contains("Protocol  : TLSv1.2"));
    assert!(handshake(&gate, &[]).contains("New, TLSv1.3"));
    for old in ["-tls1", "-tls1_1"] {
        let report = handshake(&gate, &[old, "-cipher", "ALL:@SECLEVEL=0"]);
        assert!(report.contains("Cipher is (NONE)"), "{old}: {report}");
        // And it was the server that said no: it answered with an alert.
        assert!(report.contains("alert"), "{old}: {report}");
    }
}

#[test]
fn http_1_1_is_chosen_where_clients_offer_a_choice() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = Gate::before(upstream.url()).start();
    assert!(handshake(&gate, &["-alpn", "h2,http/1.1"]).contains("ALPN protocol: http/1.1"));
    assert!(handshake(&gate, &["-alpn", "http/1.1"]).contains("ALPN protocol: http/1.1"));
    assert!(handshake(&gate, &[]).contains("No ALPN negotiated"), "docker offers none");
    let answer = gate.curl("/v2/").arg("--http2").run().expect(200);
    assert_eq!(answer.measured["http_version"].as_str(), Some("1.1"));
}

#[test]
fn http_2_is_spoken_where_it_is_switched_on() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = Gate::before(upstream.url()).set("listen.http2", true).start();
    assert!(handshake(&gate, &["-alpn", "h2,http/1.1"]).contains("ALPN protocol: h2"));
    let answer = gate.curl("/v2/").arg("--http2").run();
    assert_eq!((answer.measured["http_version"].as_str(), answer.exit), (Some("2"), 0), "{}", answer.stderr);
    let body = lockgate_e2e::Pattern::new(3, 900_000).bytes();
    let patch = gate.curl("/v2/a/blobs/uploads/u").method("PATCH").arg("--http2").body(&body).run();
    assert_eq!(patch.exit, 0);
    let received = upstream.received().pop().unwrap();
    assert!(received.body == body, "{} bytes arrived", received.body.len());
    gate.curl("/v2/").arg("--http1.1").run().expect(200);
}

#[test]
fn sessions_are_resumed() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = Gate::before(upstream.url()).start();
    let dir = fresh_dir();
    let session = dir.path().join("session").display().to_string();
    let request = b"GET /v2/ HTTP/1.1\r\nHost: r\r\nConnection: close\r\n\r\n";
    let connect = |options: &[&str]| {
        let mut openssl = tool("openssl");
        openssl
            .args(["s_client", "-ign_eof", "-connect", &gate.door().address.to_string(), "-CAfile"])
            .arg(&gate.door().ca);
        finish_with_input(openssl.args(options), request).output()
    };
    for version in ["-tls1_2", "-tls1_3"] {
        assert!(connect(&[version, "-sess_out", &session]).contains("New, TLSv"));
        let again = connect(&[version, "-sess_in", &session]);
        assert!(again.contains("Reused, TLSv"), "{version}: {again}");
    }
}

#[test]
fn the_certificate_that_fits_the_name_is_shown() {
    let upstream = Upstream::answering(ok("{}"));
    let builder = Gate::before(upstream.url());
    let other = builder.authority().issue("other", &["registry.example.com", "*.dev.example.com"]);
    let entry = format!("[{{ certificate = '{}', key = '{}' }}]", other.certificate.display(), other.key.display());
    let gate = builder.set("tls.additional", entry).start();
    let port = gate.door().address.port();
    let status_at = |name: &str| {
        let curl = lockgate_e2e::Curl::new(&format!("https://{name}:{port}/v2/")).trusting(&gate.door().ca);
        curl.args(&["--resolve", &format!("{name}:{port}:127.0.0.1")]).user(&gate.door().credentials()).run()
    };
    for name in ["localhost", "registry.example.com", "a.dev.example.com"] {
        status_at(name).expect(200);
    }
    gate.curl("/v2/").run().expect(200);
    // A name of neither gets the first certificate, and a client that verifies says so.
    let stranger = status_at("elsewhere.test");
    assert_eq!(stranger.exit, 60, "{}", stranger.stderr);
    assert!(handshake(&gate, &["-servername", "elsewhere.test"]).contains("CN = localhost"));
    assert!(handshake(&gate, &["-noservername"]).contains("CN = localhost"));
    assert!(handshake(&gate, &["-servername", "registry.example.com"]).contains("CN = registry.example.com"));
}

#[test]
fn a_client_that_verifies_trusts_the_right_authority_and_no_other() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = Gate::before(upstream.url()).start();
    gate.curl("/v2/").run().expect(200);
    let elsewhere = fresh_dir();
    let wrong = Authority::new(elsewhere.path());
    let curl = lockgate_e2e::Curl::new(&gate.door().url("/v2/")).trusting(&wrong.certificate).run();
    assert_eq!(curl.exit, 60, "{}", curl.stderr);
    assert!(upstream.received().len() == 1, "nothing was said to the impostor");

    let image = ImageLayout::new(elsewhere.path(), 1, 1000);
    let refused = Skopeo::at(&gate.door().trusting(&wrong.certificate)).push(&image.transport(), "a:latest").failure();
    assert!(refused.output().contains("certificate"), "{refused}");
}

/// The guides' own commands, to the letter but for the answers that openssl would ask for.
fn guides_certificate(dir: &Path) {
    let openssl = |arguments: &str| finish(tool("openssl").args(arguments.split(' ')).current_dir(dir)).success();
    openssl("genrsa -out devdockerCA.key 2048");
    openssl("req -x509 -new -nodes -key devdockerCA.key -days 10000 -out devdockerCA.crt -subj /CN=ca");
    openssl("genrsa -out domain.key 2048");
    openssl("req -new -key domain.key -out dev-docker-registry.com.csr -subj /CN=localhost");
    openssl(
        "x509 -req -in dev-docker-registry.com.csr -CA devdockerCA.crt -CAkey devdockerCA.key -CAcreateserial \
         -out domain.crt -days 10000",
    );
}

#[test]
fn the_certificate_that_the_guides_commands_make_is_served() {
    let dir = fresh_dir();
    guides_certificate(dir.path());
    let upstream = Upstream::answering(ok("{}"));
    let pair = lockgate_e2e::Pair { certificate: dir.path().join("domain.crt"), key: dir.path().join("domain.key") };
    let gate = Gate::before(upstream.url()).certificate(&pair).start();
    let url = format!("https://localhost:{}/v2/", gate.door().address.port());
    let curl = lockgate_e2e::Curl::new(&url).trusting(&dir.path().join("devdockerCA.crt"));
    curl.user(&gate.door().credentials()).run().expect(200);
    // It is of X.509 version 1, which the library of `lockgate health` refuses to look into.
    let mut health = lockgate_e2e::program("lockgate");
    health.arg("health").arg("--config").arg(gate.dir().join("lockgate.toml"));
    finish(health.env("LOCKGATE_LISTEN_HTTPS", gate.door().address.to_string())).success();
}

#[test]
fn a_self_signed_certificate_is_served() {
    let dir = fresh_dir();
    let arguments =
        "req -newkey rsa:4096 -nodes -sha256 -keyout domain.key -x509 -days 365 -out domain.crt -subj /CN=localhost";
    finish(tool("openssl").args(arguments.split(' ')).current_dir(dir.path())).success();
    let upstream = Upstream::answering(ok("{}"));
    let pair = lockgate_e2e::Pair { certificate: dir.path().join("domain.crt"), key: dir.path().join("domain.key") };
    let gate = Gate::before(upstream.url()).certificate(&pair).start();
    let url = format!("https://localhost:{}/v2/", gate.door().address.port());
    let curl = lockgate_e2e::Curl::new(&url).trusting(&pair.certificate);
    curl.user(&gate.door().credentials()).run().expect(200);
}

#[test]
fn a_chain_with_its_intermediate_is_served_whole() {
    let upstream = Upstream::answering(ok("{}"));
    let builder = Gate::before(upstream.url());
    let chain = builder.dir().join("chain.crt");
    let leaf = std::fs::read(builder.dir().join("domain.crt")).unwrap();
    let ca = std::fs::read(&builder.authority().certificate).unwrap();
    std::fs::write(&chain, [leaf, ca].concat()).unwrap();
    let pair = lockgate_e2e::Pair { certificate: chain, key: builder.dir().join("domain.key") };
    let gate = builder.certificate(&pair).start();
    assert_eq!(handshake(&gate, &["-showcerts"]).matches("BEGIN CERTIFICATE").count(), 2);
    gate.curl("/v2/").run().expect(200);
}

#[test]
fn plain_http_on_the_tls_port_gets_no_further() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = Gate::before(upstream.url()).start();
    let answer = lockgate_e2e::Curl::new(&format!("http://{}/v2/", gate.door().address)).run();
    assert!(answer.exit != 0 || answer.status() == 400, "{}", answer.text());
    assert!(upstream.received().is_empty());
}
