//! The socket under TLS, with a read buffer that is there only while bytes are, and a way not to wake for
//! every byte.

mod handshake_buffer;
mod quiet_socket;
mod write_buffer;

use std::future::{Future as _, poll_fn};
use std::io;
use std::ops::RangeInclusive;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

use handshake_buffer::HandshakeBuffer;
use handshake_buffer::HandshakeOver;
use quiet_socket::{GULP, QuietSocket};

/// rustls asks for 4 KiB at a time. Reading more ahead turns many of its reads into one system call, where more comes:
/// a read is given so much at first, and four times as much after each that was full.
const READ_AHEAD: RangeInclusive<usize> = 4 * 1024..=64 * 1024;

/// Less than this is a small read. Each costs a system call and a wake of the task, whatever it brings.
const SMALL: usize = 512;

/// How many small reads may follow each other before they are spaced. A write in between begins anew:
/// requests are small, and answered.
const FREE_SMALL_READS: u32 = 16;

/// How long a client that sends drop by drop is left alone, so that the kernel gathers what it sends: at
/// first, and at most. It is the most that the end of its message waits.
const GATHERING: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_millis(250);

/// After a rest that brought less than this the next one is twice as long.
const FEW: usize = 4 * 1024;

/// Bytes that the kernel holds for a client whose window is closed, beside what is under way to it: for one
/// that has taken little, and for one that has taken [`MUCH`]. Without it each client that stops reading an
/// answer pins megabytes of the kernel's memory.
const UNSENT: u32 = 128 * 1024;
const UNSENT_OF_MUCH: u32 = 512 * 1024;

/// Who has taken so many bytes is being sent a layer, and written to in fewer and longer turns.
const MUCH: usize = 1024 * 1024;

/// A TCP connection whose reads are large. While it waits for the client it owns no buffer, so that idle
/// connections cost none.
#[derive(Debug)]
pub(super) struct ReadAhead {
    socket: QuietSocket,
    ahead: BytesMut,
    /// What the next read is given.
    room: usize,
    /// Bytes that were written.
    sent: usize,
    small_reads: u32,
    /// The last rest, if there was one since small reads were free.
    pause: Option<Duration>,
    gathering: Option<Pin<Box<Sleep>>>,
    /// Whether a task waits until it can write.
    writing: bool,
    handshake: HandshakeBuffer,
}

impl ReadAhead {
    pub(super) fn new(socket: TcpStream) -> Self {
        // Without it the last packet of an answer waits for an acknowledgement; refusal costs only speed.
        let _ = socket.set_nodelay(true);
        // It costs memory only.
        let _ = SockRef::from(&socket).set_tcp_notsent_lowat(UNSENT);
        Self {
            socket: QuietSocket::Watched(socket),
            ahead: BytesMut::new(),
            room: *READ_AHEAD.start(),
            sent: 0,
            small_reads: 0,
            pause: None,
            gathering: None,
            writing: false,
            handshake: HandshakeBuffer::default(),
        }
    }

    /// By which it is told that the handshake is over.
    pub(super) fn handshake_over(&self) -> HandshakeOver {
        self.handshake.handshake_over()
    }

    /// What was read and is still to be handed over.
    pub(super) fn ahead(&self) -> &[u8] {
        &self.ahead
    }

    /// Throws its first bytes away.
    pub(super) fn discard(&mut self, bytes: usize) {
        self.ahead.advance(bytes);
    }

    /// Reads more of it. `false` at the end.
    pub(super) async fn read_more(&mut self) -> io::Result<bool> {
        let before = self.ahead.len();
        poll_fn(|cx| self.poll_fill(cx)).await?;
        Ok(self.ahead.len() > before)
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(gathering) = &mut self.gathering {
            ready!(gathering.as_mut().poll(cx));
            self.gathering = None;
            if let Some(n) = self.socket.read_left(&mut self.ahead)? {
                return Poll::Ready(self.space_out(n, GULP));
            }
        }
        self.ahead.reserve(self.room);
        // `read_buf` has no state of its own between two polls.
        let read = pin!(self.socket.watched()?.read_buf(&mut self.ahead)).poll(cx);
        if self.ahead.is_empty() {
            self.ahead = BytesMut::new();
        }
        let n = ready!(read)?;
        self.room = match n {
            _ if n >= self.room => (4 * self.room).min(*READ_AHEAD.end()),
            _ if n < self.room / 8 => *READ_AHEAD.start(),
            _ => self.room,
        };
        Poll::Ready(self.space_out(n, SMALL))
    }

    /// After a read of `n` bytes: the next one waits when this was one of many that brought less than `much`.
    fn space_out(&mut self, n: usize, much: usize) -> io::Result<()> {
        if n >= much {
            self.forgive();
            return Ok(());
        }
        if self.small_reads < FREE_SMALL_READS {
            self.small_reads += 1;
            return Ok(());
        }
        let pause = match self.pause {
            None => *GATHERING.start(),
            Some(pause) if n < FEW => (2 * pause).min(*GATHERING.end()),
            Some(pause) => pause,
        };
        self.pause = Some(pause);
        self.gathering = Some(Box::pin(tokio::time::sleep(pause)));
        if self.writing { Ok(()) } else { self.socket.leave_alone() }
    }

    /// Small reads are free again.
    fn forgive(&mut self) {
        self.small_reads = 0;
        self.pause = None;
    }

    /// Ends a rest. Its timer does, since a task may be waiting for that.
    fn hear(&mut self) {
        if let Some(gathering) = &mut self.gathering {
            let now = Instant::now();
            if gathering.deadline() > now {
                gathering.as_mut().reset(now);
            }
        }
    }

    /// Writes by `write`, and remembers whether that has to wait.
    fn poll_write_by<T>(
        &mut self,
        write: impl FnOnce(&mut HandshakeBuffer, &mut TcpStream) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        self.forgive();
        self.hear();
        let written = write(&mut self.handshake, self.socket.watched()?);
        self.writing = written.is_pending();
        written
    }

    fn has_sent(&mut self, bytes: usize) -> io::Result<()> {
        let was_little = self.sent < MUCH;
        self.sent = self.sent.saturating_add(bytes);
        if was_little && self.sent >= MUCH {
            // It costs speed only.
            let _ = SockRef::from(&*self.socket.watched()?).set_tcp_notsent_lowat(UNSENT_OF_MUCH);
        }
        Ok(())
    }

    /// Says what is left of the handshake.
    fn poll_greet(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.handshake.is_said() {
            return Poll::Ready(Ok(()));
        }
        self.poll_write_by(|handshake, socket| handshake.poll_say(socket, cx))
    }
}

impl AsyncRead for ReadAhead {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.ahead.is_empty() {
            let filled = self.poll_fill(cx);
            if filled.is_pending() && self.handshake.is_due(cx) {
                // Where the client takes nothing, the rest goes out with what is written next.
                let _ = self.poll_greet(cx)?;
            }
            ready!(filled)?;
        }
        let n = self.ahead.len().min(buf.remaining());
        buf.put_slice(&self.ahead[..n]);
        self.ahead.advance(n);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ReadAhead {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[io::IoSlice::new(buf)])
    }

    /// The system has everything that was written, but for what is left of the handshake.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_greet(cx))?;
        Pin::new(self.socket.watched()?).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let n = ready!(self.poll_write_by(|handshake, socket| handshake.poll_write_vectored(socket, cx, bufs)))?;
        self.has_sent(n)?;
        Poll::Ready(Ok(n))
    }

    /// TCP has `writev`.
    fn is_write_vectored(&self) -> bool {
        true
    }
}

/// A handshake that fails ends with an alert, and nobody polls for it.
impl Drop for ReadAhead {
    fn drop(&mut self) {
        let alert = self.handshake.take();
        if !alert.is_empty()
            && let Ok(socket) = self.socket.watched()
        {
            // The client may be gone already.
            let _ = socket.try_write(&alert);
        }
    }
}

#[cfg(test)]
mod tests;
