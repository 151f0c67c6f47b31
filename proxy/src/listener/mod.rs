//! The listener: accepts, shakes hands, serves each connection with a `Service`, and lets those in flight finish
//! when it is told to stop. It knows no gate.
//!
//! hyper serves the requests of an HTTP/1.1 connection (`http1.rs`), the h2 crate those of an HTTP/2 one (`http2/`).
//! What they have no word for is seen to around them: TLS versions and tickets, a handshake deadline, budgets of
//! headers and bodies, connections in all and from one address, and an end that cuts nobody off.

mod admission;
mod body_error;
mod connection;
mod exchange;
mod handover;
mod handshakes;
mod http1;
mod http1_body;
pub(crate) mod http2;
mod listening_socket;
mod open_files;
mod opening;
pub(crate) mod proxy_protocol;
mod service;
mod socket;
mod stopping;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::config::{self, Limits, Listen};
use crate::metrics::METRICS;
use crate::rate_limited::RateLimitedWarning;
use crate::refusal::{self, OwnFields};
use admission::{Admission, Place};
pub(crate) use body_error::BodyError;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use connection::header_scan;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use connection::remaining_body::RemainingBody;
use handshakes::HandshakeSemaphore;
pub use listening_socket::ListenError;
pub(crate) use listening_socket::ListeningSocket;
use opening::Opening;
pub(crate) use service::{Gone, RequestBody, Service};
use socket::ReadAhead;
use stopping::{Stop, Stopping};

/// A client's connection as hyper reads and writes it.
type ClientConnection = connection::Connection<TlsStream<ReadAhead>>;

/// How long to wait before accepting again when the system has no file descriptor or memory left.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(50);

/// What every connection is served with.
pub(crate) struct Settings<S> {
    /// TLS, as [`crate::tls::server_config`] made it.
    pub(crate) tls: Arc<rustls::ServerConfig>,
    /// Answers the requests.
    pub(crate) service: Arc<S>,
    /// Who stands between this and the clients.
    pub(crate) listen: Listen,
    /// The budgets of a connection.
    pub(crate) limits: Arc<Limits>,
    /// What answers carry that are no service's.
    pub(crate) own_fields: OwnFields,
    /// How the connections end.
    pub(crate) shutdown: config::Shutdown,
}

/// Accepts connections and serves them.
pub(crate) struct Acceptor<S> {
    tls: TlsAcceptor,
    service: Arc<S>,
    listen: Listen,
    limits: Arc<Limits>,
    own_fields: OwnFields,
    shutdown: config::Shutdown,
    admission: Admission,
    handshakes: HandshakeSemaphore,
    plain: RateLimitedWarning,
    proxied: RateLimitedWarning,
    unproxied: RateLimitedWarning,
}

/// Why no more connection is accepted.
#[derive(Debug)]
pub(crate) enum End {
    /// Somebody wants this process to end.
    Stopped,
    /// Another process accepts them.
    HandedOver,
}

/// The connections of a listener that accepts no more.
pub(crate) struct Accepted {
    connections: JoinSet<()>,
    stop: Stop,
}

/// How a listener was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed {
    /// Connections that were cut because they did not finish within the grace period.
    pub cut: usize,
}

impl<S: Service> Acceptor<S> {
    /// One that has accepted nobody yet.
    pub(crate) fn new(settings: Settings<S>) -> Arc<Self> {
        let Settings { tls, service, listen, limits, own_fields, shutdown } = settings;
        Arc::new(Self {
            tls: TlsAcceptor::from(tls),
            service,
            listen,
            admission: Admission::new(&limits),
            limits,
            own_fields,
            shutdown,
            handshakes: HandshakeSemaphore::of_half_the_threads(),
            plain: RateLimitedWarning::default(),
            proxied: RateLimitedWarning::default(),
            unproxied: RateLimitedWarning::default(),
        })
    }

    /// Serves who comes to `listening` until `end` resolves.
    pub(crate) async fn serve<E>(
        self: &Arc<Self>,
        listening: &ListeningSocket,
        end: impl Future<Output = E>,
    ) -> (Accepted, E) {
        let (stop, stopping) = Stop::new();
        let mut connections = JoinSet::new();
        let failures = RateLimitedWarning::default();
        tokio::pin!(end);
        loop {
            tokio::select! {
                ended = &mut end => return (Accepted { connections, stop }, ended),
                Some(_) = connections.join_next(), if !connections.is_empty() => {}
                accepted = self.accept(listening) => match accepted {
                    Ok(Some((socket, peer, place))) => {
                        let (acceptor, stopping) = (self.clone(), stopping.clone());
                        connections.spawn(async move { acceptor.welcome(socket, peer, place, &stopping).await });
                    }
                    Ok(None) => {}
                    Err(error) => {
                        self.admission.ask_for_room();
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
            finished = timeout(self.shutdown.grace.duration(), all_done) => finished.is_ok(),
            () = hurry => false,
        };
        let cut = if finished { 0 } else { connections.len() };
        connections.shutdown().await;
        Closed { cut }
    }

    /// The next client, once there is room; `None` for one beyond its address's share, which is closed.
    async fn accept(&self, listening: &ListeningSocket) -> io::Result<Option<(TcpStream, SocketAddr, Place)>> {
        let room = self.admission.room().await;
        let (socket, peer) = listening.accept().await?;
        let mut place = self.admission.place(room);
        let is_admitted = self.is_many(peer) || self.admission.count(&mut place, peer);
        Ok(is_admitted.then_some((socket, peer, place)))
    }

    /// Whether many clients come from there, so that it has no share of an address.
    fn is_many(&self, peer: SocketAddr) -> bool {
        self.listen.speaks_proxy_protocol(peer.ip()) || self.listen.is_trusted_proxy(peer.ip())
    }

    /// One client, from the handshake to the last answer.
    async fn welcome(&self, socket: TcpStream, peer: SocketAddr, mut place: Place, stopping: &Stopping) {
        // Boxed, so that an idle connection does not keep the room that it needed.
        let shaken = tokio::select! {
            shaken = Box::pin(self.shake_hands(socket, peer, &mut place)) => shaken,
            () = stopping.silence() => None,
        };
        let Some((stream, client)) = shaken else { return };
        let speaks_h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        let connection = ClientConnection::new(stream, client.into(), self.limits.clone(), self.own_fields.clone());
        if speaks_h2 {
            // Boxed, so that the task of an HTTP/1.1 connection has no room for it.
            Box::pin(http2::serve(self.service.clone(), &self.admission, &self.limits, connection, stopping)).await;
        } else {
            http1::serve(&self.service, &self.admission, &self.limits, Box::new(connection), stopping).await;
        }
    }

    /// Who is there, and what is said to it from now on.
    async fn shake_hands(
        &self,
        socket: TcpStream,
        peer: SocketAddr,
        place: &mut Place,
    ) -> Option<(TlsStream<ReadAhead>, SocketAddr)> {
        let deadline = Instant::now() + self.limits.handshake_timeout.duration();
        let mut socket = ReadAhead::new(socket);
        let peer = match self.listen.speaks_proxy_protocol(peer.ip()) {
            true => self.client_of(peer, &mut socket, place, deadline).await?,
            false => peer,
        };
        let handshake_over = socket.handshake_over();
        let handshake = async {
            match Opening::read(&mut socket).await? {
                Opening::Http { is_head } => return Ok(Err((socket, is_head))),
                Opening::Proxy => self.note_proxy_header(peer),
                Opening::Tls => {}
            }
            self.handshakes.run(self.tls.accept(socket)).await.map(Ok)
        };
        let shaken: Result<io::Result<_>, _> = timeout_at(deadline, handshake).await;
        match shaken {
            Ok(Ok(Ok(stream))) => {
                handshake_over.tell();
                METRICS.handshake(match stream.get_ref().1.protocol_version() {
                    Some(rustls::ProtocolVersion::TLSv1_2) => "TLSv1.2",
                    _ => "TLSv1.3",
                });
                return Some((stream, peer));
            }
            Ok(Ok(Err((socket, is_head)))) => {
                handshake_over.tell();
                METRICS.handshake("plain_http");
                self.refuse_plain_http(socket, peer, is_head).await;
            }
            Ok(Err(error)) => {
                METRICS.handshake("failed");
                tracing::debug!(client = %peer, %error, "TLS handshake failed");
            }
            Err(_) => {
                METRICS.handshake("timeout");
                tracing::debug!(client = %peer, "TLS handshake timed out");
            }
        }
        None
    }

    /// On whose behalf a load balancer comes. `None` when it does not say so, or its client has its share.
    async fn client_of(
        &self,
        balancer: SocketAddr,
        socket: &mut ReadAhead,
        place: &mut Place,
        deadline: Instant,
    ) -> Option<SocketAddr> {
        let client = match timeout_at(deadline, proxy_protocol::read(socket)).await {
            Ok(Ok(client)) => client.unwrap_or(balancer),
            Ok(Err(error)) if error.kind() == io::ErrorKind::InvalidData => {
                METRICS.handshake("failed");
                if let Some(times) = self.unproxied.count() {
                    tracing::warn!(
                        %balancer, times,
                        "a connection from listen.proxy_protocol was closed: {error}; let it send one (haproxy: \
                         send-proxy-v2, nginx: proxy_protocol on), or take its address out"
                    );
                }
                return None;
            }
            // A balancer that only looks whether the port is open says nothing.
            Ok(Err(_)) => return None,
            Err(_) => {
                METRICS.handshake("timeout");
                return None;
            }
        };
        (client == balancer || self.listen.is_trusted_proxy(client.ip()) || self.admission.count(place, client))
            .then_some(client)
    }

    /// Says in plain HTTP that TLS is spoken here. Nothing of that is to be remembered by a client (RFC 6797, 7.2),
    /// and no password asked for.
    async fn refuse_plain_http(&self, socket: ReadAhead, peer: SocketAddr, is_head: bool) {
        if let Some(times) = self.plain.count() {
            tracing::warn!(client = %peer, times, "plain HTTP came to this port, which speaks HTTPS; answered with 400");
        }
        let own_fields = refusal::own_fields(None);
        connection::Connection::new(socket, peer.into(), self.limits.clone(), own_fields)
            .turn_away(&refusal::plain_http(), is_head)
            .await;
    }

    fn note_proxy_header(&self, peer: SocketAddr) {
        if let Some(times) = self.proxied.count() {
            tracing::warn!(
                client = %peer, times,
                "a PROXY protocol header came before TLS from an address that is not in listen.proxy_protocol, and was refused; name it there, or switch the header off at the load balancer"
            );
        }
    }
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
