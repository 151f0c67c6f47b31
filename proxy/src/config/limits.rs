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
    /// How long a request's header may take from its first byte to its last.
    pub header_timeout: Period,
    /// Bytes of a request's header, from 1KiB to 1MiB.
    pub header_size: SizeWithin<1024, 1_048_576>,
    /// How many fields it may have. HTTP/1.1 allows no more than 256 here.
    pub header_count: Within<1, 256>,
    /// How long a connection may wait between two requests.
    pub idle_timeout: Period,
    /// How long a client may be silent in the middle of a request's body.
    pub body_timeout: Period,
    /// How long a client may take no byte of its answer.
    pub send_timeout: Period,
    /// How many bytes a second a client must send of its body, and take of its answer, on average while
    /// it is its turn; 0 for any. It is given up at the latest when it owes this for as long as
    /// `body_timeout` or `send_timeout`.
    pub min_body_rate: ByteSize,
    /// How long the body of a refused request is still read, so that the client gets to see why.
    pub drain_timeout: Period,
    /// How many clients' connections may be open; 0 for as many as the limit of open files allows.
    pub connections: Within<0, 10_000_000>,
    /// How many of them may come from one address (of IPv6: one /64 network); 0 for all.
    pub connections_per_address: Within<0, 10_000_000>,
    /// HTTP/2: requests at a time on one connection. Clients are told, and what is over it is refused.
    pub streams: Within<1, 1000>,
    /// HTTP/2: frames that carry neither a request nor content (PING, SETTINGS, WINDOW_UPDATE and the
    /// like; a reset counts for ten) which a client may send on one connection in a burst. As many again
    /// may come in every 10 seconds, and more while it is sent a layer.
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
