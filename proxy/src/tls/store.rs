//! The certificates that are served: checked before they are used, chosen by name, replaced while running.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use x509_parser::time::ASN1Time;

use super::pair::{KeyPairFiles, Pair};
use super::problem::{CertificateProblem, CertificateProblems};
use crate::files::{Audience, Exposure};

/// The pairs in use, as rustls asks for them.
///
/// A handshake never waits for a reload, which reads and checks first and then swaps one pointer.
pub(crate) struct CertificateStore {
    files: Vec<KeyPairFiles>,
    current: ArcSwap<Selection>,
}

impl CertificateStore {
    /// Loads every pair. The first is the default, served to a client that names no host or one that no
    /// certificate is for; of two certificates for one name the earlier is served.
    ///
    /// # Errors
    /// All problems of all pairs; or that there is no pair at all.
    pub(crate) fn load(files: &[KeyPairFiles]) -> Result<Self, CertificateProblems> {
        if files.is_empty() {
            let nothing = CertificateProblem::new(Path::new("tls.certificate"), "is not set: name a PEM file");
            return Err(vec![nothing].into());
        }
        let mut pairs = Vec::new();
        let mut problems = Vec::new();
        for pair in files {
            match Pair::load(pair) {
                Ok(pair) => pairs.push(Arc::new(pair)),
                Err(found) => problems.extend(found),
            }
        }
        if !problems.is_empty() {
            return Err(problems.into());
        }
        Ok(Self { files: files.to_vec(), current: ArcSwap::from_pointee(Selection::of(pairs)) })
    }

    /// Every file that a reload reads.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        self.files.iter().flat_map(|files| [files.certificate.clone(), files.key.clone()]).collect()
    }

    /// Reads the files again. Each pair that is good is served to the handshakes that begin from now on;
    /// true if any of them is another than before.
    ///
    /// A pair that is refused leaves its predecessor in place and does not hold up the others: one
    /// expired certificate must not keep the renewal of another from being served. To be called from one
    /// place at a time, and not on an async thread.
    ///
    /// # Errors
    /// The problems of the pairs that were refused.
    pub(crate) fn reload(&self) -> Result<bool, CertificateProblems> {
        let before = self.current.load();
        let mut problems = Vec::new();
        let pairs = self.files.iter().zip(&before.pairs).map(|(files, old)| match Pair::load(files) {
            Ok(new) => Arc::new(new),
            Err(found) => {
                problems.extend(found);
                Arc::clone(old)
            }
        });
        let after = Selection::of(pairs.collect());
        let changed =
            after.pairs.iter().zip(&before.pairs).any(|(new, old)| new.certified().cert != old.certified().cert);
        self.current.store(Arc::new(after));
        if problems.is_empty() { Ok(changed) } else { Err(problems.into()) }
    }

    /// Flaws of certificates that are served all the same: no subjectAltName, not meant for servers, a chain
    /// out of order, or an end within 14 days (by the clock at the time of the call). And keys that
    /// others on this machine may read.
    pub(crate) fn warnings(&self) -> Vec<CertificateProblem> {
        let exposed = self.files.iter().filter_map(|files| {
            let exposure = Exposure::of(&files.key, Audience::Owner)?;
            Some(CertificateProblem::new(&files.key, exposure.to_string()))
        });
        self.current.load().pairs.iter().flat_map(|pair| pair.warnings()).chain(exposed).collect()
    }

    /// Those that are served and that no client takes at this moment: expired, or not valid yet.
    pub(crate) fn outside_their_dates(&self) -> Vec<CertificateProblem> {
        self.current.load().pairs.iter().filter_map(|pair| pair.chain().outside_its_dates(ASN1Time::now())).collect()
    }

    /// When the certificate ends that is served for a name, in seconds since 1970.
    pub(crate) fn ends(&self) -> Vec<(String, i64)> {
        let current = self.current.load();
        let end = |place: &usize| current.pairs[*place].chain().not_after().timestamp();
        current.by_name.iter().map(|(name, place)| (name.clone(), end(place))).collect()
    }

    /// The names, with the `*.` of some, and addresses that the certificates are for, as URLs have them.
    pub(crate) fn names(&self) -> Vec<String> {
        let (current, mut all) = (self.current.load(), Vec::new());
        for names in current.pairs.iter().map(|pair| pair.chain().names()) {
            all.extend(names.dns.iter().cloned());
            all.extend(names.addresses.iter().map(|address| match address {
                IpAddr::V4(address) => address.to_string(),
                IpAddr::V6(address) => format!("[{address}]"),
            }));
        }
        all
    }

    /// The certificate of a client that names no host, as DER.
    #[cfg(test)]
    pub(crate) fn default_leaf(&self) -> Vec<u8> {
        self.current.load().choose(None).chain().leaf().to_vec()
    }
}

impl ResolvesServerCert for CertificateStore {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(self.current.load().choose(hello.server_name()).certified()))
    }
}

impl fmt::Debug for CertificateStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CertificateStore").field("files", &self.files).finish_non_exhaustive()
    }
}

/// Pairs, never none, and which of them is for a name.
struct Selection {
    pairs: Vec<Arc<Pair>>,
    /// From a DNS name as the certificate has it, in lower case and with its `*.`, to a place in `pairs`.
    by_name: HashMap<String, usize>,
}

impl Selection {
    fn of(pairs: Vec<Arc<Pair>>) -> Self {
        let mut by_name = HashMap::new();
        for (place, pair) in pairs.iter().enumerate() {
            for name in &pair.chain().names().dns {
                by_name.entry(name.clone()).or_insert(place);
            }
        }
        Self { pairs, by_name }
    }

    fn choose(&self, server_name: Option<&str>) -> &Pair {
        let place = server_name.and_then(|name| {
            let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
            // A wildcard stands for exactly one label.
            let wildcard = || self.by_name.get(&format!("*.{}", name.split_once('.')?.1));
            self.by_name.get(&name).or_else(wildcard)
        });
        &self.pairs[place.copied().unwrap_or(0)]
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rcgen::{
        ExtendedKeyUsagePurpose, PKCS_ECDSA_P384_SHA384, PKCS_ECDSA_P521_SHA512, PKCS_ED25519, PKCS_RSA_SHA256,
    };
    use time::{Duration, OffsetDateTime};

    use super::*;
    use crate::tls::samples::{Samples, pem, without_extensions, without_pkcs8};

    fn refused(files: &[KeyPairFiles]) -> Vec<String> {
        let problems = CertificateStore::load(files).unwrap_err();
        problems.iter().map(ToString::to_string).collect()
    }

    /// Loading this pair fails with one problem, which says `what` and names `file`.
    #[track_caller]
    fn refused_for(files: &KeyPairFiles, file: &Path, what: &str) {
        let problems = refused(std::slice::from_ref(files));
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].starts_with(&format!("{} ", file.display())) && problems[0].contains(what), "{problems:?}");
    }

    /// The certificate that would be served, as DER.
    fn served(store: &CertificateStore, name: Option<&str>) -> Vec<u8> {
        store.current.load().choose(name).chain().leaf().to_vec()
    }

    fn one_warning(files: &KeyPairFiles) -> String {
        let warnings = CertificateStore::load(std::slice::from_ref(files)).unwrap().warnings();
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        warnings[0].to_string()
    }

    #[test]
    fn a_good_pair_is_loaded_without_a_warning() {
        let samples = Samples::new();
        let files = samples.pair("a", &["a.example"]);
        let store = CertificateStore::load(std::slice::from_ref(&files)).unwrap();
        assert_eq!(store.warnings(), []);
        assert_eq!(store.files(), [files.certificate, files.key]);
    }

    #[test]
    fn a_name_is_matched_exactly_then_by_one_wildcard_label_and_else_the_first_pair_is_served() {
        let samples = Samples::new();
        let first = samples.pair("first", &["default.example"]);
        let wild = samples.pair("wild", &["*.Apps.Example", "127.0.0.1"]);
        let exact = samples.pair("exact", &["one.apps.example", "default.example"]);
        let store = CertificateStore::load(&[first.clone(), wild.clone(), exact.clone()]).unwrap();
        for (name, pair) in [
            (Some("one.apps.example"), &exact),
            (Some("ONE.apps.EXAMPLE"), &exact),
            (Some("one.apps.example."), &exact),
            (Some("two.apps.example"), &wild),
            (Some("a.two.apps.example"), &first),
            (Some("apps.example"), &first),
            (Some("*.apps.example"), &wild),
            (Some("default.example"), &first),
            (Some("localhost"), &first),
            (Some(""), &first),
            (None, &first),
        ] {
            assert_eq!(served(&store, name), samples.der(pair), "{name:?}");
        }
    }

    #[test]
    fn rsa_ecdsa_and_ed25519_keys_are_read_as_pkcs8_sec1_and_pkcs1() {
        let samples = Samples::new();
        for (algorithm, older) in [
            (&PKCS_RSA_SHA256, Some("RSA PRIVATE KEY")),
            (&rcgen::PKCS_ECDSA_P256_SHA256, Some("EC PRIVATE KEY")),
            (&PKCS_ECDSA_P384_SHA384, Some("EC PRIVATE KEY")),
            (&PKCS_ECDSA_P521_SHA512, None),
            (&PKCS_ED25519, None),
        ] {
            let key = rcgen::KeyPair::generate_for(algorithm).unwrap();
            let files = samples.pair_of("a", &key, |_| ());
            CertificateStore::load(std::slice::from_ref(&files)).unwrap();
            if let Some(label) = older {
                fs::write(&files.key, pem(label, &without_pkcs8(key.serialized_der()))).unwrap();
                CertificateStore::load(&[files]).unwrap();
            }
        }
    }

    #[test]
    fn all_problems_of_all_pairs_are_told_at_once() {
        let samples = Samples::new();
        let good = samples.pair("good", &["a.example"]);
        let expired = samples.pair_with("expired", |params| {
            params.not_before = OffsetDateTime::now_utc() - Duration::days(9);
            params.not_after = OffsetDateTime::now_utc() - Duration::days(2);
        });
        fs::remove_file(&expired.key).unwrap();
        let absent = KeyPairFiles { certificate: samples.path("x.crt"), key: samples.path("x.key") };
        let problems = refused(&[good, expired, absent]);
        assert_eq!(problems.len(), 4, "{problems:?}");
        assert!(problems[0].contains("expired.key cannot be read"), "{problems:?}");
        assert!(problems[1].contains("expired.crt expired on"), "{problems:?}");
        assert!(problems[2].contains("x.crt cannot be read"), "{problems:?}");
        assert!(problems[3].contains("x.key cannot be read"), "{problems:?}");
    }

    #[test]
    fn no_pair_at_all_is_a_problem() {
        assert_eq!(refused(&[]), ["tls.certificate is not set: name a PEM file"]);
    }

    #[test]
    fn a_certificate_that_is_not_valid_yet_is_refused_and_the_clock_is_named() {
        let samples = Samples::new();
        let files =
            samples.pair_with("early", |params| params.not_before = OffsetDateTime::now_utc() + Duration::days(1));
        refused_for(&files, &files.certificate, "is not valid before");
    }

    #[test]
    fn a_certificate_that_ends_within_two_weeks_is_served_with_a_warning() {
        let samples = Samples::new();
        let ends_in =
            |days| samples.pair_with("a", |params| params.not_after = OffsetDateTime::now_utc() + Duration::days(days));
        assert!(one_warning(&ends_in(13)).contains("expires in 12 days, on "));
        assert_eq!(CertificateStore::load(&[ends_in(15)]).unwrap().warnings(), []);
    }

    #[test]
    fn the_key_of_another_certificate_is_refused() {
        let samples = Samples::new();
        let (a, b) = (samples.pair("a", &["a.example"]), samples.pair("b", &["b.example"]));
        let mixed = KeyPairFiles { key: b.key, ..a };
        refused_for(&mixed, &mixed.certificate, "does not belong to the key in");
    }

    #[test]
    fn a_chain_that_does_not_begin_with_the_leaf_is_refused_and_says_its_order() {
        let samples = Samples::new();
        let files = samples.pair("a", &["a.example"]);
        let leaf = fs::read_to_string(&files.certificate).unwrap();
        fs::write(&files.certificate, format!("{}{leaf}", samples.authority_pem())).unwrap();
        refused_for(&files, &files.certificate, "is number 2 in it and has to be the first");
        fs::write(&files.certificate, format!("{leaf}{}", samples.authority_pem())).unwrap();
        assert_eq!(CertificateStore::load(&[files]).unwrap().warnings(), []);
    }

    #[test]
    fn a_chain_with_a_stranger_in_it_is_served_with_a_warning() {
        let samples = Samples::new();
        let (a, b) = (samples.pair("a", &["a.example"]), samples.pair("b", &["b.example"]));
        let both = fs::read_to_string(&a.certificate).unwrap() + &fs::read_to_string(&b.certificate).unwrap();
        fs::write(&a.certificate, both).unwrap();
        assert!(one_warning(&a).contains("certificate 1 was not issued by certificate 2"));
    }

    #[test]
    fn a_certificate_with_only_a_common_name_is_served_with_a_warning() {
        let samples = Samples::new();
        assert!(one_warning(&samples.pair("a", &[])).contains("has no subjectAltName"));
    }

    #[test]
    fn a_version_1_certificate_as_the_tutorials_make_it_is_served_with_a_warning() {
        let samples = Samples::new();
        let files = samples.pair("a", &[]);
        fs::write(&files.certificate, pem("CERTIFICATE", &without_extensions(&samples.der(&files)))).unwrap();
        assert!(one_warning(&files).contains("has no subjectAltName"));
        let other = KeyPairFiles { key: samples.pair("b", &[]).key, ..files };
        refused_for(&other, &other.certificate, "does not belong to the key in");
    }

    #[test]
    fn a_certificate_for_clients_only_is_served_with_a_warning() {
        let samples = Samples::new();
        let files =
            samples.pair_with("a", |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth]);
        assert!(one_warning(&files).contains("lacks serverAuth"));
    }

    #[test]
    fn an_encrypted_key_is_refused_with_the_command_that_decrypts_it() {
        let samples = Samples::new();
        let files = samples.pair("a", &["a.example"]);
        let decrypt = format!("openssl pkey -in {0} -out {0}.plain", files.key.display());
        fs::write(&files.key, pem("ENCRYPTED PRIVATE KEY", b"whatever")).unwrap();
        refused_for(&files, &files.key, &decrypt);
        let old = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n";
        fs::write(&files.key, old).unwrap();
        refused_for(&files, &files.key, &decrypt);
    }

    #[test]
    fn a_file_that_holds_something_else_is_told_apart() {
        let samples = Samples::new();
        let good = samples.pair("a", &["a.example"]);
        let swapped = KeyPairFiles { certificate: good.key.clone(), key: good.certificate.clone() };
        let problems = refused(std::slice::from_ref(&swapped));
        assert!(problems.len() == 2 && problems.iter().all(|p| p.contains("are certificate and key swapped?")));

        let broken = |content: &[u8]| {
            let files = KeyPairFiles { certificate: samples.path("broken"), key: good.key.clone() };
            fs::write(&files.certificate, content).unwrap();
            files
        };
        for (content, what) in [
            (&b""[..], "it is empty"),
            (&b"hello"[..], "it is not a PEM file"),
            (&samples.der(&good)[..], "it is binary"),
            (pem("CERTIFICATE", b"no DER").as_bytes(), "certificate 1 in it does not parse"),
            (b"-----BEGIN CERTIFICATE-----\nAAAA", "is damaged"),
        ] {
            let files = broken(content);
            refused_for(&files, &files.certificate, what);
        }
    }

    #[test]
    fn a_key_that_tls_cannot_use_is_refused_with_the_kinds_that_it_can() {
        let samples = Samples::new();
        let files = samples.pair("a", &["a.example"]);
        fs::write(&files.key, pem("PRIVATE KEY", b"no key")).unwrap();
        refused_for(&files, &files.key, "Ed25519");
        fs::write(&files.key, "-----BEGIN PRIVATE KEY-----\nsecret!!\n-----END PRIVATE KEY-----\n").unwrap();
        refused_for(&files, &files.key, "is damaged");
        assert!(!refused(std::slice::from_ref(&files))[0].contains("secret"));
    }

    #[test]
    fn a_reload_serves_the_new_certificate() {
        let samples = Samples::new();
        let files = samples.pair("a", &["a.example"]);
        let store = CertificateStore::load(std::slice::from_ref(&files)).unwrap();
        let old = served(&store, None);
        samples.pair("a", &["a.example"]);
        assert_eq!(served(&store, None), old);
        assert!(store.reload().unwrap());
        assert_eq!(served(&store, None), samples.der(&files));
        assert_ne!(served(&store, None), old);
        assert!(!store.reload().unwrap());
    }

    #[test]
    fn a_bad_pair_keeps_its_old_one_and_does_not_hold_up_the_others() {
        let samples = Samples::new();
        let (a, b) = (samples.pair("a", &["a.example"]), samples.pair("b", &["b.example"]));
        let store = CertificateStore::load(&[a.clone(), b.clone()]).unwrap();
        let old = served(&store, Some("b.example"));

        let half = samples.pair("half", &["b.example"]);
        fs::copy(&half.certificate, &b.certificate).unwrap();
        samples.pair("a", &["a.example"]);
        let problems = store.reload().unwrap_err();
        assert_eq!(problems.iter().count(), 1);
        assert_eq!(problems.to_string().lines().count(), 1);
        assert!(problems.to_string().starts_with(&format!("{} ", b.certificate.display())), "{problems}");
        assert_eq!(served(&store, Some("b.example")), old);
        assert_eq!(served(&store, Some("a.example")), samples.der(&a));

        fs::copy(&half.key, &b.key).unwrap();
        assert!(store.reload().unwrap());
        assert_eq!(served(&store, Some("b.example")), samples.der(&half));
    }
}
