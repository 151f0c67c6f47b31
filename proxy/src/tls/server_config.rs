//! TLS as it is spoken with clients: 1.2 and 1.3, by rustls on aws-lc-rs.
//!
//! Versions, cipher suites and key exchange are Mozilla's "intermediate" list (Server Side TLS,
//! guideline 5.7), without finite-field DHE, which rustls does not have, and with X25519MLKEM768 before
//! it. CBC, RSA key exchange, renegotiation and compression do not exist in rustls either, so there is
//! nothing to switch off. All suites are strong, and Mozilla leaves their order to the client; scanners
//! want the server's, which is that of the list and costs nobody anything.

use std::sync::Arc;

use rustls::crypto::aws_lc_rs::{self, Ticketer, cipher_suite, kx_group};
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::version::{TLS12, TLS13};
use rustls::{Error, ServerConfig, SupportedCipherSuite, SupportedProtocolVersion};

use super::store::CertificateStore;
use super::versions::TlsVersions;

/// The hybrid of X25519 and ML-KEM comes first, so that what is recorded today stays closed to a later
/// quantum computer wherever the client takes part (Go 1.24, OpenSSL 3.5 and newer). It exists in TLS
/// 1.3 only.
const KEY_EXCHANGE: [&dyn SupportedKxGroup; 4] =
    [kx_group::X25519MLKEM768, kx_group::X25519, kx_group::SECP256R1, kx_group::SECP384R1];

/// Named one by one, so that none comes in with a newer rustls; the first that the client has is taken.
static CIPHER_SUITES: [&SupportedCipherSuite; 9] = [
    &cipher_suite::TLS13_AES_128_GCM_SHA256,
    &cipher_suite::TLS13_AES_256_GCM_SHA384,
    &cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
    &cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    &cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    &cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    &cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    &cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    &cipher_suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
];

/// The configuration of every TLS connection. Certificates come from `store`, which may be reloaded at
/// any time; `http2` offers h2 before http/1.1.
///
/// Sessions are resumed by tickets, since docker, podman and skopeo open a connection for each request.
/// Their keys exist only in this process; a new one is made every 6 hours, and the one before it is
/// still taken for as long, so that a ticket lives 12 hours at most. A resumed session goes on under the
/// certificate it began with. There is no 0-RTT: a PUT must not be replayable.
///
/// # Errors
/// The system's random numbers fail.
pub(crate) fn server_config(
    store: Arc<CertificateStore>,
    versions: TlsVersions,
    http2: bool,
) -> Result<Arc<ServerConfig>, Error> {
    let provider = CryptoProvider {
        cipher_suites: CIPHER_SUITES.iter().map(|suite| **suite).collect(),
        kx_groups: KEY_EXCHANGE.to_vec(),
        ..aws_lc_rs::default_provider()
    };
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&supported(versions))?
        .with_no_client_auth()
        .with_cert_resolver(store);
    let protocols: &[&str] = if http2 { &["h2", "http/1.1"] } else { &["http/1.1"] };
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    config.ignore_client_order = true;
    config.ticketer = Ticketer::new()?;
    config.max_early_data_size = 0;
    Ok(Arc::new(config))
}

fn supported(versions: TlsVersions) -> Vec<&'static SupportedProtocolVersion> {
    match versions {
        TlsVersions::Only12 => vec![&TLS12],
        TlsVersions::Only13 => vec![&TLS13],
        TlsVersions::Both => vec![&TLS13, &TLS12],
    }
}

#[cfg(test)]
mod tests;
