//! `[tls]`: the certificates, a change of whose files is noticed and used without a restart; and how
//! they are spoken with.

use serde::Deserialize;

use crate::config::Hsts;
use crate::config::values::FilePath;
use crate::tls::TlsVersions;

/// The section.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Tls {
    /// PEM: the certificate, then the intermediates if there are any.
    pub(in crate::config) certificate: FilePath,
    /// PEM: the private key of the certificate, not encrypted.
    pub(in crate::config) key: FilePath,
    /// More pairs. A client gets the one with the name that it asked for (SNI), else the pair above.
    pub(in crate::config) additional: Vec<Pair>,
    /// The versions of TLS that a client may use, of "1.2" and "1.3".
    pub(in crate::config) versions: TlsVersions,
    /// For how long browsers that were here speak only https with this host name, on all of its ports
    /// (`Strict-Transport-Security`, RFC 6797); 0s tells them nothing.
    #[serde(deserialize_with = "lockgate_settings::parsed")]
    pub(in crate::config) hsts: Hsts,
}

/// An element of `tls.additional`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Pair {
    /// As `tls.certificate`.
    pub(in crate::config) certificate: FilePath,
    /// As `tls.key`.
    pub(in crate::config) key: FilePath,
}

impl Default for Tls {
    fn default() -> Self {
        Self {
            certificate: "certs/domain.crt".parse().expect("it is a path"),
            key: "certs/domain.key".parse().expect("it is a path"),
            additional: Vec::new(),
            versions: TlsVersions::default(),
            hsts: Hsts::default(),
        }
    }
}
