//! A client's connection above TLS: budgets on what a client sends and takes, and refusals for what
//! pingora cannot read.
//!
//! pingora's header timeouts run anew with each byte, its header limit is 1 MiB, it parses a header from
//! its first byte at every read, and its answer to a request it cannot parse is a bare `Server: Pingora`
//! page. So this type stands between it and the client, and follows one HTTP/1.1 connection:
//!
//! ```text
//! Waiting ──header()──▶ Header ──the gate calls request_arrived()──▶ Request ──next_request()──▶ Waiting
//!   any of them ──shutdown──▶ Closing
//! ```
//!
//! While the process stops, `Waiting` ends sooner: see [`super::stopping`].
//!
//! While it waits no session of pingora's exists, and so none is in an idle connection's memory. pingora
//! gets a header in one piece and a body to its last byte, never more ([`extent`]). In a request a client
//! has to keep a [`pace`], in both directions: pingora's own timeouts do not reach headers, flushes and
//! closing. Whatever pingora writes before the gate saw a request is an error page of its own: it is
//! replaced by OCI JSON. An HTTP/2 connection stays in `Request`; its budgets are in
//! [`super::http2`].

pub(crate) mod chunks;
pub(crate) mod extent;
pub(crate) mod header_scan;
pub(super) mod pace;
mod pingora_io;
#[cfg(test)]
mod tests;

use std::future::{Future, poll_fn};
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http::HeaderValue;
use lockgate_oci::OciError;
use pingora::protocols::{ALPN, IO};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::held::Held;
use super::stopping::Stopping;
use crate::access_log;
use crate::config::Limits;
use crate::rescue;
use chunks::Malformed;
use extent::Extent;
use header_scan::{Budget, Flaw, HeaderScan};
use pace::{Pace, Rule};

/// The most that is read and thrown away after a refusal, so that the client gets to read it: a close
/// with bytes unread resets the connection, and the answer with it.
const LINGER_BYTES: usize = 1024 * 1024;

/// The most that is read ahead of pingora at once: a TLS record holds no more.
const AHEAD: usize = 16 * 1024;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    /// Between requests, and while a header is incomplete.
    Waiting,
    /// pingora reads the header, of which so many bytes are left.
    Header { left: usize },
    /// The gate has the request, and so much of its body is to come.
    Request(Extent),
    /// The last word is being said.
    Closing,
}

/// A connection as pingora reads and writes it.
#[derive(Debug)]
pub(super) struct Connection<S> {
    io: S,
    limits: Arc<Limits>,
    phase: Phase,
    /// The request's body, as the gate told it, which holds the connection by a shared reference only.
    told: Mutex<Option<Extent>>,
    /// Read from the client and not handed over: a header, or what came after a request.
    ahead: Vec<u8>,
    /// Taken from pingora and not written.
    held: Held,
    deadline: Pin<Box<Sleep>>,
    stopping: Stopping,
    /// How the client sends the request's body, from its first byte on.
    sending: Option<Pace>,
    /// How it takes what is written.
    taking: Pace,
    /// Whether the request's method is HEAD, as far as its header has come.
    is_head: bool,
    /// What is said in place of an answer, once it is decided.
    refusal: Option<Bytes>,
    /// Bytes that may still be read and thrown away after the last word; set where a close could
    /// overtake it.
    linger: AtomicUsize,
    /// `Strict-Transport-Security` of what is said in place of an answer.
    hsts: Option<HeaderValue>,
}

impl<S: IO + 'static> Connection<S> {
    /// Takes over a connection whose TLS handshake is done.
    pub(super) fn new(io: S, limits: Arc<Limits>, stopping: &Stopping) -> Self {
        let speaks_h2 = io.selected_alpn_proto() == Some(ALPN::H2);
        let phase = if speaks_h2 { Phase::Request(Extent::Unknown) } else { Phase::Waiting };
        Self {
            io,
            phase,
            told: Mutex::new(None),
            ahead: Vec::new(),
            held: Held::default(),
            deadline: Box::pin(tokio::time::sleep(limits.idle_timeout.duration())),
            stopping: stopping.clone(),
            sending: None,
            taking: Pace::new(taking_rule(&limits)),
            is_head: false,
            refusal: None,
            linger: AtomicUsize::new(0),
            hsts: None,
            limits,
        }
    }

    /// The same, with a `Strict-Transport-Security` on its own answers.
    pub(super) fn with_hsts(self, hsts: Option<HeaderValue>) -> Self {
        Self { hsts, ..self }
    }

    /// Whether the connection ends with the answer to this request.
    pub(super) fn is_last_answer(&self) -> bool {
        self.stopping.is_told()
    }

    /// Waits for the first byte of the next request. `false` when none comes: the client left, or asked
    /// for nothing within the idle timeout. It is told nothing.
    pub(super) async fn next_request(&mut self) -> bool {
        self.phase = Phase::Waiting;
        self.taking = Pace::new(taking_rule(&self.limits));
        self.sending = None;
        self.set_deadline(self.limits.idle_timeout.duration());
        !self.ahead.is_empty() || matches!(self.more_in_time().await, Some(Ok(1..)))
    }

    /// Waits until the request's header is there as a whole. `false` when it does not come; what can be
    /// no request is answered.
    pub(super) async fn header(&mut self) -> bool {
        self.set_deadline(self.limits.header_timeout.duration());
        let budget = Budget { size: self.limits.header_size.get(), count: self.limits.header_count.get() };
        let mut scan = HeaderScan::default();
        loop {
            self.is_head = asks_for_head(&self.ahead);
            match scan.advance(&self.ahead, budget) {
                Ok(Some(left)) => {
                    self.phase = Phase::Header { left };
                    return true;
                }
                Ok(None) => {}
                Err(flaw) => return self.refuse_and_close(&describe(flaw, &self.limits)).await,
            }
            match self.more_in_time().await {
                Some(Ok(1..)) => {}
                Some(_) => return false,
                None => {
                    let error = rescue::header_too_slow(self.limits.header_timeout.duration());
                    return self.refuse_and_close(&error).await;
                }
            }
        }
    }

    /// The header is complete and the gate has it.
    pub(super) fn request_arrived(&self, body: Extent) {
        *self.told.lock().unwrap_or_else(PoisonError::into_inner) = Some(body);
    }

    /// The connection ends with this answer, and the client may still be sending.
    pub(super) fn linger(&self) {
        self.linger.store(LINGER_BYTES, Ordering::Relaxed);
    }

    fn set_deadline(&mut self, timeout: Duration) {
        self.deadline.as_mut().reset(Instant::now() + timeout);
    }

    /// The phase, after what the gate said since the last look.
    fn phase(&mut self) -> &mut Phase {
        let told = self.told.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let (Some(body), Phase::Header { .. }) = (told, &self.phase) {
            self.phase = Phase::Request(body);
        }
        &mut self.phase
    }

    /// Reads ahead, and tells how much: 0 at the end, `None` when the deadline came first.
    async fn more_in_time(&mut self) -> Option<io::Result<usize>> {
        poll_fn(|cx| match self.poll_ahead(cx) {
            Poll::Ready(read) => Poll::Ready(Some(read)),
            Poll::Pending => self.deadline.as_mut().poll(cx).map(|()| None),
        })
        .await
    }

    fn poll_ahead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut space = [const { MaybeUninit::uninit() }; AHEAD];
        let mut buf = ReadBuf::uninit(&mut space);
        ready!(Pin::new(&mut self.io).poll_read(cx, &mut buf))?;
        self.ahead.extend_from_slice(buf.filled());
        Poll::Ready(Ok(buf.filled().len()))
    }

    /// Hands over the first `n` bytes that were read ahead.
    fn hand_over(&mut self, n: usize, buf: &mut ReadBuf<'_>) {
        buf.put_slice(&self.ahead[..n]);
        // Mostly all of it: then nothing is kept.
        self.ahead = self.ahead.split_off(n);
    }

    /// Decides what the client is told. The words go out on flush or shutdown.
    fn refuse(&mut self, error: &OciError) {
        let client = self.io.get_socket_digest().and_then(|digest| digest.peer_addr().cloned());
        access_log::unreadable(client.as_ref(), error);
        self.refusal = Some(rescue::on_the_wire(error, self.is_head, self.hsts.as_ref()));
        self.linger();
    }

    async fn refuse_and_close(&mut self, error: &OciError) -> bool {
        self.refuse(error);
        // The client may be gone already: nobody is left to tell.
        let _ = self.shutdown().await;
        false
    }

    /// The header, and after it nothing until the gate has it.
    fn poll_read_header(&mut self, left: usize, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let n = left.min(buf.remaining());
        if n == 0 {
            // It has an end for us and none for pingora.
            self.refuse(&rescue::in_place_of(&[]));
            return Poll::Ready(Err(io::Error::other("a request header without an end")));
        }
        self.phase = Phase::Header { left: left - n };
        self.hand_over(n, buf);
        Poll::Ready(Ok(()))
    }

    fn poll_read_body(
        &mut self,
        cx: &mut Context<'_>,
        mut body: Extent,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if body.is_over() {
            return self.poll_gone(cx);
        }
        if self.ahead.is_empty() {
            let before = buf.filled().len();
            if Pin::new(&mut self.io).poll_read(cx, buf)?.is_pending() {
                return self.poll_too_slow(cx);
            }
            let new = &buf.filled()[before..];
            let n = body.take(new).map_err(malformed)?;
            self.ahead.extend_from_slice(&new[n..]);
            buf.set_filled(before + n);
            self.sent(n);
        } else {
            let n = body.take(&self.ahead[..self.ahead.len().min(buf.remaining())]).map_err(malformed)?;
            self.hand_over(n, buf);
        }
        self.phase = Phase::Request(body);
        Poll::Ready(Ok(()))
    }

    /// pingora listens for a client that leaves before it has its answer. One that sends its next request
    /// has to wait.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.ahead.is_empty() && ready!(self.poll_ahead(cx))? == 0 {
            return Poll::Ready(Ok(()));
        }
        Poll::Pending
    }

    /// The client sent so much of its body.
    fn sent(&mut self, bytes: usize) {
        let rule = sending_rule(&self.limits);
        self.sending.get_or_insert_with(|| Pace::new(rule)).moved(bytes, rule, Instant::now());
    }

    /// It is the client's turn to send. Before the first byte of a body, when it may await a `100`,
    /// pingora's timeout holds alone.
    fn poll_too_slow<T>(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        let Some(sending) = &mut self.sending else { return Poll::Pending };
        let deadline = sending.wait(Instant::now());
        self.poll_deadline(cx, deadline)
    }

    /// Gives up a write of which the client took nothing, or too little, in its time.
    fn in_time<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
        bytes: impl Fn(&T) -> usize,
    ) -> Poll<io::Result<T>> {
        match &written {
            Poll::Ready(Ok(taken)) => self.taking.moved(bytes(taken), taking_rule(&self.limits), Instant::now()),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => {
                let deadline = self.taking.wait(Instant::now());
                return self.poll_deadline(cx, deadline);
            }
        }
        written
    }

    /// Fails when the client's time is over. The timer is for both directions: it wakes at the first of
    /// their deadlines, and each looks at its own.
    fn poll_deadline<T>(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<io::Result<T>> {
        let now = Instant::now();
        if deadline <= now {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let timer = self.deadline.deadline();
        if timer <= now || deadline < timer {
            self.deadline.as_mut().reset(deadline);
        }
        self.deadline.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Says what is still to be said, or was decided in place of an answer.
    fn poll_say(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.held.poll_release(&mut self.io, cx))?;
        while let Some(words) = self.refusal.as_mut().filter(|words| words.has_remaining()) {
            let said = ready!(Pin::new(&mut self.io).poll_write(cx, words))?;
            words.advance(said);
        }
        Pin::new(&mut self.io).poll_flush(cx)
    }

    /// Says the last word, and stays until the client had the chance to hear it.
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_say(cx))?;
        ready!(Pin::new(&mut self.io).poll_shutdown(cx))?;
        self.poll_linger(cx).map(Ok)
    }

    /// Reads what the client still sends, until it ends or the budget is used up.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut waste = [MaybeUninit::uninit(); AHEAD];
        while self.linger.load(Ordering::Relaxed) > 0 {
            let mut buf = ReadBuf::uninit(&mut waste);
            match Pin::new(&mut self.io).poll_read(cx, &mut buf) {
                Poll::Ready(Ok(())) if !buf.filled().is_empty() => {
                    let left = self.linger.load(Ordering::Relaxed).saturating_sub(buf.filled().len());
                    self.linger.store(left, Ordering::Relaxed);
                }
                Poll::Ready(_) => break,
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(())
    }
}

/// Whether these bytes begin a request with the method HEAD.
fn asks_for_head(header: &[u8]) -> bool {
    header.trim_ascii_start().starts_with(b"HEAD ")
}

/// What `rescue` tells a client apart by whose chunks nobody can read.
fn malformed(_: Malformed) -> io::Error {
    io::ErrorKind::InvalidData.into()
}

/// What holds for a client that sends a body.
pub(super) fn sending_rule(limits: &Limits) -> Rule {
    Rule { rate: limits.min_body_rate.bytes(), patience: limits.body_timeout.duration() }
}

/// What holds for a client that takes an answer.
fn taking_rule(limits: &Limits) -> Rule {
    Rule { rate: limits.min_body_rate.bytes(), patience: limits.send_timeout.duration() }
}

fn describe(flaw: Flaw, limits: &Limits) -> OciError {
    match flaw {
        Flaw::TooLarge => rescue::header_too_large(limits.header_size.get()),
        Flaw::TooMany => rescue::too_many_fields(limits.header_count.get()),
        Flaw::RequestLine => rescue::no_request_line(),
        Flaw::Malformed => rescue::in_place_of(&[]),
    }
}

impl<S: IO + 'static> AsyncRead for Connection<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        // Nothing follows for now. A client that takes nothing is given up by what is written next.
        let this = &mut *self;
        if let Poll::Ready(released) = this.held.poll_release(&mut this.io, cx) {
            released?;
        }
        match self.phase().clone() {
            Phase::Header { left } => self.poll_read_header(left, buf),
            Phase::Request(Extent::Unknown) if self.ahead.is_empty() => Pin::new(&mut self.io).poll_read(cx, buf),
            Phase::Request(body) => self.poll_read_body(cx, body, buf),
            Phase::Waiting | Phase::Closing => Poll::Ready(Ok(())),
        }
    }
}

impl<S: IO + 'static> AsyncWrite for Connection<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[io::IoSlice::new(buf)])
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = match this.held.poll_release(&mut this.io, cx) {
            Poll::Ready(Ok(())) => Pin::new(&mut this.io).poll_flush(cx),
            kept => kept,
        };
        this.in_time(cx, flushed, |()| 0)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.phase != Phase::Closing {
            self.phase = Phase::Closing;
            let patience = self.limits.drain_timeout.duration();
            self.set_deadline(patience);
        }
        let closed = self.poll_close(cx);
        if closed.is_pending() { self.deadline.as_mut().poll(cx).map(Ok) } else { closed }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if matches!(this.phase(), Phase::Request(_)) {
            let written = this.held.poll_write_vectored(&mut this.io, cx, bufs);
            return this.in_time(cx, written, |written| *written);
        }
        let first = bufs.iter().find(|buf| !buf.is_empty()).map_or(&[][..], |buf| buf);
        if this.refusal.is_none() {
            this.refuse(&rescue::in_place_of(first));
        }
        Poll::Ready(Ok(first.len()))
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}
