//! The configuration: a field is a key, as `lockgate_settings` has it. `conf/backend.toml` has every key with its
//! default. Any key can be overridden by the environment, as in `LOCKGATE_BACKEND_STORAGE_DATA`.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use lockgate_settings::{Configuration, Endpoint, Log, Period, Prefix, SizeWithin};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use smart_default::SmartDefault;

/// All sections, in the order in which `conf/backend.toml` has them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where requests come in.
    pub listen: Listen,
    /// What is kept, and where.
    pub storage: Storage,
    /// How long a client is waited for.
    pub limits: Limits,
    /// What is written to standard error.
    pub log: Log,
    /// What SIGTERM and SIGINT begin.
    pub shutdown: Shutdown,
}

impl Configuration for Config {
    const PREFIX: Prefix = Prefix::new("LOCKGATE_BACKEND");
}

/// `[listen]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema, SmartDefault)]
#[serde(default, deny_unknown_fields)]
pub struct Listen {
    /// Where plain HTTP is spoken: an address and a port, or a Unix socket as in "unix:/run/lockgate/backend.sock",
    /// which its owner and its group may use. Nobody is asked for a password here: let only the proxy reach it.
    #[default(Endpoint::Tcp(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 5000))))]
    pub http: Endpoint,
}

/// `[storage]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema, SmartDefault)]
#[serde(default, deny_unknown_fields)]
pub struct Storage {
    /// The directory that everything is kept in. It may be the volume of a registry:2 (what is mounted at its
    /// /var/lib/registry), and registry:2 may open it again afterwards; not both at the same time.
    #[serde(with = "lockgate_settings::path")]
    #[schemars(schema_with = "lockgate_settings::path::schema")]
    #[default("/var/lib/registry".into())]
    pub data: PathBuf,
    /// Whether manifests, tags and blobs may be deleted. Otherwise DELETE is answered with 405.
    #[default = true]
    pub delete: bool,
    /// The largest manifest that is accepted. Clients count on 4 MiB.
    #[default(const { SizeWithin::of(4 << 20) })]
    pub manifest_size: SizeWithin<1, { 1 << 30 }>,
    /// Whether a manifest is accepted that names blobs or manifests which are not in its repository, as mirrors push
    /// that copy only some platforms of an image. A pull of what is missing fails later.
    pub sparse: bool,
    /// How long an upload that nobody goes on with is kept. Older ones are removed, a minute after the start and then
    /// every quarter of this time (every six hours at the longest), slowly, so that no request waits for it; those of a
    /// registry:2 that used the directory before, too.
    #[default(Period::from_secs(7 * 24 * 60 * 60))]
    pub upload_age: Period,
}

/// `[limits]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema, SmartDefault)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// How long a connection may stay open without a request. Keep it longer than the proxy keeps idle connections (its
    /// upstream.idle_timeout), so that it is the proxy that closes them.
    #[default(Period::from_secs(120))]
    pub idle_timeout: Period,
    /// How long a client may be silent in the middle of a request's body. What came before is kept, and the upload can
    /// go on.
    #[default(Period::from_secs(300))]
    pub body_timeout: Period,
}

/// `[shutdown]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema, SmartDefault)]
#[serde(default, deny_unknown_fields)]
pub struct Shutdown {
    /// How long requests may go on after SIGTERM or SIGINT. When none runs, it ends at once.
    #[default(Period::from_secs(30))]
    pub grace: Period,
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect_file;
    use lockgate_settings::{Problems, Reference};
    use std::path::Path;

    const EXAMPLE: &str = include_str!("../../conf/backend.toml");

    fn parse(text: &str, env: &[(&str, &str)]) -> Result<Config, Problems> {
        let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Config::parse(text, Path::new("backend.toml"), env)
    }

    #[test]
    fn the_example_and_the_schema_are_made_of_the_fields() {
        let reference = Reference::of::<Config>();
        let introduction = "The registry behind the gate: lockgate-backend serve --config conf/backend.toml\n\n\
            Every key is here with its default. Each can be overridden by the environment, by the variable above it.\n\n\
            make conf writes this file: a key is a field in backend/src/config.rs.";
        expect_file!["../../conf/backend.toml"].assert_eq(&reference.example(introduction, "./backend.schema.json"));
        expect_file!["../../conf/backend.schema.json"].assert_eq(&reference.schema());
    }

    #[test]
    fn the_example_says_the_defaults() {
        assert_eq!(parse(EXAMPLE, &[]).unwrap(), Config::default());
        assert_eq!(parse("", &[]).unwrap(), Config::default());
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
