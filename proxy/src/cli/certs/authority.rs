//! The CA and what it signs.
//!
//! Keys are ECDSA on P-256: every client knows it, and a handshake costs a fifth of RSA's. A key that
//! exists is used whatever its kind.

use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SerialNumber,
};
use time::{Duration, OffsetDateTime};

use super::{CertsError, SubjectName};
use crate::files::{self, PRIVATE, PUBLIC};
use crate::tls::{CertificateProblem, Chain, KeyPairFiles, Pair, read_private_key};

/// How long a CA lives: to renew it is to visit every client.
const AUTHORITY_LIFETIME: Duration = Duration::days(3650);

/// Certificates begin in the past, for clients whose clock is behind.
const BACKDATED: Duration = Duration::hours(1);

/// The longest common name that X.509 allows.
const MAX_COMMON_NAME: usize = 64;

/// A CA that can sign.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    chain: Chain,
}

impl Authority {
    /// The CA of these files, which are made as far as they are missing. A certificate without its key
    /// cannot sign; a key without its certificate, as an interrupted run leaves it, gets one.
    pub(super) fn open_or_make(files: &KeyPairFiles) -> Result<Self, CertsError> {
        if !files.certificate.exists() {
            let key = open_or_make_key(&files.key)?;
            let certificate = self_signed(&key).map_err(CertsError::Signing)?;
            let file = &files.certificate;
            files::create(file, certificate.as_bytes(), PUBLIC).map_err(CertsError::write(file))?;
        } else if !files.key.exists() {
            return Err(CertsError::AuthorityWithoutKey(files.clone()));
        }
        Self::open(files)
    }

    fn open(files: &KeyPairFiles) -> Result<Self, CertsError> {
        // Checked like one to be served: key and certificate belong together, and it is in its dates.
        Pair::load(files).map_err(|problems| CertsError::Refused(problems.into()))?;
        let chain = Chain::read(&files.certificate)?;
        if !chain.is_authority() {
            return Err(CertsError::NotAnAuthority(files.certificate.clone()));
        }
        let key = open_or_make_key(&files.key)?;
        let issuer = Issuer::from_ca_cert_der(chain.leaf(), key).map_err(CertsError::Signing)?;
        Ok(Self { issuer, chain })
    }

    /// A certificate for a server, as PEM. It ends with its CA at the latest.
    ///
    /// The leaf stands alone in it. A client that trusts the CA has the CA's certificate, one that does
    /// not would not believe it from us, and docker opens a connection, with all of it, for each request.
    pub(super) fn sign(
        &self,
        file: &Path,
        key: &KeyPair,
        names: &[SubjectName],
        days: u16,
    ) -> Result<String, CertsError> {
        let mut params = params(&names[0].to_string(), Duration::days(days.into())).map_err(CertsError::Signing)?;
        params.not_after = params.not_after.min(self.chain.not_after().to_datetime());
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.subject_alt_names = names.iter().map(SubjectName::to_san).collect();
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(key, &self.issuer).map_err(CertsError::Signing)?.pem();
        // rcgen takes the CA's name apart and puts it together again, which loses a repeated attribute.
        if !Chain::parse(file, certificate.as_bytes())?.is_issued_by(&self.chain) {
            return Err(CertsError::AuthorityName);
        }
        Ok(certificate)
    }
}

/// The key in a file, which is made if there is none.
pub(super) fn open_or_make_key(file: &Path) -> Result<KeyPair, CertsError> {
    if file.exists() {
        let key = read_private_key(file)?;
        return KeyPair::try_from(&key).map_err(|_| CertificateProblem::unusable_key(file).into());
    }
    let key = KeyPair::generate().map_err(CertsError::Signing)?;
    files::create(file, key.serialize_pem().as_bytes(), PRIVATE).map_err(CertsError::write(file))?;
    Ok(key)
}

fn self_signed(key: &KeyPair) -> Result<String, rcgen::Error> {
    let mut params = params("", AUTHORITY_LIFETIME)?;
    // Two CAs that one machine trusts must not have one name.
    let identifier: String = params.key_identifier(key).iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    params.distinguished_name.push(DnType::CommonName, format!("Lockgate CA {identifier}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params.self_signed(key)?.pem())
}

fn params(common_name: &str, lifetime: Duration) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    let common_name = if common_name.len() > MAX_COMMON_NAME { "Lockgate" } else { common_name };
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.not_before = OffsetDateTime::now_utc() - BACKDATED;
    // The last second is part of the lifetime.
    params.not_after = params.not_before + lifetime - Duration::SECOND;
    params.serial_number = Some(random_serial()?);
    Ok(params)
}

/// 127 random bits. rcgen's default is a hash of the public key, which would repeat at a renewal.
fn random_serial() -> Result<SerialNumber, rcgen::Error> {
    let mut serial = [0; 16];
    aws_lc_rs::rand::fill(&mut serial).map_err(|_| rcgen::Error::RingUnspecified)?;
    // Positive, and never shortened.
    serial[0] = serial[0] & 0x7F | 0x40;
    Ok(SerialNumber::from_slice(&serial))
}
