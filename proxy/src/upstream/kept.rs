//! Connections for blobs that wait for the next one.

use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use socket2::SockRef;
use tokio::time::Instant;

/// How many are kept, and for how long.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) connections: usize,
    pub(super) idle_timeout: Duration,
}

/// Where a connection leads to: a Unix socket has no address, and there is but one.
pub(super) type Address = Option<SocketAddr>;

/// Sockets of one kind, the one that was used last at the end.
#[derive(Debug)]
pub(super) struct Kept<S> {
    bounds: Bounds,
    waiting: Mutex<Vec<Waiting<S>>>,
}

#[derive(Debug)]
struct Waiting<S> {
    address: Address,
    since: Instant,
    socket: S,
}

impl<S: AsFd> Kept<S> {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self { bounds, waiting: Mutex::default() }
    }

    /// Keeps a socket over which nothing more comes; in place of the oldest, if there are too many.
    pub(super) fn keep(&self, address: Address, socket: S) {
        let mut waiting = self.waiting();
        if waiting.len() >= self.bounds.connections {
            waiting.remove(0);
        }
        waiting.push(Waiting { address, since: Instant::now(), socket });
    }

    /// One to this address that may still be used.
    pub(super) fn take(&self, address: Address) -> Option<S> {
        let mut waiting = self.waiting();
        loop {
            let at = waiting.iter().rposition(|kept| kept.address == address)?;
            let kept = waiting.remove(at);
            if self.is_usable(&kept) {
                return Some(kept.socket);
            }
        }
    }

    /// Closes what was not used for too long, and what the other side has closed.
    pub(super) fn forget(&self) {
        self.waiting().retain(|kept| self.is_usable(kept));
    }

    fn is_usable(&self, kept: &Waiting<S>) -> bool {
        kept.since.elapsed() < self.bounds.idle_timeout && is_silent(&kept.socket)
    }

    /// How many wait.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.waiting().len()
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Waiting<S>>> {
        self.waiting.lock().expect("no code panics while it holds this lock")
    }
}

/// Whether there is neither a byte nor an end nor an error.
fn is_silent(socket: &impl AsFd) -> bool {
    let mut byte = [std::mem::MaybeUninit::uninit()];
    SockRef::from(socket).peek(&mut byte).is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::os::unix::net::UnixStream;

    const BOUNDS: Bounds = Bounds { connections: 2, idle_timeout: Duration::from_secs(60) };

    fn pair() -> (UnixStream, UnixStream) {
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        ours.set_nonblocking(true).expect("a socket");
        (ours, theirs)
    }

    fn address(port: u16) -> Address {
        Some(([192, 0, 2, 1], port).into())
    }

    #[tokio::test]
    async fn a_connection_is_used_again_for_its_own_address_and_once() {
        let kept = Kept::new(BOUNDS);
        let (ours, _theirs) = pair();
        kept.keep(address(1), ours);
        assert!(kept.take(address(2)).is_none() && kept.take(None).is_none());
        assert!(kept.take(address(1)).is_some());
        assert!(kept.take(address(1)).is_none());
    }

    #[tokio::test]
    async fn one_that_was_closed_or_speaks_unasked_is_not() {
        let kept = Kept::new(BOUNDS);
        let ((closed, theirs), (speaking, mut they)) = (pair(), pair());
        kept.keep(None, closed);
        kept.keep(None, speaking);
        drop(theirs);
        they.write_all(b"HTTP/1.1 408 \r\n").expect("written");
        assert!(kept.take(None).is_none());
        assert_eq!(kept.len(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn what_waits_for_too_long_or_was_closed_is_forgotten() {
        let kept = Kept::new(BOUNDS);
        let ((old, _theirs), (closed, they), (young, _them)) = (pair(), pair(), pair());
        kept.keep(None, old);
        tokio::time::advance(BOUNDS.idle_timeout / 2).await;
        kept.keep(address(1), closed);
        kept.forget();
        assert_eq!(kept.len(), 2);
        drop(they);
        kept.forget();
        assert_eq!(kept.len(), 1);
        kept.keep(address(2), young);
        tokio::time::advance(BOUNDS.idle_timeout / 2).await;
        kept.forget();
        assert!(kept.take(None).is_none());
        assert!(kept.take(address(2)).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn what_waited_for_too_long_is_not_used_either() {
        let kept = Kept::new(BOUNDS);
        let (old, _theirs) = pair();
        kept.keep(None, old);
        tokio::time::advance(BOUNDS.idle_timeout).await;
        assert!(kept.take(None).is_none());
    }

    #[tokio::test]
    async fn there_are_never_more_than_may_be() {
        let kept = Kept::new(BOUNDS);
        let pairs: Vec<_> = (0..3).map(|_| pair()).collect();
        let mut theirs = Vec::new();
        for (port, (ours, they)) in (0..).zip(pairs) {
            kept.keep(address(port), ours);
            theirs.push(they);
        }
        assert!(kept.take(address(0)).is_none());
        assert!(kept.take(address(1)).is_some() && kept.take(address(2)).is_some());
    }
}
