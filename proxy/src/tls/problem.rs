//! Problems of certificates and keys, in words that say what to do.

use std::fmt;
use std::path::{Path, PathBuf};

/// Something about a certificate or key, with its file and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} {what}", file.display())]
pub(crate) struct CertificateProblem {
    file: PathBuf,
    what: String,
}

impl CertificateProblem {
    pub(crate) fn new(file: &Path, what: impl Into<String>) -> Self {
        Self { file: file.to_owned(), what: what.into() }
    }

    /// A private key that parses as PEM and is no key, or one of a kind that clients do not know.
    pub(crate) fn unusable_key(file: &Path) -> Self {
        let what = "holds a key that TLS cannot use: it has to be RSA of 2048 to 8192 bits, ECDSA on P-256, P-384 or \
                    P-521, or Ed25519";
        Self::new(file, what)
    }
}

/// Every reason for which pairs were refused. Its text is one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CertificateProblems(Vec<CertificateProblem>);

impl CertificateProblems {
    /// One after the other, in the order of the pairs; at least one.
    pub(crate) fn iter(&self) -> std::slice::Iter<'_, CertificateProblem> {
        self.0.iter()
    }
}

impl fmt::Display for CertificateProblems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("; "))
    }
}

impl std::error::Error for CertificateProblems {}

impl From<Vec<CertificateProblem>> for CertificateProblems {
    fn from(problems: Vec<CertificateProblem>) -> Self {
        Self(problems)
    }
}
