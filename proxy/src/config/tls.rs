//! `[tls]`: the certificates, a change of whose files is noticed and used without a restart; and how
//! they are spoken with.

use std::path::PathBuf;

use serde::Deserialize;

use super::Hsts;
use crate::files;
use crate::tls::{KeyPairFiles, TlsVersions};

/// The section.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// PEM: the certificate, then the intermediates if there are any.
    #[serde(deserialize_with = "files::path")]
    pub certificate: PathBuf,
    /// PEM: the private key of the certificate, not encrypted.
    #[serde(deserialize_with = "files::path")]
    pub key: PathBuf,
    /// More pairs. A client gets the one with the name that it asked for (SNI), else the pair above.
    pub additional: Vec<KeyPairFiles>,
    /// The versions of TLS that a client may use, of "1.2" and "1.3".
    pub versions: TlsVersions,
    /// For how long browsers that were here speak only https with this host name, on all of its ports
    /// (`Strict-Transport-Security`, RFC 6797); 0s tells them nothing.
    #[serde(deserialize_with = "lockgate_settings::parsed")]
    pub hsts: Hsts,
}

impl Tls {
    /// All pairs, the one for clients that ask for no name of another first.
    pub fn pairs(&self) -> Vec<KeyPairFiles> {
        let first = KeyPairFiles { certificate: self.certificate.clone(), key: self.key.clone() };
        std::iter::once(first).chain(self.additional.iter().cloned()).collect()
    }
}

impl Default for Tls {
    fn default() -> Self {
        Self {
            certificate: "certs/domain.crt".into(),
            key: "certs/domain.key".into(),
            additional: Vec::new(),
            versions: TlsVersions::default(),
            hsts: Hsts::default(),
        }
    }
}
