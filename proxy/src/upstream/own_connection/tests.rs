use super::*;
use proptest::prelude::*;

/// What pingora reads at a time.
const PIECE: usize = 64 * 1024;

/// A connection that always has more, up to `left` bytes, and notes how much it was asked for.
#[derive(Debug)]
struct Source {
    left: usize,
    at: usize,
    /// What a read brings at most.
    burst: usize,
    asked: Vec<usize>,
}

impl Source {
    fn of(length: usize, burst: usize) -> Self {
        Self { left: length, at: 0, burst, asked: Vec::new() }
    }
}

fn one_share() -> Memory {
    Memory::of(LARGE_READ as u64).expect("one fits")
}

fn byte(at: usize) -> u8 {
    (at % 251) as u8
}

impl AsyncRead for Source {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let asked = buf.remaining();
        self.asked.push(asked);
        let n = asked.min(self.burst).min(self.left);
        let bytes: Vec<u8> = (self.at..self.at + n).map(byte).collect();
        buf.put_slice(&bytes);
        self.at += n;
        self.left -= n;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Source {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Reads to the end, `piece` bytes at a time.
fn read_all(alone: &mut Alone<Source>, piece: usize) -> Vec<u8> {
    let mut all = Vec::new();
    let mut room = vec![0; piece];
    let mut cx = Context::from_waker(std::task::Waker::noop());
    loop {
        let mut buf = ReadBuf::new(&mut room);
        assert!(matches!(Pin::new(&mut *alone).poll_read(&mut cx, &mut buf), Poll::Ready(Ok(()))));
        if buf.filled().is_empty() {
            return all;
        }
        all.extend_from_slice(buf.filled());
    }
}

#[test]
fn a_layer_is_read_in_large_pieces_once_it_has_shown_that_it_is_one() {
    let mut alone = Alone::from(Source::of(4 * LARGE_READ, usize::MAX), one_share());
    read_all(&mut alone, PIECE);
    let (small, large) = alone.socket.asked.split_at(FROM / PIECE);
    assert!(small.iter().all(|asked| *asked == PIECE), "{small:?}");
    assert!(large.iter().all(|asked| *asked >= LARGE_READ), "{large:?}");
    assert_eq!(large.len(), 5, "four for what is left, and one for the end");
}

#[test]
fn without_memory_it_is_read_as_it_is_asked_for() {
    let memory = one_share();
    let taken = memory.share();
    let mut alone = Alone::from(Source::of(2 * LARGE_READ, usize::MAX), memory);
    read_all(&mut alone, PIECE);
    assert!(alone.socket.asked.iter().all(|asked| *asked == PIECE), "{:?}", alone.socket.asked);
    assert_eq!(alone.ahead.capacity(), 0);
    drop(taken);
}

#[test]
fn the_memory_is_given_back_with_the_connection() {
    let memory = one_share();
    let mut alone = Alone::from(Source::of(LARGE_READ, usize::MAX), memory.clone());
    read_all(&mut alone, PIECE);
    assert!(memory.share().is_none());
    drop(alone);
    assert!(memory.share().is_some());
}

proptest! {
    /// Whatever comes in whatever pieces, it is handed on as it came, and nothing after its end.
    #[test]
    fn every_byte_is_handed_on_in_its_place(
        length in 0..3 * LARGE_READ,
        burst in prop_oneof![1024..PIECE, PIECE..2 * LARGE_READ],
        piece in 512..2 * PIECE,
        is_taken: bool,
    ) {
        let memory = one_share();
        let _taken = is_taken.then(|| memory.share());
        let mut alone = Alone::from(Source::of(length, burst), memory);
        let all = read_all(&mut alone, piece);
        prop_assert_eq!(all.len(), length);
        prop_assert!(all.iter().enumerate().all(|(at, read)| *read == byte(at)));
    }
}
