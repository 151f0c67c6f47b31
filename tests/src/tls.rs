//! TLS as the harness's own clients speak it.

use crate::door::Door;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

/// A connection, its handshake done.
pub(crate) type TlsStream = StreamOwned<ClientConnection, TcpStream>;

/// Trust in what the door's clients trust.
///
/// # Panics
/// When the authority's file is none.
pub(crate) fn trusting(door: &Door) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    let authority = CertificateDer::from_pem_file(&door.ca).expect("the authority's certificate is PEM");
    roots.add(authority).expect("it is an authority");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    Arc::new(tls.expect("the provider has both").with_root_certificates(roots).with_no_client_auth())
}

/// Connects and shakes hands. No read or write takes longer than `patience`.
///
/// # Errors
/// When it is refused or cut, with what it was doing.
pub(crate) fn connect(tls: Arc<ClientConfig>, address: SocketAddr, patience: Duration) -> io::Result<TlsStream> {
    let doing = |what: &str, error: io::Error| io::Error::new(error.kind(), format!("{what}: {error}"));
    let mut socket = TcpStream::connect(address).map_err(|error| doing("connect", error))?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(patience))?;
    socket.set_write_timeout(Some(patience))?;
    let mut tls = ClientConnection::new(tls, ServerName::from(address.ip())).map_err(io::Error::other)?;
    while tls.is_handshaking() {
        tls.complete_io(&mut socket).map_err(|error| doing("handshake", error))?;
    }
    Ok(StreamOwned::new(tls, socket))
}
