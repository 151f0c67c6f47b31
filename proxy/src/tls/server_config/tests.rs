//! Versions, suites and certificates as clients of every kind get them.

use std::fs;

use rustls::server::NoServerSessionStorage;
use rustls::{
    CipherSuite, ClientConfig, ClientConnection, HandshakeKind, NamedGroup, ProtocolVersion, ServerConnection,
};
use rustls_pki_types::ServerName;

use super::*;
use crate::tls::samples::{Samples, pem, without_extensions};
use crate::tls::{AnyCertificate, KeyPairFiles};

/// A gate with the certificates of `pairs`, and a CA that its clients trust.
struct Gate {
    store: Arc<CertificateStore>,
    config: Arc<ServerConfig>,
    samples: Samples,
}

impl Gate {
    fn new(samples: Samples, pairs: &[KeyPairFiles], http2: bool) -> Self {
        let store = Arc::new(CertificateStore::load(pairs).unwrap());
        Self { config: server_config(Arc::clone(&store), TlsVersions::Both, http2).unwrap(), store, samples }
    }

    fn ordinary() -> Self {
        let samples = Samples::new();
        let pair = samples.pair("a", &["a.example"]);
        Self::new(samples, &[pair], false)
    }

    fn client(&self, versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
        self.client_with(aws_lc_rs::default_provider(), versions)
    }

    fn client_with(&self, provider: CryptoProvider, versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
        ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(self.samples.roots())
            .with_no_client_auth()
    }

    fn connect(&self, client: ClientConfig, name: &str) -> Result<ClientConnection, Error> {
        self.connect_again(&Arc::new(client), name)
    }

    /// A handshake in memory, until both sides have nothing left to say; the tickets are part of that.
    fn connect_again(&self, client: &Arc<ClientConfig>, name: &str) -> Result<ClientConnection, Error> {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let mut client = ClientConnection::new(Arc::clone(client), name)?;
        let mut server = ServerConnection::new(Arc::clone(&self.config))?;
        while client.wants_write() || server.wants_write() {
            let mut wire = Vec::new();
            client.write_tls(&mut wire).unwrap();
            server.read_tls(&mut wire.as_slice()).unwrap();
            let refused = server.process_new_packets();
            wire.clear();
            server.write_tls(&mut wire).unwrap();
            client.read_tls(&mut wire.as_slice()).unwrap();
            client.process_new_packets()?;
            refused?;
        }
        assert!(!client.is_handshaking() && !server.is_handshaking());
        assert_eq!(client.alpn_protocol(), server.alpn_protocol());
        Ok(client)
    }
}

fn leaf(connection: &ClientConnection) -> Vec<u8> {
    connection.peer_certificates().unwrap()[0].to_vec()
}

const VERSIONS: [(&SupportedProtocolVersion, ProtocolVersion); 2] =
    [(&TLS12, ProtocolVersion::TLSv1_2), (&TLS13, ProtocolVersion::TLSv1_3)];

#[test]
fn tls_1_2_and_1_3_are_spoken_and_the_newer_one_is_preferred() {
    let gate = Gate::ordinary();
    for (offered, version) in VERSIONS {
        let connection = gate.connect(gate.client(&[offered]), "a.example").unwrap();
        assert_eq!(connection.protocol_version(), Some(version));
    }
    let connection = gate.connect(gate.client(&[&TLS12, &TLS13]), "a.example").unwrap();
    assert_eq!(connection.protocol_version(), Some(ProtocolVersion::TLSv1_3));
}

#[test]
fn the_key_exchange_is_post_quantum_where_the_client_offers_it() {
    let gate = Gate::ordinary();
    let group_of = |groups: &[&'static dyn SupportedKxGroup]| {
        let provider = CryptoProvider { kx_groups: groups.to_vec(), ..aws_lc_rs::default_provider() };
        let client = gate.client_with(provider, &[&TLS12, &TLS13]);
        gate.connect(client, "a.example").unwrap().negotiated_key_exchange_group().unwrap().name()
    };
    assert_eq!(group_of(&[kx_group::X25519MLKEM768, kx_group::X25519]), NamedGroup::X25519MLKEM768);
    assert_eq!(group_of(&[kx_group::X25519]), NamedGroup::X25519);
    assert_eq!(group_of(&[kx_group::SECP256R1]), NamedGroup::secp256r1);
}

/// <https://ssl-config.mozilla.org/guidelines/5.7.json>, "intermediate": `ciphersuites`, then
/// `ciphers.iana` without its last three, which are DHE-RSA.
#[test]
fn the_cipher_suites_are_those_of_mozilla_s_intermediate_list() {
    let gate = Gate::ordinary();
    let suites: Vec<_> = gate.config.crypto_provider().cipher_suites.iter().map(|suite| suite.suite()).collect();
    assert_eq!(
        suites,
        [
            CipherSuite::TLS13_AES_128_GCM_SHA256,
            CipherSuite::TLS13_AES_256_GCM_SHA384,
            CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
            CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
            CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
            CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
            CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
            CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
            CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        ]
    );
}

/// Its `tls_curves`, behind the hybrid.
#[test]
fn the_groups_are_those_of_mozilla_s_intermediate_list_behind_x25519mlkem768() {
    let gate = Gate::ordinary();
    let groups: Vec<_> = gate.config.crypto_provider().kx_groups.iter().map(|group| group.name()).collect();
    assert_eq!(groups, [NamedGroup::X25519MLKEM768, NamedGroup::X25519, NamedGroup::secp256r1, NamedGroup::secp384r1]);
}

/// Its `server_preferred_order` is false.
#[test]
fn of_the_cipher_suites_a_client_has_the_list_s_first_is_taken() {
    let gate = Gate::ordinary();
    for (version, first, second) in
        [(&TLS12, CIPHER_SUITES[3], CIPHER_SUITES[7]), (&TLS13, CIPHER_SUITES[0], CIPHER_SUITES[2])]
    {
        for of_client in [[*first, *second], [*second, *first]] {
            let provider = CryptoProvider { cipher_suites: of_client.to_vec(), ..aws_lc_rs::default_provider() };
            let connection = gate.connect(gate.client_with(provider, &[version]), "a.example").unwrap();
            assert_eq!(connection.negotiated_cipher_suite(), Some(*first));
        }
    }
}

#[test]
fn a_gate_of_one_version_refuses_a_client_of_the_other() {
    let mut gate = Gate::ordinary();
    for (spoken, version, other) in [(TlsVersions::Only12, &TLS12, &TLS13), (TlsVersions::Only13, &TLS13, &TLS12)] {
        gate.config = server_config(Arc::clone(&gate.store), spoken, false).unwrap();
        let connection = gate.connect(gate.client(&[&TLS12, &TLS13]), "a.example").unwrap();
        assert_eq!(connection.protocol_version(), Some(version.version));
        gate.connect(gate.client(&[other]), "a.example").unwrap_err();
    }
}

#[test]
fn the_client_gets_the_certificate_of_the_host_it_names() {
    let samples = Samples::new();
    let pairs = [samples.pair("a", &["a.example", "127.0.0.1"]), samples.pair("b", &["*.b.example"])];
    let gate = Gate::new(samples, &pairs, false);
    // A client that connects to an address sends no name, and gets the first.
    for (name, pair) in [("a.example", 0), ("x.b.example", 1), ("127.0.0.1", 0)] {
        let connection = gate.connect(gate.client(&[&TLS13]), name).unwrap();
        assert_eq!(leaf(&connection), gate.samples.der(&pairs[pair]), "{name}");
    }
    assert!(gate.connect(gate.client(&[&TLS13]), "c.example").is_err());
}

#[test]
fn http_1_1_is_agreed_on_even_with_a_client_that_prefers_h2() {
    let gate = Gate::ordinary();
    let mut client = gate.client(&[&TLS13]);
    client.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    assert_eq!(gate.connect(client, "a.example").unwrap().alpn_protocol(), Some(&b"http/1.1"[..]));
}

#[test]
fn h2_is_agreed_on_where_it_is_switched_on_and_http_1_1_still_works() {
    let samples = Samples::new();
    let pair = samples.pair("a", &["a.example"]);
    let gate = Gate::new(samples, &[pair], true);
    for (offered, agreed) in [(&["http/1.1", "h2"][..], "h2"), (&["http/1.1"], "http/1.1")] {
        let mut client = gate.client(&[&TLS13]);
        client.alpn_protocols = offered.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        assert_eq!(gate.connect(client, "a.example").unwrap().alpn_protocol(), Some(agreed.as_bytes()));
    }
}

#[test]
fn a_client_without_alpn_is_served_as_docker_is() {
    for http2 in [false, true] {
        let samples = Samples::new();
        let pair = samples.pair("a", &["a.example"]);
        let gate = Gate::new(samples, &[pair], http2);
        assert_eq!(gate.connect(gate.client(&[&TLS12, &TLS13]), "a.example").unwrap().alpn_protocol(), None);
    }
}

/// By tickets: this process remembers no session.
#[test]
fn a_second_connection_resumes_the_session_in_both_versions() {
    let mut gate = Gate::ordinary();
    let mut config = ServerConfig::clone(&gate.config);
    config.session_storage = Arc::new(NoServerSessionStorage {});
    gate.config = Arc::new(config);
    for (version, _) in VERSIONS {
        let client = Arc::new(gate.client(&[version]));
        let kinds = [(); 3].map(|()| gate.connect_again(&client, "a.example").unwrap().handshake_kind().unwrap());
        assert_eq!(kinds, [HandshakeKind::Full, HandshakeKind::Resumed, HandshakeKind::Resumed]);
    }
}

/// rustls makes a new key at half of this, and forgets the old one at the whole. Its clock is the
/// system's, which a test cannot turn: that it does so is for its own tests to show.
#[test]
fn a_ticket_lives_twelve_hours_at_most() {
    let gate = Gate::ordinary();
    assert!(gate.config.ticketer.enabled());
    assert_eq!(gate.config.ticketer.lifetime(), 12 * 60 * 60);
}

#[test]
fn a_ticket_of_another_process_is_not_taken() {
    let mut gate = Gate::ordinary();
    for (version, _) in VERSIONS {
        let client = Arc::new(gate.client(&[version]));
        gate.connect_again(&client, "a.example").unwrap();
        gate.config = server_config(Arc::clone(&gate.store), TlsVersions::Both, false).unwrap();
        let kinds = [(); 2].map(|()| gate.connect_again(&client, "a.example").unwrap().handshake_kind().unwrap());
        assert_eq!(kinds, [HandshakeKind::Full, HandshakeKind::Resumed]);
    }
}

#[test]
fn no_early_data_is_taken() {
    let gate = Gate::ordinary();
    assert_eq!(gate.config.max_early_data_size, 0);
    let mut client = gate.client(&[&TLS13]);
    client.enable_early_data = true;
    let client = Arc::new(client);
    gate.connect_again(&client, "a.example").unwrap();
    let name = ServerName::try_from("a.example").unwrap();
    assert!(ClientConnection::new(client, name).unwrap().early_data().is_none());
}

#[test]
fn a_certificate_replaced_on_disk_is_served_after_a_reload_and_a_bad_one_is_not() {
    let gate = Gate::ordinary();
    let first = leaf(&gate.connect(gate.client(&[&TLS13]), "a.example").unwrap());

    let renewed = gate.samples.pair("a", &["a.example"]);
    assert!(gate.store.reload().unwrap());
    let second = leaf(&gate.connect(gate.client(&[&TLS13]), "a.example").unwrap());
    assert_eq!(second, gate.samples.der(&renewed));
    assert_ne!(second, first);

    fs::write(&renewed.certificate, "half a certificate").unwrap();
    gate.store.reload().unwrap_err();
    assert_eq!(leaf(&gate.connect(gate.client(&[&TLS13]), "a.example").unwrap()), second);
}

/// Clients that take a version 1 certificate with only a common name still exist; rustls is none.
#[test]
fn a_version_1_certificate_as_the_tutorials_make_it_is_served() {
    let samples = Samples::new();
    let pair = samples.pair("a", &[]);
    fs::write(&pair.certificate, pem("CERTIFICATE", &without_extensions(&samples.der(&pair)))).unwrap();
    let served = samples.der(&pair);
    let gate = Gate::new(samples, &[pair], false);
    for (version, _) in VERSIONS {
        let mut client = gate.client(&[version]);
        client.dangerous().set_certificate_verifier(Arc::new(AnyCertificate::new()));
        assert_eq!(leaf(&gate.connect(client, "a.example").unwrap()), served);
    }
}
