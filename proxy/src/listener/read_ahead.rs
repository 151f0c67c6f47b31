//! The socket under TLS, with a read buffer that is there only while bytes are.

use std::future::Future as _;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use async_trait::async_trait;
use bytes::{Buf as _, BytesMut};
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, TimingDigest, UniqueID,
    UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;

/// rustls asks for 4 KiB at a time; reading this much ahead turns sixteen and more of its reads into one
/// system call.
const READ_AHEAD: usize = 256 * 1024;

/// A TCP connection whose reads are large. While it waits for the client it owns no buffer, so that idle
/// connections cost none.
#[derive(Debug)]
pub(super) struct ReadAhead {
    socket: TcpStream,
    ahead: BytesMut,
    digest: Arc<SocketDigest>,
}

impl ReadAhead {
    pub(super) fn new(socket: TcpStream, peer: SocketAddr) -> Self {
        // Without it the last packet of an answer waits for an acknowledgement; refusal costs only speed.
        let _ = socket.set_nodelay(true);
        let digest = SocketDigest::from_raw_fd(socket.as_raw_fd());
        // A fresh cell: nobody can have set it.
        let _ = digest.peer_addr.set(Some(peer.into()));
        Self { socket, ahead: BytesMut::new(), digest: Arc::new(digest) }
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.ahead.reserve(READ_AHEAD);
        // `read_buf` has no state of its own between two polls.
        let read = pin!(self.socket.read_buf(&mut self.ahead)).poll(cx);
        if self.ahead.is_empty() {
            self.ahead = BytesMut::new();
        }
        read.map_ok(drop)
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
}
