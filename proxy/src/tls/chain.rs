//! The certificates of one file: read, and checked against each other, the clock and a key.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use rustls::sign::SigningKey;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use time::Duration;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;
use x509_parser::time::ASN1Time;

use super::pem_file::{contains, holds_no, read_pem};
use super::problem::CertificateProblem;

/// How long before its end a certificate is warned about.
const EXPIRES_SOON: Duration = Duration::days(14);

/// The identifier with which the parameters of a curve begin where they are written out (prime-field, RFC 3279, 2.3.5),
/// as DER. TLS wants the curve's name (RFC 8422, 5.1.1).
const PRIME_FIELD: &[u8] = &[0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x01, 0x01];

/// The certificates of one file, the leaf first, and what is needed of them.
#[derive(Debug)]
pub(crate) struct Chain {
    file: PathBuf,
    der: Vec<CertificateDer<'static>>,
    /// One for each of `der`; never empty.
    links: Vec<Link>,
    names: Names,
    warnings: Vec<CertificateProblem>,
}

/// One certificate: DER of its parts, and its dates.
#[derive(Debug)]
struct Link {
    subject: Vec<u8>,
    issuer: Vec<u8>,
    public_key: Vec<u8>,
    not_before: ASN1Time,
    not_after: ASN1Time,
    signs_certificates: bool,
}

/// The subjectAltNames of a certificate. DNS names are in lower case.
#[derive(Debug, Default)]
pub(crate) struct Names {
    pub(crate) dns: Vec<String>,
    pub(crate) addresses: Vec<IpAddr>,
}

impl Chain {
    /// Reads the certificates of a PEM file, without a look at the clock or the key.
    ///
    /// # Errors
    /// The file cannot be read, or holds no certificate, or one that does not parse.
    pub(crate) fn read(file: &Path) -> Result<Self, CertificateProblem> {
        Self::parse(file, &read_pem(file)?)
    }

    /// The same of what was, or will be, the content of `file`.
    pub(crate) fn parse(file: &Path, pem: &[u8]) -> Result<Self, CertificateProblem> {
        let problem = |what: String| CertificateProblem::new(file, what);
        let der = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>().map_err(|_| {
            problem("is damaged (a section does not end, or is not base64): copy it here again".to_owned())
        })?;
        let parsed = (1..).zip(&der).map(|(number, der)| match X509Certificate::from_der(der) {
            Ok((_, certificate)) => Ok(certificate),
            Err(error) => Err(problem(format!("certificate {number} in it does not parse: {error}"))),
        });
        let parsed = parsed.collect::<Result<Vec<_>, _>>()?;
        let leaf = parsed.first().ok_or_else(|| problem(holds_no("certificate", pem)))?;
        let names = Names::of(leaf);
        let links: Vec<_> = parsed.iter().map(Link::of).collect();
        let mut warnings = Vec::new();
        warnings.extend(trouble_for_clients(leaf, &names).map(&problem));
        warnings.extend(disorder(&links).map(&problem));
        Ok(Self { file: file.to_owned(), der, links, names, warnings })
    }

    /// The leaf, as DER.
    pub(crate) fn leaf(&self) -> &CertificateDer<'static> {
        &self.der[0]
    }

    /// The names that the leaf is for.
    pub(crate) fn names(&self) -> &Names {
        &self.names
    }

    /// The leaf's last moment.
    pub(crate) fn not_after(&self) -> ASN1Time {
        self.links[0].not_after
    }

    /// Does the leaf name `other`'s leaf as its issuer?
    pub(crate) fn is_issued_by(&self, other: &Self) -> bool {
        self.links[0].issuer == other.links[0].subject
    }

    /// May the leaf sign other certificates?
    pub(crate) fn is_authority(&self) -> bool {
        self.links[0].signs_certificates
    }

    /// All of them, the leaf first.
    pub(super) fn certificates(&self) -> &[CertificateDer<'static>] {
        &self.der
    }

    /// Flaws that do not forbid serving it and will still trouble clients, today or soon.
    pub(super) fn warnings(&self, now: ASN1Time) -> Vec<CertificateProblem> {
        self.warnings.iter().cloned().chain(self.ends_soon(now)).collect()
    }

    /// Why the leaf cannot be served today.
    pub(crate) fn outside_its_dates(&self, now: ASN1Time) -> Option<CertificateProblem> {
        let Link { not_before, not_after, .. } = &self.links[0];
        let what = if now > *not_after {
            format!("expired on {not_after}: renew it")
        } else if now < *not_before {
            format!("is not valid before {not_before}: wait, or set this machine's clock, which says {now}")
        } else {
            return None;
        };
        Some(CertificateProblem::new(&self.file, what))
    }

    fn ends_soon(&self, now: ASN1Time) -> Option<CertificateProblem> {
        let not_after = self.not_after();
        let what = match not_after - now {
            None => format!("expired on {not_after}, and clients refuse it: renew it"),
            Some(left) if left < EXPIRES_SOON => {
                format!("expires in {} days, on {not_after}: renew it; no restart is needed", left.whole_days())
            }
            Some(_) => return None,
        };
        Some(CertificateProblem::new(&self.file, what))
    }

    /// Why it cannot be served with this key, which was read from `key_file`.
    ///
    /// rustls's own `keys_match` refuses X.509 version 1, which is what `openssl x509 -req` makes when
    /// it is given no extensions. Such a certificate can be served, so the comparison is done here.
    pub(super) fn belongs_to_another_key(&self, key: &dyn SigningKey, key_file: &Path) -> Option<CertificateProblem> {
        let public = key.public_key()?;
        let what = match self.links.iter().position(|link| link.public_key == public.as_ref()) {
            Some(0) => return None,
            Some(position) => format!(
                "is in the wrong order: the certificate of {} is number {} in it and has to be the first, \
                 each one followed by that of its issuer",
                key_file.display(),
                position + 1
            ),
            None if contains(&self.links[0].public_key, PRIME_FIELD) => format!(
                "has a public key whose curve is written out (explicit parameters) in the place of its name, which no \
                 client takes: convert the key with `openssl ec -in {0} -param_enc named_curve -out {0}.named`, and have \
                 the certificate made anew for it",
                key_file.display()
            ),
            None => format!(
                "does not belong to the key in {key}: put the two files of one pair there \
                 (`openssl x509 -noout -pubkey -in {crt}` and `openssl pkey -pubout -in {key}` print the same)",
                key = key_file.display(),
                crt = self.file.display()
            ),
        };
        Some(CertificateProblem::new(&self.file, what))
    }
}

impl Link {
    fn of(certificate: &X509Certificate<'_>) -> Self {
        let validity = certificate.validity();
        let key_usage = certificate.key_usage().ok().flatten();
        Self {
            subject: certificate.subject().as_raw().to_owned(),
            issuer: certificate.issuer().as_raw().to_owned(),
            public_key: certificate.public_key().raw.to_owned(),
            not_before: validity.not_before,
            not_after: validity.not_after,
            signs_certificates: certificate.is_ca() && key_usage.is_none_or(|usage| usage.value.key_cert_sign()),
        }
    }
}

impl Names {
    /// Those of this one.
    pub(crate) fn of(certificate: &X509Certificate<'_>) -> Self {
        let mut names = Self::default();
        let extension = certificate.subject_alternative_name().ok().flatten();
        for name in extension.iter().flat_map(|extension| &extension.value.general_names) {
            match name {
                GeneralName::DNSName(name) => names.dns.push(name.to_ascii_lowercase()),
                GeneralName::IPAddress(octets) => names.addresses.extend(address(octets)),
                _ => {}
            }
        }
        names
    }

    fn is_empty(&self) -> bool {
        self.dns.is_empty() && self.addresses.is_empty()
    }
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    <[u8; 4]>::try_from(octets).map(IpAddr::from).or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from)).ok()
}

/// Why clients will refuse a certificate that Lockgate can serve.
fn trouble_for_clients(leaf: &X509Certificate<'_>, names: &Names) -> Option<String> {
    if names.is_empty() {
        return Some(
            "has no subjectAltName, and docker and podman refuse one with only a common name (\"certificate relies \
             on legacy Common Name field, use SANs instead\"): make one with `lockgate certs DIR --renew --name HOST`"
                .to_owned(),
        );
    }
    let usage = leaf.extended_key_usage().ok().flatten()?.value;
    (!usage.server_auth && !usage.any).then(|| {
        "is not meant for servers (its extendedKeyUsage lacks serverAuth), and clients refuse it: have it issued again"
            .to_owned()
    })
}

/// Most clients sort a chain out for themselves; some do not.
fn disorder(links: &[Link]) -> Option<String> {
    let wrong = links.windows(2).position(|pair| pair[0].issuer != pair[1].subject)?;
    Some(format!(
        "is not one chain: certificate {} was not issued by certificate {}, and some clients give up there; \
         let each be followed by that of its issuer",
        wrong + 1,
        wrong + 2
    ))
}
