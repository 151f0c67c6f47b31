//! The socket under TLS, with a read buffer that is there only while bytes are, and a way not to wake for
//! every byte.

use std::future::Future as _;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Buf as _, BytesMut};
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, TimingDigest, UniqueID,
    UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;

/// rustls asks for 4 KiB at a time; reading this much ahead turns sixteen and more of its reads into one
/// system call.
const READ_AHEAD: usize = 256 * 1024;

/// Less than this is a small read. Each costs a system call and a wake of the task, whatever it brings.
const SMALL: usize = 512;

/// How many small reads may follow each other before they are spaced. A write in between begins anew:
/// requests are small, and answered.
const FREE_SMALL_READS: u32 = 16;

/// How long a client that sends drop by drop is left alone, so that the kernel gathers what it sends.
const GATHERING: Duration = Duration::from_millis(10);

/// A TCP connection whose reads are large. While it waits for the client it owns no buffer, so that idle
/// connections cost none.
#[derive(Debug)]
pub(super) struct ReadAhead {
    socket: TcpStream,
    ahead: BytesMut,
    small_reads: u32,
    gathering: Option<Pin<Box<Sleep>>>,
    digest: Arc<SocketDigest>,
}

impl ReadAhead {
    pub(super) fn new(socket: TcpStream, peer: SocketAddr) -> Self {
        // Without it the last packet of an answer waits for an acknowledgement; refusal costs only speed.
        let _ = socket.set_nodelay(true);
        let digest = SocketDigest::from_raw_fd(socket.as_raw_fd());
        // A fresh cell: nobody can have set it.
        let _ = digest.peer_addr.set(Some(peer.into()));
        Self { socket, ahead: BytesMut::new(), small_reads: 0, gathering: None, digest: Arc::new(digest) }
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(gathering) = &mut self.gathering {
            ready!(gathering.as_mut().poll(cx));
            self.gathering = None;
        }
        self.ahead.reserve(READ_AHEAD);
        // `read_buf` has no state of its own between two polls.
        let read = pin!(self.socket.read_buf(&mut self.ahead)).poll(cx);
        if self.ahead.is_empty() {
            self.ahead = BytesMut::new();
        }
        if read.is_ready() {
            self.space_out();
        }
        read.map_ok(drop)
    }

    /// After a read: the next one waits when this was one of many small ones.
    fn space_out(&mut self) {
        self.small_reads = if self.ahead.len() < SMALL { self.small_reads + 1 } else { 0 };
        if self.small_reads > FREE_SMALL_READS {
            self.small_reads = FREE_SMALL_READS;
            self.gathering = Some(Box::pin(tokio::time::sleep(GATHERING)));
        }
    }
}

impl AsyncRead for ReadAhead {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.ahead.is_empty() {
            ready!(self.poll_fill(cx))?;
        }
        let n = self.ahead.len().min(buf.remaining());
        buf.put_slice(&self.ahead[..n]);
        self.ahead.advance(n);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ReadAhead {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.small_reads = 0;
        Pin::new(&mut self.socket).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.small_reads = 0;
        Pin::new(&mut self.socket).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }
}

#[async_trait]
impl Shutdown for ReadAhead {
    async fn shutdown(&mut self) {
        // The client may be gone already.
        let _ = self.socket.shutdown().await;
    }
}

impl UniqueID for ReadAhead {
    fn id(&self) -> UniqueIDType {
        self.socket.as_raw_fd()
    }
}

impl GetTimingDigest for ReadAhead {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        Vec::new()
    }
}

impl GetProxyDigest for ReadAhead {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        None
    }
}

impl GetSocketDigest for ReadAhead {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        Some(self.digest.clone())
    }
}

impl Ssl for ReadAhead {}
impl Peek for ReadAhead {}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    /// Polls a read that has nothing to read yet.
    fn nothing_yet(stream: &mut ReadAhead) -> bool {
        let mut byte = [0; 1];
        let mut cx = Context::from_waker(std::task::Waker::noop());
        Pin::new(stream).poll_read(&mut cx, &mut ReadBuf::new(&mut byte)).is_pending()
    }

    #[tokio::test]
    async fn bytes_arrive_whole_in_small_reads_and_a_waiting_connection_owns_no_buffer() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let client = TcpStream::connect(listener.local_addr().expect("an address")).await.expect("connected");
        let (socket, peer) = listener.accept().await.expect("accepted");
        let mut stream = ReadAhead::new(socket, peer);
        assert!(nothing_yet(&mut stream));
        assert_eq!(stream.ahead.capacity(), 0);

        let sent: Vec<u8> = (0..3 * READ_AHEAD).map(|at| (at % 251) as u8).collect();
        let sending = tokio::spawn({
            let (mut client, sent) = (client, sent.clone());
            async move {
                client.write_all(&sent).await.expect("sent");
                client
            }
        });
        let mut received = Vec::new();
        while received.len() < sent.len() {
            let mut piece = [0; 4093];
            let n = stream.read(&mut piece).await.expect("read");
            received.extend_from_slice(&piece[..n]);
        }
        assert!(received == sent, "the bytes are not those that were sent");

        let client = sending.await.expect("no panic");
        assert!(nothing_yet(&mut stream));
        assert_eq!(stream.ahead.capacity(), 0);
        drop(client);
        assert_eq!(stream.read(&mut [0; 1]).await.expect("an end"), 0);
    }

    async fn connected() -> (ReadAhead, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let client = TcpStream::connect(listener.local_addr().expect("an address")).await.expect("connected");
        client.set_nodelay(true).expect("it is TCP");
        let (socket, peer) = listener.accept().await.expect("accepted");
        (ReadAhead::new(socket, peer), client)
    }

    #[tokio::test]
    async fn a_client_that_sends_byte_by_byte_is_read_in_gulps() {
        let (mut stream, mut client) = connected().await;
        for _ in 0..FREE_SMALL_READS {
            assert!(stream.gathering.is_none());
            client.write_all(b"a").await.expect("sent");
            assert_eq!(stream.read(&mut [0; 64]).await.expect("read"), 1);
        }
        client.write_all(b"a").await.expect("sent");
        assert_eq!(stream.read(&mut [0; 64]).await.expect("read"), 1);
        let start = std::time::Instant::now();
        client.write_all(b"aa").await.expect("sent");
        assert_eq!(stream.read(&mut [0; 64]).await.expect("read"), 2);
        assert!(start.elapsed() >= GATHERING / 2, "it was read at once");
    }

    #[tokio::test]
    async fn small_requests_that_are_answered_are_never_spaced() {
        let (mut stream, mut client) = connected().await;
        for _ in 0..10 * FREE_SMALL_READS {
            client.write_all(b"a").await.expect("sent");
            assert_eq!(stream.read(&mut [0; 64]).await.expect("read"), 1);
            assert!(stream.gathering.is_none());
            stream.write_all(b"b").await.expect("sent");
        }
    }
}
