//! The last words of a handshake, which go out together with the first answer.
//!
//! rustls writes its session tickets (RFC 8446, 4.6.1) as soon as the client has shaken hands. Mostly the first
//! request is there by then, or nearly, and a packet of their own costs the twentieth part of a connection. So
//! what is written while a handshake lasts is kept until the client is listened to and has nothing to say, and
//! still nothing after the system was asked for what has come meanwhile. What is kept when the handshake is over
//! goes out before what is written next.

use std::future::Future as _;
use std::io::{self, IoSlice};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use tokio::io::AsyncWrite;

use super::write_buffer::WriteBuffer;

/// What a server says in a handshake.
#[derive(Debug, Default)]
pub(super) struct HandshakeBuffer {
    held: WriteBuffer,
    handshake_over: HandshakeOver,
    /// Whether some of it was said, so that the client may have answered.
    begun: bool,
}

impl HandshakeBuffer {
    /// By which it is told that the handshake is over.
    pub(super) fn handshake_over(&self) -> HandshakeOver {
        self.handshake_over.clone()
    }

    /// Whether nothing is left of it.
    pub(super) fn is_said(&self) -> bool {
        self.held.is_empty()
    }

    /// Whether it is to be said to a client of whom there is nothing to read. One that may have answered meanwhile
    /// is not spoken to before tokio has asked the system: for that the task is woken again.
    pub(super) fn is_due(&mut self, cx: &mut Context<'_>) -> bool {
        if self.is_said() {
            return false;
        }
        if std::mem::take(&mut self.begun) {
            // It wakes the task, whether it is polled again or not.
            let _ = pin!(tokio::task::yield_now()).poll(cx);
            return false;
        }
        true
    }

    /// Says what is left of it.
    pub(super) fn poll_say<W: AsyncWrite + Unpin>(&mut self, io: &mut W, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.begun = true;
        self.held.poll_release(io, cx)
    }

    /// Takes some of `bufs`: keeps them in a handshake, and afterwards writes them behind what is kept.
    pub(super) fn poll_write_vectored<W: AsyncWrite + Unpin>(
        &mut self,
        io: &mut W,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.handshake_over.is_told() {
            self.held.poll_write_at_once(io, cx, bufs)
        } else {
            self.held.poll_write_vectored(io, cx, bufs)
        }
    }

    /// What is left of it, when nobody will poll any more.
    pub(super) fn take(&mut self) -> Vec<u8> {
        self.held.take()
    }
}

/// Tells a [`HandshakeBuffer`], which is deep within the session that TLS makes of its socket, that the handshake is over.
#[derive(Debug, Clone, Default)]
pub(in crate::listener) struct HandshakeOver(Arc<AtomicBool>);

impl HandshakeOver {
    pub(in crate::listener) fn tell(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_told(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
