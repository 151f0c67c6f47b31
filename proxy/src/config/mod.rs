//! The configuration: a TOML file and the environment, checked once.
//!
//! `raw` has the shape of the file, and its comments are the reference of the keys; a value that is
//! wrong is refused there, with its line and column. What comes out is a [`Config`], whose fields are
//! parsed addresses, compiled patterns and durations that nothing downstream checks again.

mod client_rule;
mod hsts;
mod origin;
mod raw;
mod realm;
mod tls_versions;
mod values;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::time::Duration;

use lockgate_settings::{Period, Prefix, Problems};

use crate::auth::{self, Allowance, Policy};
use crate::listener::certificate::KeyPairFiles;

pub use client_rule::ClientRule;
pub use hsts::{Hsts, HstsError};
pub use origin::Origin;
pub use raw::LogFormat;
pub use realm::Realm;
pub use tls_versions::TlsVersions;
use values::FilePath;

/// Every key `key` of `[section]` can be overridden by `LOCKGATE_<SECTION>_<KEY>`.
const ENV_PREFIX: Prefix = Prefix::new("LOCKGATE").except(&["LOCKGATE_BACKEND"]);

/// What the proxy is told, all of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Where clients come in.
    pub listen: Listen,
    /// What the proxy shows them.
    pub tls: Tls,
    /// Who they may be.
    pub auth: Auth,
    /// Where requests go.
    pub upstream: Upstream,
    /// Which clients are too old.
    pub clients: ClientRule,
    /// What a client may take its time for, and how much it may send.
    pub limits: Limits,
    /// What is written about it.
    pub log: Log,
    /// How it ends.
    pub shutdown: Shutdown,
}

/// Where clients come in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// The address of the TLS listener; port 0 lets the system choose.
    pub https: SocketAddr,
    /// The Unix socket where a successor comes.
    pub handover: Option<PathBuf>,
    /// Whether ALPN offers HTTP/2 beside HTTP/1.1.
    pub http2: bool,
    /// Threads that move bytes.
    pub threads: NonZeroUsize,
}

/// Certificates and their keys, and how they are spoken with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// At least one. The first is shown to clients that ask for no name that another one has.
    pub pairs: Vec<KeyPairFiles>,
    /// Which versions a client may use.
    pub versions: TlsVersions,
    /// What browsers are told about this host name.
    pub hsts: Hsts,
}

/// Users and passwords.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Auth {
    /// The users' file.
    pub htpasswd: PathBuf,
    /// What a client shows to the person who is asked for a password.
    pub realm: Realm,
    /// A bcrypt hash of a higher cost is refused at load; 4 to 31.
    pub max_bcrypt_cost: u32,
    /// How much hashing goes on, and for whom.
    pub limits: auth::Limits,
}

/// The registry behind the gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// Where it listens.
    pub origin: Origin,
    /// Until a connection to it stands.
    pub connect_timeout: Duration,
    /// Between two reads of its answer.
    pub read_timeout: Duration,
    /// Until it takes what is written to it.
    pub write_timeout: Duration,
    /// How long an unused connection is kept.
    pub idle_timeout: Duration,
    /// How many unused connections are kept.
    pub keepalive_connections: usize,
    /// Bytes that all pulls together may read ahead.
    pub read_ahead: u64,
    /// How often its name is resolved.
    pub resolve_interval: Duration,
    /// Whether it sees the clients' `Authorization` header.
    pub forward_authorization: bool,
}

/// Budgets of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// From the connection to the end of its TLS handshake.
    pub handshake_timeout: Duration,
    /// From the first byte of a request to the end of its header.
    pub header_timeout: Duration,
    /// Bytes of a request line with its header; 1 KiB to 1 MiB.
    pub header_size: usize,
    /// Fields of a request's header.
    pub header_count: usize,
    /// From one request's end to the first byte of the next.
    pub idle_timeout: Duration,
    /// Silence within a request's body.
    pub body_timeout: Duration,
    /// How long a client may take no byte of its answer.
    pub send_timeout: Duration,
    /// How long the body of a refused request is read and thrown away.
    pub drain_timeout: Duration,
    /// Bytes a second that a client must move in a body while it is its turn; 0 for any.
    pub min_body_rate: u64,
    /// Connections of clients; what the limit of open files allows where there is none.
    pub connections: Option<NonZeroUsize>,
    /// Connections of one IPv4 address or IPv6 /64 network, if they are limited.
    pub connections_per_address: Option<NonZeroUsize>,
    /// HTTP/2: requests at a time on one connection; 1 to 1000.
    pub streams: u32,
    /// HTTP/2: the allowance of frames without content on one connection, which grows back within 10
    /// seconds; 100 to 1,000,000.
    pub control_frames: u32,
}

/// The log on standard error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// Text or JSON.
    pub format: LogFormat,
    /// The least important level that is written.
    pub level: tracing::Level,
}

/// The end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shutdown {
    /// How long transfers in flight may go on after SIGTERM, SIGINT or a hand-over.
    pub grace: Duration,
    /// How long a connection without a request is kept after SIGTERM or SIGINT.
    pub idle_timeout: Duration,
}

impl Config {
    /// Reads `file`, with the overrides of the environment.
    ///
    /// # Errors
    ///
    /// Everything that is wrong in the file and the environment at once. The files that it names are
    /// not looked at.
    pub fn load(file: &Path) -> Result<Self, Problems> {
        lockgate_settings::load::<raw::Config>(file, ENV_PREFIX).map(Self::from)
    }

    /// Reads a text, without an environment; `file` only names it in problems.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn parse(text: &str, file: &Path) -> Result<Self, Problems> {
        lockgate_settings::parse::<raw::Config>(text, file, ENV_PREFIX, []).map(Self::from)
    }

    /// Reads `file` as [`Config::load`] does, with everything that is wrong beside what could be read:
    /// a mistaken key has its default.
    pub fn survey(file: &Path) -> (Option<Self>, Problems) {
        let (raw, problems) = lockgate_settings::survey::<raw::Config>(file, ENV_PREFIX);
        (raw.map(Self::from), problems)
    }

    /// The defaults, with the overrides of the environment: a configuration without a file.
    ///
    /// # Errors
    ///
    /// Everything that is wrong in the environment at once.
    pub fn from_environment() -> Result<Self, Problems> {
        lockgate_settings::from_environment::<raw::Config>(ENV_PREFIX).map(Self::from)
    }
}

impl Auth {
    /// Which hashes of the users' file are accepted.
    pub fn policy(&self) -> Policy {
        Policy { max_bcrypt_cost: self.max_bcrypt_cost, ..Policy::default() }
    }
}

impl Default for Config {
    /// What an empty file says, and `conf/lockgate.toml`.
    fn default() -> Self {
        raw::Config::default().into()
    }
}

impl From<raw::Config> for Config {
    fn from(raw: raw::Config) -> Self {
        Self {
            listen: raw.listen.into(),
            tls: raw.tls.into(),
            auth: raw.auth.into(),
            upstream: raw.upstream.into(),
            clients: ClientRule::new(raw.clients.refuse, raw.clients.except),
            limits: raw.limits.into(),
            log: Log { format: raw.log.format, level: raw.log.level.into() },
            shutdown: Shutdown {
                grace: raw.shutdown.grace.duration(),
                idle_timeout: raw.shutdown.idle_timeout.duration(),
            },
        }
    }
}

impl From<raw::Listen> for Listen {
    fn from(raw: raw::Listen) -> Self {
        Self { https: raw.https, handover: raw.handover, http2: raw.http2, threads: or_one_a_core(raw.threads.get()) }
    }
}

impl From<raw::Tls> for Tls {
    fn from(raw: raw::Tls) -> Self {
        let pair =
            |certificate: FilePath, key: FilePath| KeyPairFiles { certificate: certificate.into(), key: key.into() };
        let additional = raw.additional.into_iter().map(|more| pair(more.certificate, more.key));
        let pairs = std::iter::once(pair(raw.certificate, raw.key)).chain(additional).collect();
        Self { pairs, versions: raw.versions, hsts: raw.hsts }
    }
}

impl From<raw::Auth> for Auth {
    fn from(raw: raw::Auth) -> Self {
        Self {
            htpasswd: raw.htpasswd.into(),
            realm: raw.realm,
            max_bcrypt_cost: u32::try_from(raw.max_bcrypt_cost.get()).expect("it is at most 31"),
            limits: auth::Limits {
                threads: NonZeroUsize::new(raw.hash_threads.get()).unwrap_or_else(auth::Limits::half_of_the_processors),
                queue: raw.hash_queue.get(),
                per_user: allowance(raw.failures.get(), raw.failure_interval),
                per_address: allowance(raw.address_failures.get(), raw.address_failure_interval),
                memory: raw.failure_memory.get(),
            },
        }
    }
}

impl From<raw::Upstream> for Upstream {
    fn from(raw: raw::Upstream) -> Self {
        Self {
            origin: raw.url,
            connect_timeout: raw.connect_timeout.duration(),
            read_timeout: raw.read_timeout.duration(),
            write_timeout: raw.write_timeout.duration(),
            idle_timeout: raw.idle_timeout.duration(),
            keepalive_connections: raw.keepalive_connections.get(),
            read_ahead: raw.read_ahead.bytes(),
            resolve_interval: raw.resolve_interval.duration(),
            forward_authorization: raw.forward_authorization,
        }
    }
}

impl From<raw::Limits> for Limits {
    fn from(raw: raw::Limits) -> Self {
        Self {
            handshake_timeout: raw.handshake_timeout.duration(),
            header_timeout: raw.header_timeout.duration(),
            header_size: usize::try_from(raw.header_size.bytes()).expect("it is at most 1 MiB"),
            header_count: raw.header_count.get(),
            idle_timeout: raw.idle_timeout.duration(),
            body_timeout: raw.body_timeout.duration(),
            send_timeout: raw.send_timeout.duration(),
            drain_timeout: raw.drain_timeout.duration(),
            min_body_rate: raw.min_body_rate.bytes(),
            connections: NonZeroUsize::new(raw.connections.get()),
            connections_per_address: NonZeroUsize::new(raw.connections_per_address.get()),
            streams: u32::try_from(raw.streams.get()).expect("it is at most 1000"),
            control_frames: u32::try_from(raw.control_frames.get()).expect("it is at most 1,000,000"),
        }
    }
}

fn allowance(failures: usize, interval: Period) -> Allowance {
    let failures = u32::try_from(failures).ok().and_then(NonZeroU32::new);
    Allowance { failures: failures.expect("it is 1 to 1,000,000"), interval: interval.duration() }
}

/// Threads, where 0 stands for one a core: those that this process may use, as its cgroup says.
fn or_one_a_core(threads: usize) -> NonZeroUsize {
    let cores = || std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    NonZeroUsize::new(threads).unwrap_or_else(cores)
}
