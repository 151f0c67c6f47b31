//! A TCP socket that can be left alone: unknown to epoll, it wakes nobody, whatever comes in.
//!
//! epoll wakes a thread for every packet of a socket that it knows, also when no task waits for it.
//! `SO_RCVLOWAT` would do the same, but no crate sets it without unsafe code of ours.

use std::io::{self, Read as _};
use std::mem;

use bytes::BytesMut;
use tokio::net::TcpStream;

/// The most that is read at once of what came meanwhile: a TLS record of full size.
pub(super) const GULP: usize = 16 * 1024;

/// A connected socket.
#[derive(Debug)]
pub(super) enum QuietSocket {
    /// A task is woken when it can be read or written.
    Watched(TcpStream),
    /// Nobody is woken.
    LeftAlone(std::net::TcpStream),
    /// The system could not watch it any more, and it is closed.
    Lost,
}

impl QuietSocket {
    /// Watches it no more. No task may be waiting for it.
    ///
    /// # Errors
    /// epoll refuses; the socket is closed.
    pub(super) fn leave_alone(&mut self) -> io::Result<()> {
        *self = match mem::replace(self, Self::Lost) {
            Self::Watched(socket) => Self::LeftAlone(socket.into_std()?),
            other => other,
        };
        Ok(())
    }

    /// The socket, watched from here on.
    ///
    /// # Errors
    /// epoll has no room for it; the socket is closed.
    pub(super) fn watched(&mut self) -> io::Result<&mut TcpStream> {
        if let Self::LeftAlone(_) = self
            && let Self::LeftAlone(socket) = mem::replace(self, Self::Lost)
        {
            *self = Self::Watched(TcpStream::from_std(socket)?);
        }
        match self {
            Self::Watched(socket) => Ok(socket),
            _ => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Reads at most [`GULP`] bytes of what came while it was left alone, and tells how many; 0 at the
    /// end. `None` when nothing came, or when it is watched.
    ///
    /// # Errors
    /// Those of the system.
    pub(super) fn read_left(&mut self, into: &mut BytesMut) -> io::Result<Option<usize>> {
        let Self::LeftAlone(socket) = self else { return Ok(None) };
        let mut gulp = [0; GULP];
        match socket.read(&mut gulp) {
            Ok(n) => {
                into.extend_from_slice(&gulp[..n]);
                Ok(Some(n))
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
