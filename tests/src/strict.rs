//! A client that forgives nothing: whatever is refused, reset or cut is an error to it, with what it was doing. It
//! speaks TLS itself, since hundreds of connections a second are more than `openssl s_client` can be started.

use crate::door::Door;
use crate::message::{Response, copy_body, read_head};
use crate::tls::{TlsStream, connect, trusting};
use rustls::ClientConfig;
use std::io::{self, BufReader, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// How long it waits for a byte. Generous: only a request that is lost ever waits so long.
const SILENCE: Duration = Duration::from_secs(60);

/// A client of one door; connections are opened from it.
#[derive(Debug, Clone)]
pub struct StrictClient {
    address: SocketAddr,
    tls: Arc<ClientConfig>,
}

/// One of its connections.
#[derive(Debug)]
pub struct StrictConnection(BufReader<TlsStream>);

impl StrictClient {
    /// A client that trusts what the door's clients trust.
    ///
    /// # Panics
    /// When the authority's file is none.
    pub fn at(door: &Door) -> Self {
        Self { address: door.address, tls: trusting(door) }
    }

    /// Connects and shakes hands.
    ///
    /// # Errors
    /// When it is refused or cut.
    pub fn connect(&self) -> io::Result<StrictConnection> {
        Ok(StrictConnection(BufReader::new(connect(Arc::clone(&self.tls), self.address, SILENCE)?)))
    }
}

impl StrictConnection {
    /// Sends bytes.
    ///
    /// # Errors
    /// When the connection is cut.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.0.get_mut().write_all(bytes.as_ref())?;
        self.0.get_mut().flush()
    }

    /// The next response, whole.
    ///
    /// # Errors
    /// When the connection is cut before its end.
    pub fn response(&mut self) -> io::Result<Response> {
        let head = read_head(&mut self.0)?.ok_or_else(|| io::Error::other("closed in place of an answer"))?;
        let mut body = Vec::new();
        copy_body(&mut self.0, head.framing(), &mut body)?;
        Ok(Response { head, body })
    }

    /// Sends a request and awaits its answer.
    ///
    /// # Errors
    /// When the connection is cut before its end.
    pub fn exchange(&mut self, request: &str) -> io::Result<Response> {
        self.send(request)?;
        self.response()
    }
}

impl Response {
    /// Whether it is the last on its connection.
    pub fn is_last(&self) -> bool {
        self.head.all("connection").iter().any(|value| value.eq_ignore_ascii_case("close"))
    }
}
