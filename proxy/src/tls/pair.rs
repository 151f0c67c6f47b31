//! One certificate and its key: read, checked against each other and the clock, ready to sign.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::sign::{CertifiedKey, SigningKey};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::{self, PemObject};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use x509_parser::time::ASN1Time;

use super::chain::Chain;
use super::pem_file::{contains, holds_no, read_pem};
use super::problem::CertificateProblem;

/// Where a certificate chain (PEM, the leaf first) and its private key (PEM) are.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyPairFiles {
    /// The chain: the leaf, then each issuer's certificate; the root may be left out.
    #[serde(with = "lockgate_settings::path")]
    #[schemars(schema_with = "lockgate_settings::path::schema")]
    pub certificate: PathBuf,
    /// PKCS#8, SEC1 or PKCS#1, not encrypted.
    #[serde(with = "lockgate_settings::path")]
    #[schemars(schema_with = "lockgate_settings::path::schema")]
    pub key: PathBuf,
}

/// A certificate chain and its key that may be served.
#[derive(Debug)]
pub(crate) struct Pair {
    chain: Chain,
    certified: Arc<CertifiedKey>,
}

impl Pair {
    /// Reads and checks both files.
    ///
    /// # Errors
    /// Everything that is wrong with either.
    pub(crate) fn load(files: &KeyPairFiles) -> Result<Self, Vec<CertificateProblem>> {
        let mut problems = Vec::new();
        let chain = Chain::read(&files.certificate).map_err(|problem| problems.push(problem)).ok();
        let key = read_signing_key(&files.key).map_err(|problem| problems.push(problem)).ok();
        if let Some(chain) = &chain {
            problems.extend(chain.outside_its_dates(ASN1Time::now()));
        }
        if let (Some(chain), Some(key)) = (&chain, &key) {
            problems.extend(chain.belongs_to_another_key(key.as_ref(), &files.key));
        }
        match (chain, key) {
            (Some(chain), Some(key)) if problems.is_empty() => {
                let certified = Arc::new(CertifiedKey::new(chain.certificates().to_vec(), key));
                Ok(Self { chain, certified })
            }
            _ => Err(problems),
        }
    }

    pub(crate) fn certified(&self) -> &Arc<CertifiedKey> {
        &self.certified
    }

    pub(crate) fn chain(&self) -> &Chain {
        &self.chain
    }

    /// Flaws that do not forbid serving it and will still trouble clients, today or soon.
    pub(crate) fn warnings(&self) -> Vec<CertificateProblem> {
        self.chain.warnings(ASN1Time::now())
    }
}

/// The first private key of a PEM file: PKCS#8, SEC1 or PKCS#1.
///
/// # Errors
/// The file cannot be read, or holds no key, or an encrypted one.
pub(crate) fn read_private_key(file: &Path) -> Result<PrivateKeyDer<'static>, CertificateProblem> {
    let pem = read_pem(file)?;
    let problem = |what: String| Err(CertificateProblem::new(file, what));
    if contains(&pem, b"BEGIN ENCRYPTED PRIVATE KEY") || contains(&pem, b"Proc-Type: 4,ENCRYPTED") {
        return problem(format!(
            "is encrypted, and nobody is there to type its password at a start: decrypt it with \
             `openssl pkey -in {0} -out {0}.plain`, keep that one at mode 0600, and name it instead",
            file.display()
        ));
    }
    match PrivateKeyDer::from_pem_slice(&pem) {
        Ok(key) => Ok(key),
        Err(pem::Error::NoItemsFound) => problem(holds_no("private key", &pem)),
        // The error may quote the key.
        Err(_) => problem("is damaged: copy the private key here again".to_owned()),
    }
}

fn read_signing_key(file: &Path) -> Result<Arc<dyn SigningKey>, CertificateProblem> {
    let key = read_private_key(file)?;
    let provider = aws_lc_rs::default_provider();
    provider.key_provider.load_private_key(key).map_err(|_| CertificateProblem::unusable_key(file))
}
