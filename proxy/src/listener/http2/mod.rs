//! HTTP/2: one connection from its preface to its last stream.
//!
//! pingora's own loop (`ServerApp::process_new`) waits for a preface as long as the client likes, waits
//! at the end for a PING's answer as long, and lets a client that resets its requests have any number
//! of them in work. So this one stands in its place. What bounds a connection:
//!
//! | by | what |
//! |---|---|
//! | the h2 crate | far too large headers, CONTINUATION frames, small and empty DATA, requests at a time |
//! | pingora | how long a piece of an answer waits for a window: `limits.send_timeout` |
//! | [`conduct`] | frames without content; how long a header and a body take |
//! | the gate | size of a header: `limits.header_size`, `limits.header_count` |
//! | this loop | requests in work, those included that the client gave up; idleness; the end |

mod conduct;
mod frames;
mod gathering;
mod malformed;
mod observed;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use h2::Reason;
use pingora::Result;
use pingora::apps::HttpServerApp;
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::v2::server::{self, H2Accept, H2Options, HttpSession};
use pingora::protocols::l4::socket::SocketAddr;
use pingora::protocols::{Digest, GetProxyDigest, GetSocketDigest, GetTimingDigest, Ssl, Stream};
use pingora::server::ShutdownWatch;
use tokio::time::{Instant, sleep_until, timeout};

use super::{ClientConnection, Hall};
use crate::config::Limits;
use crate::{access_log, rescue};
use conduct::{Conduct, Fault, STREAM_WINDOW};
use observed::Observed;

/// What all bodies of a connection may send before the gate took some of it: what it keeps at most.
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// What a client may send in one frame. curl keeps to 16 KiB whatever it is told; Go's client sends what is
/// allowed, and every frame is a read and a write of its own.
const FRAME_SIZE: u32 = 64 * 1024;

/// What is kept of an answer at most, beside what is on its way to the socket.
const SEND_BUFFER: usize = 128 * 1024;

/// How many times `limits.header_size` the h2 crate takes of a header. It answers what is over its own
/// bound with a 431 that has no body, so that what is over ours must be read to be refused by the gate.
const HEADER_ROOM: usize = 2;

/// How often the clock is looked at while a header or a body is under way.
const TICK: Duration = Duration::from_secs(1);

/// How long a client may take to answer the PING behind the announcement of the end, so that requests
/// which are on their way are served.
const ROUND_TRIP: Duration = Duration::from_secs(1);

/// How long the last word may take to be written.
const FAREWELL: Duration = Duration::from_secs(1);

/// Why a connection is ended by us.
#[derive(Debug, Clone, Copy)]
enum End {
    /// By what the client did.
    Fault(Fault),
    /// An answer was broken off, and no other is under way.
    BrokenOff,
    /// Nothing is under way, and nothing was for a while.
    Idle,
    /// Nothing is under way, and nothing more shall be.
    Stopping,
}

/// A request in work. It is no task of its own: what it writes is then sent by the task that it runs in, and no
/// other thread is woken for every piece of a layer.
type Request = Pin<Box<dyn Future<Output = ()> + Send>>;

/// One connection.
struct Serving<'a> {
    hall: &'a Hall,
    limits: &'a Limits,
    connection: h2::server::Connection<Stream, Bytes>,
    digest: Arc<Digest>,
    conduct: Conduct,
    requests: FuturesUnordered<Request>,
    /// When the last request ended.
    idle_since: Instant,
    /// When the end was announced.
    stopping_since: Option<Instant>,
}

/// Serves a connection on which HTTP/2 was agreed on, to its end.
pub(super) async fn serve(hall: &Hall, stream: ClientConnection, stopping: &ShutdownWatch) {
    let limits = &*hall.door.limits;
    // However it ends: the client may be sending, and shall read why.
    stream.linger();
    let digest = Arc::new(Digest {
        ssl_digest: stream.get_ssl_digest(),
        timing_digest: stream.get_timing_digest(),
        proxy_digest: stream.get_proxy_digest(),
        socket_digest: stream.get_socket_digest(),
    });
    let conduct = Conduct::new(limits);
    let stream: Stream = Box::new(Observed::new(stream, conduct.clone()));
    let shaken = timeout(limits.header_timeout.duration(), server::handshake(stream, Some(options(limits)))).await;
    let Ok(Ok(connection)) = shaken else {
        return tracing::debug!("an HTTP/2 connection did not begin with its preface");
    };
    let requests = FuturesUnordered::new();
    let idle_since = Instant::now();
    let serving = Serving { hall, limits, connection, digest, conduct, requests, idle_since, stopping_since: None };
    serving.run(stopping.clone()).await;
}

fn options(limits: &Limits) -> H2Options {
    let mut options = server::default_h2_options();
    options
        .max_header_list_size(u32::try_from(HEADER_ROOM * limits.header_size.get()).expect("it is at most 2 MiB"))
        .max_concurrent_streams(limits.streams.into())
        .max_concurrent_reset_streams(limits.streams.get())
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(FRAME_SIZE)
        .max_send_buffer_size(SEND_BUFFER);
    options
}

impl Serving<'_> {
    async fn run(mut self, mut stopping: ShutdownWatch) {
        let for_requests = stopping.clone();
        loop {
            if let Some(end) = self.end() {
                return self.close(end).await;
            }
            let next_look = self.next_look();
            let has_room = self.requests.len() < self.limits.streams.get();
            tokio::select! {
                biased;
                () = told_to_stop(&mut stopping), if self.stopping_since.is_none() => {
                    self.connection.graceful_shutdown();
                    self.stopping_since = Some(Instant::now());
                }
                Some(()) = self.requests.next() => self.idle_since = Instant::now(),
                () = self.conduct.changed() => {}
                () = self.hall.place_is_needed(), if self.is_quiet() => return self.close(End::Idle).await,
                accepted = accept(&mut self.connection, &self.digest, has_room) => {
                    match accepted {
                        Ok(Some(H2Accept::Session(request))) => self.begin(request, &for_requests),
                        Ok(Some(H2Accept::Rejected)) => self.log_rejected(),
                        // The client left, or broke the protocol and was told.
                        Ok(None) | Err(_) => break,
                    }
                }
                () = sleep_until(next_look) => {}
            }
        }
        self.finish().await;
    }

    /// Resets a request, or hands it to the gate.
    fn begin(&mut self, mut request: HttpSession, stopping: &ShutdownWatch) {
        if let Some(rule) = malformed::broken_rule(request.req_header()) {
            tracing::debug!(rule, "an HTTP/2 request is malformed");
            return request.shutdown_with_reason(Reason::PROTOCOL_ERROR);
        }
        let (proxy, stopping) = (self.hall.door.proxy.clone(), stopping.clone());
        self.requests.push(Box::pin(async move {
            proxy.process_new_http(ServerSession::new_http2(request), &stopping).await;
        }));
    }

    /// pingora has answered by itself, with nothing but a status, and shows neither request nor answer.
    fn log_rejected(&self) {
        access_log::unreadable(self.client(), &rescue::ambiguous_host());
    }

    fn client(&self) -> Option<&SocketAddr> {
        self.digest.socket_digest.as_ref()?.peer_addr()
    }

    fn is_quiet(&self) -> bool {
        self.requests.is_empty() && !self.connection.has_streams()
    }

    /// Whether it is time to end, and why.
    fn end(&self) -> Option<End> {
        if let Some(fault) = self.conduct.fault() {
            return Some(End::Fault(fault));
        }
        if !self.is_quiet() {
            return None;
        }
        if self.conduct.broke_off() {
            return Some(End::BrokenOff);
        }
        let has_passed = |since: Instant, period: Duration| since.elapsed() >= period;
        if self.stopping_since.is_some_and(|since| has_passed(since, ROUND_TRIP)) {
            return Some(End::Stopping);
        }
        has_passed(self.idle_since, self.limits.idle_timeout.duration()).then_some(End::Idle)
    }

    /// When to ask again, if nothing happens.
    fn next_look(&self) -> Instant {
        let now = Instant::now();
        let idle = self.idle_since + self.limits.idle_timeout.duration();
        let stop = self.stopping_since.map(|since| since + ROUND_TRIP);
        let soon = (self.conduct.is_timed() || !self.is_quiet()).then_some(now + TICK);
        let first = [stop, soon].into_iter().flatten().fold(idle, Instant::min);
        // What has passed and was no end is looked at once a tick.
        if first > now { first } else { now + TICK }
    }

    async fn close(mut self, end: End) {
        let reason = match end {
            End::Fault(fault) => {
                let client = access_log::address(self.client());
                tracing::info!(client, reason = %fault, "an HTTP/2 connection was ended");
                Reason::ENHANCE_YOUR_CALM
            }
            End::BrokenOff | End::Idle | End::Stopping => Reason::NO_ERROR,
        };
        self.connection.abrupt_shutdown(reason);
        let farewell = std::future::poll_fn(|cx| self.connection.poll_closed(cx));
        // Who does not take the last word goes without.
        let _ = timeout(FAREWELL, farewell).await;
        self.finish().await;
    }

    /// Lets the requests in work see that the client is gone, and log it.
    async fn finish(self) {
        let Self { connection, mut requests, .. } = self;
        drop(connection);
        while requests.next().await.is_some() {}
    }
}

async fn told_to_stop(stopping: &mut ShutdownWatch) {
    // A sender that is gone stops as well.
    let _ = stopping.wait_for(|stop| *stop).await;
}

/// The next request. Where there is no room for one the connection is driven all the same, and its
/// requests stay with h2, which counts those that are reset meanwhile and ends a flood of them.
async fn accept(
    connection: &mut h2::server::Connection<Stream, Bytes>,
    digest: &Arc<Digest>,
    has_room: bool,
) -> Result<Option<H2Accept>> {
    if has_room {
        return HttpSession::from_h2_conn(connection, digest.clone()).await;
    }
    // To its end: closed in order or not, nothing more comes.
    let _ = std::future::poll_fn(|cx| connection.poll_closed(cx)).await;
    Ok(None)
}
