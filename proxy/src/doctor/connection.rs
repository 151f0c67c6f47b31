//! A connection to the registry: a lookup, TCP and TLS, each with its bound.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::limits;
use super::target::Target;

/// The addresses of a name; an address is its own.
///
/// # Errors
/// The resolver's.
pub(super) async fn resolve(target: &Target) -> io::Result<Vec<SocketAddr>> {
    if let Ok(address) = target.bare_host().parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, target.port())]);
    }
    let found = within(limits::LOOKUP, "the resolver", lookup_host((target.bare_host(), target.port()))).await?;
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for address in found {
        if !addresses.contains(&address) && addresses.len() < limits::ADDRESSES {
            addresses.push(address);
        }
    }
    if addresses.is_empty() { Err(io::Error::other("the name has no address")) } else { Ok(addresses) }
}

/// A connection to one address.
///
/// # Errors
/// The network's, or nobody answered in time.
pub(super) async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = within(limits::CONNECT, "nobody", TcpStream::connect(address)).await?;
    // A request's last bytes shall not wait for an acknowledgement: times are looked at.
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// The handshake.
///
/// # Errors
/// TLS's, or it did not end in time.
pub(super) async fn shake_hands(
    stream: TcpStream,
    target: &Target,
    config: &Arc<ClientConfig>,
) -> io::Result<TlsStream<TcpStream>> {
    let connector = TlsConnector::from(Arc::clone(config));
    within(limits::HANDSHAKE, "TLS", connector.connect(target.name().clone(), stream)).await
}

/// What answers to plain HTTP: the first bytes of it.
///
/// # Errors
/// The network's, or nothing came in time.
pub(super) async fn ask_plainly(address: SocketAddr, target: &Target) -> io::Result<String> {
    let mut stream = connect(address).await?;
    let request = format!("GET /v2/ HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", target.authority());
    let ask = async {
        stream.write_all(request.as_bytes()).await?;
        let mut answer = vec![0; limits::PLAIN_BYTES];
        let read = stream.read(&mut answer).await?;
        answer.truncate(read);
        Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    within(limits::PLAIN, "nothing", ask).await
}

async fn within<T>(limit: Duration, who: &str, wait: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(limit, wait).await.unwrap_or_else(|_| {
        let late = format!("{who} answered within {}", humantime::format_duration(limit));
        let late = if who.starts_with("no") { late } else { late.replace("answered", "did not answer") };
        Err(io::Error::new(io::ErrorKind::TimedOut, late))
    })
}
