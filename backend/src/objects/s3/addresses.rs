//! The addresses of a server, of which each may be another gateway to the same buckets.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures_util::future::join_all;
use object_store::client::{DnsFuture, DnsResolver};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

/// How long a connection may take.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Every name is at this address.
#[derive(Debug)]
pub(super) struct OneAddress(pub(super) IpAddr);

impl DnsResolver for OneAddress {
    fn resolve(&self, _: &str) -> DnsFuture {
        let address = self.0;
        Box::pin(async move { Ok(vec![address]) })
    }
}

/// Those of a host and port that take connections. A machine without IPv6 reaches none of that kind.
pub(super) async fn reachable(authority: &str) -> Vec<IpAddr> {
    let Ok(addresses) = lookup_host(authority).await else { return Vec::new() };
    let mut addresses: Vec<SocketAddr> = addresses.collect();
    addresses.sort_unstable();
    addresses.dedup();
    let tried = addresses.into_iter().map(async |address| {
        let connected = timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await;
        matches!(connected, Ok(Ok(_))).then_some(address.ip())
    });
    join_all(tried).await.into_iter().flatten().collect()
}
