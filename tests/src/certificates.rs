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

    /// The same in another directory.
    ///
    /// # Panics
    /// When openssl fails.
    pub fn issue_in(&self, dir: &Path, stem: &str, names: &[&str]) -> Pair {
        let path = |suffix: &str| dir.join(format!("{stem}.{suffix}"));
        let pair = Pair { certificate: path("crt"), key: path("key") };
        new_key(&pair.key);
        fs::write(path("ext"), subject_alternative_names(names)).expect("the directory is ours");
        let subject = format!("/CN={}", names.first().copied().unwrap_or(stem));
        let out = Path::new("-out");
        openssl(&["req", "-new", "-subj", &subject, "-key"], &[&pair.key, out, &path("csr")]);
        openssl(
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
    finish(tool("openssl").args(arguments).args(paths)).success();
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
