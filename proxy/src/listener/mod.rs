//! The front door: accepts, shakes hands, hands each connection to pingora's `HttpProxy`, and lets
//! those in flight finish when it is told to stop.
//!
//! pingora's own listener cannot set TLS versions, tickets, a handshake deadline or header budgets,
//! and its server sleeps the whole grace period on SIGTERM; so this loop stands in its place.

pub mod certificate;
mod connection;
mod entrance;
mod handover;
mod read_ahead;
mod stopping;
pub mod tls;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use pingora::apps::{HttpServerApp, ServerApp as _};
use pingora::listeners::tls::Acceptor;
use pingora::protocols::http::ServerSession;
use pingora::protocols::tls::TlsStream;
use pingora::protocols::{ALPN, Ssl, Stream};
use pingora::proxy::HttpProxy;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::config::{self, Limits};
use crate::gate::Gate;
pub(crate) use entrance::Entrance;
pub use entrance::EntranceError;
use read_ahead::ReadAhead;
use stopping::{Stop, Stopping};

/// A client's connection as the gate finds it in a session.
type ClientConnection = connection::Connection<TlsStream<ReadAhead>>;

/// How long to wait before accepting again when the system has no file descriptor or memory left.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(50);

/// pingora's word for "keep the connection, without a timeout of yours": ours is in [`connection`].
const KEEP_ALIVE: Option<u64> = Some(0);

/// What every connection is served with.
pub(crate) struct FrontDoor {
    /// TLS, as [`tls::server_config`] made it.
    pub(crate) tls: Arc<rustls::ServerConfig>,
    /// The gate, inside pingora's proxy.
    pub(crate) proxy: Arc<HttpProxy<Gate>>,
    /// The budgets of a connection.
    pub(crate) limits: Limits,
    /// How the connections end.
    pub(crate) shutdown: config::Shutdown,
}

/// Why no more connection is accepted.
#[derive(Debug)]
pub(crate) enum End {
    /// Somebody wants this process to end.
    Stopped,
    /// Another process accepts them.
    HandedOver,
}

/// The connections of a front door that accepts no more.
pub(crate) struct Accepted {
    connections: JoinSet<()>,
    stop: Stop,
}

/// How a front door was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed {
    /// Connections that were cut because they did not finish within the grace period.
    pub cut: usize,
}

impl FrontDoor {
    /// Serves who comes to `entrance` until `end` resolves.
    pub(crate) async fn accept<E>(
        self: &Arc<Self>,
        entrance: &Entrance,
        end: impl Future<Output = E>,
    ) -> (Accepted, E) {
        let acceptor = Arc::new(Acceptor::from_server_config(self.tls.clone()));
        let (stop, stopping) = Stop::new();
        let mut connections = JoinSet::new();
        tokio::pin!(end);
        loop {
            tokio::select! {
                ended = &mut end => return (Accepted { connections, stop }, ended),
                Some(_) = connections.join_next(), if !connections.is_empty() => {}
                accepted = entrance.accept() => match accepted {
                    Ok((socket, peer)) => {
                        let (door, acceptor, stopping) = (self.clone(), acceptor.clone(), stopping.clone());
                        connections.spawn(async move { door.welcome(socket, peer, &acceptor, &stopping).await });
                    }
                    Err(error) => wait_after(&error).await,
                },
            }
        }
    }

    /// Lets every connection finish its request, and waits for them up to the grace period.
    ///
    /// Who handed over is in no hurry with clients that are between two requests: those are kept as long
    /// as ever, unless `stopped` resolves.
    pub(crate) async fn drain(&self, accepted: Accepted, end: End, stopped: impl Future<Output = ()>) -> Closed {
        let Accepted { mut connections, stop } = accepted;
        stop.begin(match end {
            End::Stopped => self.shutdown.idle_timeout,
            End::HandedOver => self.limits.idle_timeout,
        });
        let hurry = async {
            stopped.await;
            stop.begin(self.shutdown.idle_timeout);
            std::future::pending().await
        };
        let all_done = async { while connections.join_next().await.is_some() {} };
        let finished = tokio::select! {
            finished = tokio::time::timeout(self.shutdown.grace, all_done) => finished.is_ok(),
            () = hurry => false,
        };
        let cut = if finished { 0 } else { connections.len() };
        connections.shutdown().await;
        Closed { cut }
    }

    /// One client, from the handshake to the last answer.
    async fn welcome(&self, socket: TcpStream, peer: SocketAddr, acceptor: &Acceptor, stopping: &Stopping) {
        let handshake = acceptor.tls_handshake(ReadAhead::new(socket, peer));
        let stream = tokio::select! {
            shaken = tokio::time::timeout(self.limits.handshake_timeout, handshake) => match shaken {
                Ok(Ok(stream)) => stream,
                Ok(Err(error)) => return tracing::debug!(client = %peer, %error, "TLS handshake failed"),
                Err(_) => return tracing::debug!(client = %peer, "TLS handshake timed out"),
            },
            () = stopping.silence() => return,
        };
        let speaks_h2 = stream.selected_alpn_proto() == Some(ALPN::H2);
        let stream: Stream = Box::new(ClientConnection::new(stream, self.limits.clone(), stopping));
        if speaks_h2 {
            self.proxy.process_new(stream, stopping.for_pingora()).await;
        } else {
            self.serve_http1(stream, stopping).await;
        }
    }

    /// Requests one after the other, as `ServerApp::process_new` does it, but telling the connection
    /// when it waits for the next one.
    async fn serve_http1(&self, stream: Stream, stopping: &Stopping) {
        let mut session = ServerSession::new_http1(stream);
        session.set_keepalive(KEEP_ALIVE);
        // Else bytes of a next request that come before this one's answer break it off.
        session.set_pipelining_enabled(true);
        while let Some(reused) = self.proxy.process_new_http(session, stopping.for_pingora()).await {
            let (stream, settings) = reused.consume();
            if let Some(connection) = client_connection(&stream) {
                connection.await_request();
            }
            session = ServerSession::new_http1(stream);
            if let Some(settings) = settings {
                settings.apply_to_session(&mut session);
            }
            session.set_keepalive(KEEP_ALIVE);
        }
    }
}

/// Tells the connection below a session that the gate has its request.
pub(crate) fn request_arrived(stream: &Stream) {
    if let Some(connection) = client_connection(stream) {
        connection.request_arrived();
    }
}

/// Tells the connection below a session that it ends with this answer, and that the client may still
/// be sending.
pub(crate) fn linger(stream: &Stream) {
    if let Some(connection) = client_connection(stream) {
        connection.linger();
    }
}

/// Whether the connection below a session ends with the answer to this request.
pub(crate) fn is_last_answer(stream: &Stream) -> bool {
    client_connection(stream).is_some_and(ClientConnection::is_last_answer)
}

/// Our own type below a stream that pingora holds.
fn client_connection(stream: &Stream) -> Option<&ClientConnection> {
    stream.as_any().downcast_ref()
}

async fn wait_after(error: &io::Error) {
    // A client that left between connect and accept is no reason to wait.
    if error.kind() != io::ErrorKind::ConnectionAborted {
        tracing::warn!(%error, "cannot accept connections; raise the limit of open files if this goes on");
        tokio::time::sleep(ACCEPT_BACKOFF).await;
    }
}
