//! One certificate and its key: read, checked against each other and the clock, ready to sign.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::sign::{CertifiedKey, SigningKey};
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use time::Duration;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;
use x509_parser::time::ASN1Time;

use super::{CertificateProblem, KeyPairFiles};
use crate::watch::read_bounded;

/// How long before its end a certificate is warned about.
const EXPIRES_SOON: Duration = Duration::days(14);

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
                let certified = Arc::new(CertifiedKey::new(chain.der.clone(), key));
                Ok(Self { chain, certified })
            }
            _ => Err(problems),
        }
    }

    /// What rustls serves.
    pub(crate) fn certified(&self) -> &Arc<CertifiedKey> {
        &self.certified
    }

    /// Its chain and what stands in it.
    pub(crate) fn chain(&self) -> &Chain {
        &self.chain
    }

    /// What does not forbid serving it and will still trouble clients, today or soon.
    pub(crate) fn warnings(&self) -> Vec<CertificateProblem> {
        let mut warnings = self.chain.warnings.clone();
        warnings.extend(self.chain.ends_soon(ASN1Time::now()));
        warnings
    }
}

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

    fn outside_its_dates(&self, now: ASN1Time) -> Option<CertificateProblem> {
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

    /// rustls's own `keys_match` refuses X.509 version 1, which is what `openssl x509 -req` makes when
    /// it is given no extensions. Such a certificate can be served, so the comparison is done here.
    fn belongs_to_another_key(&self, key: &dyn SigningKey, key_file: &Path) -> Option<CertificateProblem> {
        let public = key.public_key()?;
        let what = match self.links.iter().position(|link| link.public_key == public.as_ref()) {
            Some(0) => return None,
            Some(position) => format!(
                "is in the wrong order: the certificate of {} is number {} in it and has to be the first, \
                 each one followed by that of its issuer",
                key_file.display(),
                position + 1
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
    fn of(certificate: &X509Certificate<'_>) -> Self {
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

fn read_pem(file: &Path) -> Result<Vec<u8>, CertificateProblem> {
    read_bounded(file).map_err(|error| {
        let cure = match error.kind() {
            std::io::ErrorKind::NotFound => "; put it there, or make a pair with `lockgate certs DIR --name HOST`",
            std::io::ErrorKind::PermissionDenied => "; let the user that Lockgate runs as read it",
            _ => "",
        };
        CertificateProblem::new(file, format!("cannot be read: {error}{cure}"))
    })
}

/// What to say of a file without the thing that it is there for.
fn holds_no(thing: &str, content: &[u8]) -> String {
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

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}
