//! A client's HTTP/1.1 connection above TLS: budgets on what a client sends and takes, and refusals for what
//! can be no request.
//!
//! hyper parses what comes and writes what is answered; this type stands between it and the client, and follows
//! the connection:
//!
//! ```text
//! Waiting ──header()──▶ Header ──Exchange::begin()──▶ Request ──the answer is out──▶ Waiting
//!   any of them ──shutdown──▶ Closing
//! ```
//!
//! After [`LINGER`] no hyper exists, and so none is in an idle connection's memory. hyper gets a header in one piece,
//! after [`header_scan`] has looked at each of its bytes once and refused what two readers could read in two ways,
//! and a body to its last byte and never more ([`remaining_body`]), so that each header comes under the budgets. In
//! a request a client has to keep a [`pace`], in both directions. What hyper writes before the service has a request
//! is an error page of its own: it is replaced by OCI JSON.
//!
//! An HTTP/2 connection stays in `Request`; its budgets are in [`super::http2`].

pub(crate) mod chunks;
mod closing;
pub(crate) mod header_scan;
pub(super) mod pace;
pub(crate) mod remaining_body;
#[cfg(test)]
mod tests;

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use lockgate_oci::OciError;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::body_error::BodyError;
use super::exchange::Exchange;
use crate::client::Client;
use crate::config::Limits;
use crate::refusal::{self, OwnFields};
use crate::timer::Timer;
use closing::Waste;
use header_scan::{Budget, Flaw, HeaderScan};
use pace::{Pace, Rule};
use remaining_body::RemainingBody;

/// The most that is read of a client at once where nothing is to be done with it but to keep it or to throw it
/// away: a TLS record holds no more.
const RECORD: usize = 16 * 1024;

/// How long hyper is kept for the next request. A client that has several in hand sends it sooner, and to make hyper
/// anew costs a tenth of a small request.
const LINGER: Duration = Duration::from_millis(100);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    /// Between requests, and while a header is incomplete.
    Waiting,
    /// hyper reads the header, of which so many bytes are left.
    Header { left: usize },
    /// The service has the request, and so much of its body is to come.
    Request(RemainingBody),
    /// The last word is being said.
    Closing,
}

/// A connection as hyper reads and writes it.
#[derive(Debug)]
pub(super) struct Connection<S> {
    io: S,
    client: Client,
    limits: Arc<Limits>,
    phase: Phase,
    exchange: Arc<Exchange>,
    /// Read from the client and not handed over: a header, or what came after a request.
    ahead: Vec<u8>,
    /// Of what is waited for, outside of a pace.
    deadline: Instant,
    timer: Timer,
    /// How the client sends the request's body.
    sending: Pace,
    /// Whether a byte of that body has come.
    has_sent: bool,
    /// How the client takes what is written.
    taking: Pace,
    /// Whether the request's method is HEAD, as far as its header has come.
    is_head: bool,
    /// What is said in place of an answer, once it is decided.
    refusal: Option<Bytes>,
    /// What is read away around the last word, so that the client gets to hear it: a close over bytes that were not
    /// read resets the connection, and the answer with it.
    waste: Waste,
    /// What such an answer carries beside what every refusal does.
    own_fields: OwnFields,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Takes over a connection whose TLS handshake is done, and on which HTTP/1.1 is spoken.
    pub(super) fn new(io: S, client: Client, limits: Arc<Limits>, own_fields: OwnFields) -> Self {
        Self {
            io,
            client,
            phase: Phase::Waiting,
            exchange: Arc::default(),
            ahead: Vec::new(),
            deadline: Instant::now(),
            timer: Timer::default(),
            sending: Pace::new(Rule::sending(&limits)),
            has_sent: false,
            taking: Pace::new(Rule::taking(&limits)),
            is_head: false,
            refusal: None,
            waste: Waste::Nothing,
            own_fields,
            limits,
        }
    }

    /// The same where HTTP/2 is spoken: where its requests begin and end is not seen to here.
    pub(super) fn for_http2(self) -> Self {
        Self { phase: Phase::Request(RemainingBody::Unknown), ..self }
    }

    /// The other end's address.
    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// What is shared with the service that answers the requests.
    pub(super) fn exchange(&self) -> Arc<Exchange> {
        self.exchange.clone()
    }

    /// Waits for the first byte of the next request. `false` when none comes: the client left, or asked
    /// for nothing within the idle timeout. It is told nothing.
    pub(super) async fn next_request(&mut self) -> bool {
        self.begin();
        self.set_deadline(self.limits.idle_timeout.duration());
        !self.ahead.is_empty() || matches!(self.more_in_time().await, Some(Ok(1..)))
    }

    /// The client may send its next request.
    fn begin(&mut self) {
        self.phase = Phase::Waiting;
        self.taking = Pace::new(Rule::taking(&self.limits));
        self.sending = Pace::new(Rule::sending(&self.limits));
        self.has_sent = false;
    }

    /// Waits until the request's header is there as a whole. `false` when it does not come; what can be
    /// no request is answered.
    pub(super) async fn header(&mut self) -> bool {
        self.set_deadline(self.limits.header_timeout.duration());
        let mut scan = HeaderScan::default();
        loop {
            match self.scan_header(&mut scan) {
                Ok(true) => return true,
                Ok(false) => {}
                Err(flaw) => return self.refuse_and_close(&describe(flaw, &self.limits)).await,
            }
            match self.more_in_time().await {
                Some(Ok(1..)) => {}
                Some(_) => return false,
                None => {
                    let error = refusal::header_too_slow(self.limits.header_timeout.duration());
                    return self.refuse_and_close(&error).await;
                }
            }
        }
    }

    /// Whether all of a header is there.
    fn scan_header(&mut self, scan: &mut HeaderScan) -> Result<bool, Flaw> {
        let budget = Budget { size: self.limits.header_size.get(), count: self.limits.header_count.get() };
        self.is_head = asks_for_head(&self.ahead);
        let Some(left) = scan.advance(&self.ahead, budget)? else { return Ok(false) };
        self.phase = Phase::Header { left };
        Ok(true)
    }

    fn set_deadline(&mut self, timeout: Duration) {
        self.deadline = Instant::now() + timeout;
    }

    /// Ready at that deadline.
    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.timer.poll_until(self.deadline, cx)
    }

    /// The phase, after what the service said since the last look.
    fn phase(&mut self) -> &mut Phase {
        if matches!(self.phase, Phase::Header { .. })
            && let Some(body) = self.exchange.begun()
        {
            self.phase = Phase::Request(body);
        }
        &mut self.phase
    }

    /// Reads ahead, and tells how much: 0 at the end, `None` when the deadline came first.
    async fn more_in_time(&mut self) -> Option<io::Result<usize>> {
        poll_fn(|cx| match self.poll_ahead(cx) {
            Poll::Ready(read) => Poll::Ready(Some(read)),
            Poll::Pending => self.poll_late(cx).map(|()| None),
        })
        .await
    }

    fn poll_ahead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut space = [const { MaybeUninit::uninit() }; RECORD];
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

    /// The header, and after it nothing until the service has it.
    fn poll_read_header(&mut self, left: usize, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let n = left.min(buf.remaining());
        if n == 0 {
            // The scan found the header's end, and hyper reads on for one.
            self.refuse(&refusal::in_place_of(&[]));
            return Poll::Ready(Err(io::Error::other("a request header without an end")));
        }
        self.phase = Phase::Header { left: left - n };
        self.hand_over(n, buf);
        Poll::Ready(Ok(()))
    }

    fn poll_read_body(
        &mut self,
        cx: &mut Context<'_>,
        mut body: RemainingBody,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if body.is_over() {
            return self.poll_gone(cx);
        }
        let before = buf.filled().len();
        if self.ahead.is_empty() {
            ready!(self.poll_read_records(cx, &mut body, buf))?;
        } else {
            let n =
                body.take(&self.ahead[..self.ahead.len().min(buf.remaining())]).map_err(|_| BodyError::Malformed)?;
            self.hand_over(n, buf);
        }
        self.sent(buf.filled().len() - before);
        self.phase = Phase::Request(body);
        Poll::Ready(Ok(()))
    }

    /// Fills `buf` from as many TLS records as have come: each read by itself would be a write of its own to the
    /// upstream.
    fn poll_read_records(
        &mut self,
        cx: &mut Context<'_>,
        body: &mut RemainingBody,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let start = buf.filled().len();
        while buf.remaining() > 0 && !body.is_over() {
            let before = buf.filled().len();
            if Pin::new(&mut self.io).poll_read(cx, buf)?.is_pending() {
                return if before > start { Poll::Ready(Ok(())) } else { self.poll_too_slow(cx) };
            }
            let new = &buf.filled()[before..];
            if new.is_empty() {
                break;
            }
            let n = body.take(new).map_err(|_| BodyError::Malformed)?;
            self.ahead.extend_from_slice(&new[n..]);
            buf.set_filled(before + n);
        }
        Poll::Ready(Ok(()))
    }

    /// hyper listens for a client that leaves before it has its answer. One that sends its next request
    /// has to wait.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.ahead.is_empty() && ready!(self.poll_ahead(cx))? == 0 {
            return Poll::Ready(Ok(()));
        }
        Poll::Pending
    }

    /// All of an answer is out. Mostly another request follows at once.
    fn end_request(&mut self, cx: &mut Context<'_>, body: RemainingBody) {
        if self.exchange.is_last() || self.exchange.is_left_unread() || !body.is_over() {
            self.phase = Phase::Waiting;
            self.waste = Waste::Body(body);
            return self.exchange.leave();
        }
        self.begin();
        self.set_deadline(LINGER);
        if self.ahead.is_empty() {
            // hyper does not ask where it was told just now that there is nothing, but then there is a deadline.
            let _ = self.poll_late(cx);
        } else {
            cx.waker().wake_by_ref();
        }
    }

    /// The next header, if it comes soon and in one piece; else whoever serves the connection takes it back.
    fn poll_read_next(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let has_come = !self.ahead.is_empty() || {
            // An error is told only once.
            let read = self.poll_ahead(cx)?;
            if read.is_pending() && self.poll_late(cx).is_pending() {
                return Poll::Pending;
            }
            matches!(read, Poll::Ready(1..))
        };
        if has_come
            && let Ok(true) = self.scan_header(&mut HeaderScan::default())
            && let Phase::Header { left } = self.phase
        {
            return self.poll_read_header(left, buf);
        }
        self.exchange.leave();
        Poll::Pending
    }

    /// The client sent so much of its body.
    fn sent(&mut self, bytes: usize) {
        self.has_sent |= bytes > 0;
        self.sending.moved(bytes, Rule::sending(&self.limits), Instant::now());
    }

    /// It is the client's turn to send.
    fn poll_too_slow<T>(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        let deadline = self.sending.wait(Instant::now());
        let error = if self.has_sent { BodyError::TooSlow } else { BodyError::Stalled };
        self.timer.poll_until(deadline, cx).map(|()| Err(error.into()))
    }

    /// Gives up a write of which the client took nothing, or too little, in its time.
    fn in_time<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
        bytes: impl Fn(&T) -> usize,
    ) -> Poll<io::Result<T>> {
        match &written {
            // hyper flushes several times a request, mostly nothing.
            Poll::Ready(Ok(taken)) if bytes(taken) > 0 || self.taking.is_waiting() => {
                self.taking.moved(bytes(taken), Rule::taking(&self.limits), Instant::now());
            }
            Poll::Ready(_) => {}
            Poll::Pending => {
                let deadline = self.taking.wait(Instant::now());
                return self.timer.poll_until(deadline, cx).map(|()| Err(io::ErrorKind::TimedOut.into()));
            }
        }
        written
    }
}

/// Whether these bytes begin a request with the method HEAD.
fn asks_for_head(header: &[u8]) -> bool {
    header.trim_ascii_start().starts_with(b"HEAD ")
}

fn describe(flaw: Flaw, limits: &Limits) -> OciError {
    match flaw {
        Flaw::TooLarge => refusal::header_too_large(limits.header_size.get()),
        Flaw::TooMany => refusal::too_many_fields(limits.header_count.get()),
        Flaw::RequestLine => refusal::no_request_line(),
        Flaw::Malformed => refusal::in_place_of(&[]),
        Flaw::BareLineFeed => refusal::malformed("its header lines must end in CRLF (RFC 9112, 2.2)"),
        Flaw::TwoLengths => refusal::malformed(
            "a body is framed by one Content-Length or by Transfer-Encoding: chunked (RFC 9112, 6.1)",
        ),
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Connection<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.phase().clone() {
            Phase::Header { left } => self.poll_read_header(left, buf),
            Phase::Request(RemainingBody::Unknown) if self.ahead.is_empty() => {
                Pin::new(&mut self.io).poll_read(cx, buf)
            }
            Phase::Request(body) => {
                let read = self.poll_read_body(cx, body, buf);
                if matches!(read, Poll::Ready(Err(_))) {
                    // Nobody can tell any more where the body ends, or whether it does.
                    self.phase = Phase::Request(RemainingBody::Unknown);
                }
                read
            }
            Phase::Waiting => self.poll_read_next(cx, buf),
            Phase::Closing => Poll::Ready(Ok(())),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Connection<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[io::IoSlice::new(buf)])
    }

    /// hyper flushes when it has nothing left to write: when the service has nothing left to say either, the request
    /// is over.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.io).poll_flush(cx);
        ready!(this.in_time(cx, flushed, |()| 0))?;
        if let Phase::Request(body) = this.phase().clone()
            && (body.is_over() || this.exchange.is_left_unread())
            && this.exchange.is_answered()
        {
            this.end_request(cx, body);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_end(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if matches!(this.phase(), Phase::Request(_)) {
            let written = Pin::new(&mut this.io).poll_write_vectored(cx, bufs);
            return this.in_time(cx, written, |written| *written);
        }
        let first = bufs.iter().find(|buf| !buf.is_empty()).map_or(&[][..], |buf| buf);
        if this.refusal.is_none() {
            this.refuse(&refusal::in_place_of(first));
        }
        Poll::Ready(Ok(first.len()))
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}
