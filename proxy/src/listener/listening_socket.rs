//! The socket where clients come in: bound here, given by a supervisor, or taken over from the process
//! that served before.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tokio::net::{TcpListener, TcpStream};

use super::handover::{Handover, Offer, Predecessor, adopt};
use crate::config;

/// Why there is no socket to listen on.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}; is another server there, or the port below 1024 without the right?")]
    Listen {
        /// `listen.https`.
        address: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// The socket that the supervisor gave cannot be used.
    #[error("the socket that LISTEN_FDS announces cannot be used: {0}")]
    Given(io::Error),
    /// The hand-over did not succeed; a process that serves goes on.
    #[error("cannot use listen.handover = {}: {source}", path.display())]
    Handover {
        /// `listen.handover`.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
}

/// A socket that listens, and where its successor comes.
pub(crate) struct ListeningSocket {
    // The first field: a successor that finds nobody must find the address free.
    listener: TcpListener,
    handover: Option<Handover>,
    predecessor: Option<Predecessor>,
    address: SocketAddr,
}

impl ListeningSocket {
    /// Opens it. A socket that is `given`, or that a running process offers, is used as it is; only where
    /// there is neither is `listen.https` bound.
    pub(crate) async fn open(
        listen: &config::Listen,
        given: Option<std::net::TcpListener>,
    ) -> Result<Self, ListenError> {
        let path = listen.handover.as_deref();
        let offer = match path {
            Some(path) => Offer::ask(path).await.map_err(|source| no_handover(path, source))?,
            None => None,
        };
        let (offered, handover, predecessor) = match offer {
            Some(offer) => (Some(offer.listener), Some(offer.handover), Some(offer.predecessor)),
            None => (None, None, None),
        };
        let is_bound_here = given.is_none() && offered.is_none();
        let listener = match (given, offered) {
            (Some(given), _) => adopt(given).map_err(ListenError::Given)?,
            (None, Some(offered)) => offered,
            (None, None) => bind(listen.https).await?,
        };
        let cannot_listen = |source| ListenError::Listen { address: listen.https, source };
        let address = listener.local_addr().map_err(cannot_listen)?;
        if !is_bound_here && !is_as_wanted(address, listen.https) {
            tracing::warn!(%address, "listen.https = {} is not used: the socket that was given is", listen.https);
        }
        // Bound only by the one that has the address, so a file that is there is nobody's.
        let handover = match (handover, path) {
            (None, Some(path)) => Some(Handover::bind(path).map_err(|source| no_handover(path, source))?),
            (handover, _) => handover,
        };
        Ok(Self { listener, handover, predecessor, address })
    }

    /// Where it listens, with the real port.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next client.
    pub(super) async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        self.listener.accept().await
    }

    /// The process that served here before and still does, until it is relieved.
    pub(crate) fn predecessor(&mut self) -> Option<Predecessor> {
        self.predecessor.take()
    }

    /// Tells the predecessor, if there is one, that this process accepts; whether there was one.
    pub(crate) async fn relieve(&self, predecessor: Option<Predecessor>) -> Result<bool, ListenError> {
        let (Some(predecessor), Some(handover)) = (predecessor, &self.handover) else { return Ok(false) };
        predecessor.relieve(handover).await.map_err(|source| no_handover(handover.path(), source))?;
        Ok(true)
    }

    /// Resolves when another process has taken over.
    pub(crate) async fn succeeded(&self) {
        match &self.handover {
            Some(handover) => handover.succeeded(&self.listener).await,
            None => std::future::pending().await,
        }
    }
}

fn no_handover(path: &Path, source: io::Error) -> ListenError {
    ListenError::Handover { path: path.to_owned(), source }
}

async fn bind(address: SocketAddr) -> Result<TcpListener, ListenError> {
    TcpListener::bind(address).await.map_err(|source| ListenError::Listen { address, source })
}

/// Whether a socket is where the configuration wants one; port 0 is any.
fn is_as_wanted(address: SocketAddr, wanted: SocketAddr) -> bool {
    address.ip() == wanted.ip() && (wanted.port() == 0 || wanted.port() == address.port())
}
