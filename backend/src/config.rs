//! The configuration file: `conf/backend.toml` has every key with its default. Any key can be
//! overridden by the environment, as in `LOCKGATE_BACKEND_STORAGE_DATA`.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use lockgate_settings::{ByteSize, Endpoint, Log, Period, Prefix, Problems};
use serde::Deserialize;

use crate::Options;

/// Environment variables whose names begin so are its own.
pub const ENV_PREFIX: Prefix = Prefix::new("LOCKGATE_BACKEND");

/// Everything that can be configured. A key that is not written has its default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `[listen]`
    pub listen: Listen,
    /// `[storage]`
    pub storage: Storage,
    /// `[limits]`
    pub limits: Limits,
    /// `[log]`
    pub log: Log,
    /// `[shutdown]`
    pub shutdown: Shutdown,
}

/// `[listen]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Listen {
    /// Where plain HTTP is spoken: `0.0.0.0:5000`, or `unix:/run/lockgate/backend.sock`.
    pub http: Endpoint,
}

/// `[storage]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Storage {
    /// The directory that everything is kept in; the volume of a `registry:2`, if there is one.
    pub data: PathBuf,
    /// Whether manifests, tags and blobs may be deleted.
    pub delete: bool,
    /// The largest manifest that is accepted.
    pub manifest_size: ByteSize,
    /// Whether a manifest is accepted whose content is not all in its repository.
    pub sparse: bool,
    /// How long an upload that nobody goes on with is kept.
    pub upload_age: Period,
}

/// `[limits]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// How long a connection may stay without a request; longer than the proxy keeps one.
    pub idle_timeout: Period,
    /// How long a client may be silent within a request's body.
    pub body_timeout: Period,
}

/// `[shutdown]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Shutdown {
    /// How long requests may go on after SIGTERM or SIGINT.
    pub grace: Period,
}

impl Default for Listen {
    fn default() -> Self {
        Self { http: Endpoint::Tcp(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 5000))) }
    }
}

impl Default for Storage {
    fn default() -> Self {
        Self {
            data: "/var/lib/registry".into(),
            delete: true,
            manifest_size: ByteSize::from_mib(4),
            sparse: false,
            upload_age: Period::from_secs(7 * 24 * 60 * 60),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { idle_timeout: Period::from_secs(120), body_timeout: Period::from_secs(300) }
    }
}

impl Default for Shutdown {
    fn default() -> Self {
        Self { grace: Period::from_secs(30) }
    }
}

impl Config {
    /// Reads a file, and the environment over it.
    ///
    /// # Errors
    /// Every problem at once, each with its line and column or its variable.
    pub fn load(file: &Path) -> Result<Self, Problems> {
        lockgate_settings::load(file, ENV_PREFIX)
    }

    /// What of it the registry itself goes by.
    pub fn options(&self) -> Options {
        Options {
            idle_timeout: self.limits.idle_timeout.duration(),
            body_timeout: self.limits.body_timeout.duration(),
            grace: self.shutdown.grace.duration(),
            ..self.storage.options()
        }
    }
}

impl Storage {
    /// What of it a registry goes by that has no connections of its own.
    pub fn options(&self) -> Options {
        Options {
            delete: self.delete,
            manifest_size: self.manifest_size.bytes(),
            sparse: self.sparse,
            upload_age: self.upload_age.duration(),
            ..Options::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = include_str!("../../conf/backend.toml");

    fn parse(text: &str, env: &[(&str, &str)]) -> Result<Config, Problems> {
        let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        lockgate_settings::parse(text, Path::new("backend.toml"), ENV_PREFIX, env)
    }

    #[test]
    fn the_example_has_every_key_with_its_default() {
        assert_eq!(parse(EXAMPLE, &[]).unwrap(), Config::default());
        assert_eq!(parse("", &[]).unwrap(), Config::default());
        // Every field of the shape, as Debug prints it, is a key that the example writes.
        let shape = format!("{:#?}", Config::default());
        for field in shape.lines().filter_map(|line| line.trim().split_once(':')).map(|(field, _)| field) {
            let is_key = field.chars().all(|c| c.is_ascii_lowercase() || c == '_');
            let written = EXAMPLE.lines().any(|l| l.starts_with(&format!("{field} =")) || l == format!("[{field}]"));
            assert!(!is_key || written, "{field}");
        }
    }

    #[test]
    fn the_options_of_the_defaults_are_the_default_options() {
        assert_eq!(Config::default().options(), Options::default());
    }

    #[test]
    fn the_environment_overrides_the_file() {
        let env = [("LOCKGATE_BACKEND_STORAGE_DATA", "/srv/x"), ("LOCKGATE_BACKEND_LISTEN_HTTP", "unix:/run/x.sock")];
        let config = parse(EXAMPLE, &env).unwrap();
        assert_eq!(config.storage.data, Path::new("/srv/x"));
        assert_eq!(config.listen.http, Endpoint::Unix("/run/x.sock".into()));
    }

    #[test]
    fn every_mistake_is_reported_with_its_line() {
        let problems = parse("[storage]\ndelet = true\n[log]\nlevel = \"loud\"\n", &[]).unwrap_err().to_string();
        assert!(problems.contains("backend.toml:2:") && problems.contains("backend.toml:4:"), "{problems}");
    }
}
