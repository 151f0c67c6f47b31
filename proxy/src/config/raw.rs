//! The shape of `conf/lockgate.toml`: what may be written, what it means, and what holds where
//! nothing is written.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use lockgate_settings::{ByteSize, Period};
use regex::Regex;
use serde::Deserialize;

use super::values::{FilePath, Within, header_size, path_if_any, tcp_address};
use super::{Hsts, Origin, Realm, TlsVersions, client_rule};

/// The whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Config {
    pub(super) listen: Listen,
    pub(super) tls: Tls,
    pub(super) auth: Auth,
    pub(super) upstream: Upstream,
    pub(super) clients: Clients,
    pub(super) limits: Limits,
    pub(super) log: Log,
    pub(super) shutdown: Shutdown,
}

/// `[listen]`: where clients come in.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Listen {
    /// The IP address and port where TLS connections are accepted. Port 0 lets the system choose one.
    #[serde(deserialize_with = "tcp_address")]
    /// Not used where the socket is given by systemd (LISTEN_FDS) or taken over from a running process.
    pub(super) https: SocketAddr,
    /// A Unix socket by which a new process takes over from the one that runs; empty for none. Both are
    /// of the same user. Its directory must exist.
    #[serde(deserialize_with = "path_if_any")]
    pub(super) handover: Option<PathBuf>,
    /// Whether HTTP/2 is offered beside HTTP/1.1. docker, podman and skopeo do not ask for it, and it
    /// is slower for large layers.
    pub(super) http2: bool,
    /// Threads that move bytes; 0 for one a core.
    pub(super) threads: Within<0, 1024>,
}

/// `[tls]`: the certificates, a change of whose files is noticed and used without a restart; and how
/// they are spoken with.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Tls {
    /// PEM: the certificate, then the intermediates if there are any.
    pub(super) certificate: FilePath,
    /// PEM: the private key of the certificate, not encrypted.
    pub(super) key: FilePath,
    /// More pairs. A client gets the one with the name that it asked for (SNI), else the pair above.
    pub(super) additional: Vec<Pair>,
    /// The versions of TLS that a client may use, of "1.2" and "1.3".
    pub(super) versions: TlsVersions,
    /// For how long browsers that were here speak only https with this host name, on all of its ports
    /// (`Strict-Transport-Security`, RFC 6797); 0s tells them nothing.
    #[serde(deserialize_with = "lockgate_settings::parsed")]
    pub(super) hsts: Hsts,
}

/// An element of `tls.additional`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pair {
    /// As `tls.certificate`.
    pub(super) certificate: FilePath,
    /// As `tls.key`.
    pub(super) key: FilePath,
}

/// `[auth]`: who may come in.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Auth {
    /// The users, as `lockgate htpasswd` or Apache's `htpasswd` writes them. A change is noticed and
    /// used without a restart.
    pub(super) htpasswd: FilePath,
    /// What a client shows to the person who is asked for a password.
    #[serde(deserialize_with = "lockgate_settings::parsed")]
    pub(super) realm: Realm,
    /// The highest cost of a bcrypt hash that is accepted from the file; each step doubles the time
    /// that one login takes.
    pub(super) max_bcrypt_cost: Within<4, 31>,
    /// Threads that compute password hashes; 0 for half of the cores.
    pub(super) hash_threads: Within<0, 1024>,
    /// Passwords that may wait for these threads. Client addresses take turns, and one more is 429.
    pub(super) hash_queue: Within<1, 65_536>,
    /// How many wrong passwords of one user are looked at from one client address (of IPv6: from one
    /// /64) before the next gets 429. A password that was right before always passes.
    pub(super) failures: Within<1, 1_000_000>,
    /// After which time one of them is forgiven.
    pub(super) failure_interval: Period,
    /// The same for all users together from one client address, against one that tries many names.
    pub(super) address_failures: Within<1, 1_000_000>,
    /// After which time one of them is forgiven.
    pub(super) address_failure_interval: Period,
    /// How many users and addresses with failures are remembered, and how many wrong passwords, as a
    /// keyed hash; 48 bytes in all. Where there are more, those with the fewest failures and the oldest
    /// passwords are forgotten first.
    pub(super) failure_memory: Within<1024, 16_777_216>,
}

/// `[upstream]`: the registry behind the gate.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Upstream {
    /// `http://host:port` (port 80 where none is written), or `unix:/path` of a socket.
    #[serde(deserialize_with = "lockgate_settings::parsed")]
    pub(super) url: Origin,
    /// How long a connection to it may take to stand.
    pub(super) connect_timeout: Period,
    /// How long it may be silent while an answer is awaited or read.
    pub(super) read_timeout: Period,
    /// How long it may take no byte of what is sent to it.
    pub(super) write_timeout: Period,
    /// How long an unused connection to it is kept for the next request. Less than the upstream keeps
    /// it itself.
    pub(super) idle_timeout: Period,
    /// How many unused connections to it are kept.
    pub(super) keepalive_connections: Within<1, 65_536>,
    /// How often its name is resolved again. A failed connect resolves it at once.
    pub(super) resolve_interval: Period,
    /// Whether the clients' `Authorization` header goes on to it: only where it asks for the same
    /// passwords itself.
    pub(super) forward_authorization: bool,
}

/// `[clients]`: clients too old for the registry API, which get 404, by their `User-Agent`.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Clients {
    /// A regular expression of the clients that are refused; empty for none.
    #[serde(deserialize_with = "client_rule::pattern")]
    pub(super) refuse: Option<Regex>,
    /// A regular expression of those that are not refused in spite of it; empty for none.
    #[serde(deserialize_with = "client_rule::pattern")]
    pub(super) except: Option<Regex>,
}

/// `[limits]`: what one client can take from the others. No limit concerns the size of an image.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Limits {
    /// How long a TLS handshake may take.
    pub(super) handshake_timeout: Period,
    /// How long a request's header may take from its first byte to its last.
    pub(super) header_timeout: Period,
    /// Bytes of a request's header, from 1KiB to 1MiB.
    #[serde(deserialize_with = "header_size")]
    pub(super) header_size: ByteSize,
    /// How many fields it may have. HTTP/1.1 allows no more than 256 here.
    pub(super) header_count: Within<1, 256>,
    /// How long a connection may wait between two requests.
    pub(super) idle_timeout: Period,
    /// How long a client may be silent in the middle of a request's body.
    pub(super) body_timeout: Period,
    /// How long a client may take no byte of its answer.
    pub(super) send_timeout: Period,
    /// How many bytes a second a client must send of its body, and take of its answer, on average while
    /// it is its turn; 0 for any. It is given up at the latest when it owes this for as long as
    /// `body_timeout` or `send_timeout`.
    pub(super) min_body_rate: ByteSize,
    /// How long the body of a refused request is still read, so that the client gets to see why.
    pub(super) drain_timeout: Period,
    /// How many clients' connections may be open; 0 for as many as the limit of open files allows.
    pub(super) connections: Within<0, 10_000_000>,
    /// How many of them may come from one address (of IPv6: one /64 network); 0 for all.
    pub(super) connections_per_address: Within<0, 10_000_000>,
    /// HTTP/2: requests at a time on one connection. Clients are told, and what is over it is refused.
    pub(super) streams: Within<1, 1000>,
    /// HTTP/2: frames that carry neither a request nor content (PING, SETTINGS, WINDOW_UPDATE and the
    /// like; a reset counts for ten) which a client may send on one connection in a burst. As many again
    /// may come in every 10 seconds, and more while it is sent a layer.
    pub(super) control_frames: Within<100, 1_000_000>,
}

/// `[log]`: what is written to standard error.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Log {
    /// `text` for people, `json` for programs; both a line an event.
    pub(super) format: LogFormat,
    /// `error`, `warn`, `info` (with a line a request), `debug` or `trace`.
    pub(super) level: Level,
}

/// `[shutdown]`: what SIGTERM and SIGINT begin, and a hand-over for the process that was there before.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Shutdown {
    /// How long transfers in flight may go on. `docker stop` waits 10 seconds unless it is told more.
    pub(super) grace: Period,
    /// How long a connection without a request is kept meanwhile, so that one that is on its way is
    /// still answered. After a hand-over it is `limits.idle_timeout`.
    pub(super) idle_timeout: Period,
}

impl Default for Listen {
    fn default() -> Self {
        Self {
            https: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 5043)),
            handover: None,
            http2: false,
            threads: const { Within::of(0) },
        }
    }
}

impl Default for Tls {
    fn default() -> Self {
        Self {
            certificate: "certs/domain.crt".parse().expect("it is a path"),
            key: "certs/domain.key".parse().expect("it is a path"),
            additional: Vec::new(),
            versions: TlsVersions::default(),
            hsts: Hsts::default(),
        }
    }
}

impl Default for Auth {
    fn default() -> Self {
        Self {
            htpasswd: "conf/htpasswd".parse().expect("it is a path"),
            realm: Realm::default(),
            max_bcrypt_cost: const { Within::of(14) },
            hash_threads: const { Within::of(0) },
            hash_queue: const { Within::of(128) },
            failures: const { Within::of(10) },
            failure_interval: Period::from_secs(10),
            address_failures: const { Within::of(50) },
            address_failure_interval: Period::from_secs(2),
            failure_memory: const { Within::of(16_384) },
        }
    }
}

impl Default for Upstream {
    fn default() -> Self {
        Self {
            url: Origin::Tcp { host: "registry".to_owned(), port: 5000 },
            connect_timeout: Period::from_secs(10),
            read_timeout: Period::from_secs(900),
            write_timeout: Period::from_secs(900),
            idle_timeout: Period::from_secs(60),
            keepalive_connections: const { Within::of(128) },
            resolve_interval: Period::from_secs(5),
            forward_authorization: false,
        }
    }
}

impl Default for Clients {
    /// What every guide's nginx configuration says, in which one look-ahead does the work of `except`.
    fn default() -> Self {
        let pattern = |text| Some(Regex::new(text).expect("the pattern is a constant"));
        Self { refuse: pattern(r"^(docker/1\.(3|4|5)|Go )"), except: pattern(r"^docker/1\.5\.[0-9]-dev") }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            handshake_timeout: Period::from_secs(9),
            header_timeout: Period::from_secs(15),
            header_size: ByteSize::from_kib(32),
            header_count: const { Within::of(100) },
            idle_timeout: Period::from_secs(75),
            body_timeout: Period::from_secs(60),
            send_timeout: Period::from_secs(55),
            min_body_rate: ByteSize::from_kib(1),
            drain_timeout: Period::from_secs(10),
            connections: const { Within::of(0) },
            connections_per_address: const { Within::of(1024) },
            streams: const { Within::of(100) },
            control_frames: const { Within::of(1000) },
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Text, level: Level::Info }
    }
}

impl Default for Shutdown {
    fn default() -> Self {
        Self { grace: Period::from_secs(30), idle_timeout: Period::from_secs(2) }
    }
}

/// How a line of the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// An object a line, for programs.
    Json,
}

/// How important something is.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl From<Level> for tracing::Level {
    fn from(level: Level) -> Self {
        match level {
            Level::Error => Self::ERROR,
            Level::Warn => Self::WARN,
            Level::Info => Self::INFO,
            Level::Debug => Self::DEBUG,
            Level::Trace => Self::TRACE,
        }
    }
}
