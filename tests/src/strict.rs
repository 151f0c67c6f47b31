//! A client that forgives nothing: whatever is refused, reset or cut is an error to it, with what it was doing. It
//! speaks TLS itself, since hundreds of connections a second are more than `openssl s_client` can be started.

use crate::door::Door;
use crate::message::{Response, copy_body, read_head};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::io::{self, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
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
pub struct StrictConnection(BufReader<StreamOwned<ClientConnection, TcpStream>>);

impl StrictClient {
    /// A client that trusts what the door's clients trust.
    ///
    /// # Panics
    /// When the authority's file is none.
    pub fn at(door: &Door) -> Self {
        let mut roots = RootCertStore::empty();
        let authority = CertificateDer::from_pem_file(&door.ca).expect("the authority's certificate is PEM");
        roots.add(authority).expect("it is an authority");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let tls = tls.expect("the provider has both").with_root_certificates(roots).with_no_client_auth();
        Self { address: door.address, tls: Arc::new(tls) }
    }

    /// Connects and shakes hands.
    ///
    /// # Errors
    /// When it is refused or cut.
    pub fn connect(&self) -> io::Result<StrictConnection> {
        let doing = |what: &str, error: io::Error| io::Error::new(error.kind(), format!("{what}: {error}"));
        let mut socket = TcpStream::connect(self.address).map_err(|error| doing("connect", error))?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(SILENCE))?;
        let name = ServerName::IpAddress(self.address.ip().into());
        let mut tls = ClientConnection::new(Arc::clone(&self.tls), name).map_err(io::Error::other)?;
        while tls.is_handshaking() {
            tls.complete_io(&mut socket).map_err(|error| doing("handshake", error))?;
        }
        Ok(StrictConnection(BufReader::new(StreamOwned::new(tls, socket))))
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
