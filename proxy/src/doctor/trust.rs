//! Whom the client trusts, and what a server presented.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::limits;
use crate::tls::AnyCertificate;

/// The authorities that are trusted: the system's, or those that `SSL_CERT_FILE` names, and one more.
#[derive(Debug)]
pub(crate) struct Trust {
    roots: Arc<RootCertStore>,
    /// Whether one was named beside the system's.
    has_own: bool,
}

impl Trust {
    /// Reads them.
    ///
    /// # Errors
    /// `ca` cannot be read, or holds no certificate.
    pub(crate) fn load(ca: Option<&Path>) -> io::Result<Self> {
        let mut roots = RootCertStore::empty();
        // A machine without any has no authority to trust; the chain's line tells of it.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if let Some(file) = ca {
            let about = |why: String| io::Error::other(format!("{}: {why}", file.display()));
            let own = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
            let own = own.map_err(|error| about(error.to_string()))?;
            if roots.add_parsable_certificates(own).0 == 0 {
                return Err(about("there is no certificate in it (PEM) that could be an authority's".to_owned()));
            }
        }
        Ok(Self { roots: Arc::new(roots), has_own: ca.is_some() })
    }

    /// The authorities.
    pub(super) fn roots(&self) -> &RootCertStore {
        &self.roots
    }

    /// Whether the person named an authority, who then ought to have issued the certificate.
    pub(super) fn has_own(&self) -> bool {
        self.has_own
    }

    /// A client that verifies, as all that send a password do.
    pub(super) fn strict(&self) -> Result<Arc<ClientConfig>, Error> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        // Without a root the builder refuses; then nothing is trusted, and `lenient` alone is used.
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::clone(&self.roots), provider)
            .build()
            .map_err(|error| Error::General(error.to_string()))?;
        config(verifier)
    }
}

/// A client that takes any certificate, and remembers what was presented. It says nothing secret.
pub(super) fn lenient() -> Result<(Arc<ClientConfig>, Arc<Presented>), Error> {
    let presented = Arc::new(Presented { any: AnyCertificate::new(), chain: Mutex::default() });
    Ok((config(Arc::clone(&presented) as Arc<dyn ServerCertVerifier>)?, presented))
}

fn config(verifier: Arc<dyn ServerCertVerifier>) -> Result<Arc<ClientConfig>, Error> {
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// What the last handshake showed.
#[derive(Debug)]
pub(super) struct Presented {
    any: AnyCertificate,
    chain: Mutex<Vec<CertificateDer<'static>>>,
}

impl Presented {
    /// The certificates, the server's own first.
    pub(super) fn chain(&self) -> Vec<CertificateDer<'static>> {
        self.chain.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ServerCertVerifier for Presented {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let all = [leaf].into_iter().chain(others).take(limits::CERTIFICATES);
        let all = all.map(|certificate| certificate.clone().into_owned()).collect();
        *self.chain.lock().unwrap_or_else(PoisonError::into_inner) = all;
        self.any.verify_server_cert(leaf, others, name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.any.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.any.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.any.supported_verify_schemes()
    }
}
