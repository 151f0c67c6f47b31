//! `[limits]`: what one client can take from the others. No limit concerns the size of an image.

use lockgate_settings::{ByteSize, Period, SizeWithin, Within};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use smart_default::SmartDefault;

/// `[limits]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema, SmartDefault)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// How long a TLS handshake may take.
    #[default(Period::from_secs(9))]
    pub handshake_timeout: Period,
    /// How long the header of a request may take, from its first byte to its last.
    #[default(Period::from_secs(15))]
    pub header_timeout: Period,
    /// How large it may be. podman asks for the parts of a layer that it lacks (zstd:chunked) in one header of 18KiB; where
    /// that does not fit it pulls the whole layer.
    #[default(const { SizeWithin::of(32 * 1024) })]
    pub header_size: SizeWithin<1024, 1_048_576>,
    /// How many fields it may have. docker sends fewer than ten.
    #[default(const { Within::of(100) })]
    pub header_count: Within<1, 256>,
    /// How long a connection may wait between two requests.
    #[default(Period::from_secs(75))]
    pub idle_timeout: Period,
    /// How long a client may be silent in the middle of an upload.
    #[default(Period::from_secs(60))]
    pub body_timeout: Period,
    /// How long a client may take nothing of its answer.
    #[default(Period::from_secs(55))]
    pub send_timeout: Period,
    /// How many bytes a second a client must send of an upload, and take of an answer, on average while it is its turn;
    /// the time in which the registry behind is slow does not count. A client that only ever trickles is given up after
    /// half of body_timeout or send_timeout. "0": any byte is enough.
    #[default(ByteSize::from_kib(1))]
    pub min_body_rate: ByteSize,
    /// How long an upload that was refused is still read and thrown away, so that the client gets to see why.
    #[default(Period::from_secs(10))]
    pub drain_timeout: Period,
    /// How many connections of clients may be open. When all are taken, the one that has been idle for the longest is
    /// closed for the next client; where none is idle, that client waits. 0: half of the open files that this process
    /// may have, which it raises to the hard limit (ulimit -Hn).
    #[default(const { Within::of(0) })]
    pub connections: Within<0, 10_000_000>,
    /// How many of them may come from one address; of IPv6 from one /64 network. More are closed at once. Many machines
    /// can share an address: a company's, or a cluster's with its build jobs. 0: no limit.
    #[default(const { Within::of(1024) })]
    pub connections_per_address: Within<0, 10_000_000>,
    /// HTTP/2 (listen.http2): requests at a time on one connection. Clients are told, and what is over it
    /// is refused.
    #[default(const { Within::of(100) })]
    pub streams: Within<1, 1000>,
    /// HTTP/2: frames that carry neither a request nor content (PING, SETTINGS, WINDOW_UPDATE and the like; a reset
    /// counts for ten) which a client may send on one connection in a burst. As many again may come in every 10
    /// seconds, and more while it is sent a layer.
    #[default(const { Within::of(1000) })]
    pub control_frames: Within<100, 1_000_000>,
}
