//! PEM files, as people leave them.

use std::path::Path;

use super::problem::CertificateProblem;
use crate::files::read_bounded;

/// The content of a file that should be PEM.
///
/// # Errors
/// It cannot be read.
pub(super) fn read_pem(file: &Path) -> Result<Vec<u8>, CertificateProblem> {
    read_bounded(file).map_err(|error| {
        let cure = match error.kind() {
            std::io::ErrorKind::NotFound => "; put it there, or make a pair with `lockgate certs DIR --name HOST`",
            std::io::ErrorKind::PermissionDenied => "; let the user that Lockgate runs as read it",
            _ => "",
        };
        CertificateProblem::new(file, format!("cannot be read: {error}{cure}"))
    })
}

/// The words for a file without the thing that it is there for.
pub(super) fn holds_no(thing: &str, content: &[u8]) -> String {
    let hint = match content {
        [] => "it is empty",
        [0x30, ..] => {
            "it is binary; convert it with `openssl x509 -inform DER`, `openssl pkey -inform DER` or `openssl pkcs12`"
        }
        _ if contains(content, b"-----BEGIN ") => "it holds something else; are certificate and key swapped?",
        _ => "it is not a PEM file",
    };
    format!("holds no {thing}: {hint}")
}

pub(super) fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}
