//! How long each step may take, and how much is read: a server that does not mean well ends none of it.

use std::time::Duration;

/// Everything together.
pub(super) const WHOLE: Duration = Duration::from_secs(300);
/// The resolver's answer.
pub(super) const LOOKUP: Duration = Duration::from_secs(10);
/// One address, until it takes the connection.
pub(super) const CONNECT: Duration = Duration::from_secs(10);
/// One handshake of TLS.
pub(super) const HANDSHAKE: Duration = Duration::from_secs(10);
/// An answer with its body, from the moment that the request is on its way.
pub(super) const ANSWER: Duration = Duration::from_secs(30);
/// The same for what is as long as a layer.
pub(super) const TRANSFER: Duration = Duration::from_secs(90);
/// `100 Continue`. curl waits for a second and sends then.
pub(super) const CONTINUE: Duration = Duration::from_secs(3);
/// An answer that needs nothing of the body. A proxy that keeps bodies back gives none.
pub(super) const EARLY_ANSWER: Duration = Duration::from_secs(4);
/// What plain HTTP is answered by on a port that does not speak TLS.
pub(super) const PLAIN: Duration = Duration::from_secs(5);

/// Addresses of one name that are tried.
pub(super) const ADDRESSES: usize = 8;
/// An answer's header.
pub(super) const HEADER_BYTES: usize = 64 << 10;
/// An answer's fields.
pub(super) const HEADER_FIELDS: usize = 128;
/// What is read of a body that is looked at.
pub(super) const BODY_BYTES: usize = 64 << 10;
/// What is read where TLS was expected and something else answered.
pub(super) const PLAIN_BYTES: usize = 1024;
/// Redirects of a blob that are followed.
pub(super) const REDIRECTS: usize = 3;
/// The certificates that are looked at of those presented.
pub(super) const CERTIFICATES: usize = 10;
/// Characters of what a server said that are shown.
pub(super) const SHOWN: usize = 300;

/// The length of the layer that is pushed: more than the limit that proxies have where nobody sets one (nginx: 1 MiB).
pub(super) const LAYER_BYTES: usize = 8 << 20;
/// The length that is announced and never sent: as large as a layer can be expected to become.
pub(super) const ANNOUNCED_BYTES: u64 = 10 << 30;
/// The length that is announced to see who keeps bodies back: below nginx's limit, and above the 256 KiB that a server
/// written in Go would read before it answers.
pub(super) const WITHHELD_BYTES: u64 = 512 << 10;
/// What is sent of such a body where no length is announced: just over the 256 KiB that Go reads then.
pub(super) const WITHHELD_CHUNKS: usize = (256 << 10) + 64;

/// A difference between two clocks that is told.
pub(super) const CLOCK_WARN: Duration = Duration::from_secs(60);
/// One by which tokens are refused.
pub(super) const CLOCK_FAIL: Duration = Duration::from_secs(300);
/// A certificate that ends so soon is told of.
pub(super) const ENDS_SOON: time::Duration = time::Duration::days(14);
/// The layer that is pushed where that one does not pass.
pub(super) const SMALL_LAYER_BYTES: usize = 64 << 10;
