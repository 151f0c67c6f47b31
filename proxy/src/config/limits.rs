//! `[limits]`: what one client can take from the others. No limit concerns the size of an image.

use lockgate_settings::{ByteSize, Period};
use serde::Deserialize;

use super::{SizeWithin, Within};

/// The section.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// How long a TLS handshake may take.
    pub handshake_timeout: Period,
    /// How long the header of a request may take, from its first byte to its last.
    pub header_timeout: Period,
    /// How large it may be, from 1KiB to 1MiB.
    pub header_size: SizeWithin<1024, 1_048_576>,
    /// How many fields it may have, 1 to 256. docker sends fewer than ten.
    pub header_count: Within<1, 256>,
    /// How long a connection may wait between two requests.
    pub idle_timeout: Period,
    /// How long a client may be silent in the middle of an upload.
    pub body_timeout: Period,
    /// How long a client may take nothing of its answer.
    pub send_timeout: Period,
    /// How many bytes a second a client must send of an upload, and take of an answer, on average while it is its turn;
    /// the time in which the registry behind is slow does not count. A client that only ever trickles is given up after
    /// half of body_timeout or send_timeout. "0": any byte is enough.
    pub min_body_rate: ByteSize,
    /// How long an upload that was refused is still read and thrown away, so that the client gets to see why.
    pub drain_timeout: Period,
    /// How many connections of clients may be open. When all are taken, the one that has been idle for the longest is
    /// closed for the next client; where none is idle, that client waits. 0: half of the open files that this process
    /// may have, which it raises to the hard limit (ulimit -Hn).
    pub connections: Within<0, 10_000_000>,
    /// How many of them may come from one address; of IPv6 from one /64 network. More are closed at once. Many machines
    /// can share an address: a company's, or a cluster's with its build jobs. 0: no limit.
    pub connections_per_address: Within<0, 10_000_000>,
    /// HTTP/2 (listen.http2): requests at a time on one connection, up to 1000. Clients are told, and what is over it
    /// is refused.
    pub streams: Within<1, 1000>,
    /// HTTP/2: frames that carry neither a request nor content (PING, SETTINGS, WINDOW_UPDATE and the like; a reset
    /// counts for ten) which a client may send on one connection in a burst. As many again may come in every 10
    /// seconds, and more while it is sent a layer.
    pub control_frames: Within<100, 1_000_000>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            handshake_timeout: Period::from_secs(9),
            header_timeout: Period::from_secs(15),
            header_size: const { SizeWithin::of(32 * 1024) },
            header_count: const { Within::of(100) },
            idle_timeout: Period::from_secs(75),
            body_timeout: Period::from_secs(60),
            send_timeout: Period::from_secs(55),
            min_body_rate: ByteSize::from_kib(1),
            drain_timeout: Period::from_secs(10),
            connections: const { Within::of(0) },
            connections_per_address: const { Within::of(1024) },
            streams: const { Within::of(100) },
            control_frames: const { Within::of(1000) },
        }
    }
}
