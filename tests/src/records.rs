//! A TLS connection of a client that decides what goes into each record.

use crate::door::Door;
use crate::tls::{TlsStream, connect, trusting};
use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;
use std::time::Duration;

/// How bytes are divided among TLS records, each of which goes out at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Division {
    /// As few records as possible.
    Once,
    /// A record ends with each CRLF.
    AtEachLine,
    /// A byte a record.
    Bytes,
}

/// An open connection.
#[derive(Debug)]
pub struct Records(TlsStream);

impl Records {
    /// Connects, verifying the certificate. No read or write takes longer than `patience`.
    ///
    /// # Panics
    /// When the handshake fails.
    pub fn open(door: &Door, patience: Duration) -> Self {
        Self(connect(trusting(door), door.address, patience).expect("the handshake succeeds"))
    }

    /// Sends bytes. A peer that is gone is no error here: the answer, or its absence, tells.
    pub fn send(&mut self, bytes: &[u8], division: Division) {
        let pieces: Vec<&[u8]> = match division {
            Division::Once => vec![bytes],
            Division::AtEachLine => bytes.split_inclusive(|&byte| byte == b'\n').collect(),
            Division::Bytes => bytes.chunks(1).collect(),
        };
        for piece in pieces {
            if self.0.write_all(piece).and_then(|()| self.0.flush()).is_err() {
                return;
            }
        }
    }

    /// Ends the sending side, without TLS's own goodbye: a client whose machine cuts it short.
    pub fn shut_down(&self) {
        let _ = self.0.sock.shutdown(Shutdown::Write);
    }

    /// Reads on until `enough` says so of all that came, or the connection ends. Says which of the two:
    /// whether it is still open.
    ///
    /// # Panics
    /// When neither happens within the connection's patience.
    pub fn read_until(&mut self, received: &mut Vec<u8>, enough: impl Fn(&[u8]) -> bool) -> bool {
        let mut buffer = [0; 16 * 1024];
        while !enough(received) {
            match self.0.read(&mut buffer) {
                Ok(0) => return false,
                Ok(read) => received.extend_from_slice(&buffer[..read]),
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    panic!("neither an answer nor an end after {:?}", String::from_utf8_lossy(received));
                }
                // A reset, or an end without TLS's goodbye.
                Err(_) => return false,
            }
        }
        true
    }
}
