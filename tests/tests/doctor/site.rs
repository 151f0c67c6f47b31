//! A registry and what stands before it.

use lockgate_e2e::{Authority, Backend, DockerRegistry, Front, Pair, fresh_dir};
use std::collections::BTreeMap;
use std::fmt::Display;
use tempfile::TempDir;

use crate::asked::Doctor;

/// A registry with its storage, and certificates.
pub(crate) struct Site<R> {
    pub(crate) registry: R,
    pub(crate) certificates: Certificates,
    // The last field: it goes when the registry is gone.
    _data: TempDir,
}

/// An authority, and a certificate for the loopback address.
pub(crate) struct Certificates {
    pub(crate) authority: Authority,
    pub(crate) pair: Pair,
    pub(crate) dir: TempDir,
}

impl Certificates {
    pub(crate) fn new() -> Self {
        let dir = fresh_dir();
        let authority = Authority::new(dir.path());
        let pair = authority.issue("front", &["localhost", "127.0.0.1"]);
        Self { authority, pair, dir }
    }
}

/// Ours.
pub(crate) fn backend() -> Site<Backend> {
    let data = fresh_dir();
    // How full this machine's disk is, is not the test's matter.
    let registry = Backend::configured_over(data.path(), "storage.min_free = '0'");
    Site { registry, certificates: Certificates::new(), _data: data }
}

/// `registry:2`.
pub(crate) fn registry2() -> Site<DockerRegistry> {
    let data = fresh_dir();
    Site { registry: DockerRegistry::over(data.path()), certificates: Certificates::new(), _data: data }
}

/// `registry:2` with something else of it.
pub(crate) fn registry2_as(start: impl Fn(&std::path::Path, &Certificates) -> DockerRegistry) -> Site<DockerRegistry> {
    let data = fresh_dir();
    let certificates = Certificates::new();
    Site { registry: start(data.path(), &certificates), certificates, _data: data }
}

impl Site<Backend> {
    pub(crate) fn nginx(&self) -> Nginx {
        Nginx::before(self.registry.url(), &self.certificates.pair)
    }
}

impl Site<DockerRegistry> {
    pub(crate) fn nginx(&self) -> Nginx {
        Nginx::before(self.registry.url(), &self.certificates.pair)
    }
}

impl<R> Site<R> {
    /// Asks what is before it.
    pub(crate) fn ask(&self, front: &Front) -> Doctor {
        Doctor::of(front.address()).trusting(&self.certificates.authority.certificate)
    }
}

/// nginx as a guide has it that is right, to be broken line by line.
pub(crate) struct Nginx {
    listen: String,
    path: String,
    server: String,
    location: BTreeMap<String, String>,
}

impl Nginx {
    pub(crate) fn before(url: impl Display, pair: &Pair) -> Self {
        let (certificate, key) = (pair.certificate.display(), pair.key.display());
        let server = format!("ssl_certificate {certificate}; ssl_certificate_key {key};\n");
        let nginx = Self { listen: "ssl".into(), path: "/v2/".into(), server, location: BTreeMap::new() };
        [
            ("proxy_pass", url.to_string().as_str()),
            ("proxy_set_header Host", "$http_host"),
            ("proxy_set_header X-Forwarded-Proto", "$scheme"),
            ("proxy_http_version", "1.1"),
            ("proxy_request_buffering", "off"),
            ("client_max_body_size", "0"),
        ]
        .into_iter()
        .fold(nginx, |nginx, (key, value)| nginx.set(key, value))
    }

    /// A line of the location, in the place of another of that name.
    pub(crate) fn set(mut self, key: &str, value: &str) -> Self {
        self.location.insert(key.to_owned(), value.to_owned());
        self
    }

    pub(crate) fn without(mut self, key: &str) -> Self {
        assert!(self.location.remove(key).is_some(), "there is a {key}");
        self
    }

    /// Lines of the server.
    pub(crate) fn server(mut self, lines: &str) -> Self {
        self.server += lines;
        self
    }

    pub(crate) fn at(self, path: &str) -> Self {
        Self { path: path.to_owned(), ..self }
    }

    pub(crate) fn without_tls(self) -> Self {
        Self { listen: String::new(), ..self }
    }

    pub(crate) fn start(&self) -> Front {
        let Self { listen, path, server, location } = self;
        let lines: String = location.iter().map(|(key, value)| format!("  {key} {value};\n")).collect();
        Front::nginx(|address| {
            format!(
                "events {{}}\nhttp {{ server {{ listen {address} {listen};\n{server}location {path} {{\n{lines}}} }} }}\n"
            )
        })
    }
}
