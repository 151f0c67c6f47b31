use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use clap::Parser;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair, PKCS_RSA_SHA256};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tempfile::TempDir;
use time::{Duration, OffsetDateTime};
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::*;
use crate::tls::samples::{pem, without_pkcs8};

const ALL: [&str; 4] = ["devdockerCA.crt", "devdockerCA.key", "domain.crt", "domain.key"];

/// A directory for `certs`, which does not exist yet.
struct Dir {
    path: PathBuf,
    _parent: TempDir,
}

impl Dir {
    fn new() -> Self {
        let parent = TempDir::new().unwrap();
        Self { path: parent.path().join("not/yet/there"), _parent: parent }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    fn put(&self, name: &str, content: &str) {
        fs::create_dir_all(&self.path).unwrap();
        fs::write(self.path(name), content).unwrap();
    }

    fn make(&self, names: &[&str]) -> Result<Made, CertsError> {
        make(&self.path, &parsed(names), DEFAULT_DAYS)
    }

    fn renew(&self, names: &[&str]) -> Result<Made, CertsError> {
        renew(&self.path, &parsed(names), DEFAULT_DAYS)
    }

    /// The names of all files, sorted.
    fn list(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.path).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn der(&self, name: &str) -> CertificateDer<'static> {
        CertificateDer::from_pem_file(self.path(name)).unwrap()
    }

    /// Would a client that trusts the CA take the certificate for `host`?
    fn is_trusted_for(&self, host: &str) -> bool {
        let mut roots = RootCertStore::empty();
        roots.add(self.der("devdockerCA.crt")).unwrap();
        let client = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::new(default_provider()));
        let host = ServerName::try_from(host).unwrap();
        let leaf = self.der("domain.crt");
        client.build().unwrap().verify_server_cert(&leaf, &[], &host, &[], UnixTime::now()).is_ok()
    }

    /// Puts a CA there that somebody else made, with something out of the ordinary.
    fn put_authority(&self, key: &KeyPair, change: impl FnOnce(&mut CertificateParams)) {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CountryName, "AU");
        params.distinguished_name.push(DnType::OrganizationName, "Internet Widgits Pty Ltd");
        change(&mut params);
        self.put("devdockerCA.crt", &params.self_signed(key).unwrap().pem());
        self.put("devdockerCA.key", &key.serialize_pem());
    }

    /// Replaces domain.crt by one of the same CA and key that expired yesterday.
    fn let_expire(&self) {
        let key = |name| KeyPair::from_pem(&self.read(name)).unwrap();
        let issuer = rcgen::Issuer::from_ca_cert_pem(&self.read("devdockerCA.crt"), key("devdockerCA.key")).unwrap();
        let mut params = CertificateParams::new(["old.example".to_owned()]).unwrap();
        params.not_after = OffsetDateTime::now_utc() - Duration::DAY;
        self.put("domain.crt", &params.signed_by(&key("domain.key"), &issuer).unwrap().pem());
    }
}

fn parsed(names: &[&str]) -> Vec<SubjectName> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

fn states(made: &Made) -> Vec<State> {
    made.files.iter().map(|(state, _)| *state).collect()
}

#[test]
fn a_new_directory_gets_a_ca_and_a_certificate_that_its_clients_trust_for_every_name() {
    let dir = Dir::new();
    let made = dir.make(&["Registry.example", "*.apps.example", "10.0.0.7", "fd00::1"]).unwrap();
    assert_eq!(states(&made), [State::Made; 4]);
    assert_eq!(dir.list(), ALL);
    for host in ["registry.example", "x.apps.example", "10.0.0.7", "fd00::1"] {
        assert!(dir.is_trusted_for(host), "{host}");
    }
    for host in ["example", "apps.example", "localhost", "10.0.0.8"] {
        assert!(!dir.is_trusted_for(host), "{host}");
    }
}

#[test]
fn without_names_the_certificate_is_for_this_machine() {
    let dir = Dir::new();
    dir.make(&[]).unwrap();
    assert!(["localhost", "127.0.0.1", "::1"].into_iter().all(|host| dir.is_trusted_for(host)));
}

#[test]
fn keys_are_for_their_owner_only() {
    let dir = Dir::new();
    dir.make(&[]).unwrap();
    for name in ALL {
        let mode = fs::metadata(dir.path(name)).unwrap().permissions().mode() & 0o777;
        if name.ends_with(".key") {
            assert_eq!(mode, 0o600, "{name}");
        } else {
            assert_eq!(mode & 0o133, 0, "{name}");
        }
    }
}

#[test]
fn the_ca_may_sign_servers_and_no_further_ca() {
    let dir = Dir::new();
    dir.make(&[]).unwrap();
    let der = dir.der("devdockerCA.crt");
    let (_, ca) = X509Certificate::from_der(&der).unwrap();
    let constraints = ca.basic_constraints().unwrap().unwrap();
    assert!(constraints.critical && constraints.value.ca);
    assert_eq!(constraints.value.path_len_constraint, Some(0));
    let usage = ca.key_usage().unwrap().unwrap();
    assert!(
        usage.critical && usage.value.key_cert_sign() && usage.value.crl_sign() && !usage.value.digital_signature()
    );
    let validity = ca.validity();
    assert_eq!((validity.not_after - validity.not_before).unwrap(), Duration::days(3650) - Duration::SECOND);
}

#[test]
fn the_certificate_is_for_servers_only_and_points_to_its_ca() {
    let dir = Dir::new();
    dir.make(&["registry.example"]).unwrap();
    let (ca, leaf) = (dir.der("devdockerCA.crt"), dir.der("domain.crt"));
    let (_, ca) = X509Certificate::from_der(&ca).unwrap();
    let (_, leaf) = X509Certificate::from_der(&leaf).unwrap();
    assert!(!leaf.is_ca());
    let usage = leaf.key_usage().unwrap().unwrap().value;
    assert!(usage.digital_signature() && !usage.key_cert_sign());
    let extended = leaf.extended_key_usage().unwrap().unwrap().value;
    assert!(extended.server_auth && !extended.client_auth && !extended.any);

    let subject_key = |certificate: &X509Certificate<'_>| {
        certificate.iter_extensions().find_map(|extension| match extension.parsed_extension() {
            ParsedExtension::SubjectKeyIdentifier(identifier) => Some(identifier.0.to_vec()),
            _ => None,
        })
    };
    let authority_key = leaf.iter_extensions().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::AuthorityKeyIdentifier(identifier) => identifier.key_identifier.as_ref(),
        _ => None,
    });
    assert_eq!(authority_key.unwrap().0, subject_key(&ca).unwrap());
    assert_ne!(subject_key(&leaf).unwrap(), subject_key(&ca).unwrap());

    let validity = leaf.validity();
    assert!((validity.not_after - validity.not_before).unwrap() < Duration::days(825));
    assert!(validity.not_before.to_datetime() <= OffsetDateTime::now_utc() - Duration::minutes(59));
    assert_eq!(leaf.raw_serial().len(), 16);
    assert!(leaf.raw_serial()[0] < 0x80);
}

#[test]
fn a_second_run_changes_no_byte_and_says_what_the_certificate_is_not_for() {
    let dir = Dir::new();
    dir.make(&["a.example"]).unwrap();
    let before = ALL.map(|name| dir.read(name));
    let made = dir.make(&["a.example", "b.example"]).unwrap();
    assert_eq!(ALL.map(|name| dir.read(name)), before);
    assert_eq!(states(&made), [State::Kept; 4]);
    assert_eq!(made.uncovered, parsed(&["b.example"]));
    assert!(made.to_string().contains(&format!(
        "domain.crt is not for b.example: add it by `lockgate certs {} --renew --name b.example`",
        dir.path.display()
    )));
}

#[test]
fn a_renewal_replaces_the_certificate_alone_and_adds_names() {
    let dir = Dir::new();
    dir.make(&["a.example", "10.0.0.7"]).unwrap();
    let before = ALL.map(|name| dir.read(name));
    let made = dir.renew(&["b.example", "a.example"]).unwrap();
    let after = ALL.map(|name| dir.read(name));
    assert_eq!(states(&made), [State::Kept, State::Kept, State::Renewed, State::Kept]);
    assert_eq!([&after[0], &after[1], &after[3]], [&before[0], &before[1], &before[3]]);
    assert_ne!(after[2], before[2]);
    assert!(["a.example", "b.example", "10.0.0.7"].into_iter().all(|host| dir.is_trusted_for(host)));
    assert_eq!(made.names, parsed(&["a.example", "b.example", "10.0.0.7"]));
    assert_eq!(dir.list(), ALL);
}

#[test]
fn no_two_certificates_have_one_serial() {
    let dir = Dir::new();
    dir.make(&[]).unwrap();
    let serials = [(); 8].map(|()| {
        dir.renew(&[]).unwrap();
        X509Certificate::from_der(&dir.der("domain.crt")).unwrap().1.raw_serial_as_string()
    });
    let distinct: std::collections::HashSet<_> = serials.iter().collect();
    assert_eq!(distinct.len(), serials.len());
}

#[test]
fn an_expired_certificate_is_told_and_a_renewal_cures_it() {
    let dir = Dir::new();
    dir.make(&["a.example"]).unwrap();
    dir.let_expire();
    let told = dir.make(&[]).unwrap_err().to_string();
    assert!(told.contains("domain.crt expired on ") && told.contains("--renew"), "{told}");
    dir.renew(&[]).unwrap();
    assert!(dir.is_trusted_for("old.example"));
}

#[test]
fn an_existing_ca_signs_as_openssl_made_it() {
    let dir = Dir::new();
    let key = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
    dir.put_authority(&key, |_| ());
    dir.put("devdockerCA.key", &pem("RSA PRIVATE KEY", &without_pkcs8(key.serialized_der())));
    let before = (dir.read("devdockerCA.crt"), dir.read("devdockerCA.key"));
    let made = dir.make(&["a.example"]).unwrap();
    assert_eq!(states(&made), [State::Kept, State::Kept, State::Made, State::Made]);
    assert_eq!((dir.read("devdockerCA.crt"), dir.read("devdockerCA.key")), before);
    assert!(dir.is_trusted_for("a.example"));
}

#[test]
fn a_certificate_does_not_outlive_its_ca() {
    let dir = Dir::new();
    let end = OffsetDateTime::now_utc() + Duration::days(30);
    dir.put_authority(&KeyPair::generate().unwrap(), |params| params.not_after = end);
    let made = dir.make(&[]).unwrap();
    assert_eq!(made.not_after.timestamp(), end.unix_timestamp());
}

#[test]
fn a_ca_that_cannot_sign_is_refused_and_nothing_is_made() {
    let key = KeyPair::generate().unwrap();
    let no_ca = Dir::new();
    no_ca.put_authority(&key, |params| params.is_ca = IsCa::NoCa);
    let expired = Dir::new();
    expired.put_authority(&key, |params| params.not_after = OffsetDateTime::now_utc() - Duration::DAY);
    let not_for_certificates = Dir::new();
    not_for_certificates.put_authority(&key, |params| params.key_usages = vec![rcgen::KeyUsagePurpose::CrlSign]);
    let foreign_key = Dir::new();
    foreign_key.put_authority(&key, |_| ());
    foreign_key.put("devdockerCA.key", &KeyPair::generate().unwrap().serialize_pem());
    for (dir, what) in [
        (&no_ca, "devdockerCA.crt is not a CA"),
        (&expired, "devdockerCA.crt expired on"),
        (&not_for_certificates, "devdockerCA.crt is not a CA"),
        (&foreign_key, "does not belong to the key"),
    ] {
        let told = dir.make(&[]).unwrap_err().to_string();
        assert!(told.contains(what), "{told}");
        assert_eq!(dir.list(), ["devdockerCA.crt", "devdockerCA.key"]);
    }
}

#[test]
fn a_ca_whose_key_is_elsewhere_is_no_hindrance_until_something_has_to_be_signed() {
    let dir = Dir::new();
    dir.make(&["a.example"]).unwrap();
    fs::remove_file(dir.path("devdockerCA.key")).unwrap();
    dir.make(&["a.example"]).unwrap();
    let before = dir.read("domain.crt");
    let told = dir.renew(&[]).unwrap_err().to_string();
    assert!(told.contains("devdockerCA.key is missing"), "{told}");
    assert_eq!(dir.read("domain.crt"), before);
}

#[test]
fn a_ca_whose_name_cannot_be_copied_exactly_is_refused() {
    let dir = Dir::new();
    dir.put_authority(&KeyPair::generate().unwrap(), |params| {
        params.distinguished_name.push(DnType::OrganizationalUnitName, "one");
        params.distinguished_name.push(DnType::CustomDnType(vec![2, 5, 4, 11]), "two");
    });
    assert!(matches!(dir.make(&[]), Err(CertsError::AuthorityName)));
    assert!(!dir.path("domain.crt").exists());
}

#[test]
fn what_an_interrupted_run_left_is_completed_with_the_same_keys() {
    let dir = Dir::new();
    dir.make(&["a.example"]).unwrap();
    let keys = (dir.read("devdockerCA.key"), dir.read("domain.key"));
    fs::remove_file(dir.path("devdockerCA.crt")).unwrap();
    fs::remove_file(dir.path("domain.crt")).unwrap();
    dir.make(&["a.example"]).unwrap();
    assert_eq!((dir.read("devdockerCA.key"), dir.read("domain.key")), keys);
    assert!(dir.is_trusted_for("a.example"));
}

#[test]
fn a_certificate_from_elsewhere_is_kept_without_a_ca_and_never_renewed() {
    let (dir, elsewhere) = (Dir::new(), Dir::new());
    elsewhere.make(&["a.example"]).unwrap();
    for name in ["domain.crt", "domain.key"] {
        dir.put(name, &elsewhere.read(name));
    }
    let made = dir.make(&["a.example"]).unwrap();
    assert_eq!(dir.list(), ["domain.crt", "domain.key"]);
    assert!(made.trust(5043).contains("was not signed by a CA of this directory"));
    assert!(dir.renew(&[]).unwrap_err().to_string().contains("renew it where it came from"));
    // A CA beside it changes nothing.
    dir.put_authority(&KeyPair::generate().unwrap(), |_| ());
    assert!(matches!(dir.renew(&[]), Err(CertsError::OfAnotherAuthority(..))));
    assert_eq!(dir.read("domain.crt"), elsewhere.read("domain.crt"));
}

#[test]
fn a_key_that_cannot_be_used_is_told_by_its_file() {
    let dir = Dir::new();
    dir.put("domain.key", &pem("PRIVATE KEY", b"no key"));
    let told = dir.make(&[]).unwrap_err().to_string();
    assert!(told.contains("domain.key holds a key that TLS cannot use"), "{told}");
}

#[test]
fn what_stands_in_a_files_place_is_not_overwritten_even_if_it_is_a_link_to_nowhere() {
    let dir = Dir::new();
    fs::create_dir_all(&dir.path).unwrap();
    std::os::unix::fs::symlink("nowhere", dir.path("domain.key")).unwrap();
    let told = dir.make(&[]).unwrap_err().to_string();
    assert!(told.contains("cannot make ") && told.contains("domain.key"), "{told}");
    assert_eq!(fs::read_link(dir.path("domain.key")).unwrap(), Path::new("nowhere"));
    assert_eq!(dir.list(), ["devdockerCA.crt", "devdockerCA.key", "domain.key"]);
}

#[test]
fn a_certificate_without_its_key_is_told() {
    let dir = Dir::new();
    dir.make(&[]).unwrap();
    fs::remove_file(dir.path("domain.key")).unwrap();
    assert!(dir.make(&[]).unwrap_err().to_string().contains("domain.key cannot be read"));
    assert!(!dir.path("domain.key").exists());
}

#[test]
fn a_certificate_with_only_a_common_name_is_renewed_once_it_is_told_its_names() {
    let dir = Dir::new();
    dir.make(&["a.example"]).unwrap();
    let key = |name| KeyPair::from_pem(&dir.read(name)).unwrap();
    let issuer = rcgen::Issuer::from_ca_cert_pem(&dir.read("devdockerCA.crt"), key("devdockerCA.key")).unwrap();
    let nameless = CertificateParams::default().signed_by(&key("domain.key"), &issuer).unwrap();
    dir.put("domain.crt", &nameless.pem());
    assert!(dir.make(&[]).unwrap().to_string().contains("has no subjectAltName"));
    assert!(matches!(dir.renew(&[]), Err(CertsError::NoNames(_))));
    dir.renew(&["a.example"]).unwrap();
    assert!(dir.is_trusted_for("a.example"));
}

#[test]
fn the_places_for_the_ca_are_commands_to_copy() {
    let dir = Dir::new();
    let made = dir.make(&["registry.example", "*.apps.example", "::1", "fd00::1"]).unwrap();
    let ca = dir.path("devdockerCA.crt");
    let text = made.trust(443);
    for command in [
        format!("sudo install -D -m 644 {} /etc/docker/certs.d/registry.example:443/ca.crt\n", ca.display()),
        format!("sudo install -D -m 644 {} '/etc/containers/certs.d/[::1]:443/ca.crt'\n", ca.display()),
        format!("sudo install -D -m 644 {} '/etc/docker/certs.d/[fd00::1]:443/ca.crt'\n", ca.display()),
        "sudo update-ca-certificates".to_owned(),
    ] {
        assert!(text.contains(&command), "{text}");
    }
    assert!(!text.contains('*') && !text.contains("docker/certs.d/[::1]"), "{text}");
    assert_eq!(quoted("/home/o'neill/a b"), r"'/home/o'\''neill/a b'");
}

#[test]
fn arguments_are_checked_before_anything_is_made() {
    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        args: Args,
    }
    let parse = |args: &[&str]| Command::try_parse_from([&["certs"], args].concat());
    let args = parse(&["certs", "--name", "a.example", "--name", "::1"]).unwrap().args;
    assert_eq!((args.names, args.days, args.renew), (parsed(&["a.example", "::1"]), 825, false));
    for wrong in [&[][..], &["certs", "--days", "826"], &["certs", "--days", "0"], &["certs", "--name", "a:5043"]] {
        parse(wrong).unwrap_err();
    }
}
