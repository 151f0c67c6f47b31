//! `[upstream]`: the registry behind the gate.

use lockgate_settings::{ByteSize, Period, Within};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use smart_default::SmartDefault;

use super::{Origin, Origins, UserHeader};

/// `[upstream]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema, SmartDefault)]
#[serde(default, deny_unknown_fields)]
pub struct Upstream {
    /// Where it listens, in plain HTTP on a private network. Several that hold the same content, as those over one
    /// bucket, are a list, or one name with several addresses: requests go to each in turn, and past one that is away.
    ///
    /// `url = ["http://registry-1:5000", "http://registry-2:5000"]`
    #[default(Origins::from(Origin::Tcp { host: "registry".to_owned(), port: 5000 }))]
    pub url: Origins,
    /// Of several: how often each is asked whether it answers GET /v2/ with less than 500, and how long it may take.
    #[default(Period::from_secs(2))]
    pub health_interval: Period,
    /// Of several: one that failed so many checks in a row gets no requests. One that cannot be connected to for a
    /// request gets none at once.
    #[default(const { Within::of(2) })]
    pub health_failures: Within<1, 100>,
    /// Of several: one that failed so gets requests again when it has passed so many checks in a row.
    #[default(const { Within::of(2) })]
    pub health_successes: Within<1, 100>,
    /// How long a connection to it may take to stand. It is tried twice; then the client gets 504. Of several the next
    /// one is tried after half a second.
    #[default(Period::from_secs(10))]
    pub connect_timeout: Period,
    /// How long it may be silent while its answer is awaited or read. After that the client gets 504.
    #[default(Period::from_secs(900))]
    pub read_timeout: Period,
    /// How long it may take nothing of what is sent to it.
    #[default(Period::from_secs(900))]
    pub write_timeout: Period,
    /// How long an unused connection to it is kept for the next request. Choose less than the registry's own limit.
    #[default(Period::from_secs(60))]
    pub idle_timeout: Period,
    /// How many unused connections to it are kept.
    #[default(const { Within::of(128) })]
    pub keepalive_connections: Within<1, 65_536>,
    /// Memory in which layers are read ahead of the clients that pull them, 1MiB for each pull. Those that get none of
    /// it cost more processor time. Less than 1MiB is none at all.
    #[default(ByteSize::from_mib(32))]
    pub read_ahead: ByteSize,
    /// How often its name is resolved again, since a container that is made anew has another address. A connection that
    /// fails resolves it at once.
    #[default(Period::from_secs(5))]
    pub resolve_interval: Period,
    /// Whether the Authorization header goes on to it. Only for a registry that asks for the same passwords.
    pub forward_authorization: bool,
    /// A header that tells it who asks, as X-Forwarded-User. From clients it is never taken. Empty: none.
    pub user_header: UserHeader,
}
