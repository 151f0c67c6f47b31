//! What is wrong with the certificates that a server presented, one thing at a time: a library stops at the first.

use rustls::crypto::aws_lc_rs;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use time::OffsetDateTime;
use webpki::{EndEntityCert, KeyUsage};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::FromDer;
use x509_parser::time::ASN1Time;

use super::finding::Check;
use super::limits;
use super::remedy;
use super::report::Report;
use super::trust::Trust;
use crate::tls::Names;

/// Who issued it, as far as one can tell from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Untrusted {
    /// It issued itself.
    SelfSigned,
    /// The chain ends at an authority that is presented and not trusted.
    PrivateAuthority,
    /// What leads from it to an authority is not presented.
    MissingIntermediate,
    /// It names an issuer of whom nothing is known: either of the last two.
    UnknownIssuer,
    /// A signature, an algorithm or a constraint is wrong.
    Other,
}

/// Judges the chain, the name and the dates. True where a client would go on.
///
/// `server_time` is what the server's `Date` says: an end that has come by only one of two clocks is about a clock.
pub(super) fn judge(
    report: &mut Report<'_>,
    chain: &[CertificateDer<'static>],
    name: &ServerName<'static>,
    trust: &Trust,
    server_time: Option<OffsetDateTime>,
) -> bool {
    let parsed: Vec<_> = chain.iter().filter_map(|der| Some(X509Certificate::from_der(der).ok()?.1)).collect();
    let Some(leaf) = parsed.first().filter(|_| parsed.len() == chain.len()) else {
        report.fail(Check::Chain, "a certificate was presented that does not parse", &remedy::BAD_CERTIFICATE);
        return false;
    };
    let is_trusted = judge_chain(report, chain, &parsed, trust);
    let is_named = judge_name(report, &chain[0], leaf, name);
    let is_valid = judge_dates(report, &parsed, server_time);
    is_trusted && is_named && is_valid
}

fn judge_chain(
    report: &mut Report<'_>,
    chain: &[CertificateDer<'static>],
    parsed: &[X509Certificate<'_>],
    trust: &Trust,
) -> bool {
    let leaf = &parsed[0];
    // The dates have a line of their own.
    let moment = within(leaf, now());
    let error = match verify(chain, trust, moment) {
        Ok(()) => {
            report.ok(Check::Chain, format!("issued by {}, which is trusted", leaf.issuer()));
            return true;
        }
        // One above it ended while it did not: judge_dates tells which.
        Err(webpki::Error::CertExpired { .. } | webpki::Error::CertNotValidYet { .. }) => {
            report.ok(Check::Chain, format!("issued by {}", leaf.issuer()));
            return true;
        }
        Err(error) => error,
    };
    let presented = match parsed.len() {
        1 => "it alone is presented".to_owned(),
        count => format!("{count} certificates are presented"),
    };
    let issuer = leaf.issuer();
    let (seen, remedy) = match untrusted(parsed, trust, &error) {
        Untrusted::SelfSigned => (format!("{} signed itself", leaf.subject()), &remedy::SELF_SIGNED),
        Untrusted::PrivateAuthority => {
            (format!("issued by {issuer}, which this machine does not trust"), &remedy::PRIVATE_AUTHORITY)
        }
        Untrusted::MissingIntermediate => (
            format!("issued by {issuer}, whose certificate is neither presented nor trusted; {presented}"),
            &remedy::MISSING_INTERMEDIATE,
        ),
        Untrusted::UnknownIssuer => {
            (format!("issued by {issuer}, of which nothing is known here; {presented}"), &remedy::UNKNOWN_ISSUER)
        }
        Untrusted::Other => (format!("issued by {issuer}, and refused: {error}"), &remedy::BAD_CERTIFICATE),
    };
    report.fail(Check::Chain, seen, remedy);
    false
}

fn verify(chain: &[CertificateDer<'static>], trust: &Trust, moment: UnixTime) -> Result<(), webpki::Error> {
    let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms;
    EndEntityCert::try_from(&chain[0])?
        .verify_for_usage(
            algorithms.all,
            &trust.roots().roots,
            &chain[1..],
            moment,
            KeyUsage::server_auth(),
            None,
            None,
        )
        .map(|_| ())
}

fn untrusted(parsed: &[X509Certificate<'_>], trust: &Trust, error: &webpki::Error) -> Untrusted {
    let leaf = &parsed[0];
    let signed_itself = |certificate: &X509Certificate<'_>| certificate.subject() == certificate.issuer();
    if signed_itself(leaf) {
        return Untrusted::SelfSigned;
    }
    if !matches!(error, webpki::Error::UnknownIssuer) {
        return Untrusted::Other;
    }
    let last = parsed
        .iter()
        .take(limits::CERTIFICATES)
        .fold(leaf, |top, _| parsed.iter().find(|other| other.subject() == top.issuer()).unwrap_or(top));
    if signed_itself(last) {
        Untrusted::PrivateAuthority
    } else if trust.has_own() || names_its_issuer_s_address(last) {
        // Public authorities write where the issuer's certificate can be had; and who names an authority knows that the
        // certificate is of it.
        Untrusted::MissingIntermediate
    } else {
        Untrusted::UnknownIssuer
    }
}

/// Whether it says where its issuer's certificate is (RFC 5280, 4.2.2.1).
fn names_its_issuer_s_address(certificate: &X509Certificate<'_>) -> bool {
    certificate.extensions().iter().any(|extension| match extension.parsed_extension() {
        ParsedExtension::AuthorityInfoAccess(access) => access.iter().any(|description| {
            description.access_method.to_id_string() == "1.3.6.1.5.5.7.48.2"
                && matches!(description.access_location, GeneralName::URI(_))
        }),
        _ => false,
    })
}

fn judge_name(
    report: &mut Report<'_>,
    leaf: &CertificateDer<'_>,
    parsed: &X509Certificate<'_>,
    name: &ServerName<'static>,
) -> bool {
    let names = Names::of(parsed);
    let listed = names.dns.iter().cloned().chain(names.addresses.iter().map(ToString::to_string));
    let listed = listed.collect::<Vec<_>>().join(", ");
    let asked = name.to_str();
    match EndEntityCert::try_from(leaf).and_then(|leaf| leaf.verify_is_valid_for_subject_name(name)) {
        Ok(()) => {
            report.ok(Check::Name, format!("for {asked}"));
            true
        }
        Err(_) if listed.is_empty() => {
            let seen = format!("{} has no subjectAltName, and clients look at nothing else", parsed.subject());
            report.fail(Check::Name, seen, &remedy::NO_NAMES);
            false
        }
        Err(_) => {
            report.fail(Check::Name, format!("for {listed}, and not for {asked}"), &remedy::WRONG_NAME);
            false
        }
    }
}

fn judge_dates(report: &mut Report<'_>, parsed: &[X509Certificate<'_>], server_time: Option<OffsetDateTime>) -> bool {
    let outside = |moment: ASN1Time| parsed.iter().position(|certificate| !certificate.validity().is_valid_at(moment));
    let leaf = parsed[0].validity();
    let Some(position) = outside(now()) else {
        let seen = format!("until {}", leaf.not_after);
        if leaf.not_after - now() < Some(limits::ENDS_SOON) {
            report.warn(Check::Dates, seen, &remedy::ENDS_SOON);
        } else {
            report.ok(Check::Dates, seen);
        }
        return true;
    };
    let of = if position == 0 { String::new() } else { format!("{}: ", parsed[position].subject()) };
    let validity = parsed[position].validity();
    let is_over = validity.not_after < now();
    let seen = match is_over {
        true => format!("{of}expired on {}; this machine's clock says {}", validity.not_after, now()),
        false => format!("{of}not valid before {}; this machine's clock says {}", validity.not_before, now()),
    };
    let by_the_server = server_time.map(ASN1Time::from);
    let remedy = match by_the_server {
        Some(time) if outside(time).is_none() => &remedy::CLOCK_BEHIND_DATES,
        _ if is_over => &remedy::EXPIRED,
        _ => &remedy::NOT_VALID_YET,
    };
    report.fail(Check::Dates, seen, remedy);
    false
}

/// The moment itself, or that of the certificate's life which is next to it.
fn within(certificate: &X509Certificate<'_>, moment: ASN1Time) -> UnixTime {
    let validity = certificate.validity();
    let moment = moment.clamp(validity.not_before, validity.not_after);
    UnixTime::since_unix_epoch(std::time::Duration::from_secs(moment.timestamp().unsigned_abs()))
}

fn now() -> ASN1Time {
    ASN1Time::now()
}
