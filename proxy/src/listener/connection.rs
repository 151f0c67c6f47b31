//! A client's connection above TLS: budgets on the request header, and refusals for what pingora
//! cannot read.
//!
//! pingora's header timeouts run anew with each byte, its header limit is 1 MiB, and its answer to a
//! request it cannot parse is a bare `Server: Pingora` page. So this type stands between it and the
//! client, and follows one HTTP/1.1 connection through three phases:
//!
//! ```text
//! Idle ──first byte──▶ Header ──the gate calls request_arrived()──▶ Request ──await_request()──▶ Idle
//! ```
//!
//! In `Idle` and `Header` reads have a deadline, in `Header` a budget of bytes too. Whatever pingora
//! writes before the gate saw a request is an error page of its own: it is replaced by OCI JSON.
//! An HTTP/2 connection stays in `Request`; h2 has budgets of its own.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Buf, Bytes};
use http::StatusCode;
use lockgate_oci::{ErrorCode, OciError};
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::tls::{SslDigest, TlsRef};
use pingora::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, IO, Peek, Shutdown, SocketDigest, Ssl, TimingDigest,
    UniqueID, UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
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
    /// In a request's header, of which so many bytes were read.
    Header(usize),
    /// The gate has the request; or the connection speaks HTTP/2.
    Request,
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
    /// What is said in place of an answer, once it is decided.
    refusal: Option<Bytes>,
}

impl<S: IO + 'static> Connection<S> {
    /// Takes over a connection whose TLS handshake is done.
    pub(super) fn new(io: S, limits: Limits) -> Self {
        let speaks_h2 = io.selected_alpn_proto() == Some(ALPN::H2);
        let phase = if speaks_h2 { Phase::Request } else { Phase::Idle };
        let deadline = Box::pin(tokio::time::sleep(limits.idle_timeout));
        Self { io, limits, phase, request_arrived: AtomicBool::new(speaks_h2), deadline, refusal: None }
    }

    /// Back to waiting: the last request is answered and its body read.
    pub(super) fn await_request(&self) {
        self.request_arrived.store(false, Ordering::Relaxed);
    }

    /// The header is complete and the gate has it.
    pub(super) fn request_arrived(&self) {
        self.request_arrived.store(true, Ordering::Relaxed);
    }

    fn enter(&mut self, phase: Phase, timeout: Duration) {
        self.phase = phase;
        self.deadline.as_mut().reset(Instant::now() + timeout);
    }

    /// The phase, after what the gate and the accept loop said since the last look.
    fn phase(&mut self) -> Phase {
        match (self.request_arrived.load(Ordering::Relaxed), self.phase) {
            (true, _) => self.phase = Phase::Request,
            (false, Phase::Request) => self.enter(Phase::Idle, self.limits.idle_timeout),
            (false, Phase::Idle | Phase::Header(_)) => {}
        }
        self.phase
    }

    /// Decides what the client is told. The words go out on flush or shutdown.
    fn refuse(&mut self, error: &OciError) {
        let client = self.io.get_socket_digest().and_then(|digest| digest.peer_addr().cloned());
        access_log::unreadable(client.as_ref(), error);
        self.refusal = Some(rescue::on_the_wire(error));
    }

    fn poll_read_header(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>, read: usize) -> Poll<io::Result<()>> {
        if read >= self.limits.header_size {
            self.refuse(&too_large(self.limits.header_size));
            return Poll::Ready(Err(io::Error::other("request header too large")));
        }
        let before = buf.filled().len();
        if let Poll::Ready(result) = Pin::new(&mut self.io).poll_read(cx, buf) {
            let n = buf.filled().len() - before;
            match self.phase {
                Phase::Idle if n > 0 => self.enter(Phase::Header(n), self.limits.header_timeout),
                _ => self.phase = Phase::Header(read + n),
            }
            return Poll::Ready(result);
        }
        if self.deadline.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        if read > 0 {
            self.refuse(&too_slow(self.limits.header_timeout));
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        // Nobody asked for anything: to pingora this looks like a client that left.
        Poll::Ready(Ok(()))
    }

    /// Says the refusal, then reads what the client still sends, so that it is not lost to a reset.
    async fn say_refusal(&mut self, words: Bytes) -> io::Result<()> {
        self.io.write_all(&words).await?;
        self.io.flush().await?;
        AsyncWriteExt::shutdown(&mut self.io).await?;
        let mut rest = (&mut self.io).take(LINGER_BYTES as u64);
        tokio::io::copy(&mut rest, &mut tokio::io::sink()).await.map(drop)
    }
}

fn too_large(limit: usize) -> OciError {
    let message = format!("the request's header is over this proxy's limit of {limit} bytes (limits.header_size)");
    OciError::new(ErrorCode::Unsupported, message).with_status(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)
}

fn too_slow(limit: Duration) -> OciError {
    let limit = humantime::format_duration(limit);
    let message = format!("the request's header did not arrive within {limit}; check the network and try again");
    OciError::new(ErrorCode::Unsupported, message).with_status(StatusCode::REQUEST_TIMEOUT)
}

/// What to say in place of an error page that pingora made, by the page's status line.
fn in_place_of(page: &[u8]) -> OciError {
    let status = page.get(9..12).and_then(|code| StatusCode::from_bytes(code).ok());
    match status {
        Some(StatusCode::METHOD_NOT_ALLOWED) => {
            OciError::new(ErrorCode::Unsupported, "a registry does not tunnel: CONNECT is not supported")
        }
        status => OciError::new(
            ErrorCode::Unsupported,
            "the request is not well-formed HTTP/1.1; if it comes from a container client, update it",
        )
        .with_status(status.unwrap_or(StatusCode::BAD_REQUEST)),
    }
}

impl<S: IO + 'static> AsyncRead for Connection<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.phase() {
            Phase::Request => Pin::new(&mut self.io).poll_read(cx, buf),
            Phase::Idle => self.poll_read_header(cx, buf, 0),
            Phase::Header(read) => self.poll_read_header(cx, buf, read),
        }
    }
}

impl<S: IO + 'static> AsyncWrite for Connection<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.phase() == Phase::Request {
            return Pin::new(&mut self.io).poll_write(cx, buf);
        }
        if self.refusal.is_none() {
            self.refuse(&in_place_of(buf));
        }
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.phase() == Phase::Request {
            return Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        }
        let first = bufs.iter().find(|buf| !buf.is_empty()).map_or(&[][..], |buf| buf);
        self.poll_write(cx, first)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

#[async_trait]
impl<S: IO + 'static> Shutdown for Connection<S> {
    async fn shutdown(&mut self) {
        if let Some(words) = self.refusal.take().filter(Buf::has_remaining) {
            // The client may be gone, or take its time: neither is our concern any more.
            let _ = tokio::time::timeout(self.limits.drain_timeout, self.say_refusal(words)).await;
        }
        Shutdown::shutdown(&mut self.io).await;
    }
}

impl<S: IO> UniqueID for Connection<S> {
    fn id(&self) -> UniqueIDType {
        self.io.id()
    }
}

impl<S: IO> Ssl for Connection<S> {
    fn get_ssl(&self) -> Option<&TlsRef> {
        self.io.get_ssl()
    }

    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.io.get_ssl_digest()
    }

    fn selected_alpn_proto(&self) -> Option<ALPN> {
        self.io.selected_alpn_proto()
    }
}

impl<S: IO> GetTimingDigest for Connection<S> {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        self.io.get_timing_digest()
    }
}

impl<S: IO> GetProxyDigest for Connection<S> {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.io.get_proxy_digest()
    }
}

impl<S: IO> GetSocketDigest for Connection<S> {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.io.get_socket_digest()
    }
}

impl<S: IO> Peek for Connection<S> {}
