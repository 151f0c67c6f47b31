//! Who asks, where a proxy passes a request on.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName};

use crate::client::Client;
use crate::config::Listen;
use crate::rate_limited::RateLimitedWarning;

/// The addresses by which a request came, the last behind the others: each proxy writes that of whom it has it from.
pub(super) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The proxies whose word counts (`listen.trusted_proxies`).
#[derive(Debug)]
pub(crate) struct TrustedProxies {
    listen: Listen,
    unnamed: RateLimitedWarning,
}

impl TrustedProxies {
    pub(crate) fn new(listen: Listen) -> Self {
        Self { listen, unnamed: RateLimitedWarning::default() }
    }

    /// Whether what the one at the other end says of a request is believed.
    pub(super) fn trusts(&self, peer: &Client) -> bool {
        self.listen.is_trusted_proxy(peer.ip())
    }

    /// Who asks: the one at the other end of the connection, or else the last address that is no trusted proxy's. Behind
    /// what cannot be read nothing is believed.
    pub(crate) fn client(&self, headers: &HeaderMap, peer: Client) -> Client {
        if !headers.contains_key(X_FORWARDED_FOR) {
            return peer;
        }
        if !self.trusts(&peer) {
            self.note_unnamed(&peer);
            return peer;
        }
        let mut nearest = None;
        let values = headers.get_all(X_FORWARDED_FOR).iter().rev();
        for hop in values.flat_map(|value| value.as_bytes().rsplit(|byte| *byte == b',')) {
            let Some(address) = read(hop.trim_ascii()) else { break };
            nearest = Some(address);
            if !self.listen.is_trusted_proxy(address) {
                break;
            }
        }
        nearest.map_or(peer, Client::behind)
    }

    /// A balancer that is not named makes one client of all of its own.
    fn note_unnamed(&self, peer: &Client) {
        if is_near(peer.ip())
            && let Some(times) = self.unnamed.count()
        {
            tracing::warn!(
                client = peer.as_str(),
                times,
                "X-Forwarded-For came from a private address that is not in listen.trusted_proxies, and was thrown away; \
                 if that is your load balancer, name it there: until then all of its clients count as one"
            );
        }
    }
}

/// An address, as proxies write it: some with its port.
fn read(hop: &[u8]) -> Option<IpAddr> {
    let hop = std::str::from_utf8(hop).ok()?;
    let bare = hop.strip_prefix('[').and_then(|hop| hop.strip_suffix(']')).unwrap_or(hop);
    bare.parse().ok().or_else(|| hop.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

fn is_near(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_private() || address.is_loopback() || address.is_link_local(),
        IpAddr::V6(address) => address.is_unique_local() || address.is_loopback() || address.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;

    fn proxies() -> TrustedProxies {
        let trusted_proxies = ["10.0.0.0/24", "2001:db8::1"].map(|range| range.parse().unwrap()).to_vec();
        TrustedProxies::new(Listen { trusted_proxies, ..Listen::default() })
    }

    fn client(peer: &str, values: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(X_FORWARDED_FOR, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        let peer: SocketAddr = peer.parse().unwrap();
        proxies().client(&headers, peer.into()).ip().to_string()
    }

    #[test]
    fn the_last_address_that_is_no_trusted_proxy_s_counts() {
        for (values, expected) in [
            (&["192.0.2.1"][..], "192.0.2.1"),
            (&["6.6.6.6, 192.0.2.1"], "192.0.2.1"),
            (&["6.6.6.6", "192.0.2.1,10.0.0.2"], "192.0.2.1"),
            (&["192.0.2.1, 10.0.0.2", "2001:db8::1"], "192.0.2.1"),
            (&["192.0.2.1:4711"], "192.0.2.1"),
            (&["[2001:db8::7]:4711"], "2001:db8::7"),
            (&["[2001:db8::7]"], "2001:db8::7"),
            (&["::ffff:192.0.2.1"], "192.0.2.1"),
            (&["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ] {
            assert_eq!(client("10.0.0.1:9", values), expected, "{values:?}");
        }
    }

    #[test]
    fn what_stands_behind_something_unreadable_is_not_believed() {
        for (values, expected) in [
            (&["6.6.6.6, unknown"][..], "10.0.0.1"),
            (&["6.6.6.6, , 10.0.0.2"], "10.0.0.2"),
            (&[""], "10.0.0.1"),
            (&["6.6.6.6, 192.0.2.300, 10.0.0.2"], "10.0.0.2"),
            (&["6.6.6.6, caf\u{e9}"], "10.0.0.1"),
        ] {
            assert_eq!(client("10.0.0.1:9", values), expected, "{values:?}");
        }
    }

    #[test]
    fn nobody_else_is_believed() {
        for stranger in ["192.0.2.7:9", "10.0.1.1:9", "127.0.0.1:9", "[2001:db8::2]:9"] {
            let own = stranger.parse::<SocketAddr>().unwrap().ip().to_string();
            assert_eq!(client(stranger, &["6.6.6.6"]), own);
        }
    }

    proptest! {
        #[test]
        fn no_client_of_a_trusted_proxy_chooses_the_address_that_counts(claimed in "[ -~]{0,40}") {
            prop_assert_eq!(client("10.0.0.1:9", &[&claimed, "192.0.2.1"]), "192.0.2.1");
            prop_assert_eq!(client("10.0.0.1:9", &[&format!("{claimed},192.0.2.1, 10.0.0.2")]), "192.0.2.1");
        }
    }
}
