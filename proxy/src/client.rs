//! Who is at the other end of a connection.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::HeaderValue;

/// A client's address, and how it is written: two headers and the log of each request say it. An IPv4 client is one on
/// an IPv6 listener, too. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Client(Arc<Written>);

#[derive(Debug)]
struct Written {
    address: IpAddr,
    ip: HeaderValue,
    text: String,
}

impl Client {
    /// The address without its port.
    pub(crate) fn ip(&self) -> IpAddr {
        self.0.address
    }

    /// The same, as a header says it.
    pub(crate) fn ip_value(&self) -> &HeaderValue {
        &self.0.ip
    }

    /// The address with its port, where that is known.
    pub(crate) fn as_str(&self) -> &str {
        &self.0.text
    }

    /// One that a proxy names. Its port is not known.
    pub(crate) fn behind(address: IpAddr) -> Self {
        let address = address.to_canonical();
        Self::written(address, address.to_string())
    }

    fn written(address: IpAddr, text: String) -> Self {
        let ip = HeaderValue::try_from(address.to_string()).expect("an IP address is visible ASCII");
        Self(Arc::new(Written { address, ip, text }))
    }
}

impl From<SocketAddr> for Client {
    fn from(peer: SocketAddr) -> Self {
        let address = peer.ip().to_canonical();
        Self::written(address, SocketAddr::new(address, peer.port()).to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv4_client_is_written_as_one_on_an_ipv6_listener_too() {
        for (peer, ip, text) in [
            ("[::ffff:192.0.2.7]:443", "192.0.2.7", "192.0.2.7:443"),
            ("[2001:db8::1]:443", "2001:db8::1", "[2001:db8::1]:443"),
        ] {
            let client = Client::from(peer.parse::<SocketAddr>().expect("an address"));
            assert_eq!((client.ip().to_string().as_str(), client.as_str()), (ip, text));
            assert_eq!(client.ip_value(), ip);
        }
    }
}
