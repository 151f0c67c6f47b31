//! The wiring: a checked [`Config`] becomes a running proxy. Nothing else knows all the parts.

use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use lockgate_backend::config::Limits;
use lockgate_backend::{DiskStore, Registry};
use tokio::task::JoinSet;

use crate::auth::{Users, Verifier};
use crate::config::Config;
use crate::gate::{Destination, Gate};
use crate::listener::{Acceptor, Closed, End, ListenError, ListeningSocket, Settings};
use crate::refusal;
use crate::reload;
use crate::supervisor;
use crate::tls::{self, CertificateStore};
use crate::upstream::Upstream;

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
}

/// What is loaded from the files that a configuration names.
struct Files {
    certificates: Arc<CertificateStore>,
    users: Users,
}

impl App {
    /// Loads what the configuration names, and then opens the socket: the one that is `given`, or that of
    /// the process which serves by now (`listen.handover`), or one of its own. From here on connections
    /// queue up.
    ///
    /// # Errors
    /// Every file that is missing or wrong at once; or why there is no socket.
    pub async fn start(config: &Config, given: Option<TcpListener>) -> Result<Self, StartError> {
        let files = Files::load(config)?;
        for warning in files.users.warnings() {
            tracing::warn!(file = %config.auth.htpasswd.display(), "{warning}");
        }
        let verifier = Arc::new(Verifier::new(files.users, config.auth.limits()).map_err(StartError::Threads)?);
        let tls = tls::server_config(files.certificates.clone(), config.tls.versions, config.listen.http2)?;
        let mut background = JoinSet::new();
        let destination = open_destination(config, &mut background)?;
        let socket = ListeningSocket::open(&config.listen, given).await?;

        background.spawn(reload::certificates(files.certificates));
        background.spawn(reload::users(config.auth.htpasswd.clone(), config.auth.policy(), verifier.clone()));
        let limits = Arc::new(config.limits.clone());
        let own_fields = refusal::own_fields(config.tls.hsts.header());
        let gate = Gate::new(config, limits.clone(), own_fields.clone(), verifier, destination);
        let shutdown = config.shutdown.clone();
        let acceptor = Acceptor::new(Settings { tls, service: Arc::new(gate), limits, own_fields, shutdown });
        Ok(Self { socket, acceptor, background })
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
        let Self { mut socket, acceptor, mut background } = self;
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
        drop(socket);
        let closed = match end {
            Ok(End::HandedOver) => {
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
        let closed = closed?;
        match closed.cut {
            0 => tracing::info!("stopped; every transfer finished"),
            cut => tracing::warn!(cut, "stopped; connections were cut after shutdown.grace"),
        }
        Ok(closed)
    }
}

/// What is behind the gate, and what keeps it up to date in the background.
fn open_destination(config: &Config, background: &mut JoinSet<()>) -> Result<Destination, StartError> {
    match &config.storage {
        None => {
            let upstream = Arc::new(Upstream::new(&config.upstream));
            background.spawn(upstream.clone().keep_current());
            Ok(Destination::upstream(&config.upstream, upstream))
        }
        Some(_) if config.listen.handover.is_some() => Err(StartError::SharedStorage),
        Some(storage) => {
            let store = DiskStore::open(&storage.data).map_err(StartError::Storage)?;
            let registry = Registry::new(Arc::new(store), storage.clone(), Limits::default());
            background.spawn(registry.background());
            Ok(Destination::Registry(registry))
        }
    }
}

impl Files {
    fn load(config: &Config) -> Result<Self, StartError> {
        let certificates = CertificateStore::load(&config.tls.pairs());
        let users = Users::load(&config.auth.htpasswd, &config.auth.policy());
        match (certificates, users) {
            (Ok(certificates), Ok(users)) => Ok(Self { certificates: Arc::new(certificates), users }),
            (certificates, users) => {
                let mut problems: Vec<String> =
                    certificates.err().iter().flat_map(|found| found.iter().map(ToString::to_string)).collect();
                problems.extend(users.err().map(|e| e.to_string()));
                Err(StartError::Files(problems))
            }
        }
    }
}
