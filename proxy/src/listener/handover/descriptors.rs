//! A byte and two sockets, from one process to the other (unix(7), `SCM_RIGHTS`).

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
};
use tokio::io::Interest;
use tokio::net::UnixStream;

const SPACE: usize = rustix::cmsg_space!(ScmRights(2));

/// Sends `word`, and with it the right to both sockets.
pub(super) async fn send(stream: &UnixStream, word: u8, sockets: [BorrowedFd<'_>; 2]) -> io::Result<()> {
    let sending = || {
        let mut space = [MaybeUninit::uninit(); SPACE];
        let mut control = SendAncillaryBuffer::new(&mut space);
        assert!(control.push(SendAncillaryMessage::ScmRights(&sockets)), "there is space for both");
        rustix::net::sendmsg(stream, &[IoSlice::new(&[word])], &mut control, SendFlags::NOSIGNAL)?;
        Ok(())
    };
    stream.async_io(Interest::WRITABLE, sending).await
}

/// Receives a word and the two sockets that come with it.
///
/// # Errors
/// The system's; `UnexpectedEof` where the other side closed; `InvalidData` where it sent another number
/// of sockets.
pub(super) async fn receive(stream: &UnixStream) -> io::Result<(u8, [OwnedFd; 2])> {
    let receiving = || {
        let mut space = [MaybeUninit::uninit(); SPACE];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut word = [0];
        let received =
            rustix::net::recvmsg(stream, &mut [IoSliceMut::new(&mut word)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
        if received.bytes == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let rights = control.drain().filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(sockets) => Some(sockets),
            _ => None,
        });
        let sockets: Vec<OwnedFd> = rights.flatten().collect();
        let sockets = <[OwnedFd; 2]>::try_from(sockets).map_err(|_| io::ErrorKind::InvalidData)?;
        Ok((word[0], sockets))
    };
    stream.async_io(Interest::READABLE, receiving).await
}
