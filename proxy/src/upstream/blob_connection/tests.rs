use super::*;
use proptest::prelude::*;
use std::time::Duration;

/// What pingora reads at a time.
const PIECE: usize = 64 * 1024;

const BOUNDS: Bounds = Bounds { connections: 8, idle_timeout: Duration::from_secs(60) };

/// A registry's end of a connection: it has an answer, and notes how much it was asked for.
#[derive(Debug)]
struct Registry {
    answer: Vec<u8>,
    /// What a read brings at most.
    burst: usize,
    asked: Vec<usize>,
    descriptor: std::fs::File,
}

impl Registry {
    fn answering(answer: Vec<u8>, burst: usize) -> Self {
        let descriptor = std::fs::File::open("/dev/null").expect("Linux has it");
        Self { answer, burst, asked: Vec::new(), descriptor }
    }
}

impl AsFd for Registry {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

impl AsyncRead for Registry {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let asked = buf.remaining();
        self.asked.push(asked);
        let n = asked.min(self.burst).min(self.answer.len());
        if n == 0 {
            // It waits for the next request.
            return Poll::Pending;
        }
        let rest = self.answer.split_off(n);
        buf.put_slice(&self.answer);
        self.answer = rest;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Registry {
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

fn one_share() -> Memory {
    Memory::of(LARGE_READ as u64).expect("one fits")
}

fn blob(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8).collect()
}

/// A blob's answer.
fn answer(length: usize) -> Vec<u8> {
    [format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").into_bytes(), blob(length)].concat()
}

fn connection(registry: Registry, memory: Memory) -> BlobConnection<Registry> {
    BlobConnection::new(registry, None, Arc::new(Kept::new(BOUNDS)), memory)
}

/// What a read of at most `piece` bytes brings; `None` when there is nothing yet.
fn read(connection: &mut BlobConnection<Registry>, piece: usize) -> Option<Vec<u8>> {
    let mut room = vec![0; piece];
    let mut buf = ReadBuf::new(&mut room);
    let mut cx = Context::from_waker(std::task::Waker::noop());
    match Pin::new(connection).poll_read(&mut cx, &mut buf) {
        Poll::Ready(done) => done.map(|()| Some(buf.filled().to_vec())).expect("it does not fail"),
        Poll::Pending => None,
    }
}

/// Reads as pingora does, which knows by the length when to end.
fn read_all(connection: &mut BlobConnection<Registry>, length: usize, piece: usize) -> Vec<u8> {
    let mut all = Vec::new();
    while all.len() < length {
        all.extend(read(connection, piece).expect("there is more"));
    }
    all
}

/// What pingora's pool does with a connection that could be used again.
fn asks_whether_anything_comes(connection: &mut BlobConnection<Registry>) {
    assert_eq!(read(connection, 1), Some(Vec::new()), "it looks closed, so that the pool lets it go");
}

#[test]
fn a_layer_is_read_in_large_pieces() {
    let answer = answer(4 * LARGE_READ);
    let length = answer.len();
    let mut connection = connection(Registry::answering(answer, usize::MAX), one_share());
    read_all(&mut connection, length, PIECE);
    let asked = &connection.socket().asked;
    assert_eq!(asked[0], PIECE, "the header");
    assert!(asked[1..].iter().all(|asked| *asked >= LARGE_READ - PIECE), "{asked:?}");
    assert_eq!(asked.len(), 1 + 4, "{asked:?}");
}

#[test]
fn what_is_smaller_needs_no_memory() {
    let answer = answer(LAYER as usize - 1);
    let length = answer.len();
    let mut connection = connection(Registry::answering(answer, usize::MAX), one_share());
    read_all(&mut connection, length, PIECE);
    assert!(connection.socket().asked.iter().all(|asked| *asked == PIECE));
    assert!(connection.memory.share().is_some());
}

#[test]
fn without_memory_a_layer_is_read_as_it_is_asked_for() {
    let answer = answer(4 * LARGE_READ);
    let length = answer.len();
    let memory = one_share();
    let _taken = memory.share();
    let mut connection = connection(Registry::answering(answer, usize::MAX), memory);
    read_all(&mut connection, length, PIECE);
    assert!(connection.socket().asked.iter().all(|asked| *asked == PIECE));
    assert_eq!(connection.ahead.capacity(), 0);
}

#[test]
fn the_memory_is_given_back_with_the_connection() {
    let memory = one_share();
    let answer = answer(4 * LARGE_READ);
    let length = answer.len();
    let mut connection = connection(Registry::answering(answer, usize::MAX), memory.clone());
    read_all(&mut connection, length, PIECE);
    assert!(memory.share().is_none());
    drop(connection);
    assert!(memory.share().is_some());
}

/// Whether the connection waits for the next request once pingora has read `pieces` of its answer and, where it would
/// keep it, asked for more.
fn is_kept(answer: Vec<u8>, read_so_far: usize, would_pingora: bool) -> bool {
    let kept = Arc::new(Kept::new(BOUNDS));
    let mut connection = BlobConnection::new(Registry::answering(answer, usize::MAX), None, kept.clone(), one_share());
    read_all(&mut connection, read_so_far, PIECE);
    if would_pingora {
        let _ = read(&mut connection, 1);
    }
    drop(connection);
    kept.len() == 1
}

#[test]
fn a_connection_is_kept_when_its_answer_is_over_and_pingora_would_keep_it() {
    let length = answer(100).len();
    assert!(is_kept(answer(100), length, true));
    assert!(!is_kept(answer(100), length, false), "its request may not be over");
    assert!(!is_kept(answer(100), length - 1, false), "a client that left");
    assert!(!is_kept([answer(100), b"H".to_vec()].concat(), length + 1, true), "an answer to nothing");
    let closing = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".to_vec();
    let length = closing.len();
    assert!(!is_kept(closing, length, true));
}

#[test]
fn a_connection_that_pingora_ends_is_not_kept() {
    let kept = Arc::new(Kept::new(BOUNDS));
    let answer = answer(100);
    let length = answer.len();
    let mut connection = BlobConnection::new(Registry::answering(answer, usize::MAX), None, kept.clone(), one_share());
    read_all(&mut connection, length, PIECE);
    asks_whether_anything_comes(&mut connection);
    let mut cx = Context::from_waker(std::task::Waker::noop());
    assert!(Pin::new(&mut connection).poll_shutdown(&mut cx).is_ready());
    drop(connection);
    assert_eq!(kept.len(), 0);
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
        let expected = answer(length);
        let mut connection = connection(Registry::answering(expected.clone(), burst), memory);
        let all = read_all(&mut connection, expected.len(), piece);
        prop_assert!(all == expected);
        prop_assert_eq!(&connection.answer, &Answer::Over);
        asks_whether_anything_comes(&mut connection);
    }
}
