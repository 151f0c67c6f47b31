//! The front door: accepts, shakes hands, hands each connection to pingora's `HttpProxy`, and lets
//! those in flight finish when it is told to stop.
//!
//! pingora's own listener cannot set TLS versions, tickets, a handshake deadline or header budgets,
//! and its server sleeps the whole grace period on SIGTERM; so this loop stands in its place.

pub mod certificate;
mod connection;
mod http2;
mod read_ahead;
pub mod tls;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use pingora::apps::{HttpServerApp, ServerApp};
use pingora::listeners::tls::Acceptor;
use pingora::protocols::http::ServerSession;
use pingora::protocols::tls::TlsStream;
use pingora::protocols::{ALPN, Ssl, Stream};
use pingora::proxy::HttpProxy;
use pingora::server::ShutdownWatch;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::config::Limits;
use crate::gate::Gate;
use read_ahead::ReadAhead;

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
    /// How long connections in flight may go on after `shutdown`.
    pub(crate) grace: Duration,
}

/// How a front door was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed {
    /// Connections that were cut because they did not finish within the grace period.
    pub cut: usize,
}

impl FrontDoor {
    /// Serves `listener` until `shutdown` resolves, then lets requests in flight finish.
    pub(crate) async fn serve(self, listener: TcpListener, shutdown: impl Future<Output = ()>) -> Closed {
        let door = Arc::new(self);
        let acceptor = Arc::new(Acceptor::from_server_config(door.tls.clone()));
        let (stop, stopping) = watch::channel(false);
        let mut connections = JoinSet::new();
        tokio::pin!(shutdown);
        loop {
            tokio::select! {
                () = &mut shutdown => break,
                Some(_) = connections.join_next(), if !connections.is_empty() => {}
                accepted = listener.accept() => match accepted {
                    Ok((socket, peer)) => {
                        let (door, acceptor, stopping) = (door.clone(), acceptor.clone(), stopping.clone());
                        connections.spawn(async move { door.welcome(socket, peer, &acceptor, &stopping).await });
                    }
                    Err(error) => wait_after(&error).await,
                },
            }
        }
        drop(listener);
        door.drain(&stop, connections).await
    }

    /// Tells every connection to stop after its request, and waits for them up to the grace period.
    async fn drain(&self, stop: &watch::Sender<bool>, mut connections: JoinSet<()>) -> Closed {
        stop.send_replace(true);
        ServerApp::cleanup(&*self.proxy).await;
        let all_done = async { while connections.join_next().await.is_some() {} };
        let finished = tokio::time::timeout(self.grace, all_done).await;
        let cut = if finished.is_ok() { 0 } else { connections.len() };
        connections.shutdown().await;
        Closed { cut }
    }

    /// One client, from the handshake to the last answer.
    async fn welcome(&self, socket: TcpStream, peer: SocketAddr, acceptor: &Acceptor, stopping: &ShutdownWatch) {
        let handshake = acceptor.tls_handshake(ReadAhead::new(socket, peer));
        let mut told_to_stop = stopping.clone();
        let stream = tokio::select! {
            shaken = tokio::time::timeout(self.limits.handshake_timeout, handshake) => match shaken {
                Ok(Ok(stream)) => stream,
                Ok(Err(error)) => return tracing::debug!(client = %peer, %error, "TLS handshake failed"),
                Err(_) => return tracing::debug!(client = %peer, "TLS handshake timed out"),
            },
            _ = told_to_stop.wait_for(|stop| *stop) => return,
        };
        let speaks_h2 = stream.selected_alpn_proto() == Some(ALPN::H2);
        let connection = ClientConnection::new(stream, self.limits.clone());
        if speaks_h2 {
            http2::serve(&self.proxy, connection, &self.limits, stopping).await;
        } else {
            self.serve_http1(Box::new(connection), stopping).await;
        }
    }

    /// Requests one after the other, as `ServerApp::process_new` does it, but telling the connection
    /// when it waits for the next one.
    async fn serve_http1(&self, stream: Stream, stopping: &ShutdownWatch) {
        let mut session = ServerSession::new_http1(stream);
        session.set_keepalive(KEEP_ALIVE);
        // Else bytes of a next request that come before this one's answer break it off.
        session.set_pipelining_enabled(true);
        while let Some(reused) = self.proxy.process_new_http(session, stopping).await {
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
