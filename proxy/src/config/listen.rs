//! `[listen]`: where clients come in.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::thread::available_parallelism;

use lockgate_settings::{Endpoint, Within};
use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use smart_default::SmartDefault;

use crate::address_range::AddressRange;

/// `[listen]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema, SmartDefault)]
#[serde(default, deny_unknown_fields)]
pub struct Listen {
    /// The address for clients: 0.0.0.0 is every IPv4 interface, `[::]` IPv6 too. Where systemd
    /// gives a socket (LISTEN_FDS), or a running process hands its own over, that one is used whatever stands here.
    #[serde(deserialize_with = "tcp_address")]
    #[schemars(with = "String", extend("title" = "an IP address and a port"))]
    #[default(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 5043)))]
    pub https: SocketAddr,
    /// A Unix socket by which a new process takes over from the one that runs, without a lost request: start the new
    /// one with the same configuration. Its directory must exist and be this user's alone. Empty: none.
    #[serde(with = "lockgate_settings::path::if_any")]
    #[schemars(schema_with = "lockgate_settings::path::schema")]
    pub handover: Option<PathBuf>,
    /// Where plain HTTP is answered with the way to https, for browsers: an address and a port, as in "0.0.0.0:80". Only GET
    /// and HEAD, for a name that auth.public_url or a certificate has; nothing else is answered there. Empty is nowhere.
    #[serde(with = "lockgate_settings::endpoint::if_any")]
    #[schemars(with = "Endpoint")]
    pub http: Option<Endpoint>,
    /// The load balancers that say on whose behalf they come, by the PROXY protocol (version 1 or 2): their addresses and
    /// networks, as in ["10.0.0.7"]. From them it must stand before TLS, and from nobody else it may. Whoever can use
    /// such an address can choose the one that counts.
    pub proxy_protocol: Vec<AddressRange>,
    /// The proxies that end TLS before this and say in X-Forwarded-For who asks, as in ["10.0.0.7"]; behind one that speaks
    /// the PROXY protocol, what stands there. The last address that is none of them counts. What others say in it is thrown
    /// away.
    pub trusted_proxies: Vec<AddressRange>,
    /// Whether HTTP/2 is offered beside HTTP/1.1. docker, podman and skopeo do not use it, and it is slower for large
    /// layers.
    pub http2: bool,
    /// Threads that move bytes. 0: one a core.
    #[default(const { Within::of(0) })]
    pub threads: Within<0, 1024>,
}

impl Listen {
    /// Threads that move bytes. The cores are those that this process may use, as its cgroup says.
    pub fn threads(&self) -> NonZeroUsize {
        self.threads.non_zero().unwrap_or_else(|| available_parallelism().unwrap_or(NonZeroUsize::MIN))
    }

    /// Whether the one at this address says by the PROXY protocol on whose behalf it comes.
    pub fn speaks_proxy_protocol(&self, address: IpAddr) -> bool {
        self.proxy_protocol.iter().any(|range| range.holds(address))
    }

    /// Whether X-Forwarded-For is believed of the one at this address.
    pub fn is_trusted_proxy(&self, address: IpAddr) -> bool {
        self.trusted_proxies.iter().any(|range| range.holds(address))
    }

    /// What may be meant otherwise.
    pub fn warnings(&self) -> Vec<String> {
        let proxies = [("proxy_protocol", &self.proxy_protocol), ("trusted_proxies", &self.trusted_proxies)];
        let ranges = proxies.into_iter().flat_map(|(key, ranges)| ranges.iter().map(move |range| (key, range)));
        let wide = ranges.filter(|(_, range)| range.is_wide());
        wide.map(|(key, range)| {
            format!(
                "listen.{key}: {range} is wide: whoever has an address in it can choose the one that throttle, limits, \
                 grants and logs go by; name the load balancer alone"
            )
        })
        .collect()
    }
}

fn tcp_address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    match Endpoint::deserialize(deserializer)? {
        Endpoint::Tcp(address) => Ok(address),
        Endpoint::Unix(_) => Err(D::Error::custom("TLS is served on an IP address and a port, as in \"0.0.0.0:5043\"")),
    }
}
