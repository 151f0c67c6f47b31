//! HTTP/2: one connection from its preface to its last stream.
//!
//! The h2 crate, on which hyper's HTTP/2 stands, is driven here without hyper between: hyper's server neither ends a
//! connection with ENHANCE_YOUR_CALM, nor bounds how long a piece of an answer waits for the client's window, nor
//! runs a connection's requests in the connection's own task. What bounds a connection:
//!
//! | by | what |
//! |---|---|
//! | the h2 crate | far too large headers, CONTINUATION frames, small and empty DATA, requests at a time |
//! | [`guard`] | frames without content; how long a header and a body take |
//! | [`stream`] | how long a piece of an answer waits for a window: `limits.send_timeout` |
//! | the service | size of a header: `limits.header_size`, `limits.header_count` |
//! | this loop | requests in work; idleness; the end |

mod frame_buffer;
mod frames;
mod guard;
mod guarded_stream;
mod last_byte;
mod malformed;
pub(super) mod request_body;
mod stream;

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::Request;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep_until, timeout};

use super::admission::Admission;
use super::connection::Connection;
use super::service::Service;
use super::stopping::Stopping;
use crate::access_log;
use crate::client::Client;
use crate::config::Limits;
use guard::{Fault, Guard, STREAM_WINDOW};
use guarded_stream::GuardedStream;

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
type InWork = Pin<Box<dyn Future<Output = ()> + Send>>;

/// One connection.
struct Serving<'a, S, I> {
    service: Arc<S>,
    admission: &'a Admission,
    limits: &'a Limits,
    connection: h2::server::Connection<GuardedStream<Connection<I>>, Bytes>,
    client: Client,
    guard: Guard,
    requests: FuturesUnordered<InWork>,
    /// When the last request ended.
    idle_since: Instant,
    /// When the end was announced.
    stopping_since: Option<Instant>,
}

/// Serves a connection on which HTTP/2 was agreed on, to its end.
pub(super) async fn serve<S: Service, I: AsyncRead + AsyncWrite + Unpin>(
    service: Arc<S>,
    admission: &Admission,
    limits: &Limits,
    connection: Connection<I>,
    stopping: &Stopping,
) {
    let client = connection.client().clone();
    let guard = Guard::new(limits);
    let stream = GuardedStream::new(connection.for_http2(), guard.clone());
    let shaken = timeout(limits.header_timeout.duration(), settings(limits).handshake(stream)).await;
    let Ok(Ok(connection)) = shaken else {
        return tracing::debug!("an HTTP/2 connection did not begin with its preface");
    };
    let requests = FuturesUnordered::new();
    let idle_since = Instant::now();
    let serving =
        Serving { service, admission, limits, connection, client, guard, requests, idle_since, stopping_since: None };
    serving.run(stopping).await;
}

fn settings(limits: &Limits) -> h2::server::Builder {
    let mut settings = h2::server::Builder::new();
    settings
        .max_header_list_size(u32::try_from(HEADER_ROOM * limits.header_size.get()).expect("it is at most 2 MiB"))
        .max_concurrent_streams(u32::try_from(limits.streams.get()).expect("it is at most 1000"))
        .max_concurrent_reset_streams(limits.streams.get())
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(FRAME_SIZE)
        .max_send_buffer_size(SEND_BUFFER);
    settings
}

impl<S: Service, I: AsyncRead + AsyncWrite + Unpin> Serving<'_, S, I> {
    async fn run(mut self, stopping: &Stopping) {
        loop {
            if let Some(end) = self.end() {
                return self.close(end).await;
            }
            let next_look = self.next_look();
            let has_room = self.requests.len() < self.limits.streams.get();
            tokio::select! {
                biased;
                () = stopping.told(), if self.stopping_since.is_none() => {
                    self.connection.graceful_shutdown();
                    self.stopping_since = Some(Instant::now());
                }
                Some(()) = self.requests.next() => self.idle_since = Instant::now(),
                () = self.guard.changed() => {}
                () = self.admission.idle_place_is_needed(), if self.is_quiet() => return self.close(End::Idle).await,
                accepted = accept(&mut self.connection, has_room) => match accepted {
                    Some((request, respond)) => self.begin(request, respond),
                    // The client left, or broke the protocol and was told.
                    None => break,
                },
                () = sleep_until(next_look) => {}
            }
        }
        self.finish().await;
    }

    /// Resets a request, or hands it to the service.
    fn begin(&mut self, request: Request<RecvStream>, mut respond: SendResponse<Bytes>) {
        if let Some(rule) = malformed::broken_rule(&request) {
            access_log::unreadable(&self.client, 0, rule);
            return respond.send_reset(Reason::PROTOCOL_ERROR);
        }
        let (service, client) = (self.service.clone(), self.client.clone());
        self.requests.push(Box::pin(stream::serve(
            service,
            request,
            respond,
            client,
            self.limits.send_timeout.duration(),
        )));
    }

    fn is_quiet(&self) -> bool {
        self.requests.is_empty() && !self.connection.has_streams()
    }

    /// Whether it is time to end, and why.
    fn end(&self) -> Option<End> {
        if let Some(fault) = self.guard.fault() {
            return Some(End::Fault(fault));
        }
        if !self.is_quiet() {
            return None;
        }
        if self.guard.broke_off() {
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
        let soon = (self.guard.is_timed() || !self.is_quiet()).then_some(now + TICK);
        let first = [stop, soon].into_iter().flatten().fold(idle, Instant::min);
        // What has passed and was no end is looked at once a tick.
        if first > now { first } else { now + TICK }
    }

    async fn close(mut self, end: End) {
        let reason = match end {
            End::Fault(fault) => {
                let client = self.client.as_str();
                tracing::info!(client, reason = %fault, "an HTTP/2 connection was ended");
                Reason::ENHANCE_YOUR_CALM
            }
            End::BrokenOff | End::Idle | End::Stopping => Reason::NO_ERROR,
        };
        self.connection.abrupt_shutdown(reason);
        let farewell = poll_fn(|cx| self.connection.poll_closed(cx));
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

/// The next request. Where there is no room for one the connection is driven all the same, and its
/// requests stay with h2, which counts those that are reset meanwhile and ends a flood of them.
async fn accept<I: AsyncRead + AsyncWrite + Unpin>(
    connection: &mut h2::server::Connection<GuardedStream<Connection<I>>, Bytes>,
    has_room: bool,
) -> Option<(Request<RecvStream>, SendResponse<Bytes>)> {
    if has_room {
        return connection.accept().await?.ok();
    }
    // To its end: closed in order or not, nothing more comes.
    let _ = poll_fn(|cx| connection.poll_closed(cx)).await;
    None
}
