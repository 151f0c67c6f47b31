//! Certificates for tests: a CA, and pairs that it signed, in a directory of their own.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use tempfile::TempDir;
use time::{Duration, OffsetDateTime};

use super::pair::KeyPairFiles;

pub(crate) struct Samples {
    dir: TempDir,
    authority: CertifiedIssuer<'static, KeyPair>,
}

impl Samples {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "A test's CA");
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Self { dir: TempDir::new().unwrap(), authority }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// `STEM.crt` and `STEM.key`, made anew at each call, for DNS names and addresses; none is "only a common name".
    pub(crate) fn pair(&self, stem: &str, names: &[&str]) -> KeyPairFiles {
        let names: Vec<_> = names.iter().map(ToString::to_string).collect();
        let names = CertificateParams::new(names).unwrap().subject_alt_names;
        self.pair_of(stem, &KeyPair::generate().unwrap(), |params| params.subject_alt_names = names)
    }

    /// The same for `a.example`, with something out of the ordinary.
    pub(crate) fn pair_with(&self, stem: &str, change: impl FnOnce(&mut CertificateParams)) -> KeyPairFiles {
        self.pair_of(stem, &KeyPair::generate().unwrap(), change)
    }

    pub(crate) fn pair_of(
        &self,
        stem: &str,
        key: &KeyPair,
        change: impl FnOnce(&mut CertificateParams),
    ) -> KeyPairFiles {
        let mut params = CertificateParams::new(["a.example".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, "a.example");
        params.not_before = OffsetDateTime::now_utc() - Duration::days(10);
        params.not_after = OffsetDateTime::now_utc() + Duration::days(90);
        change(&mut params);
        let certificate = params.signed_by(key, &self.authority).unwrap();
        let files =
            KeyPairFiles { certificate: self.path(&format!("{stem}.crt")), key: self.path(&format!("{stem}.key")) };
        fs::write(&files.certificate, certificate.pem()).unwrap();
        fs::write(&files.key, key.serialize_pem()).unwrap();
        fs::set_permissions(&files.key, fs::Permissions::from_mode(0o600)).unwrap();
        files
    }

    /// The leaf of a pair as it is on disk.
    pub(crate) fn der(&self, files: &KeyPairFiles) -> Vec<u8> {
        CertificateDer::from_pem_file(&files.certificate).unwrap().to_vec()
    }

    pub(crate) fn authority_pem(&self) -> String {
        self.authority.pem()
    }

    /// The CA, for a client to trust.
    pub(crate) fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.der().clone()).unwrap();
        roots
    }
}

pub(crate) fn pem(label: &str, der: &[u8]) -> String {
    let base64 = STANDARD.encode(der);
    let lines: Vec<_> = base64.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

/// The SEC1 or PKCS#1 key inside a PKCS#8 one: `SEQUENCE { version, algorithm, OCTET STRING { key }, ... }`.
pub(crate) fn without_pkcs8(pkcs8: &[u8]) -> Vec<u8> {
    let fields = elements(content(pkcs8));
    content(fields[2]).to_vec()
}

/// The certificate as X.509 version 1, like `openssl x509 -req` without extensions makes it. Its signature does
/// not fit any more, which only a client would notice.
pub(crate) fn without_extensions(certificate: &[u8]) -> Vec<u8> {
    const VERSION: u8 = 0xA0;
    const EXTENSIONS: u8 = 0xA3;
    let outer = elements(content(certificate));
    let kept: Vec<_> =
        elements(content(outer[0])).into_iter().filter(|e| ![VERSION, EXTENSIONS].contains(&e[0])).collect();
    let signed = sequence(&kept.concat());
    sequence(&[&signed, outer[1], outer[2]].concat())
}

fn sequence(content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    [&[0x30, 0x82], &length[..], content].concat()
}

/// The DER elements that follow one another in `der`, each with its header.
fn elements(mut der: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    while !der.is_empty() {
        let (header, length) = measure(der);
        let (element, rest) = der.split_at(header + length);
        found.push(element);
        der = rest;
    }
    found
}

fn content(element: &[u8]) -> &[u8] {
    let (header, length) = measure(element);
    &element[header..header + length]
}

/// The sizes of an element's header and of its content.
fn measure(element: &[u8]) -> (usize, usize) {
    match element[1] {
        short @ 0..0x80 => (2, short.into()),
        long => {
            let octets = usize::from(long & 0x7F);
            let length = element[2..2 + octets].iter().fold(0, |sum, octet| sum << 8 | usize::from(*octet));
            (2 + octets, length)
        }
    }
}
