//! The wiring: a checked [`Config`] becomes a running proxy. Nothing else knows all the parts.

use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;

use lockgate_backend::admin::Admin;
use lockgate_backend::config::Limits;
use lockgate_backend::{Registry, Rules};
use tokio::task::JoinSet;

use crate::access::{Access, AccessError, Authorizer};
use crate::audit::Audit;
use crate::auth::{Authenticator, Users, Verifier};
use crate::auth::{MachineTokens, TokenKeys};
use crate::beside::{self, BesideError};
use crate::config::{Auth, Config};
use crate::gate::{Destination, Gate, Judges};
use crate::https_redirect::HttpsRedirect;
use crate::listener::{Acceptor, Closed, End, ListenError, ListeningSocket, Settings};
use crate::metrics::METRICS;
use crate::refusal;
use crate::reload::{self, Followed};
use crate::supervisor;
use crate::tls::{self, CertificateStore};
use crate::upstream::Upstream;
use crate::watching;

/// Why a proxy did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Files that the configuration names are missing or wrong: every problem, one a line.
    #[error("{}", .0.join("\n"))]
    Files(Vec<String>),
    /// There is no socket to listen on.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The storage of the registry within cannot be opened.
    #[error("cannot open storage.data: {0}")]
    Storage(io::Error),
    /// Two processes over one directory would get in each other's way.
    #[error(
        "listen.handover and [storage] exclude each other: while one process takes over from the other, both would write to storage.data; remove listen.handover"
    )]
    SharedStorage,
    /// There is no socket for what listens beside.
    #[error(transparent)]
    Beside(#[from] BesideError),
    /// The audit log cannot be written.
    #[error("cannot write audit.file: {0}")]
    Audit(io::Error),
    /// TLS could not be set up.
    #[error("cannot set up TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// The threads that hash passwords could not be started.
    #[error("cannot start the threads that check passwords: {0}")]
    Threads(io::Error),
}

/// A proxy that is bound and ready to serve.
pub struct App {
    socket: ListeningSocket,
    acceptor: Arc<Acceptor<Gate>>,
    background: JoinSet<()>,
    admin: Arc<Admin>,
    /// What listens beside.
    beside: JoinSet<()>,
    audit: Arc<Audit>,
    /// The one within.
    registry: Option<Registry>,
}

/// What is loaded from the files that a configuration names.
struct Files {
    certificates: Arc<CertificateStore>,
    users: Users,
    /// `None`: every user may do everything.
    access: Option<Access>,
    machines: Option<MachineTokens>,
    keys: Option<TokenKeys>,
}

impl App {
    /// Loads what the configuration names, and then opens the socket: the one that is `given`, or that of
    /// the process which serves by now (`listen.handover`), or one of its own. From here on connections
    /// queue up.
    ///
    /// # Errors
    /// Every file that is missing or wrong at once; or why there is no socket.
    pub async fn start(config: &Config, rules: Rules, given: Option<TcpListener>) -> Result<Self, StartError> {
        let contradictions = config.contradictions();
        if !contradictions.is_empty() {
            let line = |(key, why): &(&str, &str)| format!("{key}: {why}");
            return Err(StartError::Files(contradictions.iter().map(line).collect()));
        }
        for warning in config.warnings() {
            tracing::warn!("{warning}");
        }
        let files = Files::load(config)?;
        for warning in files.users.warnings() {
            tracing::warn!(file = %config.auth.htpasswd.display(), "{warning}");
        }
        let audit = Audit::start(&config.audit).map_err(StartError::Audit)?;
        let verifier = Arc::new(Verifier::new(files.users, config.auth.limits()).map_err(StartError::Threads)?);
        let authenticator = Authenticator::new(verifier.clone(), files.machines);
        let authenticator = Arc::new(match files.keys {
            Some(keys) => {
                authenticator.with_sessions(keys, config.auth.service.as_str(), config.auth.token_lifetime.duration())
            }
            None => authenticator,
        });
        let authorizer = Arc::new(Authorizer::new(files.access.map(|access| access.grants)));
        let judges = Judges { authenticator, authorizer, audit: audit.clone() };
        let tls = tls::server_config(files.certificates.clone(), config.tls.versions, config.listen.http2)?;
        let mut background = JoinSet::new();
        let destination = open_destination(config, rules, &mut background).await?;
        let socket = ListeningSocket::open(&config.listen, given).await?;
        let mut admin = Admin::of("lockgate", env!("CARGO_PKG_VERSION"));
        METRICS.tell(&mut admin.metrics);
        watching::tell_of_certificates(&mut admin, &files.certificates);
        let registry = match &destination {
            Destination::Registry(registry) => {
                registry.tell(&mut admin);
                Some(registry.clone())
            }
            Destination::Upstream { upstream, .. } => {
                watching::tell_of_upstream(&mut admin, upstream);
                None
            }
        };
        let admin = Arc::new(admin);
        let redirect = HttpsRedirect {
            public_url: config.auth.public_url.clone(),
            certificates: files.certificates.clone(),
            port: socket.address().port(),
        };
        let beside = beside::open(config, &admin, redirect).await?;

        background.spawn(reload::certificates(files.certificates));
        background.spawn(reload::users(config.auth.htpasswd.clone(), config.auth.policy(), verifier, audit.clone()));
        follow(&config.auth, &judges, &mut background);
        let limits = Arc::new(config.limits.clone());
        let own_fields = refusal::own_fields(config.tls.hsts.header());
        let gate = Gate::new(config, limits.clone(), own_fields.clone(), judges, destination);
        let shutdown = config.shutdown.clone();
        let acceptor = Acceptor::new(Settings {
            tls,
            service: Arc::new(gate),
            listen: config.listen.clone(),
            limits,
            own_fields,
            shutdown,
        });
        Ok(Self { socket, acceptor, background, admin, beside, audit, registry })
    }

    /// The address it is bound to, with the real port where port 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.socket.address()
    }

    /// Serves until `shutdown` resolves or another process has taken over, then lets what is in flight
    /// finish.
    ///
    /// # Errors
    /// The process that served before serves on, and this one has ended.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) -> Result<Closed, StartError> {
        let Self { mut socket, acceptor, mut background, admin, mut beside, audit, registry } = self;
        tokio::pin!(shutdown);
        let predecessor = socket.predecessor();
        let end = async {
            // By now this process accepts, too.
            let took_over = socket.relieve(predecessor).await?;
            tracing::info!(address = %socket.address(), took_over, "listening");
            supervisor::ready();
            Ok::<End, ListenError>(tokio::select! {
                () = &mut shutdown => End::Stopped,
                () = socket.succeeded() => End::HandedOver,
            })
        };
        let (accepted, end) = acceptor.serve(&socket, end).await;
        admin.health.end();
        drop(socket);
        let closed = match end {
            Ok(End::HandedOver) => {
                // Its place is that process's now.
                beside.shutdown().await;
                tracing::info!("another process has taken over; transfers in flight may finish");
                Ok(acceptor.drain(accepted, End::HandedOver, shutdown).await)
            }
            Ok(End::Stopped) => {
                supervisor::stopping();
                Ok(acceptor.drain(accepted, End::Stopped, std::future::pending()).await)
            }
            Err(error) => {
                acceptor.drain(accepted, End::Stopped, shutdown).await;
                Err(error)
            }
        };
        background.shutdown().await;
        if let Some(registry) = registry {
            registry.finish().await;
        }
        audit.end().await;
        let closed = closed?;
        match closed.cut {
            0 => tracing::info!("stopped; every transfer finished"),
            cut => tracing::warn!(cut, "stopped; connections were cut after shutdown.grace"),
        }
        Ok(closed)
    }
}

/// What is behind the gate, and what keeps it up to date in the background.
async fn open_destination(
    config: &Config,
    rules: Rules,
    background: &mut JoinSet<()>,
) -> Result<Destination, StartError> {
    match &config.storage {
        None => {
            let upstream = Arc::new(Upstream::new(&config.upstream));
            background.spawn(upstream.clone().keep_current());
            Ok(Destination::upstream(&config.upstream, upstream))
        }
        Some(storage) if config.listen.handover.is_some() && storage.data.directory().is_some() => {
            Err(StartError::SharedStorage)
        }
        Some(storage) => {
            let store =
                lockgate_backend::open(storage, &config.collect, &config.s3).await.map_err(StartError::Storage)?;
            let registry = Registry::new(store, storage.clone(), Limits::default())
                .collecting(config.collect.clone())
                .ruled_by(rules)
                .at(config.s3.endpoint.clone());
            background.spawn(registry.background());
            Ok(Destination::Registry(registry))
        }
    }
}

/// Keeps what is judged by in step with its files.
fn follow(auth: &Auth, judges: &Judges, background: &mut JoinSet<()>) {
    let followed = |files: &[&PathBuf], what| Followed {
        files: files.iter().map(|file| file.to_path_buf()).collect(),
        what,
        audit: judges.audit.clone(),
    };
    if let Some(access) = auth.access.clone() {
        let (groups, authorizer) = (auth.groups.clone(), judges.authorizer.clone());
        let files: Vec<&PathBuf> = auth.access.iter().chain(&auth.groups).collect();
        let load = move || Access::load(&access, groups.as_deref()).map(|access| (access.grants, Vec::new()));
        background.spawn(reload::judgement(followed(&files, "grants"), load, move |grants| authorizer.replace(grants)));
    }
    if let Some(file) = auth.tokens.clone() {
        let authenticator = judges.authenticator.clone();
        let followed = followed(&[&file], "tokens for machines");
        let now = authenticator.clone();
        let load = move || match MachineTokens::load(&file) {
            // Before the first token is made it is not there.
            Err(error) if error.is_missing() && !now.has_machines() => Ok((MachineTokens::default(), Vec::new())),
            loaded => loaded.map(|tokens| (tokens, Vec::new())),
        };
        let take = move |tokens| authenticator.replace_machines(tokens);
        background.spawn(reload::judgement(followed, load, take));
    }
    if let Some(file) = auth.token_key.clone() {
        let authenticator = judges.authenticator.clone();
        let followed = followed(&[&file], "keys of tokens for sessions");
        let load = move || TokenKeys::load(&file).map(|keys| (keys, Vec::new()));
        background.spawn(reload::judgement(followed, load, move |keys| authenticator.replace_keys(keys)));
    }
}

impl Files {
    fn load(config: &Config) -> Result<Self, StartError> {
        let auth = &config.auth;
        let certificates = CertificateStore::load(&config.tls.pairs());
        let users = Users::load(&auth.htpasswd, &auth.policy());
        let access = auth.access.as_deref().map(|file| Access::load(file, auth.groups.as_deref())).transpose();
        let machines = auth.tokens.as_deref().map(|file| match MachineTokens::load(file) {
            // No token was made yet.
            Err(error) if error.is_missing() => Ok(MachineTokens::default()),
            loaded => loaded,
        });
        let machines = machines.transpose();
        let keys = auth.token_key.as_deref().map(TokenKeys::load).transpose();
        match (certificates, users, access, machines, keys) {
            (Ok(certificates), Ok(users), Ok(access), Ok(machines), Ok(keys)) => {
                Ok(Self { certificates: Arc::new(certificates), users, access, machines, keys })
            }
            (certificates, users, access, machines, keys) => {
                let mut problems: Vec<String> =
                    certificates.err().iter().flat_map(|found| found.iter().map(ToString::to_string)).collect();
                problems.extend(users.err().map(|e| e.to_string()));
                problems.extend(access.err().iter().flat_map(AccessError::problems));
                problems.extend(machines.err().map(|e| e.to_string()));
                problems.extend(keys.err().map(|e| e.to_string()));
                Err(StartError::Files(problems))
            }
        }
    }
}
