//! The front door: accepts, shakes hands, hands each connection to pingora's `HttpProxy`, and lets
//! those in flight finish when it is told to stop.
//!
//! pingora's own listener cannot set TLS versions, tickets, a handshake deadline or header budgets,
//! and its server sleeps the whole grace period on SIGTERM; so this loop stands in its place.

mod admission;
mod connection;
mod greeting;
mod handover;
mod handshakes;
mod held;
mod http2;
mod listening_socket;
mod open_files;
mod quiet_socket;
mod read_ahead;
mod stopping;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use pingora::apps::HttpServerApp as _;
use pingora::http::RequestHeader;
use pingora::listeners::tls::Acceptor;
use pingora::protocols::http::ServerSession;
use pingora::protocols::tls::TlsStream;
use pingora::protocols::{ALPN, Ssl, Stream};
use pingora::proxy::HttpProxy;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::config::{self, Limits};
use crate::gate::Gate;
use crate::rate_limited::RateLimitedWarning;
use admission::{Admission, Place};
pub(crate) use connection::extent::Extent;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use connection::header_scan;
use handshakes::HandshakeSemaphore;
pub use listening_socket::ListenError;
pub(crate) use listening_socket::ListeningSocket;
use read_ahead::ReadAhead;
use stopping::{Stop, Stopping};

/// A client's connection as the gate finds it in a session.
type ClientConnection = connection::Connection<TlsStream<ReadAhead>>;

/// How long to wait before accepting again when the system has no file descriptor or memory left.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(50);

/// How long a connection must have waited for a request before its place can be given to another.
const IDLE_AFTER: Duration = Duration::from_secs(1);

/// pingora's word for "keep the connection, without a timeout of yours": ours is in [`connection`].
const KEEP_ALIVE: Option<u64> = Some(0);

/// What every connection is served with.
pub(crate) struct FrontDoor {
    /// TLS, as [`crate::tls::server_config`] made it.
    pub(crate) tls: Arc<rustls::ServerConfig>,
    /// The gate, inside pingora's proxy.
    pub(crate) proxy: Arc<HttpProxy<Gate>>,
    /// The budgets of a connection.
    pub(crate) limits: Arc<Limits>,
    /// `Strict-Transport-Security`, on every answer.
    pub(crate) hsts: Option<HeaderValue>,
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
    /// Serves who comes to `listening` until `end` resolves.
    pub(crate) async fn accept<E>(
        self: &Arc<Self>,
        listening: &ListeningSocket,
        end: impl Future<Output = E>,
    ) -> (Accepted, E) {
        let hall = Arc::new(Hall::of(self.clone()));
        let (stop, stopping) = Stop::new();
        let mut connections = JoinSet::new();
        let failures = RateLimitedWarning::default();
        tokio::pin!(end);
        loop {
            tokio::select! {
                ended = &mut end => return (Accepted { connections, stop }, ended),
                Some(_) = connections.join_next(), if !connections.is_empty() => {}
                accepted = hall.accept(listening) => match accepted {
                    Ok(Some((socket, peer, place))) => {
                        let (hall, stopping) = (hall.clone(), stopping.clone());
                        connections.spawn(async move { hall.welcome(socket, peer, &stopping).await; drop(place) });
                    }
                    Ok(None) => {}
                    Err(error) => {
                        hall.admission.ask_for_room();
                        wait_after(&error, &failures).await;
                    }
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
            End::Stopped => self.shutdown.idle_timeout.duration(),
            End::HandedOver => self.limits.idle_timeout.duration(),
        });
        let hurry = async {
            stopped.await;
            stop.begin(self.shutdown.idle_timeout.duration());
            std::future::pending().await
        };
        let all_done = async { while connections.join_next().await.is_some() {} };
        let finished = tokio::select! {
            finished = tokio::time::timeout(self.shutdown.grace.duration(), all_done) => finished.is_ok(),
            () = hurry => false,
        };
        let cut = if finished { 0 } else { connections.len() };
        connections.shutdown().await;
        Closed { cut }
    }
}

/// A front door that is open.
struct Hall {
    door: Arc<FrontDoor>,
    acceptor: Acceptor,
    admission: Admission,
    handshakes: HandshakeSemaphore,
}

impl Hall {
    fn of(door: Arc<FrontDoor>) -> Self {
        Self {
            acceptor: Acceptor::from_server_config(door.tls.clone()),
            admission: Admission::new(&door.limits),
            handshakes: HandshakeSemaphore::of_half_the_threads(),
            door,
        }
    }

    /// The next client, once there is room; `None` for one beyond its address's share, which is closed.
    async fn accept(&self, listening: &ListeningSocket) -> io::Result<Option<(TcpStream, SocketAddr, Place)>> {
        let room = self.admission.room().await;
        let (socket, peer) = listening.accept().await?;
        Ok(self.admission.place(room, peer).map(|place| (socket, peer, place)))
    }

    /// One client, from the handshake to the last answer.
    async fn welcome(&self, socket: TcpStream, peer: SocketAddr, stopping: &Stopping) {
        // Boxed, so that an idle connection does not keep the room that it needed.
        let stream = tokio::select! {
            stream = Box::pin(self.shake_hands(socket, peer)) => stream,
            () = stopping.silence() => None,
        };
        let Some(stream) = stream else { return };
        let speaks_h2 = stream.selected_alpn_proto() == Some(ALPN::H2);
        let connection = ClientConnection::new(stream, self.door.limits.clone(), stopping);
        let connection = connection.with_hsts(self.door.hsts.clone());
        if speaks_h2 {
            // Boxed, so that the task of an HTTP/1.1 connection has no room for it.
            Box::pin(http2::serve(self, connection, stopping.for_pingora())).await;
        } else {
            self.serve_http1(Box::new(connection), stopping).await;
        }
    }

    async fn shake_hands(&self, socket: TcpStream, peer: SocketAddr) -> Option<TlsStream<ReadAhead>> {
        let socket = ReadAhead::new(socket, peer);
        let handshake_over = socket.handshake_over();
        let handshake = self.handshakes.run(self.acceptor.tls_handshake(socket));
        match tokio::time::timeout(self.door.limits.handshake_timeout.duration(), handshake).await {
            Ok(Ok(stream)) => {
                handshake_over.tell();
                return Some(stream);
            }
            Ok(Err(error)) => tracing::debug!(client = %peer, %error, "TLS handshake failed"),
            Err(_) => tracing::debug!(client = %peer, "TLS handshake timed out"),
        }
        None
    }

    /// Requests one after the other, as `ServerApp::process_new` does it, but with a session of pingora's
    /// only while there is a request.
    async fn serve_http1(&self, mut connection: Box<ClientConnection>, stopping: &Stopping) {
        while self.next_header(&mut connection, stopping).await {
            // Pipelining stays off: the connection itself keeps what comes too early.
            let mut session = ServerSession::new_http1(connection);
            session.set_keepalive(KEEP_ALIVE);
            let Some(reused) = self.door.proxy.process_new_http(session, stopping.for_pingora()).await else { return };
            let (stream, _) = reused.consume();
            let Ok(ours) = stream.into_any().downcast() else { return };
            connection = ours;
        }
    }

    /// Resolves for a connection that is idle, not just between two requests, when its place is needed.
    async fn place_is_needed(&self) {
        tokio::time::sleep(IDLE_AFTER).await;
        self.admission.place_is_needed().await;
    }

    /// Whether a request came before the connection had to end. One that has begun is a request on its way,
    /// and is heard also by a process that stops.
    async fn next_header(&self, connection: &mut ClientConnection, stopping: &Stopping) -> bool {
        let began = tokio::select! {
            began = connection.next_request() => began,
            () = self.place_is_needed() => false,
            () = stopping.silence() => false,
        };
        began && connection.header().await
    }
}

/// Tells the connection below a session that the gate has its request.
pub(crate) fn request_arrived(stream: &Stream, request: &RequestHeader) {
    if let Some(connection) = client_connection(stream) {
        connection.request_arrived(Extent::of(request));
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

async fn wait_after(error: &io::Error, failures: &RateLimitedWarning) {
    // A client that left between connect and accept is no reason to wait.
    if error.kind() == io::ErrorKind::ConnectionAborted {
        return;
    }
    if let Some(times) = failures.count() {
        tracing::warn!(%error, times, "cannot accept connections; raise the limit of open files if this goes on");
    }
    tokio::time::sleep(ACCEPT_BACKOFF).await;
}
