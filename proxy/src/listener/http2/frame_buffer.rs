//! What the h2 crate writes frame by frame, gathered to large writes.
//!
//! A DATA frame holds 16 KiB unless the client wants more, and h2 writes and flushes each by itself: a TLS
//! record of 16 KiB, one of the nine bytes that are over, and a system call. One copy is cheaper.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;

/// Four DATA frames of the usual size with their heads.
const FULL: usize = 4 * (9 + 16 * 1024);

/// Bytes on their way to a connection. Nothing is kept while there are none.
#[derive(Debug, Default)]
pub(super) struct FrameBuffer {
    bytes: Vec<u8>,
    written: usize,
    is_amid_frames: bool,
}

impl FrameBuffer {
    /// Takes a part of `bufs`, and tells how much.
    pub(super) fn poll_take(
        &mut self,
        io: &mut (impl AsyncWrite + Unpin),
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.is_full() {
            ready!(self.poll_empty(io, cx))?;
        }
        if self.bytes.capacity() == 0 {
            self.bytes.reserve_exact(FULL);
        }
        let before = self.bytes.len();
        for buf in bufs {
            let room = FULL - self.bytes.len();
            self.bytes.extend_from_slice(&buf[..buf.len().min(room)]);
        }
        // Only the payload of a DATA frame is not copied by h2 behind its head.
        self.is_amid_frames = bufs.len() > 1;
        Poll::Ready(Ok(self.bytes.len() - before))
    }

    /// Writes what was taken, and flushes; but not behind a DATA frame: h2 looks for the next one first, and
    /// flushes again when there is none. Should it ever not, the task is woken to do it.
    pub(super) fn poll_flush(
        &mut self,
        io: &mut (impl AsyncWrite + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        if std::mem::take(&mut self.is_amid_frames) && !self.is_full() {
            cx.waker().wake_by_ref();
            return Poll::Ready(Ok(()));
        }
        ready!(self.poll_empty(io, cx))?;
        Pin::new(io).poll_flush(cx)
    }

    fn is_full(&self) -> bool {
        self.bytes.len() >= FULL
    }

    fn poll_empty(&mut self, io: &mut (impl AsyncWrite + Unpin), cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.bytes.len() {
            match ready!(Pin::new(&mut *io).poll_write(cx, &self.bytes[self.written..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.written += written,
            }
        }
        *self = Self::default();
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Wake, Waker};

    /// Takes up to `most` bytes at a time, and remembers them.
    struct Sink {
        most: usize,
        writes: Vec<Vec<u8>>,
        flushes: usize,
    }

    impl Sink {
        fn taking(most: usize) -> Self {
            Self { most, writes: Vec::new(), flushes: 0 }
        }
    }

    impl AsyncWrite for Sink {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            let taken = buf.len().min(self.most);
            self.writes.push(buf[..taken].to_vec());
            Poll::Ready(Ok(taken))
        }

        fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.flushes += 1;
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn take_all(frames: &mut FrameBuffer, sink: &mut Sink, parts: [&[u8]; 2]) {
        let cx = &mut Context::from_waker(Waker::noop());
        let parts = parts.map(IoSlice::new);
        let taken = frames.poll_take(sink, cx, &parts);
        assert!(matches!(taken, Poll::Ready(Ok(n)) if n == parts.iter().map(|part| part.len()).sum::<usize>()));
    }

    fn flush(frames: &mut FrameBuffer, sink: &mut Sink) {
        let flushed = frames.poll_flush(sink, &mut Context::from_waker(Waker::noop()));
        assert!(matches!(flushed, Poll::Ready(Ok(()))));
    }

    #[test]
    fn four_frames_are_one_write_and_leave_no_room_behind() {
        let (mut frames, mut sink) = (FrameBuffer::default(), Sink::taking(usize::MAX));
        for _ in 0..4 {
            take_all(&mut frames, &mut sink, [&[1; 9], &[2; 16 * 1024]]);
            flush(&mut frames, &mut sink);
        }
        assert_eq!((sink.writes.len(), sink.writes[0].len()), (1, FULL));
        assert_eq!(frames.bytes.capacity(), 0);
    }

    #[test]
    fn the_last_frame_goes_with_the_second_flush_and_the_task_is_woken_for_it() {
        let (mut frames, mut sink) = (FrameBuffer::default(), Sink::taking(usize::MAX));
        take_all(&mut frames, &mut sink, [b"head", b"payload"]);
        let wakes = Arc::new(Wakes::default());
        let waker = Waker::from(wakes.clone());
        assert!(frames.poll_flush(&mut sink, &mut Context::from_waker(&waker)).is_ready());
        assert_eq!((sink.writes.len(), sink.flushes, wakes.0.load(Ordering::Relaxed)), (0, 0, 1));
        flush(&mut frames, &mut sink);
        assert_eq!((sink.writes.concat(), sink.flushes), (b"headpayload".to_vec(), 1));
    }

    #[test]
    fn what_is_no_data_goes_at_once() {
        let (mut frames, mut sink) = (FrameBuffer::default(), Sink::taking(usize::MAX));
        let taken = frames.poll_take(&mut sink, &mut Context::from_waker(Waker::noop()), &[IoSlice::new(b"ping")]);
        assert!(matches!(taken, Poll::Ready(Ok(4))));
        flush(&mut frames, &mut sink);
        assert_eq!((sink.writes.concat(), sink.flushes), (b"ping".to_vec(), 1));
    }

    #[test]
    fn a_frame_of_any_size_arrives_whole_through_small_writes() {
        let (mut frames, mut sink) = (FrameBuffer::default(), Sink::taking(1000));
        let frame: Vec<u8> = (0..300_000_u32).map(|n| n as u8).collect();
        let cx = &mut Context::from_waker(Waker::noop());
        let mut left = &frame[..];
        while !left.is_empty() {
            let Poll::Ready(Ok(taken)) = frames.poll_take(&mut sink, cx, &[IoSlice::new(left)]) else {
                panic!("the sink takes all")
            };
            left = &left[taken..];
        }
        flush(&mut frames, &mut sink);
        assert_eq!(sink.writes.concat(), frame);
    }
}
