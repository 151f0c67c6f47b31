//! PEM files, as people leave them.

use std::path::Path;

use lockgate_settings::{UTF16, is_utf16, read_bounded};

use super::problem::CertificateProblem;

/// Some editors start a file with it.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// What else is written as PEM, by its label, and what to do about it.
const OTHERS: &[(&str, &str)] = &[
    (
        "CERTIFICATE REQUEST",
        "it is a request that a CA has yet to sign; put the certificate here that the CA answers with",
    ),
    ("PKCS7", "it is PKCS#7; convert it with `openssl pkcs7 -print_certs`"),
    ("X509 CRL", "it is a list of revoked certificates"),
    ("OPENSSH PRIVATE KEY", "it is a key for SSH; make one with `openssl ecparam -name prime256v1 -genkey -noout`"),
    ("PUBLIC KEY", "it is the public key; the private one belongs here"),
];

/// The content of a file that should be PEM, without what text editors and indented here-documents put around it.
///
/// # Errors
/// It cannot be read, or is of a kind that would be taken for something else.
pub(super) fn read_pem(file: &Path) -> Result<Vec<u8>, CertificateProblem> {
    let content = read_bounded(file).map_err(|error| {
        let cure = match error.kind() {
            std::io::ErrorKind::NotFound => "; put it there, or make a pair with `lockgate certs DIR --name HOST`",
            std::io::ErrorKind::PermissionDenied => "; let the user that Lockgate runs as read it",
            _ => "",
        };
        CertificateProblem::new(file, format!("cannot be read: {error}{cure}"))
    })?;
    if is_utf16(&content) {
        return Err(CertificateProblem::new(file, format!("cannot be read: {UTF16}")));
    }
    // Passed over, the next certificate of the file would be taken for the leaf.
    if contains(&content, b"-----BEGIN TRUSTED CERTIFICATE-----")
        || contains(&content, b"-----BEGIN X509 CERTIFICATE-----")
    {
        let convert =
            format!("convert it with `openssl x509 -in {0} -out {0}.pem`, and name that file", file.display());
        let what = format!("holds a certificate in a form that only OpenSSL reads (TRUSTED CERTIFICATE): {convert}");
        return Err(CertificateProblem::new(file, what));
    }
    let lines = content.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&content).split(|byte| *byte == b'\n');
    Ok(lines.flat_map(|line| line.trim_ascii_start().iter().copied().chain([b'\n'])).collect())
}

/// The words for a file without the thing that it is there for.
pub(super) fn holds_no(thing: &str, content: &[u8]) -> String {
    let other = OTHERS.iter().find(|(label, _)| contains(content, format!("{label}-----").as_bytes()));
    let hint = match (content.trim_ascii(), other) {
        ([], _) => "it is empty",
        ([0x30, ..], _) => {
            "it is binary; convert it with `openssl x509 -inform DER`, `openssl pkey -inform DER` or `openssl pkcs12`"
        }
        (_, Some((_, hint))) => hint,
        _ if contains(content, b"-----BEGIN ") => "it holds something else; are certificate and key swapped?",
        _ => "it is not a PEM file",
    };
    format!("holds no {thing}: {hint}")
}

pub(super) fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}
