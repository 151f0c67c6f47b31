//! Hand-over of the listening socket from a running process to a new one (`listen.handover`).
//!
//! A process that serves waits at a Unix socket for its successor:
//!
//! ```text
//! successor                                  predecessor
//! connects, with all its files loaded   ──▶  goes on accepting
//!                                       ◀──  OFFER, with both listening sockets
//! begins to accept beside it; READY     ──▶
//!                                       ◀──  YOURS: it stops accepting, and drains
//! ```
//!
//! Both hold the same TCP socket, so no connection in its queue is lost, whoever ends first. The Unix
//! socket goes along with it: who comes third waits in its queue for the one in charge then, and the
//! file in the file system is the same from the first process to the last.
//!
//! A successor that ends before READY has changed nothing. A predecessor that ends after OFFER leaves
//! behind a successor that has all it needs.

mod descriptors;

use std::fs::{self, Permissions};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net as unix;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UnixListener, UnixStream};

/// The predecessor's first word; it names the version of this protocol.
const OFFER: u8 = b'1';
const READY: u8 = b'R';
const YOURS: u8 = b'Y';
const TOO_LATE: u8 = b'L';

/// How long a successor may take from OFFER to READY. It has nothing left to load: one that takes longer
/// hangs.
const READY_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a successor waits for a word: two others may be before it in the queue.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Between two offers, so that an error that stays does not spin.
const PAUSE: Duration = Duration::from_millis(50);

/// How often a successor asks again when its predecessor left instead of making an offer.
const ATTEMPTS: usize = 3;

/// The place where successors come.
pub(super) struct Handover {
    listener: UnixListener,
    file: SocketFile,
}

/// The socket's file, which goes with the last process that waits there.
struct SocketFile {
    path: PathBuf,
    /// Somebody else holds the socket too.
    is_shared: AtomicBool,
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if !*self.is_shared.get_mut() {
            // Gone already, or not: nobody is left to tell.
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Handover {
    /// Waits at `path`. A socket there that a killed process left behind is replaced.
    pub(super) fn bind(path: &Path) -> io::Result<Self> {
        if is_socket(path) {
            fs::remove_file(path)?;
        }
        let listener = UnixListener::bind(path)?;
        let file = SocketFile { path: path.to_owned(), is_shared: AtomicBool::new(false) };
        fs::set_permissions(path, Permissions::from_mode(0o600))?;
        Ok(Self { listener, file })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.file.path
    }

    /// Resolves when a successor has taken over `listener`.
    pub(super) async fn succeeded(&self, listener: &TcpListener) {
        loop {
            match self.offer(listener).await {
                Ok(()) => return,
                Err(error) => tracing::warn!(%error, "no hand-over; serving on"),
            }
            self.file.is_shared.store(false, Ordering::Relaxed);
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn offer(&self, listener: &TcpListener) -> io::Result<()> {
        let (mut stream, _) = self.listener.accept().await?;
        check_user(&stream)?;
        self.file.is_shared.store(true, Ordering::Relaxed);
        descriptors::send(&stream, OFFER, [listener.as_fd(), self.listener.as_fd()]).await?;
        match tokio::time::timeout(READY_TIMEOUT, stream.read_u8()).await {
            Ok(Ok(READY)) => stream.write_u8(YOURS).await,
            Ok(Ok(_)) => Err(io::Error::other("the new process said something else than that it is ready")),
            Ok(Err(_)) => Err(io::Error::other("the new process ended before it was ready")),
            Err(_) => {
                stream.write_u8(TOO_LATE).await?;
                Err(io::Error::other(format!("the new process was not ready within {READY_TIMEOUT:?}")))
            }
        }
    }
}

/// A predecessor that is ready to hand over.
pub(super) struct Offer {
    /// The socket where clients come.
    pub(super) listener: TcpListener,
    /// The place where the next successor comes.
    pub(super) handover: Handover,
    /// Whom to tell that it is taken.
    pub(super) predecessor: Predecessor,
}

/// The process that served until now.
pub(crate) struct Predecessor(UnixStream);

impl Offer {
    /// Asks the process that waits at `path`; `None` where there is none.
    pub(super) async fn ask(path: &Path) -> io::Result<Option<Self>> {
        for _ in 0..ATTEMPTS {
            let Some(stream) = connect(path).await? else { return Ok(None) };
            check_user(&stream)?;
            let received = tokio::time::timeout(ANSWER_TIMEOUT, descriptors::receive(&stream)).await;
            match received.map_err(|_| no_answer())? {
                Ok((OFFER, sockets)) => return Self::new(sockets, path, stream).map(Some),
                Ok(_) => return Err(io::Error::other("it is a version of lockgate that hands over in another way")),
                // It is about to end, or was killed.
                Err(error) if is_end(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::other("the process that waits there makes no offer; its log says why"))
    }

    fn new([listener, handover]: [OwnedFd; 2], path: &Path, stream: UnixStream) -> io::Result<Self> {
        let listener = adopt(std::net::TcpListener::from(listener))?;
        let handover = unix::UnixListener::from(handover);
        handover.set_nonblocking(true)?;
        let file = SocketFile { path: path.to_owned(), is_shared: AtomicBool::new(true) };
        let handover = Handover { listener: UnixListener::from_std(handover)?, file };
        Ok(Self { listener, handover, predecessor: Predecessor(stream) })
    }
}

impl Predecessor {
    /// Tells it to stop accepting; from here on `handover` is this process's own.
    ///
    /// # Errors
    /// It did not wait so long, and goes on itself.
    pub(super) async fn relieve(mut self, handover: &Handover) -> io::Result<()> {
        // If it is gone, that is seen when its answer is read.
        let _ = self.0.write_u8(READY).await;
        match tokio::time::timeout(ANSWER_TIMEOUT, self.0.read_u8()).await {
            Ok(Ok(TOO_LATE)) => Err(io::Error::other("the running process did not wait so long, and serves on")),
            Err(_) => Err(no_answer()),
            // Either it said YOURS, or it ended in the middle of this.
            Ok(_) => {
                handover.file.is_shared.store(false, Ordering::Relaxed);
                Ok(())
            }
        }
    }
}

/// A listening socket that was made elsewhere.
pub(super) fn adopt(listener: std::net::TcpListener) -> io::Result<TcpListener> {
    if !rustix::net::sockopt::socket_acceptconn(&listener)? {
        return Err(io::Error::other("the socket that was given does not listen"));
    }
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

async fn connect(path: &Path) -> io::Result<Option<UnixStream>> {
    match UnixStream::connect(path).await {
        Ok(stream) => Ok(Some(stream)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused && is_socket(path) => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_socket(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket())
}

/// Only a process of the same user is handed over to, or believed.
fn check_user(stream: &UnixStream) -> io::Result<()> {
    let (theirs, ours) = (stream.peer_cred()?.uid(), rustix::process::geteuid().as_raw());
    if theirs == ours {
        Ok(())
    } else {
        let why = format!("the other process is of user {theirs}, this one of user {ours}");
        Err(io::Error::new(io::ErrorKind::PermissionDenied, why))
    }
}

fn is_end(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset)
}

fn no_answer() -> io::Error {
    io::Error::other(format!("the running process did not answer within {ANSWER_TIMEOUT:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use tempfile::TempDir;

    struct Place {
        dir: TempDir,
        listener: Arc<TcpListener>,
    }

    impl Place {
        async fn new() -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
            Self { dir: tempfile::tempdir().expect("there is room"), listener: Arc::new(listener) }
        }

        fn path(&self) -> PathBuf {
            self.dir.path().join("handover.sock")
        }

        /// A process that serves until it is succeeded, and then ends.
        fn serve(&self, handover: Handover) -> tokio::task::JoinHandle<()> {
            let listener = Arc::clone(&self.listener);
            tokio::spawn(async move { handover.succeeded(&listener).await })
        }

        async fn offer(&self) -> Offer {
            Offer::ask(&self.path()).await.expect("no error").expect("an offer")
        }
    }

    #[tokio::test]
    async fn nobody_there_is_no_offer() {
        let place = Place::new().await;
        assert!(Offer::ask(&place.path()).await.expect("no error").is_none());
        drop(unix::UnixListener::bind(place.path()).expect("bound"));
        assert!(Offer::ask(&place.path()).await.expect("no error").is_none(), "a file left behind is nobody");
    }

    #[tokio::test]
    async fn the_successor_holds_the_same_socket_and_is_the_next_to_hand_over() {
        let place = Place::new().await;
        let mut serving = place.serve(Handover::bind(&place.path()).expect("bound"));
        for _ in 0..20 {
            let Offer { listener, handover, predecessor } = place.offer().await;
            assert_eq!(listener.local_addr().unwrap(), place.listener.local_addr().unwrap());
            predecessor.relieve(&handover).await.expect("taken over");
            serving.await.expect("it ended");
            assert!(place.path().exists());
            serving = place.serve(handover);
        }
        serving.abort();
        serving.await.expect_err("aborted");
        assert!(!place.path().exists(), "it goes with the last one");
    }

    #[tokio::test]
    async fn a_successor_that_leaves_before_it_is_ready_changes_nothing() {
        let place = Place::new().await;
        let serving = place.serve(Handover::bind(&place.path()).expect("bound"));
        drop(place.offer().await);
        let Offer { handover, predecessor, .. } = place.offer().await;
        assert!(!serving.is_finished());
        predecessor.relieve(&handover).await.expect("taken over");
        serving.await.expect("it ended");
    }

    #[tokio::test(start_paused = true)]
    async fn a_successor_that_hangs_is_told_that_it_is_too_late() {
        let place = Place::new().await;
        let serving = place.serve(Handover::bind(&place.path()).expect("bound"));
        let Offer { handover, predecessor, .. } = place.offer().await;
        tokio::time::sleep(READY_TIMEOUT * 2).await;
        predecessor.relieve(&handover).await.expect_err("it is too late");
        drop(handover);
        assert!(!serving.is_finished() && place.path().exists());
        drop(place.offer().await);
    }

    #[tokio::test]
    async fn a_successor_whose_predecessor_is_killed_goes_on_alone() {
        let place = Place::new().await;
        let serving = place.serve(Handover::bind(&place.path()).expect("bound"));
        let Offer { handover, predecessor, .. } = place.offer().await;
        serving.abort();
        serving.await.expect_err("aborted");
        predecessor.relieve(&handover).await.expect("it has all it needs");
        let serving = place.serve(handover);
        let Offer { handover, predecessor, .. } = place.offer().await;
        predecessor.relieve(&handover).await.expect("taken over");
        serving.await.expect("it ended");
    }

    #[tokio::test]
    async fn a_second_newcomer_waits_for_the_first() {
        let place = Place::new().await;
        let serving = place.serve(Handover::bind(&place.path()).expect("bound"));
        let first = place.offer().await;
        let path = place.path();
        let second = tokio::spawn(async move { Offer::ask(&path).await.expect("no error").expect("an offer") });
        first.predecessor.relieve(&first.handover).await.expect("taken over");
        serving.await.expect("it ended");
        let first_serving = place.serve(first.handover);
        let second = second.await.expect("no panic");
        second.predecessor.relieve(&second.handover).await.expect("taken over");
        first_serving.await.expect("it ended");
    }

    #[tokio::test]
    async fn what_is_no_socket_is_left_alone() {
        let place = Place::new().await;
        fs::write(place.path(), "precious").expect("written");
        assert!(Offer::ask(&place.path()).await.is_err());
        assert!(Handover::bind(&place.path()).is_err());
        assert_eq!(fs::read(place.path()).expect("read"), b"precious");
    }
}
