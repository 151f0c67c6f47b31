//! The configuration: a field is a key, as `lockgate_settings` has it. `conf/backend.toml` has every key with its
//! default. Any key can be overridden by the environment, as in `LOCKGATE_BACKEND_STORAGE_DATA`.

mod data;
mod quota;
mod repositories;
mod retention;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use lockgate_settings::{
    Admin, ByteSize, Configuration, Endpoint, Log, Period, PeriodOrZero, Prefix, Share, SizeWithin, Within, listed,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use smart_default::SmartDefault;

pub use data::{Bucket, Data, DataError, S3Server, S3ServerError};
pub use quota::Quota;
pub use repositories::Repositories;
pub use retention::{Keep, Retention};

/// All sections, in the order in which `conf/backend.toml` has them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where requests come in.
    pub listen: Listen,
    /// What is kept, and where.
    pub storage: Storage,
    /// The server that has the bucket, where storage.data is one.
    pub s3: S3,
    /// How what nobody needs any more is removed.
    pub collect: Collect,
    /// Which tags are kept, as many blocks as you like; each begins with a line like this one. A change counts from the
    /// next run of the collector on, without a restart. lockgate-backend collect --plan FILE shows what a rule would
    /// remove.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub retention: Vec<Retention>,
    /// How much repositories may have, as many blocks as you like; each begins with a line like this one. A change counts
    /// within ten seconds, without a restart.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub quota: Vec<Quota>,
    /// How long a client is waited for.
    pub limits: Limits,
    /// Where whoever runs this asks how it is.
    pub admin: Admin,
    /// What is written to standard error.
    pub log: Log,
    /// What SIGTERM and SIGINT begin.
    pub shutdown: Shutdown,
}

impl Configuration for Config {
    const PREFIX: Prefix = Prefix::new("LOCKGATE_BACKEND");

    fn example() -> Self {
        Self { retention: Retention::examples(), quota: Quota::examples(), ..Self::default() }
    }
}

/// The blocks of the configuration that are read again while a registry is served.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Blocks {
    /// Which tags are kept.
    pub retention: Vec<Retention>,
    /// How much repositories may have.
    pub quota: Vec<Quota>,
}

impl Config {
    /// The blocks that are read again.
    pub fn blocks(&self) -> Blocks {
        Blocks { retention: self.retention.clone(), quota: self.quota.clone() }
    }
}

/// For a log.
pub(crate) fn told(Blocks { retention, quota }: &Blocks) -> String {
    let of = |kind: &str, repositories: Vec<String>| match repositories.is_empty() {
        true => format!("no {kind}"),
        false => format!("{kind} for {}", listed(repositories.into_iter())),
    };
    let kept = of("[[retention]]", retention.iter().map(|rule| rule.repositories.to_string()).collect());
    let bound = of("[[quota]]", quota.iter().map(|quota| quota.repositories.to_string()).collect());
    format!("{kept}, {bound}")
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
    /// What everything is kept in: a directory, or a bucket of S3 as "s3://bucket" or "s3://bucket/prefix" (the section
    /// s3 says where). A directory may be the volume of a registry:2 (what is mounted at its /var/lib/registry), and
    /// registry:2 may open it again afterwards; not both at the same time. A bucket may be that of a registry:2, with its
    /// rootdirectory for the prefix.
    #[default(Data::Directory("/var/lib/registry".into()))]
    pub data: Data,
    /// How many processes use a bucket: "many" at once, which needs a store that keeps conditions (If-Match,
    /// If-None-Match), or "one", which any store will do for. A start tries which it is. A directory is one process's.
    pub nodes: Nodes,
    /// Whether clients are sent to the bucket for blobs of more than 1 MiB: "off", or "auto". They must reach it then, at
    /// an address that is signed for a quarter of an hour; pages in a browser are never sent there.
    pub redirect: Redirect,
    /// By what name clients reach the bucket's server, where it is another than s3.endpoint. It must be neither the
    /// registry's own name nor one below it: some clients would show it the registry's password, so that none is sent
    /// there.
    pub redirect_endpoint: S3Server,
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
    /// How long what was deleted can be restored, and what a tag pointed at before it was moved. It takes its room
    /// as long. "0s": not at all.
    #[default(PeriodOrZero::from_secs(7 * 24 * 60 * 60))]
    pub trash_age: PeriodOrZero,
    /// How much of a directory's file system stays free: uploads are refused with 507 where there is less, so that there is
    /// room to delete. 0 is none.
    #[default(ByteSize::from_bytes(1 << 30))]
    pub min_free: ByteSize,
}

/// How many processes use a bucket at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Nodes {
    /// This one alone.
    One,
    /// Any number.
    #[default]
    Many,
}

/// Where blobs are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Redirect {
    /// Here.
    #[default]
    Off,
    /// Large ones at the bucket's server.
    Auto,
}

/// `[s3]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema, SmartDefault)]
#[serde(default, deny_unknown_fields)]
pub struct S3 {
    /// The server, as in `https://s3.example.org` or `http://127.0.0.1:8333`. Empty is AWS, in the region below.
    /// Credentials are taken from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or else of the file that
    /// AWS_SHARED_CREDENTIALS_FILE names (~/.aws/credentials; AWS_PROFILE is the section), or else of the role of the
    /// container or the machine. They need s3:ListBucket, s3:GetObject, s3:PutObject, s3:DeleteObject and
    /// s3:AbortMultipartUpload.
    pub endpoint: S3Server,
    /// The region that the bucket is in. Other servers than AWS mostly take any.
    #[default("us-east-1".to_owned())]
    pub region: String,
    /// Whether the bucket stands in the path of a URL and not in the name of its host. Most servers other than AWS want
    /// this, and buckets with a dot in their name.
    pub path_style: bool,
    /// Whether an endpoint may be http://, which sends everything unencrypted.
    pub allow_http: bool,
    /// How large the parts are that blobs are uploaded in. A blob has at most 10,000: 156 GiB with 16 MiB.
    #[default(const { SizeWithin::of(16 << 20) })]
    pub part_size: SizeWithin<{ 5 << 20 }, { 1 << 30 }>,
    /// How many parts are sent at a time, of all uploads. Each takes memory of its size, and so does what gathers.
    #[default(const { Within::of(4) })]
    pub parts_in_flight: Within<1, 64>,
    /// A file with certificates (PEM) that the server's may be signed by, beside those that the system trusts. Empty is
    /// none.
    #[serde(with = "lockgate_settings::path::if_any")]
    #[schemars(schema_with = "lockgate_settings::path::schema")]
    pub ca_file: Option<PathBuf>,
}

/// `[collect]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema, SmartDefault)]
#[serde(default, deny_unknown_fields)]
pub struct Collect {
    /// How often it is looked what nobody needs. What was not needed the last time either is removed. "0s": only by
    /// lockgate-backend collect.
    #[default(PeriodOrZero::from_secs(24 * 60 * 60))]
    pub interval: PeriodOrZero,
    /// How long what was pushed, or asked for, stays without being needed by a manifest. The same at every node; one that
    /// learns of a shorter one goes by that.
    #[default(Period::from_secs(24 * 60 * 60))]
    pub grace: Period,
    /// How much one look removes, of the number of all blobs; a thousand objects in any case. The rest goes the next time.
    #[default(const { Share::of(20) })]
    pub max_delete: Share,
    /// How much of one processor's time, and of the storage's, it takes.
    #[default(const { Share::of(25) })]
    pub rate: Share,
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
        assert_eq!(config.storage.data.directory(), Some(Path::new("/srv/x")));
        assert_eq!(config.listen.http, Endpoint::Unix("/run/x.sock".into()));
    }

    #[test]
    fn data_may_be_a_bucket_of_a_server() {
        let text = "[storage]\ndata = \"s3://images/site\"\n[s3]\nendpoint = \"https://s3.example.org\"\n";
        let config = parse(text, &[("LOCKGATE_BACKEND_S3_PATH_STYLE", "true")]).unwrap();
        assert_eq!(config.storage.data, "s3://images/site".parse().unwrap());
        assert_eq!((config.s3.endpoint.to_string().as_str(), config.s3.path_style), ("https://s3.example.org", true));
        let problems = parse("[storage]\ndata = \"s3://Images\"\n[s3]\npart_size = \"1 MiB\"\n", &[]).unwrap_err();
        let problems = problems.to_string();
        assert!(problems.contains("backend.toml:2:") && problems.contains("small letters"), "{problems}");
        assert!(problems.contains("backend.toml:4:") && problems.contains("5MiB"), "{problems}");
    }

    #[test]
    fn what_is_kept_is_told_by_blocks() {
        let text = "[[retention]]\nrepositories = [\"team/**\"]\nkeep = [{ tags = [\"latest\", \"v*\"] }, \
            { tags = \"dev-*\", newest = 10 }, { pushed = \"30d\" }, { pulled = \"90d\" }]\nuntagged = \"7d\"\n\
            [[retention]]\nrepositories = \"**\"\n";
        let [team, others] = &parse(text, &[]).unwrap().retention[..] else { panic!("two blocks") };
        assert!(team.is_about(&"team/app".parse().unwrap()) && !team.is_about(&"other".parse().unwrap()));
        assert_eq!(team.untagged, Some(const { Period::from_secs(7 * 24 * 60 * 60) }));
        let told: Vec<String> = team.keep.iter().map(ToString::to_string).collect();
        let expected = [
            r#"{ tags = ["latest", "v*"] }"#,
            r#"{ tags = ["dev-*"], newest = 10 }"#,
            r#"{ pushed = "30d" }"#,
            r#"{ pulled = "90d" }"#,
        ];
        assert_eq!(told, expected);
        assert_eq!((others.keep.len(), others.untagged), (0, None));
    }

    #[test]
    fn the_example_of_a_block_can_be_used() {
        let commented = EXAMPLE.lines().skip_while(|line| *line != "#[[retention]]");
        let block: String = commented
            .take_while(|line| line.starts_with('#') || line.is_empty())
            .filter_map(|line| line.strip_prefix('#').filter(|line| !line.starts_with(' ')))
            .map(|line| format!("{line}\n"))
            .collect();
        assert_eq!(parse(&block, &[]).unwrap().retention, Retention::examples(), "{block}");
    }

    #[test]
    fn a_mistake_in_a_rule_is_told_with_its_line() {
        for (block, line, told) in [
            ("keep = [{ newest = 1 }]", 1, "repositories is missing"),
            ("repositories = []", 2, "there is nothing in it"),
            ("repositories = ['Team/*']", 2, "lower case"),
            ("repositories = ['home/${user}']", 2, "no name of a user"),
            ("repositories = 'a'\nkeep = [{}]", 3, "say what is kept"),
            ("repositories = 'a'\nkeep = [{ newst = 1 }]", 3, "did you mean newest"),
            ("repositories = 'a'\nkeep = [{ newest = 0 }]", 3, "from 1 to 1000000"),
            ("repositories = 'a'\nkeep = [{ tags = ['a', 'b/c'] }]", 3, "no tag can match it"),
            ("repositories = 'a'\nkeep = [{ pushed = 30 }]", 3, "a duration needs a unit"),
            ("repositories = 'a'\nuntaged = '7d'", 3, "did you mean untagged"),
        ] {
            let problems = parse(&format!("[[retention]]\n{block}\n"), &[]).unwrap_err().to_string();
            assert!(problems.contains(&format!("backend.toml:{line}:")) && problems.contains(told), "{problems}");
        }
    }

    #[test]
    fn every_mistake_is_reported_with_its_line() {
        let problems = parse("[storage]\ndelet = true\n[log]\nlevel = \"loud\"\n", &[]).unwrap_err().to_string();
        assert!(problems.contains("backend.toml:2:") && problems.contains("backend.toml:4:"), "{problems}");
    }
}
