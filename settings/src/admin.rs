//! `[admin]`, which every program has that serves.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::endpoint::{self, Endpoint};

/// Where whoever runs a program asks how it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Admin {
    /// Where the metrics and the health of this program are told, over plain HTTP and to whoever asks: an address and a port,
    /// as in "127.0.0.1:9090", or a Unix socket as in "unix:/run/lockgate/admin.sock", which its owner and its group may use.
    /// Empty is nowhere. Let only your monitoring reach it: it tells which quotas there are and how much is pushed.
    #[serde(with = "endpoint::if_any")]
    #[schemars(with = "Endpoint")]
    pub listen: Option<Endpoint>,
}

impl Admin {
    /// Why the address may not be meant: whoever can reach it needs no password.
    pub fn warning(&self) -> Option<String> {
        let Some(Endpoint::Tcp(address)) = &self.listen else { return None };
        (!address.ip().to_canonical().is_loopback()).then(|| {
            format!("admin.listen: {address} may be reached from other machines, and asks nobody for a password; let only your monitoring reach it")
        })
    }
}
