//! How a connection ends: what is said in place of an answer, and what is read away so that the client gets to hear
//! the last word. A close over bytes that were not read resets the connection, and the answer with it.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Buf as _;
use lockgate_oci::OciError;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};

use super::remaining_body::RemainingBody;
use super::{Connection, Phase, RECORD};
use crate::access_log;

/// What a client may still be sending when its connection ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Waste {
    /// Nothing that is known of.
    Nothing,
    /// The rest of a body, which is read before the end is told: some clients take that for the end of their request.
    Body(RemainingBody),
    /// Something without a known end, which is read after the end was told.
    Anything,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Decides what the client is told. The words go out on flush or shutdown.
    pub(super) fn refuse(&mut self, error: &OciError) {
        access_log::unreadable(&self.client, error.status().as_u16(), error.message());
        self.refusal = Some(error.on_the_wire(self.is_head, &self.own_fields).into());
    }

    /// Tells a client that nothing is served to it here. It made no request that the access log could have a line of.
    pub(in crate::listener) async fn turn_away(mut self, error: &OciError, is_head: bool) {
        self.refusal = Some(error.on_the_wire(is_head, &self.own_fields).into());
        // The client may be gone already: nobody is left to tell.
        let _ = self.shutdown().await;
    }

    pub(super) async fn refuse_and_close(&mut self, error: &OciError) -> bool {
        self.refuse(error);
        // The client may be gone already: nobody is left to tell.
        let _ = self.shutdown().await;
        false
    }

    /// Reads away what is left of a body that the service did not want, for up to `limits.drain_timeout`. Where it does
    /// not come to its end the connection is of no use any more: `false`.
    pub(in crate::listener) async fn finish_body(&mut self) -> bool {
        self.exchange.forget_body();
        self.set_deadline(self.limits.drain_timeout.duration());
        poll_fn(|cx| match self.poll_waste(cx) {
            Poll::Pending => self.poll_late(cx).map(|()| false),
            ended => ended,
        })
        .await
    }

    /// Says the last word, and stays for up to `limits.drain_timeout` until the client had the chance to hear it.
    pub(super) fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.exchange.set_last();
        if self.phase != Phase::Closing {
            self.waste = match self.phase().clone() {
                Phase::Request(body @ (RemainingBody::Length(_) | RemainingBody::Chunked(_))) => Waste::Body(body),
                Phase::Request(RemainingBody::Unknown) => Waste::Anything,
                _ if self.refusal.is_some() => Waste::Anything,
                _ => Waste::Nothing,
            };
            self.phase = Phase::Closing;
            self.set_deadline(self.limits.drain_timeout.duration());
        }
        let closed = self.poll_close(cx);
        if closed.is_pending() { self.poll_late(cx).map(Ok) } else { closed }
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_say(cx))?;
        if matches!(self.waste, Waste::Body(_)) {
            ready!(self.poll_waste(cx));
        }
        ready!(Pin::new(&mut self.io).poll_shutdown(cx))?;
        self.poll_waste(cx).map(|_| Ok(()))
    }

    /// Says what was decided in place of an answer, if it was.
    fn poll_say(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(words) = self.refusal.as_mut().filter(|words| words.has_remaining()) {
            let said = ready!(Pin::new(&mut self.io).poll_write(cx, words))?;
            words.advance(said);
        }
        Pin::new(&mut self.io).poll_flush(cx)
    }

    /// Reads what is waste. Whether it came to its end.
    fn poll_waste(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let mut body = match &self.waste {
            Waste::Nothing => return Poll::Ready(true),
            Waste::Body(body) => body.clone(),
            Waste::Anything => RemainingBody::Unknown,
        };
        let mut space = [MaybeUninit::uninit(); RECORD];
        let ahead = std::mem::take(&mut self.ahead);
        let mut taken = body.take(&ahead).map(|n| self.ahead.extend_from_slice(&ahead[n..]));
        while taken.is_ok() && !body.is_over() {
            let mut buf = ReadBuf::uninit(&mut space);
            let read = Pin::new(&mut self.io).poll_read(cx, &mut buf);
            if read.is_pending() {
                if matches!(self.waste, Waste::Body(_)) {
                    self.waste = Waste::Body(body);
                }
                return Poll::Pending;
            }
            let new = buf.filled();
            if !matches!(read, Poll::Ready(Ok(()))) || new.is_empty() {
                break;
            }
            taken = body.take(new).map(|n| self.ahead.extend_from_slice(&new[n..]));
        }
        // Of a body that is malformed nobody can tell where it ends.
        self.waste = if taken.is_err() { Waste::Anything } else { Waste::Nothing };
        Poll::Ready(body.is_over())
    }
}
