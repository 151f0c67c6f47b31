//! `[tls]`: the certificates, a change of whose files is noticed and used without a restart; and how
//! they are spoken with.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use smart_default::SmartDefault;

use super::Hsts;
use crate::tls::{KeyPairFiles, TlsVersions};

/// `[tls]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema, SmartDefault)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// The certificate in PEM, followed by the intermediates if there are any. A renewed file is noticed and used
    /// without a restart; one that is not usable is reported, and the old one stays.
    #[serde(with = "lockgate_settings::path")]
    #[schemars(schema_with = "lockgate_settings::path::schema")]
    #[default("certs/domain.crt".into())]
    pub certificate: PathBuf,
    /// Its private key in PEM, without a passphrase.
    #[serde(with = "lockgate_settings::path")]
    #[schemars(schema_with = "lockgate_settings::path::schema")]
    #[default("certs/domain.key".into())]
    pub key: PathBuf,
    /// More pairs, for more names: a client gets the one with the name that it asked for, else the pair above.
    ///
    /// `additional = [{ certificate = "certs/other.crt", key = "certs/other.key" }]`
    pub additional: Vec<KeyPairFiles>,
    /// The versions of TLS that a client may use: "1.2", "1.3" or both. A client that knows 1.3 gets it.
    pub versions: TlsVersions,
    /// Browsers that were here speak only https with this host name for so long, on every port of it, also those of
    /// other servers (Strict-Transport-Security). "0s": they are told nothing. They are told nothing of localhost
    /// either, and keep nothing of an IP address.
    pub hsts: Hsts,
}

impl Tls {
    /// All pairs, the one for clients that ask for no name of another first.
    pub fn pairs(&self) -> Vec<KeyPairFiles> {
        let first = KeyPairFiles { certificate: self.certificate.clone(), key: self.key.clone() };
        std::iter::once(first).chain(self.additional.iter().cloned()).collect()
    }
}
