//! Certificates, made with the real `openssl` as the guides make them.

use crate::process::finish;
use crate::programs::tool;
use std::fs;
use std::path::{Path, PathBuf};

/// A certificate authority of the test's own.
#[derive(Debug, Clone)]
pub struct Authority {
    dir: PathBuf,
    /// Its certificate, which clients are told to trust.
    pub certificate: PathBuf,
    key: PathBuf,
}

/// A certificate and its key.
#[derive(Debug, Clone)]
pub struct Pair {
    /// PEM.
    pub certificate: PathBuf,
    /// PEM.
    pub key: PathBuf,
}

impl Authority {
    /// A new one in `dir`, in the guides' file name `devdockerCA.crt`.
    ///
    /// # Panics
    /// When openssl fails.
    pub fn new(dir: &Path) -> Self {
        let (certificate, key) = (dir.join("devdockerCA.crt"), dir.join("devdockerCA.key"));
        new_key(&key);
        openssl(
            &["req", "-x509", "-new", "-days", "30", "-subj", "/CN=Lockgate test CA", "-key"],
            &[&key, Path::new("-out"), &certificate],
        );
        Self { dir: dir.to_path_buf(), certificate, key }
    }

    /// A certificate `STEM.crt` with `STEM.key` for these names and addresses.
    ///
    /// # Panics
    /// When openssl fails.
    pub fn issue(&self, stem: &str, names: &[&str]) -> Pair {
        self.issue_in(&self.dir, stem, names)
    }

    /// The same on another day than today: good for 30 days from then.
    ///
    /// # Panics
    /// When openssl fails.
    pub fn issue_on_day(&self, day: i64, stem: &str, names: &[&str]) -> Pair {
        self.issue_with(&self.dir, stem, &subject_alternative_names(names), names, day)
    }

    /// The same with the address of its issuer's certificate in it, as public authorities have it.
    ///
    /// # Panics
    /// When openssl fails.
    pub fn issue_as_public(&self, stem: &str, names: &[&str]) -> Pair {
        let issuer = "authorityInfoAccess=caIssuers;URI:http://authority.example.com/issuer.crt\n";
        self.issue_with(&self.dir, stem, &(subject_alternative_names(names) + issuer), names, 0)
    }

    /// An authority that this one vouches for.
    ///
    /// # Panics
    /// When openssl fails.
    pub fn subordinate(&self, stem: &str) -> Self {
        self.subordinate_on_day(0, stem)
    }

    /// The same on another day than today: good for 30 days from then.
    ///
    /// # Panics
    /// When openssl fails.
    pub fn subordinate_on_day(&self, day: i64, stem: &str) -> Self {
        let extensions = "basicConstraints=critical,CA:TRUE\nkeyUsage=keyCertSign\n";
        let Pair { certificate, key } = self.issue_with(&self.dir, stem, extensions, &[stem], day);
        Self { dir: self.dir.clone(), certificate, key }
    }

    /// The same in another directory.
    ///
    /// # Panics
    /// When openssl fails.
    pub fn issue_in(&self, dir: &Path, stem: &str, names: &[&str]) -> Pair {
        self.issue_with(dir, stem, &subject_alternative_names(names), names, 0)
    }

    fn issue_with(&self, dir: &Path, stem: &str, extensions: &str, names: &[&str], day: i64) -> Pair {
        let path = |suffix: &str| dir.join(format!("{stem}.{suffix}"));
        let pair = Pair { certificate: path("crt"), key: path("key") };
        new_key(&pair.key);
        fs::write(path("ext"), extensions).expect("the directory is ours");
        let subject = format!("/CN={}", names.first().copied().unwrap_or(stem));
        let out = Path::new("-out");
        openssl(&["req", "-new", "-subj", &subject, "-key"], &[&pair.key, out, &path("csr")]);
        openssl_on_day(
            day,
            &["x509", "-req", "-days", "30", "-CAcreateserial", "-in"],
            &[
                &path("csr"),
                Path::new("-CA"),
                &self.certificate,
                Path::new("-CAkey"),
                &self.key,
                Path::new("-extfile"),
                &path("ext"),
                out,
                &pair.certificate,
            ],
        );
        pair
    }
}

impl Pair {
    /// One that vouches for itself.
    ///
    /// # Panics
    /// When openssl fails.
    pub fn self_signed(dir: &Path, stem: &str, names: &[&str]) -> Self {
        let pair = Self { certificate: dir.join(format!("{stem}.crt")), key: dir.join(format!("{stem}.key")) };
        new_key(&pair.key);
        let names = subject_alternative_names(names);
        openssl(
            &["req", "-x509", "-new", "-days", "30", "-subj", "/CN=itself", "-addext", names.trim_end(), "-key"],
            &[&pair.key, Path::new("-out"), &pair.certificate],
        );
        pair
    }

    /// The same with another certificate in its file, as a full chain has them.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn followed_by(&self, other: &Path) -> Self {
        let [own, other] = [&self.certificate, other].map(|file| fs::read_to_string(file).expect("it is there"));
        let certificate = self.certificate.with_extension("chain.crt");
        fs::write(&certificate, own + &other).expect("the directory is ours");
        Self { certificate, key: self.key.clone() }
    }
}

fn subject_alternative_names(names: &[&str]) -> String {
    let entry = |name: &&str| {
        if name.parse::<std::net::IpAddr>().is_ok() { format!("IP:{name}") } else { format!("DNS:{name}") }
    };
    format!("subjectAltName={}\n", names.iter().map(entry).collect::<Vec<_>>().join(","))
}

/// P-256: made in a millisecond, where an RSA key takes a good part of a second.
fn new_key(path: &Path) {
    openssl(&["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out"], &[path]);
}

fn openssl(arguments: &[&str], paths: &[&Path]) {
    openssl_on_day(0, arguments, paths);
}

/// So many days from today.
fn openssl_on_day(day: i64, arguments: &[&str], paths: &[&Path]) {
    let mut openssl = tool("openssl");
    if day != 0 {
        openssl = tool("faketime");
        openssl.args(["-f", &format!("{day:+}d"), "openssl"]);
    }
    finish(openssl.args(arguments).args(paths)).success();
}

/// Puts `content` where `target` is in one step, as careful tools do: a new file renamed over the old.
///
/// # Panics
/// When the directory cannot be written.
pub fn rename_over(target: &Path, content: impl AsRef<[u8]>) {
    let fresh = target.with_extension("fresh");
    fs::write(&fresh, content).expect("the directory is ours");
    fs::rename(&fresh, target).expect("it is the same directory");
}
