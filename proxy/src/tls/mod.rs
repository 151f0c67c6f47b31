//! TLS as the gate speaks it: certificates and keys that are checked before they are served, replaced
//! while running and chosen by name; versions and ciphers.

mod any_certificate;
mod chain;
mod pair;
mod pem_file;
mod problem;
#[cfg(test)]
pub(crate) mod samples;
mod server_config;
mod store;
mod versions;

pub(crate) use any_certificate::AnyCertificate;
pub(crate) use chain::{Chain, Names};
pub(crate) use pair::KeyPairFiles;
pub(crate) use pair::{Pair, read_private_key};
pub(crate) use problem::{CertificateProblem, CertificateProblems};
pub(crate) use server_config::server_config;
pub(crate) use store::CertificateStore;
pub(crate) use versions::TlsVersions;
