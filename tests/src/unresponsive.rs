//! Addresses at which nobody takes a connection.

use socket2::{Domain, Socket, Type};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

/// A loopback address where nobody listens. Each test has an `ip` of its own, where no other takes the port meanwhile.
///
/// # Panics
/// When `ip` is no loopback address.
pub fn nobody_at(ip: &str) -> SocketAddr {
    TcpListener::bind((ip, 0)).and_then(|listener| listener.local_addr()).expect("every loopback address is ours")
}

/// An address where the system lets nobody connect, since its queue is full and nobody accepts.
#[derive(Debug)]
pub struct Unresponsive {
    address: SocketAddr,
    _held: (Socket, Vec<TcpStream>),
}

impl Unresponsive {
    /// Fills a queue.
    ///
    /// # Panics
    /// When there is no socket for it.
    #[expect(clippy::new_without_default, reason = "it takes a socket of the machine's")]
    pub fn new() -> Self {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a free port");
        listener.listen(0).expect("it is bound");
        let address = listener.local_addr().expect("it is bound").as_socket().expect("of IPv4");
        let mut queue = Vec::new();
        while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
            queue.push(stream);
        }
        Self { address, _held: (listener, queue) }
    }

    /// Where it does not answer.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}
