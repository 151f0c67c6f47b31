//! One connection to the upstream, driven by whoever uses it.
//!
//! hyper's client is a sender and a future that moves the bytes. Mostly that future is a task of its own, which is
//! woken for each piece of a layer by another thread. Here it is polled by the request that it works for: all of a
//! transfer runs in the client connection's task.

use std::future::{Future as _, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use pingora::protocols::l4::socket::SocketAddr;
use tokio::task::coop::unconstrained;

use super::failure::Failure;
use super::patience::Patience;
use super::read_ahead::{LARGE_READ, ReadAheadBudget};
use super::request_body::{Progress, RequestBody};
use super::socket::{Meter, Socket};
use crate::listener::BodyError;

/// Bytes of what comes before an answer: its header, and interim answers (1xx), which hyper passes over without
/// counting them.
const MAX_PREAMBLE: u64 = 1024 * 1024;

/// How long the upstream is waited for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timeouts {
    /// Until a connection stands.
    pub(super) connect: Duration,
    /// Until something comes, once all of a request was sent.
    pub(super) read: Duration,
    /// Until it takes something of a request.
    pub(super) write: Duration,
}

/// A request that was not answered.
pub(super) struct NotAnswered {
    /// Why.
    pub(super) failure: Failure,
    /// The request, where not a byte of it was sent.
    pub(super) unsent: Option<Box<Request<RequestBody>>>,
}

type Driver = http1::Connection<TokioIo<Socket>, RequestBody>;

/// A connection over which one request at a time goes.
pub(super) struct Connection {
    address: SocketAddr,
    sender: http1::SendRequest<RequestBody>,
    /// `None` when it has ended.
    driver: Option<Driver>,
    meter: Arc<Meter>,
    moved: u64,
    patience: Patience,
    timeouts: Timeouts,
    /// How far the request in hand was read from its client.
    progress: Arc<Progress>,
}

impl Connection {
    /// Connects to an address.
    ///
    /// # Errors
    /// It cannot be connected to, or not in time.
    pub(super) async fn open(
        address: SocketAddr,
        timeouts: Timeouts,
        budget: &ReadAheadBudget,
    ) -> Result<Box<Self>, Failure> {
        let connect = tokio::time::timeout(timeouts.connect, Socket::connect(&address, budget));
        let socket = connect.await.map_err(|_| Failure::Silent)?.map_err(Failure::Unreachable)?;
        let meter = socket.meter();
        let mut builder = http1::Builder::new();
        builder.max_buf_size(LARGE_READ).title_case_headers(true);
        // Some registries' proxies still fold lines (RFC 9112, 5.2); hyper unfolds them.
        builder.allow_obsolete_multiline_headers_in_responses(true);
        let shaken = builder.handshake(TokioIo::new(socket)).await;
        let (sender, driver) = shaken.map_err(|error| Failure::BrokeOff(error.to_string()))?;
        // Boxed, since it moves from pool to request to answer and back.
        Ok(Box::new(Self {
            address,
            sender,
            driver: Some(driver),
            meter,
            moved: 0,
            patience: Patience::default(),
            timeouts,
            progress: Arc::default(),
        }))
    }

    /// Where it leads to.
    pub(super) fn address(&self) -> &SocketAddr {
        &self.address
    }

    /// Whether it can be used for a request: it is open, all of the last exchange is over, and nothing has come
    /// since, by the system's own word.
    pub(super) fn is_usable(&mut self) -> bool {
        self.meter.look();
        self.is_over()
    }

    /// Whether all of the last exchange is over, as far as the runtime knows.
    pub(super) fn is_over(&mut self) -> bool {
        self.poll_drive(&mut Context::from_waker(Waker::noop())).is_pending() && self.sender.is_ready()
    }

    /// Sends a request, and comes back with its answer's header.
    ///
    /// # Errors
    /// There is no answer. The connection cannot be used any more.
    pub(super) async fn send(&mut self, mut request: Request<RequestBody>) -> Result<Response<Incoming>, NotAnswered> {
        self.progress = request.body().progress();
        request.body_mut().goes_over(self.meter.clone());
        self.patience.rest();
        // What is found closed then gives the request back unsent.
        self.meter.look();
        self.moved = self.meter.moved();
        let most = self.meter.read() + MAX_PREAMBLE;
        // A task that has done much is told to wait by what it asks then, and would not see a request that came back.
        let mut answer = pin!(unconstrained(self.sender.try_send_request(request)));
        poll_fn(|cx| {
            let driven = self.poll_drive(cx);
            if let Poll::Ready(answer) = answer.as_mut().poll(cx) {
                return Poll::Ready(answer.map_err(|mut error| NotAnswered {
                    unsent: error.take_message().map(Box::new),
                    failure: failure(error.error(), &self.progress),
                }));
            }
            let failure = match driven {
                Poll::Ready(failure) => failure,
                Poll::Pending if self.meter.read() > most => {
                    Failure::BrokeOff("interim answers without end".to_owned())
                }
                Poll::Pending => std::task::ready!(self.poll_silent(cx)),
            };
            Poll::Ready(Err(NotAnswered { failure, unsent: None }))
        })
        .await
    }

    /// Reads on in an answer's body.
    pub(super) fn poll_body(
        &mut self,
        body: &mut Incoming,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<hyper::body::Frame<bytes::Bytes>, Failure>>> {
        let mut frame = Pin::new(&mut *body).poll_frame(cx);
        if frame.is_pending() {
            // That it is polled tells hyper that there is room for more.
            let _ = self.poll_drive(cx);
            frame = Pin::new(body).poll_frame(cx);
        }
        match frame {
            Poll::Ready(frame) => {
                self.patience.rest();
                Poll::Ready(frame.map(|frame| frame.map_err(|error| failure(&error, &self.progress))))
            }
            Poll::Pending => self.poll_silent(cx).map(|failure| Some(Err(failure))),
        }
    }

    /// Moves bytes. Ready when the connection has ended.
    fn poll_drive(&mut self, cx: &mut Context<'_>) -> Poll<Failure> {
        let Some(driver) = &mut self.driver else { return Poll::Ready(Failure::BrokeOff("it has ended".to_owned())) };
        let ended = std::task::ready!(Pin::new(driver).poll(cx));
        self.driver = None;
        Poll::Ready(match ended {
            Ok(()) => Failure::BrokeOff("it ended".to_owned()),
            Err(error) => failure(&error, &self.progress),
        })
    }

    /// Ready when it is the upstream's turn, and was for too long.
    fn poll_silent(&mut self, cx: &mut Context<'_>) -> Poll<Failure> {
        let moved = self.meter.moved();
        if moved != self.moved {
            self.moved = moved;
            self.patience.rest();
        }
        let limit = match (self.meter.is_write_blocked(), self.progress.is_over()) {
            (true, _) => self.timeouts.write,
            (false, true) => self.timeouts.read,
            (false, false) => {
                self.patience.rest();
                return Poll::Pending;
            }
        };
        self.patience.poll_over(limit, cx).map(|()| Failure::Silent)
    }
}

/// What an error of hyper's means.
fn failure(error: &hyper::Error, progress: &Progress) -> Failure {
    if let Some(clients) = progress.error() {
        return Failure::Client(clients);
    }
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if let Some(clients) = error.downcast_ref::<BodyError>() {
            return Failure::Client(*clients);
        }
        text = format!("{text}: {error}");
        cause = error.source();
    }
    Failure::BrokeOff(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::task::coop::{consume_budget, has_budget_remaining};

    #[tokio::test]
    async fn a_request_for_a_dead_connection_comes_back_however_much_its_task_has_done() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = SocketAddr::Inet(listener.local_addr().expect("an address"));
        let second = Duration::from_secs(1);
        let timeouts = Timeouts { connect: second, read: second, write: second };
        let opened = Connection::open(address, timeouts, &ReadAheadBudget::new(0)).await;
        let mut connection = opened.expect("a connection");
        drop(listener.accept().await.expect("accepted"));
        let mut send = pin!(connection.send(Request::post("/").body(RequestBody::empty()).expect("a request")));
        let sent = poll_fn(|cx| {
            while has_budget_remaining() {
                let _ = pin!(consume_budget()).poll(cx);
            }
            send.as_mut().poll(cx)
        });
        assert!(sent.await.is_err_and(|failed| failed.unsent.is_some()));
    }
}
