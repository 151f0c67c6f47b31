//! A client's connection above TLS: budgets on the request header, and refusals for what pingora
//! cannot read.
//!
//! pingora's header timeouts run anew with each byte, its header limit is 1 MiB, and its answer to a
//! request it cannot parse is a bare `Server: Pingora` page. So this type stands between it and the
//! client, and follows one HTTP/1.1 connection through its phases:
//!
//! ```text
//! Idle ──first byte──▶ Header ──the gate calls request_arrived()──▶ Request ──await_request()──▶ Idle
//!   any of them ──shutdown──▶ Closing
//! ```
//!
//! In `Idle` and `Header` reads have a deadline, in `Header` a budget of bytes too, and writes have a
//! deadline always: pingora's does not reach headers, flushes and closing. Whatever pingora writes
//! before the gate saw a request is an error page of its own: it is replaced by OCI JSON. An HTTP/2
//! connection stays in `Request`; its budgets are in [`super::http2`].

mod pingora_io;

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use lockgate_oci::OciError;
use pingora::protocols::{ALPN, IO};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use crate::access_log;
use crate::config::Limits;
use crate::rescue;

/// The most that is read and thrown away after a refusal, so that the client gets to read it: a close
/// with bytes unread resets the connection, and the answer with it.
const LINGER_BYTES: usize = 1024 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Between requests: no byte of the next one has come.
    Idle,
    /// In a request's header, of which so many bytes were read, all of them line ends or not.
    Header { read: usize, only_line_ends: bool },
    /// The gate has the request; or the connection speaks HTTP/2.
    Request,
    /// The last word is being said.
    Closing,
}

/// A connection as pingora reads and writes it.
#[derive(Debug)]
pub(super) struct Connection<S> {
    io: S,
    limits: Limits,
    phase: Phase,
    /// Set by the gate, which holds the connection by a shared reference only.
    request_arrived: AtomicBool,
    deadline: Pin<Box<Sleep>>,
    /// The deadline is for the client to take what is written.
    stalled: bool,
    /// What is said in place of an answer, once it is decided.
    refusal: Option<Bytes>,
    /// Bytes that may still be read and thrown away after the last word; set where a close could
    /// overtake it.
    linger: AtomicUsize,
}

impl<S: IO + 'static> Connection<S> {
    /// Takes over a connection whose TLS handshake is done.
    pub(super) fn new(io: S, limits: Limits) -> Self {
        let speaks_h2 = io.selected_alpn_proto() == Some(ALPN::H2);
        let phase = if speaks_h2 { Phase::Request } else { Phase::Idle };
        let deadline = Box::pin(tokio::time::sleep(limits.idle_timeout));
        Self {
            io,
            limits,
            phase,
            request_arrived: AtomicBool::new(speaks_h2),
            deadline,
            stalled: false,
            refusal: None,
            linger: AtomicUsize::new(0),
        }
    }

    /// Back to waiting: the last request is answered and its body read.
    pub(super) fn await_request(&self) {
        self.request_arrived.store(false, Ordering::Relaxed);
    }

    /// The header is complete and the gate has it.
    pub(super) fn request_arrived(&self) {
        self.request_arrived.store(true, Ordering::Relaxed);
    }

    /// The connection ends with this answer, and the client may still be sending.
    pub(super) fn linger(&self) {
        self.linger.store(LINGER_BYTES, Ordering::Relaxed);
    }

    fn enter(&mut self, phase: Phase, timeout: Duration) {
        self.phase = phase;
        self.stalled = false;
        self.deadline.as_mut().reset(Instant::now() + timeout);
    }

    /// The phase, after what the gate and the accept loop said since the last look.
    fn phase(&mut self) -> Phase {
        match (self.request_arrived.load(Ordering::Relaxed), self.phase) {
            (_, Phase::Closing) => {}
            (true, _) => self.phase = Phase::Request,
            (false, Phase::Request) => self.enter(Phase::Idle, self.limits.idle_timeout),
            (false, Phase::Idle | Phase::Header { .. }) => {}
        }
        self.phase
    }

    /// Decides what the client is told. The words go out on flush or shutdown.
    fn refuse(&mut self, error: &OciError) {
        let client = self.io.get_socket_digest().and_then(|digest| digest.peer_addr().cloned());
        access_log::unreadable(client.as_ref(), error);
        self.refusal = Some(rescue::on_the_wire(error));
        self.linger();
    }

    fn poll_read_header(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
        read: usize,
        only_line_ends: bool,
    ) -> Poll<io::Result<()>> {
        if read >= self.limits.header_size {
            let error = if only_line_ends {
                rescue::in_place_of(&[])
            } else {
                rescue::header_too_large(self.limits.header_size)
            };
            self.refuse(&error);
            return Poll::Ready(Err(io::Error::other("request header too large")));
        }
        let before = buf.filled().len();
        if let Poll::Ready(result) = Pin::new(&mut self.io).poll_read(cx, buf) {
            let new = &buf.filled()[before..];
            let is_line_end = |byte: &u8| matches!(byte, b'\r' | b'\n');
            let only_line_ends = only_line_ends && new.iter().all(is_line_end);
            let header = Phase::Header { read: read + new.len(), only_line_ends };
            match self.phase {
                Phase::Idle if !new.is_empty() => self.enter(header, self.limits.header_timeout),
                _ => self.phase = header,
            }
            return Poll::Ready(result);
        }
        if self.deadline.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        if read > 0 {
            self.refuse(&rescue::header_too_slow(self.limits.header_timeout));
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        // Nobody asked for anything: to pingora this looks like a client that left.
        Poll::Ready(Ok(()))
    }

    /// Gives up a write of which the client took nothing within its time.
    fn in_time<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = false;
            return written;
        }
        if !self.stalled {
            self.stalled = true;
            self.deadline.as_mut().reset(Instant::now() + self.limits.send_timeout);
        }
        self.deadline.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Says what was decided in place of an answer.
    fn poll_say(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
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
        let mut waste = [0; 8 * 1024];
        while self.linger.load(Ordering::Relaxed) > 0 {
            let mut buf = ReadBuf::new(&mut waste);
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

impl<S: IO + 'static> AsyncRead for Connection<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.phase() {
            Phase::Request => Pin::new(&mut self.io).poll_read(cx, buf),
            Phase::Idle => self.poll_read_header(cx, buf, 0, true),
            Phase::Header { read, only_line_ends } => self.poll_read_header(cx, buf, read, only_line_ends),
            Phase::Closing => Poll::Ready(Ok(())),
        }
    }
}

impl<S: IO + 'static> AsyncWrite for Connection<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.phase() == Phase::Request {
            let written = Pin::new(&mut self.io).poll_write(cx, buf);
            return self.in_time(cx, written);
        }
        if self.refusal.is_none() {
            self.refuse(&rescue::in_place_of(buf));
        }
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(cx);
        self.in_time(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.phase != Phase::Closing {
            let patience = self.limits.drain_timeout;
            self.enter(Phase::Closing, patience);
        }
        let closed = self.poll_close(cx);
        if closed.is_pending() { self.deadline.as_mut().poll(cx).map(Ok) } else { closed }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.phase() == Phase::Request {
            let written = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
            return self.in_time(cx, written);
        }
        let first = bufs.iter().find(|buf| !buf.is_empty()).map_or(&[][..], |buf| buf);
        self.poll_write(cx, first)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt, DuplexStream};

    /// More than any of these tests writes at once.
    const PIPE: usize = 256 * 1024;

    fn pair() -> (Connection<DuplexStream>, DuplexStream) {
        let (ours, theirs) = tokio::io::duplex(PIPE);
        (Connection::new(ours, Config::default().limits), theirs)
    }

    /// All that the client is told until the connection ends.
    async fn told(mut client: DuplexStream) -> String {
        let mut text = String::new();
        client.read_to_string(&mut text).await.expect("text");
        text
    }

    /// What pingora does with a header it cannot read to its end.
    async fn read_until_refused(connection: &mut Connection<DuplexStream>) -> usize {
        let mut header = vec![0; 4096];
        let mut read = 0;
        while let Ok(n) = connection.read(&mut header).await {
            read += n;
            if n == 0 {
                break;
            }
        }
        AsyncWriteExt::shutdown(connection).await.expect("closed");
        read
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_asks_nothing_is_let_go_without_a_word_after_the_idle_timeout() {
        let (mut connection, client) = pair();
        let start = Instant::now();
        assert_eq!(connection.read(&mut [0; 64]).await.expect("an end"), 0);
        assert_eq!(start.elapsed().as_secs(), Config::default().limits.idle_timeout.as_secs());
        drop(connection);
        assert_eq!(told(client).await, "");
    }

    #[tokio::test(start_paused = true)]
    async fn a_header_that_trickles_in_gets_408_when_its_time_is_over() {
        let (mut connection, mut client) = pair();
        let limits = Config::default().limits;
        let start = Instant::now();
        let trickle = tokio::spawn(async move {
            while client.write_all(b"G").await.is_ok() && start.elapsed() < limits.header_timeout * 2 {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            told(client).await
        });
        read_until_refused(&mut connection).await;
        drop(connection);
        let answer = trickle.await.expect("no panic");
        assert!(answer.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{answer}");
        assert!(answer.contains("did not arrive within 15s"), "{answer}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_header_over_its_budget_gets_431_and_what_follows_is_read_away() {
        let (mut connection, mut client) = pair();
        let budget = Config::default().limits.header_size;
        client.write_all(&vec![b'a'; 3 * budget]).await.expect("it fits the pipe");
        let client = tokio::spawn(told(client));
        let read = read_until_refused(&mut connection).await;
        assert!((budget..budget + 4096).contains(&read), "{read}");
        drop(connection);
        let answer = client.await.expect("no panic");
        assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
        assert!(answer.contains("limits.header_size"), "{answer}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_error_page_of_pingora_is_replaced_by_oci_json() {
        let (mut connection, mut client) = pair();
        client.write_all(b"nonsense\r\n\r\n").await.expect("sent");
        assert!(connection.read(&mut [0; 64]).await.expect("read") > 0);
        connection.write_all(b"HTTP/1.1 400 Bad Request\r\nServer: Pingora\r\n").await.expect("taken");
        connection.write_all(b"\r\n").await.expect("taken");
        AsyncWriteExt::flush(&mut connection).await.expect("flushed");
        let client = tokio::spawn(told(client));
        AsyncWriteExt::shutdown(&mut connection).await.expect("closed");
        drop(connection);
        let answer = client.await.expect("no panic");
        assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
        assert!(!answer.contains("Pingora") && answer.contains(r#"{"errors":[{"code":"UNSUPPORTED""#), "{answer}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_is_given_up() {
        let limits = Config::default().limits;
        let (ours, _client) = tokio::io::duplex(16);
        let mut connection = Connection::new(ours, limits.clone());
        connection.request_arrived();
        let start = Instant::now();
        let written = connection.write_all(&[b'a'; 64]).await;
        assert_eq!(written.expect_err("nobody reads").kind(), io::ErrorKind::TimedOut);
        assert_eq!(start.elapsed().as_secs(), limits.send_timeout.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_take_the_last_word_is_left_after_the_drain_timeout() {
        let limits = Config::default().limits;
        let (ours, _client) = tokio::io::duplex(16);
        let mut connection = Connection::new(ours, limits.clone());
        connection.write_all(b"HTTP/1.1 400 Bad Request\r\n").await.expect("taken");
        let start = Instant::now();
        AsyncWriteExt::shutdown(&mut connection).await.expect("closed");
        assert_eq!(start.elapsed().as_secs(), limits.drain_timeout.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn once_the_gate_has_the_request_neither_time_nor_size_is_counted_until_the_next() {
        let (mut connection, mut client) = pair();
        let limits = Config::default().limits;
        client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.expect("sent");
        assert!(connection.read(&mut [0; 64]).await.expect("read") > 0);
        connection.request_arrived();
        tokio::time::advance(limits.idle_timeout * 2).await;
        client.write_all(&vec![b'a'; 2 * limits.header_size]).await.expect("sent");
        let mut body = vec![0; 2 * limits.header_size];
        connection.read_exact(&mut body).await.expect("all of the body");
        connection.write_all(b"an answer").await.expect("written");
        connection.await_request();
        let start = Instant::now();
        assert_eq!(connection.read(&mut [0; 64]).await.expect("an end"), 0);
        assert_eq!(start.elapsed().as_secs(), limits.idle_timeout.as_secs());
        drop(connection);
        assert_eq!(told(client).await, "an answer");
    }
}
